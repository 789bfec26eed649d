"""Controllers from a configuration to a run directory, a comparison and its figures."""

from __future__ import annotations

import dataclasses
import json
import signal

import equinox as eqx
import jax
import numpy as np
import pytest

from undertow import cli
from undertow._checks import UndertowError
from undertow.assembly import build
from undertow.config import (
    CONTROL_CONFIGS,
    ControlDataConfig,
    ControlEvaluationConfig,
    ControllerConfig,
    TrainingConfig,
    config_from_dict,
    config_to_dict,
)
from undertow.core.flow import FULL
from undertow.experiment import evaluate_run, plot_run, train
from undertow.presets import preset
from undertow.reproduction import command
from undertow.reproduction.grid import Trial, grid
from undertow.reproduction.runner import Study
from undertow.tasks.cartpole import published_cartpoles
from undertow.tasks.guidance import GuidanceSettings, published_guidance
from undertow.tasks.quantum import QuantumSettings, published_waves
from undertow.tasks.task import ControlObjectiveSettings
from undertow.training.optimizer import OptimizerConfig

CartPoleTask = CONTROL_CONFIGS["cartpole"]
GuidanceTask = CONTROL_CONFIGS["guidance"]
QuantumTask = CONTROL_CONFIGS["quantum"]

SHARED = {
    "horizon": 5,
    "data": ControlDataConfig(train=6, test=4),
    "policy": ControllerConfig(hidden=(4,)),
    "optimizer": OptimizerConfig("adam", learning_rate=1e-2, convention="keras", clip="norm"),
    "training": TrainingConfig(updates=6, batch=2, dispatch=3, sampling="cycle", precision="float32"),
    "evaluation": ControlEvaluationConfig(every=3, keep=2, suites=("test", "longer"), figures=False),
}
SYSTEMS = {
    "cartpole": CartPoleTask(**SHARED),
    "guidance": GuidanceTask(**SHARED, objective=ControlObjectiveSettings("running", action_cost=0.1)),
    "quantum": QuantumTask(
        **{**SHARED, "policy": ControllerConfig("cnn", channels=3)},
        system=QuantumSettings(points=8),
        gradient="physics",
    ),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(SYSTEMS["cartpole"], preset="tiny", root=tmp_path_factory.mktemp("runs"))


def test_a_run_leaves_a_whole_directory(run):
    assert (run.status, run.error) == ("finished", None)
    summary = json.loads((run.path / "summary.json").read_text())
    assert summary["loss"] == summary["suites"]["test"]["learned"]["loss"] < 2
    rows = (run.path / "metrics.csv").read_text().splitlines()
    assert rows[0].startswith("update,loss") and "test_loss" in rows[0] and len(rows) == 4
    assert summary["suites"]["test"]["no control"]["effort"] == 0


def test_what_is_said_of_a_run_is_what_its_policy_does(run):
    """The summary's loss, the evaluation's and the task's own loss of the kept policy are one number."""
    experiment = build(SYSTEMS["cartpole"])
    sets = experiment.make_sets()
    losses = experiment.task.losses(run.policy, FULL, sets["test"])
    np.testing.assert_allclose(run.summary["loss"], np.mean(losses), rtol=1e-12)
    found = evaluate_run(run.path)["test"]
    np.testing.assert_allclose(found.scores["learned"].loss, losses, rtol=1e-12)
    last = np.cos(found.trajectories["learned"].states[:, -1, 1, 0])
    np.testing.assert_allclose(found.scores["learned"].final, 1 - last, rtol=1e-12)


def test_evaluations_can_be_changed_and_written(run, tmp_path, capsys):
    out = tmp_path / "scores"
    assert (
        cli.main(["evaluate", str(run.path), "--suite", "fresh", "--cases", "3", "--steps", "2", "--out", str(out)])
        == 0
    )
    assert "no control" in capsys.readouterr().out
    assert len((out / "fresh.csv").read_text().splitlines()) == 7
    assert json.loads((out / "fresh.json").read_text())["horizon"] == 2
    assert cli.main(["evaluate", str(run.path), "--cells", "3"]) == 2
    assert "not evaluated with another cells" in capsys.readouterr().err
    assert cli.main(["evaluate", str(run.path), "--suite", "held-out"]) == 2
    assert "unknown suite 'held-out'" in capsys.readouterr().err


@pytest.mark.parametrize("name", SYSTEMS)
def test_figures(name, tmp_path):
    training = dataclasses.replace(SHARED["training"], updates=3)
    evaluation = dataclasses.replace(SHARED["evaluation"], suites=("test",), figures=True)
    run = train(dataclasses.replace(SYSTEMS[name], training=training, evaluation=evaluation), root=tmp_path)
    files = {path.name: path.stat().st_size for path in (run.path / "figures").iterdir()}
    assert set(files) == {"training.png", "cost.png", "gradients.png", "behaviour.png", "behaviour.gif"}
    assert min(files.values()) > 5000


def test_figures_can_be_drawn_again(run):
    assert "behaviour.gif" in {path.name for path in plot_run(run.path)}


@pytest.mark.parametrize(
    ("name", "published"),
    [("cartpole", published_cartpoles), ("guidance", published_guidance), ("quantum", published_waves)],
)
def test_training_and_test_states_are_the_published_ones(name, published):
    experiment = build(preset(name).config)
    sets = experiment.make_sets()
    states = published(512)
    np.testing.assert_array_equal(sets["train"].state, states[:256])
    np.testing.assert_array_equal(sets["test"].state, states[256:])
    pool = experiment.make_pool()
    assert pool.state.dtype == np.float32
    np.testing.assert_array_equal(pool.state, states[:256].astype(np.float32))


@pytest.mark.parametrize("name", ["cartpole", "guidance", "quantum"])
def test_presets_are_as_published(name):
    config = preset(name).config
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.convention) == ("adam", 1e-3, "keras")
    assert (config.training.batch, config.training.sampling, config.data.train) == (8, "cycle", 256)
    parameters = eqx.filter(build(config).policy, eqx.is_array)
    counts = {"cartpole": 10701, "guidance": 13004, "quantum": 11701}
    assert sum(x.size for x in jax.tree.leaves(parameters)) == counts[name]
    horizon, end = {"cartpole": (100, 1), "guidance": (60, 4), "quantum": (128, 8)}[name]
    assert config.horizon == horizon
    np.testing.assert_allclose(config.horizon * config.system.dt, end)


