"""The commands `runs`, `diff` and `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from undertow._checks import require
from undertow._fields import Count, Seed
from undertow.cli.parse import parse, require_new, say, show, show_json
from undertow.runs import compare_runs, diff_runs, list_runs
from undertow.runs.compare import Axis
from undertow.runs.groups import Mode, Statistic
from undertow.runs.tables import COLUMNS, comparison_table, pairs_table, run_values, runs_table, write_comparison


@dataclass(frozen=True)
class RunsArguments:
    """Options of `runs`."""

    root: tyro.conf.Positional[Path] = Path("runs")
    """a directory; runs are found at any depth, links are not followed"""
    preset: tuple[str, ...] = ()
    """only runs of these presets"""
    status: tuple[Literal["running", "finished", "interrupted", "failed", "killed"], ...] = ()
    """only runs in these states"""
    where: tuple[str, ...] = ()
    """conditions that all hold, such as gradient=full "optimizer.learning_rate<1e-3": a field of the configuration, of
    summary.json or run.json, or a metric, and =, !=, <, <=, > or >="""
    since: str | None = None
    """only runs that began since then: 2026-01-31, 2026-01-31T14:25, or 30m, 6h, 2d, 1w ago"""
    sort: str = "start"
    """by a column, a field or a metric"""
    reverse: bool = False
    """largest or newest first"""
    limit: Count | None = None
    """so many of them"""
    columns: str | None = None
    """what to show, separated by commas: columns, fields or metrics"""
    json: bool = False
    """print a JSON list"""


def runs(arguments: list[str]) -> int:
    """List the runs in a directory."""
    given = parse(RunsArguments, arguments, "runs", "List the runs in a directory: state, best metric, results.")
    found = list_runs(
        given.root,
        presets=given.preset,
        statuses=given.status,
        where=given.where,
        since=given.since,
        sort=given.sort,
        reverse=given.reverse,
        limit=given.limit,
    )
    columns = None if given.columns is None else [name.strip() for name in given.columns.split(",") if name.strip()]
    if given.json:
        show_json([run.to_dict() for run in found] if columns is None else run_values(found, columns))
    elif found:
        show(runs_table(found, COLUMNS if columns is None else columns))
    else:
        say(f"no runs in {given.root}{' that meet all conditions' if _narrowed(given) else ''}")
    return 0


def _narrowed(given: RunsArguments) -> bool:
    return bool(given.preset or given.status or given.where or given.since)


@dataclass(frozen=True)
class DiffArguments:
    """Options of `diff`."""

    sources: tyro.conf.Positional[tuple[str, ...]]
    """two or more of: a run directory, a configuration file (.json, .toml), a preset"""
    all: bool = False
    """compare machine, command, state and times, too"""
    json: bool = False
    """print JSON"""


def diff(arguments: list[str]) -> int:
    """Show in what configurations differ."""
    given = parse(DiffArguments, arguments, "diff", "Show in what runs, configuration files or presets differ.")
    difference = diff_runs(given.sources, everything=given.all)
    if given.json:
        show_json(difference.to_dict())
        return 0
    if difference.parameters or difference.about:
        show(difference.table())
    show(difference.describe())
    return 0


@dataclass(frozen=True)
class CompareArguments:
    """Options of `compare`."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """run directories, directories that hold some, or patterns of them; those that differ in the seed alone are a group"""
    groups: tuple[str, ...] = ()
    """the groups instead, each as LABEL=RUN; a label may be given several times"""
    by: tuple[str, ...] = ()
    """group by these fields alone, whatever else differs"""
    metric: str | None = None
    """a column of metrics.csv, or a number in summary.json; None: the one that best checkpoints are kept by"""
    mode: Mode = "min"
    """whether less or more of it is better"""
    statistic: Statistic = "median"
    """the middle of a group"""
    x: Axis = "updates"
    """what curves are drawn over"""
    resamples: Count = 2000
    """of the bootstrap"""
    seed: Seed = 0
    """of the bootstrap"""
    out: Path | None = None
    """a new directory for compare.png, compare.csv and compare.json"""
    json: bool = False
    """print JSON"""


def compare(arguments: list[str]) -> int:
    """Show which groups of runs are better; write curves and numbers if asked to."""
    given = parse(
        CompareArguments,
        arguments,
        "compare",
        "Compare groups of runs: learning curves, results, and how sure they are.",
    )
    require_new(given.out)
    require(bool(given.runs) != bool(given.groups), "compare takes runs, or --groups LABEL=RUN ..., and not both")
    comparison = compare_runs(
        given.runs,
        groups=_groups(given.groups) if given.groups else None,
        by=given.by,
        metric=given.metric,
        mode=given.mode,
        axis=given.x,
        statistic=given.statistic,
        resamples=given.resamples,
        seed=given.seed,
    )
    written = [] if given.out is None else write_comparison(comparison, given.out)
    if given.json:
        show_json(comparison.to_dict())
        return 0
    show(comparison_table(comparison))
    if comparison.pairs:
        show(pairs_table(comparison))
    for line in (*comparison.notes, *map(str, written)):
        show(line)
    return 0


def _groups(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for each in given:
        label, equals, place = each.partition("=")
        require(bool(label and equals and place), f"--groups takes LABEL=RUN, such as new=runs/burgers, got {each!r}")
        found.setdefault(label, []).append(place)
    return found
