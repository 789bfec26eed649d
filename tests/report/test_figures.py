"""Every figure is drawn into a file that holds a picture, also where results are missing; pyplot stays away."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.report.pictures import is_moving, is_picture
from tests.small import Failing, carried, hand_made
from undertow._checks import UndertowError
from undertow.evaluation.actions import profile, snapshots
from undertow.evaluation.convergence import convergence
from undertow.evaluation.evaluate import evaluate
from undertow.evaluation.series import series
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


@pytest.mark.parametrize("policies", [POLICIES, BROKEN], ids=["finite", "broken"])
def test_figures_of_an_evaluation(policies):
    evaluation = evaluate(policies, carried())
    other = evaluate(POLICIES, hand_made())
    for draw in (figures.error_scatter, figures.ratio_distribution, figures.cost_figure):
        assert is_picture(draw(evaluation))
    assert is_picture(figures.error_scatter(other, norm="linf"))
    assert is_picture(figures.transfer_bars({"a": evaluation, "b": other}))


@pytest.mark.parametrize("policies", [POLICIES, BROKEN], ids=["finite", "broken"])
def test_figures_of_a_series(tmp_path, policies):
    found = series(policies, hand_made(), every=5)
    for draw in (figures.solution_panels, figures.time_series, figures.mean_series):
        assert is_picture(draw(found))
    assert is_picture(figures.evolution(found, "jump"))
    assert is_moving(figures.animate(found, "wave", tmp_path / "wave.gif"))


@pytest.mark.parametrize("policies", [POLICIES, BROKEN], ids=["finite", "broken"])
def test_figures_of_weights(policies):
    found = [profile(policies, hand_made(), case, along="weno-js", every=10) for case in ("wave", "jump")]
    assert is_picture(figures.weight_profile(found[0]))
    assert is_picture(figures.weight_scatter(found))
    assert is_picture(figures.snapshot_figure(snapshots(policies, cells=32)))


@pytest.mark.parametrize("policies", [POLICIES, BROKEN], ids=["finite", "broken"])
def test_figures_of_convergence(policies):
    wave = SineCondition(0.0, 1.0, 6.283, boundary="periodic")
    study = convergence(policies, wave, cells=(16, 32, 64), law=LinearAdvection(1.0))
    assert is_picture(figures.convergence_figure([study, study]))
    assert is_picture(figures.error_over_x(study))


def test_figures_of_a_training(tmp_path):
    assert is_picture(figures.training_figure(metrics()))
    seeds = [{**metrics(), "loss": metrics()["loss"] * factor} for factor in (0.9, 1.0, 1.2)]
    runs = {"three": seeds, "two": seeds[:2]}
    assert is_picture(figures.seeds_figure(runs, kind="confidence"))
    with pytest.raises(UndertowError, match="not recorded at the same updates"):
        figures.seeds_figure({"a": [metrics(), metrics(10)]}, tmp_path / "a.png")
    with pytest.raises(UndertowError, match="nothing to draw"):
        figures.training_figure({"update": np.arange(3.0)}, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_all_figures_of_a_run(tmp_path):
    made = carried()
    evaluation, other = evaluate(POLICIES, made), evaluate(POLICIES, hand_made())
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


def test_files_that_cannot_be_written(tmp_path):
    evaluation = evaluate(POLICIES, carried())
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
