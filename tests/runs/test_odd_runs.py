"""Odd runs beside good ones: named in a line, left out, and no hindrance to the others."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.odd import ODD, leaves, put
from tests.runs.fakes import make_run
from undertow._checks import UndertowError
from undertow._io import to_json
from undertow.config import CONTROL_CONFIGS
from undertow.experiment.reporting import Report
from undertow.runs import compare_runs, diff_runs, list_runs
from undertow.runs.tables import COLUMNS, comparison_table, run_values, runs_table
from undertow.store.recover import describe_config
from undertow.store.rundir import RunDirectory

CartPoleTask = CONTROL_CONFIGS["cartpole"]

FILES = ("run.json", "config.json", "summary.json")
TABLES = (
    "", "\n", "update\n", "seconds,test_loss\n1,1\n", "update,test_loss\n", "update,test_loss\nnan,1\n",
    "update,test_loss\n1,x\n", "update,test_loss\n0,inf\n", "update,test_loss,seconds\n0,1,nan\n1,nan,-5\n",
    "update,test_loss,seconds\n0,1,inf\n",
    "update,test_loss\n5,1\n3,2\n", "update,update\n1,2\n", "update,test_loss\n1e300,1\n", "update,test_loss\n-1,1\n", "a,b\n1\n",
    'update,"test\nloss"\n1,1\n', "update,test_loss\n1,1,1\n", "\x00,\x00\n\x00,1\n", ",\n1,1\n",
    "update,test_loss,seconds\n1,2,3\n",
)  # fmt: skip


def look(root: Path) -> None:
    """Everything that reads many runs, or one run's small files: an answer, or an error of one line."""
    runs = list_runs(root)
    assert "good" in {run.path.name for run in runs}
    runs_table(runs)
    json.dumps([to_json(run.to_dict()) for run in runs])
    run_values(runs, COLUMNS)
    for call in (
        lambda: list_runs(root, since="2001-01-01", sort="best"),
        lambda: list_runs(root, where=["optimizer.learning_rate<1", "seconds>=0"], sort="seconds"),
        lambda: comparison_table(compare_runs([root], resamples=20)),
        lambda: compare_runs([root], by=["seed"], metric="test_loss", axis="seconds", resamples=20),
        lambda: compare_runs([root], metric="summary.loss", resamples=20).to_dict(),
        lambda: diff_runs([root / "good", root / "odd"], everything=True).table(),
        lambda: Report(root / "odd").status(),
        lambda: Report(root / "odd").training(),
        lambda: RunDirectory.open(root / "odd").status,
    ):
        try:
            call()
        except UndertowError as error:
            assert "\n" not in str(error)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    make_run(root / "good", CartPoleTask(seed=1))
    run = make_run(root / "odd", CartPoleTask(seed=2), summary={"training_seconds": 2.0})
    run.info = {
        **run.info,
        "resumed": [{"start": "2026-01-31T14:25:01+00:00", "update": 1, "command": None, "git": None}],
    }
    run.info["status"] = "running"  # the summary is of the session before
    (run.path / "run.json").write_text(to_json(run.info))
    return root


@pytest.fixture(scope="module")
def room(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("copies") / "runs"))


def every_place(made: Path) -> list[tuple[str, tuple[Any, ...]]]:
    return [(name, path) for name in FILES for path in leaves(json.loads((made / "odd" / name).read_text()))]


@settings(max_examples=120)
@given(data=st.data())
def test_any_value_at_any_place(data: st.DataObject, made: Path, room: Path):
    """The digest of `config.json` fits, as one that was made by hand would."""
    places = every_place(made)
    name, path = data.draw(st.sampled_from(places))
    new = data.draw(st.sampled_from((..., *ODD)))
    text = (made / "odd" / name).read_text()
    changed = put(json.loads(text), path, new)
    if name == "config.json" and path[:1] == ("config",):
        with contextlib.suppress(AttributeError, KeyError):  # no table any more
            changed = describe_config(changed["id"], changed["preset"], changed["config"])
    file = room / "odd" / name
    status = data.draw(st.sampled_from(("running", "finished", "failed")))
    info = json.loads((made / "odd" / "run.json").read_text())
    (room / "odd" / "run.json").write_text(to_json({**info, "status": status}))
    file.write_text(json.dumps(changed))
    try:
        look(room)
    finally:
        for each in FILES:
            (room / "odd" / each).write_text((made / "odd" / each).read_text())


@pytest.mark.parametrize("status", ["running", "finished"])
def test_any_table(status: str, made: Path, room: Path):
    info = json.loads((made / "odd" / "run.json").read_text())
    (room / "odd" / "run.json").write_text(to_json({**info, "status": status}))
    for text in TABLES:
        (room / "odd" / "metrics.csv").write_text(text)
        look(room)
    shutil.rmtree(room / "odd")
    shutil.copytree(made / "odd", room / "odd")


def texts() -> Iterator[bytes]:
    yield b""
    yield b"\xff\xfe"
    yield b"[" * 100_000
    yield b'{"a":' * 100_000
    yield b'{"status": ' + b"1" * 5000 + b"}"
    yield b'{"status": "finished", "format": 2, "seconds": NaN, "x": ' + b"[" * 80 + b"]" * 80 + b"}"


@pytest.mark.parametrize("name", [*FILES, "metrics.csv"])
def test_what_is_no_file_and_no_text(name: str, made: Path, room: Path):
    """A pipe is not waited for, a device without end not read."""
    file = room / "odd" / name
    good = file.read_bytes()
    for text in texts():
        file.write_bytes(text)
        look(room)
    file.unlink()
    os.mkfifo(file)
    look(room)
    for target in ("/dev/zero", "/dev/null", file.name, "nowhere"):
        file.unlink()
        file.symlink_to(target)
        look(room)
    file.unlink()
    file.mkdir()
    look(room)
    file.rmdir()
    look(room)
    with open(file, "wb") as sparse:
        sparse.truncate(1 << 40)
    look(room)
    file.write_bytes(good)


def test_a_directory_that_cannot_be_read_is_named(room: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    (room / "closed").mkdir()
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(list_runs(room)) == 2
    assert "closed: Permission denied" in caplog.text
    monkeypatch.undo()
    (room / "closed").rmdir()


def test_a_clock_that_was_set_back(room: Path):
    info = json.loads((room / "odd" / "run.json").read_text())
    (room / "odd" / "run.json").write_text(to_json({**info, "resumed": [{"start": "2999-01-01T00:00:00+00:00"}]}))
    run = RunDirectory.reopen(room / "odd")
    try:
        odd = next(run for run in list_runs(room) if run.path.name == "odd")
        assert odd.status == "running" and odd.seconds is not None and odd.seconds >= 0
    finally:
        run.close()
        (room / "odd" / "run.json").write_text(to_json(info))
