"""What is noted of a training while it runs, wherever it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from undertow._checks import require
from undertow.assembly import Experiment, Measure
from undertow.evaluation.statistics import finite_mean
from undertow.experiment.stores import Store
from undertow.progress import Display, StopRequest
from undertow.training.fit import Progress
from undertow.training.trainer import TrainState

_DTYPES = ("bool", "int32", "int64", "uint32", "uint64", "float16", "bfloat16", "float32", "float64")


Due = Callable[[int, int, int], bool]
"""From the updates done before a dispatch, after it, and in all, to whether to measure after it."""


class Recorder:
    """After every dispatch: the bar, and the state if it is time. When a measurement is due: metrics and states. It passes on a
    wish to stop.

    Every state is kept with all there is to know, the recorder's own part of it, too. Where a training stops, and how, therefore
    shows nowhere in what it leaves in the end. Of several seeds every number is a list, and every row of metrics is one seed's.

    **Arguments:** `experiment`; `seeds`: of a training of several; `store`: where rows and states go; `stop`; `display`;
    `measure`: the metrics of the policy, or of all seeds' policies; `due` (None: after every `evaluation.every` updates).
    """

    def __init__(
        self,
        experiment: Experiment,
        seeds: Sequence[int],
        store: Store,
        stop: StopRequest,
        display: Display,
        measure: Measure,
        due: Due | None = None,
    ):
        self.seeds, self.store, self.stop, self.display = seeds, store, stop, display
        self._measure, self._due = measure, due or self._usually
        self.every, self.metric = experiment.config.evaluation.every, experiment.config.evaluation.keep_by
        self._most = experiment.config.training.max_skipped
        self.lost = np.zeros(len(seeds), bool)
        self.measured: Mapping[str, Any] = {}
        self._pending: list[dict[str, np.ndarray]] = []
        self._begun: dict[str, Any] | None = None  # the row of the first measurement, until its columns are known
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
        saved = metadata["recorder"]
        self.measured, self._saved_at = _numbers(metadata["metrics"]), metadata["update"]
        self._begun = saved["begun"] and _numbers(saved["begun"])
        self.lost = np.array(saved.get("lost", []), bool)
        pending = {name: _from_plain(values) for name, values in saved["pending"].items()}
        self._pending = [pending] if pending else []
        self.seconds = float(saved["seconds"])
        self._start = time.perf_counter() - self.seconds
        if not name.startswith("last"):  # one of the best: a kill came before it was saved as the last one
            self._saved_at = -1
            self.save(state)

    def measure(self, state: TrainState, done: int) -> None:
        """Evaluate the policy, note its metrics, offer it to the best ones and save the state as the last one."""
        self.measured = self._measure(state.policy)
        self.seconds = time.perf_counter() - self._start
        if done == 0:
            self._begun = {"seconds": self.seconds, **self.measured}
        else:
            self._write_rows(state, done)
        self.store.offer(float(np.min(self._ranked())), done, state, self._metadata(state))
        self.save(state)

    def save(self, state: TrainState) -> None:
        """Save the state as the last one, unless it is."""
        update = updates_of(state)
        if update != self._saved_at:
            self.seconds = time.perf_counter() - self._start
            self.store.save(update, state, self._metadata(state))
            self._saved_at = update

    def __call__(self, progress: Progress) -> bool:
        before, state = progress.done - len(progress.metrics["loss"]), progress.state
        self._pending.append(progress.metrics)
        if self.seeds:
            self.lost = self.lost | (np.asarray(state.skipped_in_a_row) >= min(self._most, progress.total))
        if self._due(before, progress.done, progress.total):
            self.measure(state, progress.done)
        elif self.stop or self.store.is_time(before, progress.done):
            self.save(state)
        loss = progress.metrics["loss"][-1]
        self.display.advance(progress.done, {"loss": _middle(loss), self.metric: _middle(self.measured[self.metric])})
        return bool(self.stop)

    def _usually(self, before: int, done: int, total: int) -> bool:
        return done == total or done // self.every > before // self.every

    def _ranked(self) -> np.ndarray:
        """What states are kept by, one or one per seed, infinite where it is not finite."""
        values = np.asarray(self.measured[self.metric], float)
        return np.where(np.isfinite(values), values, np.inf)

    def _write_rows(self, state: TrainState, done: int) -> None:
        trained = self._gathered()
        names = sorted(trained, key=lambda name: (name != "loss", name))
        means = {name: np.asarray(finite_mean(trained[name])).tolist() for name in names}
        means["skipped"] = np.asarray(state.skipped).tolist()
        first = [] if self._begun is None else self._rows(0, {**dict.fromkeys(names), **self._begun})
        self.store.write([*first, *self._rows(done, {**means, "seconds": self.seconds, **self.measured})])
        self._begun, self._pending = None, []

    def _rows(self, done: int, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not self.seeds:
            return [{"update": done, **values}]

        def of(member: int) -> dict[str, Any]:
            return {name: value[member] if isinstance(value, list) else value for name, value in values.items()}

        return [{"update": done, "seed": seed, **of(member)} for member, seed in enumerate(self.seeds)]

    def _gathered(self) -> dict[str, np.ndarray]:
        names = self._pending[0] if self._pending else ()
        return {name: np.concatenate([np.atleast_1d(each[name]) for each in self._pending]) for name in names}

    def _metadata(self, state: TrainState) -> dict[str, Any]:
        recorder: dict[str, Any] = {
            "begun": self._begun,
            "pending": {name: _to_plain(values) for name, values in self._gathered().items()},
            "seconds": self.seconds,
        }
        about = {"update": updates_of(state), "metrics": self.measured, "recorder": recorder}
        if self.seeds:
            recorder["lost"] = self.lost.tolist()
            about["member"] = int(np.argmin(self._ranked()))
        return about


def updates_of(state: TrainState) -> int:
    """How many updates are behind a state, of one seed or several."""
    return int(np.max(np.asarray(state.step)))


def _middle(values: Any) -> float:
    """A number to look at: of several seeds the median, in which one that is not finite is infinite."""
    return float(np.median(np.where(np.isfinite(values), values, np.inf)))


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: Any) -> Any:
    """What is not finite is a word in JSON; whole numbers stay whole, as they are written in tables."""
    if isinstance(value, list):
        return [_number(each) for each in value]
    return float(value) if isinstance(value, str) else value


def _to_plain(values: np.ndarray) -> dict[str, Any]:
    return {"dtype": values.dtype.name, "values": values.tolist()}


def _from_plain(values: Mapping[str, Any]) -> np.ndarray:
    require(values["dtype"] in _DTYPES, f"a checkpoint is damaged: {values['dtype']!r} is no type of metrics")
    return np.asarray(_number(values["values"]), float).astype(values["dtype"])
