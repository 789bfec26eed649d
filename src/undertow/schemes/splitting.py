r"""Lax-Friedrichs flux splitting, $f^\pm(u) = \tfrac12 (f(u) \pm \alpha u)$, and the choices of the speed $\alpha$."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import lookup, require_positive
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.reductions import largest, total


class AbstractSpeed(eqx.Module):
    r"""The splitting speed $\alpha$, an upper bound of the characteristic speeds."""

    def __call__(
        self, law: AbstractConservationLaw, padded: Float[Array, "chan *padded"], axis: int, ghost: int
    ) -> Float[Array, "*faces"]:
        """Alpha at the faces along `axis`; that axis may have length 1 where all faces share one value."""
        raise NotImplementedError


class GlobalSpeed(AbstractSpeed):
    r"""$\alpha = \max |\lambda(u)|$ over the line of cells along the axis, ghost cells included (in 1D the whole domain).

    This is what arXiv 2203.08937 uses. A maximum that several cells share has no derivative: JAX splits the gradient
    equally among them, another code may pick one, and both are subgradients. Use `SmoothSpeed` or `FixedSpeed` where the
    gradient has to be a derivative.
    """

    def __call__(self, law, padded, axis, ghost):
        """One value per line of cells."""
        return largest(law.max_speed(padded, axis), axis, keepdims=True)


class LocalSpeed(AbstractSpeed):
    r"""$\alpha_{j} = \max(|\lambda(u_{j-1})|, |\lambda(u_j)|)$ over the two cells beside each face: the least dissipative.

    A tie of the two speeds (a locally constant state) has no derivative; JAX splits the gradient equally.

    **Reference:** Shu (1998), ICASE report 97-65, eq. 2.71 (local Lax-Friedrichs).
    """

    def __call__(self, law, padded, axis, ghost):
        """One value per face."""
        speed = law.max_speed(padded, axis)
        cells = speed.shape[axis] - 2 * ghost
        left = jax.lax.slice_in_dim(speed, ghost - 1, ghost + cells, axis=axis)
        right = jax.lax.slice_in_dim(speed, ghost, ghost + cells + 1, axis=axis)
        return jnp.maximum(left, right)


class SmoothSpeed(AbstractSpeed):
    r"""A smooth upper bound of the global maximum, $\alpha = \big(\sum_i s_i^p\big)^{1/p}$ with $s_i = \sqrt{\lambda_i^2 +
    \delta^2 \langle\lambda^2\rangle}$ and the mean over the same line: differentiable everywhere, tied maxima and sonic points
    included.

    The corner of a gas is elsewhere: $|\lambda| = |v| + c$ has it where the gas is at rest, and there $s_i = \sqrt{v_i^2 +
    \delta^2 c_i^2} + c_i$. Each law has its own
    [`smooth_speed_squared`][undertow.laws.law.AbstractConservationLaw.smooth_speed_squared].

    **Arguments:** `power` $p$, default 64: for $N$ tied cells it is $N^{1/p}$ times the maximum (8 % above it for 128);
    `delta` $\delta$, default 1e-3, rounds the corner, in units of the root mean square of the speeds, or of the sound speed
    where there is one.
    """

    power: int = eqx.field(static=True, default=64)
    delta: float = eqx.field(static=True, default=1e-3)

    def __check_init__(self):
        require_positive("power", self.power)
        require_positive("delta", self.delta)

    def __call__(self, law, padded, axis, ghost):
        """One value per line of cells."""
        square = law.smooth_speed_squared(padded, axis, self.delta)
        # Dividing by the largest keeps the powers in range. It cancels from the value, so its gradient is stopped.
        top = jax.lax.stop_gradient(largest(square, axis, keepdims=True))
        powers = total((square / top) ** (self.power / 2), axis, keepdims=True)
        return jnp.sqrt(top) * powers ** (1 / self.power)


class FixedSpeed(AbstractSpeed):
    r"""A constant bound $\alpha$ that the user vouches for: linear in the state, differentiable everywhere."""

    value: float | Float[Array, ""]

    def __call__(self, law, padded, axis, ghost):
        """The constant."""
        return jnp.full((1,) * (padded.ndim - 1), self.value, padded.dtype)


SPEEDS: dict[str, AbstractSpeed] = {"global": GlobalSpeed(), "local": LocalSpeed(), "smooth": SmoothSpeed()}
"""Splitting speeds without parameters, by name."""


def as_speed(given: AbstractSpeed | str) -> AbstractSpeed:
    """A splitting speed of itself or of its name. Raises `UndertowError` for anything else, with the nearest name."""
    if isinstance(given, AbstractSpeed):
        return given
    return lookup("splitting speed", given, SPEEDS)
