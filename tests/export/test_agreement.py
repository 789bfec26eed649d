"""The numpy loader gives the actions that JAX gives, on what policies see in the solver and in the simulators."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.exports import seen_by_controller, seen_by_scheme
from tests.helpers import quick_jit, random_like
from undertow._checks import UndertowError
from undertow.assembly import build
from undertow.config import GridConfig, PolicyConfig
from undertow.export.describe import describe_policy
from undertow.export.portable import ACTIVATIONS, Policy, PortableError
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.policies import network
from undertow.policies.classical import classical
from undertow.policies.controller import Controller
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.presets import preset
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import WenoZ


def noisy(policy, size=0.3):
    """The policy with normal weights: no layer is zero."""
    weights = random_like(policy, jax.random.key(3))
    return jax.tree.map(lambda old, new: (size * new).astype(old.dtype), policy, weights)


def portable(policy, precision="float64", shape=()):
    about, tensors = describe_policy(policy, precision, shape)
    return Policy({"policy": about}, tensors)


def largest(seen, loaded):
    return max(np.max(np.abs(loaded(each.observations) - each.actions)) for each in seen)


EULER = preset("euler").config
BURGERS = replace(preset("burgers").config, grid=GridConfig(num_cells=64, steps=40, end_time=0.1, integrator="euler"))
SMALL = GridConfig(num_cells=24, steps=40, end_time=0.1, order=3, integrator="euler")
SCHEMES = {
    "the flagship": BURGERS,
    "the published agent": replace(
        preset("burgers-paper").config, grid=replace(SMALL, order=5), policy=PolicyConfig("paired", hidden=(16, 16))
    ),
    "no prior, order 3": replace(BURGERS, grid=SMALL, policy=PolicyConfig(prior=False, activation="silu", hidden=(8,))),
    "bounded outputs": replace(BURGERS, grid=SMALL, policy=PolicyConfig(hidden=(8,), bound=0.3)),
    "bounded outputs, published agent": replace(
        preset("burgers-paper").config,
        grid=replace(SMALL, order=5),
        policy=PolicyConfig("paired", hidden=(16, 16), bound=0.3),
    ),
    "characteristic fields": replace(
        EULER, grid=replace(EULER.grid, num_cells=24, integrator="euler", positivity=False)
    ),
}


@pytest.mark.parametrize("config", SCHEMES.values(), ids=SCHEMES)
def test_weights_at_all_faces_of_ten_cases(config):
    policy = noisy(build(config).policy)
    seen = seen_by_scheme(policy, config, named=False)
    assert len(seen) == 10
    faces = config.grid.num_cells + 1 if config.grid.num_cells else 0
    assert all(each.observations.shape[1] == 2 * faces * (3 if config.law.name == "euler" else 1) for each in seen)
    assert largest(seen, portable(policy)) < 1e-12
    # They are convex weights that differ from place to place, not a constant that would agree by accident.
    actions = np.concatenate([each.actions for each in seen], axis=1)
    np.testing.assert_allclose(actions.sum(axis=-1), 1, atol=1e-14)
    assert np.ptp(actions[..., 0]) > 0.1


@pytest.mark.parametrize("name", ["guidance", "quantum"])
def test_actions_of_ten_states(name):
    config = preset(name).config
    policy = noisy(build(config).policy, 0.1)
    loaded = portable(policy, "float32")
    assert largest(seen_by_controller(policy, config, "float64"), loaded) < 1e-12
    single = seen_by_controller(policy, config, "float32")
    assert loaded(single[0].observations).dtype == np.float32
    assert largest(single, loaded) < 1e-5


@pytest.mark.parametrize("order", [3, 5, 7, 9, 11, 13])
def test_a_silent_network_leaves_the_prior(order, rng):
    """Where the gate is closed or the network says nothing, weights are WENO-Z's, at every order."""
    loaded = portable(DirectionalPolicy(key=jax.random.key(0), order=order, hidden=(4,), freedom=1e-150))
    stencils = rng.normal(size=(2, 5, order))
    np.testing.assert_allclose(loaded(stencils), quick_jit(WenoZ(order))(stencils), rtol=1e-9, atol=1e-13)


def test_activations(rng):
    assert set(ACTIVATIONS) == set(network.ACTIVATIONS)
    x = np.concatenate([rng.normal(size=50), [0.0, -0.0, 40.0, -40.0, 700.0, -700.0, 1e4, -1e4]])
    for name, act in ACTIVATIONS.items():
        np.testing.assert_allclose(
            act(x), network.ACTIVATIONS[name](jnp.asarray(x)), rtol=1e-14, atol=1e-300, err_msg=name
        )
        assert act(x.astype(np.float32)).dtype == np.float32, name


def test_stencils_and_fluxes_of_rows_of_cells(rng):
    """What the loader makes of split fluxes is what the solver makes of them."""
    policy = noisy(PairedPolicy(key=jax.random.key(0), hidden=(8,)))
    scheme = SemiDiscrete(Burgers(), UniformGrid(12), "periodic")
    u = rng.normal(size=12)
    stencils, expected = quick_jit(lambda u: ((s := scheme.stencils(u)), scheme.fluxes(s, policy(s))))(
        jnp.asarray(u[None])
    )
    padded = np.concatenate([u[-3:], u, u[:3]])
    alpha = np.max(np.abs(u))
    loaded = portable(policy)
    mine = loaded.stencils((padded**2 / 2 + alpha * padded) / 2, (padded**2 / 2 - alpha * padded) / 2)
    np.testing.assert_allclose(mine, stencils[0][:, 0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(loaded.fluxes(mine), expected[0][0], rtol=0, atol=1e-14)


def test_wrong_observations_are_told():
    scheme = portable(PairedPolicy(key=jax.random.key(0), hidden=(4,)))
    controller = portable(Controller(4, (1,), key=jax.random.key(0), hidden=(4,)))
    for policy, x, match in (
        (scheme, np.zeros((2, 3, 4)), r"takes observations of shape \(..., 5\), got \(2, 3, 4\)"),
        (scheme, np.zeros((3, 5)), "sees both stencils"),
        (scheme, np.zeros((2, 5), complex), "real numbers"),
        (controller, np.zeros(5), r"shape \(..., 4\), got \(5,\)"),
    ):
        with pytest.raises(PortableError, match=match):
            policy(x)
    with pytest.raises(PortableError, match="has no stencils"):
        controller.stencils(np.zeros(9), np.zeros(9))
    with pytest.raises(PortableError, match="at least 6 cells"):
        scheme.stencils(np.zeros(5), np.zeros(5))


def test_what_the_loader_cannot_evaluate_is_refused():
    with pytest.raises(UndertowError, match="a ClassicalPolicy cannot be exported: the numpy loader evaluates"):
        describe_policy(classical("weno-js"), "float64")

    class Sharper(PairedPolicy):
        sharpness: float = 2.0

    with pytest.raises(UndertowError, match="a Sharper cannot be exported"):
        describe_policy(Sharper(key=jax.random.key(0), hidden=(4,)), "float64")
    policy = Controller(2, (1,), key=jax.random.key(0), hidden=(4,))
    with pytest.raises(UndertowError, match="does not fit float32"):
        describe_policy(policy, "float32")
    with pytest.raises(UndertowError, match="is not finite"):
        describe_policy(jax.tree.map(lambda x: x * jnp.nan, policy), "float64")
