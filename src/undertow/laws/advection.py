"""Linear advection."""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import constant, require
from undertow._types import ArrayLike, Key
from undertow.laws.burgers_conditions import random_condition
from undertow.laws.conditions import AbstractCondition, RandomCondition
from undertow.laws.law import VISCOSITY, AbstractConservationLaw


class LinearAdvection(AbstractConservationLaw):
    r"""$u_t + \sum_d a_d\,u_{x_d} = \nu\,\nabla^2 u$.

    **Arguments:** `velocity` $a$, a number for every axis or an array with one entry per axis (default 1); `viscosity`
    $\nu$ (default 0).
    """

    formula: ClassVar[str | None] = "f = velocity u"
    exact_boundaries: ClassVar[tuple[str, ...]] = ("periodic", "outflow", "mixed")

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

    def exact(self, condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike) -> Float[Array, " cells"]:
        """See `advection_exact`."""
        return advection_exact(self.velocity, condition, x, t)


def advection_exact(
    velocity: ArrayLike, condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike
) -> Float[Array, " cells"]:
    r"""$u(x, t) = u_0(x - a t)$, point values of the solution of $u_t + a\,u_x = 0$: translation.

    Beyond the domain $u_0$ repeats (`periodic`) or continues as the constants at its two edges (`outflow`).

    **Arguments:** `velocity` $a$; `condition` $u_0$, one sample; `x` points in the domain, `"cells"`; `t` time $\ge 0$.

    **Returns:** $u(x, t)$, `"cells"`. **Raises:** `UndertowError` for another boundary, which does not continue $u_0$.
    """
    require(
        condition.boundary in LinearAdvection.exact_boundaries,
        f"the exact solution of advection needs a periodic or outflow condition, got {condition.boundary!r}",
    )
    low, high = condition.domain
    foot = x - jnp.asarray(velocity) * t
    return condition(jnp.where(condition.periodic > 0, low + (foot - low) % (high - low), jnp.clip(foot, low, high)))


def on_a_circle(conditions: RandomCondition) -> RandomCondition:
    """The same data with periodic boundaries: of one condition or a batch."""
    return eqx.tree_at(lambda c: c.periodic, conditions, jnp.ones_like(conditions.periodic))


def random_profile(key: Key) -> RandomCondition:
    """A [`random_condition`][undertow.laws.burgers_conditions.random_condition] on a circle: what enters through an open end
    would be another problem."""
    return on_a_circle(random_condition(key))
