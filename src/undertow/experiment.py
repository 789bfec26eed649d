"""The work behind the commands: train, evaluate a run, draw its figures. Plain functions, for Python and notebooks.

Nothing here sets JAX's precision. What is measured has the default precision of the caller: call
`jax.config.update("jax_enable_x64", True)` first, as the command line does.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from undertow._checks import NonFiniteError, UndertowError, lookup, nearest, require
from undertow.build import AbstractJudge, Experiment, Measure, build, cast, read_policy, refuse_published
from undertow.config import Config, PolicyConfig, SchemeConfig, config_from_dict, config_to_dict
from undertow.core.policy import AbstractPolicy
from undertow.policies.classical import CLASSICAL, classical
from undertow.policies.published import is_published, read_published
from undertow.progress import Display, StopRequest
from undertow.training.checkpoint import BestCheckpoints, save_checkpoint
from undertow.training.fit import Callback, Progress, fit
from undertow.training.rundir import RunDirectory, Status
from undertow.training.trainer import TrainState

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Run:
    """How a training ended.

    - `path`: the run directory; `status`: finished, interrupted or failed; `error`: why it failed.
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

    @property
    def exit_code(self) -> int:
        """0 finished, 1 failed, 128 + the signal's number interrupted."""
        codes = {"finished": 0, "failed": 1, "interrupted": 128 + (self.signal or signal.SIGINT)}
        return codes[self.status]


def train(
    config: Config,
    *,
    preset: str = "custom",
    out: Path | str | None = None,
    root: Path | str = "runs",
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    command: Sequence[str] | None = None,
) -> Run:
    """Train a policy, keep its best checkpoints, evaluate the best one and write everything into a run directory.

    Everything that can be wrong with the configuration, the data or the directory is found before the long work.
    SIGINT and SIGTERM let the running dispatch finish, write a checkpoint and end the run as interrupted.

    **Arguments:**

    - `config`: for example `preset("burgers").config`, changed with `dataclasses.replace`.
    - `preset`: a name for the run, part of its default path.
    - `out`: the run directory, which must not exist yet; None makes `<root>/<preset>/<time>`.
    - `callbacks`: called after every dispatch, as in [`fit`][undertow.training.fit.fit]; returning True ends the run.
    - `quiet`: no progress bar (there is none anyway where standard error is not a terminal).
    - `command`: the command line, to be noted in the run directory.

    **Returns:** `Run`. A run that went non-finite does not raise: its `status` is failed, its `error` says where, and
    its last good state is in the checkpoint.

    **Raises:** `UndertowError` for a configuration that cannot work, a directory that exists or cannot be written.
    """
    require(out is None or not Path(out).exists(), f"{out} exists already and is left as it is; choose another --out")
    experiment = build(config)
    experiment.check()
    directory = RunDirectory.create(out, preset=preset, config=config_to_dict(config), command=command, root=root)
    with directory, StopRequest() as stop, Display(quiet=quiet) as display:
        return _train(experiment, directory, stop, display, callbacks)


def _train(
    experiment: Experiment, directory: RunDirectory, stop: StopRequest, display: Display, callbacks: Sequence[Callback]
) -> Run:
    config = experiment.config
    display.stage("preparing problems")
    trainer = experiment.trainer(experiment.make_pool())
    state = trainer.init(experiment.policy, jax.random.fold_in(jax.random.key(config.seed), 1))
    display.stage("first evaluation")
    record = _Recorder(experiment, directory, stop, display, experiment.make_measure())
    record.measure(state, 0)
    display.stage("training", config.training.updates)
    result = None
    if not stop:
        updates, dispatch = config.training.updates, config.training.dispatch
        skipped = config.training.max_skipped
        result = fit(trainer, state, updates, every=dispatch, callbacks=(*callbacks, record), max_skipped=skipped)
        state = result.state
    record.write_last(state)

    best = record.best.ranking()
    policy = cast(read_policy(best[0].path, experiment.policy) if best else state.policy)
    done = int(state.step)
    summary: dict[str, Any] = {
        "preset": directory.preset,
        "updates": done,
        "training_seconds": record.seconds,
        "skipped_updates": int(state.skipped),
        "parameters": sum(x.size for x in jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array))),
        "best": {"metric": record.best.metric, "value": best[0].value, "update": best[0].update} if best else None,
    }
    evaluations: dict[str, Any] = {}
    if result is not None and result.status == "finished":
        evaluations = _judge(experiment.judge, policy, stop, display)
        summary |= experiment.judge.summarise(evaluations)
    status: Status = "finished"
    reason: str | None = None
    if stop:
        name = signal.Signals(stop.signal or signal.SIGINT).name
        status, reason = "interrupted", f"stopped by {name} after {done} of {config.training.updates} updates"
    elif result is None or result.status == "stopped":
        status, reason = "interrupted", f"stopped by a callback after {done} updates"
    elif result.status == "failed":
        status, reason = "failed", f"{result.error}, after {done} updates"
    directory.write_summary({"status": status, "reason": reason, **summary})
    error = None if result is None else result.error
    if evaluations and not stop and config.evaluation.figures:
        display.stage("drawing figures")
        experiment.judge.draw(directory.figures, policy, evaluations, directory.read_metrics())
    directory.finish(status, reason)
    table = experiment.judge.table(evaluations) if evaluations else None
    return Run(directory.path, status, policy, summary, evaluations, table, error, stop.signal)


