r"""Gradient estimators: what the optimiser is handed. All of them by name, and those of one flow."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import UndertowError, lookup, require, shown
from undertow._types import Key
from undertow.core.combine import (
    AbstractPair,
    ConflictProjection,
    SignAgreement,
    SoftAgreement,
    TensorAgreement,
    cosine,
    two_flows,
)
from undertow.core.estimator import AbstractGradient, Backprop, Estimate, Loss
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow
from undertow.core.policy import AbstractPolicy
from undertow.core.zeroth_order import EvolutionStrategy

__all__ = [
    "GRADIENTS",
    "AbstractGradient",
    "AbstractPair",
    "Backprop",
    "ConflictProjection",
    "Estimate",
    "EvolutionStrategy",
    "Loss",
    "NormBalanced",
    "SignAgreement",
    "SoftAgreement",
    "TensorAgreement",
    "as_gradient",
    "cosine",
    "two_flows",
]


class NormBalanced(AbstractGradient):
    r"""Backpropagation in which the actions of every step have the same say, however the gradient grew or faded on its way.

    The gradient under `flow` is a sum over the steps of the unroll. With $\lambda_t$ what arrives at the actions $c_t$ of
    step $t$ (through the physics and the policy as the flow's gates let it), and $\theta_t$ the parameters as used in step
    $t$,

    $$\nabla_\theta L = \sum_t g_t, \qquad
      g_t = \left\langle \frac{\partial c_t}{\partial\theta_t}^\top \lambda_t \right\rangle_\text{batch} .$$

    Every contribution is brought to the mean of their norms before they are added,

    $$g = \sum_t \left(\frac{\bar g}{\|g_t\|}\right)^{\beta} g_t, \qquad
      \bar g = \operatorname{mean}_{t:\,g_t \ne 0} \|g_t\| ,$$

    with the norm over all parameters. Contributions of zero stay zero. A flow in which one step alone contributes (`STOP`
    with a final cost) is left as it is. The result is not the gradient of a function.

    The norms are taken on the way back, in the same sweep: the price is that of one
    [`Backprop`][undertow.core.estimator.Backprop], one norm per step, and no copy of the parameters per step. Reverse mode
    only.

    **Arguments:** `flow` (default `FULL`; its own `balance` is not used); `strength` $\beta$, from 0 (plain sum) to 1 (one
    common norm, default).

    **Returns** the metric `contribution`, $\bar g$.

    **Raises:** `UndertowError` for a strength outside [0, 1].
    """

    flow: GradientFlow = FULL
    strength: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        require(0 <= self.strength <= 1, f"strength must be between 0 and 1, got {self.strength}")

    def __call__(self, loss: Loss, policy: AbstractPolicy, *, key: Key | None = None) -> Estimate:
        """Value, balanced gradient, metrics."""
        credit = 1.0 if self.flow.credit is None else self.flow.credit
        probes = (jnp.asarray(credit, float), jnp.asarray(self.strength, float))

        def probed(variables):
            actor, (weight, balance) = variables
            return loss(actor, GradientFlow(self.flow.physics, self.flow.policy, weight, balance))

        # What travels back to the two gates: the sizes of the contributions, and how many there are.
        (value, metrics), (gradient, (sizes, steps)) = eqx.filter_value_and_grad(probed, has_aux=True)((policy, probes))
        mean = jnp.sum(sizes) / jnp.maximum(jnp.sum(steps), 1)
        scale = mean**self.strength
        gradient = jax.tree.map(lambda g: scale.astype(g.dtype) * g, gradient)
        return value, gradient, {**metrics, "contribution": mean}


GRADIENTS: dict[str, AbstractGradient] = {
    "full": Backprop(FULL),
    "physics": Backprop(PHYSICS),
    "policy": Backprop(POLICY),
    "stop": Backprop(STOP),
    "sign-agreement": SignAgreement(),
    "sign-agreement-swapped": SignAgreement(FULL, PHYSICS),
    "tensor-agreement": TensorAgreement(),
    "soft-agreement": SoftAgreement(),
    "conflict-projection": ConflictProjection(),
    "norm-balanced": NormBalanced(),
    "evolution-strategy": EvolutionStrategy(),
}
"""Gradient estimators by name."""


def as_gradient(given: AbstractGradient | GradientFlow | str) -> AbstractGradient:
    """An estimator of what may stand for one: itself, its name out of `GRADIENTS`, or a flow to backpropagate with.

    **Raises:** `UndertowError` for anything else, with the nearest name.
    """
    if isinstance(given, str):
        return lookup("gradient", given, GRADIENTS)
    if isinstance(given, GradientFlow):
        return Backprop(given)
    if not isinstance(given, AbstractGradient):
        raise UndertowError(f"gradient must be an estimator, its name or a flow, got {shown(given)}")
    return given
