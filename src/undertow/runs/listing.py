"""Which runs there are. Checkpoints stay closed, so that hundreds of runs take a moment."""

from __future__ import annotations

import glob
import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from undertow._checks import UndertowError, at_home, choice, require, whole_number
from undertow._reader import fits, read_error
from undertow.config.fields import flatten
from undertow.runs.fields import config_fields, is_number, parse_condition, parse_since, unknown
from undertow.store.rundir import RunDirectory, Status

T = TypeVar("T")
_log = logging.getLogger(__name__)

# What `summary.json` says in one number, by the judge that wrote it.
_RESULTS = ("ratio_to_weno5.geometric_mean", "loss", "reached.median")


@dataclass(frozen=True, eq=False)
class RunInfo:
    """A run, as its files tell.

    - `path`; `preset`; `status`: running, finished, interrupted, failed or killed; `reason`: why it failed or stopped.
    - `start`; `seconds`: how long it took, so far if it is running; of a killed one to its last measurement.
    - `updates` done, `total` of its configuration; `seed`; `seeds`, where several were trained side by side.
    - `best_metric`, `best`, `best_update`: the best value of the metric that checkpoints are kept by, and when it was.
    - `suite`, `result`: what the policy was evaluated on at the end, and the number that came out.
    - `config`, `summary`, `about`: all fields of `config.json`, `summary.json` and `run.json`, dotted.
    - `metrics`: the columns of `metrics.csv`, of several seeds the medians; empty if there are none.
    """

    path: Path
    preset: str
    status: str
    reason: str | None
    start: datetime | None
    seconds: float | None
    updates: int | None
    total: int | None
    seed: int | None
    best_metric: str | None
    best: float | None
    best_update: int | None
    suite: str | None
    result: float | None
    config: dict[str, Any]
    summary: dict[str, Any]
    about: dict[str, Any]
    metrics: dict[str, np.ndarray]
    seeds: tuple[int, ...] = ()

    def names(self) -> list[str]:
        """Every name that `value` knows."""
        tables = (self.config, self.summary, self.metrics, self.about)
        return [*OWN, *(name for table in tables for name in table)]

    def value(self, name: str) -> Any:
        """What a name stands for. **Raises:** `KeyError` if this run has nothing of that name.

        In this order: an attribute (one of `OWN`), a field of the configuration, of the summary, a metric (the best value of
        the one kept by, the last of any other), a field of `run.json`. `config.`, `summary.`, `metrics.` or `about.` before
        it says which is meant. Hyphens serve for underscores.
        """
        last = {key: float(column[-1]) for key, column in self.metrics.items() if len(column)}
        if self.best_metric is not None and self.best is not None:
            last[self.best_metric] = self.best
        tables = {"config": self.config, "summary": self.summary, "metrics": last, "about": self.about}
        for each in dict.fromkeys((name, name.replace("-", "_"))):
            if each in OWN:
                return getattr(self, each)
            table, _, rest = each.partition(".")
            if table in tables and rest in tables[table]:
                return tables[table][rest]
            for fields in tables.values():
                if each in fields:
                    return fields[each]
        raise KeyError(name)

    def has(self, name: str) -> bool:
        """Whether `value` knows this name."""
        try:
            self.value(name)
        except KeyError:
            return False
        return True

    def to_dict(self) -> dict[str, Any]:
        """What the list shows, and the configuration, for JSON."""
        best = {"metric": self.best_metric, "value": self.best, "update": self.best_update}
        return {
            **{name: getattr(self, name) for name in ("path", "preset", "status", "reason")},
            "start": None if self.start is None else self.start.isoformat(),
            **{name: getattr(self, name) for name in ("seconds", "updates", "total", "seed", "seeds")},
            "best": None if self.best is None else best,
            "result": None if self.result is None else {"suite": self.suite, "value": self.result},
            "config": self.config,
        }


OWN = (
    "path",
    "preset",
    "status",
    "reason",
    "start",
    "seconds",
    "updates",
    "total",
    "seed",
    "best",
    "best_metric",
    "best_update",
    "suite",
    "result",
)
"""The attributes of `RunInfo` that are one value."""


