r"""Learned stencil weights: normalise, network, softmax."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.numerics.stencil import softmax_last, unstack
from undertow.policies.classical import Stencils, Weights
from undertow.policies.network import MLP
from undertow.policies.normalise import smooth_z_score, z_score
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.weights import WenoJS, log_weights


class PairedPolicy(AbstractPolicy):
    r"""The published agent: sees both stencils of a face and sets both weight vectors,

    $$(w^+, w^-) = \operatorname{softmax}\,N\big(z(f^+), z(f^-)\big),$$

    with the z-score $z$ over each stencil, a multi-layer perceptron $N$ of $2(2r-1)$ inputs and $2r$ outputs, and a softmax
    over each direction's $r$ logits. One network for all faces, components and axes.

    **Arguments:** `key`; `order` (default 5); `hidden` widths (default 128, 128: 18,694 parameters at order 5); `activation`
    (default `relu`); `noise`: standard deviation of normal noise on the logits, added only when a key is passed at the call.

    The published z-score divides by $\sigma + 10^{-10}$: it has no useful derivative where a stencil is constant (0 is taken),
    and derivatives of up to $10^{10}$ nearby. `DirectionalPolicy` is differentiable there.

    **Reference:** Way et al. (2022), arXiv 2203.08937, section 4.
    """

    network: MLP
    order: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Key,
        order: int = 5,
        hidden: tuple[int, ...] = (128, 128),
        activation: str = "relu",
        noise: float = 0.0,
    ):
        r = substencil_width(order)
        require(noise >= 0, f"noise must not be negative, got {noise!r}")
        self.network = MLP((2 * order, *hidden, 2 * r), key=key, activation=activation)
        self.order, self.noise = order, noise

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> Weights:
        """Weights for every axis."""
        out = []
        for axis, stencil in enumerate(observation):
            z = z_score(stencil)
            logits = self.network(jnp.concatenate([z[0], z[1]], axis=-1))
            logits = _noisy(logits, self.noise, key, axis)
            plus, minus = jnp.split(logits, 2, axis=-1)
            out.append(jnp.stack([_softmax(plus), _softmax(minus)]))
        return tuple(out)


class DirectionalPolicy(AbstractPolicy):
    r"""One stencil in, one weight vector out, shared by both directions, all faces, components and axes:

    $$w = \operatorname{softmax}\big(\log\alpha(f) + N(z(f))\big).$$

    $\alpha$ are the unnormalised Jiang-Shu weights (left out with `prior=False`) and the network's last layer starts at zero, so
    training *starts* as WENO-JS. Because left-going stencils arrive mirrored, the scheme is symmetric under reflection by
    construction. $z$ is the smooth z-score $(f - \bar f)/\sqrt{\sigma^2 + \varepsilon^2}$: differentiable at constant states.

    **Arguments:** `key`; `order` (default 5); `hidden` widths (default 16, 16); `activation` (default `relu`); `prior`
    (default True); `noise` as in `PairedPolicy`; `epsilon` of the z-score and the square root of the prior's epsilon
    (default 1e-3).
    """

    network: MLP
    prior: WenoJS | None
    order: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)
    epsilon: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Key,
        order: int = 5,
        hidden: tuple[int, ...] = (16, 16),
        activation: str = "relu",
        prior: bool = True,
        noise: float = 0.0,
        epsilon: float = 1e-3,
    ):
        r = substencil_width(order)
        require(noise >= 0, f"noise must not be negative, got {noise!r}")
        require(epsilon > 0, f"epsilon must be above 0, got {epsilon!r}")
        self.network = MLP((order, *hidden, r), key=key, activation=activation, zero_last=prior)
        self.prior = WenoJS(order, epsilon**2) if prior else None
        self.order, self.noise, self.epsilon = order, noise, epsilon

    def logits(self, stencil: Float[Array, "*sites stencil"]) -> Float[Array, "*sites r"]:
        """What goes into the softmax."""
        logits = self.network(jnp.stack(smooth_z_score(unstack(stencil), epsilon=self.epsilon), axis=-1))
        return logits if self.prior is None else logits + jnp.stack(log_weights(self.prior, stencil), axis=-1)

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> Weights:
        """Weights for every axis."""
        return tuple(
            _softmax(_noisy(self.logits(stencil), self.noise, key, axis))
            for axis, stencil in enumerate(observation)
        )


def _softmax(logits: Float[Array, "*sites r"]) -> Float[Array, "*sites r"]:
    return jnp.stack(softmax_last(unstack(logits)), axis=-1)


def _noisy(logits: Array, noise: float, key: Key | None, axis: int) -> Array:
    if key is None or noise == 0:
        return logits
    return logits + noise * jax.random.normal(jax.random.fold_in(key, axis), logits.shape, logits.dtype)
