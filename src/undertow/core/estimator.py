r"""What a gradient estimator is, and the plain one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float

from undertow._types import Key, Metrics
from undertow.core.flow import FULL, GradientFlow
from undertow.core.policy import AbstractPolicy

Loss = Callable[[AbstractPolicy, GradientFlow], tuple[Float[Array, ""], Metrics]]
Estimate = tuple[Float[Array, ""], AbstractPolicy, Metrics]


class AbstractGradient(eqx.Module):
    """A strategy for turning a loss into a direction for the optimiser. `draws`: whether it needs a key."""

    draws: ClassVar[bool] = False

    def __call__(self, loss: Loss, policy: AbstractPolicy, *, key: Key | None = None) -> Estimate:
        """`(value, gradient with the policy's structure, metrics)`; the value never depends on the strategy.

        **Arguments:** `loss`: `(policy, flow) -> (value, metrics)`, whose value does not depend on the flow; `policy`; `key`
        for estimators that draw samples, the others ignore it.
        """
        raise NotImplementedError


class Backprop(AbstractGradient):
    """Backpropagation through time with one gradient flow.

    **Arguments:** `flow` (default `FULL`, the gradient of the loss).
    """

    flow: GradientFlow = FULL

    def __call__(self, loss: Loss, policy: AbstractPolicy, *, key: Key | None = None) -> Estimate:
        """Value, gradient under `flow`, metrics."""
        (value, metrics), gradient = eqx.filter_value_and_grad(lambda p: loss(p, self.flow), has_aux=True)(policy)
        return value, gradient, metrics
