"""What a trained policy is measured by, whichever family it is of; and the judge of learned schemes."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undertow.config import SchemeConfig
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.envs.suites import SUITES, suite
from undertow.evaluation.evaluate import Evaluation, evaluate
from undertow.evaluation.statistics import written
from undertow.laws.law import AbstractConservationLaw
from undertow.policies.classical import classical
from undertow.schemes.splitting import SPEEDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from undertow.report.html import Section

LEARNED = "learned"
BASELINE = "weno-js"
RIVALS = (BASELINE, "weno-z")
"""Who a learned scheme is shown beside."""


class AbstractJudge(abc.ABC):
    """Evaluates policies on named suites, and says it in numbers, tables and figures.

    `suites`: the names of those to be evaluated on at the end of a training, the most telling one first; `known`: all there
    are, with a word about each.
    """

    suites: tuple[str, ...]
    known: Mapping[str, str]

    @property
    def default(self) -> str:
        """The suite to evaluate on where none is named: the first of `suites`, or of all."""
        return (*self.suites, *self.known)[0]

    @abc.abstractmethod
    def evaluate(self, policy: AbstractPolicy, suite_name: str, **overrides: Any) -> Any:
        """The evaluation of a policy (default precision) on one suite."""

    @abc.abstractmethod
    def summarise(self, evaluations: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluations by suite in few numbers, for `summary.json`."""

    @abc.abstractmethod
    def table(self, evaluations: Mapping[str, Any]) -> Table:
        """Evaluations by suite as one table for the terminal."""

    @abc.abstractmethod
    def figures(
        self,
        policy: AbstractPolicy,
        evaluations: Mapping[str, Any],
        metrics: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[tuple[str, Figure]]:
        """Names and figures of a run, each drawn when it is asked for.

        **Arguments:** the `policy` evaluated; `evaluations` by suite, at least one; `metrics`: the columns of `metrics.csv`.
        """

    @abc.abstractmethod
    def draw(
        self,
        folder: Path,
        policy: AbstractPolicy,
        evaluations: Mapping[str, Any],
        metrics: Mapping[str, np.ndarray] | None = None,
    ) -> list[Path]:
        """Draw every figure of a run into a folder, and what moves; returns their files. Arguments as of `figures`."""

    @abc.abstractmethod
    def sections(self, policy: AbstractPolicy, evaluations: Mapping[str, Any]) -> list[Section]:
        """What the page of a run shows of a policy, evaluated on suites."""


class SchemeJudge(AbstractJudge):
    """Learned schemes beside the classical ones, under the law, order and splitting of their configuration."""

    def __init__(self, config: SchemeConfig, law: AbstractConservationLaw):
        self.suites = config.evaluation.suites
        self.known = {name: getattr(each, "summary", "") for name, each in SUITES.items()}
        self._own: dict[str, Any] = {"law": law, "order": config.grid.order, "speed": SPEEDS[config.grid.speed]}
        if law.num_components > 1:
            self._own |= {"reconstruction": config.grid.reconstruction, "positivity": config.grid.positivity}

    def make_suite(self, name: str, **overrides: Any) -> Suite:
        """The suite called `name`; `overrides` as in [`suite`][undertow.envs.suites.suite]."""
        return suite(name, **{**self._own, **overrides})

    def contestants(self, policy: AbstractPolicy) -> dict[str, AbstractPolicy]:
        """The policy and its rivals, by name."""
        order: Any = self._own["order"]
        return {LEARNED: policy, **{name: classical(name, order) for name in RIVALS}}

    def evaluate(self, policy: AbstractPolicy, suite_name: str, **overrides: Any) -> Evaluation:
        return evaluate(self.contestants(policy), self.make_suite(suite_name, **overrides), baseline=BASELINE)

    def summarise(self, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
        """`ratio_to_weno5` is the first suite's, `transfers` the others', `rivals` the same for classical schemes."""
        if not evaluations:
            return {}
        tables = {name: evaluation.summary() for name, evaluation in evaluations.items()}
        first, *others = tables
        return {
            "suite": first,
            "ratio_to_weno5": tables[first][LEARNED],
            "transfers": {name: tables[name][LEARNED] for name in others},
            "rivals": {rival: {name: table[rival] for name, table in tables.items()} for rival in RIVALS},
        }

    def table(
        self, evaluations: Mapping[str, Evaluation], policies: Sequence[str] = (LEARNED, "weno-z", BASELINE)
    ) -> Table:
        """L1 error over WENO-JS's: a row per suite, and per policy geometric mean, median and worst case."""
        from rich.table import Table  # not at the top: `import undertow` need not draw

        table = Table(
            title=f"L1 error over that of {BASELINE}: geometric mean, median, worst case", title_justify="left"
        )
        table.add_column("suite", no_wrap=True)
        table.add_column("cases", justify="right", no_wrap=True)
        for policy in policies:
            table.add_column(policy, justify="right", no_wrap=True)
        for name, evaluation in evaluations.items():
            rows = evaluation.summary()
            cells = []
            for policy in policies:
                values = [rows[policy][key] for key in ("geometric_mean", "median", "worst")]
                # The baseline over itself is 1, which need not be said three times.
                same = policy == BASELINE and set(values) == {1.0}
                cells.append("1" if same else " ".join(map(written, values)))
            table.add_row(name, str(rows[policies[0]]["cases"]), *cells)
        return table

    def figures(
        self,
        policy: AbstractPolicy,
        evaluations: Mapping[str, Evaluation],
        metrics: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[tuple[str, Figure]]:
        # Not at the top: they take long to load.
        from undertow.report.field_run import field_figures
        from undertow.report.figures import run_figures

        first, *others = evaluations
        transfers = {name: evaluations[name] for name in others}
        shown, policies = evaluations[first], self.contestants(policy)
        scheme = shown.suite.problems.environment.scheme
        if scheme.law.num_components > 1 or scheme.grid.num_axes > 1:
            return field_figures(shown, policies, metrics, transfers=transfers)
        return run_figures(shown, policies, shown.suite, metrics, transfers=transfers)

    def draw(
        self,
        folder: Path,
        policy: AbstractPolicy,
        evaluations: Mapping[str, Evaluation],
        metrics: Mapping[str, np.ndarray] | None = None,
    ) -> list[Path]:
        from undertow.report.figures import save_figures  # not at the top: it takes long to load

        return save_figures(folder, self.figures(policy, evaluations, metrics))

    def sections(self, policy: AbstractPolicy, evaluations: Mapping[str, Evaluation]) -> list[Section]:
        from undertow.report.html.scheme_pages import scheme_sections  # not at the top: it takes long to load

        return scheme_sections(evaluations, self.contestants(policy))
