"""Parts of exact Riemann solutions that no law sees alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.laws.euler_riemann import EulerWaves
from undertow.laws.riemann_waves import similarity
from undertow.laws.shallow_water_riemann import ShallowWaterWaves


def euler(gamma):
    return EulerWaves(gamma)


def water(_):
    return ShallowWaterWaves()


@pytest.mark.parametrize("law", [euler, water])
def test_curves(law):
    """They are convex, as Newton's method from above asks, and twice differentiable where shocks begin."""

    @jax.jit
    @jax.vmap
    def derivatives(gamma):
        first, second = jax.grad(law(gamma).jump), jax.grad(jax.grad(law(gamma).jump))
        near = jnp.asarray([-1e-7, 0.0, 1e-7])
        ends = law(gamma).strength_bound(jump)
        return [jax.vmap(first)(s), jax.vmap(second)(near), law(gamma).shock_jump(ends), law(gamma).shock_speed(near)]

    s, jump = jnp.linspace(-30, 30, 601), jnp.logspace(-3, 5, 33)
    slope, second, reached, speed = derivatives(jnp.asarray([1.1, 1.4, 5 / 3, 3.0]))
    assert np.all(slope > 0) and np.all(np.diff(slope) > -1e-12 * slope[:, 1:])
    assert np.all(second > 0)
    np.testing.assert_allclose(second[:, [0, 2]], second[:, [1, 1]], rtol=1e-5)
    # Bounds of the strength are bounds, and near.
    assert np.all(reached >= jump * (1 - 1e-12)) and np.all(reached < 2.5 * jump)
    # A weak shock runs at the speed of sound.
    np.testing.assert_allclose(speed[:, 1:], 1.0, atol=1e-6)


def test_similarity_at_time_zero_and_at_infinity():
    x = jnp.asarray([-jnp.inf, -1.0, 0.0, 1.0, jnp.inf])
    for t in (0.0, 1e-320, 1e-200):
        np.testing.assert_array_equal(similarity(x, 0.0, t), [-np.inf, -np.inf, -np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(similarity(x, 0.5, 2.0), [-np.inf, -0.75, -0.25, 0.25, np.inf])
    slopes = jax.jit(jax.jacrev(similarity, (0, 1, 2)))
    for t in (0.0, 1e-200, 2.0):
        assert all(np.all(np.isfinite(slope)) for slope in slopes(x, jnp.asarray(0.5), jnp.asarray(t)))
