"""Which runs are better: groups of seeds, their curves, and what their number allows to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from undertow._checks import UndertowError, check_seed, choice, require, whole_number
from undertow.runs.curves import Bundle, Curve, bundle
from undertow.runs.fields import is_number, unknown
from undertow.runs.grouping import RunGroup, group_runs, make_group
from undertow.runs.groups import (
    ENOUGH,
    GroupSummary,
    Mode,
    Pair,
    Statistic,
    compare_pair,
    middle,
    spread,
    summarise,
)
from undertow.runs.listing import RunInfo, find_runs, read_all, split_seeds

Axis = Literal["updates", "seconds"]
MOST_PAIRED = 6
"""Groups up to which every pair is compared; of more, each with the best."""
_COLUMNS = {"updates": "update", "seconds": "seconds"}
_CAREFUL = 10  # runs below which a bootstrap interval is clearly too narrow
_ENDINGS: dict[str, Literal["holds", "open", "lost"]] = {"finished": "holds", "failed": "lost"}


@dataclass(frozen=True, eq=False)
class ComparedGroup:
    """A group of runs, with the metric of each.

    - `group`; `curves`: the metric of its runs over updates or seconds; None for one that was measured once, at the end.
    - `final`: what each run reached, infinite if it was lost; `summary` of that.
    """

    group: RunGroup
    curves: Bundle | None
    final: np.ndarray
    summary: GroupSummary

    @property
    def label(self) -> str:
        """What the group is called."""
        return self.group.label


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Groups of runs side by side.

    - `metric`; `mode`: "min" if less of it is better; `axis`: updates or seconds; `statistic`: the middle of a group.
    - `groups`; `pairs`: of groups with at least three runs; `notes`: what a reader has to know, one line each.
    """

    metric: str
    mode: Mode
    axis: Axis
    statistic: Statistic
    groups: tuple[ComparedGroup, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: settings, the summary of every group and the value of every run, pairs, notes."""
        return {
            "metric": self.metric,
            "mode": self.mode,
            "axis": self.axis,
            "statistic": self.statistic,
            "groups": [
                {
                    "label": each.label,
                    "fields": each.group.fields,
                    "seeds": each.group.seeds,
                    **asdict(each.summary),
                    "at": None if each.curves is None else each.curves.x[-1],
                    "members": [
                        {"path": run.path, "seed": run.seed, "status": run.status, "value": value}
                        for run, value in zip(each.group.runs, each.final, strict=True)
                    ],
                }
                for each in self.groups
            ],
            "pairs": [pair.to_dict() for pair in self.pairs],
            "notes": self.notes,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per group and point of its curve: the statistic over the runs, their quartiles, how many are lost."""
        rows = []
        for each in self.groups:
            values = each.final[:, None] if each.curves is None else each.curves.values
            x = [None] if each.curves is None else each.curves.x
            band = spread(values, self.statistic)
            for place, point in enumerate(x):
                rows.append(
                    {
                        "group": each.label,
                        self.axis: int(point) if self.axis == "updates" and point is not None else point,
                        "runs": len(values),
                        "lost": int(np.sum(~np.isfinite(values[:, place]))),
                        self.statistic: float(band.mean[place]),
                        "lower_quartile": float(band.low[place]),
                        "upper_quartile": float(band.high[place]),
                    }
                )
        return rows


def compare_runs(
    runs: Sequence[Path | str] = (),
    *,
    groups: Mapping[str, Sequence[Path | str]] | None = None,
    by: Sequence[str] = (),
    metric: str | None = None,
    mode: Mode = "min",
    axis: Axis = "updates",
    statistic: Statistic = "median",
    resamples: int = 2000,
    seed: int = 0,
) -> RunComparison:
    """Groups of runs side by side: learning curves, what was reached at their end, and which group is better.

    A run that failed, or whose metric is not finite, is lost: it counts as the worst, in every number. One that is not over
    (running, interrupted, killed) ends the curves of its group where it is. Damaged runs, and those that have not measured
    anything, are left out. All of this is said in the notes.

    **Arguments:**

    - `runs`: run directories, directories that hold some, or patterns of them. Runs that differ in nothing but the seed are a
        group, and so are the seeds of one run.
    - `groups`: the groups instead, by label, each given as `runs` are. `by`: group by these configuration fields alone.
    - `metric`: a column of `metrics.csv`, or a number in `summary.json` (dotted; `summary.` before it where both have the name).
        None: the one that the runs keep their best checkpoints by.
    - `mode`: "min" if less is better; `axis`: updates or seconds; `statistic`: median, iqm, mean or geometric-mean.
    - `resamples`, `seed`: of the bootstrap.

    **Raises:** `UndertowError` for places without runs, a metric that none has, several metrics to choose from, a field that no
    run has, or a geometric mean of negative values.

    **Source:** Agarwal et al. (2021), arXiv 2108.13264.
    """
    for kind, name, choices in (("mode", mode, Mode), ("axis", axis, Axis), ("statistic", statistic, Statistic)):
        choice(kind, name, get_args(choices))
    resamples, seed = whole_number("resamples", resamples), check_seed(seed)
    require(bool(runs) != bool(groups), "give either runs or groups of them")
    require(not (groups and by), "groups are given already; leave by out")
    notes: list[str] = []
    sets = {"": runs} if groups is None else groups
    read = {
        label: [
            one
            for run in read_all(find_runs(places), lambda said: notes.append(f"left out: {said}"))
            for one in split_seeds(run)
        ]
        for label, places in sets.items()
    }
    every = [run for each in read.values() for run in each]
    require(bool(every), "none of the runs can be read: " + "; ".join(notes))
    metric = _kept_by(every) if metric is None else metric
    reader = _Reader(every, metric, axis)
    usable = {label: reader.usable(each, notes) for label, each in read.items()}
    require(any(usable.values()), f"no run has a value of {metric!r} yet: " + "; ".join(notes))
    given = [make_group(label, each) for label, each in usable.items() if each and groups is not None]
    chosen = given or group_runs(usable[""], by)
    compared = []
    for group in chosen:
        curves, final = reader.read(group, mode)
        compared.append(
            ComparedGroup(
                group, curves, final, summarise(final, group.tasks, mode=mode, resamples=resamples, seed=seed)
            )
        )
    for each in compared:
        values = each.final if each.curves is None else each.curves.values
        require(
            statistic != "geometric-mean" or not np.any(values[np.isfinite(values)] < 0),
            f"{metric} has negative values, which have no geometric mean; take --statistic iqm or median",
        )
    pairs = _pairs(compared, statistic, mode, notes, resamples=resamples, seed=seed)
    notes += _remarks(compared, axis)
    return RunComparison(metric, mode, axis, statistic, tuple(compared), pairs, tuple(notes))


class _Reader:
    """Where a metric stands: in the columns of `metrics.csv`, or in the summary."""

    def __init__(self, runs: Sequence[RunInfo], metric: str, axis: Axis):
        self.metric, self.x = metric, _COLUMNS[axis]
        self.column = any(metric in run.metrics for run in runs)
        self.name = metric.removeprefix("summary.")
        if not self.column and not any(is_number(run.summary.get(self.name)) for run in runs):
            known = {name for run in runs for name in run.metrics}
            raise unknown("metric", metric, known | {name for run in runs for name in run.summary})

    def usable(self, runs: Sequence[RunInfo], notes: list[str]) -> list[RunInfo]:
        """Those that have a value, and those that were lost; of the others a note."""
        found = []
        for run in runs:
            # A table that is finished and holds NaN alone is a loss, not a measurement to come.
            over = run.status == "finished" and self.column and len(run.metrics.get(self.metric, ())) > 0
            if run.status == "failed" or over or self._has(run):
                found.append(run)
            else:
                notes.append(f"left out: {run.path} is {run.status} and has no value of {self.metric!r} yet")
        return found

    def read(self, group: RunGroup, mode: Mode) -> tuple[Bundle | None, np.ndarray]:
        """The curves of a group, and what each of its runs reached."""
        worst = np.inf if mode == "min" else -np.inf
        if not self.column:
            return None, np.array([self._value(run, worst) for run in group.runs])
        if not any(self._has(run) for run in group.runs):
            return None, np.full(len(group.runs), worst)
        curves = bundle([self._curve(run) for run in group.runs], mode=mode)
        return curves, curves.final

    def _has(self, run: RunInfo) -> bool:
        if self.column:
            return not np.isnan(run.metrics.get(self.metric, np.empty(0))).all()
        return is_number(run.summary.get(self.name))

    def _curve(self, run: RunInfo) -> Curve:
        empty = np.empty(0)
        ending = _ENDINGS.get(run.status, "open")
        return Curve(run.metrics.get(self.x, empty), run.metrics.get(self.metric, empty), ending)

    def _value(self, run: RunInfo, worst: float) -> float:
        value = run.summary.get(self.name)
        if run.status == "failed" or not is_number(value) or not np.isfinite(value):
            return worst
        return float(value)


def _kept_by(runs: Sequence[RunInfo]) -> str:
    names = sorted({str(run.config.get("evaluation.keep_by")) for run in runs})
    if len(names) > 1:
        raise UndertowError(f"the runs keep their best by {' and '.join(names)}; choose one with --metric")
    return names[0]


def _pairs(
    groups: Sequence[ComparedGroup], statistic: Statistic, mode: Mode, notes: list[str], *, resamples: int, seed: int
) -> tuple[Pair, ...]:
    sign = 1 if mode == "min" else -1
    able = sorted(
        (each for each in groups if each.summary.runs >= ENOUGH),
        key=lambda each: sign * float(middle(each.final, statistic)),
    )
    chosen = list(combinations(able, 2))  # the better one first
    if len(able) > MOST_PAIRED:
        chosen = [(able[0], each) for each in able[1:]]
        notes.append(f"many groups: each is compared with {able[0].label}, the best by its {statistic}")
    return tuple(
        compare_pair(
            (one.label, other.label),
            one.final,
            other.final,
            (_tasks(one), _tasks(other)),
            statistic=statistic,
            mode=mode,
            resamples=resamples,
            seed=seed,
        )
        for one, other in chosen
    )


def _tasks(each: ComparedGroup) -> list[str]:
    """What the task of every run is called: the same in all groups that were trained on the same ones."""
    return [str([run.config.get(name) for name in each.group.mixed]) for run in each.group.runs]


def _remarks(groups: Sequence[ComparedGroup], axis: Axis) -> list[str]:
    said = []
    for each in groups:
        group, label = each.group, each.label
        lost = [str(run.path) for run, value in zip(group.runs, each.final, strict=True) if not np.isfinite(value)]
        if lost:
            share = f"{len(lost)} of {len(group.runs)} runs {'was' if len(lost) == 1 else 'were'} lost"
            said.append(f"{label}: {share} and count{'s' if len(lost) == 1 else ''} as the worst: {', '.join(lost)}")
        if each.curves is not None and each.curves.ended is not None:
            said.append(
                f"{label}: up to {each.curves.ended:g} {axis}, where the first of its runs ends that is not over"
            )
        if group.mixed:
            count = len(set(group.tasks))
            said.append(f"{label}: its runs differ in {', '.join(group.mixed)}, too: {count} tasks, values as they are")
        if group.seeds < len(group.runs):
            said.append(
                f"{label}: {len(group.runs)} runs, but {group.seeds} different seeds; equal ones are not independent"
            )
    curves = {each.label: each.curves for each in groups if each.curves is not None}
    if any(each.interpolated for each in curves.values()):
        said.append(f"runs were measured at different {axis}: every value holds until the next one")
    ends = {label: float(each.x[-1]) for label, each in curves.items()}
    if len(set(ends.values())) > 1 and axis == "updates":
        first, last = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
        said.append(f"groups end at different updates: {first} at {ends[first]:g}, {last} at {ends[last]:g}")
    few = [each.label for each in groups if each.summary.runs < ENOUGH]
    if few:
        named = "all groups" if len(few) == len(groups) else ", ".join(few)
        said.append(f"fewer than {ENOUGH} runs, no intervals: {named}")
    if any(ENOUGH <= each.summary.runs < _CAREFUL for each in groups):
        said.append(f"bootstrap intervals (95 %) of fewer than {_CAREFUL} runs are too narrow")
    return said
