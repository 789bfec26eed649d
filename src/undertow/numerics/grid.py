"""Uniform cell-centred grids in any number of dimensions."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from undertow._checks import UndertowError, real_number, require, whole_number


class UniformGrid(eqx.Module):
    r"""A box of equal cells with unknowns at the cell centres,

    $$x_i = x_\text{min} + (i + \tfrac12)\,\Delta x, \qquad \Delta x = (x_\text{max} - x_\text{min}) / N .$$

    **Arguments:**

    - `num_cells`: number of cells $N$, an integer for one axis or a tuple with one integer per axis.
    - `lower`, `upper`: the ends of the domain, one number or one per axis. Default 0 and 1.

    **Raises:** `UndertowError` for fewer than one cell, a non-integer count, or `upper <= lower`.

    Everything is static: another grid is another compiled program.
    """

    num_cells: tuple[int, ...] = eqx.field(static=True)
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)

    def __init__(
        self,
        num_cells: int | tuple[int, ...],
        lower: float | tuple[float, ...] = 0.0,
        upper: float | tuple[float, ...] = 1.0,
    ):
        counts = _listed(num_cells) or (num_cells,)
        self.num_cells = tuple(whole_number("num_cells", count) for count in counts)
        self.lower = self._per_axis("lower", lower)
        self.upper = self._per_axis("upper", upper)
        for low, high in zip(self.lower, self.upper, strict=True):
            require(high > low, f"a grid needs finite ends with lower < upper, got lower={low:g}, upper={high:g}")

    def _per_axis(self, name: str, value: float | tuple[float, ...]) -> tuple[float, ...]:
        values = _listed(value) or (value,) * len(self.num_cells)
        if len(values) != len(self.num_cells):
            raise UndertowError(f"{name} has {len(values)} entries for a grid with {len(self.num_cells)} axes")
        return tuple(real_number(name, v) for v in values)

    @property
    def num_axes(self) -> int:
        """Number of space dimensions."""
        return len(self.num_cells)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Cell size along each axis."""
        return tuple((b - a) / n for a, b, n in zip(self.lower, self.upper, self.num_cells, strict=True))

    @property
    def dx(self) -> float:
        """The smallest cell size over the axes."""
        return min(self.spacing)

    @property
    def cell_volume(self) -> float:
        """Product of the cell sizes."""
        return math.prod(self.spacing)

    def centers(self, axis: int = 0) -> Float[np.ndarray, " cells"]:
        """Cell centres along one axis, shape `(num_cells[axis],)`, float64."""
        low, high, n = self.lower[axis], self.upper[axis], self.num_cells[axis]
        return low + (np.arange(n) + 0.5) * ((high - low) / n)

    def refine(self, factor: int) -> UniformGrid:
        """The grid with every cell cut into `factor` (along each axis). Odd factors keep the old centres as centres."""
        factor = whole_number("factor", factor)
        return UniformGrid(tuple(n * factor for n in self.num_cells), self.lower, self.upper)


def _listed(value: Any) -> tuple[Any, ...] | None:
    """What is given per axis, in a tuple, a list or an array with an axis of its own; None for one number."""
    if not (isinstance(value, (tuple, list)) or (hasattr(value, "shape") and value.shape != ())):
        return None
    require(len(value) > 0, "a grid has at least one axis, got none")
    return tuple(value)
