"""A run that stops, whenever and however, goes on as if it had not; what is damaged is said, and costs no more than itself."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.test_control_runs import SYSTEMS
from tests.tiny import tiny
from tests.traces import check_whole, checkpoint_essence, differences, essence, table_essence
from undertow import _io
from undertow._checks import UndertowError
from undertow.config import CheckpointConfig, Config, TrainingConfig, load_config
from undertow.experiment import Run, load_run, loop, resume, train
from undertow.experiment.recorder import Recorder
from undertow.store.rundir import RunDirectory
from undertow.training.optimizer import OptimizerConfig

# Evaluations after 4, 8, 10 updates, checkpoints after every dispatch of 2.
CONFIG = tiny(
    training=TrainingConfig(updates=10, batch=2, dispatch=2),
    evaluation=dataclasses.replace(tiny().evaluation, every=4),
    checkpoint=CheckpointConfig(updates=1, keep=3),
)


def stop_after(updates: int):
    return lambda progress: progress.done == updates


def stopped(config: Config, updates: int, path: Path) -> Path:
    assert train(config, preset="tiny", out=path, callbacks=(stop_after(updates),)).status == "interrupted"
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    return train(CONFIG, preset="tiny", out=tmp_path_factory.mktemp("whole") / "run").path


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped between two evaluations, to be copied."""
    return stopped(CONFIG, 6, tmp_path_factory.mktemp("half") / "run")


@pytest.fixture
def run(half: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(half, tmp_path / "run"))


def test_a_stopped_run_goes_on_bit_for_bit(run: Path, whole: Path):
    assert RunDirectory.open(run).read_metrics()["update"].tolist() == [0, 4], "stopping adds no row"
    assert resume(run, callbacks=(stop_after(8),)).status == "interrupted"  # at an evaluation
    again: Run = resume(run, command=["undertow", "resume", "run"])
    assert again.status == "finished" and differences(essence(run), essence(whole)) == []
    info = RunDirectory.open(run).info
    first, session = info["resumed"]
    assert first["update"] == 6 and session["update"] == 8
    assert session["command"] == ["undertow", "resume", "run"] and session["versions"]["jax"]


def test_a_controller_goes_on_bit_for_bit(tmp_path: Path):
    cartpole = SYSTEMS["cartpole"]
    config = dataclasses.replace(cartpole, training=dataclasses.replace(cartpole.training, updates=12))
    train(config, preset="tiny", out=tmp_path / "whole")
    resume(stopped(config, 9, tmp_path / "run"))
    assert differences(essence(tmp_path / "run"), essence(tmp_path / "whole")) == []


def test_a_run_that_died_before_its_first_checkpoint_begins_anew(run: Path, whole: Path):
    """What it has of a table is of a life that nothing is known of any more."""
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    resume(run)
    assert differences(essence(run), essence(whole)) == []


def test_a_run_that_died_while_it_was_evaluated_is_evaluated(whole: Path, tmp_path: Path):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    (run / "summary.json").unlink()
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "status": "running", "end": None}))
    assert RunDirectory.open(run).status == "killed"
    resume(run)
    assert differences(essence(run), essence(whole)) == []


def test_more_updates_than_first_asked_for(run: Path, tmp_path: Path):
    """At a constant rate as if so many had been asked for at once. The rest of a portion is made up before the next one."""
    longer = dataclasses.replace(CONFIG, training=dataclasses.replace(CONFIG.training, updates=13))
    expected = train(longer, out=tmp_path / "longer").path
    resume(run)
    with pytest.raises(UndertowError, match=r"is finished after 10 updates; .* undertow resume .* --updates N"):
        resume(run)
    with pytest.raises(UndertowError, match="has 10 updates behind it; more were expected than updates=10"):
        resume(run, updates=10)
    assert RunDirectory.open(run).status == "finished", "what cannot be done changes nothing"
    resume(run, updates=13)
    assert load_config(run).config == longer
    last = "checkpoints/last_update_000013.safetensors"
    tensors = [checkpoint_essence(path / last)[1] for path in (run, expected)]
    assert tensors[0] == tensors[1]
    assert RunDirectory.open(run).read_metrics()["update"].tolist() == [0, 4, 8, 10, 12, 13]


