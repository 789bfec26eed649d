"""Scaling of what an agent sees: invariances, and derivatives at constant stencils."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from undertow.numerics.stencil import unstack
from undertow.policies.normalise import centred, safe_standard_deviation, smooth_z_score, visible_z_score, z_score


def smooth(x, epsilon=1e-2):
    return jnp.stack(smooth_z_score(unstack(x), epsilon=epsilon), axis=-1)


def test_the_standard_deviation_is_the_population_one(rng):
    x = rng.normal(size=(3, 4, 5))
    np.testing.assert_allclose(safe_standard_deviation(jnp.asarray(x))[..., 0], x.std(axis=-1), rtol=1e-14)
    np.testing.assert_allclose(safe_standard_deviation(jnp.asarray(x), axis=0)[0], x.std(axis=0), rtol=1e-14)


def test_its_derivative_is_zero_where_it_is_zero_and_the_known_one_elsewhere(rng):
    gradient = jax.grad(lambda x: safe_standard_deviation(x)[0])
    for height in (0.0, 1 / 3, -7.5):
        np.testing.assert_array_equal(gradient(jnp.full(5, height)), 0)
    x = rng.normal(size=5)
    np.testing.assert_allclose(gradient(jnp.asarray(x)), (x - x.mean()) / (5 * x.std()), rtol=1e-13)
    second = jax.hessian(lambda v: safe_standard_deviation(v)[0])(jnp.ones(5))
    assert np.all(np.isfinite(second))


def test_z_scores_have_mean_zero_and_variance_one(rng):
    z = np.asarray(z_score(jnp.asarray(rng.normal(size=(2, 6, 5)))))
    np.testing.assert_allclose(z.mean(axis=-1), 0, atol=1e-15)
    np.testing.assert_allclose(z.std(axis=-1), 1, rtol=1e-9)


@pytest.mark.parametrize("factor", [3.7, -0.2, 1e4])
def test_z_scores_do_not_see_scale_and_offset(factor, rng):
    x = jnp.asarray(rng.normal(size=(6, 5)))
    np.testing.assert_allclose(z_score(factor * x + 2.5), np.sign(factor) * z_score(x), atol=1e-8)
    # The smooth one sees neither an offset nor, well above its epsilon, the scale.
    np.testing.assert_allclose(smooth(x + 2.5), smooth(x), atol=1e-13)
    np.testing.assert_allclose(smooth(1e6 * factor * x), np.sign(factor) * z_score(x), atol=1e-5)


def test_the_published_formula(rng):
    x = rng.normal(size=5)
    np.testing.assert_allclose(z_score(jnp.asarray(x)), (x - x.mean()) / (x.std() + 1e-10), rtol=1e-14)
    np.testing.assert_allclose(smooth(jnp.asarray(x), 0.3), (x - x.mean()) / np.sqrt(x.var() + 0.09), rtol=1e-14)


def test_the_clip_is_active_for_long_stencils_alone():
    spike = jnp.zeros(26).at[3].set(1.0)
    assert float(z_score(spike[:25]).max()) < 5.0
    np.testing.assert_allclose(z_score(spike).max(), 5.0, rtol=1e-8)
    assert float(z_score(jnp.zeros(60).at[0].set(1.0)).max()) == 5.0


def test_constant_stencils_score_zero_with_the_derivative_of_the_formula():
    """Near a constant z is (x - mean) / epsilon, for it is there that the deviation is far below epsilon."""
    projection = np.eye(5) - 1 / 5
    x = jnp.full(5, 0.7)
    for score, epsilon in ((z_score, 1e-10), (smooth, 1e-2)):
        np.testing.assert_array_equal(score(x), 0)
        np.testing.assert_allclose(jax.jacfwd(score)(x), projection / epsilon, atol=1e-14 / epsilon)
        np.testing.assert_allclose(jax.jacrev(score)(x), projection / epsilon, atol=1e-14 / epsilon)


@jax.jit
def scores_and_slopes(x):
    """Both scores of one stencil and their derivatives, as one program for every value."""
    slopes = [jax.jacrev(score)(x) for score in (z_score, smooth)]
    return z_score(x), smooth(x), centred(x), safe_standard_deviation(x), *slopes


@given(
    value=st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.sampled_from([0.7, 1e-300, 1e20, -1e300, 1 / 3]),
    size=st.sampled_from([3, 5, 7]),
    single=st.booleans(),
)
def test_equal_numbers_score_exactly_zero(value, size, single):
    """Whatever the number, the stencil's width, the precision, and how the program was compiled."""
    dtype = np.float32 if single else np.float64
    assume(abs(value) <= float(np.finfo(dtype).max))
    *values, steep, gentle = scores_and_slopes(jnp.full(size, value, dtype))
    for each in values:
        np.testing.assert_array_equal(each, 0)
    projection = np.eye(size) - 1 / size
    tolerance = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(steep * 1e-10, projection, atol=tolerance)
    np.testing.assert_allclose(gentle * 1e-2, projection, atol=tolerance)


