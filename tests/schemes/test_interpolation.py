"""WENO interpolation: polynomials, orders, symmetry, jumps, boundaries, derivatives."""

from __future__ import annotations

from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import derivative_mismatches, observed_orders
from undertow._checks import UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.schemes.coefficients import ORDERS
from undertow.schemes.interpolation import WenoInterpolation, equal_fractions, interpolation_coefficients
from undertow.schemes.semidiscrete import SemiDiscrete

WENO, LINEAR = WenoInterpolation(1e-6), WenoInterpolation(linear=True)
# One compiled call each: op by op, the many small slices take longer than the compiler.
between = eqx.filter_jit(WenoInterpolation.between)
densify = eqx.filter_jit(WenoInterpolation.densify)
refine = eqx.filter_jit(WenoInterpolation.refine)
coarsen = eqx.filter_jit(WenoInterpolation.coarsen)
THIRD, HALF, QUARTER = Fraction(1, 3), Fraction(1, 2), Fraction(1, 4)


def scheme(cells=24, boundary="periodic", order=5, law=None, **domain) -> SemiDiscrete:
    return SemiDiscrete(LinearAdvection() if law is None else law, UniformGrid(cells, **domain), boundary, order=order)


def centers(s: SemiDiscrete, axis: int = 0) -> np.ndarray:
    return s.grid.centers(axis)


def places(s: SemiDiscrete, fraction) -> np.ndarray:
    """Where `between` puts its values: a fraction of the way from the cell left of each face to the one right of it."""
    x, dx = centers(s), s.grid.spacing[0]
    return np.append(x[0] - dx, x) + float(fraction) * dx