class _Recorder:
    """After every dispatch: the bar. After every so many updates: metrics, checkpoints. It passes on a wish to stop."""

    def __init__(
        self, experiment: Experiment, directory: RunDirectory, stop: StopRequest, display: Display, measure: Measure
    ):
        evaluation = experiment.config.evaluation
        self.directory, self.stop, self.display, self._measure = directory, stop, display, measure
        self.every = evaluation.every
        self.best = BestCheckpoints(directory.checkpoints, metric=evaluation.keep_by, keep=evaluation.keep)
        self._measured: dict[str, float] = {}
        self._pending: list[dict[str, np.ndarray]] = []
        self._begun: dict[str, float] | None = None  # the row of the first measurement, until its columns are known
        self._last = 0
        self._start = time.perf_counter()
        self.seconds = 0.0

    def measure(self, state: TrainState, done: int) -> None:
        """Evaluate the policy, offer it to the best checkpoints and save the state as the last one."""
        self._measured = self._measure(cast(state.policy))
        self.seconds = time.perf_counter() - self._start
        self.best.offer(self._measured[self.best.metric], done, state, {"metrics": self._measured})
        self._last = done
        if done == 0:
            self._begun = {"seconds": self.seconds, **self._measured}
        else:
            self._write_row(state, done)
        self.write_last(state)

    def _write_row(self, state: TrainState, done: int) -> None:
        names = sorted(self._pending[0], key=lambda name: (name != "loss", name))
        trained = {name: np.concatenate([np.atleast_1d(m[name]) for m in self._pending]) for name in names}
        means = {
            name: float(np.mean(v[np.isfinite(v)])) if np.isfinite(v).any() else np.nan for name, v in trained.items()
        }
        means["skipped"] = int(state.skipped)
        if self._begun is not None:
            self.directory.append_metrics({"update": 0, **dict.fromkeys(names), **self._begun})
            self._begun = None
        self.directory.append_metrics({"update": done, **means, "seconds": self.seconds, **self._measured})
        self._pending = []

    def write_last(self, state: TrainState) -> None:
        """Save the state as the last checkpoint."""
        metadata = {"update": int(state.step), "metrics": self._measured}
        save_checkpoint(self.directory.last_checkpoint, state, metadata)

    def __call__(self, progress: Progress) -> bool:
        self._pending.append(progress.metrics)
        ends = progress.done == progress.total or bool(self.stop)
        if ends or progress.done // self.every > self._last // self.every:
            self.measure(progress.state, progress.done)
        loss = float(progress.metrics["loss"][-1])
        self.display.advance(progress.done, {"loss": loss, self.best.metric: self._measured[self.best.metric]})
        return bool(self.stop)


# --- after the training -----------------------------------------------------------------------------------------------


def _judge(judge: AbstractJudge, policy: AbstractPolicy, stop: StopRequest, display: Display) -> dict[str, Any]:
    evaluations = {}
    display.stage("evaluating", len(judge.suites))
    for index, name in enumerate(judge.suites):
        if stop:
            break
        evaluations[name] = judge.evaluate(policy, name)
        display.advance(index + 1)
    return evaluations


# --- runs that exist --------------------------------------------------------------------------------------------------


def load_run(path: Path | str, which: str = "best") -> tuple[RunDirectory, Experiment, AbstractPolicy]:
    """A run directory, its experiment as it was before training, and a checkpoint's policy in default precision.

    **Arguments:** `path`: the run directory, or one of its checkpoints; `which`: `best`, `last` or a checkpoint's file.

    **Raises:** `UndertowError` naming what is missing, damaged or of another shape.
    """
    path = Path(path)
    refuse_published(path)
    if path.is_file():
        path, which = path.parent.parent, path.name
    directory = RunDirectory.open(path)
    experiment = build(config_from_dict(directory.config).untrained())
    return directory, experiment, cast(read_policy(path, experiment.policy, which))


