"""Derivatives through the closed loop with learned weights, with respect to the state and to every parameter.

`DirectionalPolicy` has a derivative everywhere, constant states included (with its prior even for `relu`, whose kink the
gate closes there). `PairedPolicy` has a useful one only where no stencil is constant, as its docstring says.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_derivatives_agree, derivative_mismatches, quick_jit, random_like
from tests.states import CELLS, STATES, pieces, smooth
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.splitting import FixedSpeed, GlobalSpeed, SmoothSpeed

KEY = jax.random.key(0)


def in_the_loop(policy, speed, steps=3, boundary="outflow"):
    """The last state as a function of (initial state, parameters), and the parameters at random values."""
    arrays, rest = eqx.partition(policy, eqx.is_inexact_array)
    scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), boundary, order=policy.order, speed=speed)
    env = Conservation(scheme, FixedStep(0.005), ForwardEuler())

    def function(point):
        u, parameters = point
        return rollout(env, eqx.combine(parameters, rest), env.initial(u), steps).final.u

    return function, jax.tree.map(lambda x: 0.7 * x, random_like(arrays, jax.random.key(1)))


@pytest.mark.parametrize(
    ("options", "speed"),
    [
        ({"order": 3, "activation": "tanh"}, FixedSpeed(2.5)),
        ({"order": 5, "activation": "relu"}, SmoothSpeed()),
        ({"order": 7, "activation": "silu"}, SmoothSpeed()),
        ({"order": 5, "activation": "tanh", "prior": False}, SmoothSpeed()),
    ],
    ids=["tanh-3", "relu-5", "silu-7", "free-5"],
)
def test_derivatives_of_the_directional_policy_agree_everywhere(options, speed):
    function, parameters = in_the_loop(DirectionalPolicy(key=KEY, hidden=(6,), **options), speed)
    mismatches = derivative_mismatches(function)
    for name, state in STATES.items():
        assert_derivatives_agree(mismatches, (jnp.asarray(state())[None], parameters), label=name)


@pytest.mark.parametrize("order", [3, 5])
def test_derivatives_of_the_paired_policy_agree_where_no_stencil_is_constant(order):
    policy = PairedPolicy(key=KEY, order=order, hidden=(6,), activation="tanh")
    # With outflow the outermost stencils would be constant at order 3.
    function, parameters = in_the_loop(policy, SmoothSpeed(), boundary="periodic")
    assert_derivatives_agree(derivative_mismatches(function), (jnp.asarray(smooth())[None], parameters))


@pytest.mark.parametrize("make", [PairedPolicy, DirectionalPolicy])
def test_gradients_of_parameters_are_finite_where_everything_is_constant(make):
    """The first training run of a prototype was all NaN here: the standard deviation of a constant stencil."""
    function, parameters = in_the_loop(make(key=KEY, hidden=(6,)), GlobalSpeed(), steps=2)
    gradient = quick_jit(jax.grad(lambda p, u: jnp.sum(function((u, p)) ** 2)))
    for u in (pieces(), np.zeros(CELLS), np.full(CELLS, 0.3)):
        leaves = jax.tree.leaves(gradient(parameters, jnp.asarray(u)[None]))
        assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
