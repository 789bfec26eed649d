"""Time steps: landing on the end time, and completing what was left out."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertow._checks import UndertowError
from undertow.numerics.timestep import REFERENCE_SPEED, CFLStep, FixedStep, complete


def positive(low, high):
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


@jax.jit
def march(cfl, end_time, speeds_over_dx):
    step = CFLStep(cfl=cfl, end_time=end_time, dx=0.1)

    def body(time, speed):
        dt = step(speed, time)
        return time + dt, (time + dt, dt)

    return jax.lax.scan(body, jnp.zeros(()), speeds_over_dx)[1]


def test_a_fixed_step_is_fixed_and_a_leaf():
    assert float(FixedStep(0.25)(jnp.asarray(1e9), jnp.asarray(0.0))) == 0.25
    each = jax.vmap(lambda dt: FixedStep(dt)(jnp.asarray(1.0), jnp.asarray(0.0)))(jnp.asarray([0.1, 0.2]))
    np.testing.assert_array_equal(each, [0.1, 0.2])


def test_cfl_steps_are_the_courant_number_over_the_speed():
    step = CFLStep(cfl=0.5, end_time=10.0, dx=0.01)
    np.testing.assert_allclose(step(jnp.asarray(200.0), jnp.asarray(0.0)), 0.5 / 200, rtol=1e-15)


def test_a_floor_of_the_speed_is_the_users():
    step = CFLStep(cfl=0.1, end_time=1e9, dx=0.02, min_speed=0.01)
    np.testing.assert_allclose(step(jnp.asarray(0.0), jnp.asarray(0.0)), 0.1 * 0.02 / 0.01, rtol=1e-15)


def test_a_state_at_rest_takes_one_step_to_the_end():
    """However far: no speed is too small to be one."""
    assert float(CFLStep(0.5, 1e9)(jnp.asarray(0.0), jnp.asarray(1.0))) == 1e9 - 1
    assert float(CFLStep(0.5, math.inf)(jnp.asarray(0.0), jnp.asarray(1.0))) == 0
    assert jnp.isnan(CFLStep(0.5, 1.0)(jnp.asarray(jnp.nan), jnp.asarray(0.0)))
    slope = jax.grad(lambda s: CFLStep(0.5, 1.0)(s, jnp.asarray(0.0)))
    assert float(slope(0.0)) == 0 and float(slope(2.0)) == pytest.approx(-0.125)


@given(positive(1e-30, 1e30), positive(1e-30, 1e30))
def test_steps_have_the_unit_of_time(speed, scale):
    one, other = CFLStep(0.5, 1e3 / speed), CFLStep(0.5, 1e3 / speed * scale)
    dt = float(one(jnp.asarray(speed), jnp.asarray(0.0)))
    np.testing.assert_allclose(other(jnp.asarray(speed / scale), jnp.asarray(0.0)), dt * scale, rtol=1e-12)


def test_a_clipped_fixed_step():
    step = FixedStep(0.03, end_time=0.1)
    np.testing.assert_allclose(
        [step(jnp.asarray(1.0), jnp.asarray(t)) for t in (0.0, 0.09, 0.1)], [0.03, 0.01, 0], atol=1e-15
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedStep(-0.1),
        lambda: FixedStep(jnp.asarray(jnp.nan)),
        lambda: CFLStep(-0.1, 1.0),
        lambda: CFLStep(0.0, 1.0),
        lambda: CFLStep(None, 1.0),
        lambda: CFLStep(0.5, 1.0, min_speed=0.01),
    ],
)
def test_rules_that_cannot_be(make):
    with pytest.raises(UndertowError, match="must be a (finite )?number|needs the cell size"):
        make()


@given(positive(0.05, 1.0), positive(0.1, 3.0), st.integers(0, 2**32 - 1))
def test_the_last_cfl_step_lands_on_the_end_time_and_later_ones_do_nothing(cfl, end_time, seed):
    speeds = np.random.default_rng(seed).uniform(3.0, 30.0, size=2000)
    times, dts = march(cfl, end_time, speeds)
    arrived = np.asarray(times) == end_time
    assert arrived[-1]  # 2000 of the shortest steps, 0.05 / 30, reach beyond 3
    assert np.all(np.asarray(times) <= end_time)
    assert np.all(np.asarray(dts)[1:][arrived[:-1]] == 0)
    before = np.flatnonzero(~arrived)
    np.testing.assert_allclose(np.asarray(dts)[before], cfl / speeds[before], rtol=1e-12)


@pytest.mark.parametrize("end_time", [0.1, 0.2, 1 / 3, 0.7])
def test_the_published_burgers_set_up(end_time):
    done = complete(dt=4e-4, end_time=end_time)
    assert done.num_cells == 128
    assert done.steps == math.ceil(end_time / 4e-4 - 1e-9)


def test_the_published_numbers():
    training = complete(dt=4e-4, end_time=0.1)
    assert (training.num_cells, training.steps) == (128, 250)
    assert training.end_time == pytest.approx(0.1, rel=1e-14)
    assert complete(num_cells=128, end_time=0.2).dt == pytest.approx(4e-4, rel=1e-14)
    assert complete(num_cells=128, end_time=0.2).steps == 500
    # Jiang, Shu and Zhang's example 7, on [0, 4]^2.
    jsz7 = complete(num_cells=160, end_time=0.5, length=4.0)
    assert jsz7.dt == pytest.approx(0.00128, rel=1e-14)
    assert jsz7.steps == 391
    assert complete(dt=0.00128, end_time=0.5, length=4.0).num_cells == 160


CELLS = st.integers(1, 20_000)
STEPS = st.integers(1, 20_000)
LENGTH = positive(0.1, 10.0)
COURANT = positive(0.01, 1.0)


@given(CELLS, STEPS, LENGTH, COURANT)
def test_what_cells_and_steps_give_gives_cells_and_steps(cells, steps, length, cfl):
    one = complete(num_cells=cells, steps=steps, length=length, cfl=cfl)
    assert one.dt == pytest.approx(cfl * length / cells / REFERENCE_SPEED)
    assert one.end_time == pytest.approx(steps * one.dt)
    # Any sufficient part of it leads back to all of it.
    for part in (
        {"dt": one.dt, "end_time": one.end_time},
        {"dt": one.dt, "steps": steps},
        {"steps": steps, "end_time": one.end_time},
        {"num_cells": cells, "end_time": one.end_time},
        {"num_cells": cells, "dt": one.dt, "steps": steps, "end_time": one.end_time},
    ):
        other = complete(**part, length=length, cfl=cfl)
        assert (other.num_cells, other.steps) == (cells, steps)
        assert other.dt == pytest.approx(one.dt, rel=1e-12)
        assert other.end_time == pytest.approx(one.end_time, rel=1e-12)


@given(positive(1e-5, 1e-2), positive(1e-2, 1.0), LENGTH, COURANT)
def test_the_horizon_reaches_the_end_time_with_the_fewest_steps(dt, end_time, length, cfl):
    done = complete(dt=dt, end_time=end_time, length=length, cfl=cfl)
    assert done.dt == dt
    assert done.steps * dt >= end_time * (1 - 1e-11)
    assert (done.steps - 1) * dt < end_time
    assert done.end_time == done.steps * dt
    # The cells are the fewest for which the step does not fall short of the Courant number.
    assert cfl * length / done.num_cells / REFERENCE_SPEED <= dt * (1 + 1e-11)
    assert done.num_cells == 1 or cfl * length / (done.num_cells - 1) / REFERENCE_SPEED > dt


@given(positive(1e-4, 1e-2), st.integers(1, 1000), positive(1.001, 3.0))
def test_contradictions_are_refused(dt, steps, factor):
    for end_time in (dt * steps * factor, dt * steps / factor):
        with pytest.raises(UndertowError, match="contradict each other.*leave one of them out"):
            complete(dt=dt, steps=steps, end_time=end_time)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the time step cannot be derived"),
        ({"end_time": 1.0}, "the time step cannot be derived"),
        ({"steps": 10}, "the time step cannot be derived"),
        ({"dt": 0.1}, "the horizon cannot be derived"),
        ({"num_cells": 10}, "the horizon cannot be derived"),
        ({"dt": -0.1, "steps": 1}, "dt must be a finite number above 0, got -0.1"),
        ({"dt": float("nan"), "steps": 1}, "dt must be a finite number above 0"),
        ({"dt": 0.1, "end_time": 0.0}, "end_time must be a finite number above 0"),
        ({"dt": 0.1, "steps": 0}, "steps must be a whole number above 0, got 0"),
        ({"num_cells": 12.5, "steps": 1}, "num_cells must be a whole number above 0"),
        ({"num_cells": 12, "steps": 1, "cfl": 0.0}, "cfl must be a finite number above 0"),
        ({"num_cells": 12, "steps": 1, "length": -1.0}, "length must be a finite number above 0"),
        ({"num_cells": 12, "steps": 1, "speed": float("inf")}, "speed must be a finite number above 0"),
    ],
)
def test_bad_values_are_refused(given, message):
    with pytest.raises(UndertowError, match=message):
        complete(**given)
