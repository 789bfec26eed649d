"""The same problem in other units is the same problem: no constant has a unit that nobody named."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import undertow as ut
from tests.helpers import quick_jit
from tests.scaled import ScaledCondition, ScaledField, assert_same
from undertow._checks import UndertowError
from undertow.envs.objectives import FieldReference, LogTrajectoryError
from undertow.laws.burgers_exact import burgers_exact
from undertow.laws.euler import Euler
from undertow.laws.euler_riemann import euler_riemann
from undertow.laws.fields import PiecewiseStates
from undertow.laws.sedov import sedov
from undertow.laws.shallow_water import ShallowWater
from undertow.laws.shallow_water_riemann import shallow_water_riemann
from undertow.numerics.integrator import SSPRK3, ForwardEuler
from undertow.numerics.norms import l2
from undertow.policies.classical import classical
from undertow.schemes.interpolation import WenoInterpolation
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.riemann import RiemannScheme
from undertow.schemes.splitting import SmoothSpeed

CELLS = 24
EULER = ForwardEuler()
X = np.linspace(0, 1, CELLS, endpoint=False) + 0.5 / CELLS
SCALES = st.floats(-24, 20).map(lambda power: 10.0**power)
FEW = settings(max_examples=12)  # one program each: scales are data


def solved(scheme, weights, integrator=EULER):
    """Six steps as one compiled program of the initial state and the step. Stages are sums that have no constants."""
    options = {"steps": 6, "integrator": integrator}
    return quick_jit(lambda u, dt: ut.solve(scheme, weights, u, time_step=ut.FixedStep(dt), **options).values[-1])


def jumps(seed):
    rng = np.random.default_rng(seed)
    return rng.normal() + np.where((X > 0.2) & (X < 0.6), *rng.normal(size=(2, 1))) + 0.1 * np.sin(2 * np.pi * X)


SPEEDS = {"global": None, "smooth": SmoothSpeed()}
BURGERS = {
    f"{name}-{speed}": solved(
        ut.SemiDiscrete(ut.Burgers(), ut.UniformGrid(CELLS), speed=SPEEDS[speed]),
        weights,
        SSPRK3() if (name, speed) == ("js", "global") else EULER,
    )
    for name, weights in (("js", ut.schemes.WenoJS()), ("z", ut.schemes.WenoZ()))
    for speed in SPEEDS
}


@pytest.mark.parametrize("name", BURGERS)
@given(scale=SCALES, seed=st.integers(0, 99))
@FEW
def test_burgers_in_other_units_of_time(name, scale, seed):
    u, dt = jumps(seed)[None], 0.2 / CELLS / 4
    one = np.asarray(BURGERS[name](u, dt))
    assert_same(one, BURGERS[name](scale * u, dt / scale), scale)
    two = 2.0 ** round(np.log2(scale))
    assert_same(one, BURGERS[name](two * u, dt / two), two, exactly=True)


def gas(seed):
    rng = np.random.default_rng(seed)
    inside = (X > 0.3) & (X < 0.7)
    states = np.exp(rng.normal(size=2)), rng.normal(size=2), np.exp(rng.normal(size=2))
    w = np.stack([np.where(inside, *pair) for pair in states])
    return np.asarray(Euler().conserved(jnp.asarray(w)))


GRID = ut.UniformGrid(CELLS)
GASES = {
    "component": solved(ut.SemiDiscrete(Euler(), GRID, "outflow"), ut.schemes.WenoJS()),
    "characteristic": solved(
        ut.SemiDiscrete(Euler(), GRID, "outflow", reconstruction="characteristic"), ut.schemes.WenoJS()
    ),
    "hllc": solved(RiemannScheme(Euler(), GRID, "outflow"), None),
    "hllc-characteristic": solved(RiemannScheme(Euler(), GRID, "outflow", reconstruction="characteristic"), None),
}


@pytest.mark.parametrize("name", GASES)
@given(mass=SCALES, speed=st.floats(-12, 12).map(lambda power: 10.0**power), seed=st.integers(0, 99))
@FEW
def test_gases_in_other_units_of_mass_and_time(name, mass, speed, seed):
    u = gas(seed)
    dt = 0.1 / CELLS / float(jnp.max(Euler().max_speed(jnp.asarray(u), 0)))
    factors = mass * np.array([1, speed, speed**2])
    one, other = GASES[name](u, dt), GASES[name](factors[:, None] * u, dt / speed)
    assert_same(one, other, factors)


@quick_jit
def _flow(u, gravity, dt):
    scheme = ut.SemiDiscrete(ShallowWater(gravity), GRID, "outflow")
    return ut.solve(scheme, ut.schemes.WenoJS(), u, steps=6, time_step=ut.FixedStep(dt), integrator=EULER).values[-1]


@given(depth=SCALES, gravity=st.floats(-6, 6).map(lambda power: 10.0**power), seed=st.integers(0, 99))
@FEW
def test_water_in_other_units(depth, gravity, seed):
    rng = np.random.default_rng(seed)
    h = np.where(X < 0.5, *np.exp(rng.normal(size=2)))
    u, speed = np.stack([h, h * rng.normal()]), np.sqrt(depth * gravity)
    factors = depth * np.array([1, speed])
    dt = 0.02 / CELLS
    assert_same(_flow(u, 1.0, dt), _flow(factors[:, None] * u, gravity, dt / speed), factors)


def test_single_precision():
    """Games run in it: the same values for thin gases and slow waves as far as its numbers reach."""
    for run, u, factors in (
        (GASES["component"], gas(3), 2.0 ** np.array([-40.0, -40.0, -40.0])),
        (BURGERS["js-global"], jumps(3)[None], np.array([2.0**-16])),
    ):
        u, dt = jnp.asarray(u, jnp.float32), 2.0**-11
        speed = factors[0] if len(factors) == 1 else 1.0
        one, other = run(u, dt), run(jnp.asarray(factors, jnp.float32)[:, None] * u, dt / speed)
        assert other.dtype == jnp.float32
        assert_same(np.float64(one), np.float64(other), factors, rounding=1e-6)


def test_simulate_takes_as_long_and_finds_the_same():
    tube = PiecewiseStates(Euler(), [[1, 0, 1], [0.125, 0, 0.1]], [0.0], domain=(-0.5, 0.5))
    one = ut.simulate(tube, num_cells=CELLS, end_time=0.2)
    for s in (1e-12, 2.0**-80):
        other = ut.simulate(ScaledField(tube, [s, s, s]), num_cells=CELLS, end_time=0.2)
        assert other.steps == one.steps
        assert_same(one.values[-1], other.values[-1], s)
    shock = ut.burgers_condition("shock")
    one = ut.simulate(shock, num_cells=CELLS, steps=20)
    other = ut.simulate(ScaledCondition(shock, 1e-3), num_cells=CELLS, end_time=100.0, steps=20)
    assert_same(one.values[-1], other.values[-1], 1e-3)


def test_constants_that_are_named_stay():
    u = jnp.asarray(gas(0))
    named = Euler(density_floor=0.5, pressure_floor=0.25)
    assert named.relative_to(u) is named
    assert float(Euler(density_floor=0.5).relative_to(u).density_floor) == 0.5
    assert ShallowWater(depth_floor=0.1).relative_to(u[:2]).depth_floor == 0.1
    scheme = ut.SemiDiscrete(ut.Burgers(), GRID)
    run = solved(scheme, ut.schemes.WenoJS(5, 1e-6))
    u, s = jumps(1)[None], 1e-6
    one, other = run(u, 1e-3), run(s * u, 1e-3 / s)
    assert np.abs(np.asarray(other) / s - one).max() > 1e-3  # an epsilon with a unit, as asked for


def test_floors_of_usual_gases_are_the_usual_ones():
    law = Euler().relative_to(Euler().conserved(jnp.asarray([[1.0, 0.125], [0.0, 0.0], [1.0, 0.1]])))
    np.testing.assert_allclose([law.density_floor, law.pressure_floor], [1e-10, 1e-12])
    cold = Euler().relative_to(Euler().conserved(jnp.asarray([[1.0, 1.0], [0.0, 0.0], [300.0, 1e-10]])))
    assert float(cold.pressure_floor) <= 0.01 * 1e-10 * (1 + 1e-9)


def test_a_policy_in_other_units():
    """A learned policy carries the unit of its training, and takes another when asked to."""
    policy = classical("weno-js-original")
    shock, s = ut.burgers_condition("shock"), 2.0**-20
    one = ut.simulate(shock, policy, num_cells=CELLS, steps=20)
    scaled = {"condition": ScaledCondition(shock, s), "num_cells": CELLS, "steps": 20, "end_time": 0.1 / s}
    np.testing.assert_array_equal(ut.simulate(policy=policy, unit=s**2, **scaled).values[-1] / s, one.values[-1])
    assert np.abs(ut.simulate(policy=policy, **scaled).values[-1] / s - one.values[-1]).max() > 1e-3
    for bad in (0.0, -1.0, np.inf, [1.0, 2.0]):
        with pytest.raises(UndertowError, match="unit must be"):
            ut.simulate(shock, policy, num_cells=CELLS, steps=2, unit=bad)


@given(scale=SCALES)
@FEW
def test_exact_solutions_in_other_units(scale):
    for name in ("shock", "rarefaction", "smooth_sine"):
        condition = ut.burgers_condition(name)
        one = burgers_exact(condition, jnp.asarray(X), 0.3)
        other = burgers_exact(ScaledCondition(condition, scale), jnp.asarray(X), 0.3 / scale)
        assert_same(one[None], other[None], scale)
    left, right, xi = np.array([1.0, 0.5, 1.0]), np.array([0.125, 0.0, 0.1]), np.linspace(-2, 2, 32)
    factors = np.array([scale, 1, scale])
    one = euler_riemann(jnp.asarray(left), jnp.asarray(right), 1.4, jnp.asarray(xi))
    other = euler_riemann(jnp.asarray(factors * left), jnp.asarray(factors * right), 1.4, jnp.asarray(xi))
    assert_same(one, other, factors, rounding=1e-10)
    one = shallow_water_riemann(jnp.asarray(left[:2]), jnp.asarray(right[:2]), 9.81, jnp.asarray(xi))
    other = shallow_water_riemann(
        jnp.asarray(left[:2] * [scale, 1]), jnp.asarray(right[:2] * [scale, 1]), 9.81 / scale, jnp.asarray(xi)
    )
    assert_same(one, other, [scale, 1], rounding=1e-10)
    one = np.stack(sedov(X, 0.2, energy=1.0))
    other = np.stack(sedov(X, 0.2, energy=scale, density=scale))
    assert_same(one, other, [scale, 1, scale])


def test_contacts_in_si_units_with_a_riemann_solver():
    """Air beside water at a hundred metres per second: pressure and velocity stay."""
    law = Euler()
    w = np.stack([np.where((X > 0.3) & (X < 0.6), 1000.0, 1.2), 100 + 0 * X, 1e5 + 0 * X])
    scheme = RiemannScheme(law, GRID, limiter=PositivityLimiter())
    u = law.conserved(jnp.asarray(w))
    rule = ut.CFLStep(0.4, 1e-3, GRID.dx)
    run = quick_jit(lambda u: ut.solve(scheme, None, u, steps=60, time_step=rule, integrator=EULER).values[-1])
    density, velocity, pressure = law.primitive(run(u))
    assert float(jnp.min(density)) > 0
    np.testing.assert_allclose(velocity, 100, rtol=1e-10)
    np.testing.assert_allclose(pressure, 1e5, rtol=1e-10)


def test_interpolation_in_other_units():
    scheme, interpolation = ut.SemiDiscrete(ut.Burgers(), GRID), WenoInterpolation()
    refine = eqx.filter_jit(interpolation.refine)
    u = jumps(2)[None]
    one = refine(scheme, jnp.asarray(u), 2)
    for s in (1e-20, 1e-3, 1e18):
        assert_same(one, refine(scheme, jnp.asarray(s * u), 2), s)


def test_the_gradient_of_no_error_is_zero():
    gradient = jax.grad(lambda e: l2(e, 0.1))
    np.testing.assert_array_equal(gradient(jnp.zeros((2, 3))), 0.0)
    assert not np.isfinite(l2(jnp.asarray([[np.nan, 0.0]]), 0.1)) and l2(jnp.asarray([[np.inf, 0.0]]), 0.1) == np.inf
    e = jnp.asarray([[3.0, -4.0]])
    np.testing.assert_allclose(gradient(e), 0.1**0.5 * e / 5, rtol=1e-14)
    for s in (1e-200, 1e200):
        np.testing.assert_allclose(l2(s * e, 0.01), 0.5 * s, rtol=1e-14)


def test_the_objective_has_no_unit():
    scheme = ut.SemiDiscrete(ut.Burgers(), GRID)
    u, truth = jnp.asarray(jumps(4)[None, None]), jnp.asarray(jumps(5)[None, None])

    def value(s, **options):
        problem = SimpleNamespace(
            environment=SimpleNamespace(scheme=scheme), reference=FieldReference(s * truth, s * jnp.asarray(0.1))
        )
        return float(LogTrajectoryError(1, **options)(SimpleNamespace(after=SimpleNamespace(u=s * u)), problem))

    for s in (1e-12, 1e12):
        assert value(s) == pytest.approx(value(1.0), rel=1e-12)
    assert value(1e-12, floor=1e-6) == pytest.approx(0.0, abs=1e-4)
