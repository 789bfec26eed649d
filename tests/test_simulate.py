"""The plain solver by name: gases change by what flows in, tables hold what was computed, the truth lies beside it."""

from __future__ import annotations

import csv
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.evaluation.simulation import Simulation, quantities
from undertow.evaluation.simulation_checks import ends_hold
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.catalogue import case, case_names
from undertow.laws.euler import Euler
from undertow.laws.fields import PiecewiseStates
from undertow.laws.gas_cases import GAS_CASES
from undertow.laws.shallow_water import ShallowWater
from undertow.policies.classical import classical
from undertow.policies.controller import ZeroAction
from undertow.simulate import compare, simulate


@pytest.fixture(scope="module")
def sod() -> Simulation:
    return simulate("sod", num_cells=64, saves=2)


def test_a_name_brings_cells_and_time(sod: Simulation):
    assert sod.times.tolist() == [0.0, 0.1, 0.2] and sod.values.shape == (3, 3, 64)
    assert (sod.x[0], sod.x[-1]) == pytest.approx((-0.5 + 1 / 128, 0.5 - 1 / 128))
    named = case("shu_osher")
    assert (named.cells, named.end_time) == (GAS_CASES["shu_osher"].cells, GAS_CASES["shu_osher"].end_time)


def test_progress_is_told():
    told: list[tuple[int, int]] = []
    simulate("sod", num_cells=16, steps=4, saves=4, on_save=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_gas_changes_by_what_flows_in(sod: Simulation):
    """No wave has reached an end, but for ripples of 1e-9: all that flows is the pressures' push, (1 - 0.1) in a unit of time."""
    metrics = sod.metrics()
    assert metrics["change_of_momentum_x"] == pytest.approx(0.9 * 0.2, abs=1e-7)
    assert abs(metrics["change_of_density"]) < 1e-7 and abs(metrics["change_of_energy"]) < 1e-7
    assert metrics["minimum"] > 0.124 and metrics["maximum"] < 1.001 and 0.099 < metrics["minimum_pressure"] < 0.1001


def test_the_error_is_that_of_the_density(sod: Simulation):
    difference = np.abs(sod.values[-1, 0] - sod.exact[-1, 0])
    assert sod.metrics()["l1_error"] == pytest.approx(difference.mean())
    assert 1e-3 < difference.mean() < 2e-2


def test_the_exact_line_lies_between_the_cells(sod: Simulation):
    """Sod's solution at t = 0.2 has four constant states: 1, 0.42632, 0.26557 and 0.125 (Toro 2009, section 4.3.3)."""
    x, values = sod.truth()
    assert x.shape == (1024,) and values.shape == (3, 1024)
    found = [values[0, np.argmin(np.abs(x - at))] for at in (-0.4, 0.1, 0.25, 0.45)]
    np.testing.assert_allclose(found, [1.0, 0.42632, 0.26557, 0.125], atol=1e-5)


def test_quantities_of_laws():
    gas = Euler(gamma=5 / 3, dimensions=2)
    u = gas.conserved(jnp.asarray([2.0, 3.0, -1.0, 4.0])[:, None])
    found = quantities(gas, u)
    assert list(found) == ["density", "velocity x", "velocity y", "pressure", "internal energy"]
    np.testing.assert_allclose([v[0] for v in found.values()], [2, 3, -1, 4, 4 / (2 / 3 * 2)], rtol=1e-14)
    water = quantities(ShallowWater(), jnp.asarray([[2.0], [6.0]]))
    assert {name: float(v[0]) for name, v in water.items()} == {"depth": 2.0, "velocity": 3.0}
    assert list(quantities(Burgers(), jnp.zeros((1, 4)))) == ["u"]


def test_a_table_of_a_gas(sod: Simulation, tmp_path: Path):
    sod.to_csv(tmp_path / "sod.csv")
    with open(tmp_path / "sod.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    components, derived = ["density", "momentum_x", "energy"], ["velocity", "pressure", "internal_energy"]
    exact = [f"exact_{name}" for name in components + derived]
    assert list(rows[0]) == ["time", "x", *components, *derived, *exact] and len(rows) == 3 * 64
    last = [row for row in rows if row["time"] == "0.2"]
    for index, name in enumerate(components):
        assert [float(row[name]) for row in last] == sod.values[-1, index].tolist()
        assert [float(row[f"exact_{name}"]) for row in last] == sod.exact[-1, index].tolist()
    for row in last:
        assert float(row["velocity"]) * float(row["density"]) == pytest.approx(float(row["momentum_x"]), abs=1e-15)


def test_a_circle_of_gas_keeps_everything():
    result = simulate("density_advection", num_cells=32, end_time=0.2, cfl=0.3)
    metrics = result.metrics()
    for name in ("density", "momentum_x", "energy"):
        assert abs(metrics[f"change_of_{name}"]) < 1e-13
    assert metrics["l1_error"] < 1e-4


def test_positivity_is_passed_on():
    """One long step of the linear scheme from a strong jump: density and pressure fall below zero, unless fluxes are limited."""
    options = {"num_cells": 16, "steps": 1, "end_time": 0.02, "integrator": "euler", "reconstruction": "component"}
    for kept in (False, True):
        metrics = simulate("sod2", classical("linear"), positivity=kept, **options).metrics()
        assert (metrics["minimum"] > 0) == (metrics["minimum_pressure"] > 0) == kept


def test_scalars_are_as_they_were(tmp_path: Path):
    wave = burgers_condition("smooth_sine")
    result = simulate(wave, num_cells=32, end_time=0.05)
    assert result.values.shape == result.exact.shape == (2, 1, 32)
    assert list(result.metrics())[-4:] == ["total_variation", "minimum", "maximum", "mass_change"]
    result.to_csv(tmp_path / "u.csv")
    lines = (tmp_path / "u.csv").read_text().splitlines()
    assert lines[0] == "time,x,u,exact" and len(lines) == 1 + 2 * 32
    x, line = result.truth()
    assert x is result.x or np.array_equal(x, result.x)
    assert np.array_equal(line, result.exact[-1])


def test_characteristic_fields_are_the_default_of_a_gas(sod: Simulation):
    same = simulate("sod", num_cells=64, saves=2, reconstruction="characteristic")
    other = simulate("sod", num_cells=64, reconstruction="component")
    assert np.array_equal(same.values, sod.values)
    assert 1e-4 < np.abs(other.values[-1] - sod.values[-1]).max() < 0.3


def test_the_plane(tmp_path: Path):
    """A density wave travels along a diagonal: all stays in the square, and the exact solution lies beside it."""
    options = {"num_cells": 8, "end_time": 0.05, "steps": 2, "order": 3, "integrator": "euler"}
    result = simulate("density-wave", **options)
    assert result.values.shape == result.exact.shape == (2, 4, 8, 8) and result.truth() is None
    metrics = result.metrics()
    assert metrics["l1_error"] < 0.1 and all(abs(metrics[f"change_of_momentum_{axis}"]) < 1e-13 for axis in "xy")
    result.to_csv(tmp_path / "wave.csv")
    with open(tmp_path / "wave.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:7] == ["time", "x", "y", "density", "momentum_x", "momentum_y", "energy"]
    assert len(rows) == 2 * 64 and rows[1]["x"] == rows[0]["x"] and rows[1]["y"] != rows[0]["y"]
    assert [float(row["density"]) for row in rows[:64]] == result.values[0, 0].ravel().tolist()


def test_names_of_the_plane():
    line, plane = case("gaussian"), case("2d-gaussian")
    assert (line.field().domain, plane.field().lower) == ((0.0, 1.0), (0.0, 0.0))
    assert case("combo-shock-smooth_sine").field().law.num_components == 1
    assert set(case_names()) >= {"shock", "sod", "vortex", "2d-gaussian"}
    assert len(case_names()) == len(set(case_names()))


def test_policies_side_by_side(sod: Simulation):
    """A reference is made where there is no exact solution, on a finer grid, saved at the same times."""
    policies = {"default": classical("weno-js"), "weno-js": classical("weno-js")}
    pair = compare("sod", policies, num_cells=64, saves=2, refinement=3)
    assert pair.reference is None and np.array_equal(pair.simulations["weno-js"].values, sod.values)
    assert pair.describe() == "sod, t = 0.2, 64 cells" and pair.truth()[0] == "exact"
    waves = compare("shu_osher", policies, num_cells=32, end_time=0.1, steps=10, saves=2, refinement=3)
    assert waves.reference is not None and waves.reference.grid.num_cells == (96,) and waves.reference.steps == 30
    label, x, values = waves.truth(1)
    assert label == "reference, 96 cells" and values["density"].shape == x.shape == (96,)
    np.testing.assert_allclose(waves.reference.times, waves.times)


def test_a_viscous_wave_decays_as_cole_and_hopf_say():
    """From a steep wave to a slow one: diffusion sets the steps at the end."""
    nu, end = 0.02, 2.0
    result = simulate("smooth_sine", law=Burgers(nu), num_cells=32, end_time=end)
    y = (np.arange(4096) + 0.5) / 4096
    amplitude = 1 / (2 * np.pi * 0.1)
    start = np.exp((np.cos(2 * np.pi * y) - 1) * amplitude / (4 * np.pi * nu))
    waves = np.fft.rfft(start) * np.exp(-nu * (2 * np.pi * np.arange(2049)) ** 2 * end)
    phi = np.fft.irfft(waves)
    u = -2 * nu * np.gradient(np.log(phi), y)
    assert np.abs(result.values[-1, 0] - np.interp(result.x, y, u)).max() < 0.01 * np.abs(u).max() < 0.01
    assert result.exact is None and result.notes == ()


def test_fixed_steps_end_at_the_end():
    clipped = simulate("smooth_sine", num_cells=16, dt=0.03, end_time=0.1)
    assert clipped.times.tolist() == [0.0, 0.1] and clipped.steps == 4
    kept = simulate("smooth_sine", num_cells=16, dt=0.03, end_time=0.1, saves=7)
    np.testing.assert_allclose(kept.times, np.linspace(0, 0.1, 8), rtol=1e-14)
    with pytest.raises(UndertowError, match="saves=7 states cannot be kept of 4 steps"):
        simulate("smooth_sine", num_cells=16, steps=4, end_time=0.1, saves=7)


def test_errors_are_given_where_the_exact_solution_holds():
    again = simulate(burgers_condition("tophat", u_L=1.0, u_M=-3.5, u_R=1.0), num_cells=16, end_time=4.0)
    assert again.exact is None and "l1_error" not in again.metrics() and "come back before t = 4" in again.notes[0]
    gas = simulate("double_rarefaction", num_cells=32, end_time=0.6)
    assert gas.exact is None and "waves come to the ends of the domain before t = 0.6" in gas.notes[0]
    none = simulate(burgers_condition("para", boundary="linear"), num_cells=16, end_time=0.6)
    assert none.exact is None and "the exact solution is no number at t = 0.6" in none.notes[0]
    wall = burgers_condition("smooth_sine", boundary="linear")
    carried = simulate(wall, law=LinearAdvection(1.0), num_cells=16)
    assert carried.exact is None and "no exact solution is known beyond a linear boundary" in carried.notes[0]


def test_every_named_gas_problem_has_its_errors():
    for name, gas in GAS_CASES.items():
        field = gas.field()
        assert not field.solvable or ends_hold(field, gas.end_time), name


def test_a_result_that_is_not_physical_is_told():
    options = {"num_cells": 16, "steps": 1, "end_time": 0.02, "integrator": "euler", "reconstruction": "component"}
    result = simulate("sod2", "linear", **options)
    assert (
        "the last state has a density that is not above 0" in result.notes[0] and "positivity would" in result.notes[0]
    )


def test_states_that_are_not_physical_are_refused():
    def gas(*states):
        return PiecewiseStates(Euler(), states, [0.5])

    with pytest.raises(UndertowError, match="a pressure that is not above 0 in cell 0"):
        simulate(gas([1, 0, -1.0], [1, 0, 1.0]), num_cells=16)
    with pytest.raises(UndertowError, match="a density that is not above 0 in cell 0"):
        simulate(gas([-1, 0, 1.0], [1, 0, 1.0]), num_cells=16, positivity=True)
    with pytest.raises(UndertowError, match="a density of 0 in cell 8: take positivity, .* or at least 0.0001"):
        simulate(gas([1, 0, 1.0], [0, 0, 0]), num_cells=16)


def test_one_periodic_piece_of_gas():
    wave = PiecewiseStates(Euler(), [[1.0, 0.5, 1.0]], [], amplitudes=[0.2], periodic=1.0, riemann=True)
    x = jnp.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(wave.exact(x, time=0.2)[0], 1 + 0.2 * np.sin(2 * np.pi * (x - 0.1)), rtol=1e-13)
    with pytest.raises(UndertowError, match="a Riemann problem needs two pieces"):
        PiecewiseStates(Euler(), [[1.0, 0.5, 1.0]], [], riemann=True)


def test_what_cannot_be_simulated():
    for wrong, message in ((None, "simulate starts from"), (5, "got 5"), (lambda x: x, "take CallableCondition")):
        with pytest.raises(UndertowError, match=message):
            simulate(wrong)
    for options, message in (
        ({"policy": "weno-jz"}, "unknown policy 'weno-jz'; did you mean 'weno-z'"),
        ({"policy": 5}, "a policy is an AbstractPolicy or the name"),
        ({"policy": ZeroAction(1)}, "ZeroAction does not choose the weights of a scheme"),
        ({"saves": 2.5}, "saves must be a whole number"),
        ({"cfl": np.array([0.1, 0.2])}, "cfl must be a"),
        ({"cfl": -0.1}, "cfl must be a"),
        ({"cfl": 0.5, "integrator": "euler"}, "cfl=0.5 is unstable: forward Euler bears 0.25"),
        ({"cfl": 1e-100}, "the first time step is"),
    ):
        with pytest.raises(UndertowError, match=message):
            simulate("shock", num_cells=16, **options)


def test_bad_input():
    with pytest.raises(UndertowError, match="unknown case 'sood'; did you mean 'sod'"):
        simulate("sood")
    with pytest.raises(UndertowError, match="sod brings its own law; leave law out"):
        simulate("sod", law=Euler())
    with pytest.raises(UndertowError, match="of order 7, the scheme of order 5; take --order 7"):
        simulate("sod", classical("linear", 7))
    with pytest.raises(UndertowError, match="unknown reconstruction 'charateristic'; did you mean"):
        simulate("sod", reconstruction="charateristic")
    with pytest.raises(UndertowError, match="has no eigenvectors"):
        simulate("shock", reconstruction="characteristic")
    with pytest.raises(UndertowError, match="nothing of Burgers has to stay positive"):
        simulate("shock", positivity=True)
    with pytest.raises(UndertowError, match="at least one policy"):
        compare("sod", {})


def test_fluxes_of_riemann_solvers(sod: Simulation):
    """Sharper than split fluxes with the global speed, HLLC first; what moves in and out is the same."""
    errors = {}
    for flux in ("hllc", "hll", "lf"):
        result = simulate("sod", flux=flux, num_cells=64)
        errors[flux] = result.metrics()["l1_error"]
        assert result.metrics()["change_of_momentum_x"] == pytest.approx(0.9 * 0.2, abs=1e-7)
    assert errors["hllc"] <= errors["hll"] <= errors["lf"] < 1.05 * sod.metrics()["l1_error"]
    for options, message in (
        ({"flux": "hlc"}, "unknown flux 'hlc'; did you mean 'hllc'"),
        ({"flux": "hll", "policy": "weno-z"}, "flux=hll solves Riemann problems .*; leave policy out"),
        ({"flux": "hll", "speed": "local", "unit": 2.0}, "leave speed and unit out"),
    ):
        with pytest.raises(UndertowError, match=message):
            simulate("sod", **options)
