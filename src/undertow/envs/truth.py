r"""Exact solutions of many conditions at many times, with one compiled program for all of them.

Compiling the exact solver takes longer than running it. Everything here therefore goes through one program of fixed
shape, so many rows (a condition and its time) of so many points, whatever the number of cells, cases and times.
"""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from undertow._checks import require
from undertow._tree import stack, take
from undertow._types import ArrayLike, Scalar
from undertow.laws.cases import Initial
from undertow.laws.conditions import (
    AbstractCondition,
    AbstractPlainCondition,
    GaussianCondition,
    PiecewisePolynomial,
    SineCondition,
    TanhCondition,
    WindowedSineCondition,
)
from undertow.laws.exact import exact_solution
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw

InitialT = TypeVar("InitialT", bound=Initial)
_ROWS, _POINTS, _AT_ONCE = 32, 64, 8  # a program's rows and points; rows at a time, so that they stay in the cache
_PLANE_POINTS = 1024  # in several dimensions there are few conditions of many points: one row of so many


def exact_values(
    law: AbstractConservationLaw, conditions: Initial, x: ArrayLike | tuple[ArrayLike, ...], times: ArrayLike
) -> Float[Array, "rows ..."]:
    r"""Point values of the exact solution, one row per condition.

    **Arguments:** `law`; `conditions`: a batch, every array with a leading axis "rows"; `x`: points, or a tuple of
    coordinates, one per axis, all of the shape `"*points"`; `times`: one for all, or `"rows"`.

    **Returns:** $u(x, t)$, `"rows *points"`, of a field `"rows chan *points"`.
    **Raises:** as [`exact_solution`][undertow.laws.exact.exact_solution].
    """
    places = jnp.stack([jnp.asarray(each, float) for each in (x if isinstance(x, tuple) else (x,))])
    rows, shape = count(conditions), places.shape[1:]
    places = places.reshape(len(places), -1)
    points = places.shape[1]
    times = jnp.broadcast_to(jnp.asarray(times, places.dtype), (rows,))
    # Rows and points are filled up with copies of the last ones.
    wide, deep = (_POINTS, _ROWS) if len(places) == 1 else (_PLANE_POINTS, 1)
    row = np.minimum(np.arange(-(-rows // deep) * deep), rows - 1).reshape(-1, deep)
    point = np.minimum(np.arange(-(-points // wide) * wide), points - 1).reshape(-1, wide)
    values = [
        jnp.concatenate([_exact(law, take(conditions, r), places[:, p], times[r]) for p in point], axis=-1) for r in row
    ]
    found = jnp.concatenate(values)[:rows, ..., :points]
    return found.reshape(*found.shape[:-1], *shape)


@eqx.filter_jit
def _exact(law: AbstractConservationLaw, conditions: Initial, places: Array, times: Array) -> Array:
    def one(row: tuple[Initial, Array]) -> Array:
        return exact_solution(law, row[0], tuple(places), row[1])

    return jax.lax.map(one, (conditions, times), batch_size=_AT_ONCE)


def count(batch: Initial) -> int:
    """How many conditions a batch holds."""
    return len(jax.tree.leaves(eqx.filter(batch, eqx.is_array))[0])


def exact_holds(law: AbstractConservationLaw, conditions: Initial, end_time: float) -> Bool[np.ndarray, " cases"]:
    """Whether the exact solution holds until `end_time`, of every condition of a batch: what the `law` says of it, and solved
    only where that is not certain. Of a plane that is one in one dimension, laid along an axis, it is that condition's; other
    fields have exact solutions that hold at any time.
    """
    if isinstance(conditions, AbstractField):
        if conditions.line is None:
            return np.ones(count(conditions), bool)
        law, conditions = conditions.law, conditions.line
    holds = np.array(_certain(law, conditions))
    doubtful = np.flatnonzero(~holds)
    if len(doubtful):
        index = np.minimum(np.arange(-(-len(doubtful) // _ROWS) * _ROWS), len(doubtful) - 1).reshape(-1, _ROWS)
        solved = [
            np.asarray(_solve_edges(law, take(conditions, doubtful[part]), jnp.asarray(end_time))) for part in index
        ]
        holds[doubtful] = np.concatenate(solved)[: len(doubtful)]
    return holds


@eqx.filter_jit
def _certain(law: AbstractConservationLaw, conditions: AbstractCondition) -> Array:
    return jax.vmap(law.exact_certain)(conditions)


@eqx.filter_jit
def _solve_edges(law: AbstractConservationLaw, conditions: AbstractCondition, end_time: Array) -> Array:
    return jax.lax.map(lambda condition: law.exact_holds(condition, end_time), conditions, batch_size=_AT_ONCE)


class SumCondition(AbstractCondition):
    r"""$u_0(x) = \sum_p u_p(x)$ of several conditions on one domain.

    **Arguments:** `parts`; `periodic`: 1.0 or 0.0; `boundary`: default `mixed`, so that `periodic` decides.
    """

    parts: tuple[AbstractCondition, ...]
    periodic: Scalar
    boundary: str = eqx.field(static=True, default="mixed")
    domain: tuple[float, float] = eqx.field(static=True, default=(0.0, 1.0))

    def __call__(self, x):
        return sum((part(x) for part in self.parts[1:]), start=self.parts[0](x))

    def primitive(self, x):
        return sum((part.primitive(x) for part in self.parts[1:]), start=self.parts[0].primitive(x))

    @property
    def breakpoints(self):
        return jnp.concatenate([part.breakpoints for part in self.parts])


_BREAKS, _DEGREES = 2, 3  # of the named conditions: a top hat has two jumps, a parabola three coefficients


def common_form(condition: AbstractCondition) -> AbstractCondition:
    """The same function in one structure for all named conditions, so that they share a batch and a program.

    It is a sum of one condition of every kind, all but one of them zero. Conditions of other classes, or with more
    pieces than a top hat has, are returned as they are.
    """
    where = {"boundary": "outflow", "domain": condition.domain}
    low, high = condition.domain
    zero = {
        "sine": SineCondition(0.0, 0.0, 1.0, **where),
        "tanh": TanhCondition(0.0, 0.0, 1.0, 0.0, **where),
        "gaussian": GaussianCondition(0.0, 0.0, 1.0, 0.0, **where),
        "window": WindowedSineCondition(0.0, 0.0, low, high, **where),
        "pieces": PiecewisePolynomial(jnp.full(_BREAKS, high), jnp.zeros((_BREAKS + 1, _DEGREES)), **where),
    }
    kinds = (SineCondition, TanhCondition, GaussianCondition, WindowedSineCondition, PiecewisePolynomial)
    for name, kind in zip(zero, kinds, strict=True):
        if isinstance(condition, kind):
            part = _padded(condition) if isinstance(condition, PiecewisePolynomial) else condition
            if part is None:
                return condition
            parts = {**zero, name: _restated(part)}
            # An extrapolating boundary is part of the structure; periodic and outflow are data.
            boundary = "mixed" if condition.boundary in ("periodic", "outflow") else condition.boundary
            return SumCondition(tuple(parts.values()), condition.periodic, boundary, condition.domain)
    return condition


def _restated(condition: AbstractPlainCondition) -> AbstractPlainCondition:
    """The part's own boundary says nothing within a sum and would only make the structures differ."""
    return dataclasses.replace(condition, boundary="outflow")


def _padded(condition: PiecewisePolynomial) -> PiecewisePolynomial | None:
    pieces, degrees = condition.coefficients.shape
    if pieces > _BREAKS + 1 or degrees > _DEGREES:
        return None
    coefficients = jnp.pad(condition.coefficients, ((0, 0), (0, _DEGREES - degrees)))
    coefficients = jnp.pad(coefficients, ((0, _BREAKS + 1 - pieces), (0, 0)), mode="edge")
    positions = jnp.pad(condition.positions, (0, _BREAKS + 1 - pieces), constant_values=condition.domain[1])
    return PiecewisePolynomial(positions, coefficients, boundary=condition.boundary, domain=condition.domain)


def batches(conditions: Sequence[InitialT]) -> list[tuple[InitialT, list[int]]]:
    """Batches of conditions that share a structure, with the places of their members in the list."""
    require(len(conditions) > 0, "no conditions given; name at least one")
    found: dict[object, list[int]] = {}
    for place, condition in enumerate(conditions):
        leaves, structure = jax.tree.flatten(condition)
        found.setdefault((structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)), []).append(place)
    return [(stack([conditions[place] for place in places]), places) for places in found.values()]