def test_a_failed_run_fails_again_where_it_did(tmp_path: Path):
    config = tiny(
        optimizer=OptimizerConfig("sgd", learning_rate=1e300),
        training=TrainingConfig(updates=100, batch=2, dispatch=2, max_skipped=3),
    )
    first = train(config, out=tmp_path / "run")
    again = resume(tmp_path / "run")
    assert (again.status, again.exit_code) == ("failed", 1)
    assert str(again.error) == str(first.error) and again.summary["updates"] == first.summary["updates"]


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full_at", [5, 16])
def test_a_disk_that_fills_up_stops_the_run_and_nothing_else(full_at: int, whole: Path, tmp_path: Path, monkeypatch):
    calls, real = itertools.count(), os.fsync

    def fsync(descriptor):
        if next(calls) >= full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(_io.os, "fsync", fsync)
    with pytest.raises(UndertowError, match="No space left on device; free some space and start again"):
        train(CONFIG, preset="tiny", out=tmp_path / "run")
    monkeypatch.undo()
    if full_at == 5:  # before the first update: there is nothing to go on with
        assert list(tmp_path.iterdir()) == []
        train(CONFIG, preset="tiny", out=tmp_path / "run")
    else:
        check_whole(tmp_path / "run")
        resume(tmp_path / "run")
    assert differences(essence(tmp_path / "run"), essence(whole)) == []


# --- damage -----------------------------------------------------------------------------------------------------------


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def test_all_of_it_damaged_but_one_checkpoint(run: Path, whole: Path, caplog):
    """Every file by itself and in every way: validation/test_damage.py."""
    broken = [run / f"checkpoints/last_update_{each}.safetensors" for each in ("000006", "000004", "000002")]
    for damage, file in zip((cut, flip, empty), broken, strict=True):
        damage(file)
    flip(run / "config.json")
    cut(run / "run.json")
    (run / "figures").rmdir()
    damaged = {name: (run / f"{name}.json").read_bytes() for name in ("config", "run")}
    with pytest.raises(UndertowError, match=r"config.json is damaged"):
        load_run(run)
    resume(run)
    for file in broken[:2]:
        assert str(file) in caplog.text
    for name, data in damaged.items():
        assert f"{name}.json is damaged" in caplog.text
        aside = run / f"{name}.damaged-1.json"
        assert aside.read_bytes() == data
        aside.unlink()
    assert RunDirectory.open(run).info["resumed"][0]["update"] == 4, "from the best one of that moment"
    assert differences(essence(run), essence(whole)) == []


def test_what_is_of_another_run_is_not_taken_for_ones_own(run: Path, whole: Path, caplog):
    shutil.copy(whole / "checkpoints/last_update_000010.safetensors", run / "checkpoints")
    shutil.copy(whole / "config.json", run / "config.json")
    resume(run)
    assert "is a checkpoint of another run" in caplog.text and "config.json is of another run" in caplog.text
    (run / "config.damaged-1.json").unlink()
    assert differences(essence(run), essence(whole)) == []


def test_what_is_left_of_a_damaged_table_goes_on(run: Path, whole: Path, caplog):
    flip(run / "metrics.csv")
    damaged = (run / "metrics.csv").read_bytes()
    resume(run)
    assert "metrics.csv was damaged" in caplog.text and (run / "metrics.damaged-1.csv").read_bytes() == damaged
    metrics, expected = (RunDirectory.open(each).read_metrics() for each in (run, whole))
    assert metrics["update"][-2:].tolist() == [8, 10]
    for name in expected.keys() - {"seconds"}:
        np.testing.assert_array_equal(metrics[name][-2:], expected[name][-2:])


def test_rows_of_another_run_are_not_taken_over(run: Path, whole: Path, tmp_path: Path, caplog):
    other = stopped(dataclasses.replace(CONFIG, seed=1), 6, tmp_path / "other")
    foreign = (other / "metrics.csv").read_bytes()
    # One row of its own among them, and one that is damaged.
    (run / "metrics.csv").write_bytes(
        foreign + (run / "metrics.csv").read_bytes().splitlines(keepends=True)[2] + b"8,x\n"
    )
    damaged = (run / "metrics.csv").read_bytes()
    resume(run)
    assert "1 of its rows go on, 1 are lost" in caplog.text and (run / "metrics.damaged-1.csv").read_bytes() == damaged
    kept, expected = (table_essence(each / "metrics.csv") for each in (run, whole))
    assert kept == [expected[0], *expected[2:]]