def list_runs(
    root: Path | str = "runs",
    *,
    presets: Sequence[str] = (),
    statuses: Sequence[str] = (),
    where: Sequence[str] = (),
    since: str | datetime | None = None,
    sort: str = "start",
    reverse: bool = False,
    limit: int | None = None,
) -> list[RunInfo]:
    """The runs in a directory, at any depth; links are not followed. A damaged one is named in a warning and left out.

    **Arguments:**

    - `root`: the directory; a run's own is a list of one.
    - `presets`, `statuses`: some of them; none: all.
    - `where`: conditions that all have to hold, such as `"optimizer.learning_rate<1e-3"`, on whatever
        [`RunInfo.value`][undertow.runs.listing.RunInfo.value] knows. A run without the field is left out.
    - `since`: those that began at that moment or later; text as in [`parse_since`][undertow.runs.fields.parse_since].
    - `sort`: a name as in `where`, smallest or oldest first, `reverse` the other way; runs without it stand last.
    - `limit`: so many of them.

    **Raises:** `UndertowError` for a directory that is not there, an unknown status, a condition that cannot be read, or a
    name that no run has.
    """
    root = at_home(root)
    require(root.is_dir(), f"there is no directory {root}")
    for status in statuses:
        choice("status", status, get_args(Status))
    conditions = [parse_condition(text) for text in where]
    moment = parse_since(since) if isinstance(since, str) else since and since.astimezone()
    if limit is not None:
        limit = whole_number("limit", limit)
    runs = read_all(_walk(root))
    for name in (*(condition.field for condition in conditions), sort):
        check_name(runs, name)
    found = [
        run
        for run in runs
        if (not presets or run.preset in presets)
        and (not statuses or run.status in statuses)
        and (moment is None or (run.start is not None and run.start >= moment))
        and all(run.has(each.field) and each.holds(run.value(each.field)) for each in conditions)
    ]
    return _sorted(found, sort, reverse)[:limit]


def find_runs(places: Iterable[Path | str]) -> list[Path]:
    """The run directories that are meant by places: runs, directories that hold runs at any depth, or patterns of them.

    Each comes once, in the order of the places, and within one by name. **Raises:** `UndertowError` for a place without any.
    """
    found: dict[Path, Path] = {}
    for place in places:
        place = at_home(place)
        matches = [place] if place.exists() else _matching(str(place))
        require(bool(matches), f"there is no run directory {place}")
        runs = [run for match in matches if match.is_dir() for run in _walk(match)]
        require(bool(runs), f"{place} is not a run directory, and there is none in it")
        for run in runs:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def read_all(paths: Iterable[Path], damaged: Callable[[str], None] | None = None) -> list[RunInfo]:
    """Every run that can be read; `damaged` is told of the others (default: a warning of the log)."""
    runs = []
    for path in paths:
        try:
            runs.append(read_run(path))
        except UndertowError as error:
            (damaged or (lambda message: _log.warning("left out: %s", message)))(str(error))
    return runs


def read_run(path: Path | str) -> RunInfo:
    """What the files of a run tell. **Raises:** `UndertowError` if `config.json` or `run.json` is missing or damaged; a damaged
    `summary.json` or `metrics.csv` is a warning of the log."""
    directory = RunDirectory.open(path)
    info, status = directory.info, str(directory.status)
    config = config_fields(directory.config)
    total, seed = config.get("training.updates"), config.get("seed")
    summary: dict[str, Any] = _read(directory.path / "summary.json", directory.read_summary)
    metrics: dict[str, np.ndarray] = _read(directory.path / "metrics.csv", directory.read_metrics)
    at_work = status in ("running", "killed")
    fields = {} if at_work else flatten(summary)  # at work again: a summary is of an earlier session
    best_metric, best, best_update = _best(config.get("evaluation.keep_by"), fields, metrics)
    result = next((fields[name] for name in _RESULTS if is_number(fields.get(name))), None)
    updates = fields.get("updates", metrics["update"][-1] if len(metrics.get("update", ())) else None)
    return RunInfo(
        path=directory.path,
        preset=directory.preset,
        status=status,
        reason=info.get("reason"),
        start=_moment(info.get("start")),
        seconds=_seconds(info, status, metrics),
        updates=None if updates is None else int(updates),
        # Of a configuration of another version nothing is known.
        total=total if fits(total, int) else None,
        seed=seed if fits(seed, int) else None,
        best_metric=best_metric,
        best=best,
        best_update=best_update,
        suite=fields.get("suite", f"{len(directory.seeds)} seeds" if directory.seeds else None),
        result=result,
        config=config,
        summary=fields,
        about=flatten(info),
        metrics=metrics,
        seeds=directory.seeds,
    )


