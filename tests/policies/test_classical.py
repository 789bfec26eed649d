"""The classical schemes as policies in the loop."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.states import smooth
from undertow._checks import UndertowError
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.policies.classical import CLASSICAL, ClassicalPolicy, classical
from undertow.schemes.coefficients import weno_coefficients
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import WenoJS, WenoZ


def environment(order=5, cells=(24,)):
    scheme = SemiDiscrete(Burgers(), UniformGrid(cells), order=order)
    return Conservation(scheme, FixedStep(0.002), ForwardEuler())


@functools.lru_cache
def stencils(order=5):
    return eqx.filter_jit(environment(order).observe)(environment(order).initial(jnp.asarray(smooth())[None]))


act = eqx.filter_jit(lambda policy, observation, key=None: policy(observation, key=key))


@eqx.filter_jit
def one_step(env, policy, u, key=None):
    return rollout(env, policy, env.initial(u), 1, key=key)


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_name_runs_and_conserves(name):
    u = jnp.asarray(smooth())[None]
    out = one_step(environment(), classical(name), u)
    assert out.final.u.shape == u.shape
    assert np.all(np.isfinite(out.final.u))
    if name != "random":  # which draws another action at the last face, although it is the first one again
        np.testing.assert_allclose(jnp.sum(out.final.u), jnp.sum(u), rtol=1e-13)
    if name == "stationary":
        np.testing.assert_array_equal(out.final.u, u)
    else:
        assert np.abs(out.final.u - u).max() > 1e-4


@pytest.mark.parametrize("order", [3, 7])
def test_every_name_gives_convex_weights_at_every_order(order):
    policies = {name: classical(name, order) for name in CLASSICAL}
    assert {policy.order for policy in policies.values()} == {order}
    together = eqx.filter_jit(lambda seen: {name: policy(seen) for name, policy in policies.items()})(stencils(order))
    for name, (weights,) in together.items():
        assert weights.shape == (2, 1, 25, (order + 1) // 2)
        assert np.all(weights >= 0)
        np.testing.assert_allclose(jnp.sum(weights, axis=-1), 0.0 if name == "stationary" else 1.0, rtol=1e-13)


def test_the_names_stand_for_what_they_say():
    (seen,) = stencils()
    expected = {
        "weno-js": WenoJS(5)(seen),
        "weno-js-original": WenoJS(5, 1e-16, "original")(seen),
        "weno-z": WenoZ(5)(seen),
        "linear": weno_coefficients(5).linear_weights,
        "equal": np.full(3, 1 / 3),
        "left": [1.0, 0.0, 0.0],
        "middle": [0.0, 1.0, 0.0],
        "right": [0.0, 0.0, 1.0],
        "stationary": np.zeros(3),
    }
    assert set(expected) | {"random"} == set(CLASSICAL)
    for name, weights in expected.items():
        np.testing.assert_allclose(
            act(classical(name), (seen,))[0], np.broadcast_to(weights, (2, 1, 25, 3)), rtol=1e-14
        )


def test_one_policy_serves_every_axis():
    env = environment(cells=(8, 12))
    u = jnp.asarray(smooth(96)).reshape(1, 8, 12)
    observation = eqx.filter_jit(env.observe)(env.initial(u))
    for name in ("weno-js", "random"):
        weights = act(classical(name), observation)
        assert [w.shape for w in weights] == [(2, 1, 9, 12, 3), (2, 1, 8, 13, 3)]


def test_the_random_policy_follows_its_key():
    policy, seen = classical("random"), stencils()
    (one,), (same,) = act(policy, seen), act(policy, seen)
    np.testing.assert_array_equal(one, same)
    (other,) = act(policy, seen, jax.random.key(5))
    assert not np.any(one == other)
    assert len(np.unique(one)) == one.size  # every face and direction draws its own
    out = one_step(environment(), policy, jnp.asarray(smooth())[None], jax.random.key(1))
    again = one_step(environment(), policy, jnp.asarray(smooth())[None], jax.random.key(1))
    np.testing.assert_array_equal(out.final.u, again.final.u)


def test_parameter_free_policies_have_nothing_to_train():
    for name in set(CLASSICAL) - {"random"}:
        assert jax.tree.leaves(eqx.filter(classical(name), eqx.is_inexact_array)) == []
    assert isinstance(classical("weno-z", 7), ClassicalPolicy)


def test_unknown_names_and_orders_are_refused():
    with pytest.raises(UndertowError, match="unknown policy 'wenojs'; did you mean 'weno-js'"):
        classical("wenojs")
    with pytest.raises(UndertowError, match="order must be one of 3, 5, 7"):
        classical("weno-js", 4)
