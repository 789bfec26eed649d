"""Which runs there are: found at any depth, chosen, sorted, whatever state they are in."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.runs.fakes import make_run
from undertow._checks import UndertowError
from undertow.config import CONTROL_CONFIGS
from undertow.runs import find_runs, list_runs, read_run
from undertow.training.optimizer import OptimizerConfig

CartPoleTask = CONTROL_CONFIGS["cartpole"]
GuidanceTask = CONTROL_CONFIGS["guidance"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    slow = OptimizerConfig(learning_rate=1e-4)
    make_run(tmp_path / "runs/cartpole/a", CartPoleTask(seed=3), (2.0, 0.5))
    make_run(tmp_path / "runs/cartpole/b", CartPoleTask(seed=1, optimizer=slow), (2.0, 0.7, 0.6), status="failed")
    make_run(tmp_path / "runs/deep/er/c", GuidanceTask(seed=2), (9.0, 8.0), preset="guidance", status="killed")
    make_run(tmp_path / "runs/d", None, None, status="killed")
    (tmp_path / "runs/last").symlink_to(tmp_path / "runs/cartpole/a")
    return tmp_path / "runs"


def names(runs) -> str:
    return "".join(run.path.name for run in runs)


def test_every_run_comes_once(root):
    runs = {run.path.name: run for run in list_runs(root)}
    assert sorted(runs) == ["a", "b", "c", "d"]
    assert {name: run.status for name, run in runs.items()} == {
        "a": "finished", "b": "failed", "c": "killed", "d": "killed",
    }  # fmt: skip
    assert [runs["b"].best, runs["b"].updates, runs["b"].total] == [0.6, 20, 1000]
    # A killed run has no summary: its files tell all the same.
    assert [runs["c"].best_metric, runs["c"].best, runs["c"].best_update, runs["c"].seconds] == [
        "test_loss",
        8.0,
        10,
        1.0,
    ]
    assert runs["d"].best is None and runs["d"].updates is None
    assert (runs["a"].suite, runs["a"].result, runs["a"].seed) == ("test", 0.5, 3)
    assert names(list_runs(root / "cartpole/a")) == "a" and names(list_runs(root / "last")) == "last"


def test_a_run_at_work(tmp_path):
    run = make_run(tmp_path / "run", losses=(2.0, 1.0), status="running")
    assert read_run(tmp_path / "run").status == "running"
    assert 0 <= read_run(tmp_path / "run").seconds < 60
    run.close()
    assert read_run(tmp_path / "run").status == "killed"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"presets": ["guidance"]}, "c"),
        ({"statuses": ["failed", "finished"]}, "ab"),
        ({"where": ["seed>=2"]}, "ac"),
        ({"where": ["optimizer.learning_rate<1e-3"]}, "b"),
        ({"where": ["optimizer.learning-rate<1e-3"]}, "b"),
        ({"where": ["system.drivers=2"]}, "c"),
        ({"where": ["system.poles!=2", "best<0.55"]}, "a"),
        ({"where": ["test_loss<1"]}, "ab"),
        ({"where": ["summary.status=failed"]}, "b"),
        ({"where": ["about.git.of=package", "seed=1"]}, "b"),
        ({"sort": "seed", "limit": 2}, "db"),
        ({"sort": "best"}, "abcd"),
        ({"sort": "best", "reverse": True}, "cbad"),
        ({"sort": "test_loss", "statuses": ["killed"]}, "cd"),
        ({"sort": "path", "reverse": True}, "cdba"),
    ],
)
def test_choices(root, options, found):
    listed = list_runs(root, **options)
    if "path" in options.values():
        assert [run.path for run in listed] == sorted((run.path for run in listed), key=str, reverse=True)
    else:
        assert names(listed) == found


def test_since(root):
    assert len(list_runs(root, since="1h")) == 4
    assert list_runs(root, since=datetime.now(UTC) + timedelta(hours=1)) == []
    assert len(list_runs(root, since=datetime.now() - timedelta(hours=1))) == 4  # local time


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ["optimizer.lerning_rate<1"]}, "no run has a field 'optimizer.lerning_rate'; did you mean"),
        ({"sort": "bst"}, "no run has a field 'bst'; did you mean 'best'"),
        ({"statuses": ["finsihed"]}, "unknown status 'finsihed'; did you mean 'finished'"),
        ({"limit": 0}, "limit must be"),
    ],
)
def test_what_is_not_there(root, options, message):
    with pytest.raises(UndertowError, match=message):
        list_runs(root, **options)
    with pytest.raises(UndertowError, match="there is no directory"):
        list_runs(root / "nowhere")


def test_damage_is_named_and_breaks_nothing(root, caplog):
    (root / "cartpole/a/run.json").unlink()
    config = json.loads((root / "cartpole/b/config.json").read_text())
    (root / "cartpole/b/config.json").write_text(json.dumps(config)[:-9])
    (root / "deep/er/c/metrics.csv").write_text("update,loss\n1,2,3\n")
    with caplog.at_level(logging.WARNING, "undertow"):
        assert names(list_runs(root, sort="path")) == "dc"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    for path, line in zip(("cartpole/a", "cartpole/b", "deep/er/c"), said, strict=True):
        assert str(root / path) in line


def test_checkpoints_stay_closed(root):
    """A list of hundreds of runs must not read gigabytes."""
    (root / "cartpole/a/checkpoints/best_update_000010.safetensors").write_bytes(b"damaged")
    assert read_run(root / "cartpole/a").best == 0.5


def test_places(root):
    found = find_runs([root / "cartpole", root, str(root / "*")])
    assert [path.relative_to(root).as_posix() for path in found] == ["cartpole/a", "cartpole/b", "d", "deep/er/c"]
    assert find_runs([root / "last"]) == [root / "last"]
    for place, message in (
        ("nowhere*", "there is no run directory nowhere"),
        (root / "d/figures", "there is none in it"),
    ):
        with pytest.raises(UndertowError, match=message):
            find_runs([place])


def test_names_that_mean_two_things(tmp_path):
    """`loss` is the result of the evaluation in the summary, and the training's in the table."""
    make_run(tmp_path / "run", losses=(2.0, 0.25), summary={"loss": 0.125})
    run = read_run(tmp_path / "run")
    assert (run.value("loss"), run.value("metrics.loss"), run.value("config.horizon")) == (0.125, 0.25, 100)
    assert run.has("system.poles") and not run.has("system.wheels")
    assert {"seed", "system.poles", "loss", "test_loss", "versions.jax"} <= set(run.names())


def test_a_summary_of_an_earlier_session_does_not_count(tmp_path):
    """A finished run that goes on is running: what it reached before is in its table."""
    run = make_run(tmp_path / "run", losses=(2.0, 1.0))
    run.resumed(10, run.config)
    run.close()
    info = read_run(tmp_path / "run")
    assert (info.status, info.result, info.best) == ("killed", None, 1.0)


def test_a_lost_metric_is_not_the_best(tmp_path):
    make_run(tmp_path / "run", replace(CartPoleTask(), seed=1), (2.0, float("nan"), 1.5), status="killed")
    assert read_run(tmp_path / "run").best == 1.5
