"""A training from its data to its best policy, wherever it is kept."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax

from undertow._checks import NonFiniteError
from undertow._tree import cast
from undertow._types import Key
from undertow.assembly import Experiment, Measure
from undertow.config.baseline import LIBRARY
from undertow.core.policy import AbstractPolicy
from undertow.experiment.recorder import Recorder
from undertow.experiment.stores import Best, Store
from undertow.progress import Display, StopRequest
from undertow.store.rundir import Status
from undertow.training.fit import Callback, FitResult, fit
from undertow.training.trainer import Trainer, TrainState

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """How a training ended.

    - `state`: the last good one; `best`: of the policies measured, None if no measurement was finite.
    - `policy`: the best one, or for want of one the last, in default precision.
    - `whole`: whether all updates are done; `error`: why it failed; `seconds`: how long it took until its last state was kept.
    """

    experiment: Experiment
    state: TrainState
    best: Best | None
    policy: AbstractPolicy
    whole: bool
    error: NonFiniteError | None
    seconds: float

    def summary(self) -> dict[str, Any]:
        """What there is to say in a few numbers."""
        best = None
        if self.best is not None:
            metric = self.experiment.config.evaluation.keep_by
            best = {"metric": metric, "value": self.best.value, "update": self.best.update}
        return {
            "updates": int(self.state.step),
            "training_seconds": self.seconds,
            "skipped_updates": int(self.state.skipped),
            "parameters": sum(x.size for x in jax.tree.leaves(eqx.filter(self.policy, eqx.is_inexact_array))),
            "best": best,
        }

    def ending(self, stop: StopRequest) -> tuple[Status, str | None]:
        """Finished, interrupted or failed; and why."""
        done = int(self.state.step)
        if stop:
            name = signal.Signals(stop.signal or signal.SIGINT).name
            return "interrupted", f"stopped by {name} after {done} of {self.experiment.config.training.updates} updates"
        if self.error is not None:
            return "failed", f"{self.error}, after {done} updates"
        return ("finished", None) if self.whole else ("interrupted", f"stopped by a callback after {done} updates")


class Prepared(NamedTuple):
    """What a training begins with: the experiment, its trainer with the problems, the state before the first update, and what
    measures its policies."""

    experiment: Experiment
    trainer: Trainer | Learner
    state: TrainState
    measure: Measure


def prepare(experiment: Experiment, display: Display) -> Prepared:
    """Make the problems and the first state. Most of what can be wrong with a configuration shows here; nothing is written."""
    display.stage("preparing problems")
    trainer = _trainer(experiment)
    state = trainer.init(experiment.policy, jax.random.fold_in(jax.random.key(experiment.config.seed), 1))
    return Prepared(experiment, trainer, state, experiment.make_measure())


def carry_out(
    prepared: Prepared, store: Store, stop: StopRequest, display: Display, callbacks: Sequence[Callback] = ()
) -> Training:
    """Train from what the store holds, or from the start, to the end, to a wish to stop or to failure.

    The seed decides everything: the same configuration has the same policy, bit for bit, in whichever store.
    """
    experiment, trainer, state, measure = prepared
    config = experiment.config
    updates = config.training.updates
    found = store.newest(state)
    record = Recorder(experiment, store, stop, display, measure)
    with contextlib.closing(store):
        if found is None:
            display.stage("first evaluation")
            record.begin(state)
        else:
            state, metadata, name = found
            _log.info("going on after %d updates, from %s", int(state.step), name)
            record.go_on(state, metadata, name)
        done = int(state.step)
        result = FitResult(state, "finished" if done >= updates else "stopped")
        if done < updates and not stop:
            display.stage("training", updates)
            after: tuple[Callback, ...] = (*callbacks, record)
            if isinstance(trainer, Trainer):
                every, most = config.training.dispatch, config.training.max_skipped
                result = fit(trainer, state, updates, start=done, every=every, callbacks=after, max_skipped=most)
            else:
                result = trainer.fit(state, updates, start=done, callbacks=after)
        record.save(result.state)
    best = store.best()
    policy = cast(result.state.policy if best is None else best.policy)
    return Training(experiment, result.state, best, policy, result.status == "finished", result.error, record.seconds)


class Learner(Protocol):
    """What trains in another way than a `Trainer` does: with the same states and callbacks, in a loop of its own."""

    def init(self, policy: AbstractPolicy, key: Key) -> TrainState:
        """The state before the first update."""

    def fit(
        self, state: TrainState, updates: int, *, start: int = 0, callbacks: tuple[Callback, ...] = ()
    ) -> FitResult:
        """Train up to so many updates, of which `start` are behind the state."""


def _trainer(experiment: Experiment) -> Trainer | Learner:
    problems = experiment.make_pool()
    if experiment.config.method not in LIBRARY:
        return experiment.trainer(problems)
    from undertow.baselines import learner  # not at the top: an extra, and long to load

    return learner.Learner(experiment, problems)
