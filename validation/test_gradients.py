"""Gradients through long unrolls, and derivatives in more combinations than the tests can afford."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_derivatives_agree, derivative_mismatches, random_like
from tests.states import STATES
from undertow.core.flow import FULL
from undertow.core.gradient import GRADIENTS, Backprop
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task, stack_problems
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS, SSPRK3, ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.policies.classical import ClassicalPolicy
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.splitting import FixedSpeed, GlobalSpeed, LocalSpeed, SmoothSpeed
from undertow.schemes.weights import WenoJS, WenoZ, linear

CELLS = 48
KEY = jax.random.key(0)


def loop(policy, speed, steps, integrator, boundary="outflow", dt=0.002, scale=0.3):
    """The last state as a function of (initial state, parameters), and parameters as training might leave them."""
    arrays, rest = eqx.partition(policy, eqx.is_inexact_array)
    scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), boundary, order=policy.order, speed=speed)
    env = Conservation(scheme, FixedStep(dt), integrator)

    def function(point):
        u, parameters = point
        return rollout(env, eqx.combine(parameters, rest), env.initial(u), steps).final.u

    return function, jax.tree.map(lambda x: scale * x, random_like(arrays, jax.random.key(1)))


POLICIES = {
    "linear-5": ClassicalPolicy(linear(5)),
    "js-3": ClassicalPolicy(WenoJS(3)),
    "js-5": ClassicalPolicy(WenoJS(5)),
    "js-7": ClassicalPolicy(WenoJS(7)),
    "z-5": ClassicalPolicy(WenoZ(5)),
    "z-7": ClassicalPolicy(WenoZ(7)),
    "directional-5": DirectionalPolicy(key=KEY),
    "directional-7": DirectionalPolicy(key=KEY, order=7, activation="tanh"),
    "paired-5": PairedPolicy(key=KEY, hidden=(16, 16)),
}


@pytest.mark.parametrize("speed", [GlobalSpeed(), LocalSpeed(), SmoothSpeed()], ids=["global", "local", "smooth"])
@pytest.mark.parametrize("name", POLICIES)
def test_gradients_are_finite_over_a_thousand_steps(name, speed):
    # Of seven points, the stencils at the ends extrapolate so far that larger random weights are an unstable scheme.
    function, parameters = loop(POLICIES[name], speed, 1000, SSPRK3(), scale=0.1 if name == "directional-7" else 0.3)
    value_and_gradient = jax.jit(jax.value_and_grad(lambda point: jnp.sum(function(point) ** 2)))
    for label, state in STATES.items():
        value, gradient = value_and_gradient((jnp.asarray(state(CELLS))[None], parameters))
        assert np.isfinite(value), f"{label}: the scheme itself blows up"
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient)), label


@pytest.mark.parametrize(
    ("integrator", "speed"), [("ssp_rk3", SmoothSpeed()), ("rk4", FixedSpeed(3.0))], ids=["ssp_rk3-smooth", "rk4-fixed"]
)
@pytest.mark.parametrize(
    "policy",
    [
        *(ClassicalPolicy(make(order)) for order in (3, 5, 7, 9, 11, 13) for make in (linear, WenoJS, WenoZ)),
        *(DirectionalPolicy(key=KEY, order=order, hidden=(8,)) for order in (3, 5, 7)),
    ],
    ids=[
        *(f"{name}-{order}" for order in (3, 5, 7, 9, 11, 13) for name in ("linear", "js", "z")),
        *(f"directional-{order}" for order in (3, 5, 7)),
    ],
)
def test_derivatives_agree(policy, speed, integrator):
    function, parameters = loop(policy, speed, 3, INTEGRATORS[integrator])
    # Three steps at order 13 bend what one does: with the usual step of the difference its own error, h^4, would be seen.
    # Round-off is about 1e-8 here.
    mismatches = derivative_mismatches(function, step=3e-8)
    for name, state in STATES.items():
        assert_derivatives_agree(mismatches, (jnp.asarray(state(CELLS))[None], parameters), directions=3, label=name)


def test_values_are_the_same_under_every_estimator():
    """Bit for bit, over a batch of problems with other boundaries; the tests do so on small systems."""
    policy = DirectionalPolicy(key=KEY, order=3, hidden=(4,), activation="tanh")
    arrays, rest = eqx.partition(policy, eqx.is_inexact_array)
    policy = eqx.combine(random_like(arrays, jax.random.key(1)), rest)
    task = Task(FinalCost(lambda state: jnp.sum(state.u**2)), 2)
    schemes = [
        SemiDiscrete(Burgers(), UniformGrid(24), kind, order=3, speed=SmoothSpeed()) for kind in ("periodic", "outflow")
    ]
    envs = [Conservation(scheme, FixedStep(0.004), ForwardEuler()) for scheme in schemes]
    batch = stack_problems([Problem(env, env.initial(jnp.asarray(STATES["smooth"](24))[None])) for env in envs])
    estimate = eqx.filter_jit(lambda g, p: g(lambda q, flow: task.loss(q, flow, batch), p, key=jax.random.key(0)))
    value = estimate(Backprop(FULL), policy)[0]
    for name, estimator in GRADIENTS.items():
        other, gradient, metrics = estimate(estimator, policy)
        assert other == value, name
        assert metrics["losses"].shape == (2,)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient)), name
