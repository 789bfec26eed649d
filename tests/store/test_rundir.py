"""A run directory belongs to one run, is never overwritten, and says what is missing."""

import errno
import json
import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from undertow import _io
from undertow._checks import UndertowError, at_home
from undertow._io import atomic_write_text
from undertow.store import machine
from undertow.store._lock import Lock
from undertow.store.checkpoint import save_checkpoint
from undertow.store.keeping import BestCheckpoints, LastCheckpoints
from undertow.store.rundir import RunDirectory

CONFIG = {"seed": 3, "grid": {"num_cells": 64, "domain": (0.0, 1.0)}, "limit": float("inf"), "note": None}


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(
        tmp_path / "run", preset="burgers", config=CONFIG, command=["/opt/bin/undertow", "train"]
    )


def fail_with(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_new_run_holds_what_is_needed_to_run_it_again(run):
    written = json.loads((run.path / "config.json").read_text(), parse_constant=pytest.fail)
    assert written.pop("digest") and written == {
        "id": run.id,
        "preset": "burgers",
        "config": {"seed": 3, "grid": {"num_cells": 64, "domain": [0.0, 1.0]}, "limit": "inf", "note": None},
    }
    info = json.loads((run.path / "run.json").read_text())
    assert info["status"] == "running" and info["end"] is None and info["command"] == ["undertow", "train"]
    assert set(info["versions"]) == {"python", "undertow", "jax", "jaxlib", "numpy", "equinox", "optax"}
    assert all(info["versions"].values())
    assert info["cpu_count"] >= 1 and info["device"]["kind"] and info["platform"] and info["float64"] is True
    assert datetime.fromisoformat(info["start"]).tzinfo is not None
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".lock",
        "checkpoints",
        "config.json",
        "figures",
        "run.json",
    ]


def test_default_paths_are_unique_also_when_many_start_at_the_same_instant(tmp_path):
    barrier, paths, errors = threading.Barrier(8), [], []

    def start():
        barrier.wait()
        try:
            paths.append(RunDirectory.create(preset="burgers", config={}, root=tmp_path / "runs").path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(set(paths)) == 8
    assert all(path.parent == tmp_path / "runs" / "burgers" and (path / "run.json").exists() for path in paths)


@pytest.mark.parametrize("kind", ["directory", "file", "dangling link"])
def test_an_existing_path_is_an_error_and_left_alone(tmp_path, kind):
    path = tmp_path / "out"
    if kind == "directory":
        path.mkdir()
        (path / "precious").write_text("kept")
    elif kind == "file":
        path.write_text("kept")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UndertowError, match="exists already and is left as it is"):
        RunDirectory.create(path, preset="burgers", config={})
    if kind == "directory":
        assert [p.name for p in path.iterdir()] == ["precious"] and (path / "precious").read_text() == "kept"
    elif kind == "file":
        assert path.read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()


def test_a_parent_that_cannot_be_made_or_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "run", tmp_path / "file" / "deep" / "run"):
        with pytest.raises(UndertowError, match="cannot write") as caught:
            RunDirectory.create(path, preset="burgers", config={})
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(os, "mkdir", fail_with(errno.EROFS))
    for path in (tmp_path / "run", None):
        with pytest.raises(UndertowError, match=os.strerror(errno.EROFS)):
            RunDirectory.create(path, preset="burgers", config={}, root=tmp_path)


