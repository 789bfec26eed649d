"""WENO coefficients from first principles: what they must do to polynomials, not how they were derived."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from undertow._checks import UndertowError
from undertow.schemes.coefficients import ORDERS, substencil_width, weno_coefficients

BY_ORDER = pytest.mark.parametrize("order", ORDERS)


def cell_averages(p: Polynomial, cells) -> np.ndarray:
    """Averages over the cells [i - 1/2, i + 1/2]."""
    cells = np.asarray(cells)
    return p.integ()(cells + 0.5) - p.integ()(cells - 0.5)


def substencil(k: int, r: int) -> np.ndarray:
    """The cells that substencil k reads; cell 0 is the one just upwind of the face at 1/2."""
    return np.arange(r) + k - (r - 1)


def combined(order: int) -> np.ndarray:
    """The reconstruction from all 2r-1 values that the linear weights make of the substencils'."""
    table, r = weno_coefficients(order), substencil_width(order)
    total = np.zeros(order)
    for k in range(r):
        total[k : k + r] += table.linear_weights[k] * table.reconstruction[k]
    return total


@BY_ORDER
def test_substencils_reconstruct_polynomials_of_degree_below_their_width_and_no_higher(order):
    table, r = weno_coefficients(order), substencil_width(order)
    for k in range(r):
        cells, row = substencil(k, r), table.reconstruction[k]
        for degree in range(r + 1):
            p = Polynomial.basis(degree)
            averages = cell_averages(p, cells)
            error = abs(row @ averages - p(0.5))
            scale = np.abs(row * averages).sum()
            assert error < 1e-13 * scale if degree < r else error > 1e-6 * scale, (k, degree)


@BY_ORDER
def test_linear_weights_reconstruct_polynomials_of_degree_below_the_order_and_no_higher(order):
    row, r = combined(order), substencil_width(order)
    cells = np.arange(order) - (r - 1)
    for degree in range(order + 1):
        p = Polynomial.basis(degree)
        averages = cell_averages(p, cells)
        error = abs(row @ averages - p(0.5))
        scale = np.abs(row * averages).sum()
        assert error < 1e-13 * scale if degree < order else error > 1e-8 * scale, degree


@BY_ORDER
def test_weights_and_rows_sum_to_one(order):
    table = weno_coefficients(order)
    assert np.all(table.linear_weights > 0)
    np.testing.assert_allclose(table.linear_weights.sum(), 1, rtol=1e-14)
    np.testing.assert_allclose(table.reconstruction.sum(axis=1), 1, rtol=1e-13)


@BY_ORDER
def test_linear_weights_have_their_closed_form(order):
    """Products of binomials, which give the tables of Balsara and Shu (2000) and Gerolymos et al. (2009)."""
    r = substencil_width(order)
    expected = [math.comb(r, k) * math.comb(r - 1, k) / math.comb(order, r - 1) for k in range(r)]
    np.testing.assert_allclose(weno_coefficients(order).linear_weights, expected, rtol=1e-14)


@BY_ORDER
def test_tables_have_the_symmetry_of_the_problem(order):
    table, r = weno_coefficients(order), substencil_width(order)
    # Mirrored at the face, cell i is cell 1 - i, and the substencil k the substencil r - k.
    for k in range(1, r):
        np.testing.assert_allclose(table.reconstruction[r - k], table.reconstruction[k][::-1], rtol=1e-13)
    # Mirrored at the centre of cell 0, over which smoothness is measured, k is r - 1 - k.
    np.testing.assert_allclose(table.smoothness[::-1, ::-1, ::-1], table.smoothness, rtol=1e-13)
    np.testing.assert_array_equal(table.smoothness, np.swapaxes(table.smoothness, 1, 2))


@BY_ORDER
def test_smoothness_is_the_integral_it_is_defined_by(order, rng):
    """Jiang and Shu (1996), eq. 3.1, with Gauss quadrature of a known polynomial."""
    table, r = weno_coefficients(order), substencil_width(order)
    nodes, weights = np.polynomial.legendre.leggauss(r + 1)
    for k in range(r):
        for _ in range(3):
            p = Polynomial(rng.normal(size=r))
            q = cell_averages(p, substencil(k, r))
            expected = sum(weights / 2 @ p.deriv(m)(nodes / 2) ** 2 for m in range(1, r))
            size = np.abs(q) @ np.abs(table.smoothness[k]) @ np.abs(q)
            np.testing.assert_allclose(q @ table.smoothness[k] @ q, expected, atol=1e-13 * size)


