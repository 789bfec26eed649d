"""Sweeps: grids and searches over any field of a configuration, several seeds each, shared by any number of processes."""

from __future__ import annotations

import gc
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, Within, at_home, whole_number
from undertow._limits import NoRoomError
from undertow.assembly import training_needs
from undertow.config import Config
from undertow.experiment.seeds import is_over, train_seeds
from undertow.progress import Display, StopRequest
from undertow.store._lock import AtWorkError
from undertow.store.rundir import RunDirectory
from undertow.sweeps import workers as processes
from undertow.sweeps.costs import least_memory, require_sweep
from undertow.sweeps.definition import STATISTICS, Sweep, define, examine, read, settle, trial_folder
from undertow.sweeps.ledger import Job, Ledger
from undertow.sweeps.space import read_space
from undertow.sweeps.storage import has_secret, import_optuna, without_password
from undertow.sweeps.summary import summarise, table, write_summary

if TYPE_CHECKING:
    from rich.table import Table

_logger = logging.getLogger(__name__)

WAIT = 0.5
"""Seconds between two looks at a study whose last trials others are working on."""

WORKERS = Within(at_least=1, at_most=1_000_000)
"""What may be asked for; how many are started is for [`borne`][undertow.sweeps.workers.borne] to say."""


@dataclass(frozen=True)
class SweepResult:
    """How far a sweep is.

    - `path`: its directory; `finished`: whether every trial is done; `signal`: the one that stopped it.
    - `summary`: what stands in `summary.json`: settings, and under `trials` one entry per combination, the best first.
    - `table`: the same for the terminal; `files` written.
    """

    path: Path
    finished: bool
    summary: dict[str, Any]
    table: Table
    files: list[Path]
    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """0 complete, 1 if a combination lost every seed or workers died, 128 + the signal's number stopped."""
        if not self.finished:
            return 128 + self.signal if self.signal else 1
        return int(any(trial["lost"] == self.summary["seeds"] for trial in self.summary["trials"]))


def sweep(
    config: Config,
    over: Sequence[str] | Mapping[str, Any],
    *,
    preset: str = "custom",
    seeds: int = 3,
    workers: int = 1,
    trials: int | None = None,
    sampler: str | None = None,
    metric: str | None = None,
    statistic: str = "median",
    out: Path | str | None = None,
    storage: str | None = None,
    quiet: bool = False,
    long: bool = False,
) -> SweepResult:
    """Train combinations of a configuration's fields, all seeds of one at a time, and compare them.

    What was begun is gone on with: the same call on the same directory trains what is missing. Other processes and machines
    may make it at the same time, and share the work.

    **Arguments:**

    - `config`: for example `preset("burgers").config`; `preset`: a name for it, part of the default directory.
    - `over`: fields and their values, as in [`read_space`][undertow.sweeps.space.read_space].
    - `seeds` of every combination: `config.seed`, `config.seed + 1`, ... They are trained as one program.
    - `workers`: processes on this machine; 1 is this very process.
    - `sampler`: `grid` (default where every field has a list), `random`, `tpe` (default with ranges); `trials`: how many
      combinations a search tries (default 20).
    - `metric` (default: `evaluation.keep_by`), less is better, measured at the end; a seed that was lost counts as infinity.
      `statistic` of the seeds: `median`, `mean` or `worst`.
    - `out`: the directory, new or of this very sweep; None: `runs/sweep/<preset>`.
    - `storage`: a database's address for the study, instead of a journal in the directory.
    - `quiet`: no progress bar; `long`: begin also what certainly takes hours.

    **Returns:** `SweepResult`.

    **Raises:** `UndertowError` for everything that cannot work or that this machine cannot bear, or a directory that holds
    something else.
    """
    workers = whole_number("workers", workers, WORKERS)
    space = read_space(config, over)
    made = define(
        config, space, preset=preset, seeds=seeds, sampler=sampler, trials=trials, metric=metric, statistic=statistic
    )
    folder = Path("runs") / "sweep" / preset if out is None else at_home(out)
    new = examine(made, folder, storage)
    require_sweep(made, folder, workers=workers, long=long)
    # What refuses comes before what writes: a directory that says what it is would stand in the way of the right command.
    import_optuna()
    ledger = None if storage is None else Ledger(made, folder, storage, new=True)
    if new:
        settle(made, folder, storage)
    (ledger or Ledger(made, folder, storage, new=True)).tidy()
    return join(folder, storage=storage, workers=workers, quiet=quiet)


def join(
    folder: Path | str,
    *,
    storage: str | None = None,
    workers: int = 1,
    quiet: bool = False,
) -> SweepResult:
    """Work on a sweep that exists until it is complete.

    **Arguments:** `folder`: its directory; `storage`: the database's address again, if it has a password; `workers` and
    `quiet` as in `sweep`.

    **Returns:** `SweepResult`.

    **Raises:** `UndertowError` for a directory that holds no sweep.
    """
    workers = whole_number("workers", workers, WORKERS)
    folder = at_home(folder)
    made, storage = _read(folder, storage)
    ledger = Ledger(made, folder, storage)
    ledger.tidy(again=True)
    if workers > 1:
        left = sum(entry.status not in ("complete", "lost") for entry in ledger.entries())
        workers = processes.borne(workers, left, least_memory(made))
    with StopRequest() as stop, Display(quiet=quiet) as display:
        if workers == 1:
            _work(ledger, stop, display)
        else:
            _delegate(ledger, storage, workers, stop, display)
    return _result(ledger, stop.signal)


def summary(folder: Path | str, *, storage: str | None = None) -> SweepResult:
    """How far a sweep is, without working on it; its files are written again.

    **Raises:** `UndertowError` for a directory that holds no sweep.
    """
    folder = at_home(folder)
    made, storage = _read(folder, storage)
    return _result(Ledger(made, folder, storage), None)


