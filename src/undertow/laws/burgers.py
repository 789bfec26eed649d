"""Burgers' equation, scalar, in any number of dimensions."""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from undertow._types import ArrayLike
from undertow.laws.burgers_exact import EXACT_BOUNDARIES, burgers_exact, outflow_holds
from undertow.laws.conditions import AbstractCondition
from undertow.laws.law import VISCOSITY, AbstractConservationLaw


class Burgers(AbstractConservationLaw):
    r"""$u_t + \sum_d (u^2/2)_{x_d} = \nu\,\nabla^2 u$ for a scalar $u$.

    **Arguments:** `viscosity` $\nu \ge 0$ (default 0, the inviscid equation), a leaf.

    **Reference:** Way et al., arXiv 2203.08937, section 3 (there called the inviscid Burgers' equation).
    """

    formula: ClassVar[str | None] = "f = u^2 / 2 along every axis"
    exact_boundaries: ClassVar[tuple[str, ...]] = EXACT_BOUNDARIES

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

    def exact(self, condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike) -> Float[Array, " cells"]:
        """See [`burgers_exact`][undertow.laws.burgers_exact.burgers_exact]."""
        return burgers_exact(condition, x, t)

    def exact_holds(self, condition: AbstractCondition, t: ArrayLike) -> Bool[Array, ""]:
        """See [`outflow_holds`][undertow.laws.burgers_exact.outflow_holds]."""
        return outflow_holds(condition, t)

    def exact_certain(self, condition: AbstractCondition) -> Bool[Array, ""]:
        """Only what enters can leave and return: an outflow edge sees no inflow at first, or nothing inside is strong enough to
        drive it out. What is continued by its tangents neither leaves nor returns."""
        if condition.boundary == "linear":
            return jnp.asarray(True)
        u = condition(jnp.linspace(*condition.domain, 513))
        noise = 1e-12 * jnp.max(jnp.abs(u))
        left = (u[0] <= noise) | (jnp.min(u) >= -u[0])
        right = (u[-1] >= -noise) | (jnp.max(u) <= -u[-1])
        return (left & right) | (condition.periodic > 0)