def split_seeds(run: RunInfo) -> list[RunInfo]:
    """A run of several seeds as one run of each, as far as its table tells; any other as it is."""
    if not run.seeds:
        return [run]
    directory = RunDirectory.open(run.path)
    table: dict[str, np.ndarray] = _read(run.path / "metrics.csv", directory.read_seeds)
    lost = run.summary.get("lost", [False] * len(run.seeds))
    return [
        replace(
            run,
            seed=seed,
            seeds=(),
            status="failed" if lost[member] else run.status,
            config={**run.config, "seed": seed},
            summary={},
            metrics={name: column if column.ndim == 1 else column[:, member] for name, column in table.items()},
        )
        for member, seed in enumerate(run.seeds)
    ]


def check_name(runs: Sequence[RunInfo], name: str) -> None:
    """Raise `UndertowError` if there are runs, and none of them has anything of that name."""
    if runs and not any(run.has(name) for run in runs):
        raise unknown("field", name, {each for run in runs for each in run.names()})


def _walk(root: Path) -> list[Path]:
    """Directories that are runs, or were meant to be; what is inside of them is theirs."""
    found = []
    for folder, inner, files in os.walk(root, onerror=lambda error: _log.warning("left out: %s", _unreadable(error))):
        if {"config.json", "run.json"} & {*files, *inner}:
            found.append(Path(folder))
            inner.clear()
        inner[:] = sorted(name for name in inner if not name.startswith("."))
    return found


def _matching(pattern: str) -> list[Path]:
    """What fits a pattern, links only where there is nothing else: `runs/last` is a run that has a name of its own."""
    paths = sorted(map(Path, glob.glob(pattern, recursive=True)))
    return [path for path in paths if not path.is_symlink()] or paths


def _sorted(runs: Sequence[RunInfo], name: str, reverse: bool) -> list[RunInfo]:
    keys: dict[int, Any] = {}
    for place, run in enumerate(runs):
        value = run.value(name) if run.has(name) else None
        if isinstance(value, datetime):
            keys[place] = (0, value.timestamp())
        elif is_number(value) or isinstance(value, bool):
            if not math.isnan(value):
                keys[place] = (0, float(value))
        elif value is not None:
            keys[place] = (1, str(value))
    present = sorted(keys, key=keys.__getitem__, reverse=reverse)
    return [runs[place] for place in (*present, *(place for place in range(len(runs)) if place not in keys))]


def _unreadable(error: OSError) -> UndertowError:
    return read_error(Path(error.filename), error)


def _read(file: Path, read: Callable[[], dict[str, T]]) -> dict[str, T]:
    try:
        return read() if os.path.lexists(file) else {}
    except UndertowError as error:
        _log.warning("%s", error)
        return {}


def _best(
    kept_by: str | None, summary: dict[str, Any], metrics: dict[str, np.ndarray]
) -> tuple[str | None, float | None, int | None]:
    if is_number(summary.get("best.value")):
        return summary["best.metric"], summary["best.value"], summary["best.update"]
    values = metrics.get(kept_by or "", np.empty(0))
    if not np.isfinite(values).any():
        return None, None, None
    place = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))  # less is better, see EvaluationBase
    return kept_by, float(values[place]), int(metrics["update"][place])


def _seconds(info: dict[str, Any], status: str, metrics: dict[str, np.ndarray]) -> float | None:
    if status == "killed":
        measured = metrics.get("seconds", np.empty(0))
        return _duration(measured[-1]) if len(measured) else None
    before = _duration(info.get("seconds"))
    if status != "running":
        return before
    sessions = info.get("resumed") or [info]
    start = _moment(sessions[-1].get("start"))
    if start is None:
        return before
    # A clock that was set back does not make it negative.
    return (before or 0.0) + max((datetime.now(UTC) - start).total_seconds(), 0.0)


def _duration(value: Any) -> float | None:
    """A number of seconds; None for what cannot be one."""
    return float(value) if fits(value, float) and 0 <= float(value) < np.inf else None


def _moment(text: Any) -> datetime | None:
    """A moment with its time zone, UTC where none is said; None for what is none, or none that a clock here can show."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        moment.astimezone()  # in the first and the last year it may fail
        return moment
    except (TypeError, ValueError, OverflowError, OSError):
        return None
