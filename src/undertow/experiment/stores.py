"""Where the rows and states of a training go: a run directory, or memory."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from undertow.assembly import Experiment, one_of, read_policy
from undertow.config import config_to_dict
from undertow.core.policy import AbstractPolicy
from undertow.store.events import EventLog
from undertow.store.keeping import BestCheckpoints, LastCheckpoints, load_newest
from undertow.store.metrics import START
from undertow.store.rundir import RunDirectory
from undertow.training.trainer import TrainState

Metadata = Mapping[str, Any]


class Best(NamedTuple):
    """The best policy so far: the metric's value, the updates behind it, the policy in the training's precision."""

    value: float
    update: int
    policy: AbstractPolicy


class Store(Protocol):
    """What a training needs of the place where it is kept."""

    def newest(self, like: TrainState) -> tuple[TrainState, Metadata, str] | None:
        """The state to go on from, in the shape of `like`, its metadata and a name for it; None to begin."""

    def begin(self) -> None:
        """Nothing counts of what a killed process may have left before its first state."""

    def go_on(self, metadata: Metadata) -> None:
        """Be what the store was when it kept a state with this metadata."""

    def write(self, rows: Sequence[Metadata]) -> None:
        """Add rows of metrics; the first one ever names the columns."""

    def offer(self, value: float, update: int, state: TrainState, metadata: Metadata) -> None:
        """Keep a state if its value, less is better, is among the best."""

    def save(self, update: int, state: TrainState, metadata: Metadata) -> None:
        """Keep a state as the last one."""

    def is_time(self, before: int, done: int) -> bool:
        """Whether a state is to be saved between two measurements, so many updates after the last dispatch."""

    def best(self) -> Best | None:
        """The best so far; None if there is none."""

    def metrics(self) -> dict[str, np.ndarray]:
        """The rows by column; NaN where a row has no value."""

    def close(self) -> None:
        """No more rows will come."""


class DirectoryStore:
    """A run directory: checkpoints that a training can be gone on with, and `metrics.csv`.

    **Arguments:** `experiment`; `directory`, locked; `events`: whether rows go to TensorBoard as well.
    """

    def __init__(self, experiment: Experiment, directory: RunDirectory, *, events: bool = False):
        config = experiment.config
        self.directory, self._like = directory, experiment.policy
        self._events = EventLog(directory.path / "tensorboard") if events else None
        self._best = BestCheckpoints(
            directory.checkpoints, metric=config.evaluation.keep_by, keep=config.evaluation.keep, run=directory.id
        )
        self._last = LastCheckpoints(directory.checkpoints, keep=config.checkpoint.keep)
        self._when, self._saved = config.checkpoint, time.monotonic()
        self._about = {"run": directory.id, "preset": directory.preset, "config": config_to_dict(config)}
        if directory.seeds:
            self._about["seeds"] = list(directory.seeds)

    def newest(self, like: TrainState) -> tuple[TrainState, Metadata, str] | None:
        found = load_newest(self.directory.checkpoints, like, self.directory.id)
        return None if found is None else (found[0], found[1], found[2].name)

    def begin(self) -> None:
        self.directory.rewind_metrics(START)

    def go_on(self, metadata: Metadata) -> None:
        if self._events is not None:
            self._events = EventLog(self._events.folder, after=metadata["update"])
        self.directory.rewind_metrics(metadata["recorder"]["metrics_csv"])
        self._best.prune()
        self._last.prune(metadata["update"])

    def write(self, rows: Sequence[Metadata]) -> None:
        self.directory.append_metrics(*rows)
        if self._events is not None:
            for row in rows:
                self._events.write(row)

    def offer(self, value: float, update: int, state: TrainState, metadata: Metadata) -> None:
        self.directory.require_here()
        self._best.offer(value, update, state, self._whole(metadata))

    def save(self, update: int, state: TrainState, metadata: Metadata) -> None:
        self.directory.require_here()
        self._last.save(update, state, self._whole(metadata))
        self._saved = time.monotonic()

    def is_time(self, before: int, done: int) -> bool:
        every = self._when.updates
        return (every is not None and done // every > before // every) or (
            time.monotonic() - self._saved >= self._when.seconds
        )

    def best(self) -> Best | None:
        first = next(iter(self._best.ranking()), None)
        return first and Best(first.value, first.update, read_policy(first.path, self._like))

    def metrics(self) -> dict[str, np.ndarray]:
        return self.directory.read_metrics()

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _whole(self, metadata: Metadata) -> dict[str, Any]:
        recorder = {**metadata["recorder"], "metrics_csv": self.directory.mark_metrics()}
        return {**self._about, **metadata, "recorder": recorder}


class MemoryStore:
    """Nothing but what the process holds: the rows, and of the states the best one's policy."""

    def __init__(self) -> None:
        self._rows: list[Metadata] = []
        self._best: Best | None = None

    def newest(self, like: TrainState) -> None:
        return None

    def begin(self) -> None:
        pass

    def go_on(self, metadata: Metadata) -> None:
        pass

    def write(self, rows: Sequence[Metadata]) -> None:
        self._rows += rows

    def offer(self, value: float, update: int, state: TrainState, metadata: Metadata) -> None:
        if math.isfinite(value) and (self._best is None or value < self._best.value):
            self._best = Best(float(value), update, one_of(state.policy, metadata))

    def save(self, update: int, state: TrainState, metadata: Metadata) -> None:
        pass

    def is_time(self, before: int, done: int) -> bool:
        return False

    def best(self) -> Best | None:
        return self._best

    def metrics(self) -> dict[str, np.ndarray]:
        names = self._rows[0] if self._rows else ()
        return {
            name: np.array([np.nan if row.get(name) is None else row[name] for row in self._rows], float)
            for name in names
        }

    def close(self) -> None:
        pass
