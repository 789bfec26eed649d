"""What a training leaves on the disk while it runs, and picks up from when it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from undertow.build import Experiment, Measure, cast
from undertow.config import config_to_dict
from undertow.progress import Display, StopRequest
from undertow.training.events import EventLog
from undertow.training.fit import Progress
from undertow.training.keeping import BestCheckpoints, LastCheckpoints
from undertow.training.metrics import START
from undertow.training.rundir import RunDirectory
from undertow.training.trainer import TrainState


class Recorder:
    """After every dispatch: the bar, and a checkpoint if it is time. After every so many updates: metrics and checkpoints. It
    passes on a wish to stop.

    Every checkpoint holds all there is to know: the training's state, this recorder's own, the moment of `metrics.csv`, the
    configuration and the run's name. Where a training stops, and how, therefore shows nowhere in what it leaves in the end.

    **Arguments:** `experiment`; `directory`, locked; `stop`; `display`; `measure`: the metrics of a policy; `events`: where
    rows go as well, for TensorBoard.
    """

    def __init__(
        self,
        experiment: Experiment,
        directory: RunDirectory,
        stop: StopRequest,
        display: Display,
        measure: Measure,
        events: EventLog | None = None,
    ):
        config = experiment.config
        self.directory, self.stop, self.display, self._measure, self._events = directory, stop, display, measure, events
        self.every = config.evaluation.every
        self.best = BestCheckpoints(
            directory.checkpoints, metric=config.evaluation.keep_by, keep=config.evaluation.keep, run=directory.id
        )
        self._last = LastCheckpoints(directory.checkpoints, keep=config.checkpoint.keep)
        self._when = config.checkpoint
        self._about = {"run": directory.id, "preset": directory.preset, "config": config_to_dict(config)}
        self._measured: dict[str, float] = {}
        self._measured_at = 0
        self._pending: list[dict[str, np.ndarray]] = []
        self._begun: dict[str, float] | None = None  # the row of the first measurement, until its columns are known
        self._saved_at, self._saved = -1, time.monotonic()
        self._start = time.perf_counter()
        self.seconds = 0.0

    def begin(self, state: TrainState) -> None:
        """Measure the policy before its first update; of a table that a killed process may have left, nothing counts."""
        self.directory.rewind_metrics(START)
        self.measure(state, 0)

    def go_on(self, metadata: Mapping[str, Any]) -> None:
        """Be what the recorder was when it wrote a checkpoint with this metadata."""
        self._measured = {name: float(value) for name, value in metadata["metrics"].items()}
        saved = metadata.get("recorder")
        if saved is None:  # an early version wrote checkpoints at measurements only, and no moment of the table
            self._measured_at = self._saved_at = metadata["update"]
            return
        self._measured_at, self._saved_at = saved["measured_at"], metadata["update"]
        self._begun = saved["begun"] and {name: float(value) for name, value in saved["begun"].items()}
        pending = {name: _from_plain(values) for name, values in saved["pending"].items()}
        self._pending = [pending] if pending else []
        self.seconds = float(saved["seconds"])
        self._start = time.perf_counter() - self.seconds
        self.directory.rewind_metrics(saved["metrics_csv"])
        self.best.prune()

    def measure(self, state: TrainState, done: int) -> None:
        """Evaluate the policy, note its metrics, offer it to the best checkpoints and save the state as the last one."""
        self._measured = self._measure(cast(state.policy))
        self.seconds = time.perf_counter() - self._start
        self._measured_at = done
        if done == 0:
            self._begun = {"seconds": self.seconds, **self._measured}
        else:
            self._write_rows(state, done)
        self.best.offer(self._measured[self.best.metric], done, state, self._metadata(state))
        self.save(state)

    def save(self, state: TrainState) -> None:
        """Save the state as the last one, unless it is."""
        update = int(state.step)
        if update != self._saved_at:
            self.seconds = time.perf_counter() - self._start
            self._last.save(update, state, self._metadata(state))
            self._saved_at, self._saved = update, time.monotonic()

    def __call__(self, progress: Progress) -> bool:
        before = progress.done - len(progress.metrics["loss"])
        self._pending.append(progress.metrics)
        if progress.done == progress.total or progress.done // self.every > before // self.every:
            self.measure(progress.state, progress.done)
        elif self.stop or self._is_time(before, progress.done):
            self.save(progress.state)
        loss = float(progress.metrics["loss"][-1])
        self.display.advance(progress.done, {"loss": loss, self.best.metric: self._measured[self.best.metric]})
        return bool(self.stop)

    def _is_time(self, before: int, done: int) -> bool:
        every = self._when.updates
        return (every is not None and done // every > before // every) or (
            time.monotonic() - self._saved >= self._when.seconds
        )

    def _write_rows(self, state: TrainState, done: int) -> None:
        trained = self._gathered()
        names = sorted(trained, key=lambda name: (name != "loss", name))
        means = {
            name: float(np.mean(v[np.isfinite(v)])) if np.isfinite(v).any() else np.nan
            for name, v in ((name, trained[name]) for name in names)
        }
        means["skipped"] = int(state.skipped)
        if self._begun is not None:
            self._write_row({"update": 0, **dict.fromkeys(names), **self._begun})
            self._begun = None
        self._write_row({"update": done, **means, "seconds": self.seconds, **self._measured})
        self._pending = []

    def _write_row(self, row: Mapping[str, Any]) -> None:
        self.directory.append_metrics(row)
        if self._events is not None:
            self._events.write(row)

    def _gathered(self) -> dict[str, np.ndarray]:
        names = self._pending[0] if self._pending else ()
        return {name: np.concatenate([np.atleast_1d(each[name]) for each in self._pending]) for name in names}

    def _metadata(self, state: TrainState) -> dict[str, Any]:
        recorder = {
            "measured_at": self._measured_at,
            "begun": self._begun,
            "pending": {name: _to_plain(values) for name, values in self._gathered().items()},
            "seconds": self.seconds,
            "metrics_csv": self.directory.mark_metrics(),
        }
        return {**self._about, "update": int(state.step), "metrics": self._measured, "recorder": recorder}


def _to_plain(values: np.ndarray) -> dict[str, Any]:
    return {"dtype": values.dtype.name, "values": values.tolist()}


def _from_plain(values: Mapping[str, Any]) -> np.ndarray:
    return np.array([float(value) for value in values["values"]]).astype(values["dtype"])
