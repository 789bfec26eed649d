"""A schlieren picture is a function of the gradient alone; maps and moving ones are drawn in the plane."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.report.pictures import is_moving, is_picture
from undertow._checks import UndertowError
from undertow.envs.collection import Suite, make_suite
from undertow.envs.placing import grid_of
from undertow.envs.pools import Discretised
from undertow.envs.truth import batches
from undertow.evaluation.comparison import Comparison
from undertow.evaluation.evaluate import evaluate
from undertow.evaluation.planes import PlaneRun, PlaneTransfer
from undertow.evaluation.simulation import Simulation, exact_states
from undertow.laws.burgers import Burgers
from undertow.laws.planes import plane_case
from undertow.numerics.integrator import ForwardEuler
from undertow.policies.classical import classical
from undertow.report.animation import animate_comparison
from undertow.report.field_run import draw_field_run
from undertow.report.gas import gas_profiles
from undertow.report.maps import gradient_size, plane_maps, schlieren, time_maps, transfer_maps
from undertow.report.simulation import draw_simulation

POLICIES = {"learned": classical("linear", 3), "weno-js": classical("weno-js", 3)}


@pytest.fixture(scope="module")
def wave() -> Simulation:
    """The exact solution of a density wave in the plane, on cells of another number along y, as if it had been computed."""
    field = plane_case("density-wave").field()
    grid = dataclasses.replace(grid_of(field, 12), num_cells=(12, 16))
    times = np.array([0.0, 0.3, 0.6])
    exact = exact_states(field.law, field, grid, times)
    return Simulation(field, field.law, grid, times, 1.001 * exact, exact, 2, 0.1)


def test_schlieren_of_a_ramp_a_constant_and_a_kink():
    x, y = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 2, 5), indexing="ij")
    ramp = 3 * x + 4 * y
    np.testing.assert_allclose(gradient_size(ramp, (0.125, 0.5)), 5.0, rtol=1e-12)
    np.testing.assert_allclose(schlieren(ramp, (0.125, 0.5), contrast=2.0), np.exp(-2.0), rtol=1e-12)
    np.testing.assert_allclose(schlieren(ramp, (0.125, 0.5), contrast=2.0, largest=10.0), np.exp(-1.0), rtol=1e-12)
    assert np.array_equal(schlieren(0 * ramp, (0.125, 0.5)), np.ones_like(ramp))
    kink = schlieren(np.maximum(0.0, x - 0.5), (0.125, 0.5))
    assert (kink[:4] == 1).all() and np.allclose(kink[5:], np.exp(-15))
    assert schlieren(x[:, 0] ** 2, (0.125,)).shape == (9,)


def pictures(fig, rows: int = 2):
    """The maps and the schlieren pictures of a figure, from left to right, without the bar of colours."""
    shown = [axis for axis in fig.axes if axis.images]
    return np.reshape(shown, (rows, -1))


def test_maps_show_states_as_they_lie(wave):
    """The first axis to the right and the second one up, on one scale of colours, above pictures on one scale of grey."""
    other = dataclasses.replace(wave, values=1.5 * wave.values)
    fig = plane_maps(Comparison("density-wave", {"learned": wave, "weno-js": other}, wave))
    above, below = pictures(fig)
    assert [axis.get_title() for axis in above] == ["learned", "weno-js", "reference"]
    densities = [run.values[-1, 0] for run in (wave, other, wave)]
    low, high = min(map(np.min, densities)), max(map(np.max, densities))
    slopes = [gradient_size(density, wave.grid.spacing) for density in densities]
    steepest = max(map(np.max, slopes))
    for one, two, density, slope in zip(above, below, densities, slopes, strict=True):
        (image,), (grey,) = one.images, two.images
        np.testing.assert_array_equal(image.get_array(), density.T)
        assert image.origin == "lower" and tuple(image.get_extent()) == (0, 2, 0, 2)  # the domain
        assert (image.norm.vmin, image.norm.vmax) == pytest.approx((low, high))
        np.testing.assert_allclose(grey.get_array(), np.exp(-15 * slope.T / steepest), rtol=1e-12)
        assert (grey.norm.vmin, grey.norm.vmax) == (0, 1) and two.get_xlabel() == "x"
    assert above[0].get_ylabel() == "y"
    (bar,) = (axis for axis in fig.axes if not axis.images)
    assert bar.get_ylabel() == "density"
    assert fig.get_suptitle() == "density-wave, t = 0.6, 12 x 16 cells\nabove density, below its schlieren picture"
    (image,) = pictures(plane_maps(Comparison("one", {"learned": wave}), quantity="pressure"))[0, 0].images
    np.testing.assert_allclose(image.get_array(), wave.law.primitive(wave.values[-1])[-1].T, rtol=1e-6)

    fig = time_maps(wave)
    above, _ = pictures(fig)
    assert [axis.get_title() for axis in above] == ["t = 0.3", "t = 0.6"]  # the start is left out
    for axis, state in zip(above, wave.values[1:], strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), state[0].T)
    assert fig.get_suptitle().startswith("12 x 16 cells\n")


def test_figures_of_planes(wave, tmp_path):
    broken = dataclasses.replace(wave, values=np.full_like(wave.values, np.nan))
    pair = Comparison("density-wave", {"learned": wave, "weno-js": broken}, wave)
    fig = plane_maps(pair)
    assert is_picture(fig) and [text.get_text() for text in pictures(fig)[0, 1].texts] == ["not finite"]
    assert is_picture(draw_simulation(wave, tmp_path / "simulation.png", title="wave"))
    assert is_moving(draw_simulation(wave, tmp_path / "simulation.gif", title="wave"))
    assert is_moving(animate_comparison(pair, tmp_path / "pair.gif", quantities=["velocity x"]))
    with pytest.raises(UndertowError, match="profiles are of one dimension"):
        gas_profiles(pair, tmp_path / "a.png")
    with pytest.raises(UndertowError, match="unknown quantity 'preasure'; did you mean 'pressure'"):
        plane_maps(pair, tmp_path / "a.png", quantity="preasure")


def plane_suite() -> Suite:
    how = Discretised(Burgers(), 12, 4, 0.02, order=3, integrator=ForwardEuler(), truth="fine", refinement=3)
    return make_suite("plane", "one plane", how, batches([plane_case("gaussian").field()]), ["a hill"])


def test_all_figures_of_a_run_in_the_plane(tmp_path):
    paths = draw_field_run(tmp_path, evaluate(POLICIES, plane_suite()), POLICIES)
    assert all(is_picture(path) for path in paths)
    assert {"errors", "ratios", "maps_a_hill", "cost"} == {path.stem for path in paths}


def test_a_transfer_is_drawn_and_a_case_it_has_not_is_named(wave, tmp_path):
    state = wave.values[-1][:, :, :12]
    runs = [PlaneRun("density-wave", name, 12, 9, 0.1, 0.01, 0.6, state) for name in ("weno-js", "learned")]
    runs.append(PlaneRun("density-wave", "lost", 12, 3, 0.1, np.nan, 0.2, 1e30 * state))
    study = PlaneTransfer(tuple(runs), "weno-js")
    fig = transfer_maps(study, "density-wave")
    assert is_picture(fig)
    above, _ = pictures(fig)
    assert [axis.get_title() for axis in above] == [f"{run.policy}, 12 x 12 cells" for run in runs]
    np.testing.assert_array_equal(above[0].images[0].get_array(), state[0].T)
    assert not np.isfinite(np.ma.filled(above[2].images[0].get_array(), np.nan)).any()  # it left the range on its way
    with pytest.raises(UndertowError, match="no run of case 'vortex'; it has density-wave"):
        transfer_maps(study, "vortex", tmp_path / "vortex.png")
    assert not (tmp_path / "vortex.png").exists()
