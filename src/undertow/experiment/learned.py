"""Training without files: everything that was learned stays in memory."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from undertow._checks import NonFiniteError, lookup
from undertow._limits import out_of_memory_told
from undertow._own import name_of
from undertow.assembly import Experiment, build, training_needs
from undertow.config import Config, validate_config
from undertow.config.fields import changed
from undertow.core.policy import AbstractPolicy
from undertow.experiment.loop import carry_out, prepare
from undertow.experiment.run import SMALLER
from undertow.experiment.stores import MemoryStore
from undertow.presets import preset
from undertow.progress import Display, StopRequest
from undertow.tasks.task import ControlTask
from undertow.training.fit import Callback, as_callbacks

if TYPE_CHECKING:
    from undertow.report.style import Figures


@dataclass(frozen=True, eq=False, repr=False)
class Learned:
    """What a training found.

    - `policy`: the best one by the metric kept, in default precision; call it with an observation to get an action.
    - `metrics`: by column one number per measurement, NaN where there is none: `update`, `loss`, `seconds` and what the family
        measures. Those of `metrics.csv` in a run directory.
    - `summary`: updates, seconds, parameters, best value; `preset`: the name it goes by.
    - `status`: finished, interrupted (by Ctrl-C or a callback) or failed; `reason`: why not finished; `error`: where it failed.
    - `experiment`: its configuration, task and judge.
    """

    policy: AbstractPolicy
    metrics: dict[str, np.ndarray]
    summary: dict[str, Any]
    preset: str
    status: str
    reason: str | None
    error: NonFiniteError | None
    experiment: Experiment
    _evaluations: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """What was trained."""
        return self.experiment.config

    def evaluate(self, suite: str | None = None, **overrides: Any) -> Any:
        """The policy, and its rivals beside it, on a suite; measured once.

        **Arguments:** `suite`: a name out of `undertow list suites`, default the first of the configuration's own;
        `overrides`: as of [`evaluate_run`][undertow.experiment.existing.evaluate_run].

        **Returns:** an [`Evaluation`][undertow.evaluation.results.Evaluation] of a learned scheme, a
        [`ControlEvaluation`][undertow.evaluation.control.ControlEvaluation] of a controller.

        **Raises:** `UndertowError` for an unknown suite, with the nearest match.
        """
        judge = self.experiment.judge
        name = suite or judge.default
        lookup("suite", name, judge.known)
        if overrides:
            return judge.evaluate(self.policy, name, **overrides)
        if name not in self._evaluations:
            self._evaluations[name] = judge.evaluate(self.policy, name)
        return self._evaluations[name]

    def plot(self) -> Figures:
        """Every figure of a run, by name, on the suites of the configuration, which are evaluated on first.

        **Returns:** a dictionary of figures that a notebook shows. Nothing is written; `figure.savefig(file)` does.
        """
        from undertow.report.style import Figures  # not at the top: it takes long to load

        judge = self.experiment.judge
        evaluations = {name: self.evaluate(name) for name in judge.suites or (judge.default,)}
        return Figures(judge.figures(self.policy, evaluations, self.metrics or None))

    def __repr__(self) -> str:
        best, done = self.summary["best"], self.summary["updates"]
        found = f", best {best['metric']} {best['value']:.4g} after {best['update']}" if best else ""
        return f"Learned({self.preset}: {self.status} after {done} updates{found})"

    def _repr_html_(self) -> str:
        from undertow.report.style import Figures  # not at the top: it takes long to load
        from undertow.report.training import training_figure

        curves = Figures({"training": training_figure(self.metrics)}) if self.metrics else Figures()
        return f"<p>{html.escape(repr(self))}</p>{curves._repr_html_()}"


@out_of_memory_told(SMALLER)
def learn(
    config: Config | ControlTask | str,
    *,
    callbacks: Callback | Sequence[Callback] = (),
    quiet: bool = True,
    long: bool = False,
    **overrides: Any,
) -> Learned:
    """Train as [`train`][undertow.experiment.run.train] does, to the same policy bit for bit, and write nothing.

    Ctrl-C (SIGINT) and SIGTERM end it after the running dispatch, with what was learned by then.

    **Arguments:**

    - `config`: a preset's name, a configuration, for example `preset("burgers").config`, or a control task of one's own
        ([`control_task`][undertow.tasks.own.control_task]).
    - `callbacks`: one or several, called after every dispatch, as in [`fit`][undertow.training.fit.fit]; returning True ends
        the training.
    - `quiet`: False shows the command line's progress bar, on a terminal or in a notebook that has `ipywidgets`.
    - `long`: begin also what certainly takes hours; default False.
    - `overrides`: other values of fields, as in a configuration file: `seed=1, training={"updates": 100}`; or by dotted names,
        `**{"training.updates": 100}`.

    **Returns:** `Learned`. A training that went non-finite does not raise: its `status` is failed, its `error` says where.

    **Raises:** `UndertowError` for an unknown preset or field (with the nearest match), or a configuration that cannot work.
    """
    if isinstance(config, str | ControlTask):
        given, name = preset(config, **overrides).config, config if isinstance(config, str) else name_of(config)
    else:
        given, name = changed(validate_config(config), overrides), "custom"
    training_needs(given).require(long=long)
    experiment = build(given)
    experiment.check()
    store = MemoryStore()
    with StopRequest() as stop, Display(quiet=quiet) as display:
        training = carry_out(prepare(experiment, display), store, stop, display, as_callbacks(callbacks))
    status, reason = training.ending(stop.signal)
    return Learned(
        training.policy, store.metrics(), training.summary(), name, status, reason, training.error, experiment
    )
