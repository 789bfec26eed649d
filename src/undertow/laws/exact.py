r"""Exact solutions by law: one place that knows which law has one."""

from __future__ import annotations

import jax.numpy as jnp

from undertow._checks import UndertowError, is_zero, require
from undertow._types import Array, ArrayLike, Float
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_exact import EXACT_BOUNDARIES, burgers_exact
from undertow.laws.conditions import AbstractCondition
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw

_ADVECTED = ("periodic", "outflow", "mixed")


def advection_exact(
    velocity: ArrayLike, condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike
) -> Float[Array, " cells"]:
    r"""$u(x, t) = u_0(x - a t)$, point values of the solution of $u_t + a\,u_x = 0$: translation.

    Beyond the domain $u_0$ repeats (`periodic`) or continues as the constants at its two edges (`outflow`).

    **Arguments:** `velocity` $a$; `condition` $u_0$, one sample; `x` points in the domain, `"cells"`; `t` time $\ge 0$.

    **Returns:** $u(x, t)$, `"cells"`. **Raises:** `UndertowError` for another boundary, which does not continue $u_0$.
    """
    require(
        condition.boundary in _ADVECTED,
        f"the exact solution of advection needs a periodic or outflow condition, got {condition.boundary!r}",
    )
    low, high = condition.domain
    foot = x - jnp.asarray(velocity) * t
    return condition(jnp.where(condition.periodic > 0, low + (foot - low) % (high - low), jnp.clip(foot, low, high)))


def exact_boundaries(law: AbstractConservationLaw) -> tuple[str, ...]:
    """The boundaries of scalar conditions with which `exact_solution` knows the law: none unless it is Burgers' equation or
    advection, without viscosity."""
    if not is_zero(law.viscosity):
        return ()
    return EXACT_BOUNDARIES if isinstance(law, Burgers) else _ADVECTED if isinstance(law, LinearAdvection) else ()


def has_exact_solution(
    law: AbstractConservationLaw, condition: AbstractCondition | AbstractField | None = None
) -> bool:
    """Whether `exact_solution` knows the law, and the boundary of the `condition` where one is given. A field knows for
    itself."""
    if isinstance(condition, AbstractField):
        return condition.solvable
    known = exact_boundaries(law)
    return bool(known) if condition is None else condition.boundary in known


def exact_solution(
    law: AbstractConservationLaw,
    condition: AbstractCondition | AbstractField,
    x: Float[Array, "*cells"] | tuple[Float[Array, "*cells"], ...],
    t: ArrayLike,
) -> Float[Array, "*cells"]:
    r"""Point values at `x` of the exact (entropy) solution of `law` from `condition` at time `t`.

    **Arguments:** `law`: `Burgers` or `LinearAdvection`, both with viscosity 0, for a scalar condition; a field has its own;
    `condition` $u_0$, one sample; `x` points, `"cells"`, or a tuple of coordinates in several dimensions; `t` time
    $\ge 0$, a scalar.

    **Returns:** $u(x, t)$, `"cells"` for a scalar condition, `"chan *cells"` for a field. **Raises:** `UndertowError` for a
    law or field without an exact solution here, and as [`burgers_exact`][undertow.laws.burgers_exact.burgers_exact] and
    `advection_exact` do.
    """
    if isinstance(condition, AbstractField):
        return condition.exact(*(x if isinstance(x, tuple) else (x,)), time=t)
    require(not isinstance(x, tuple) or len(x) == 1, f"{type(condition).__name__} is one-dimensional")
    x = x[0] if isinstance(x, tuple) else x
    if has_exact_solution(law):
        if isinstance(law, LinearAdvection):
            return advection_exact(law.velocity, condition, x, t)
        return burgers_exact(condition, x, t)
    raise UndertowError(
        f"{type(law).__name__} with viscosity {law.viscosity} has no exact solution here; "
        "compare with a finer grid instead (truth='fine')"
    )
