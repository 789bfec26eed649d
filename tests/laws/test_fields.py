"""Gas problems as data: named ones, random ones, and what a change of units does to them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.laws.euler import Euler
from undertow.laws.fields import PiecewiseStates
from undertow.laws.gas_cases import GAS_CASES, gas_case, random_gas

EXACT = [name for name, case in GAS_CASES.items() if case.reference == "exact"]
UNIT = jnp.linspace(0.0, 1.0, 65)


@jax.jit
def solve(field, x, time):
    return field.law.primitive(field.exact(x, time=time))


@pytest.fixture(scope="module")
def gases():
    keys = jax.random.split(jax.random.key(3), 300)
    return jax.jit(jax.vmap(random_gas))(keys)


@pytest.mark.parametrize("name", EXACT)
def test_at_time_zero_the_exact_solution_is_the_initial_state(name):
    field = gas_case(name).field().padded(3)
    x = field.lower[0] + (field.upper[0] - field.lower[0]) * UNIT
    np.testing.assert_allclose(solve(field, x, 0.0), field.law.primitive(field(x)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in EXACT if GAS_CASES[name].boundary == "outflow"])
def test_no_wave_has_left_the_domain_by_the_end(name):
    """Else outflow and the unbounded solution would be different problems. Published states of single shocks are rounded and
    send a wave of 1e-7 ahead."""
    case = gas_case(name)
    field = case.field().padded(3)
    ends = jnp.asarray([field.lower[0], field.upper[0]])
    np.testing.assert_allclose(solve(field, ends, case.end_time), field.law.primitive(field(ends)), rtol=1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_other_units_are_the_same_problem(name):
    case = gas_case(name)
    field = case.field().padded(3)
    low, length = field.lower[0], field.upper[0] - field.lower[0]
    factor = case.end_time / (length * 0.2)
    other = field.normalised(0.2, case.end_time)
    expected = solve(field, low + length * UNIT, case.end_time) * jnp.asarray([1.0, factor, factor**2])[:, None]
    found = solve(other, UNIT, 0.2)
    # A point within round-off of a jump may fall on either side of it.
    agree = np.isclose(found, expected, rtol=1e-9, atol=1e-12).all(axis=0)
    assert agree.mean() > 0.95


def test_a_wave_is_carried_along_and_comes_back():
    wave = gas_case("density_advection").field()
    x = UNIT[:-1]
    quarter = wave.exact(x, time=0.25)
    np.testing.assert_allclose(quarter, jnp.roll(wave(x), 16, axis=1), atol=1e-13)
    np.testing.assert_allclose(wave.exact(x, time=1.0), wave(x), atol=1e-13)


def test_random_gases_are_physical_and_as_fast_as_promised(gases):
    states = np.asarray(gases.states)
    density, velocity, pressure = states[..., 0], states[..., 1], states[..., 2]
    assert (density > 0.12).all() and (density <= 1).all() and (pressure > 0).all()
    fastest = (np.abs(velocity) + np.sqrt(1.4 * pressure / density)).max(axis=1)
    assert (fastest > 0.8 - 1e-9).all() and (fastest < 1.5 + 1e-9).all()
    ratios = pressure[:, 0] / pressure[:, 1]
    assert max(ratios.max(), 1 / ratios.min()) > 100  # strong ones are among them
    flat = np.asarray(gases.amplitudes == 0).all(axis=1)
    assert 0.15 < flat.mean() < 0.35
    np.testing.assert_array_equal(states[:, 1], states[:, 2])  # the third piece begins where the domain ends


def test_values_at_a_jump_are_those_to_its_left():
    field = PiecewiseStates(Euler(), jnp.asarray([[1.0, 0.0, 1.0], [0.5, 0.0, 0.2]]), jnp.asarray([0.5]))
    np.testing.assert_array_equal(field(jnp.asarray([0.5, 0.5 + 1e-12]))[0], [1.0, 0.5])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((jnp.ones((2, 3)), jnp.ones(2)), "positions"),
        ((jnp.ones((2, 4)), jnp.ones(1)), "states"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, words):
    with pytest.raises(UndertowError, match=words):
        PiecewiseStates(Euler(), *arguments)


def test_what_has_no_exact_solution_says_so():
    field = gas_case("shu_osher").field()
    assert not field.solvable
    with pytest.raises(UndertowError, match="finer grid"):
        field.exact(UNIT, time=0.1)
    with pytest.raises(UndertowError, match="sod"):
        gas_case("sodd")
    with pytest.raises(UndertowError, match="pieces"):
        gas_case("blast").field().padded(2)