def test_a_disk_that_is_full_at_the_start_leaves_no_half_run(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", fail_with(errno.ENOSPC))
    with pytest.raises(UndertowError, match=os.strerror(errno.ENOSPC)):
        RunDirectory.create(tmp_path / "run", preset="burgers", config={})
    assert not (tmp_path / "run").exists()


def test_bad_arguments_touch_nothing(tmp_path):
    with pytest.raises(UndertowError, match="plain word"):
        RunDirectory.create(preset="../up", config={}, root=tmp_path)
    with pytest.raises(UndertowError, match="cannot be written as JSON"):
        RunDirectory.create(tmp_path / "run", preset="burgers", config={"f": print})
    assert list(tmp_path.iterdir()) == []


def test_opened_run_is_the_run_that_was_made(run):
    run.finish("interrupted", "stopped by the user")
    opened = RunDirectory.open(run.path)
    assert (opened.path, opened.preset, opened.status) == (run.path, "burgers", "interrupted")
    assert opened.config["grid"]["num_cells"] == 64 and float(opened.config["limit"]) == float("inf")
    assert opened.info == run.info and opened.info["seconds"] >= 0 and opened.info["reason"] == "stopped by the user"


def test_what_is_missing_is_named(tmp_path, run):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    cases = {
        tmp_path / "absent": "there is no run directory",
        tmp_path / "file": "is a file",
        tmp_path / "empty": "has no config.json",
    }
    for path, words in cases.items():
        with pytest.raises(UndertowError, match=words):
            RunDirectory.open(path)
    for read, words in [
        (run.read_metrics, "has no metrics.csv"),
        (run.read_summary, "has no summary.json"),
        (run.checkpoint, "no checkpoint 'best'; it has none at all"),
    ]:
        with pytest.raises(UndertowError, match=words):
            read()
    for name, text, words in [
        ("run.json", '{"status": "finis', "run.json is damaged: it is not valid JSON"),
        ("run.json", "[]", "run.json is damaged: expected a table of values, got a list of 0"),
        ("run.json", "{}", "run.json is damaged: expected a table with 'status'"),
        ("run.json", '{"status": "finished", "format": 9}', "has run format 9"),
        ("config.json", '{"seed": 1}', "config.json is damaged: expected a table with 'preset'"),
    ]:
        good = (run.path / name).read_text()
        (run.path / name).write_text(text)
        with pytest.raises(UndertowError, match=words) as caught:
            RunDirectory.open(run.path)
        assert "\n" not in str(caught.value)
        (run.path / name).write_text(good)
    (run.path / "run.json").unlink()
    with pytest.raises(UndertowError, match=r"run\.json is missing"):
        RunDirectory.open(run.path)


def test_checkpoints_are_found_by_name(run):
    save_checkpoint(run.checkpoints / "last_update_000003.safetensors", jnp.ones(2))
    with pytest.raises(UndertowError, match="no checkpoint 'best'; it has last_update_000003"):
        run.checkpoint()
    best = BestCheckpoints(run.checkpoints, metric="ratio", keep=2)
    for update, value in [(10, 0.8), (20, 0.6), (30, 0.7)]:
        best.offer(value, update, jnp.ones(2))
    assert run.checkpoint() == run.checkpoints / "best_update_000020.safetensors"
    LastCheckpoints(run.checkpoints).save(7, jnp.ones(2))
    assert run.checkpoint("last") == run.checkpoints / "last_update_000007.safetensors"
    assert run.checkpoint("best_update_000030.safetensors").exists()
    with pytest.raises(UndertowError, match="it has best_update_000020, best_update_000030, last_upd"):
        run.checkpoint("best_update_000010.safetensors")


# metrics.csv


def test_metrics_come_back_exactly_and_each_row_is_there_at_once(run):
    run.append_metrics({"update": 0, "loss": 0.1, "ratio": None})
    assert (run.path / "metrics.csv").read_text() == "update,loss,ratio\n0,0.1,\n"
    run.append_metrics({"ratio": jnp.asarray(1 / 3, jnp.float32), "update": np.int64(100), "loss": float("nan")})
    reopened = RunDirectory.open(run.path)
    reopened.append_metrics({"update": jnp.asarray(200), "loss": jnp.asarray(np.pi)})
    metrics = reopened.read_metrics()
    assert list(metrics) == ["update", "loss", "ratio"]
    np.testing.assert_array_equal(metrics["update"], [0, 100, 200])
    np.testing.assert_array_equal(metrics["loss"], [0.1, np.nan, np.pi])
    np.testing.assert_array_equal(metrics["ratio"], [np.nan, np.float64(np.float32(1 / 3)), np.nan])


def test_metrics_that_do_not_fit(run):
    with pytest.raises(UndertowError, match="names the columns, and it is empty"):
        run.append_metrics({})
    run.append_metrics({"update": 0, "loss": 1.0})
    before = (run.path / "metrics.csv").read_bytes()
    for row, words in [
        ({"update": 1, "los": 1.0}, "'los' is not a column of .*did you mean 'loss'"),
        ({"update": 1, "loss": jnp.ones(2)}, "'loss' must be one number"),
        ({"update": 1, "loss": "low"}, "'loss' must be one number"),
    ]:
        with pytest.raises(UndertowError, match=words):
            run.append_metrics(row)
    assert (run.path / "metrics.csv").read_bytes() == before


def test_a_row_cut_short_by_a_kill_is_left_out_and_taken_off(run):
    run.append_metrics({"update": 0, "loss": 1.0})
    with open(run.path / "metrics.csv", "a") as file:
        file.write("100,0.5")  # 0.5 or the beginning of 0.512: not to be trusted
    opened = RunDirectory.open(run.path)
    np.testing.assert_array_equal(opened.read_metrics()["update"], [0])
    opened.append_metrics({"update": 100, "loss": 0.512})
    assert (run.path / "metrics.csv").read_text() == "update,loss\n0,1.0\n100,0.512\n"


def test_a_row_that_does_not_fit_on_the_disk_is_taken_back(run, monkeypatch):
    run.append_metrics({"update": 0, "loss": 1.0})
    real = open

    def half(*arguments, **options):
        file = real(*arguments, **options)

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def fileno(self):
                return file.fileno()

            def write(self, data):
                if len(data) < 5:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return file.write(data[: len(data) // 2])

        return Full()

    monkeypatch.setattr("builtins.open", half)
    with pytest.raises(UndertowError, match=os.strerror(errno.ENOSPC)):
        run.append_metrics({"update": 100, "loss": 0.5})
    monkeypatch.undo()
    assert (run.path / "metrics.csv").read_text() == "update,loss\n0,1.0\n"
    run.append_metrics({"update": 100, "loss": 0.5})
    np.testing.assert_array_equal(run.read_metrics()["loss"], [1.0, 0.5])


def test_damaged_metrics_name_the_line(run):
    for text, words in [
        ("update,loss\n0,1.0\n1\n", "line 3 is damaged: expected 2 values, got 1"),
        ("update,loss\n0,abc\n", "line 2 is damaged"),
        ("", "is empty"),
    ]:
        (run.path / "metrics.csv").write_text(text)
        with pytest.raises(UndertowError, match=words):
            run.read_metrics()
    (run.path / "metrics.csv").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(UndertowError, match="damaged"):
        run.read_metrics()


def test_summary(run, monkeypatch):
    run.write_summary({"ratio_to_weno5": {"geometric_mean": np.float64(0.6), "worst": float("nan"), "cases": 256}})
    expected = {"ratio_to_weno5": {"geometric_mean": 0.6, "worst": "nan", "cases": 256}}
    assert run.read_summary() == expected
    monkeypatch.setattr(os, "replace", fail_with(errno.ENOSPC))
    with pytest.raises(UndertowError, match=r"summary\.json"):
        run.write_summary({})
    assert run.read_summary() == expected


# How a run ends


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, "finished", None),
        (KeyboardInterrupt(), "interrupted", "stopped by the user"),
        (UndertowError("loss is NaN at step 3"), "failed", "loss is NaN at step 3"),
        (RuntimeError("two\nlines"), "failed", "RuntimeError: two lines"),
    ],
)
def test_the_end_is_noted_and_the_error_goes_on(run, error, status, reason):
    caught = None
    try:
        with run:
            if error is not None:
                raise error
    except BaseException as raised:
        caught = raised
    assert caught is error
    info = json.loads((run.path / "run.json").read_text())
    assert (info["status"], info["reason"]) == (status, reason) and info["end"] >= info["start"]


