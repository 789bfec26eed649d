"""What logging, checkpoints and the progress bar cost the flagship's training, in one run of it.

Blocks of as many updates as lie between two evaluations take turns: the update loop alone; with all that `undertow train` does
beside it, into a run directory and with a bar on a pseudo-terminal; the same with event files for TensorBoard. Evaluations are
timed apart, for they are the experiment. Two shares are told. One adds up what everything beside the loop took, call by call,
the bar's own thread among it: it is precise, also on a machine that others use. The other compares whole blocks with the bare
ones next to them, and contains what a bar and a disk cost the loop beside them: it is as precise as the machine is quiet.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from benchmarks.common import in_fresh_process, write
from undertow.assembly import Experiment, build
from undertow.config import config_to_dict
from undertow.experiment.recorder import Recorder
from undertow.experiment.stores import DirectoryStore
from undertow.presets import PRESETS
from undertow.progress import Display, StopRequest
from undertow.store.rundir import RunDirectory
from undertow.training.fit import Progress, fit

ROUNDS = 6
"""Blocks of every kind."""

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


class Stopwatch:
    """Seconds by name, of the wall and of all processors together."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}

    @contextlib.contextmanager
    def timing(self, name: str, cpu: Clock = time.process_time) -> Iterator[None]:
        """Add what the block takes."""
        before = time.perf_counter(), cpu()
        try:
            yield
        finally:
            found = self.seconds.setdefault(name, {"wall": 0.0, "cpu": 0.0})
            found["wall"] += time.perf_counter() - before[0]
            found["cpu"] += cpu() - before[1]

    def timed(self, name: str, call: Callable, cpu: Clock = time.process_time) -> Callable:
        """The same function, timed."""

        @functools.wraps(call)
        def run(*arguments: Any, **keywords: Any) -> Any:
            with self.timing(name, cpu):
                return call(*arguments, **keywords)

        return run


class Side:
    """What `train` does beside the loop, its parts timed. The bar runs while the side is `at_work`."""

    def __init__(self, experiment: Experiment, folder: Path, state: Any, *, events: bool):
        self.watch = Stopwatch()
        name = "tensorboard" if events else "plain"
        directory = RunDirectory.create(folder / name, preset="burgers", config=config_to_dict(experiment.config))
        self.store, self.display = DirectoryStore(experiment, directory, events=events), Display()
        measure = self.watch.timed("evaluation", experiment.make_measure())
        self.record = Recorder(experiment, self.store, StopRequest(), self.display, measure)
        self.record.begin(state)
        for part, call in (("metrics", "write"), ("best checkpoints", "offer"), ("last checkpoint", "save")):
            setattr(self.store, call, self.watch.timed(part, getattr(self.store, call)))
        self.display.advance = self.watch.timed("bar", self.display.advance)  # type: ignore[method-assign]
        # Four times a second, in a thread of its own, whose time is told from that of the loop.
        live = self.display._bar.live
        live.refresh = self.watch.timed("bar's thread", live.refresh, time.thread_time)  # type: ignore[method-assign]
        self.watch.seconds.clear()

    def at_work(self, total: int) -> None:
        """Start the bar."""
        self.display.__enter__()
        self.display.stage("training", total)

    def rest(self) -> None:
        """Stop the bar."""
        self.display.__exit__()


