"""Evolution strategies: unbiased for the smoothed loss, with the variance that the formula has."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.core.flow import FULL
from undertow.core.policy import AbstractPolicy
from undertow.core.zeroth_order import EvolutionStrategy


class Parameters(AbstractPolicy):
    """Two arrays, and something that is no parameter."""

    x: jax.Array
    y: jax.Array
    n: jax.Array


AT = Parameters(jnp.asarray([0.5, -1.0, 2.0]), jnp.asarray([[1.5]]), jnp.arange(2))
SLOPE = np.array([1.0, -2.0, 0.5, 3.0])
HESSIAN = np.diag([2.0, 1.0, 3.0, 0.5]) + 0.2


def vector(policy):
    return jnp.concatenate([policy.x, policy.y[0]])


def quadratic(policy, flow):
    z = vector(policy)
    return 5 + SLOPE @ z + z @ HESSIAN @ z / 2, {"flow": flow.physics}


@pytest.fixture(scope="module")
def estimates():
    """Many independent estimates for a quadratic loss, sigma far from small."""
    strategy = EvolutionStrategy(samples=4, sigma=0.7, chunk=3)
    return jax.jit(jax.vmap(lambda key: strategy(quadratic, AT, key=key)))(jax.random.split(jax.random.key(0), 4000))


def test_the_mean_for_a_quadratic_loss_is_its_gradient(estimates):
    value, gradient, metrics = estimates
    z = np.asarray(vector(AT))
    np.testing.assert_allclose(value, quadratic(AT, FULL)[0], rtol=1e-14)
    found = np.asarray(jax.vmap(vector)(gradient))
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - (SLOPE + HESSIAN @ z)) < 4 * error)
    # The smoothed loss lies sigma^2 / 2 times the trace of the Hessian above.
    above = np.asarray(metrics["smoothed"]) - value
    assert abs(above.mean() - 0.7**2 / 2 * np.trace(HESSIAN)) < 4 * above.std() / np.sqrt(len(above))
    # Mirrored samples of a quadratic loss are those of a linear one: variance |g|^2 (d + 1) / n.
    expected = np.sum((SLOPE + HESSIAN @ z) ** 2) * (4 + 1) / 4
    np.testing.assert_allclose(found.var(axis=0).sum(), expected, rtol=0.1)


def test_chunks_change_nothing_and_keys_do():
    run = eqx.filter_jit(lambda strategy, key: strategy(quadratic, AT, key=key)[1])
    one, other = jax.random.key(1), jax.random.key(2)
    whole = run(EvolutionStrategy(5, 0.1), one)
    assert whole.n is None
    for chunk in (2, 50):
        for a, b in zip(*map(jax.tree.leaves, (whole, run(EvolutionStrategy(5, 0.1, chunk), one))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)
    assert not np.any(np.isclose(whole.x, run(EvolutionStrategy(5, 0.1), other).x))


def test_metrics_are_those_of_the_policy_itself_and_nans_are_shown():
    _, _, metrics = EvolutionStrategy(2)(quadratic, AT, key=jax.random.key(0))
    assert metrics["flow"] == FULL.physics

    def half_broken(policy, flow):
        return jnp.where(policy.x[0] > 0.5, jnp.nan, 0.0), {}

    value, gradient, _ = EvolutionStrategy(2)(half_broken, AT, key=jax.random.key(0))
    assert value == 0
    assert np.all(np.isnan(gradient.x)) and np.all(np.isnan(gradient.y))


def test_bad_input():
    with pytest.raises(UndertowError, match=r"pass key=jax.random.key"):
        EvolutionStrategy()(quadratic, AT)
    with pytest.raises(UndertowError, match="samples must be"):
        EvolutionStrategy(0)
    with pytest.raises(UndertowError, match="sigma must be"):
        EvolutionStrategy(sigma=0.0)
    with pytest.raises(UndertowError, match="chunk must be"):
        EvolutionStrategy(chunk=0)
