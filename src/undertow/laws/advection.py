"""Linear advection."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import constant
from undertow.laws.law import VISCOSITY, AbstractConservationLaw


class LinearAdvection(AbstractConservationLaw):
    r"""$u_t + \sum_d a_d\,u_{x_d} = \nu\,\nabla^2 u$.

    **Arguments:** `velocity` $a$, a number for every axis or an array with one entry per axis (default 1); `viscosity`
    $\nu$ (default 0).
    """

    velocity: float | Float[Array, " axes"]
    viscosity: float | Float[Array, ""]

    # Written out because the abstract `viscosity` would come first: LinearAdvection(2.0) means the velocity.
    def __init__(self, velocity: float | Float[Array, " axes"] = 1.0, viscosity: float | Float[Array, ""] = 0.0):
        self.velocity = velocity if jnp.ndim(velocity) == 1 else constant("velocity", velocity)
        self.viscosity = VISCOSITY(viscosity)

    def _speed(self, axis: int) -> Array:
        velocity = jnp.asarray(self.velocity)
        return velocity if velocity.ndim == 0 else velocity[axis]

    @property
    def num_components(self) -> int:
        return 1

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        r"""$a_d\,u$."""
        return self._speed(axis).astype(u.dtype) * u

    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""$|a_d|$ in every cell."""
        return jnp.broadcast_to(jnp.abs(self._speed(axis)).astype(u.dtype), u.shape[1:])

    def parity(self, axis: int) -> tuple[float, ...]:
        """A passive scalar keeps its sign at a wall."""
        return (1.0,)