def test_equal_numbers_score_zero_in_optimised_programs(optimised):
    x = jnp.asarray([[0.7] * 5, [1e-300] * 5, [1e20] * 5, [0.1] * 5])
    for each in (jax.jit(z_score)(x), jax.jit(smooth)(x), jax.jit(z_score)(x[3:].astype(np.float32))):
        np.testing.assert_array_equal(each, 0)


@pytest.mark.parametrize(("dtype", "scales"), [(np.float32, (1e-30, 1e30)), (np.float64, (1e-250, 1e250))])
def test_no_size_of_numbers_overflows_or_vanishes(dtype, scales, rng):
    x = rng.normal(size=5)
    for scale in scales:
        found = safe_standard_deviation(jnp.asarray(scale * x, dtype))
        assert found.dtype == dtype
        np.testing.assert_allclose(found[0] / scale, x.std(), rtol=1e-5)
    np.testing.assert_allclose(
        z_score(jnp.asarray(scales[1] * x, dtype)),
        (x - x.mean()) / x.std(),
        rtol=1e-4 if dtype == np.float32 else 1e-12,
    )


@given(
    x=arrays(float, 5, elements=st.floats(-1, 1, allow_subnormal=False)),
    power=st.integers(-30, 30),
    single=st.booleans(),
)
def test_what_is_visible_depends_on_no_unit_and_keeps_its_bound(x, power, single):
    dtype = np.float32 if single else np.float64
    x = (1 + x).astype(dtype)
    scores = [np.asarray(seen_by(factor * x)) for factor in (dtype(1), dtype(2.0**power))]
    np.testing.assert_array_equal(*scores)
    assert np.abs(scores[0]).max() <= 2 + 1e-6
    deviation, epsilon = (x / x.max()).astype(float).std(), max(1e-10, 64 * float(np.finfo(dtype).eps))
    if deviation > 1e3 * epsilon:
        np.testing.assert_allclose(
            scores[0], (x - x.mean(dtype=float)) / x.std(dtype=float), atol=2e-2 if single else 1e-5
        )
    if deviation < 1e-2 * epsilon:
        assert np.abs(scores[0]).max() < 1e-3


@jax.jit
def seen_by(x):
    return visible_z_score(x, jnp.max(jnp.abs(x), keepdims=True))


def test_its_derivative_is_that_of_the_values(rng):
    x, direction = jnp.asarray(rng.normal(size=(2, 5)))
    slope = jax.jvp(seen_by, (x,), (direction,))[1]
    np.testing.assert_allclose(slope, (seen_by(x + 1e-6 * direction) - seen_by(x - 1e-6 * direction)) / 2e-6, atol=1e-8)
    np.testing.assert_array_equal(jax.jacrev(seen_by)(jnp.full(5, 0.7)), 0)


def test_what_is_not_a_number_stays_one():
    for bad in (np.nan, np.inf):
        assert np.isnan(z_score(jnp.asarray([1.0, bad, 0.0, 1.0, 2.0]))).any()
