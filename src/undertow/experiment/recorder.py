"""What is noted of a training while it runs, wherever it is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from undertow._checks import require
from undertow._tree import cast
from undertow.assembly import Experiment, Measure
from undertow.evaluation.statistics import finite_mean
from undertow.experiment.stores import Store
from undertow.progress import Display, StopRequest
from undertow.training.fit import Progress
from undertow.training.trainer import TrainState

_DTYPES = ("bool", "int32", "int64", "uint32", "uint64", "float16", "bfloat16", "float32", "float64")


class Recorder:
    """After every dispatch: the bar, and the state if it is time. After every so many updates: metrics and states. It passes on
    a wish to stop.

    Every state is kept with all there is to know, the recorder's own part of it, too. Where a training stops, and how, therefore
    shows nowhere in what it leaves in the end.

    **Arguments:** `experiment`; `store`: where rows and states go; `stop`; `display`; `measure`: the metrics of a policy.
    """

    def __init__(self, experiment: Experiment, store: Store, stop: StopRequest, display: Display, measure: Measure):
        self.store, self.stop, self.display, self._measure = store, stop, display, measure
        self.every, self.metric = experiment.config.evaluation.every, experiment.config.evaluation.keep_by
        self._measured: dict[str, float] = {}
        self._measured_at = 0
        self._pending: list[dict[str, np.ndarray]] = []
        self._begun: dict[str, float] | None = None  # the row of the first measurement, until its columns are known
        self._saved_at = -1
        self._start = time.perf_counter()
        self.seconds = 0.0

    def begin(self, state: TrainState) -> None:
        """Measure the policy before its first update."""
        self.store.begin()
        self.measure(state, 0)

    def go_on(self, state: TrainState, metadata: Mapping[str, Any], name: str) -> None:
        """Be what the recorder was when it kept a state with this metadata, under this name."""
        self.store.go_on(metadata)
        self._measured = _numbers(metadata["metrics"])
        saved = metadata.get("recorder")
        if saved is None:  # an early version wrote checkpoints at measurements only
            self._measured_at = self._saved_at = metadata["update"]
            return
        self._measured_at, self._saved_at = saved["measured_at"], metadata["update"]
        self._begun = saved["begun"] and _numbers(saved["begun"])
        pending = {name: _from_plain(values) for name, values in saved["pending"].items()}
        self._pending = [pending] if pending else []
        self.seconds = float(saved["seconds"])
        self._start = time.perf_counter() - self.seconds
        if not name.startswith("last"):  # one of the best: a kill came before it was saved as the last one
            self._saved_at = -1
            self.save(state)

    def measure(self, state: TrainState, done: int) -> None:
        """Evaluate the policy, note its metrics, offer it to the best ones and save the state as the last one."""
        self._measured = self._measure(cast(state.policy))
        self.seconds = time.perf_counter() - self._start
        self._measured_at = done
        if done == 0:
            self._begun = {"seconds": self.seconds, **self._measured}
        else:
            self._write_rows(state, done)
        self.store.offer(self._measured[self.metric], done, state, self._metadata(state))
        self.save(state)

    def save(self, state: TrainState) -> None:
        """Save the state as the last one, unless it is."""
        update = int(state.step)
        if update != self._saved_at:
            self.seconds = time.perf_counter() - self._start
            self.store.save(update, state, self._metadata(state))
            self._saved_at = update

    def __call__(self, progress: Progress) -> bool:
        before = progress.done - len(progress.metrics["loss"])
        self._pending.append(progress.metrics)
        if progress.done == progress.total or progress.done // self.every > before // self.every:
            self.measure(progress.state, progress.done)
        elif self.stop or self.store.is_time(before, progress.done):
            self.save(progress.state)
        loss = float(progress.metrics["loss"][-1])
        self.display.advance(progress.done, {"loss": loss, self.metric: self._measured[self.metric]})
        return bool(self.stop)

    def _write_rows(self, state: TrainState, done: int) -> None:
        trained = self._gathered()
        names = sorted(trained, key=lambda name: (name != "loss", name))
        means: dict[str, Any] = {name: float(finite_mean(trained[name])) for name in names}
        means["skipped"] = int(state.skipped)
        if self._begun is not None:
            self.store.write({"update": 0, **dict.fromkeys(names), **self._begun})
            self._begun = None
        self.store.write({"update": done, **means, "seconds": self.seconds, **self._measured})
        self._pending = []

    def _gathered(self) -> dict[str, np.ndarray]:
        names = self._pending[0] if self._pending else ()
        return {name: np.concatenate([np.atleast_1d(each[name]) for each in self._pending]) for name in names}

    def _metadata(self, state: TrainState) -> dict[str, Any]:
        recorder = {
            "measured_at": self._measured_at,
            "begun": self._begun,
            "pending": {name: _to_plain(values) for name, values in self._gathered().items()},
            "seconds": self.seconds,
        }
        return {"update": int(state.step), "metrics": self._measured, "recorder": recorder}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """What is not finite is a word in JSON; whole numbers stay whole, as they are written in tables."""
    return {name: float(value) if isinstance(value, str) else value for name, value in values.items()}


def _to_plain(values: np.ndarray) -> dict[str, Any]:
    return {"dtype": values.dtype.name, "values": values.tolist()}


def _from_plain(values: Mapping[str, Any]) -> np.ndarray:
    require(values["dtype"] in _DTYPES, f"a checkpoint is damaged: {values['dtype']!r} is no type of metrics")
    return np.array([float(value) for value in values["values"]]).astype(values["dtype"])