def _read(folder: Path, storage: str | None) -> tuple[Sweep, str | None]:
    made, kept = read(folder)
    if kept is not None and storage is None and has_secret(kept):
        where = without_password(kept)
        raise UndertowError(
            f"{folder} keeps its study in {where}, whose password is not written down: give --storage again"
        )
    return made, kept if storage is None else storage


def _result(ledger: Ledger, number: int | None) -> SweepResult:
    entries = ledger.entries()
    found = summarise(ledger.sweep, entries, ledger.study)
    files = write_summary(found, ledger.folder)
    finished = all(entry.status in ("complete", "lost") for entry in entries)
    return SweepResult(ledger.folder, finished, found, table(found), files, number)


# --- one worker -------------------------------------------------------------------------------------------------------


def _work(ledger: Ledger, stop: StopRequest, display: Display) -> None:
    """Take one job after the other until all are done, also those that others leave behind."""
    while not stop:
        ledger.tidy()
        job = ledger.take()
        if job is not None:
            _do(ledger, job, stop, display)
        elif ledger.finished():
            return
        else:
            display.stage("waiting for other workers")
            time.sleep(WAIT)


def _do(ledger: Ledger, job: Job, stop: StopRequest, display: Display) -> None:
    made = ledger.sweep
    try:
        result = _train(ledger, job, stop, display)
    except NoRoomError as error:  # a larger machine may do it, or this one at another time
        _logger.warning("trial %04d: %s", job.number, error)
        ledger.give_back(job, died=True)
        return
    except AtWorkError as error:  # somebody resumes it, or a worker that was taken for dead lives
        _logger.warning("trial %04d: %s", job.number, error)
        ledger.give_back(job)
        time.sleep(WAIT)
        return
    except UndertowError as error:  # a combination that cannot work, which the door could not know
        if isinstance(error.__cause__, OSError):  # a full disk says nothing of the combination
            ledger.give_back(job)
            raise
        _logger.warning("trial %04d: %s", job.number, error)
        result = {"seeds": [np.inf] * made.seeds, "seconds": 0.0, "error": str(error)}
    except Exception:
        ledger.give_back(job, died=True)
        raise
    except BaseException:
        ledger.give_back(job)
        raise
    if result is None:
        ledger.give_back(job)
    else:
        ledger.complete(job, _value(made, result), result)
    # Every combination compiles programs of its own. Hundreds of them exhaust the mappings that a process may have.
    jax.clear_caches()
    gc.collect()


def _train(ledger: Ledger, job: Job, stop: StopRequest, display: Display) -> dict[str, Any] | None:
    """Train a combination, in a run directory of its own; None if it was stopped before the end."""
    made = ledger.sweep
    config = made.config_of(job.values)
    folder = trial_folder(ledger.folder, job.number)
    training_needs(config).require(seeds=made.seeds, folder=folder, long=True)
    said = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in job.values.items())
    display.label = f"{job.number + 1}/{made.trials} {said}: "
    run = train_seeds(config, made.seeds_of(config), folder, preset=made.preset, stop=stop, display=display)
    display.label = ""
    return result_of(run, made) if is_over(run) else None


def result_of(run: RunDirectory, made: Sweep) -> dict[str, Any]:
    """What a trial that is over has come to: the metric of every seed at the end, infinite where it was lost; seconds; why it
    failed."""
    summary = run.read_summary()
    failed = summary["status"] == "failed"
    reached = np.full(made.seeds, np.inf) if failed else run.read_seeds()[made.metric][-1]
    gone = np.asarray(summary.get("lost", False)) | ~np.isfinite(reached)
    seeds = np.where(gone, np.inf, reached).tolist()
    return {"seeds": seeds, "seconds": summary["training_seconds"], "error": summary["reason"] if failed else None}


def _value(made: Sweep, result: Mapping[str, Any]) -> float:
    """The number that a result's seeds are compared by."""
    return STATISTICS[made.statistic](np.asarray(result["seeds"], float))


# --- many workers -----------------------------------------------------------------------------------------------------


def serve(folder: Path, storage: str | None) -> int:
    """Be a worker until the sweep is complete. Returns the exit code."""
    ledger = Ledger(read(folder)[0], folder, storage)
    with StopRequest() as stop, Display(quiet=True) as display:
        _work(ledger, stop, display)
    return 128 + stop.signal if stop.signal else 0


def _delegate(ledger: Ledger, storage: str | None, workers: int, stop: StopRequest, display: Display) -> None:
    """Start workers, pass on a wish to stop, wait for them."""
    double = bool(jnp.result_type(float) == jnp.float64)
    started: list[Any] = []
    told = False
    display.stage(f"{workers} workers", ledger.sweep.trials)
    try:
        for index in range(workers):
            started.append(processes.start(ledger.folder, storage, index, workers, double=double))
        while any(process.poll() is None for process in started):
            if stop and not told:
                for process in started:
                    process.terminate()
                told = True
            _show(ledger, display)
            time.sleep(WAIT)
    finally:
        processes.end(started)
    for process in started:
        if process.returncode not in (0, 128 + signal.SIGTERM):
            _logger.warning("worker %d ended with code %d", process.pid, process.returncode)


def _show(ledger: Ledger, display: Display) -> None:
    try:
        entries = ledger.entries()
    except UndertowError as error:  # a database that others hold up; the workers see to it
        _logger.info("%s", error)
        return
    best = [_value(ledger.sweep, entry.result) for entry in entries if entry.result is not None]
    values = {f"best {ledger.sweep.metric}": min(best)} if best else {}
    display.advance(sum(entry.status in ("complete", "lost") for entry in entries), values)
