r"""Exact solutions: those that laws know of scalar conditions, and fields of themselves."""

from __future__ import annotations

from undertow._checks import UndertowError, is_zero, require
from undertow._types import Array, ArrayLike, Float
from undertow.laws.conditions import AbstractCondition
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw


def exact_boundaries(law: AbstractConservationLaw) -> tuple[str, ...]:
    """The boundaries of scalar conditions with which `exact_solution` knows the law: none with viscosity."""
    return law.exact_boundaries if is_zero(law.viscosity) else ()


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
        return law.exact(condition, x, t)
    raise UndertowError(
        f"{type(law).__name__} with viscosity {law.viscosity} has no exact solution here; "
        "compare with a finer grid instead (truth='fine')"
    )
