"""Derivatives of the solver: reverse mode, forward mode and finite differences agree, at constant states too.

This is claimed where the formulas have a derivative: epsilon above round-off in the weights, a smooth or fixed splitting
speed. What is said about the others is tested with them, in test_weights and test_splitting.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_derivatives_agree, derivative_mismatches, quick_jit
from tests.states import CELLS, STATES, pieces, smooth
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import FixedSpeed, GlobalSpeed, LocalSpeed, SmoothSpeed
from undertow.schemes.weights import WenoJS, WenoZ, linear

KINDS = {
    "linear": (linear, "periodic"),
    "js": (WenoJS, "outflow"),
    "z": (WenoZ, (("reflective", "quadratic"),)),
}


def marched(weights, boundary, *, integrator, steps=3, smooth_speed=True):
    """The last state as a function of everything real: initial state, step, viscosity and the bound of the speed."""

    def function(point):
        speed = SmoothSpeed() if smooth_speed else FixedSpeed(point["speed"])
        law = Burgers(point["viscosity"])
        scheme = SemiDiscrete(law, UniformGrid(CELLS), boundary, order=weights.order, speed=speed)
        step = FixedStep(point["dt"])
        return solve(scheme, weights, point["u"], steps=steps, time_step=step, integrator=integrator).values[-1]

    return function


def point_at(u):
    values = {"dt": 0.005, "viscosity": 0.002, "speed": 2.0}
    return {"u": jnp.asarray(u)[None]} | {name: jnp.asarray(value) for name, value in values.items()}


# Linear weights are numbers: one order stands for all. Higher orders take part in the validation.
@pytest.mark.parametrize(("kind", "order"), [("linear", 5), *itertools.product(("js", "z"), (3, 5))])
def test_derivatives_agree_on_smooth_shocked_and_piecewise_constant_states(kind, order):
    make, boundary = KINDS[kind]
    function = marched(make(order), boundary, integrator=ForwardEuler(), smooth_speed=kind != "z")
    mismatches = derivative_mismatches(function)
    for name, state in STATES.items():
        assert_derivatives_agree(mismatches, point_at(state()), label=name)


def test_derivatives_agree_through_stages():
    function = marched(WenoJS(5), "periodic", integrator=SSPRK3(), steps=2)
    assert_derivatives_agree(derivative_mismatches(function), point_at(pieces()))


@pytest.mark.parametrize("speed", [GlobalSpeed(), LocalSpeed()], ids=["global", "local"])
def test_hard_maxima_have_a_derivative_where_nothing_is_tied(speed):
    def function(u):
        scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), speed=speed)
        return solve(scheme, WenoJS(), u, steps=2, time_step=FixedStep(0.005), integrator=ForwardEuler()).values[-1]

    assert_derivatives_agree(derivative_mismatches(function), jnp.asarray(smooth())[None])


def test_cfl_steps_carry_their_share_of_the_derivative():
    """The step depends on the state; the last one is what is left to the end time."""

    def function(u):
        scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), speed=SmoothSpeed())
        step = CFLStep(cfl=0.4, end_time=0.03, dx=1 / CELLS)
        return solve(scheme, WenoJS(), u, steps=5, time_step=step, integrator=ForwardEuler()).values[-1]

    # Away from the maximum's ties; states after the end time are not moved, and their derivative is passed on.
    assert_derivatives_agree(derivative_mismatches(function), jnp.asarray(smooth())[None])


@pytest.mark.parametrize(
    ("weights", "speed"),
    [
        (WenoJS(), GlobalSpeed()),
        (WenoJS(), LocalSpeed()),
        (WenoZ(), SmoothSpeed()),
        (WenoJS(5, 1e-16, "original"), GlobalSpeed()),
    ],
    ids=["js-global", "js-local", "z-smooth", "original-global"],
)
def test_gradients_are_finite_where_everything_is_constant(weights, speed):
    """Constant stencils are everywhere in shock tubes; a NaN there would poison every parameter."""

    def total(u):
        scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), "outflow", speed=speed)
        out = solve(scheme, weights, u, steps=2, time_step=FixedStep(0.005), integrator=ForwardEuler())
        return jnp.sum(out.values[-1] ** 2)

    gradient = quick_jit(jax.grad(total))
    for u in (pieces(), np.zeros(CELLS), np.full(CELLS, 0.3)):
        assert np.all(np.isfinite(gradient(jnp.asarray(u)[None])))
