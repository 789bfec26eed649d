"""Sweeps with two workers on this machine, of which one is killed (SIGKILL) in the middle of a training, or who started them;
killed at each change to the disk; and with every file damaged in every way."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sweeps.test_damaged_sweeps import FILES, WAYS, check_damage, quick
from undertow.store.checkpoint import read_metadata
from undertow.store.rundir import RunDirectory
from undertow.sweeps import sweep
from undertow.sweeps.definition import read
from undertow.sweeps.ledger import Ledger

pytest.importorskip("optuna")
_ = quick  # a fixture

# Some 40 seconds of training per trial: checkpoints are written at every evaluation.
UPDATES = 16_000
COMMAND = f"""sweep cartpole --over gradient=full,stop optimizer.learning_rate=1e-3,1e-2 --seeds 2 --workers 2 --quiet
    --horizon 20 --training.updates {UPDATES} --training.dispatch 100 --evaluation.every 1600"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_a_killed_worker_loses_only_its_trial_and_not_much_of_that(tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "undertow", *COMMAND.split(), "--out", str(out)]
    with subprocess.Popen(command, env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}) as process:
        try:
            while not (checkpoints := list(out.glob("trials/*/checkpoints/last_update_001600.safetensors"))):
                assert process.poll() is None
                time.sleep(0.2)
            begun = {each.parent.parent.name: read_metadata(each)["update"] for each in checkpoints}
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            victim = next(int(pid) for pid in children if "0000" in open_files(int(pid)))
            print(f"killing worker {victim} of {children} in the middle of trial 0000; checkpoints: {begun}")
            os.kill(victim, signal.SIGKILL)
            assert process.wait(timeout=1200) == 0
        finally:
            process.kill()
    book = Ledger(*read_at(out))
    trials = [(trial.user_attrs["job"], trial.state.name) for trial in book.study.get_trials()]
    print("trials of the study:", *trials)
    assert collections.Counter(trials) == {(0, "FAIL"): 1, **{(job, "COMPLETE"): 1 for job in range(4)}}
    result = sweep.summary(out)
    assert result.exit_code == 0 and len(result.summary["trials"]) == 4
    for row in result.summary["trials"]:
        print(row["trial"], row["values"], row["seeds"], f"{row['seconds']:.1f} s")
        table = RunDirectory.open(out / "trials" / f"{row['trial']:04d}").read_seeds()
        assert table["update"].tolist() == list(range(0, UPDATES + 1, 1600)) and table["test_loss"].shape == (11, 2)


def open_files(pid: int) -> set[str]:
    """Names of the files that a process has open: a worker holds the lock of its trial."""
    return {Path(os.readlink(link)).name for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists()}


def read_at(out: Path):
    made, storage = read(out)
    return made, out, storage


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_workers_end_with_who_started_them(tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "undertow", *COMMAND.split(), "--out", str(out)]
    with subprocess.Popen(command) as process:
        try:
            while len(list(out.glob("trials/*/config.json"))) < 2:  # both are at work
                assert process.poll() is None
                time.sleep(0.2)
            children = [
                int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            ]
            assert len(children) == 2 and all(map(is_there, children))
        finally:
            process.kill()
    until = time.monotonic() + 30
    while any(map(is_there, children)) and time.monotonic() < until:
        time.sleep(0.05)
    print(f"of the workers {children} there are {[pid for pid in children if is_there(pid)]}")
    assert not any(map(is_there, children))


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", ["grid", "search", "database"])
def test_killed_at_each_change_to_the_disk(kind):
    """Without training; `python -m validation.sweep_kills` has it, and published comparisons."""
    command = [sys.executable, "-m", "validation.sweep_kills", "--quick", "--command", kind]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("quick")
def test_every_file_damaged_in_every_way(tmp_path, name):
    check_damage(tmp_path, name, WAYS)