def test_an_end_that_was_noted_already_stays(run):
    with run:
        run.finish("interrupted", "enough")
    assert RunDirectory.open(run.path).status == "interrupted"
    with pytest.raises(UndertowError, match="cannot end as 'running'"):
        run.finish("running")


def test_a_full_disk_does_not_hide_the_first_error(run, monkeypatch, caplog):
    monkeypatch.setattr(os, "replace", fail_with(errno.ENOSPC))
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError
    assert os.strerror(errno.ENOSPC) in caplog.text


# What processes leave that die


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_drafts_of_the_dead_go_and_those_of_the_living_stay(kind: str, tmp_path):
    wanted = tmp_path / "wanted"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {each: f".wanted.{each}.0123abcd.tmp" for each in (ended.pid, os.getppid(), os.getpid())}
    others = [".wanted.0123abcd.tmp", ".wanted.12.0123abcd.tmp.txt", "wanted.tmp", f".other.{ended.pid}.0123abcd.tmp"]
    for name in (*names.values(), *others):
        if kind == "file":
            (tmp_path / name).write_text("half")
        elif kind == "directory":
            (tmp_path / name).mkdir()
            (tmp_path / name / "a").write_text("half")
        else:
            (tmp_path / name).symlink_to("nowhere")
    ours = _io.draft_name(wanted)
    ours.write_text("at it")
    atomic_write_text(wanted, "whole")
    left = {path.name for path in tmp_path.iterdir()}
    # Its number may be that of another process by now; this process's own number may have been that of a dead one.
    assert left == {"wanted", names[os.getppid()], ours.name, *others}
    _io.remove_drafts(tmp_path)
    assert others[-1] not in {path.name for path in tmp_path.iterdir()}


