"""A run as a page: made once, or served while the run goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from undertow._checks import UndertowError, lookup, require
from undertow._io import atomic_write_text, require_free
from undertow._limits import out_of_memory_told
from undertow._own import NotAllowedError
from undertow._tree import take
from undertow.assembly import Experiment
from undertow.core.flow import FLOWS
from undertow.core.policy import AbstractPolicy
from undertow.experiment.existing import load_run
from undertow.instruments.health import flow_cosines, step_gradients
from undertow.runs.fields import config_fields, shown
from undertow.store.checkpoint import SUFFIX, read_metadata
from undertow.store.rundir import RunDirectory

if TYPE_CHECKING:
    from undertow.report.html import Section

_log = logging.getLogger(__name__)
_MEASURED = 8
"""Problems whose gradients are measured: each is unrolled once forward and, for every flow, once back."""
FILE = "report.html"

Stage = Callable[[str], object]


@out_of_memory_told("a suite of fewer cases or cells")
def report_run(
    path: Path | str,
    out: Path | str | None = None,
    *,
    which: str = "best",
    suites: Sequence[str] | None = None,
    on_stage: Stage | None = None,
) -> Path:
    """Write a run's report: one HTML file that needs no network and nothing beside it.

    Results on suites, learning curves, the solution (or the controlled system) in motion beside the classical scheme and the
    truth (or no control), the weights that are chosen, errors over all cases, gradients by step and flow, configuration and
    versions.

    **Arguments:** `path`: the run directory, of any status; `out`: a new file (default: `report.html` in the run directory,
    made anew each time); `which` checkpoint; `suites` to evaluate on (default: the run's own); `on_stage`: called with a word
    about what is done next.

    **Returns:** the file. **Raises:** `UndertowError` if `out` exists, or there is no such run, checkpoint or suite.
    """
    directory = RunDirectory.open(path)
    if out is None:
        target = directory.path / FILE
    else:
        target = require_free(out)
        require(target.suffix in (".html", ".htm"), f"a report ends in .html, got {target.name!r}")
        require(target.parent.is_dir(), f"there is no directory {target.parent} to write {target.name} into")
    for name, read in (("summary.json", directory.read_summary), ("metrics.csv", directory.read_metrics)):
        if os.path.lexists(directory.path / name):
            try:
                read()
            except UndertowError as error:
                _log.warning("the report goes without it: %s", error)
    atomic_write_text(target, Report(path, which=which, suites=suites, on_stage=on_stage).html())
    return target


class Report:
    """The sections of a run's page. Those that take long, of its policy, are made when asked for and kept.

    **Arguments:** as of [`report_run`][undertow.experiment.reporting.report_run].
    """

    def __init__(
        self,
        path: Path | str,
        *,
        which: str = "best",
        suites: Sequence[str] | None = None,
        on_stage: Stage | None = None,
    ):
        self.path = RunDirectory.open(path).path
        self.which, self.suites = which, suites
        self._say: Stage = on_stage or (lambda _: None)
        self._long: list[Section] | None = None

    def html(self, live: dict[str, Any] | None = None) -> str:
        """The page, as it is now."""
        from undertow.report.html import render_page  # not at the top: it takes long to load

        directory = RunDirectory.open(self.path)
        evaluated = self.policy_sections(directory)
        self._say("writing")
        title = f"{directory.preset}: {directory.path.resolve().name}"
        return render_page(
            title, "a run of undertow", self._ordered(directory, evaluated), status=self.status(), live=live
        )

    def status(self) -> str:
        """How the run goes, in one line."""
        from undertow.report.html.run_facts import status_line

        directory = RunDirectory.open(self.path)
        summary = None
        with contextlib.suppress(UndertowError):  # not written before the end
            summary = directory.read_summary()
        return status_line(directory.info, directory.status, summary)

    def _ordered(self, directory: RunDirectory, evaluated: list[Section]) -> list[Section]:
        from undertow.report.html.run_facts import provenance_section

        first, others = evaluated[:1], evaluated[1:]
        fields = {name: shown(value) for name, value in config_fields(directory.config).items()}
        return [*first, self.training(), *others, provenance_section(directory.info, fields)]

    def training(self) -> Section:
        """The curves, from `metrics.csv` as it is now."""
        from undertow.report.html.run_facts import training_section

        directory = RunDirectory.open(self.path)
        metrics: dict[str, np.ndarray] | None = None
        with contextlib.suppress(UndertowError):  # ended before its first evaluation, or an imported agent
            metrics = directory.read_metrics()
        section, seeds = training_section(metrics), len(directory.seeds)
        return dataclasses.replace(section, note=f"Medians of {seeds} seeds.") if seeds and metrics else section

    def policy_sections(self, directory: RunDirectory | None = None) -> list[Section]:
        """What takes long: evaluations, motion and gradients of the checkpoint's policy. A run without a checkpoint has none."""
        from undertow.report.html import Section

        if self._long is None:
            directory = RunDirectory.open(self.path) if directory is None else directory
            try:
                directory.checkpoint(self.which)
            except UndertowError as error:
                if any(directory.checkpoints.glob(f"*{SUFFIX}")):
                    raise
                # Nothing to keep: there may be one the next time.
                return [Section("results", "Results", note=str(error))]
            try:
                found = load_run(self.path, self.which)
            except NotAllowedError as error:  # what is not of the policy needs no code
                return [Section("results", "Results", note=str(error))]
            self._long = self._make(*found)
        return self._long

    def forget(self) -> None:
        """Make everything of the policy anew the next time."""
        self._long = None

    def _make(self, directory: RunDirectory, experiment: Experiment, policy: AbstractPolicy) -> list[Section]:
        judge, begun = experiment.judge, time.perf_counter()
        names = self.suites or judge.suites or tuple(judge.known)[:1]
        for name in names:
            lookup("suite", name, judge.known)
        evaluations = {}
        for name in names:
            self._say(f"evaluating on {name}")
            evaluations[name] = judge.evaluate(policy, name)
        self._say("simulating")
        sections = judge.sections(policy, evaluations)
        self._say("measuring gradients")
        sections.append(_gradients(experiment, policy))
        file = directory.checkpoint(self.which)
        _log.info("report of %s: %.1f s", file, time.perf_counter() - begun)
        about = read_metadata(file)
        seed = f", of its seeds {about['seeds'][about['member']]}" if "member" in about else ""
        note = f"Of the checkpoint {file.stem}{seed}."
        return [dataclasses.replace(sections[0], note=note), *sections[1:]]


def _gradients(experiment: Experiment, policy: AbstractPolicy) -> Section:
    from undertow.report.html.run_facts import health_section

    problems = experiment.make_sets()["test"]
    count = min(_MEASURED, len(jax.tree.leaves(problems.state)[0]))
    some = take(problems, np.arange(count))
    note = f"At this policy, over {count} test problems, for the four flows of the gradient through the unroll."
    try:
        steps = step_gradients(experiment.task, policy, some, FLOWS)
        cosines = flow_cosines(experiment.task, policy, some)
    except UndertowError as error:  # a policy without parameters, say
        return health_section(None, None, str(error))
    return health_section(steps, cosines, note)
