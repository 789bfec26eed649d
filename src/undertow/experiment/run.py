"""Training into a run directory, from the start or from where it stopped."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from undertow._checks import NonFiniteError, UndertowError, at_home, drawing, quoted, require, whole_number
from undertow._io import require_free
from undertow._limits import out_of_memory_told
from undertow.assembly import AbstractJudge, build, training_needs
from undertow.config import Config, config_to_dict, own_files, run_config
from undertow.core.policy import AbstractPolicy
from undertow.experiment.loop import Prepared, carry_out, prepare
from undertow.experiment.recorder import Due
from undertow.experiment.stores import DirectoryStore
from undertow.progress import Display, StopRequest
from undertow.store.events import open_events
from undertow.store.keeping import last_first, newest_metadata
from undertow.store.rundir import RunDirectory
from undertow.training.fit import Callback, as_callbacks

if TYPE_CHECKING:
    from rich.table import Table

C = TypeVar("C", bound=Config)
_log = logging.getLogger(__name__)


SMALLER = "a smaller training.batch, grid.num_cells or horizon, or training.rematerialise step"
"""What to do where memory was not enough."""


@dataclass(frozen=True)
class Run:
    """How a training ended.

    - `path`: the run directory; `status`: finished, interrupted or failed; `reason`: why not finished; `error`: where it failed.
    - `policy`: the best one by the metric kept, in default precision.
    - `summary`: what stands in `summary.json`.
    - `evaluations`: by suite; empty for a run that did not finish. `table`: all of them, for the terminal.
    - `signal`: the one that interrupted it.
    """

    path: Path
    status: str
    policy: AbstractPolicy
    summary: dict[str, Any]
    evaluations: dict[str, Any]
    table: Table | None = None
    error: NonFiniteError | None = None
    signal: int | None = None
    reason: str | None = None

    @property
    def exit_code(self) -> int:
        """0 finished, 1 failed, 128 + the signal's number interrupted."""
        codes = {"finished": 0, "failed": 1, "interrupted": 128 + (self.signal or signal.SIGINT)}
        return codes[self.status]

    def to_dict(self) -> dict[str, Any]:
        """Where the run is, and what stands in its `summary.json`."""
        return {"path": self.path, "status": self.status, "reason": self.reason, **self.summary}


@out_of_memory_told(SMALLER)
def train(
    config: Config,
    *,
    preset: str = "custom",
    out: Path | str | None = None,
    root: Path | str = "runs",
    callbacks: Callback | Sequence[Callback] = (),
    quiet: bool = False,
    tensorboard: bool | None = None,
    command: Sequence[str] | None = None,
    long: bool = False,
) -> Run:
    """Train a policy, keep its best checkpoints, evaluate the best one and write everything into a run directory.

    Everything that can be wrong with the configuration, the data or the directory is found before the long work.
    SIGINT and SIGTERM let the running dispatch finish, write a checkpoint and end the run as interrupted. However it
    ends, [`resume`][undertow.experiment.run.resume] goes on with it.

    **Arguments:**

    - `config`: for example `preset("burgers").config`, changed with `dataclasses.replace`.
    - `preset`: a name for the run, part of its default path.
    - `out`: the run directory, which must not exist yet; None makes `<root>/<preset>/<time>`.
    - `callbacks`: called after every dispatch, as in [`fit`][undertow.training.fit.fit]; returning True ends the run.
    - `quiet`: no progress bar (there is none anyway where standard error is not a terminal).
    - `tensorboard`: write event files, too; None: if the extra `tensorboard` is installed.
    - `command`: the command line, to be noted in the run directory.
    - `long`: begin also what certainly takes hours; default False.

    **Returns:** `Run`. A run that went non-finite does not raise: its `status` is failed, its `error` says where, and
    its last good state is in the checkpoint.

    **Raises:** `UndertowError` for a configuration that cannot work or that the machine's memory, disk or (without `long`) your
    patience cannot bear, a directory that exists or cannot be written.
    """
    out = None if out is None else require_free(out)
    training_needs(config).require(folder=root if out is None else out, long=long)
    experiment, callbacks = build(config), as_callbacks(callbacks)
    experiment.check()
    write_events = open_events(tensorboard)
    with StopRequest() as stop, Display(quiet=quiet) as display:
        prepared = prepare(experiment, display)  # what cannot work leaves no directory
        about, code = config_to_dict(experiment.config), own_files(experiment.config)
        with RunDirectory.create(out, preset=preset, config=about, command=command, root=root, code=code) as directory:
            try:
                return train_in(directory, prepared, stop, display, callbacks, events=write_events)
            except Exception:
                _withdraw(directory)
                raise


