"""Weights of one stencil: what they do to smooth, discontinuous and constant data."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial

from undertow._checks import UndertowError
from undertow.schemes.coefficients import ORDERS, substencil_width, weno_coefficients
from undertow.schemes.weights import (
    FixedWeights,
    WenoJS,
    WenoZ,
    equal,
    global_smoothness,
    linear,
    one_sided,
    reconstruct,
    smoothness,
    stationary,
)

BY_ORDER = pytest.mark.parametrize("order", ORDERS)
NONLINEAR = {
    "js": WenoJS,
    "js-original": lambda order: WenoJS(order, 1e-16, "original"),
    "z": WenoZ,
}
BY_SCHEME = pytest.mark.parametrize("name", NONLINEAR)


def stencils_of(function, order: int, dx: float, face: float = 0.3) -> jnp.ndarray:
    """Cell averages of `function` (given by its primitive) around a face, upwind first."""
    r = substencil_width(order)
    edges = face + dx * np.arange(-r, r)
    return jnp.asarray(np.diff(function(edges)) / dx)


@BY_ORDER
def test_smoothness_is_the_tabulated_form(order, rng):
    table, r = weno_coefficients(order), substencil_width(order)
    stencils = rng.normal(size=(4, 6, order))
    betas = smoothness(jnp.asarray(stencils), order)
    assert len(betas) == r
    for k, beta in enumerate(betas):
        q = stencils[..., k : k + r]
        size = np.einsum("...i,ij,...j", np.abs(q), np.abs(table.smoothness[k]), np.abs(q))
        form = np.einsum("...i,ij,...j", q, table.smoothness[k], q)
        assert np.all(np.abs(beta - form) <= 1e-14 * size)


@BY_ORDER
def test_smoothness_of_constants_is_zero_at_any_height(order):
    for height in (0.0, 1.0, -1 / 3, 1e8 / 3):
        assert all(beta == 0 for beta in smoothness(jnp.full(order, height), order))


@BY_ORDER
def test_smoothness_is_never_negative(order, rng):
    stencils = 1e6 + rng.normal(size=(1000, order)) * 10.0 ** rng.integers(-12, 2, size=(1000, 1))
    assert all(np.all(beta >= 0) for beta in smoothness(jnp.asarray(stencils), order))


@BY_ORDER
@BY_SCHEME
def test_weights_are_convex(name, order, rng):
    stencils = jnp.asarray(rng.normal(size=(50, order)))
    weights = NONLINEAR[name](order)(stencils)
    assert weights.shape == (50, substencil_width(order))
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-14)


@BY_ORDER
@BY_SCHEME
def test_weights_of_constant_data_are_the_linear_ones(name, order):
    weights = NONLINEAR[name](order)(jnp.full(order, 1.7))
    np.testing.assert_allclose(weights, weno_coefficients(order).linear_weights, rtol=1e-14)


@BY_ORDER
@BY_SCHEME
def test_weights_avoid_a_jump(name, order):
    """Every substencil across the jump is switched off; the ones on one side are left."""
    r = substencil_width(order)
    for position in range(1, order):
        stencil = jnp.where(jnp.arange(order) < position, 1.0, 0.0)
        weights = NONLINEAR[name](order)(stencil)
        clean = np.array([not k < position < k + r for k in range(r)])
        if clean.any():
            assert weights[clean].sum() > 0.999, position


@pytest.mark.parametrize(("name", "power"), [("js", 2), ("js-original", 2)])
def test_jiang_shu_approaches_the_linear_weights_with_order_r_minus_one(name, power):
    """Jiang and Shu (1996), section 3: w_k = d_k + O(dx^{r-1}) away from critical points (here r = 3)."""
    d = weno_coefficients(5).linear_weights
    # Scaled up so that epsilon stays small beside the smoothness.
    errors = [np.abs(NONLINEAR[name](5)(1e3 * stencils_of(np.exp, 5, dx)) - d).max() for dx in (0.02, 0.01, 0.005)]
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), power, atol=0.1)


@pytest.mark.parametrize("power", [1, 2])
def test_weno_z_approaches_the_linear_weights_faster(power):
    """tau / beta = O(dx^3) at order 5, the same for every substencil up to a factor 1 + O(dx^2): so w - d = O(dx^{3p+2}).

    Borges et al. (2008), eqs. 25 and 26.
    """
    d = weno_coefficients(5).linear_weights
    errors = [np.abs(WenoZ(5, power=power)(1e3 * stencils_of(np.exp, 5, dx)) - d).max() for dx in (0.16, 0.08, 0.04)]
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 3 * power + 2, atol=0.25)


@BY_ORDER
def test_the_global_indicator_of_weno_z_is_of_the_published_order(order):
    """Castro, Costa and Don (2011): tau = O(dx^q) with q well above 2, the order of every beta.

    As a form in the Taylor coefficients: the terms with fewer powers of dx than q vanish.
    """
    table, r = weno_coefficients(order), substencil_width(order)
    signs = np.array([float(global_smoothness(list(unit))) for unit in np.eye(r)])
    published = {2: 3, 3: 5, 4: 7, 5: 8, 6: 9, 7: 11}[r]

    def average(i, k):
        cells = np.arange(r) + k - (r - 1)
        primitive = Polynomial.basis(i).integ()
        return primitive(cells + 0.5) - primitive(cells - 0.5)

    def term(i, j):
        betas = np.array([average(i, k) @ table.smoothness[k] @ average(j, k) for k in range(r)])
        sizes = [np.abs(average(i, k)) @ np.abs(table.smoothness[k]) @ np.abs(average(j, k)) for k in range(r)]
        return abs(signs @ betas) / (np.abs(signs) @ sizes)

    terms = {n: max(term(i, n - i) for i in range(1, n)) for n in range(2, published + 1)}
    assert all(terms[n] < 1e-15 for n in range(2, published)), terms
    assert terms[published] > 1e-13, terms


def test_the_two_forms_of_jiang_shu(rng):
    stencil = jnp.asarray(rng.normal(size=5))
    betas = smoothness(stencil, 5)
    for k, (d, beta) in enumerate(zip((0.1, 0.6, 0.3), betas, strict=True)):
        np.testing.assert_allclose(WenoJS(5, 1e-2).unnormalised(stencil)[k], d / (1e-2 + beta) ** 2, rtol=1e-14)
        original = WenoJS(5, 1e-2, "original").unnormalised(stencil)[k]
        np.testing.assert_allclose(original, d / (1e-2 + beta**2), rtol=1e-14)


def test_the_textbook_form_is_differentiable_at_constant_data_and_the_original_is_steep(rng):
    direction = jnp.asarray(rng.normal(size=5))
    for scheme in (WenoJS(), WenoZ()):
        slope = jax.jacfwd(lambda h, scheme=scheme: scheme(1.0 + h * direction))
        first, second = jax.jit(lambda slope=slope: (slope(0.0), jax.jacfwd(slope)(0.0)))()
        np.testing.assert_allclose(first, 0, atol=1e-10)  # weights are even in the deviation from a constant
        assert np.all(np.isfinite(second))
    # What the docstring says: up to 6e23 near beta = 6e-9.
    beta = np.sqrt(1e-16 / 3)
    assert 6e23 < abs(jax.grad(lambda b: 1 / (1e-16 + b * b))(beta)) < 7e23


@BY_ORDER
def test_fixed_weights(order):
    r = substencil_width(order)
    stencil = jnp.ones((2, order))
    np.testing.assert_array_equal(linear(order)(stencil)[1], weno_coefficients(order).linear_weights)
    np.testing.assert_allclose(equal(order)(stencil), 1 / r)
    np.testing.assert_array_equal(stationary(order)(stencil), np.zeros((2, r)))
    for which, place in (("left", 0), ("middle", r // 2), ("right", r - 1)):
        np.testing.assert_array_equal(one_sided(order, which)(stencil)[0], np.eye(r)[place])


@BY_ORDER
def test_any_weights_that_sum_to_one_are_consistent(order, rng):
    """They reconstruct averages of polynomials of degree below r exactly: the order of any convex action is at least r."""
    r = substencil_width(order)
    weights = jnp.asarray(rng.dirichlet(np.ones(r), size=9))
    primitive = Polynomial(rng.normal(size=r)).integ()
    stencil = stencils_of(primitive, order, 1.0)
    np.testing.assert_allclose(reconstruct(jnp.tile(stencil, (9, 1)), weights), primitive.deriv()(0.3), rtol=1e-9)


def test_reconstruction_of_one_substencil_is_its_row(rng):
    stencil = jnp.asarray(rng.normal(size=5))
    rows = weno_coefficients(5).reconstruction
    for k, which in enumerate(("left", "middle", "right")):
        value = reconstruct(stencil, one_sided(5, which)(stencil))
        np.testing.assert_allclose(value, rows[k] @ stencil[k : k + 3], rtol=1e-14)


def test_single_precision_stays_single_precision():
    stencil = jnp.ones((3, 5), jnp.float32)
    for weights in (WenoJS(), WenoZ(), linear(5), equal(5)):
        assert weights(stencil).dtype == jnp.float32
        assert reconstruct(stencil, weights(stencil)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WenoJS(4), "order must be one of"),
        (lambda: WenoZ(4), "order must be one of"),
        (lambda: WenoJS(5, 0.0), "epsilon must be above 0"),
        (lambda: WenoZ(5, -1e-6), "epsilon must be above 0"),
        (lambda: WenoJS(5, form="orginal"), "form must be 'textbook' or 'original'"),
        (lambda: WenoZ(5, power=0), "power must be an integer from 1 to 6"),
        (lambda: FixedWeights(values=(0.5, 0.5), order=5), "order 5 has 3 substencils, got 2 weights"),
        (lambda: one_sided(5, "centre"), "which must be 'left', 'middle' or 'right'"),
    ],
)
def test_bad_weights_are_refused(make, message):
    with pytest.raises(UndertowError, match=message):
        make()