@BY_ORDER
def test_sums_of_squares_are_the_quadratic_form(order, rng):
    table, r = weno_coefficients(order), substencil_width(order)
    assert np.all(table.smoothness_scales > 0)
    for k in range(r):
        rows = table.smoothness_squares[k]
        np.testing.assert_array_equal(rows, np.triu(rows))
        np.testing.assert_array_equal(np.diag(rows), 1)
        for q in rng.normal(size=(5, r)):
            squares = table.smoothness_scales[k] @ (rows @ np.diff(q)) ** 2
            form = q @ table.smoothness[k] @ q
            np.testing.assert_allclose(
                squares, form, atol=1e-13 * (np.abs(q) @ np.abs(table.smoothness[k]) @ np.abs(q))
            )


@BY_ORDER
def test_smoothness_ignores_constants_and_nothing_else(order):
    table, r = weno_coefficients(order), substencil_width(order)
    for sigma in table.smoothness:
        np.testing.assert_allclose(sigma.sum(axis=1), 0, atol=1e-13 * np.abs(sigma).max())
        assert np.linalg.matrix_rank(sigma) == r - 1


def test_order_three_is_the_published_one():
    table = weno_coefficients(3)
    np.testing.assert_allclose(table.linear_weights, [1 / 3, 2 / 3], rtol=1e-15)
    np.testing.assert_allclose(table.reconstruction, np.array([[-1, 3], [1, 1]]) / 2, rtol=1e-15)
    np.testing.assert_array_equal(table.smoothness, [[[1, -1], [-1, 1]]] * 2)


def test_order_five_is_the_published_one():
    """Jiang and Shu (1996), eqs. 2.8 to 2.15 and 3.2 to 3.4."""
    table = weno_coefficients(5)
    np.testing.assert_allclose(table.linear_weights, [0.1, 0.6, 0.3], rtol=1e-15)
    np.testing.assert_allclose(table.reconstruction, np.array([[2, -7, 11], [-1, 5, 2], [2, 5, -1]]) / 6, rtol=1e-15)
    curvature = np.outer([1, -2, 1], [1, -2, 1])
    slopes = ([1, -4, 3], [1, 0, -1], [3, -4, 1])
    for sigma, slope in zip(table.smoothness, slopes, strict=True):
        np.testing.assert_allclose(sigma, 13 / 12 * curvature + np.outer(slope, slope) / 4, rtol=1e-14)


@BY_ORDER
def test_tables_agree_with_the_recorded_ones(order, reference_dir):
    """Those are indexed by q[i + k - l], most downwind value first, and hold the lower triangle of the forms."""
    recorded = np.load(reference_dir / "rl_pde" / "weno_coefficients.npz")
    table, r = weno_coefficients(order), substencil_width(order)
    np.testing.assert_allclose(table.linear_weights, recorded[f"C_{r}"], rtol=1e-13)
    np.testing.assert_allclose(table.reconstruction, recorded[f"a_{r}"][:, ::-1], rtol=1e-13)
    lower = recorded[f"sigma_{r}"]
    forms = (lower + np.swapaxes(lower, 1, 2)) / 2
    np.testing.assert_allclose(table.smoothness, forms[:, ::-1, ::-1], rtol=1e-12)


def test_tables_are_shared_and_cannot_be_changed():
    table = weno_coefficients(5)
    assert weno_coefficients(5) is table
    with pytest.raises(ValueError, match="read-only"):
        table.linear_weights[0] = 1.0


@pytest.mark.parametrize("order", [0, 1, 2, 4, 6, 15, 5.5, "5"])
def test_other_orders_are_refused(order):
    with pytest.raises(UndertowError, match="order must be one of 3, 5, 7, 9, 11, 13"):
        weno_coefficients(order)
