"""What every figure shows, by the data, scales and words on its axes, and that all can be drawn, also where results are
missing; pyplot stays away."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.report.pictures import dots, is_moving, is_picture, named, texts, ticks
from tests.small import Failing, carried, hand_made
from undertow._checks import UndertowError
from undertow.evaluation.actions import profile, snapshots
from undertow.evaluation.convergence import convergence
from undertow.evaluation.evaluate import evaluate
from undertow.evaluation.results import Evaluation
from undertow.evaluation.series import series
from undertow.evaluation.statistics import written
from undertow.laws.advection import LinearAdvection
from undertow.laws.conditions import SineCondition
from undertow.policies.classical import classical
from undertow.report import figures, style

POLICIES = {"learned": classical("linear"), "weno-js": classical("weno-js")}
BROKEN = {"learned": Failing(-10.0), "weno-js": classical("weno-js")}


def metrics(updates=20):
    update = np.arange(updates) * 50.0
    falling = np.exp(-update / 300)
    lost = np.where(update == 0, np.nan, 1.0)
    return {
        "update": update,
        "loss": falling * lost,
        "ratio": 0.6 + 0.4 * falling,
        "worst": 1 + falling,
        "seconds": update,
    }


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(POLICIES, carried())


def test_errors_are_dots_beside_the_baseline(evaluation):
    own, base = evaluation.scores["learned"], evaluation.scores["weno-js"]
    for norm, name in (("l1", "L1"), ("linf", "Linf")):
        left, right = figures.error_scatter(evaluation, norm=norm).axes
        x, y = getattr(base, norm), getattr(own, norm)
        order = np.argsort(x)
        np.testing.assert_allclose(dots(left), np.stack([x, y], axis=1)[order])
        np.testing.assert_allclose(dots(right), np.stack([x, y / x], axis=1)[order])
        assert (left.get_xscale(), left.get_yscale(), right.get_xscale()) == ("log", "log", "log")
        assert (left.get_xlabel(), left.get_ylabel()) == (f"{name} error of weno-js", f"{name} error of learned")
        assert (right.get_xlabel(), right.get_ylabel()) == (f"{name} error of weno-js", "learned / weno-js")
        assert left.get_xlim() == left.get_ylim() and left.get_xlim()[0] < x.min() and x.max() < left.get_xlim()[1]
        assert "half the error" in texts(left) and texts(right) == ["geometric mean"]
        mean = named(right)["geometric mean"][0, 1]
        assert mean == pytest.approx(np.exp(np.mean(np.log(y / x))))
        said = left.texts[0].get_text()
        assert said == f"geometric mean of ratios {written(mean)}\nbetter in {(y < x).sum()} of {len(x)} cases"
        (worst,) = (text.get_text() for text in right.texts)
        assert worst == evaluation.cases[int(np.argmax(y / x))]


def test_ratios_costs_and_transfers(evaluation):
    ratio = evaluation.scores["learned"].ratio
    left, right = figures.ratio_distribution(evaluation).axes
    assert sum(bar.get_height() for bar in left.patches) == len(ratio)
    mean = np.exp(np.mean(np.log(ratio)))
    assert texts(left) == [f"geometric mean {written(mean)}"] and left.get_title() == "learned"
    np.testing.assert_allclose(
        named(right)["learned"], np.stack([np.sort(ratio), np.arange(1, len(ratio) + 1) / len(ratio)], axis=1)
    )
    assert (left.get_xlabel(), left.get_ylabel()) == ("L1 error of learned / weno-js", "cases")
    assert (right.get_xlabel(), right.get_ylabel()) == ("L1 error / weno-js", "share of cases below")

    (axis,) = figures.cost_figure(evaluation).axes
    numbers = evaluation.summary()
    places = {text.get_text(): text.xy for text in axis.texts}
    assert places == {name: (each["nanoseconds"], each["geometric_mean"]) for name, each in numbers.items()}
    found = {tuple(line.get_xydata()[0]) for line in axis.lines if line.get_marker() == "o"}
    assert found == set(places.values()) and axis.get_xlim()[0] == 0
    assert axis.get_xlabel() == "nanoseconds per cell and stage"
    assert axis.get_ylabel() == "L1 error / weno-js, geometric mean"

    other = evaluate(POLICIES, hand_made())
    (axis,) = figures.transfer_bars({"a": evaluation, "b": other}).axes
    assert ticks(axis.yaxis) == ["a", "b"]
    means = [each.summary()["learned"] for each in (evaluation, other)]
    assert [bar.get_width() for bar in axis.patches] == [each["geometric_mean"] for each in means]
    worst = [tuple(line.get_xydata()[0]) for line in axis.lines if line.get_marker() == "|" and len(line.get_xydata())]
    assert worst == [(each["worst"], row) for row, each in enumerate(means)]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        "learned, geometric mean", "learned, worst case", "weno-js"
    ]  # fmt: skip
    assert axis.get_xlabel() == "L1 error / weno-js"


def test_figures_of_an_evaluation_that_is_not_finite():
    broken = evaluate(BROKEN, carried())
    (left, _, *_) = figures.error_scatter(broken).axes
    assert f"not finite in {len(carried())} more" in left.texts[0].get_text()
    for draw in (figures.error_scatter, figures.ratio_distribution, figures.cost_figure):
        assert is_picture(draw(broken))
    fig = figures.transfer_bars({"a": broken})
    assert is_picture(fig) and fig.axes[0].texts[0].get_text() == f"not finite in {len(carried())} cases"


def test_a_series_over_x_and_over_time():
    found = series(POLICIES, hand_made(), every=5)
    fig = figures.solution_panels(found)
    for place, (axis, case) in enumerate(zip(fig.axes, found.suite.cases, strict=True)):
        assert (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) == (case, "x", "u")
        lines = named(axis)
        assert list(lines) == ["exact", "weno-js", "learned"]
        for name in POLICIES:
            np.testing.assert_array_equal(lines[name][:, 0], found.suite.x)
            np.testing.assert_array_equal(lines[name][:, 1], found.values[name][place, -1, 0])
    np.testing.assert_allclose(named(fig.axes[1])["exact"][:, 1], 2.0)  # the constant
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["exact", "weno-js", "learned"]
    assert legend.get_title().get_text() == "t = 0.25, 32 cells"

    axes = np.reshape(figures.time_series(found).axes, (2, 3))
    assert [axis.get_title() for axis in axes[0]] == list(found.suite.cases)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["L2 error", "total variation"]
    assert [axis.get_xlabel() for axis in axes[1]] == ["t"] * 3
    assert [axis.get_yscale() for axis in axes[0]] == ["log", "linear", "log"]  # a constant has no error
    for column in range(3):
        for row, (quantity, start) in enumerate((("l2", 1), ("total_variation", 0))):
            for name in POLICIES:
                expected = np.stack([found.times, found.quantity(quantity, name)[column]], axis=1)[start:]
                np.testing.assert_array_equal(named(axes[row, column])[name], expected)
        exact = named(axes[1, column])["exact"]
        np.testing.assert_array_equal(exact[:, 1], found.quantity("total_variation")[column])

    left, right = figures.mean_series(found).axes
    assert left.get_ylabel() == "L2 error, arithmetic mean" and right.get_ylabel() == "total variation, mean"
    assert set(texts(left)) == set(POLICIES) and set(texts(right)) == {*POLICIES, "exact"}
    np.testing.assert_allclose(named(left)["learned"][:, 1], found.quantity("l2", "learned").mean(axis=0)[1:])


def test_one_case_in_time(tmp_path):
    found = series(POLICIES, hand_made(), every=5)
    fig = figures.evolution(found, "jump")
    place = found.suite.cases.index("jump")
    assert fig.get_suptitle() == "jump, 32 cells"
    for column, name in enumerate(POLICIES):
        lines, below = fig.axes[column], fig.axes[2 + column]
        assert lines.get_title() == name and below.get_xlabel() == "x"
        drawn = np.stack([line.get_ydata() for line in lines.lines])
        np.testing.assert_array_equal(drawn, found.values[name][place, :, 0])
        error = np.abs(found.values[name][place, :, 0] - found.truth[place, :, 0])
        (mesh,) = below.collections
        np.testing.assert_array_equal(mesh.get_array(), np.maximum(error, mesh.norm.vmin))
    assert fig.axes[0].get_ylabel() == "u, t = 0 to 0.25" and fig.axes[2].get_ylabel() == "t"
    assert fig.axes[4].get_ylabel() == "|error|"
    assert is_moving(figures.animate(found, "wave", tmp_path / "wave.gif"))


def test_figures_of_a_series_that_is_not_finite(tmp_path):
    found = series(BROKEN, hand_made(), every=5)
    for draw in (figures.solution_panels, figures.time_series, figures.mean_series):
        assert is_picture(draw(found))
    assert is_picture(figures.evolution(found, "jump"))
    assert is_moving(figures.animate(found, "wave", tmp_path / "wave.gif"))


def test_weights_over_x_and_beside_the_baselines():
    found = [profile(POLICIES, hand_made(), case, along="weno-js", every=10) for case in ("wave", "jump")]
    fig = figures.weight_profile(found[0])
    axes = np.reshape(fig.axes, (4, 2))
    assert [axis.get_title() for axis in axes[0]] == ["right-going flux", "left-going flux"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["u", "w0, upwind", "w1", "w2, downwind"]
    for direction in range(2):
        np.testing.assert_array_equal(axes[0, direction].lines[0].get_ydata(), found[0].states[-1, 0])
        for k, linear in enumerate((0.1, 0.6, 0.3)):
            lines = named(axes[k + 1, direction])
            for name in POLICIES:
                np.testing.assert_array_equal(lines[name][:, 0], found[0].faces)
                np.testing.assert_array_equal(lines[name][:, 1], found[0].weights[name][-1, direction, 0, :, k])
            np.testing.assert_allclose(axes[k + 1, direction].lines[0].get_ydata(), linear)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["weno-js", "learned", "linear weight"]

    fig = figures.weight_scatter(found)
    count = sum(each.weights["learned"][..., 0].size for each in found)
    assert fig.get_suptitle() == f"{count:,} stencils; cross: the linear weight"
    assert [axis.get_title() for axis in fig.axes[:3]] == ["w0 (upwind)", "w1 (middle)", "w2 (downwind)"]
    for axis, linear in zip(fig.axes, (0.1, 0.6, 0.3), strict=False):
        assert axis.get_xlabel() == "weno-js" and axis.collections[0].get_array().sum() == count
        (cross,) = (line for line in axis.lines if line.get_marker() == "+")
        np.testing.assert_allclose(cross.get_xydata(), [[linear, linear]])
    assert fig.axes[0].get_ylabel() == "learned" and fig.axes[3].get_ylabel() == "faces"

    shots = snapshots(POLICIES, cells=32)
    axes = np.reshape(figures.snapshot_figure(shots).axes, (4, len(shots)))
    assert [axis.get_title() for axis in axes[0]] == [each.title for each in shots]
    for column, each in enumerate(shots):
        np.testing.assert_array_equal(axes[0, column].lines[0].get_ydata(), each.states[0, 0])
        for k in range(3):
            np.testing.assert_array_equal(
                named(axes[k + 1, column])["weno-js"][:, 1], each.weights["weno-js"][0, 0, 0, :, k]
            )


def test_figures_of_weights_that_are_not_finite():
    found = [profile(BROKEN, hand_made(), case, along="weno-js", every=10) for case in ("wave", "jump")]
    assert is_picture(figures.weight_profile(found[0]))
    fig = figures.weight_scatter(found)
    assert is_picture(fig) and "more without finite weights" in fig.get_suptitle()
    assert is_picture(figures.snapshot_figure(snapshots(BROKEN, cells=32)))


def test_errors_over_the_number_of_cells_and_over_x():
    wave = SineCondition(0.0, 1.0, 6.283, boundary="periodic")
    study = convergence(POLICIES, wave, cells=(16, 32), law=LinearAdvection(1.0))
    for axis in figures.convergence_figure([study, study]).axes:
        assert (axis.get_xscale(), axis.get_yscale(), axis.get_xlabel()) == ("log", "log", "cells")
        assert axis.get_title() == f"{study.case}, t = {study.end_time:g}"
        for name in POLICIES:
            np.testing.assert_array_equal(named(axis)[name], np.stack([study.cells, study.errors(name, "l2")], axis=1))
        slopes = {text.get_text() for text in axis.texts}
        assert slopes <= {"order 1", "order 3", "order 5"} and slopes
        for line in (line for line in axis.lines if line.get_linestyle() == "--"):
            (x, end), (low, high) = line.get_xdata(), line.get_ydata()
            assert f"order {np.log(low / high) / np.log(end / x):.0f}" in slopes
    fig = figures.error_over_x(study)
    assert fig.get_suptitle() == f"{study.case}, t = {study.end_time:g}" and fig.axes[0].get_ylabel() == "|error|"
    for axis, name in zip(fig.axes, POLICIES, strict=True):
        assert (axis.get_title(), axis.get_xlabel(), axis.get_yscale()) == (name, "x", "log")
        for grid, cells in zip(study.grids, study.cells, strict=True):
            drawn = named(axis)[str(cells)]
            np.testing.assert_allclose(drawn[:, 1], np.abs(grid.values[name] - grid.exact), atol=1e-16)
            np.testing.assert_array_equal(drawn[:, 0], grid.x)
    assert fig.axes[-1].get_legend().get_title().get_text() == "cells"
    broken = convergence(BROKEN, wave, cells=(16, 32), law=LinearAdvection(1.0))
    fig = figures.convergence_figure(broken)
    assert is_picture(fig) and "learned is not finite on 2 grids" in texts(fig.axes[0])
    assert is_picture(figures.error_over_x(broken))


def test_figures_of_a_training(tmp_path):
    loss, ratio = figures.training_figure(metrics()).axes
    assert [axis.get_title() for axis in (loss, ratio)] == ["loss in training", "evaluation: L1 error / weno-js"]
    assert loss.get_xlabel() == ratio.get_xlabel() == "update" and loss.get_yscale() == "log"
    np.testing.assert_array_equal(named(loss)["loss"], np.stack([metrics()["update"], metrics()["loss"]], axis=1)[1:])
    assert [text.get_text() for text in ratio.get_legend().get_texts()] == ["geometric mean", "worst case", "weno-js"]
    for label, column in (("geometric mean", "ratio"), ("worst case", "worst")):
        np.testing.assert_array_equal(named(ratio)[label][:, 1], metrics()[column])
    seeds = [{**metrics(), "loss": metrics()["loss"] * factor} for factor in (0.9, 1.0, 1.2)]
    runs = {"three": seeds, "two": seeds[:2]}
    fig = figures.seeds_figure(runs, kind="range")
    axis = fig.axes[0]
    assert texts(axis) == ["three, 3 seeds", "two, 2 seeds"] and axis.get_title() == "loss"
    mean = named(axis)["three, 3 seeds"]
    np.testing.assert_allclose(mean[:, 1], metrics()["loss"][1:] * (0.9 * 1.2) ** (1 / 3))
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(1.2 * metrics()["loss"][1]) and band.min() < 0.901 * metrics()["loss"][-1]
    assert is_picture(figures.seeds_figure(runs, kind="confidence"))
    with pytest.raises(UndertowError, match="not recorded at the same updates"):
        figures.seeds_figure({"a": [metrics(), metrics(10)]}, tmp_path / "a.png")
    with pytest.raises(UndertowError, match="nothing to draw"):
        figures.training_figure({"update": np.arange(3.0)}, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_all_figures_of_a_run(tmp_path, evaluation):
    made, other = carried(), evaluate(POLICIES, hand_made())
    transfers = {"hand-made": other}
    paths = figures.draw_run(tmp_path / "figures", evaluation, POLICIES, made, metrics(), transfers=transfers)
    assert paths[0].name == "training.png" and all(is_picture(path) for path in paths)
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "figures").iterdir()}
    names = {"errors", "ratios", "transfers", "solutions", "time", "evolution", "weights", "weights_scatter", "cost"}
    assert names <= {path.stem for path in paths}


def test_telling_cases_begin_with_what_failed():
    made = carried()
    largest = np.asarray(made.problems.state.u).max(axis=(1, 2))
    evaluation = evaluate({"learned": Failing(float(np.sort(largest)[-2:].mean()))}, made)
    cases = figures.telling_cases(evaluation, "learned", most=3)
    assert cases[0] == made.cases[int(largest.argmax())] and len(cases) == 3


def test_the_learned_policy_keeps_its_colour():
    colour = style.colours(["weno-z", "learned", "weno-js"], "learned", "weno-js")
    assert colour["learned"] == style.LEARNED and colour["weno-js"] == style.BASELINE
    assert len(set(colour.values())) == 3
    assert style.lead(["weno-js", "learned"], "weno-js") == "learned"
    with pytest.raises(UndertowError, match="there is no policy 'x'"):
        style.lead(["a"], None, "x")


def test_files_that_cannot_be_written(tmp_path, evaluation):
    with pytest.raises(UndertowError, match="a figure ends in"):
        figures.cost_figure(evaluation, tmp_path / "cost.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(UndertowError, match="cannot write"):
        figures.draw_run(tmp_path / "file" / "figures", evaluation, POLICIES, carried())
    figures.cost_figure(evaluation, tmp_path / "cost.png")
    assert is_picture(tmp_path / "cost.png")
    figures.cost_figure(evaluation, tmp_path / "cost.svg")
    assert (tmp_path / "cost.svg").read_text().count("<svg") == 1


def test_pyplot_stays_away():
    script = "import sys, undertow.report.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
