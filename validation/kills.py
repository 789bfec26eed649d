"""Kill a training at random moments, resume it, and compare what it leaves in the end with an undisturbed one's, bit for bit.

    python -m validation.kills --kills 100                       # kill -9, half at random times, half in the midst of writing
    python -m validation.kills --kills 20 --signals INT TERM     # asked to stop, which it may do in its own time
    python -m validation.kills --kills 10 --signals FULL         # the disk is full from a random write on

After every kill all files of the run directory are read: none may be half there. Prints a line per kill and one at the end;
the exit code is 1 if anything differed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.traces import check_whole, differences, essence
from undertow._checks import UndertowError
from undertow.store.checkpoint import read_metadata
from undertow.store.rundir import RunDirectory

FLAGS = """
    --training.updates 1500 --training.batch 2 --training.dispatch 2 --training.precision float64
    --grid.num-cells 16 --grid.steps 4 --grid.end-time 0.04 --grid.order 3 --grid.integrator euler
    --data.pool 8 --data.truth fine --data.refinement 3 --policy.hidden 4
    --evaluation.every 7 --evaluation.cases 4 --evaluation.keep 3 --evaluation.suites --evaluation.no-figures
    --checkpoint.updates 4 --checkpoint.keep 2
"""
WRITES = ("fsync", "replace", "rename", "unlink", "truncate")
# Exit codes that are in order; the negative ones are of a signal that came before Python was ready for it.
ENDS = {
    "KILL": (0, -signal.SIGKILL),
    "INT": (0, 130, -signal.SIGINT),
    "TERM": (0, 143, -signal.SIGTERM),
    "FULL": (0, 2),
}
CALLS = 6000  # about so many of them in an undisturbed run


def child(command: list[str], at: int, what: str) -> int:
    """The command, in this process, with the `at`-th change to the disk being its last (`KILL`) or the first that fails
    (`FULL`)."""
    from undertow.cli import main

    count = itertools.count(1)

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if next(count) >= at:
                if what == "KILL":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **options)

        return wrapped

    names = WRITES if what == "KILL" else ("fsync",)  # on a full disk files can still be renamed and removed
    for name in names:
        setattr(os, name, wrap(getattr(os, name)))
    return main(command)


def start(command: list[str], at: int = 10**9, what: str = "KILL") -> subprocess.Popen[bytes]:
    """The command as a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "validation.kills", "--child", str(at), what, *command])


def newest(path: Path) -> float:
    """When the newest checkpoint was written."""
    with contextlib.suppress(OSError):
        return max((each.stat().st_mtime for each in (path / "checkpoints").glob("last*")), default=0.0)
    return 0.0


def disturb(folder: Path, kills: int, signals: list[str], seed: int) -> int:
    """Kill so many times; returns the number of runs that ended otherwise than undisturbed."""
    draw = random.Random(seed)
    reference = folder / "undisturbed"
    begin = time.perf_counter()
    assert start(["train", "burgers", *FLAGS.split(), "--out", str(reference)]).wait() == 0
    whole_time = time.perf_counter() - begin
    train_time = float(np.ptp(RunDirectory.open(reference).read_metrics()["seconds"][1:]))
    expected = essence(reference)
    print(
        f"undisturbed: {whole_time:.1f} s, {train_time:.1f} s of it after the first updates; {len(expected['files'])} files",
        flush=True,
    )
    done = wrong = runs = 0
    while done < kills:
        runs += 1
        run = folder / f"run-{runs}"
        ended = False
        while not ended:
            command = ["resume", str(run)] if run.exists() else ["train", "burgers", *FLAGS.split(), "--out", str(run)]
            what = draw.choice(signals)
            if done >= kills:
                process, how = start(command), "nothing"
            elif what == "FULL" or (what == "KILL" and draw.random() < 0.5):
                at = draw.randrange(1, CALLS // 2)
                process, how = start(command, at, what), f"{what} at change {at} to the disk"
            else:
                # Most of the time goes into starting up; what matters more is the training.
                training = draw.random() < 0.6
                wait = draw.uniform(0.0, train_time if training else whole_time - train_time)
                how = f"{what} {wait:.2f} s after the start{' of the training' if training else ''}"
                process = start(command)
                before = newest(run)
                while training and newest(run) == before and process.poll() is None:
                    time.sleep(0.005)
                try:
                    process.wait(wait)
                except subprocess.TimeoutExpired:
                    process.send_signal(getattr(signal, f"SIG{what}"))
            code = process.wait()
            # Killed on its way out, it has nothing left to do, and `resume` says so.
            over = run.exists() and RunDirectory.open(run).status == "finished"
            ended = code == 0 or over
            done += code != 0
            update: Any = "no directory"
            if run.exists():
                check_whole(run)
                update = max(
                    (read_metadata(each)["update"] for each in (run / "checkpoints").glob("*.safetensors")),
                    default=None,
                )
            print(f"{done:4d} run {runs}: {how}: exit {code}, newest checkpoint after {update} updates", flush=True)
            if code not in ENDS[what]:
                print(f"     unexpected exit code {code}", flush=True)
                wrong += 1
        left = differences(expected, essence(run))
        wrong += bool(left)
        print(f"     run {runs} ended; differs in: {', '.join(left) or 'nothing'}", flush=True)
        shutil.rmtree(run)
    print(f"{done} times {'/'.join(signals)} over {runs} runs: {wrong} of them ended otherwise", flush=True)
    return wrong


def main() -> int:
    """The command line."""
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[4:], int(sys.argv[2]), sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signals", nargs="+", default=["KILL"], choices=["KILL", "INT", "TERM", "FULL"])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return int(disturb(Path(folder), given.kills, given.signals, given.seed) > 0)
        except UndertowError as error:
            print(f"half written: {error}", flush=True)
            return 1


if __name__ == "__main__":
    sys.exit(main())