def load_policy(where: Path | str, order: int = 5) -> AbstractPolicy:
    """A policy by the name of a classical one (with this order), a run directory, one of its checkpoints, or a checkpoint
    of the code of arXiv 2203.08937 (a zip file).

    **Raises:** `UndertowError` for something that is none of them.
    """
    if str(where) in CLASSICAL:
        return classical(str(where), order)
    if is_published(where):
        return read_published(where)
    if Path(where).exists():
        return load_run(where)[2]
    raise UndertowError(f"{str(where)!r} is neither a run directory nor a policy{nearest(str(where), CLASSICAL)}")


def evaluate_run(
    path: Path | str, suites: Sequence[str] | None = None, *, which: str = "best", **overrides: Any
) -> dict[str, Any]:
    """Evaluate a run's policy, and its rivals beside it, on suites.

    **Arguments:** `path`: the run directory or a checkpoint; `suites`: names out of `undertow list suites` (default: the
    first of the run's own, or of the family's); `which` checkpoint; `overrides`: for a scheme as in
    [`suite`][undertow.envs.suites.suite], such as `cells=256`; for a controller `n` states and `steps`.

    **Returns:** by suite, for a learned scheme an [`Evaluation`][undertow.evaluation.results.Evaluation] of the policies
    `learned`, `weno-js` and `weno-z`, for a controller a
    [`ControlEvaluation`][undertow.evaluation.control.ControlEvaluation] of it and of no control.
    """
    _, experiment, policy = load_run(path, which)
    suites = suites if suites else (*experiment.judge.suites, *experiment.judge.known)[:1]
    for name in suites:
        lookup("suite", name, experiment.judge.known)
    return {name: experiment.judge.evaluate(policy, name, **overrides) for name in suites}


def plot_run(path: Path | str, *, which: str = "best") -> list[Path]:
    """Evaluate a run's policy again and draw its figures, into its own `figures` directory. Returns their files."""
    directory, experiment, policy = load_run(path, which)
    judge = experiment.judge
    evaluations = {name: judge.evaluate(policy, name) for name in judge.suites or tuple(judge.known)[:1]}
    # An imported agent has none.
    metrics = directory.read_metrics() if (directory.path / "metrics.csv").exists() else None
    return judge.draw(directory.figures, policy, evaluations, metrics)


# --- agents of the published code -------------------------------------------------------------------------------------


class _Imported(NamedTuple):
    """What a checkpoint holds of a policy that was trained elsewhere: no optimiser, no updates."""

    policy: AbstractPolicy


def import_agent(
    path: Path | str,
    config: SchemeConfig,
    *,
    activation: str = "relu",
    out: Path | str | None = None,
    root: Path | str = "runs",
    command: Sequence[str] | None = None,
) -> RunDirectory:
    """Make a run directory of an agent that the code of arXiv 2203.08937 trained, which serves wherever a run does.

    It is finished after no updates: `evaluate_run`, `plot_run`, `load_policy` and `policy.start` take it. Nothing is
    measured here.

    **Arguments:**

    - `path`: the agent's checkpoint, as [`read_published`][undertow.policies.published.read_published] reads it.
    - `config`: what it is to be evaluated under, and trained further: law, grid, suites. Order and policy are the file's.
    - `activation`: of the hidden layers, which the file does not tell (default `relu`, as published).
    - `out`: the directory, which must not exist yet; None makes `<root>/imported/<time>`.
    - `command`: the command line, to be noted in the directory.

    **Raises:** `UndertowError` for a file that is not such a checkpoint, a configuration that cannot work, or a directory
    that exists.
    """
    require(out is None or not Path(out).exists(), f"{out} exists already and is left as it is; choose another --out")
    policy = read_published(path, activation=activation)
    hidden = tuple(len(bias) for bias in policy.network.biases[:-1])
    order: Any = policy.order  # a known one and a known activation: the policy was made with them
    kind: Any = activation
    config = replace(
        config, grid=replace(config.grid, order=order), policy=PolicyConfig("paired", hidden=hidden, activation=kind)
    )
    build(config)
    directory = RunDirectory.create(out, preset="imported", config=config_to_dict(config), command=command, root=root)
    with directory:
        state = _Imported(cast(policy, config.training.precision))
        about = {"imported": Path(path).name, "update": 0}
        save_checkpoint(directory.last_checkpoint, state, about)
        # The best of one, whatever it is measured by.
        BestCheckpoints(directory.checkpoints, metric="imported", keep=1).offer(0.0, 0, state, about)
        parameters = policy.network.num_parameters
        directory.write_summary({"status": "finished", "reason": None, "updates": 0, "parameters": parameters, **about})
    return directory
