"""Groups of runs in numbers: what one group reached, and whether another reached more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from undertow._checks import choice
from undertow.evaluation.statistics import (
    Band,
    bootstrap_interval,
    geometric_mean,
    interquartile_mean,
    mean,
    probability_of_improvement,
    quartiles,
)

Statistic = Literal["median", "iqm", "mean", "geometric-mean"]
Mode = Literal["min", "max"]
ENOUGH = 3
"""Runs of a group from which on intervals are given."""


def middle(values: Float[np.ndarray, "runs ..."], statistic: Statistic = "median") -> Float[np.ndarray, "..."]:
    """The middle of some runs: their median, interquartile mean, mean or geometric mean, over the first axis.

    Values may be infinite: a lost run is worst. The geometric mean is NaN where a value is negative, and a lost run makes it
    infinite, or 0 where more is better.

    **Raises:** `UndertowError` for another statistic.
    """
    choice("statistic", statistic, get_args(Statistic))
    x = np.asarray(values, float)
    if statistic == "median":
        return _quartiles(x).mean
    if statistic == "iqm":
        return interquartile_mean(x)
    if statistic == "mean":
        return mean(x)
    return geometric_mean(np.where(x == -np.inf, 0.0, x))


def spread(values: Float[np.ndarray, "runs ..."], statistic: Statistic = "median") -> Band:
    """The middle of some runs, and their lower and upper quartile."""
    _, low, high = _quartiles(np.asarray(values, float))
    return Band(middle(values, statistic), low, high)


@dataclass(frozen=True)
class GroupSummary:
    """What the runs of a group reached.

    - `runs`: how many; `lost`: those whose value is not finite, which count as the worst; `best`, `worst`: of all.
    - `median`, `lower_quartile`, `upper_quartile`, `mean`, `geometric_mean`, `iqm`: the interquartile mean.
    - `iqm_low`, `iqm_high`: its bootstrap interval at 0.95, stratified over the tasks; None below three runs.
    """

    runs: int
    lost: int
    median: float
    lower_quartile: float
    upper_quartile: float
    mean: float
    geometric_mean: float
    iqm: float
    iqm_low: float | None
    iqm_high: float | None
    best: float
    worst: float


def summarise(
    values: Float[np.ndarray, " runs"],
    tasks: Sequence[int] | None = None,
    *,
    mode: Mode = "min",
    resamples: int = 2000,
    seed: int = 0,
) -> GroupSummary:
    """What the runs of a group reached, from one value per run; `tasks`: which of several tasks each is of."""
    x = np.asarray(values, float)
    x = np.where(np.isfinite(x), x, np.inf if mode == "min" else -np.inf)
    median, low, high = (float(each) for each in spread(x))
    interval: tuple[float | None, float | None] = (None, None)
    if len(x) >= ENOUGH:
        strata = _by_task(x, tasks)
        _, *ends = bootstrap_interval(
            strata, lambda *each: interquartile_mean(np.concatenate(each)), resamples=resamples, seed=seed
        )
        interval = (float(ends[0]), float(ends[1]))
    return GroupSummary(
        runs=len(x),
        lost=int(np.sum(~np.isfinite(x))),
        median=median,
        lower_quartile=low,
        upper_quartile=high,
        mean=float(mean(x)),
        geometric_mean=float(middle(x, "geometric-mean")),
        iqm=float(interquartile_mean(x)),
        iqm_low=interval[0],
        iqm_high=interval[1],
        best=float(x.min() if mode == "min" else x.max()),
        worst=float(x.max() if mode == "min" else x.min()),
    )


@dataclass(frozen=True)
class Pair:
    """Two groups side by side.

    - `first`, `second`: their labels.
    - `probability`: that a run of the first is better than one of the second, with its bootstrap interval at 0.95
        (`probability_low`, `probability_high`).
    - `difference`: of the statistic, first minus second, with its interval (`difference_low`, `difference_high`); NaN where too
        many runs were lost.
    """

    first: str
    second: str
    probability: float
    probability_low: float
    probability_high: float
    difference: float
    difference_low: float
    difference_high: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare_pair(
    labels: tuple[str, str],
    first: Float[np.ndarray, " runs"],
    second: Float[np.ndarray, " others"],
    tasks: tuple[Sequence[Any], Sequence[Any]] | None = None,
    *,
    statistic: Statistic = "median",
    mode: Mode = "min",
    resamples: int = 2000,
    seed: int = 0,
) -> Pair:
    """Two groups side by side, from one value per run.

    The probability is the mean over the tasks, if both groups have the same ones; otherwise all runs of a group are one sample.
    The difference is that of all runs of a group, resampled task by task.

    **Arguments:** `labels`; `first`, `second`, infinite for lost runs; `tasks`: what each run's task is called, in both groups.
    """
    own, other = ([0] * len(first), [0] * len(second)) if tasks is None or set(tasks[0]) != set(tasks[1]) else tasks
    x, y = _by_task(first, own), _by_task(second, other)
    count = len(x)

    def probability(*drawn: np.ndarray) -> np.ndarray:
        each = zip(drawn[:count], drawn[count:], strict=True)
        return np.mean([probability_of_improvement(a, b, mode=mode) for a, b in each], axis=0)

    def difference(*drawn: np.ndarray) -> np.ndarray:
        return middle(np.concatenate(drawn[:count]), statistic) - middle(np.concatenate(drawn[count:]), statistic)

    strata = [*x, *y]
    likely = bootstrap_interval(strata, probability, resamples=resamples, seed=seed)
    apart = bootstrap_interval(strata, difference, resamples=resamples, seed=seed)
    return Pair(*labels, *map(float, likely), *map(float, apart))


def _by_task(values: np.ndarray, tasks: Sequence[Any] | None) -> list[np.ndarray]:
    """The values of every task, the tasks in the order of their names."""
    if tasks is None:
        return [np.asarray(values, float)]
    names = np.array([str(task) for task in tasks])
    return [np.asarray(values, float)[names == name] for name in np.unique(names)]


def _quartiles(x: np.ndarray) -> Band:
    """Median and quartiles; minus infinity is worst where more is better."""
    if np.isneginf(x).any():
        middle, low, high = quartiles(-x)
        return Band(-middle, -high, -low)
    return quartiles(x)
