r"""Ghost cells that are prescribed: what enters through a part of the boundary, and shocks that pass along it."""

# No `from __future__ import annotations` here: the abstract method's class is one of equinox.
import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow.numerics.grid import UniformGrid

Prescribed = tuple[Float[Array, "chan *ghosts"], Float[Array, "*ghosts"]]


class AbstractInflow(eqx.Module):
    """Values for some of the ghost cells; the others stay as the [`Boundary`][undertow.numerics.boundary.Boundary] fills them.

    A wall on a part of an edge is a reflective boundary whose ghost cells are prescribed on the rest of it. Ghost cells of
    a periodic axis are cells inside: prescribe nothing there.
    """

    @abc.abstractmethod
    def __call__(
        self, axis: int, end: int, x: tuple[Float[Array, "*ghosts"], ...], time: Float[Array, ""]
    ) -> Prescribed | None:
        """The values beyond one end, and 1 where they hold and 0 where the boundary's do; None if nothing is prescribed.

        **Arguments:** `axis`, and its `end`: 0 the lower, 1 the upper; `x`: the centres of the ghost cells, one array per
        axis, all of their shape; `time`, of the Runge-Kutta stage.

        **Returns:** finite values `"chan *ghosts"` and a mask `"*ghosts"` (numbers, or True and False), or None.
        """

    def fill(
        self, padded: Float[Array, "chan *padded"], grid: UniformGrid, axis: int, ghost: int, time: Float[Array, ""]
    ) -> Float[Array, "chan *padded"]:
        """`padded` with the prescribed values among the `ghost` cells at both ends of `axis`.

        **Raises:** `UndertowError` if the values do not fit the cells.
        """
        size = padded.shape[axis + 1]
        low, dx = grid.lower[axis], grid.spacing[axis]
        parts = []
        for end, (start, stop) in enumerate(((0, ghost), (size - ghost, size))):
            block = jax.lax.slice_in_dim(padded, start, stop, axis=axis + 1)
            places = [jnp.asarray(grid.centers(each), padded.dtype) for each in range(grid.num_axes)]
            places[axis] = low + (jnp.arange(start, stop, dtype=padded.dtype) - ghost + 0.5) * dx
            given = self(axis, end, tuple(jnp.meshgrid(*places, indexing="ij")), time)
            if given is not None:
                values, mask = given
                require(
                    values.shape == block.shape and mask.shape == block.shape[1:],
                    f"ghost cells at end {end} of axis {axis} have shape {block.shape} and a mask {block.shape[1:]}, "
                    f"got {values.shape} and {mask.shape}",
                )
                block = jnp.where(mask > 0, values.astype(padded.dtype), block)
            parts.append(block)
        inner = jax.lax.slice_in_dim(padded, ghost, size - ghost, axis=axis + 1)
        return jnp.concatenate([parts[0], inner, parts[1]], axis=axis + 1)


class Opening(eqx.Module):
    r"""A constant `state` beyond one end, where `lower` $<$ position $<$ `upper` along the edge; a jet, say.

    **Arguments:** `state`: conserved values, `"chan"`; `lower`, `upper`: a number each, or one per axis along the edge (in
    3D); default the whole edge. All of them are leaves, and fit grids of any size.
    """

    state: Float[Array, " chan"] = eqx.field(converter=jnp.asarray)
    lower: Float[Array, "..."] = eqx.field(converter=jnp.asarray, default=-jnp.inf)
    upper: Float[Array, "..."] = eqx.field(converter=jnp.asarray, default=jnp.inf)


class PrescribedInflow(AbstractInflow):
    """A constant state beyond any of the ends, on the whole edge or a part of it.

    **Arguments:** `openings`: one pair per axis, for the lower and the upper end: an
    [`Opening`][undertow.numerics.inflow.Opening] each, or None.
    """

    openings: tuple[tuple[Opening | None, Opening | None], ...]

    def __call__(self, axis, end, x, time):
        """The opening's state on its part of the edge."""
        require(len(self.openings) == len(x), f"{len(self.openings)} pairs of openings on a grid with {len(x)} axes")
        opening = self.openings[axis][end]
        if opening is None:
            return None
        along = [each for other, each in enumerate(x) if other != axis]
        mask = jnp.ones(x[0].shape, bool)
        bounds = (jnp.broadcast_to(bound, (len(along),)) for bound in (opening.lower, opening.upper))
        for place, lower, upper in zip(along, *bounds, strict=True):
            mask &= (place > lower) & (place < upper)
        return jnp.broadcast_to(opening.state.reshape(-1, *(1,) * len(x)), (len(opening.state), *mask.shape)), mask


class CallableInflow(AbstractInflow):
    """Whatever a function of place and time prescribes: a shock that moves along the boundary, for instance.

    **Arguments:** `function(*x, time=time)`: the values `"chan *ghosts"` and the mask `"*ghosts"` at the ghost cells' centres
    `x`, which tell the ends apart, or None for nothing anywhere. A method of an equinox module keeps the module's leaves;
    any other function is static, so give the same one every time.
    """

    function: Callable[..., Prescribed | None]

    def __init__(self, function: Callable[..., Prescribed | None]):
        is_tree = isinstance(function, (eqx.Module, jax.tree_util.Partial))
        self.function = function if is_tree else jax.tree_util.Partial(function)

    def __call__(self, axis: int, end: int, x: tuple[Array, ...], time: Any) -> Prescribed | None:
        """What the function says."""
        return self.function(*x, time=time)
