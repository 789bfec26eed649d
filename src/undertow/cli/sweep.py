"""The command `sweep`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from undertow._checks import require
from undertow._fields import Count
from undertow.cli.parse import parse, presets_listed, say, show, show_json
from undertow.config import Config
from undertow.presets import preset
from undertow.sweeps import sweep
from undertow.sweeps.definition import Sampler, Statistic

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class SweepArguments(Generic[C]):
    """Options of `sweep`."""

    config: Annotated[C, tyro.conf.arg(name="")]
    over: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUES ...: gradient=full,stop or policy.hidden=[16,16],[32,32] for a list of values,
    optimizer.learning_rate=1e-4..1e-2:log for a range"""
    seeds: Count = 3
    """trainings of every combination, side by side: seed, seed + 1, ..."""
    workers: Count = 1
    """processes on this machine; others can join with the same command, or with --join"""
    trials: Count | None = None
    """combinations that a search tries; None: 20. A grid has its own number"""
    sampler: Sampler | None = None
    """how combinations are chosen; None: grid for lists, tpe with ranges"""
    metric: str | None = None
    """what is compared at the end of the training, less is better; None: evaluation.keep-by"""
    statistic: Statistic = "median"
    """of the seeds; one that was lost counts as infinity"""
    out: Path | None = None
    """the sweep's directory, which is gone on with if it holds this very sweep; None: runs/sweep/PRESET"""
    storage: str | None = None
    """a database's address, such as postgresql://host/name, instead of a journal in the directory"""
    long: bool = False
    """begin also what certainly takes hours"""
    json: bool = False
    """print the summary as JSON"""
    quiet: bool = False
    """show no progress bar"""


@dataclass(frozen=True)
class DirectoryArguments:
    """Options of `sweep` for a sweep that exists."""

    join: Path | None = None
    """work on the sweep of this directory until it is complete"""
    summary: Path | None = None
    """show how far the sweep of this directory is"""
    workers: Count = 1
    """processes on this machine"""
    storage: str | None = None
    """the database's address again, if it has a password"""
    json: bool = False
    """print the summary as JSON"""
    quiet: bool = False
    """show no progress bar"""


def run(arguments: list[str]) -> int:
    """Train combinations of a preset's fields, several seeds each; show how they compare."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: undertow sweep PRESET --over FIELD=VALUES ... [options]\n"
            "       undertow sweep --join DIRECTORY [--workers N]\n"
            "       undertow sweep --summary DIRECTORY [--json]\n\n"
            "Train every combination of some fields of a preset, or search among them, with several seeds each. It can be\n"
            f"stopped and gone on with at any time, and shared by processes and machines.\n\n{presets_listed()}\n\n"
            "`undertow sweep PRESET --help` shows every option with its default."
        )
        return 0
    name, *rest = arguments
    if name.startswith("-"):
        return _existing(arguments)
    chosen = preset(name)
    kind: Any = SweepArguments
    given = parse(
        kind[type(chosen.config)], rest, f"sweep {name}", f"Sweep over fields of {name}.", kind(chosen.config)
    )
    _share(given.workers)
    result = sweep.sweep(
        given.config,
        [word for words in given.over for word in words],
        preset=name,
        seeds=given.seeds,
        workers=given.workers,
        trials=given.trials,
        sampler=given.sampler,
        metric=given.metric,
        statistic=given.statistic,
        out=given.out,
        storage=given.storage,
        quiet=given.quiet,
        long=given.long,
    )
    return _report(result, given.json)


def _existing(arguments: list[str]) -> int:
    given = parse(DirectoryArguments, arguments, "sweep", "Work on a sweep that exists, or show how far it is.")
    require(
        (given.join is None) != (given.summary is None),
        f"the preset comes first: undertow sweep PRESET {' '.join(arguments)}; or give one of --join and --summary",
    )
    if given.summary is not None:
        result = sweep.summary(given.summary, storage=given.storage)
        _show(result, given.json)
        return 0
    _share(given.workers)
    return _report(sweep.join(given.join, storage=given.storage, workers=given.workers, quiet=given.quiet), given.json)


def _share(workers: int) -> None:
    """Leave a GPU's memory to the workers: this process only looks at configurations."""
    if workers > 1:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _report(result: sweep.SweepResult, as_json: bool) -> int:
    _show(result, as_json)
    if result.signal is not None and not result.finished:
        say("stopped; the same command goes on from here")
    elif not result.finished:
        say("every worker has died; the same command goes on from here")
    return result.exit_code


def _show(result: sweep.SweepResult, as_json: bool) -> None:
    for row in result.summary["trials"]:
        if row["error"]:
            say(f"trial {row['trial']:04d}: {row['error']}")
    if as_json:
        show_json(result.summary)
        return
    show(result.table)
    for path in result.files:
        show(str(path))
