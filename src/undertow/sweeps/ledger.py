"""Who trains which combination of a sweep, kept in an Optuna study that any number of processes share.

Every combination is a job, numbered from 0. A job waits in the study as an enqueued trial (of a grid with its values, of a
search with none: the sampler fills them in), which exactly one worker takes. If that worker is killed, others find out
([liveness][undertow.sweeps.liveness]), count its trial as failed and enqueue the job again, with the same values and the same
directory, so that it goes on from its checkpoint. A job is done with its first complete trial; should machines without a
common directory have enqueued it twice, the later trial is thrown away.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from undertow._checks import UndertowError, require
from undertow._io import make_folder, to_json
from undertow.config.fields import to_word
from undertow.store._lock import Release, try_lock
from undertow.store.recover import read_config
from undertow.sweeps.definition import Sweep, trial_folder, values_of
from undertow.sweeps.liveness import BEAT, SILENCE, Heartbeats, Liveness, Locks
from undertow.sweeps.space import Choices
from undertow.sweeps.storage import import_optuna, open_storage, telling

_logger = logging.getLogger(__name__)

MAX_TRIES = 3
"""A job whose worker died so many times is given up."""


@dataclass(frozen=True)
class Job:
    """A combination that this process works on: its number, its values by field, its trial in the study."""

    number: int
    values: dict[str, Any]
    trial: Any
    release: Release


@dataclass(frozen=True)
class Entry:
    """What is known of a job: `waiting`, `running`, `complete` or `lost`; its values, as far as they are known; its result
    (None: none yet); how many workers died of it."""

    number: int
    status: str
    values: dict[str, Any]
    result: dict[str, Any] | None
    died: int


P = ParamSpec("P")
T = TypeVar("T")


def _told(method: Callable[Concatenate[Ledger, P], T]) -> Callable[Concatenate[Ledger, P], T]:
    """Whatever the storage raises becomes one line."""

    @functools.wraps(method)
    def wrapped(self: Ledger, *arguments: P.args, **options: P.kwargs) -> T:
        with telling(self.optuna, self._address, self._gone):
            return method(self, *arguments, **options)

    return wrapped


class Ledger:
    """The study of a sweep.

    **Arguments:** `sweep`; `folder`: its directory; `storage`: a database's address (None: the directory's journal);
    `new`: whether the study may be made.

    **Raises:** `UndertowError` for a study that is not there, or a database that cannot be reached.
    """

    def __init__(self, sweep: Sweep, folder: Path, storage: str | None, *, new: bool = False):
        self.optuna = import_optuna()
        self.sweep, self.folder = sweep, folder
        self._grid = sweep.grid
        self._states = self.optuna.trial.TrialState
        self._address = storage
        self.storage = open_storage(self.optuna, folder, storage, new=new, beat=BEAT, silence=SILENCE)
        given = {"storage": self.storage, "study_name": sweep.name, "sampler": _seeded_sampler(self.optuna, sweep)}
        with telling(self.optuna, storage, lambda: True):
            if new:
                self.study = self.optuna.create_study(load_if_exists=True, **given)
            else:
                self.study = self.optuna.load_study(**given)
            directions = [each.name for each in self.study.directions]
        require(
            directions == ["MINIMIZE"],
            f"the study {sweep.name} in the storage is another one, not of a sweep: its directions are "
            f"{', '.join(directions)}; delete it, or give another --storage",
        )
        locks = folder / "locks"
        self._liveness: Liveness = Locks(locks) if storage is None else Heartbeats(self.study, self.storage)

    # --- the jobs -----------------------------------------------------------------------------------------------------

    @_told
    def tidy(self, *, again: bool = False) -> None:
        """Take back what dead workers left, and enqueue every job that nobody has: at first, all of them.

        `again`: forget how many workers died of a job, as a new command does: it may have been stopped by force.
        """
        locks = self.folder / "locks"
        make_folder(locks)
        # Without locks two may be at it, which costs a trial at most: what is enqueued twice is thrown away.
        release = try_lock(locks / "ledger", unlocked=True)
        if release is None:  # another worker is at it
            return
        try:
            self._tidy(again)
        finally:
            release()

    def _tidy(self, again: bool) -> None:
        running = [(job, trial) for job, trials in self._trials().items() for trial in trials if self._runs(trial)]
        self._liveness.bury([(job, trial._trial_id) for job, trial in running], self._bury)
        trials = self._trials()
        if again:
            died = {str(job): count for job in trials if (count := sum(map(self._died, trials[job])))}
            if died != self._forgiven():
                self.study.set_user_attr("forgiven", died)
        forgiven = self._forgiven()
        for job in range(self.sweep.trials):
            tried = trials.get(job, [])
            dead = [trial for trial in tried if self._died(trial)]
            if not any(self._lives(trial) for trial in tried) and len(dead) - forgiven.get(str(job), 0) < MAX_TRIES:
                if dead:
                    _logger.warning("trial %04d lost its worker and is tried again", job)
                self.study.enqueue_trial(self._fixed(job, dead), user_attrs={"job": job})

    def _forgiven(self) -> dict[str, int]:
        """How many dead workers of every job are of earlier commands."""
        found = self.study.user_attrs.get("forgiven", {})
        return found if isinstance(found, dict) else {}

    @_told
    def take(self) -> Job | None:
        """A job that was waiting, now this process's; None if there is none."""
        for trial in self._waiting():
            job = trial.user_attrs["job"]
            release = self._liveness.hold(job, trial._trial_id)
            if release is None:
                continue
            try:
                if self._claim(job, trial):
                    taken = self.optuna.trial.Trial(self.study, trial._trial_id)
                    return Job(job, self._suggest(taken), taken, release)
            except BaseException:
                release()
                raise
            release()
        return None

    @_told
    def complete(self, job: Job, value: float, result: Mapping[str, Any]) -> bool:
        """Note a job's result. False if the study has given the job to another worker meanwhile."""
        try:
            # Finite or not, as JSON that any database takes.
            job.trial.set_user_attr("result", json.loads(to_json(result)))
            self.study.tell(job.trial, value)
            return True
        except UndertowError:
            raise
        except (self.optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
            _logger.warning(
                "trial %04d was given to another worker, its result here does not count (%s)", job.number, error
            )
            return False
        finally:
            job.release()

    @_told
    def give_back(self, job: Job, *, died: bool = False) -> None:
        """Leave a job unfinished: to wait for a worker, or counted as one that its worker `died` of."""
        try:
            state = self._states.FAIL if died else self._states.WAITING
            self._set(job.trial._trial_id, state)
        finally:
            job.release()

    @_told
    def entries(self) -> list[Entry]:
        """What is known of every job, in order."""
        trials, forgiven = self._trials(), self._forgiven()
        return [self._entry(job, trials.get(job, []), forgiven.get(str(job), 0)) for job in range(self.sweep.trials)]

    def finished(self) -> bool:
        """Whether every job is complete, or given up."""
        return all(entry.status in ("complete", "lost") for entry in self.entries())

    # --- trials -------------------------------------------------------------------------------------------------------

    def _gone(self) -> bool:
        try:
            self.storage.get_study_id_from_name(self.sweep.name)
        except KeyError:
            return True
        return False

    def _read(self, states: Sequence[Any] | None = None) -> list[Any]:
        """The study's trials that are jobs of this sweep, oldest first. Read through the study: what its cache has not seen,
        such as a trial that another process enqueued, it cannot work on."""
        trials = self.study.get_trials(deepcopy=False, states=states)
        return [trial for trial in trials if trial.user_attrs.get("job") in range(self.sweep.trials)]

    def _trials(self) -> dict[int, list[Any]]:
        """The same by job."""
        found: dict[int, list[Any]] = {}
        for trial in self._read():
            found.setdefault(trial.user_attrs["job"], []).append(trial)
        return found

    def _waiting(self) -> list[Any]:
        return self._read((self._states.WAITING,))

    def _runs(self, trial: Any) -> bool:
        return trial.state == self._states.RUNNING

    def _lives(self, trial: Any) -> bool:
        return trial.state in (self._states.WAITING, self._states.RUNNING, self._states.COMPLETE)

    def _died(self, trial: Any) -> bool:
        return trial.state == self._states.FAIL and "twice" not in trial.user_attrs

    def _set(self, trial_id: int, state: Any) -> bool:
        """Change a trial's state; False if another process was first."""
        try:
            return self.storage.set_trial_state_values(trial_id, state=state)
        except self.optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _bury(self, trial_id: int) -> None:
        # Its worker may have finished it after we looked.
        if self._runs(self.storage.get_trial(trial_id)):
            self._set(trial_id, self._states.FAIL)

    def _claim(self, job: int, trial: Any) -> bool:
        others = [each for each in self._trials().get(job, []) if each.number != trial.number and self._lives(each)]
        if any(each.state == self._states.COMPLETE or each.number < trial.number for each in others):
            try:
                self.storage.set_trial_user_attr(trial._trial_id, "twice", True)
            except self.optuna.exceptions.UpdateFinishedTrialError:
                return False
            self._set(trial._trial_id, self._states.FAIL)
            return False
        return self._set(trial._trial_id, self._states.RUNNING)

    def _fixed(self, job: int, died: Sequence[Any]) -> dict[str, Any]:
        """The values that a job is enqueued with, as Optuna's parameters."""
        if self._grid is not None:
            return _to_params(self.sweep, self._grid[job])
        if not died:  # of a study that was lost, a trial's directory still knows
            with contextlib.suppress(UndertowError):
                values = values_of(self.sweep, read_config(trial_folder(self.folder, job)))
                return {} if values is None else _to_params(self.sweep, values)
            return {}
        # Some but not all of them were drawn: so that the others come out as they would have, all are drawn again.
        known = {**died[-1].system_attrs.get("fixed_params", {}), **died[-1].params}
        return known if set(known) == set(self.sweep.space) else {}

    def _suggest(self, trial: Any) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, given in self.sweep.space.items():
            if isinstance(given, Choices):
                values[name] = given.values[given.names.index(trial.suggest_categorical(name, given.names))]
            elif given.whole:
                values[name] = trial.suggest_int(name, given.low, given.high, log=given.log)
            else:
                values[name] = trial.suggest_float(name, given.low, given.high, log=given.log)
        return values

    def _entry(self, job: int, trials: Sequence[Any], forgiven: int) -> Entry:
        best = next((trial for trial in trials if trial.state == self._states.COMPLETE), None)
        living = [trial for trial in trials if self._lives(trial)]
        died = [trial for trial in trials if self._died(trial)]
        last = best or (living or died or [None])[-1]
        count = max(len(died) - forgiven, 0)
        status = "complete" if best is not None else "lost" if count >= MAX_TRIES else "waiting"
        if best is None and any(self._runs(trial) for trial in living):
            status = "running"
        params = {**last.system_attrs.get("fixed_params", {}), **last.params} if last is not None else {}
        values = {name: self._from_param(name, params[name], last) for name in self.sweep.space if name in params}
        return Entry(job, status, values, None if best is None else self._result(best), count)

    def _from_param(self, name: str, param: Any, trial: Any) -> Any:
        given = self.sweep.space[name]
        if not isinstance(given, Choices):
            return param
        require(param in given.names, self._foreign(trial, f"{name} is {param!r}"))
        return given.values[given.names.index(param)]

    def _result(self, trial: Any) -> dict[str, Any]:
        """A complete trial's result, checked: a database is open to others."""
        try:
            result = {"seconds": 0.0, **trial.user_attrs["result"]}
            seeds = np.asarray(result["seeds"], float)
            good = seeds.shape == (self.sweep.seeds,) and not np.isnan(seeds).any() and float(result["seconds"]) >= 0
        except (TypeError, KeyError, ValueError):
            result, good = {}, False
        require(good, self._foreign(trial, "its result is not one of a sweep"))
        return result

    def _foreign(self, trial: Any, why: str) -> str:
        return f"trial {trial.number} of the study {self.sweep.name} was changed by something else: {why}; delete the study"


def _to_params(sweep: Sweep, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_word(value) if isinstance(sweep.space[name], Choices) else value for name, value in values.items()}


def _seeded_sampler(optuna: Any, sweep: Sweep) -> Any:
    """A sampler that begins anew with a seed of its own for every job, so that what a job gets depends on what was measured
    before it, and never on which process asks, or how often the sweep was stopped."""

    def make(seed: int) -> Any:
        if sweep.sampler == "tpe":
            with warnings.catch_warnings():  # that avoiding what others are trying is experimental
                warnings.simplefilter("ignore")
                return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return optuna.samplers.RandomSampler(seed=seed)

    class Seeded(optuna.samplers.BaseSampler):
        def __init__(self) -> None:
            self.inner = make(0)

        def before_trial(self, study: Any, trial: Any) -> None:
            drawn = np.random.SeedSequence([sweep.config.seed, trial.user_attrs.get("job", 0)]).generate_state(1)
            self.inner = make(int(drawn[0]))

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self.inner.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self.inner.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return self.inner.sample_independent(study, trial, name, distribution)

    return Seeded()
