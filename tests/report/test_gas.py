"""Gases are drawn in their own units, with the truth beside them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.report.pictures import is_moving, is_picture, named, texts
from tests.small import tubes
from undertow._checks import UndertowError
from undertow.evaluation.actions import profiles
from undertow.evaluation.comparison import Comparison, in_own_units, of_case
from undertow.evaluation.evaluate import evaluate
from undertow.evaluation.results import Evaluation
from undertow.evaluation.series import series
from undertow.laws.gas_cases import GAS_CASES
from undertow.policies.classical import classical
from undertow.report import figures
from undertow.report.animation import animate_comparison
from undertow.report.field_run import draw_field_run
from undertow.report.gas import gas_profiles
from undertow.report.maps import plane_maps, weight_maps
from undertow.report.simulation import draw_simulation

POLICIES = {"learned": classical("linear", 3), "weno-js": classical("weno-js", 3)}


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(POLICIES, tubes())


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sod", "lax"])
def test_cases_come_back_in_their_own_units(evaluation, name):
    found, case, place = of_case(evaluation, name), GAS_CASES[name], tubes().cases.index(name)
    run = found.simulations["weno-js"]
    assert found.title == name and found.times.tolist() == pytest.approx([0.0, case.end_time])
    assert (run.grid.lower, run.grid.upper) == ((case.domain[0],), (case.domain[1],))
    np.testing.assert_allclose(run.values[0], case.field()(run.x), rtol=1e-12, atol=1e-14)
    # The density is the same number in all units, and lengths are measured in the domain's.
    length = case.domain[1] - case.domain[0]
    assert run.metrics()["l1_error"] == pytest.approx(length * evaluation.scores["weno-js"].l1[place])
    if name == "sod":
        label, x, truth = found.truth()
        assert label == "exact" and len(x) > 500 and set(truth) == set(found.quantities())
        at_cells = [np.interp(run.x, x, truth[name]) for name in ("density", "velocity", "pressure")]
        exact = run.law.primitive(run.exact[-1])
        assert np.median(np.abs(np.asarray(at_cells) - exact)) < 1e-3
        error = np.abs(run.values[-1] - run.exact[-1])[0]
        np.testing.assert_allclose(found.error("weno-js", "density"), error, atol=1e-14)


def test_what_has_no_exact_solution_has_a_reference(evaluation):
    found = of_case(evaluation, "shu_osher")
    label, x, truth = found.truth()
    assert label == "reference" and found.first.exact is None
    assert x[0] == pytest.approx(-5 + 10 / 64) and truth["density"].max() == pytest.approx(4.2, abs=0.4)
    assert truth["velocity"].max() == pytest.approx(2.63, abs=0.1)
    error = np.abs(found.first.values[-1, 0] - found.reference.values[-1, 0])
    np.testing.assert_allclose(found.error("learned", "density"), error, atol=1e-14)


def test_profiles_of_characteristic_fields():
    """The double rarefaction is its own mirror image, in which the fields v - c and v + c change places and directions."""
    found, tube = profiles(POLICIES, tubes(), ["double_rarefaction", "lax"], along="weno-js", every=16)
    assert found.fields == ("v - c", "v", "v + c") and found.components == ("density", "momentum x", "energy")
    weights = found.weights["weno-js"]
    assert weights.shape == (5, 2, 3, 33, 2) and found.states.shape == (5, 3, 32)
    np.testing.assert_allclose(weights[:, 0], weights[:, 1, ::-1, ::-1], atol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
    own = in_own_units(tube, tubes(), "lax")
    assert (own.faces[0], own.faces[-1]) == pytest.approx((-5.0, 5.0)) and own.times[-1] == pytest.approx(1.3)
    np.testing.assert_allclose(own.states[0], GAS_CASES["lax"].field()(own.x), rtol=1e-12)
    assert own.weights is tube.weights


def test_series_of_a_gas_are_of_its_density(evaluation):
    found = series(POLICIES, tubes(), cases=["sod", "lax"], every=16)
    places = tubes().find(["sod", "lax"])
    for norm in ("l1", "l2", "linf"):
        expected = getattr(evaluation.scores["weno-js"], norm)[places]
        np.testing.assert_allclose(found.quantity(norm, "weno-js")[:, -1], expected, rtol=1e-11)
    assert np.abs(found.quantity("mass_change", "weno-js")[0]).max() < 1e-3
    assert is_picture(figures.solution_panels(found))
    assert is_picture(figures.evolution(found, "sod"))


# --- the figures ------------------------------------------------------------------------------------------------------


def test_profiles_show_every_quantity_in_its_own_units(evaluation):
    found = [of_case(evaluation, case) for case in ("sod", "lax", "shu_osher")]
    fig = gas_profiles(found[0])
    assert [axis.get_ylabel() for axis in fig.axes] == list(found[0].quantities())
    for axis in fig.axes:
        lines, states = named(axis), found[0].quantities()[axis.get_ylabel()]
        assert list(lines) == ["exact", "weno-js", "learned"] and axis.get_xlabel() == "x"
        for name in POLICIES:
            np.testing.assert_array_equal(lines[name], np.stack([found[0].first.x, states[name]], axis=1))
        _, x, truth = found[0].truth()
        np.testing.assert_array_equal(lines["exact"], np.stack([x, truth[axis.get_ylabel()]], axis=1))
        low, high = axis.get_ylim()
        assert low < truth[axis.get_ylabel()].min() and high > truth[axis.get_ylabel()].max()
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["exact", "weno-js", "learned"]
    assert legend.get_title().get_text() == found[0].describe(-1)

    # Several problems have a row each, and the distance of their first quantity to the truth at its end.
    axes = np.reshape(gas_profiles(found[1:], shown=("density", "pressure")).axes, (2, 3))
    assert [axis.get_ylabel() for axis in axes[0]] == ["density", "pressure", "|error| of density"]
    assert [axis.get_title(loc="left") for axis in axes[:, 0]] == [each.describe(-1) for each in found[1:]]
    assert texts(axes[1, 0])[0] == "reference"
    for row, each in zip(axes, found[1:], strict=True):
        assert row[2].get_yscale() == "log"
        errors = [each.error(name, "density") for name in POLICIES]
        top = max(map(np.max, errors))
        drawn = sorted((line.get_ydata() for line in row[2].lines), key=np.sum)
        expected = sorted((np.maximum(error, 1e-6 * top) for error in errors), key=np.sum)
        np.testing.assert_allclose(drawn, expected)


def test_figures_of_gases(evaluation, tmp_path):
    found = [of_case(evaluation, case) for case in ("sod", "lax", "shu_osher")]
    assert is_picture(gas_profiles(found[1:], shown=("density", "pressure")))
    assert is_moving(animate_comparison(found[0], tmp_path / "tube.gif", quantities=["density"]))
    assert is_picture(draw_simulation(found[0].first, tmp_path / "simulation.png", title="sod"))
    profile = profiles(POLICIES, tubes(), ["sod"], every=4)[0]
    fig = weight_maps(profile, direction=1, substencil=0)
    assert is_picture(fig)
    shown = {axis.get_title(): axis for axis in fig.axes}
    for name, weights in profile.weights.items():
        for field, called in enumerate(profile.fields):
            (mesh,) = shown[f"{name}: {called}"].collections
            np.testing.assert_array_equal(mesh.get_array(), weights[:, 1, field, :, 0])
            assert (mesh.norm.vmin, mesh.norm.vcenter, mesh.norm.vmax) == pytest.approx((0, 1 / 3, 1))
    np.testing.assert_array_equal(shown["density"].collections[0].get_array(), profile.states[:, 0])
    assert shown["density"].get_ylabel() == "t"
    bar = fig.axes[-1]
    assert bar.get_ylabel() == "weight w0 (upwind), linear: 0.333333"
    assert fig.get_suptitle().endswith("; left-going flux")
    fig = figures.weight_profile(profile, field=2)
    assert fig.legends[0].get_title().get_text().endswith(", field v + c")
    np.testing.assert_array_equal(named(fig.axes[2])["weno-js"][:, 1], profile.weights["weno-js"][-1, 0, 2, :, 0])


def test_all_figures_of_a_run_on_gases(evaluation, tmp_path):
    evaluation, other = take_cases(evaluation, ["sod", "shu_osher"]), take_cases(evaluation, ["lax"])
    metrics = {"update": np.arange(3.0), "loss": np.array([np.nan, 1.0, 0.5]), "ratio": np.array([1.0, 0.9, 0.8])}
    paths = draw_field_run(tmp_path / "figures", evaluation, POLICIES, metrics, transfers={"two": other})
    assert paths[0].name == "training.png" and all(is_picture(path) for path in paths)
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "figures").iterdir()}
    names = {"errors", "ratios", "transfers", "profiles", "weights_sod", "weights_shu_osher", "weights_scatter", "cost"}
    assert names <= {path.stem for path in paths}


def test_results_that_are_not_finite_are_drawn(evaluation):
    score = evaluation.scores["learned"]
    lost = dataclasses.replace(
        score,
        **{name: np.full_like(getattr(score, name), np.nan) for name in ("values", "ratio", "l1")},
        finite=np.zeros_like(score.finite),
    )
    failed = take_cases(dataclasses.replace(evaluation, scores={**evaluation.scores, "learned": lost}), ["sod"])
    assert is_picture(gas_profiles(of_case(failed, "sod")))
    assert is_picture(figures.error_scatter(failed))


def take_cases(evaluation: Evaluation, cases: list[str]) -> Evaluation:
    """The same evaluation of some of its cases."""
    places = np.asarray(evaluation.suite.find(cases))
    arrays = ("finite", "values", "ratio", "mass_error", "total_variation", "l1", "l2", "linf")
    arrays += ("l1_to_baseline", "l2_to_baseline", "linf_to_baseline")
    scores = {
        name: dataclasses.replace(score, **{array: getattr(score, array)[places] for array in arrays})
        for name, score in evaluation.scores.items()
    }
    return dataclasses.replace(
        evaluation,
        suite=evaluation.suite.subset(cases),
        scores=scores,
        scored=evaluation.scored[places],
        true_variation=evaluation.true_variation[places],
    )


def test_bad_input(evaluation, tmp_path):
    run = of_case(evaluation, "sod").first
    with pytest.raises(UndertowError, match="at least one comparison"):
        gas_profiles([], tmp_path / "a.png")
    with pytest.raises(UndertowError, match="were not saved at the same times"):
        Comparison("two", {"a": run, "b": dataclasses.replace(run, times=2 * run.times)})
    with pytest.raises(UndertowError, match="needs at least one policy"):
        Comparison("none", {})
    with pytest.raises(UndertowError, match="maps are of two dimensions"):
        plane_maps(of_case(evaluation, "sod"), tmp_path / "a.png")
    with pytest.raises(UndertowError, match="at least two saved states"):
        weight_maps(take_first(profiles(POLICIES, tubes(), ["sod"])[0]), tmp_path / "a.png")


def take_first(profile):
    return dataclasses.replace(profile, times=profile.times[:1])
