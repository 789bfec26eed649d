"""Ghost cells against the polynomials and symmetries they continue."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted
from undertow._checks import UndertowError
from undertow.numerics.boundary import BOUNDARIES, Boundary, boundary

CELLS = 11
GHOSTS = (1, 3, 5, 8)
EVEN = (1.0,)


def positions(cells: int, ghost: int) -> np.ndarray:
    """Cell centres, those of the ghost cells included, with the left wall at 0 and a cell size of 1."""
    return np.arange(-ghost, cells + ghost) + 0.5


def padded(name, u, ghost, parity=EVEN, axis=0):
    return np.asarray(boundary(name, ghost=ghost).pad(jnp.asarray(u), axis, parity))


@pytest.mark.parametrize("ghost", GHOSTS)
@pytest.mark.parametrize(("name", "degree"), [("outflow", 0), ("linear", 1), ("quadratic", 2)])
def test_extrapolation_continues_polynomials_of_its_degree_and_no_higher(name, degree, ghost, rng):
    x = positions(CELLS, ghost) / CELLS
    for power in range(degree + 2):
        coefficients = rng.normal(size=power + 1)
        values = np.polyval(coefficients, x)
        out = padded(name, values[None, ghost:-ghost], ghost)[0]
        if power <= degree:
            np.testing.assert_allclose(out, values, rtol=1e-12, atol=1e-12)
        else:
            assert np.abs(out - values).max() > 1e-4 * abs(coefficients[0])


@pytest.mark.parametrize("ghost", GHOSTS)
def test_the_cells_themselves_are_kept(ghost, rng):
    u = rng.normal(size=(2, CELLS))
    for name in BOUNDARIES:
        out = padded(name, u, ghost, parity=(1.0, -1.0))
        assert out.shape == (2, CELLS + 2 * ghost)
        np.testing.assert_array_equal(out[:, ghost:-ghost], u)


@pytest.mark.parametrize("ghost", GHOSTS)
def test_periodic_wraps(ghost, rng):
    u = rng.normal(size=(1, CELLS))
    np.testing.assert_array_equal(padded("periodic", u, ghost)[0], np.pad(u[0], ghost, mode="wrap"))


@pytest.mark.parametrize("ghost", GHOSTS)
def test_a_reflective_wall_continues_with_the_parity_of_each_component(ghost):
    def even(x):
        return np.cos(x / CELLS)

    def odd(x):
        return np.sin(x / CELLS) + (x / CELLS) ** 3

    x = positions(CELLS, ghost)
    out = padded("reflective", np.stack([even(x), odd(x)])[:, ghost:-ghost], ghost, parity=(1.0, -1.0))
    # The wall at 0 is where `even` and `odd` have their symmetry; the one at CELLS mirrors as well.
    np.testing.assert_allclose(out[0, :ghost], even(x[:ghost]), rtol=1e-15)
    np.testing.assert_allclose(out[1, :ghost], odd(x[:ghost]), rtol=1e-15)
    np.testing.assert_array_equal(out[0, -ghost:], out[0, -2 * ghost : -ghost][::-1])
    np.testing.assert_array_equal(out[1, -ghost:], -out[1, -2 * ghost : -ghost][::-1])


def test_parity_concerns_reflective_walls_alone(rng):
    u = rng.normal(size=(1, CELLS))
    for name in set(BOUNDARIES) - {"reflective"}:
        np.testing.assert_array_equal(padded(name, u, 3, (1.0,)), padded(name, u, 3, (-1.0,)))


def test_every_boundary_is_its_own_mirror_image(rng):
    u = rng.normal(size=(1, CELLS))
    for name in BOUNDARIES:
        np.testing.assert_allclose(padded(name, u[:, ::-1], 4), padded(name, u, 4)[:, ::-1], rtol=1e-14)


def test_the_two_ends_may_differ(rng):
    u = rng.normal(size=(1, CELLS))
    out = np.asarray(boundary("outflow", "reflective", ghost=2).pad(jnp.asarray(u), 0, (-1.0,)))[0]
    np.testing.assert_array_equal(out[:2], u[0, [0, 0]])
    np.testing.assert_array_equal(out[-2:], -u[0, [-1, -2]])


def test_each_axis_is_filled_by_itself(rng):
    u = rng.normal(size=(2, CELLS, CELLS + 2, CELLS + 4))
    for axis in range(3):
        out = padded("quadratic", u, 2, (1.0, 1.0), axis)
        expected = list(u.shape)
        expected[axis + 1] += 4
        assert out.shape == tuple(expected)
        # One line of cells, taken out and padded alone.
        line = np.moveaxis(u, axis + 1, -1)[1, 3, 4]
        np.testing.assert_allclose(np.moveaxis(out, axis + 1, -1)[1, 3, 4], padded("quadratic", line[None], 2)[0])


def test_a_mixed_batch_equals_separate_runs_and_compiles_once(rng):
    u = rng.normal(size=(len(BOUNDARIES), 1, CELLS))
    each = [boundary(name, ghost=4) for name in BOUNDARIES]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    fill = Counted(lambda b, v: b.pad(v, 0, (-1.0,)))
    together = jax.jit(jax.vmap(fill))
    out = together(batch, u)
    np.testing.assert_array_equal(together(batch, u[::-1])[0], each[0].pad(u[-1], 0, (-1.0,)))
    assert fill.calls == 1
    alone = jax.jit(fill)
    for i, one in enumerate(each):
        np.testing.assert_allclose(out[i], alone(one, u[i]), rtol=1e-14)
    assert fill.calls == 2


def test_filling_is_linear_and_so_is_its_derivative(rng):
    u, v = rng.normal(size=(2, 1, CELLS))
    for name in BOUNDARIES:
        one: Boundary = boundary(name, ghost=3)
        _, tangent = jax.jvp(lambda x, one=one: one.pad(x, 0, (-1.0,)), (jnp.asarray(u),), (jnp.asarray(v),))
        np.testing.assert_allclose(tangent, one.pad(jnp.asarray(v), 0, (-1.0,)), rtol=1e-14)


def test_single_precision_stays_single_precision():
    u = jnp.ones((1, CELLS), jnp.float32)
    assert all(boundary(name, ghost=3).pad(u, 0, EVEN).dtype == jnp.float32 for name in BOUNDARIES)


@pytest.mark.parametrize(
    ("names", "ghost", "message"),
    [
        (("perodic",), 3, "did you mean 'periodic'"),
        (("outflow", "reflectiv"), 3, "did you mean 'reflective'"),
        (("periodic", "outflow"), 3, "a periodic boundary has two ends"),
        (("linear", "periodic"), 3, "a periodic boundary has two ends"),
        (("outflow",), 0, "ghost must be at least 1"),
    ],
)
def test_bad_boundaries_are_refused_in_one_line(names, ghost, message):
    with pytest.raises(UndertowError, match=message) as caught:
        boundary(*names, ghost=ghost)
    assert "\n" not in str(caught.value)


def test_too_few_cells_are_refused():
    with pytest.raises(UndertowError, match="axis 0 has 3 cells.* needs at least 4"):
        boundary("periodic", ghost=4).pad(jnp.zeros((1, 3)), 0, EVEN)
