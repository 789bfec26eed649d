"""Initial conditions on grids: what grid, boundary and law a condition asks for, and its values there.

A scalar condition in one dimension ([`AbstractCondition`][undertow.laws.conditions.AbstractCondition]) takes the law it is
given; a field ([`AbstractField`][undertow.laws.fields.AbstractField]) brings its own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.laws.cases import Initial
from undertow.laws.field import Field
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.boundary import Boundary, boundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.inflow import AbstractInflow


def law_of(condition: Initial, law: AbstractConservationLaw) -> AbstractConservationLaw:
    """The condition's own law, or the one given."""
    return condition.law if isinstance(condition, AbstractField) else law


def grid_of(condition: Initial, num_cells: int) -> UniformGrid:
    """The condition's domain in `num_cells` cells along the first axis, and as many of the same size along the others."""
    if not isinstance(condition, AbstractField):
        return UniformGrid(num_cells, *condition.domain)
    lengths = [high - low for low, high in zip(condition.lower, condition.upper, strict=True)]
    counts = tuple(max(1, round(num_cells * length / lengths[0])) for length in lengths)
    return UniformGrid(counts, condition.lower, condition.upper)


def coordinates(grid: UniformGrid) -> tuple[Float[Array, "*cells"], ...]:
    """The cell centres, one array of the shape of the cells per axis."""
    return tuple(jnp.meshgrid(*(jnp.asarray(grid.centers(axis)) for axis in range(grid.num_axes)), indexing="ij"))


def point_values(condition: Initial, grid: UniformGrid) -> Float[Array, "chan *cells"]:
    """The condition's values at the cell centres."""
    values = condition(*coordinates(grid))
    return values if isinstance(condition, AbstractField) else values[None]


def boundaries_of(condition: Initial, ghost: int) -> tuple[Boundary, ...]:
    """The boundary of one condition as data, one per axis, so that a batch of conditions may mix them."""
    opened = boundary("outflow", ghost=ghost)
    if isinstance(condition, Field):
        return tuple(boundary(*pair, ghost=ghost) for pair in condition.ends)
    if isinstance(condition, AbstractField):
        closed, mirrored = boundary("periodic", ghost=ghost), boundary("reflective", ghost=ghost)
        return tuple(
            _choose(condition.periodic[axis], closed, _by_end(condition.reflective[axis], mirrored, opened))
            for axis in range(len(condition.lower))
        )
    if condition.boundary != "mixed":
        return (boundary(condition.boundary, ghost=ghost),)
    return (_choose(condition.periodic, boundary("periodic", ghost=ghost), opened),)


def inflow_of(condition: Initial) -> AbstractInflow | None:
    """What the condition prescribes beyond parts of its boundary, if anything."""
    return condition.inflow if isinstance(condition, AbstractField) else None


def _choose(wanted: Array, one: Boundary, other: Boundary) -> Boundary:
    return jax.tree.map(lambda a, b: jnp.where(wanted > 0, a, b), one, other)


def _by_end(wanted: Array, one: Boundary, other: Boundary) -> Boundary:
    """`_choose` for either end: the rows of the ghosts below the first cell come before those above the last one."""
    rows = jnp.repeat(jnp.broadcast_to(wanted, (2,)), one.ghost)[:, None]
    even, odd = (jnp.where(rows > 0, a, b) for a, b in ((one.even, other.even), (one.odd, other.odd)))
    return Boundary(even=even, odd=odd, periodic=other.periodic, ghost=one.ghost)
