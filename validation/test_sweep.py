"""A sweep with two workers on this machine, one of which is killed (SIGKILL) in the middle of a training."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from undertow.studies import sweep
from undertow.studies.definition import read
from undertow.studies.ledger import Ledger
from undertow.training.checkpoint import read_metadata

pytest.importorskip("optuna")

# Some 40 seconds of training per trial: checkpoints are written every 20.
UPDATES = 16_000
COMMAND = f"""sweep cartpole --over gradient=full,stop optimizer.learning_rate=1e-3,1e-2 --seeds 2 --workers 2 --quiet
    --horizon 20 --training.updates {UPDATES} --training.dispatch 100 --evaluation.every 1600"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are looked up in /proc")
def test_a_killed_worker_loses_only_its_trial_and_not_much_of_that(tmp_path):
    out = tmp_path / "sweep"
    command = [sys.executable, "-m", "undertow", *COMMAND.split(), "--out", str(out)]
    with subprocess.Popen(command, env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}) as process:
        try:
            while not (checkpoints := list(out.glob("trials/*/last.safetensors"))):
                assert process.poll() is None
                time.sleep(0.2)
            begun = {each.parent.name: read_metadata(each)["done"] for each in checkpoints}
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
        history = json.loads((out / "trials" / f"{row['trial']:04d}" / "history.json").read_text())
        assert history["updates"] == list(range(1600, UPDATES + 1, 1600))


def open_files(pid: int) -> set[str]:
    """Names of the files that a process has open: a worker holds the lock of its trial."""
    return {Path(os.readlink(link)).name for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists()}


def read_at(out: Path):
    made, storage = read(out)
    return made, out, storage
