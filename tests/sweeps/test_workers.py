"""Workers: no more than are of use, none that outlives who started it, none that takes a user's file for a module."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.sweeps.test_sweep import CONFIG, PAIR, no_training, open_ledger
from undertow._checks import UndertowError
from undertow.sweeps import sweep, workers

pytest.importorskip("optuna")
_ = no_training  # a fixture

CHILD = """
import sys
from undertow.sweeps import workers
if sys.argv[1] != "signal":  # as on a system that sends none
    workers.sys = type("system", (), {"platform": "other"})
if sys.argv[1] == "pipe":  # as where the parent's number stays
    workers.os.getppid = lambda: int(sys.argv[2])
if sys.argv[1] == "signal":
    workers.threading.Thread.start = lambda self: None
workers.follow(int(sys.argv[2]), pipe=sys.argv[1] == "pipe")
print(sys.argv[1], workers.os.getpid(), flush=True)
while True:  # busy, and never looking at anything
    pass
"""

PARENT = """
import os, subprocess, sys, time
for kind in sys.argv[2:]:
    given = [sys.executable, "-c", sys.argv[1], kind, str(os.getpid())]
    subprocess.Popen(given, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(1000)
"""


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="processes are looked up in /proc")
def test_no_worker_outlives_its_parent(monkeypatch):
    """Killed (SIGKILL), the parent can tell nobody. Each of the three ways to find out does by itself."""
    kinds = ["signal", "pipe", "number"] if sys.platform == "linux" else ["pipe", "number"]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, *kinds], stdout=subprocess.PIPE, text=True)
    children = {}
    try:
        for _ in kinds:
            kind, pid = parent.stdout.readline().split()
            children[kind] = int(pid)
        assert all(map(is_there, children.values())) and set(children) == set(kinds)
        parent.kill()
        parent.wait()
        until = time.monotonic() + 60
        while any(map(is_there, children.values())) and time.monotonic() < until:
            time.sleep(0.05)
        assert [kind for kind, pid in children.items() if is_there(pid)] == []
    finally:
        parent.kill()
        parent.communicate()
        for pid in children.values():
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_worker_whose_parent_is_gone_does_not_begin():
    gone = subprocess.run([sys.executable, "-c", CHILD, "signal", "1"], stdin=subprocess.DEVNULL, timeout=300)
    assert gone.returncode == 128 + signal.SIGTERM


def test_a_users_files_are_no_modules(tmp_path, no_training, monkeypatch):
    """A worker finds the library and what it needs, and not what lies in the directory that it is started in."""
    monkeypatch.chdir(tmp_path)
    assert sweep.sweep(CONFIG, PAIR, out="sweep", seeds=2, quiet=True).finished
    for name in ("optuna", "secrets", "undertow", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the user')")
    worker = workers.start(tmp_path / "sweep", None, 0, 1, double=True)
    try:
        assert worker.wait(timeout=300) == 0
    finally:
        workers.end([worker])


@pytest.mark.parametrize(
    "wanted, trials, processors, memory, started",
    [
        (1, 9, 2, 8, 1),
        (2, 9, 2, 8, 2),
        (100_000, 9, 2, 8, 2),
        (100_000, 9, 64, 8, 8),
        (100_000, 3, 64, 8, 3),
        (4, 9, 64, 0, 1),
        (4, 0, 64, 8, 1),
        (5, 9, 64, None, 5),
    ],
)
def test_as_many_workers_as_are_of_use(monkeypatch, caplog, wanted, trials, processors, memory, started):
    monkeypatch.setattr(workers, "cores", lambda: processors)
    monkeypatch.setattr(workers, "free_memory", lambda: None if memory is None else memory * workers.WORKER_BYTES + 5)
    assert workers.borne(wanted, trials) == started
    assert len(caplog.records) == (started < wanted)
    if started < wanted:
        assert f"{started} of {wanted} workers are started" in caplog.text


def test_too_many_workers_of_a_sweep(tmp_path, no_training, monkeypatch, caplog):
    """A hundred thousand on a machine for three: of six trials, two are done already."""
    started = []

    def start(folder, storage, index, number, *, double):
        started.append((index, number))
        return subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)

    monkeypatch.setattr(workers, "cores", lambda: 3)
    monkeypatch.setattr(workers, "free_memory", lambda: None)
    monkeypatch.setattr(workers, "start", start)
    given = {"config": CONFIG, "over": ["gradient=full,stop", "optimizer.learning_rate=1,2,3"], "seeds": 2}
    result = sweep.sweep(**given, workers=100_000, out=tmp_path / "sweep", quiet=True)
    assert started == [(0, 3), (1, 3), (2, 3)] and not result.finished
    assert "3 of 100000 workers are started" in caplog.text
    for wrong in (0, -1, 10**9, 1.5, "2", True, float("nan")):
        with pytest.raises(UndertowError, match="workers must be a whole number from 1 to"):
            sweep.sweep(**given, workers=wrong, out=tmp_path / "sweep")


def test_a_worker_says_what_is_wrong_in_a_line(tmp_path):
    """And no traceback."""
    open_ledger(tmp_path / "sweep", PAIR)
    (tmp_path / "sweep" / "journal.log").write_text("{}\n")
    command = [sys.executable, "-m", "undertow.sweeps.worker", str(tmp_path / "sweep"), "0", "1", str(os.getpid())]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert told.returncode == 2
    assert told.stderr.startswith("undertow: ") and "damaged in line 1" in told.stderr and told.stderr.count("\n") == 1
