"""Processes that work on a sweep: how many this machine bears, how they are started, and that none outlives who started it."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from undertow._limits import cores, free_memory

_logger = logging.getLogger(__name__)

WORKER_BYTES = 2**30
"""Memory that a worker takes for JAX and the programs it compiles, before it has trained anything."""

LOOK = 0.5
"""Seconds between two looks at whether the parent is there."""

# What `-m undertow.sweeps.worker` does, without the working directory among the places that modules come from: a user's
# `secrets.py` there is not the library's. If this process found the package in such a place itself, the worker does, too.
_COMMAND = """
import importlib.util, sys
root, file = sys.argv.pop(1), sys.argv.pop(1)
found = importlib.util.find_spec("undertow")
if found is None or found.origin != file: sys.path.insert(0, root)
from undertow.sweeps.worker import main
sys.exit(main(sys.argv[1:]))
"""


def borne(wanted: int, trials: int, each: float = 0.0) -> int:
    """How many workers to start of those that were asked for: at most as many as trials that are left, as processors, and as
    memory holds, with so many bytes for the training of `each`. One line of the log says so if they are fewer."""
    limits = {"trials left": max(trials, 1), "processors": cores()}
    memory = free_memory()
    if memory is not None:
        limits["workers that fit into memory"] = max(int(memory // (WORKER_BYTES + each)), 1)
    least = min(limits.values())
    if wanted <= least:
        return wanted
    said = ", ".join(f"{name}: {number}" for name, number in limits.items())
    _logger.warning("%d of %d workers are started, more would be of no use (%s)", least, wanted, said)
    return least


def start(folder: Path, storage: str | None, index: int, workers: int, *, double: bool) -> subprocess.Popen[bytes]:
    """A worker with its share of the processors and of a GPU's memory; `double`: the precision of this process."""
    environment = dict(os.environ)
    environment["JAX_ENABLE_X64"] = str(double)
    environment.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / workers:.3f}")
    # The address is no argument, which everyone on the machine could read.
    environment.pop("UNDERTOW_SWEEP_STORAGE", None)
    if storage is not None:
        environment["UNDERTOW_SWEEP_STORAGE"] = storage
    package = Path(__file__).parents[1]
    command = [sys.executable, "-P", "-c", _COMMAND, str(package.parent), str(package / "__init__.py")]
    arguments = [str(folder), str(index), str(workers), str(os.getpid()), "pipe"]
    # A session of its own: Ctrl-C is for this process, which passes it on once. Nothing is ever written to the pipe: its end
    # is that this process is gone.
    return subprocess.Popen([*command, *arguments], env=environment, stdin=subprocess.PIPE, start_new_session=True)


def end(started: list[subprocess.Popen[bytes]]) -> None:
    """Whatever happened, no worker goes on."""
    for process in started:
        process.kill()
    for process in started:
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def follow(parent: int, *, pipe: bool) -> None:
    """End this process as soon as its parent is gone, however that came to its end and whatever this one is doing.

    Linux does so itself; elsewhere, and should that fail, a thread looks. What a worker did since its last checkpoint is lost
    then, as with any worker that is killed.

    **Arguments:** `parent`: the process that started this one; `pipe`: whether it holds the other end of standard input.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            set_death_signal = 1
            ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we could ask for the signal
        os._exit(128 + signal.SIGTERM)
    if pipe:
        threading.Thread(target=_end_of_input, daemon=True).start()
    threading.Thread(target=_end_of_parent, args=(parent,), daemon=True).start()


def _end_of_input() -> None:
    while os.read(0, 1024):
        pass
    os._exit(128 + signal.SIGTERM)


def _end_of_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(128 + signal.SIGTERM)
