"""Norms and total variation against integrals known on paper."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from undertow.numerics.norms import l1, l2, linf, root_of_squares, total_variation


def test_norms_of_a_sine_are_its_integrals():
    n = 200
    u = jnp.sin(2 * jnp.pi * (jnp.arange(n) + 0.5) / n)[None]
    # The midpoint rule has spectral accuracy for sin^2 and second order for |sin|.
    np.testing.assert_allclose(l1(u, 1 / n), 2 / np.pi, rtol=1e-4)
    np.testing.assert_allclose(l2(u, 1 / n), np.sqrt(0.5), rtol=1e-14)
    np.testing.assert_allclose(linf(u), 1.0, rtol=1e-3)


def test_norms_are_norms_over_components_and_axes(rng):
    u, v = jnp.asarray(rng.normal(size=(2, 3, 5, 4)))
    for norm in (lambda e: l1(e, 0.1), lambda e: l2(e, 0.1), linf):
        assert norm(u + v) <= norm(u) + norm(v)
        np.testing.assert_allclose(norm(-2.5 * u), 2.5 * norm(u), rtol=1e-14)
        assert norm(0 * u) == 0
        assert norm(u).shape == ()


def test_the_root_of_squares_of_nothing_and_of_any_size(rng):
    """Its derivative is 0 where it is 0; no square overflows or vanishes; infinity and NaN stay what they are."""
    np.testing.assert_array_equal(jax.grad(lambda e: l2(e, 0.1))(jnp.zeros((2, 4))), 0)
    x = rng.normal(size=(3, 4))
    np.testing.assert_allclose(root_of_squares(jnp.asarray(x), axis=1), np.sqrt((x * x).sum(axis=1)), rtol=1e-14)
    slope = jax.grad(root_of_squares)(jnp.asarray(x))
    np.testing.assert_allclose(slope, x / np.sqrt((x * x).sum()), rtol=1e-13)
    for scale in (1e-300, 1e-200, 1e200, 1e300):
        np.testing.assert_allclose(root_of_squares(jnp.asarray(scale * x)) / scale, np.sqrt((x * x).sum()), rtol=1e-13)
        np.testing.assert_allclose(jax.grad(root_of_squares)(jnp.asarray(scale * x)), slope, rtol=1e-12)
    assert root_of_squares(jnp.asarray([1.0, -np.inf])) == np.inf
    assert np.isnan(root_of_squares(jnp.asarray([1.0, np.nan])))


def test_total_variation_of_monotone_data_is_the_difference_of_its_ends(rng):
    u = jnp.asarray(np.sort(rng.normal(size=40)))[None]
    np.testing.assert_allclose(total_variation(u), u[0, -1] - u[0, 0], rtol=1e-13)
    # A pulse goes up and down again; the two ends of the domain are not neighbours.
    pulse = jnp.zeros((1, 10)).at[0, 0].set(1.0).at[0, 4].set(2.0)
    assert total_variation(pulse) == 1 + 2 + 2


def test_total_variation_adds_the_axes_and_components():
    x, y = jnp.meshgrid(jnp.arange(4.0), jnp.arange(3.0), indexing="ij")
    u = jnp.stack([2 * x, y])
    assert total_variation(u) == 2 * 3 * 3 + 2 * 4
