"""Burgers' equation, scalar, in any number of dimensions."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.laws.law import VISCOSITY, AbstractConservationLaw


class Burgers(AbstractConservationLaw):
    r"""$u_t + \sum_d (u^2/2)_{x_d} = \nu\,\nabla^2 u$ for a scalar $u$.

    **Arguments:** `viscosity` $\nu \ge 0$ (default 0, the inviscid equation), a leaf.

    **Reference:** Way et al., arXiv 2203.08937, section 3 (there called the inviscid Burgers' equation).
    """

    viscosity: float | Float[Array, ""] = eqx.field(converter=VISCOSITY, default=0.0)

    @property
    def num_components(self) -> int:
        return 1

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        r"""$u^2/2$."""
        return 0.5 * u * u

    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""$|u|$. Its derivative at $u = 0$ does not exist; JAX takes 0."""
        return jnp.abs(u[0])

    def parity(self, axis: int) -> tuple[float, ...]:
        """`u` is a velocity: it changes sign at a wall."""
        return (-1.0,)