@pytest.mark.parametrize("name", SYSTEMS)
def test_configurations_go_to_json_and_back(name):
    config = SYSTEMS[name]
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@pytest.mark.parametrize(
    "config, message",
    [
        (CartPoleTask(policy=ControllerConfig("cnn")), "the cnn sees waves"),
        (CartPoleTask(horizon=0), "horizon must be"),
        (CartPoleTask(data=ControlDataConfig(train=4)), "larger than the pool of 4 states"),
        (CartPoleTask(window=0, training=SHARED["training"]), "window must be a whole number above 0"),
        (CartPoleTask(window=5, gradient="physics"), "windows are for --gradient full, and it is 'physics'"),
        (CartPoleTask(gates=(0.5, 2.0)), "from 0 to 1"),
        (
            CartPoleTask(evaluation=ControlEvaluationConfig(suites=("tests",))),
            "unknown suite 'tests'; did you mean 'test'",
        ),
        (GuidanceTask(objective=ControlObjectiveSettings(action_cost=-1.0)), "0 or more, got -1"),
        (GuidanceTask(system=GuidanceSettings(drivers=0)), "drivers must be a whole number above 0"),
        (QuantumTask(system=QuantumSettings(level=40)), "levels 1 .ground state. to 32, got 40"),
        (QuantumTask(system=QuantumSettings(dt=0.0)), "system.dt must be"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_made(config, message, tmp_path):
    with pytest.raises(UndertowError, match=message):
        train(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- published comparisons --------------------------------------------------------------------------------------------


def cell(updates=6, gradient="sign-agreement"):
    training = dataclasses.replace(SHARED["training"], updates=updates)
    return Trial(
        "1 pole", "combined", "norm", dataclasses.replace(SYSTEMS["cartpole"], gradient=gradient, training=training), 3
    )


def interrupt_after_the_first(epoch, number=signal.SIGINT):
    """In the place of `measured`: Ctrl-C in the first epoch, which is measured."""
    if epoch == 1:
        signal.raise_signal(number)
    return True


def test_the_published_grid():
    cells = grid("cartpole")
    assert len(cells) == 4 * 3 * 4 and len({each.name for each in cells}) == 48
    assert {each.config.training.updates for each in cells} == {32_000}
    quick = grid("quantum", quick=True, epochs=2)
    assert [each.panel for each in quick[::4]] == ["level 3", "level 5"]
    assert {each.config.training.updates for each in quick} == {64}
    for wrong in ({"flows": ("regulr",)}, {"panels": ("5 poles",)}, {"epochs": 0}):
        with pytest.raises(UndertowError):
            grid("cartpole", **wrong)


def test_a_study_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Stopped after its first epoch and gone on with, a study measures what it measures in one go."""
    whole = Study(tmp_path / "whole", "test", [cell()], 2)
    assert whole.run(quiet=True)
    halves = Study(tmp_path / "halves", "test", [cell()], 2)
    with monkeypatch.context() as patch:
        patch.setattr("undertow.reproduction.runner.measured", interrupt_after_the_first)
        assert not halves.run(quiet=True)
    assert halves.results()["cells"]["1-pole_combined_norm"]["epochs"] == [1]
    assert halves.run(quiet=True)
    first, second = (study.results()["cells"]["1-pole_combined_norm"] for study in (whole, halves))
    for key in ("epochs", "train_loss", "test_loss", "gradient_norm", "cosine", "zeroed", "skipped"):
        assert first[key] == second[key], key
    assert first["epochs"] == [1, 2] and np.shape(first["test_loss"]) == (2, 2)


def test_a_study_is_never_mixed_with_another(tmp_path):
    Study(tmp_path / "study", "test", [cell()], 1).open()
    with pytest.raises(UndertowError, match="other settings"):
        Study(tmp_path / "study", "test", [cell(updates=9)], 1).open()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UndertowError, match="is no study"):
        Study(tmp_path / "mine", "test", [cell()], 1).open()


def test_reproduce_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "grid", lambda task, **_: [cell(updates=3)])
    out = tmp_path / "study"
    assert cli.main(["reproduce", "cartpole", "--seeds", "2", "--out", str(out), "--quiet"]) == 0
    assert "median of 2 seeds" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert set(results) >= {"machine", "git", "settings", "cells", "seeds"}
    assert {path.name for path in (out / "figures").iterdir()} >= {"test_loss.png", "cosine.png"}
    assert cli.main(["reproduce", "cartpol"]) == 2
    assert "did you mean 'cartpole'" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_comparison_says_so(number, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "grid", lambda task, **_: [cell(updates=9)])
    monkeypatch.setattr("undertow.reproduction.runner.measured", lambda epoch: interrupt_after_the_first(epoch, number))
    assert cli.main(["reproduce", "cartpole", "--seeds", "1", "--out", str(tmp_path / "s"), "--quiet"]) == 128 + number
    assert "goes on from here" in capsys.readouterr().err
