"""Every named case in other units: the same values and the same steps, whatever mass, time and length are measured in.

    python -m pytest validation/test_units.py -q

takes a quarter of an hour on one core.
"""

import numpy as np
import pytest

import undertow as ut
from tests.scaled import ScaledCondition, ScaledField, assert_same
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS
from undertow.laws.euler import Euler
from undertow.laws.gas_cases import GAS_CASES
from undertow.laws.planes import PLANE_CASES, plane_case

CELLS = 48


@pytest.mark.parametrize("name", BURGERS_CONDITIONS)
def test_burgers_in_other_units_of_time(name):
    """u becomes s u, and t becomes t/s."""
    condition = ut.burgers_condition(name)
    one = ut.simulate(condition, num_cells=CELLS, end_time=0.1)
    for s in (2.0**-60, 1e-24, 1e-3, 1e20):
        other = ut.simulate(ScaledCondition(condition, s), num_cells=CELLS, end_time=0.1 / s)
        assert other.steps == one.steps, s
        assert_same(one.values[-1], other.values[-1], s)
        if one.exact is not None:
            assert_same(one.exact[-1], other.exact[-1], s)


@pytest.mark.parametrize("kind", ["characteristic", "component"])
@pytest.mark.parametrize("name", GAS_CASES)
def test_gases_in_other_units_of_mass_time_and_length(name, kind):
    field, end_time = GAS_CASES[name].field(), GAS_CASES[name].end_time
    options = {"num_cells": CELLS, "reconstruction": kind, "positivity": name in ("leblanc", "123", "vacuum")}
    one = ut.simulate(field, end_time=end_time, **options)
    units = ((1e-24, 1, 1), (1e20, 1, 1), (2.0**-80, 2.0**-30, 2.0**20), (1.2, 340, 1), (1e-9, 1e-3, 1e-6))
    for mass, speed, length in units:
        factors = mass * np.array([1.0, speed, speed**2])
        other = ut.simulate(ScaledField(field, factors, length), end_time=end_time * length / speed, **options)
        assert other.steps == one.steps, (mass, speed, length)
        # A change of the unit of mass by one rounding moves leblanc, nine orders of pressure, by 7e-10; powers of two by nothing.
        assert_same(one.values[-1], other.values[-1], factors, rounding=1e-8 if name == "leblanc" else 1e-11)


@pytest.mark.parametrize("name", PLANE_CASES)
def test_planes_in_other_units_of_mass_or_time(name):
    case = plane_case(name)
    field, end_time = case.field(), 0.2 * case.end_time
    gas = isinstance(field.law, Euler)
    one = ut.simulate(ScaledField(field, np.ones(field.law.num_components)), num_cells=16, end_time=end_time)
    for s in (2.0**-60, 1e-20, 1e18):
        factors = np.full(field.law.num_components, s)
        scaled = ScaledField(field, factors)
        other = ut.simulate(scaled, num_cells=16, end_time=end_time if gas else end_time / s)
        assert other.steps == one.steps, s
        assert_same(one.values[-1], other.values[-1], factors)
