"""Lists and comparisons of runs for the terminal, and comparisons as files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undertow._checks import UndertowError, at_home, drawing
from undertow._io import atomic_write_text, new_folder, to_json
from undertow.runs.compare import RunComparison
from undertow.runs.fields import shown
from undertow.runs.listing import RunInfo, check_name

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("path", "preset", "status", "start", "seconds", "updates", "best", "seed", "result")
"""What a list of runs shows."""


def runs_table(runs: Sequence[RunInfo], columns: Sequence[str] = COLUMNS) -> Table:
    """A row per run; `columns`: names that [`RunInfo.value`][undertow.runs.listing.RunInfo.value] knows.

    **Raises:** `UndertowError` for a name that no run has.
    """
    from rich.table import Table  # not at the top: `import undertow` need not draw

    for name in columns:
        check_name(runs, name)
    table = Table()
    for name in columns:
        right = name in ("seconds", "updates", "seed")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "path", overflow="fold")
    for run in runs:
        table.add_row(*(_cell(run, name) for name in columns))
    return table


def run_values(runs: Sequence[RunInfo], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The same as dictionaries, for JSON: numbers as they are, moments in ISO 8601, None where a run has nothing of the name.

    **Raises:** `UndertowError` for a name that no run has.
    """
    for name in columns:
        check_name(runs, name)
    return [{name: _plain(_value(run, name)) for name in columns} for run in runs]


def comparison_table(comparison: RunComparison) -> Table:
    """A row per group: how many runs, how many were lost, what they reached."""
    from rich.table import Table

    table = Table(title=f"{comparison.metric} at the end, over the runs of a group", title_justify="left")
    table.add_column("group")
    for head in ("runs", "lost", "median", "quartiles", "IQM", "95 %", "geo. mean"):
        table.add_column(head, justify="right", no_wrap=True)
    for each in comparison.groups:
        row = each.summary
        interval = "-" if row.iqm_low is None or row.iqm_high is None else _range(row.iqm_low, row.iqm_high)
        mean = "-" if math.isnan(row.geometric_mean) else f"{row.geometric_mean:.4g}"
        table.add_row(
            each.label,
            str(row.runs),
            str(row.lost),
            f"{row.median:.4g}",
            _range(row.lower_quartile, row.upper_quartile),
            f"{row.iqm:.4g}",
            interval,
            mean,
        )
    return table


def pairs_table(comparison: RunComparison) -> Table:
    """A row per pair of groups: how often a run of the first is better, and by how much their statistics differ."""
    from rich.table import Table

    table = Table(
        title="A run of the first group is better than one of the second with probability P", title_justify="left"
    )
    table.add_column("first")
    table.add_column("second")
    for head in ("P", "95 %", f"difference of {comparison.statistic}", "95 %"):
        table.add_column(head, justify="right", no_wrap=True)
    for pair in comparison.pairs:
        apart = "-" if math.isnan(pair.difference) else f"{pair.difference:.4g}"
        ends = (pair.difference_low, pair.difference_high)
        table.add_row(
            pair.first,
            pair.second,
            f"{pair.probability:.2f}",
            f"{pair.probability_low:.2f} to {pair.probability_high:.2f}",
            apart,
            "-" if any(map(math.isnan, ends)) else _range(*ends),
        )
    return table


def write_comparison(comparison: RunComparison, folder: Path | str) -> list[Path]:
    """Write `compare.png`, `compare.csv` and `compare.json` into a new directory. Returns their paths.

    **Raises:** `UndertowError` if the directory exists or cannot be written; or, with the other two written, if the picture
    cannot be drawn.
    """
    folder = at_home(folder)
    figure, failed = folder / "compare.png", None
    with new_folder(folder) as draft:
        rows = comparison.rows()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_text(draft / "compare.csv", text.getvalue())
        atomic_write_text(draft / "compare.json", to_json(comparison.to_dict()) + "\n")
        try:
            with drawing(figure):
                from undertow.runs.figure import comparison_figure  # not at the top: it takes long to load

                comparison_figure(
                    {each.label: each.curves for each in comparison.groups},
                    {each.label: each.final for each in comparison.groups},
                    draft / figure.name,
                    metric=comparison.metric,
                    axis=comparison.axis,
                    statistic=comparison.statistic,
                )
        except UndertowError as error:  # told below: the numbers are kept
            failed = error
    if failed is not None:
        raise failed
    return [folder / f"compare.{ending}" for ending in ("png", "csv", "json")]


def _cell(run: RunInfo, name: str) -> str:
    if name == "updates" and run.updates is not None and run.total is not None and run.updates != run.total:
        return f"{run.updates}/{run.total}"
    if name == "best" and run.best is not None:
        return f"{run.best_metric} {run.best:.4g}"
    if name == "result" and run.result is not None:
        return f"{run.suite} {run.result:.4g}"
    value = _value(run, name)
    if value is None:
        return "-"
    if name == "seconds":
        return duration(value)
    return f"{value.astimezone():%Y-%m-%d %H:%M}" if isinstance(value, datetime) else shown(value)


def _value(run: RunInfo, name: str) -> Any:
    return run.value(name) if run.has(name) else None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def duration(seconds: float) -> str:
    """A time for people: 7 s, 4:05 min, 2:30 h, 3 d 4 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    if whole < 86400:
        return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _range(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}"