def test_a_draft_whose_writer_is_elsewhere_stays(tmp_path):
    """A process on another machine has a number that means nothing here: its lock tells that it lives."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    draft = tmp_path / f".run.{ended.pid}.0123abcd.tmp"
    draft.mkdir()
    lock = Lock(draft)
    lock.acquire()
    _io.remove_drafts(tmp_path)
    assert draft.exists()
    lock.release()
    _io.remove_drafts(tmp_path)
    assert not draft.exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ZeroDivisionError), _io.new_folder(Path("~/out")) as draft:
        (draft / "a").write_text("1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with _io.new_folder(Path("~/out")) as draft:
        (draft / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"
    with pytest.raises(UndertowError, match="exists already"), _io.new_folder(tmp_path / "out"):
        pass


def test_paths_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with RunDirectory.create("~/run", preset="a", config={}) as run:
        assert run.path == tmp_path / "run"
    assert RunDirectory.open("~/run").status == "finished"
    assert at_home("~no-such-user-here/run") == Path("~no-such-user-here/run")


# Git and the command line


def test_git_state_tells_a_clean_tree_from_a_changed_one(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    try:
        git("init")
    except OSError:
        pytest.skip("needs git")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "untracked").write_text("")
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "a"))
    clean = machine.git_state()
    assert clean["of"] == "package" and len(clean["commit"]) == 40 and clean["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert machine.git_state() == {**clean, "dirty": True}
    # Installed into an environment inside of somebody's repository: that one's commit says nothing of the package.
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "runs" / "untracked"))
    monkeypatch.chdir(tmp_path)
    assert machine.git_state()["of"] == "working directory"


def test_no_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.git_state() is None


def test_the_command_line_does_not_name_its_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    words = ["/home/somebody/env/bin/undertow", "train", "burgers", "--out=/home/somebody/out"]
    assert machine.without_home(words) == ["undertow", "train", "burgers", "--out=~/out"]
    assert machine.without_home(None) is None


def test_a_run_that_is_withdrawn_takes_the_folders_with_it_that_were_made_for_it(tmp_path: Path):
    root = tmp_path / "deep" / "runs"
    first = RunDirectory.create(preset="toy", config={}, root=root)
    second = RunDirectory.create(preset="other", config={}, root=root)
    second.remove()
    assert sorted(path.name for path in root.iterdir()) == ["last", "toy"]
    assert (root / "last").resolve() == first.path.resolve()
    first.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_several_seeds(tmp_path):
    """A row for each seed; a last measurement that a kill cut short does not count, and what is no such table is told."""
    run = RunDirectory.create(tmp_path / "run", preset="x", config={"seed": 3}, seeds=(3, 4))
    run.append_metrics(*({"update": 0, "seed": seed, "loss": None, "error": float(seed)} for seed in (3, 4)))
    run.append_metrics(*({"update": 5, "seed": seed, "loss": np.inf, "error": seed / 10} for seed in (3, 4)))
    run.close()
    again = RunDirectory.open(run.path)
    table, middle = again.read_seeds(), again.read_metrics()
    assert again.seeds == (3, 4) and table["update"].tolist() == [0, 5] and "seed" not in table
    np.testing.assert_array_equal(table["error"], [[3, 4], [0.3, 0.4]])
    np.testing.assert_allclose(middle["error"], [3.5, 0.35])
    np.testing.assert_array_equal(middle["loss"], [np.nan, np.inf])
    text = (run.path / "metrics.csv").read_text()
    (run.path / "metrics.csv").write_text(text + "9,3,1.0,1.0\n")
    assert again.read_seeds()["update"].tolist() == [0, 5]
    for wrong in (text.replace("5,4", "5,7"), text.replace("5,4", "6,4"), text.replace("seed", "sead")):
        (run.path / "metrics.csv").write_text(wrong)
        with pytest.raises(UndertowError, match=r"damaged: expected a row for each of the seeds 3, 4"):
            again.read_metrics()
    about = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps({**about, "seeds": [3, 5]}))
    with pytest.raises(UndertowError, match="its digest does not fit"):
        RunDirectory.open(run.path)
