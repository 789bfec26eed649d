"""Who trains which combination of a sweep, kept in an Optuna study that any number of processes share.

Every combination is a job, numbered from 0. A job waits in the study as an enqueued trial (of a grid with its values, of a
search with none: the sampler fills them in), which exactly one worker takes. If that worker is killed, others find out
([liveness][undertow.studies.liveness]), count its trial as failed and enqueue the job again, with the same values and the same
directory, so that it goes on from its checkpoint. A job is done with its first complete trial; should machines without a
common directory have enqueued it twice, the later trial is thrown away.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from undertow._checks import UndertowError, require, unusable
from undertow.studies.definition import Sweep
from undertow.studies.liveness import BEAT, SILENCE, Heartbeats, Liveness, Locks
from undertow.studies.space import Choices, Range, to_word
from undertow.training._files import to_json, write_error
from undertow.training._lock import Release, try_lock

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


def import_optuna() -> Any:
    """Optuna, quiet, its messages sent through `logging`. Raises `UndertowError` naming the extra if it is not there."""
    try:
        import optuna
    except Exception as error:
        raise unusable("a sweep needs Optuna", "sweep", error) from error
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


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
        self.storage = _open_storage(self.optuna, folder, storage, new)
        name, sampler = sweep.name, _seeded_sampler(self.optuna, sweep)
        try:
            if new:
                self.study = self.optuna.create_study(
                    storage=self.storage, study_name=name, sampler=sampler, load_if_exists=True
                )
            else:
                self.study = self.optuna.load_study(storage=self.storage, study_name=name, sampler=sampler)
        except KeyError:
            raise UndertowError(f"the study of {folder} is not in its storage; start the sweep itself first") from None
        self._id = self.storage.get_study_id_from_name(name)
        locks = Locks(folder / "locks")
        self._liveness: Liveness = locks if storage is None else Heartbeats(self.study, self.storage)

    # --- the jobs -----------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Take back what dead workers left, and enqueue every job that nobody has: at first, all of them."""
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        # Without locks two may be at it, which costs a trial at most: what is enqueued twice is thrown away.
        release = try_lock(locks / "ledger", unlocked=True)
        if release is None:  # another worker is at it
            return
        try:
            self._tidy()
        finally:
            release()

    def _tidy(self) -> None:
        running = [(job, trial) for job, trials in self._trials().items() for trial in trials if self._runs(trial)]
        self._liveness.bury([(job, trial._trial_id) for job, trial in running], self._bury)
        trials = self._trials()
        for job in range(self.sweep.trials):
            tried = trials.get(job, [])
            died = [trial for trial in tried if self._died(trial)]
            if not any(self._lives(trial) for trial in tried) and len(died) < MAX_TRIES:
                if died:
                    _logger.warning("trial %04d lost its worker and is tried again", job)
                self.study.enqueue_trial(self._fixed(job, died), user_attrs={"job": job})

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

    def complete(self, job: Job, value: float, result: Mapping[str, Any]) -> bool:
        """Note a job's result. False if the study has given the job to another worker meanwhile."""
        try:
            # Finite or not, as JSON that any database takes.
            job.trial.set_user_attr("result", json.loads(to_json(result)))
            self.study.tell(job.trial, value)
            return True
        except (self.optuna.exceptions.UpdateFinishedTrialError, ValueError) as error:
            _logger.warning(
                "trial %04d was given to another worker, its result here does not count (%s)", job.number, error
            )
            return False
        finally:
            job.release()

    def give_back(self, job: Job, *, died: bool = False) -> None:
        """Leave a job unfinished: to wait for a worker, or counted as one that its worker `died` of."""
        try:
            state = self._states.FAIL if died else self._states.WAITING
            self._set(job.trial._trial_id, state)
        finally:
            job.release()

    def entries(self) -> list[Entry]:
        """What is known of every job, in order."""
        trials = self._trials()
        return [self._entry(job, trials.get(job, [])) for job in range(self.sweep.trials)]

    def finished(self) -> bool:
        """Whether every job is complete, or given up."""
        return all(entry.status in ("complete", "lost") for entry in self.entries())

    # --- trials -------------------------------------------------------------------------------------------------------

    def _trials(self) -> dict[int, list[Any]]:
        """The study's trials by job, oldest first."""
        found: dict[int, list[Any]] = {}
        for trial in self.storage.get_all_trials(self._id, deepcopy=False):
            found.setdefault(trial.user_attrs.get("job", -1), []).append(trial)
        return found

    def _waiting(self) -> list[Any]:
        states = (self._states.WAITING,)
        return [
            t for t in self.storage.get_all_trials(self._id, deepcopy=False, states=states) if "job" in t.user_attrs
        ]

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
            return {name: to_word(value) for name, value in self._grid[job].items()}
        return {**died[-1].system_attrs.get("fixed_params", {}), **died[-1].params} if died else {}

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

    def _entry(self, job: int, trials: Sequence[Any]) -> Entry:
        best = next((trial for trial in trials if trial.state == self._states.COMPLETE), None)
        living = [trial for trial in trials if self._lives(trial)]
        died = [trial for trial in trials if self._died(trial)]
        last = best or (living or died or [None])[-1]
        status = "complete" if best is not None else "lost" if len(died) >= MAX_TRIES else "waiting"
        if best is None and any(self._runs(trial) for trial in living):
            status = "running"
        params = {**last.system_attrs.get("fixed_params", {}), **last.params} if last is not None else {}
        values = {
            name: _from_param(self.sweep.space[name], params[name]) for name in self.sweep.space if name in params
        }
        return Entry(job, status, values, None if best is None else best.user_attrs["result"], len(died))


def _from_param(given: Choices | Range, param: Any) -> Any:
    return given.values[given.names.index(param)] if isinstance(given, Choices) else param


def _open_storage(optuna: Any, folder: Path, storage: str | None, new: bool) -> Any:
    if storage is None:
        from optuna.storages.journal import JournalFileBackend

        # Absolute: the lock beside it is a symbolic link, which has to lead somewhere for its age to be seen.
        journal = folder.resolve() / "journal.log"
        require(new or journal.exists(), f"{journal} is missing")
        try:
            return optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
        except OSError as error:
            raise write_error(journal, error) from error
    require("://" in storage, f"--storage is a database's address, such as sqlite:///sweeps.db, got {storage!r}")
    try:
        with warnings.catch_warnings():  # that heartbeats are experimental
            warnings.simplefilter("ignore")
            return optuna.storages.RDBStorage(storage, heartbeat_interval=BEAT, grace_period=SILENCE)
    except Exception as error:  # whatever its driver raises, or that there is none
        reason = str(error).strip().split("\n")[0]
        raise UndertowError(f"the database of --storage cannot be used: {reason}") from error


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
