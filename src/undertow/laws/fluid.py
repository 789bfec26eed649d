r"""Laws whose fastest waves run at a speed $c$ relative to what flows: $v_a \mp c$ along axis $a$."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.laws.law import AbstractBasis, AbstractConservationLaw, Mean, Signal


class AbstractFluidBasis(AbstractBasis):
    r"""Eigenvectors along `axis` at a state with this `velocity` and the speed $c$ of `sound`."""

    velocity: eqx.AbstractVar[Float[Array, "dim *faces"]]
    sound: eqx.AbstractVar[Float[Array, "*faces"]]
    axis: eqx.AbstractVar[int]

    @property
    def signal(self) -> Signal:
        r"""$v_a \mp c$."""
        return Signal(self.velocity[self.axis], self.sound, self.sound)


class AbstractFluid(AbstractConservationLaw):
    r"""A law with the fastest waves $v_a \mp c$: of sound, long or magnetosonic ones. Its eigenvectors are an
    `AbstractFluidBasis`; a law without any says `signal` and `mean_signal` itself."""

    @abc.abstractmethod
    def speeds(
        self, u: Float[Array, "chan *cells"], axis: int
    ) -> tuple[Float[Array, "*cells"], Float[Array, "*cells"]]:
        """The velocity along an axis, and the square of the speed $c$ of the fastest waves relative to it."""

    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""$|v_a| + c$. Its derivative at $v_a = 0$ does not exist; JAX takes that of $c$."""
        along, square = self.speeds(u, axis)
        return jnp.abs(along) + jnp.sqrt(square)

    def smooth_speed_squared(self, u: Float[Array, "chan *cells"], axis: int, delta: float) -> Float[Array, "*cells"]:
        r"""$\big(\sqrt{v_a^2 + \delta^2 c^2} + c\big)^2$: above $|v_a| + c$ by at most $\delta c$, and smooth at $v_a = 0$."""
        along, square = self.speeds(u, axis)
        return (jnp.sqrt(along * along + delta**2 * square) + jnp.sqrt(square)) ** 2

    def signal(self, u: Float[Array, "chan *places"], axis: int, delta: float = 0.0) -> Signal:
        r"""$v_a \mp c$."""
        return self._signal(u, u, axis, "arithmetic")

    def mean_signal(self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int) -> Signal:
        r"""$\tilde v_a \mp \tilde c$ of Roe's mean."""
        return self._signal(left, right, axis, "roe")

    def _signal(self, left: Array, right: Array, axis: int, mean: Mean) -> Signal:
        basis = self.eigenvectors(left, right, axis, mean)
        assert isinstance(basis, AbstractFluidBasis)
        return basis.signal