@out_of_memory_told(SMALLER)
def resume(
    path: Path | str,
    *,
    updates: int | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    quiet: bool = False,
    tensorboard: bool | None = None,
    command: Sequence[str] | None = None,
    long: bool = False,
) -> Run:
    """Go on with a run that was stopped, killed or failed, or that is finished and is to have more updates.

    It ends, bit for bit on the same kind of machine, as if it had never stopped: it starts at the newest checkpoint that is
    whole, takes `metrics.csv` back to that moment, and goes on in the same portions. A damaged or foreign checkpoint is named
    in the log and skipped. Where the training had ended, what follows it is done: evaluation and figures.

    **Arguments:** `path`: the run directory; `updates`: how many in all, instead of the number in its configuration (a
    falling learning rate then falls over the new number, from here on); the others as in `train`.

    **Returns:** `Run`, as `train` does.

    **Raises:** `UndertowError` for a directory that is none, that another process is at work in, that cannot be mended, or
    of a run that is finished.
    """
    callbacks = as_callbacks(callbacks)
    updates = None if updates is None else whole_number("updates", updates)
    path = at_home(path)
    write_events = open_events(tensorboard)
    directory = RunDirectory.reopen(path)
    with StopRequest() as stop, Display(quiet=quiet) as display, ExitStack() as stack:
        stack.callback(directory.close)
        config = run_config(directory)
        require(
            directory.preset != "imported",
            f"{path} is an imported agent: train with --policy.start {quoted(path)} instead",
        )
        done = updates_done(directory)
        if updates is not None:
            require(
                updates > (done or 0), f"{path} has {done} updates behind it; more were expected than updates={updates}"
            )
            config = replace(config, training=replace(config.training, updates=updates))
        if done is not None and done >= config.training.updates and directory.info["status"] == "finished":
            require(
                not is_whole(directory),
                f"{path} is finished after {done} updates; to go on, ask for more of them: "
                f"undertow resume {quoted(path)} --updates N",
            )
        # What it started from may be gone by now; a checkpoint has all of it.
        training_needs(config).require(
            done=done or 0, seeds=len(directory.seeds) or 1, folder=directory.path, long=long
        )
        experiment = build(config.untrained() if done is not None else config)
        if done is None:
            experiment.check()
        # Up to here nothing was written: what cannot work leaves the run as it is.
        prepared = prepare(replace(experiment, config=config), display, directory.seeds)
        with directory:
            directory.resumed(done or 0, config_to_dict(config), command)
            return train_in(directory, prepared, stop, display, callbacks, events=write_events)


def _withdraw(directory: RunDirectory) -> None:
    """Remove a new run that ended in an error before its first update: there is nothing to go on with."""
    if not any(update > 0 for _, update in last_first(directory.checkpoints)):
        directory.remove()


def updates_done(directory: RunDirectory) -> int | None:
    """The updates behind a run's newest checkpoint; None if there is none to go on from."""
    own = (each for each in newest_metadata(directory.checkpoints) if each.get("run") == directory.id)
    return next((each["update"] for each in own), None)


def is_whole(directory: RunDirectory) -> bool:
    """Whether summary and metrics of a run are there and can be read."""
    try:
        directory.read_summary()
        directory.read_metrics()
    except UndertowError:
        return False
    return True


def train_in(
    directory: RunDirectory,
    prepared: Prepared,
    stop: StopRequest,
    display: Display,
    callbacks: Sequence[Callback] = (),
    *,
    events: bool = False,
    due: Due | None = None,
    judged: bool = True,
) -> Run:
    """Train in a run directory that is locked, from what it holds, and say in it how that ended.

    **Arguments:** `directory`; `prepared`; `stop`; `display`; `callbacks` and `due` as of
    [`carry_out`][undertow.experiment.loop.carry_out]; `events`: whether TensorBoard's files are written, too; `judged`: whether
    the best policy is evaluated on suites and drawn.
    """
    experiment = prepared.experiment
    store = DirectoryStore(experiment, directory, events=events)
    training = carry_out(prepared, store, stop, display, callbacks, due)
    summary = {"preset": directory.preset, **training.summary()}
    evaluations: dict[str, Any] = {}
    if training.whole and judged:
        evaluations = _judge(experiment.judge, training.policy, stop, display)
        summary |= experiment.judge.summarise(evaluations)
    # Who is asked to stop after the last update has stopped nothing, unless the evaluation.
    status, reason = training.ending(stop.signal if judged or not training.whole else None)
    directory.write_summary({"status": status, "reason": reason, **summary})
    if evaluations and not stop and experiment.config.evaluation.figures:
        display.stage("drawing figures")
        try:
            with drawing("the run's figures"):
                experiment.judge.draw(directory.figures, training.policy, evaluations, store.metrics())
        except UndertowError as error:  # nobody asked for them, and the results are written
            _log.warning("%s; undertow plot %s draws them again", error, quoted(directory.path))
    directory.finish(status, reason)
    table = experiment.judge.table(evaluations) if evaluations else None
    return Run(
        directory.path, status, training.policy, summary, evaluations, table, training.error, stop.signal, reason
    )


def _judge(judge: AbstractJudge, policy: AbstractPolicy, stop: StopRequest, display: Display) -> dict[str, Any]:
    evaluations = {}
    display.stage("evaluating", len(judge.suites))
    for index, name in enumerate(judge.suites):
        if stop:
            break
        evaluations[name] = judge.evaluate(policy, name)
        display.advance(index + 1)
    return evaluations
