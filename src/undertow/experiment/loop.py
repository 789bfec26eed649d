"""A training from its data to its best policy, wherever it is kept."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import numpy as np

from undertow._checks import NonFiniteError, UndertowError
from undertow._tree import cast, take
from undertow._types import Key
from undertow.assembly import Experiment, Measure
from undertow.config.baseline import LIBRARY
from undertow.core.policy import AbstractPolicy
from undertow.evaluation.statistics import quartiles
from undertow.experiment.recorder import Due, Recorder, updates_of
from undertow.experiment.stores import Best, Store
from undertow.progress import Display, StopRequest
from undertow.store.rundir import Status
from undertow.training.ensemble import Ensemble
from undertow.training.fit import Callback, FitResult, fit
from undertow.training.trainer import Trainer, TrainState

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """How a training ended.

    - `prepared`: what it began with; `state`: the last good one; `best`: of the policies measured, None if no measurement was
        finite.
    - `policy`: the best one, or for want of one the last, in default precision.
    - `whole`: whether all updates are done; `error`: why it failed; `seconds`: how long it took until its last state was kept.
    - `measured`: the last metrics; `lost`: of several seeds, which were lost.
    """

    prepared: Prepared
    state: TrainState
    best: Best | None
    policy: AbstractPolicy
    whole: bool
    error: NonFiniteError | None
    seconds: float
    measured: Mapping[str, Any]
    lost: list[bool]

    def summary(self) -> dict[str, Any]:
        """What there is to say in a few numbers; of several seeds also which they are, what each reached and which were lost."""
        best, keep_by, seeds = None, self.prepared.experiment.config.evaluation.keep_by, self.prepared.seeds
        if self.best is not None:
            best = {"metric": keep_by, "value": self.best.value, "update": self.best.update}
        several: dict[str, Any] = {}
        if seeds:
            reached = np.where(self.lost, np.inf, np.asarray(self.measured[keep_by], float))
            several = {"seeds": list(seeds), "lost": self.lost, "skipped": np.asarray(self.state.skipped).tolist()}
            several["reached"] = {"metric": keep_by, "values": reached, "median": float(quartiles(reached).mean)}
        return {
            "updates": updates_of(self.state),
            "training_seconds": self.seconds,
            "skipped_updates": int(np.sum(np.asarray(self.state.skipped))),
            "parameters": sum(x.size for x in jax.tree.leaves(eqx.filter(self.policy, eqx.is_inexact_array))),
            "best": best,
            **several,
        }

    def ending(self, signal_number: int | None) -> tuple[Status, str | None]:
        """Finished, interrupted (by a signal, where there was one) or failed; and why."""
        done, updates = updates_of(self.state), self.prepared.experiment.config.training.updates
        if signal_number is not None:
            name = signal.Signals(signal_number).name
            return "interrupted", f"stopped by {name} after {done} of {updates} updates"
        if self.error is not None:
            return "failed", f"{self.error}, after {done} updates"
        if self.lost and all(self.lost):
            return "failed", f"every one of the seeds was lost, to updates that were not finite, within {done} updates"
        return ("finished", None) if self.whole else ("interrupted", f"stopped by a callback after {done} updates")


class Prepared(NamedTuple):
    """What a training begins with: the experiment, its trainer with the problems, the state before the first update, what
    measures its policies, and the seeds that are trained side by side (none: the configuration's alone)."""

    experiment: Experiment
    trainer: Trainer | Ensemble | Learner
    state: TrainState
    measure: Measure
    seeds: tuple[int, ...]


def prepare(experiment: Experiment, display: Display, seeds: Sequence[int] = ()) -> Prepared:
    """Make the problems and the first state. Most of what can be wrong with a configuration shows here; nothing is written.

    **Arguments:** `experiment`; `display`; `seeds`: several to be trained as one program, each with its own first weights and
    batches, on the training problems of the configuration's seed.
    """
    display.stage("preparing problems")
    trainer, config = _trainer(experiment), experiment.config
    keys = [jax.random.fold_in(jax.random.key(seed), 1) for seed in seeds or (config.seed,)]
    one = experiment.make_measure()
    if not seeds:
        state = trainer.init(experiment.policy, keys[0])
        return Prepared(experiment, trainer, state, lambda policy: one(cast(policy)), ())
    if not isinstance(trainer, Trainer):
        raise UndertowError(f"method {config.method} trains one seed at a time; take --seeds 1")
    ensemble = Ensemble(trainer)
    state = ensemble.init([experiment.make_policy(seed) for seed in seeds], keys)

    def every_one(policies: AbstractPolicy) -> dict[str, Any]:
        found = [one(cast(take(policies, member))) for member in range(len(seeds))]
        return {name: [each[name] for each in found] for name in found[0]}

    return Prepared(experiment, ensemble, state, every_one, tuple(seeds))


def carry_out(
    prepared: Prepared,
    store: Store,
    stop: StopRequest,
    display: Display,
    callbacks: Sequence[Callback] = (),
    due: Due | None = None,
) -> Training:
    """Train from what the store holds, or from the start, to the end, to a wish to stop or to failure: the only training loop.

    The seed decides everything: the same configuration has the same policy, bit for bit, in whichever store. One of several seeds
    does what it would do alone, up to the order of sums. `due` says when to measure (None: as the configuration does).
    """
    experiment, trainer, state, measure, seeds = prepared
    training = experiment.config.training
    updates = training.updates
    found = store.newest(state)
    record = Recorder(experiment, seeds, store, stop, display, measure, due)
    with contextlib.closing(store):
        if found is None:
            display.stage("first evaluation")
            record.begin(state)
        else:
            state, metadata, name = found
            _log.info("going on after %d updates, from %s", updates_of(state), name)
            record.go_on(state, metadata, name)
        done = updates_of(state)
        result = FitResult(state, "finished" if done >= updates else "stopped")
        if done < updates and not stop:
            display.stage("training", updates)
            after: tuple[Callback, ...] = (*callbacks, record)
            if isinstance(trainer, (Trainer, Ensemble)):
                every, most = training.dispatch, training.max_skipped
                result = fit(trainer, state, updates, start=done, every=every, callbacks=after, max_skipped=most)
            else:
                result = trainer.fit(state, updates, start=done, callbacks=after)
        record.save(result.state)
    best = store.best()
    last = take(result.state.policy, 0) if seeds else result.state.policy
    return Training(
        prepared,
        result.state,
        best,
        cast(last if best is None else best.policy),
        result.status == "finished",
        result.error,
        record.seconds,
        record.measured,
        record.lost.tolist(),
    )


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