# Tables


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("fraction", [THIRD, HALF, Fraction(9, 10), Fraction(1, 50)])
def test_linear_weights_are_a_positive_partition(order, fraction):
    table = interpolation_coefficients(order, fraction)
    assert table.linear_weights.min() > 0
    assert table.linear_weights.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(table.interpolation.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("fraction", [THIRD, HALF, Fraction(4, 5)])
def test_linear_weights_by_hand(fraction):
    """From the leading and trailing coefficients of the Lagrange polynomials through 3 and 5 points."""
    t = float(fraction)
    np.testing.assert_allclose(interpolation_coefficients(3, fraction).linear_weights, [(1 - t) / 2, (1 + t) / 2])
    np.testing.assert_allclose(
        interpolation_coefficients(5, fraction).linear_weights,
        [(1 - t) * (2 - t) / 12, (8 - 2 * t**2) / 12, (1 + t) * (2 + t) / 12],
        rtol=1e-14,
    )


@pytest.mark.parametrize("fraction", [0, 1, Fraction(3, 2), -HALF])
def test_a_fraction_lies_between_two_cells(fraction):
    with pytest.raises(UndertowError, match="strictly between 0 and 1"):
        interpolation_coefficients(5, Fraction(fraction))


def test_equal_fractions():
    assert equal_fractions(0) == ()
    assert equal_fractions(3) == (QUARTER, HALF, Fraction(3, 4))
    with pytest.raises(UndertowError, match="whole number"):
        equal_fractions(-1)


# Exactness and order


@pytest.mark.parametrize("order", [3, 5, 7, 9])
@pytest.mark.parametrize(
    ("interpolation", "fraction", "lost"),
    [(WENO, THIRD, None), (LINEAR, THIRD, 2), (LINEAR, HALF, 1)],
    ids=["weno", "linear", "linear-midpoint"],
)
def test_polynomials_are_reproduced(order, interpolation, fraction, lost):
    r = (order + 1) // 2
    degree = r - 1 if lost is None else 2 * r - lost
    s = scheme(20, "outflow", order, lower=-1.0, upper=1.0)
    values = []
    for d in (degree, degree + 1):
        got = between(interpolation, s, jnp.asarray(centers(s) ** d)[None], [fraction])[0, :, 0]
        inside = slice(r, -r)  # where no ghost cell is in the stencil
        values.append(np.abs(got - places(s, fraction) ** d)[inside].max())
    assert values[0] < 1e-13
    assert values[1] > 1e-11 or interpolation is WENO  # and no more than that


@pytest.mark.parametrize("order", [3, 5, 7])
@pytest.mark.parametrize(("fraction", "gain"), [(THIRD, 0), (HALF, 1)])
def test_design_order_with_linear_weights(order, fraction, gain):
    sizes = [32, 64] if order == 7 else [64, 128]
    errors = []
    for cells in sizes:
        s = scheme(cells, order=order)
        u = jnp.asarray(np.sin(2 * np.pi * centers(s)))[None]
        got = between(LINEAR, s, u, [fraction])[0, :, 0]
        errors.append(np.abs(got - np.sin(2 * np.pi * places(s, fraction))).max())
    assert observed_orders(sizes, errors)[0] == pytest.approx(order + gain, abs=0.1)


@pytest.mark.parametrize("order", [3, 5])
def test_weno_weights_keep_the_order_on_data_without_critical_points(order):
    sizes, errors = [80, 160], []
    r = (order + 1) // 2
    for cells in sizes:
        s = scheme(cells, "outflow", order)
        got = between(WENO, s, jnp.asarray(np.exp(centers(s)))[None], [QUARTER])[0, :, 0]
        errors.append(np.abs(got - np.exp(places(s, QUARTER)))[r:-r].max())
    assert observed_orders(sizes, errors)[0] > order - 0.3


# Against a plain loop


def loop(values: np.ndarray, fraction: float, epsilon: float) -> float:
    """Order 5 at a fraction right of values[2], from polynomial fits and the written-out Jiang-Shu indicators."""
    a, b, c, d, e = values
    beta = [
        13 / 12 * (a - 2 * b + c) ** 2 + (a - 4 * b + 3 * c) ** 2 / 4,
        13 / 12 * (b - 2 * c + d) ** 2 + (b - d) ** 2 / 4,
        13 / 12 * (c - 2 * d + e) ** 2 + (3 * c - 4 * d + e) ** 2 / 4,
    ]
    t = fraction
    linear = [(1 - t) * (2 - t) / 12, (8 - 2 * t**2) / 12, (1 + t) * (2 + t) / 12]
    alpha = [w / (epsilon + s) ** 2 for w, s in zip(linear, beta, strict=True)]
    fits = [np.polyval(np.polyfit(np.arange(k - 2, k + 1), values[k : k + 3], 2), t) for k in range(3)]
    return float(np.dot(alpha, fits) / np.sum(alpha))


@pytest.mark.parametrize("boundary", ["periodic", "outflow"])
def test_against_a_loop(boundary):
    rng = np.random.default_rng(0)
    u, cells = rng.normal(size=12), 12
    ghosts = np.pad(u, 4, mode="wrap" if boundary == "periodic" else "edge")
    got = between(WENO, scheme(cells, boundary), jnp.asarray(u)[None], [QUARTER, THIRD, HALF])[0]
    for j in range(cells + 1):
        for m, t in enumerate((1 / 4, 1 / 3, 1 / 2)):
            left = ghosts[4 + j - 1 - 2 : 4 + j - 1 + 3]
            right = ghosts[4 + j - 2 : 4 + j + 3][::-1]
            want = (1 - t) * loop(left, t, 1e-6) + t * loop(right, 1 - t, 1e-6)
            assert got[j, m] == pytest.approx(want, rel=1e-11, abs=1e-12)


# Symmetry, jumps


@pytest.mark.parametrize("boundary", ["periodic", "outflow"])
@pytest.mark.parametrize("interpolation", [WENO, LINEAR], ids=["weno", "linear"])
def test_mirrored_data_gives_mirrored_values(boundary, interpolation):
    s = scheme(16, boundary)
    u = jax.random.normal(jax.random.key(0), (1, 16))
    one = between(interpolation, s, u, [QUARTER])[0, :, 0]
    other = between(interpolation, s, u[:, ::-1], [1 - QUARTER])[0, ::-1, 0]
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_a_jump_becomes_a_ramp_without_overshoot():
    s = scheme(20, "outflow")
    u = jnp.asarray(np.where(np.arange(20) < 10, 0.0, 1.0))[None]
    dense = densify(WENO, s, u, 3)[0]
    assert dense.min() > -1e-6
    assert dense.max() < 1 + 1e-6
    np.testing.assert_allclose(dense[3 + 9 * 4 : 3 + 10 * 4 + 1], [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    assert densify(LINEAR, s, u, 3).max() > 1.01


# Layouts


def test_densify_puts_points_between_and_beyond():
    s = scheme(32)
    dense = densify(LINEAR, s, jnp.asarray(np.sin(2 * np.pi * centers(s)))[None], 2)[0]
    x = centers(s)[0] + (np.arange(2 + 3 * 32) - 2) * (1 / 96)
    np.testing.assert_allclose(dense, np.sin(2 * np.pi * x), atol=1e-6)
    np.testing.assert_array_equal(dense[2::3], np.sin(2 * np.pi * centers(s)))
    np.testing.assert_array_equal(densify(WENO, s, dense[None, 2::3], 0), dense[None, 2::3])


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_refine_and_coarsen(factor):
    s = scheme(40)
    f = lambda x: np.sin(2 * np.pi * x)
    u = jnp.asarray(f(centers(s)))[None]
    fine = refine(WENO, s, u, factor)
    np.testing.assert_allclose(fine[0], f(s.grid.refine(factor).centers()), atol=1e-5)
    back = coarsen(WENO, s, fine, factor)
    np.testing.assert_allclose(back, u, atol=0 if factor % 2 else 1e-5)


def test_two_axes_and_components():
    s = SemiDiscrete(LinearAdvection(), UniformGrid((24, 32)), ("periodic", "outflow"))
    x, y = np.meshgrid(centers(s), centers(s, 1), indexing="ij")
    f = lambda x, y: np.sin(2 * np.pi * x) * (1 + y)  # a polynomial along the open axis
    fine = refine(WENO, s, jnp.asarray(f(x, y))[None], 3)
    xf, yf = np.meshgrid(*(s.grid.refine(3).centers(a) for a in (0, 1)), indexing="ij")
    inside = np.s_[:, 9:-9]
    np.testing.assert_allclose(fine[0][inside], f(xf, yf)[inside], atol=2e-4)
    np.testing.assert_allclose(coarsen(WENO, s, fine, 3)[0], f(x, y), atol=0)

    line = scheme(16)
    pair = jax.random.normal(jax.random.key(1), (2, 16))
    line = eqx.tree_at(lambda s: s.domain.law, line, Pair())
    alone = [refine(WENO, scheme(16), pair[c : c + 1], 2)[0] for c in (0, 1)]
    np.testing.assert_allclose(refine(WENO, line, pair, 2), jnp.stack(alone), rtol=1e-14)


class Pair(LinearAdvection):
    num_components = 2

    def parity(self, axis):
        return (1.0, 1.0)


def test_a_batch_may_mix_boundaries():
    schemes = [scheme(12, b, law=Burgers()) for b in ("periodic", "outflow", "reflective")]
    batch = jax.tree.map(lambda *x: jnp.stack(x), *schemes)
    u = jax.random.normal(jax.random.key(0), (3, 1, 12))
    got = eqx.filter_vmap(lambda s, u: refine(WENO, s, u, 2))(batch, u)
    for one, s, v in zip(got, schemes, u, strict=True):
        np.testing.assert_allclose(one, refine(WENO, s, v, 2), rtol=1e-13, atol=1e-14)


# Derivatives and errors


def test_derivatives_are_right_at_constant_states_too():
    s = scheme(8, "outflow", order=3)
    mismatches = derivative_mismatches(lambda u: WENO.refine(s, u, 2))
    rough = jax.random.normal(jax.random.key(2), (1, 8))
    for u in (1 + 0.3 * rough, jnp.ones((1, 8))):
        adjoint, difference, size = mismatches(u, jax.random.key(3))
        assert size > 0.1
        assert adjoint < 1e-12
        assert difference < 1e-6


def test_errors():
    s, u = scheme(12), jnp.zeros((1, 12))
    with pytest.raises(UndertowError, match=r"jax\.vmap"):
        WENO.between(s, jnp.zeros((5, 1, 12)), [HALF])
    with pytest.raises(UndertowError, match="axis 1"):
        WENO.between(s, u, [HALF], axis=1)
    with pytest.raises(UndertowError, match="strictly between"):
        WENO.between(s, u, [1.5])
    with pytest.raises(UndertowError, match="factor"):
        WENO.refine(s, u, 0)
    with pytest.raises(UndertowError, match="divide"):
        WENO.coarsen(s, u, 5)
    with pytest.raises(UndertowError, match="epsilon"):
        WenoInterpolation(epsilon=0.0)
