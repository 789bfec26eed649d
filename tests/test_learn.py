"""Training without files: the same as with them, bit for bit, and nothing on the disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import undertow as ut
from tests.report.pictures import is_picture
from tests.test_control_runs import SYSTEMS
from tests.test_experiment import same
from tests.tiny import tiny
from undertow._checks import UndertowError
from undertow.config import Config, TrainingConfig
from undertow.experiment import Learned, Run, evaluate_run, learn, train
from undertow.store.rundir import RunDirectory
from undertow.training.optimizer import OptimizerConfig


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn(tiny())


@pytest.fixture(scope="module")
def controller() -> Learned:
    return learn(SYSTEMS["cartpole"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The same, trained into directories."""
    root = tmp_path_factory.mktemp("runs")
    configs: dict[str, Config] = {"learned": tiny(), "controller": SYSTEMS["cartpole"]}
    return {name: train(config, out=root / name) for name, config in configs.items()}


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the directory where a run would be."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["learned", "controller"])
def test_it_is_what_a_run_directory_holds(name: str, request: pytest.FixtureRequest, runs: dict[str, Run]):
    found, run = request.getfixturevalue(name), runs[name]
    assert same(found.policy, run.policy)
    metrics = RunDirectory.open(run.path).read_metrics()
    assert list(found.metrics) == list(metrics)
    for column in set(metrics) - {"seconds"}:
        np.testing.assert_array_equal(found.metrics[column], metrics[column])
    assert (found.status, found.reason, found.error) == ("finished", None, None)
    for key in set(found.summary) - {"training_seconds"}:
        assert found.summary[key] == run.summary[key]


def test_it_is_evaluated_as_its_run_is(learned: Learned, controller: Learned, runs: dict[str, Run]):
    seen = []
    told = evaluate_run(
        runs["controller"].path, ["test", "fresh"], n=3, on_suite=lambda done, found: seen.append((done, found))
    )
    assert seen == list(enumerate(told.values(), start=1))
    found = controller.evaluate("fresh", n=3)
    np.testing.assert_array_equal(found.scores["learned"].loss, told["fresh"].scores["learned"].loss)
    assert "no control" in found._repr_mimebundle_([], [])["text/html"]
    with pytest.raises(UndertowError, match="did you mean 'held-out'"):
        learned.evaluate("held-uot")


def test_the_policy_is_a_callable(learned: Learned, controller: Learned):
    assert controller.policy(np.zeros(4)).shape == (1,)
    stencils = np.zeros((2, 1, 5, 3))
    (weights,) = learned.policy((stencils,))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-12)


def test_figures_and_what_a_notebook_shows(controller: Learned):
    assert controller.evaluate() is controller.evaluate("test"), "measured once"
    figures = controller.plot()
    assert list(figures) == ["training", "cost", "gradients", "behaviour"]
    assert all(is_picture(figure) for figure in figures.values())
    assert figures._repr_html_().count('<img src="data:image/png;base64,') == 4
    assert repr(controller).startswith("Learned(custom: finished after 6 updates, best test_loss ")
    assert controller._repr_html_().count("<img") == 1


def test_fields_are_given_as_in_a_file():
    changes = {"seed": 3, "training": {"updates": 2}, "policy": {"hidden": [3]}, "evaluation.every": 1}
    config = ut.learn(tiny(), callbacks=[lambda progress: True], **changes).config
    assert (config.seed, config.training.updates, config.policy.hidden, config.evaluation.every) == (3, 2, (3,), 1)
    assert dataclasses.replace(config.training, updates=4) == tiny().training, "all else is as it was"
    for wrong, message in (
        (
            {"training": {"udpates": 2}},
            "unknown configuration field 'training.udpates'; did you mean 'training.updates'?",
        ),
        ({"training": 3}, "training is a table of fields; choose among training.updates"),
        ({"training": {"updates": "two"}}, "training.updates must be a whole number"),
        ({"gradient": "ful"}, "unknown gradient 'ful'; did you mean 'full'?"),
    ):
        with pytest.raises(UndertowError) as error:
            learn(tiny(), **wrong)
        assert message in str(error.value)
    with pytest.raises(UndertowError, match="unknown preset 'cartpol'; did you mean 'cartpole'?"):
        learn("cartpol")


def test_stopped_or_failed_it_keeps_what_it_has(learned: Learned):
    longer = tiny(training=TrainingConfig(updates=1000, batch=2, dispatch=2))
    stopped = learn(longer, callbacks=[lambda progress: progress.done == 4])
    assert (stopped.status, stopped.reason) == ("interrupted", "stopped by a callback after 4 updates")
    assert same(stopped.policy, learned.policy) and stopped.metrics["update"].tolist() == [0, 2, 4]
    lost = learn(
        dataclasses.replace(
            tiny(optimizer=OptimizerConfig("sgd", learning_rate=1e300)),
            training=TrainingConfig(updates=100, batch=2, dispatch=2, max_skipped=3),
        )
    )
    assert lost.status == "failed" and lost.error is not None and lost.summary["best"]["update"] == 0
