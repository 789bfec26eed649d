"""The same policies in other settings: more cells, shorter steps, other integrators, longer horizons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from undertow._checks import lookup, require
from undertow.core.policy import AbstractPolicy
from undertow.envs.suites import SUITES, suite
from undertow.evaluation.evaluate import evaluate
from undertow.evaluation.results import Evaluation
from undertow.evaluation.statistics import written

if TYPE_CHECKING:
    from rich.table import Table

TRANSFERS = (
    "held-out",
    "held-out-2x-cells",
    "held-out-4x-cells",
    "held-out-half-steps",
    "held-out-rk4",
    "held-out-euler",
    "held-out-2x-time",
)
"""The suites that a transfer looks at: the training's own setting, then one thing changed at a time."""


def transfer(
    policies: Mapping[str, AbstractPolicy], names: Sequence[str] = TRANSFERS, *, baseline: str = "weno-js", **overrides
) -> dict[str, Evaluation]:
    """Evaluate policies on several suites.

    **Arguments:** `policies` by name; `names` of suites; `baseline` as in `evaluate`; `overrides` for every suite (`n`,
    `order`, ...).

    **Returns:** evaluations by suite. **Raises:** as [`suite`][undertow.envs.suites.suite] and `evaluate` do.
    """
    for name in names:
        lookup("suite", name, SUITES)
    return {name: evaluate(policies, suite(name, **overrides), baseline=baseline) for name in names}


def transfer_table(evaluations: Mapping[str, Evaluation], policy: str) -> Table:
    """One policy's ratios on every suite, as a table for the terminal."""
    from rich.table import Table

    require(len(evaluations) > 0, "a transfer table needs at least one evaluation, got none")
    table = Table(title=f"{policy}: L1 error over that of {next(iter(evaluations.values())).baseline}")
    table.add_column("suite")
    for head in ("cells", "steps", "end time", "geo. mean", "median", "worst", "cases", "NaN"):
        table.add_column(head, justify="right")
    for name, evaluation in evaluations.items():
        row = lookup("policy", policy, evaluation.summary())
        how = evaluation.suite.discretised
        ratios = (written(row[key]) for key in ("geometric_mean", "median", "worst"))
        setting = (str(how.num_cells), str(how.steps), f"{how.end_time:g}")
        table.add_row(name, *setting, *ratios, str(row["cases"]), str(row["non_finite"]))
    return table