class TakingTurns:
    """A callback that times the loop, and lets one side after the other, or none, look at its progress."""

    def __init__(self, sides: dict[str, Side | None], block: int):
        self.sides, self.names, self.block = sides, list(sides), block
        self.turn = -1  # the first block compiles, and warms up
        self.blocks: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        self._begin()

    def __call__(self, progress: Progress) -> None:
        side = self.side
        if side is not None:
            with side.watch.timing("all"):
                side.record(progress)
        if progress.done % self.block == 0:
            if side is not None:
                side.rest()
            if self.turn >= 0:
                self.blocks[self.name].append(self._end())
            self.turn += 1
            if self.side is not None and progress.done < progress.total:
                self.side.at_work(progress.total)
            self._begin()

    @property
    def name(self) -> str:
        return self.names[max(self.turn, 0) % len(self.names)]

    @property
    def side(self) -> Side | None:
        return self.sides[self.name] if self.turn >= 0 else None

    def _begin(self) -> None:
        self._began = {name: clock() for name, clock in CLOCKS.items()}
        self._evaluated = self._evaluation()

    def _end(self) -> dict[str, float]:
        evaluated = self._evaluation()
        return {
            name: clock() - self._began[name] - (evaluated[name] - self._evaluated[name])
            for name, clock in CLOCKS.items()
        }

    def _evaluation(self) -> dict[str, float]:
        none = {"wall": 0.0, "cpu": 0.0}
        return dict(self.side.watch.seconds.get("evaluation", none)) if self.side is not None else none


def measure(rounds: int = ROUNDS) -> list[dict]:
    """A row for the loop alone, and one for each side."""
    experiment = build(PRESETS["burgers"].config)
    training, block = experiment.config.training, experiment.config.evaluation.every
    trainer = experiment.trainer(experiment.make_pool())
    state = trainer.init(experiment.policy, jax.random.key(1))
    with tempfile.TemporaryDirectory() as folder, terminal():
        sides = {
            "train": Side(experiment, Path(folder), state, events=False),
            "train, with event files": Side(experiment, Path(folder), state, events=True),
        }
        turns = TakingTurns({"loop alone": None, **sides}, block)
        updates = block * (1 + rounds * len(turns.names))
        fit(trainer, state, updates, every=training.dispatch, callbacks=(turns,))
        for side in sides.values():
            side.store.close()
            side.store.directory.close()
    bare = turns.blocks["loop alone"]
    middle = {clock: statistics.median(each[clock] for each in bare) for clock in CLOCKS}
    rows: list[dict] = [
        {"what": "loop alone", "blocks": rounds, "updates per block": block, **_named("seconds per block", middle)}
    ]
    for name, side in sides.items():
        spent = {part: each["wall"] / rounds for part, each in side.watch.seconds.items()}
        spent["bar's thread"] = side.watch.seconds["bar's thread"]["cpu"] / rounds
        found = side.watch.seconds
        # While the bar's thread waits for a processor the loop goes on: of its time, only what it had one for counts.
        thread = found["bar's thread"]["cpu"]
        beside = {clock: (found["all"][clock] - found["evaluation"][clock] + thread) / rounds for clock in CLOCKS}
        against = {
            clock: statistics.median(
                full[clock] / alone[clock] for full, alone in zip(turns.blocks[name], bare, strict=True)
            )
            for clock in CLOCKS
        }
        parts = ("metrics", "best checkpoints", "last checkpoint", "bar", "bar's thread")
        rows.append(
            {
                "what": name,
                **_named("percent", {clock: 100 * beside[clock] / middle[clock] for clock in CLOCKS}),
                **_named("percent, whole blocks", {clock: 100 * (against[clock] - 1) for clock in CLOCKS}),
                "milliseconds per block": 1e3 * beside["wall"],
                **{f"milliseconds, {part}": 1e3 * spent.get(part, 0.0) for part in parts},
                "seconds, one evaluation": spent["evaluation"],
            }
        )
    return rows


def _named(what: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{what} ({clock})": value for clock, value in values.items()}


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Standard error on a pseudo-terminal that another process reads and forgets."""
    master, slave = pty.openpty()
    reader = subprocess.Popen(["cat"], stdin=master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(master)
    before, terminal_kind = sys.stderr, os.environ.get("TERM")
    sys.stderr = os.fdopen(slave, "w")
    os.environ["TERM"] = "xterm-256color"
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before
        if terminal_kind is None:
            del os.environ["TERM"]
        else:
            os.environ["TERM"] = terminal_kind
        reader.kill()
        reader.wait()


def table() -> None:
    """Logging, checkpoints and the progress bar as a share of the flagship's training, in one run."""
    write("overhead", in_fresh_process("overhead")["rows"])


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print(json.dumps({"rows": measure(*map(int, sys.argv[1:]))}))