def test_a_run_without_its_table_goes_on(run: Path, whole: Path, caplog):
    (run / "metrics.csv").unlink()
    (run / "metrics.csv").mkdir()
    (run / "summary.json").unlink()
    os.mkfifo(run / "summary.json")
    assert resume(run).status == "finished"
    assert caplog.text.count("was no file, and is kept as") == 2
    assert table_essence(run / "metrics.csv")[-1] == table_essence(whole / "metrics.csv")[-1]


def test_stopped_before_the_first_measurement(whole: Path, tmp_path: Path):
    """The row of the policy before its first update is the same, to the letter."""
    run = stopped(CONFIG, 2, tmp_path / "run")
    resume(run)
    assert differences(essence(run), essence(whole)) == []


def test_a_configuration_that_nothing_can_restore(run: Path):
    flip(run / "config.json")
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(UndertowError, match=r"config.json is damaged.*there is no checkpoint to restore it from"):
        resume(run)
    assert (run / "config.json").exists() and (run / "metrics.csv").exists()


# --- whose run it is --------------------------------------------------------------------------------------------------


def test_one_process_at_a_time(run: Path):
    with RunDirectory.reopen(run), pytest.raises(UndertowError, match="another process is at work in"):
        resume(run)
    directory = RunDirectory.create(run.parent / "mine", preset="tiny", config={})
    assert RunDirectory.open(directory.path).status == "running"
    directory.close()  # as a death does
    assert RunDirectory.open(directory.path).status == "killed"


def test_the_lock_is_more_than_its_file(run: Path):
    with RunDirectory.reopen(run):
        (run / ".lock").unlink()
        assert RunDirectory.open(run).status != "killed"
        with pytest.raises(UndertowError, match="another process is at work in"):
            resume(run)


@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_a_directory_that_is_removed_ends_its_run(instead: str, half: Path, tmp_path: Path):
    """Nothing of it is made again, and nothing goes into another run's directory of that name."""
    path = tmp_path / "run"

    def remove(progress):
        if progress.done == 4:
            path.rename(tmp_path / "renamed")
            if instead == "another":
                shutil.copytree(half, path)

    with pytest.raises(UndertowError, match="was removed or renamed while the run was at work in it"):
        train(CONFIG, preset="tiny", out=path, callbacks=(remove,))
    if instead == "nothing":
        assert not path.exists()
    else:
        assert contents(path) == contents(half)
    assert RunDirectory.open(tmp_path / "renamed").status == "killed"


def contents(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


@pytest.mark.parametrize("where", ["in the data", "in the first measurement", "in the first update"])
def test_what_is_refused_leaves_nothing(where: str, run: Path, tmp_path: Path, monkeypatch):
    def refuse(*_: Any, **__: Any) -> Any:
        raise UndertowError("the first problem has no solution")

    root = tmp_path / "runs"
    train(tiny(), root=root, preset="first")
    before = sorted(root.rglob("*")), os.readlink(root / "last")
    names = {"in the data": (loop, "_trainer"), "in the first measurement": (Recorder, "measure")}
    monkeypatch.setattr(*names.get(where, (loop, "fit")), refuse)
    with pytest.raises(UndertowError, match="the first problem has no solution"):
        train(CONFIG, root=root, preset="first")
    assert (sorted(root.rglob("*")), os.readlink(root / "last")) == before
    if where == "in the data":  # to go on is refused before anything is touched
        files = contents(run)
        for updates in (None, 12):
            with pytest.raises(UndertowError, match="the first problem has no solution"):
                resume(run, updates=updates)
        with pytest.raises(UndertowError, match="more were expected than updates=6"):
            resume(run, updates=6)
        assert contents(run) == files


def test_what_is_no_run(tmp_path: Path):
    for path, message in ((tmp_path / "none", "there is no run directory"), (tmp_path, "is not a run directory")):
        with pytest.raises(UndertowError, match=message):
            resume(path)
    assert list(tmp_path.iterdir()) == []
