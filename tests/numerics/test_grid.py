"""Grids: where the cells are, and what is refused."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.numerics.grid import UniformGrid


def test_centres_lie_half_a_cell_inside_and_are_equally_spaced():
    grid = UniformGrid(10, -1.0, 4.0)
    x = grid.centers()
    assert grid.spacing == (0.5,)
    assert x.dtype == np.float64
    np.testing.assert_allclose(x, -0.75 + 0.5 * np.arange(10), rtol=1e-15)
    np.testing.assert_allclose(x + x[::-1], 3.0, rtol=1e-15)


def test_axes_have_their_own_cells_and_ends():
    grid = UniformGrid((4, 10), (0.0, -1.0), (2.0, 1.0))
    assert grid.num_axes == 2
    assert grid.spacing == (0.5, 0.2)
    assert grid.dx == 0.2
    assert grid.cell_volume == pytest.approx(0.1)
    assert grid.centers(1)[0] == pytest.approx(-0.9)
    # The cells fill the box.
    assert grid.cell_volume * 40 == pytest.approx(4.0)


@pytest.mark.parametrize("factor", [3, 5, 9])
def test_odd_refinement_keeps_the_old_centres(factor):
    grid = UniformGrid(12, -0.5, 0.5)
    fine = grid.refine(factor)
    np.testing.assert_allclose(fine.centers()[factor // 2 :: factor], grid.centers(), atol=1e-15)
    assert fine.num_cells == (12 * factor,)


def test_a_grid_is_static_and_equal_grids_are_equal():
    assert jax.tree.leaves(UniformGrid(8)) == []
    assert UniformGrid(8) == UniformGrid(8, 0.0, 1.0)
    assert hash(UniformGrid((8, 8))) == hash(UniformGrid((8, 8)))
    assert UniformGrid(8) != UniformGrid(9)
    assert UniformGrid(np.int64(8)) == UniformGrid(8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "num_cells must be a whole number above 0"),
        ((-4,), "num_cells must be a whole number above 0"),
        ((8.0,), "num_cells must be a whole number above 0"),
        ((True,), "num_cells must be a whole number above 0"),
        (((8, 0),), "num_cells must be a whole number above 0"),
        ((8, 1.0, 1.0), "lower < upper"),
        ((8, 1.0, 0.0), "lower < upper"),
        ((8, 0.0, float("inf")), "upper must be a finite number"),
        ((8, float("nan"), 1.0), "lower must be a finite number"),
        (((8, 8), (0.0, 0.0, 0.0), 1.0), "lower has 3 entries for a grid with 2 axes"),
    ],
)
def test_bad_grids_are_refused(arguments, message):
    with pytest.raises(UndertowError, match=message):
        UniformGrid(*arguments)


@pytest.mark.parametrize("factor", [0, -1, 1.5])
def test_bad_refinements_are_refused(factor):
    with pytest.raises(UndertowError, match="factor must be a whole number above 0"):
        UniformGrid(8).refine(factor)
