"""Groups of runs in numbers."""

from __future__ import annotations

import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.runs.groups import compare_pair, middle, spread, summarise

INF = np.inf


def test_middles():
    x = np.array([1.0, 2.0, 4.0, 8.0, 1e6])
    assert middle(x, "median") == 4
    assert middle(x, "iqm") == pytest.approx((0.75 * 2 + 4 + 0.75 * 8) / 2.5)
    assert middle(x[:4], "mean") == 3.75
    assert middle(x[:3], "geometric-mean") == pytest.approx(2)
    assert np.isnan(middle(-x, "geometric-mean"))
    with pytest.raises(UndertowError, match="unknown statistic 'media'; did you mean 'median'"):
        middle(x, "media")


def test_lost_runs_are_worst_whichever_way():
    """One of five lost: the median and quartiles move towards it, and stay finite; what takes all values is infinite."""
    x = np.array([1.0, 2.0, 3.0, 4.0, INF])
    less, more = summarise(x), summarise(np.where(x == INF, -INF, -x), mode="max")
    assert (less.median, less.lower_quartile, less.upper_quartile, less.lost, less.worst) == (3, 2, 4, 1, INF)
    assert (more.median, more.lower_quartile, more.upper_quartile, more.lost, more.worst) == (-3, -4, -2, 1, -INF)
    assert less.mean == INF and more.mean == -INF and less.iqm == -more.iqm
    assert summarise(np.array([1.0, np.nan, 3.0])).worst == INF  # not a number is lost, too
    assert middle(np.array([2.0, -INF]), "geometric-mean") == 0
    lost_twice = np.where(x == INF, -INF, -x)[:, None] * np.array([1.0, 2.0])
    np.testing.assert_array_equal(spread(lost_twice), [[-3, -6], [-4, -8], [-2, -4]])


def test_intervals_need_runs():
    assert summarise(np.array([1.0, 2.0])).iqm_low is None
    found = summarise(np.array([1.0, 2.0, 3.0]))
    assert found.iqm_low == 1 and found.iqm_high == 3 and found.iqm == 2


def test_intervals_are_stratified_over_tasks():
    """Three equal runs of each of two tasks leave nothing to chance."""
    found = summarise(np.array([1.0, 1, 1, 5, 5, 5]), [0, 0, 0, 1, 1, 1])
    assert found.iqm_low == found.iqm == found.iqm_high == 3


def test_a_clear_pair_and_an_even_one(rng):
    x = rng.normal(size=12)
    clear = compare_pair(("a", "b"), x, x + 100)
    assert (clear.probability, clear.probability_low, clear.probability_high) == (1, 1, 1)
    assert clear.difference == pytest.approx(-100) and clear.difference_low < -100 < clear.difference_high < -95
    even = compare_pair(("a", "b"), x, x, mode="max", statistic="mean")
    assert even.probability == 0.5 and even.probability_low < 0.5 < even.probability_high
    assert even.difference == 0 and even.difference_low < 0 < even.difference_high


def test_a_pair_over_the_same_tasks():
    """On either task the first is better; together its runs on the harder one are worse than the other's on the easier."""
    first, second, tasks = np.array([1.0, 1, 10, 10]), np.array([2.0, 2, 20, 20]), ["easy", "easy", "hard", "hard"]
    assert compare_pair(("a", "b"), first, second, (tasks, tasks)).probability == 1
    assert compare_pair(("a", "b"), first, second).probability == 0.75
    assert compare_pair(("a", "b"), first, second, (tasks, ["easy"] * 4)).probability == 0.75


def test_pairs_with_lost_runs():
    lost = np.array([1.0, INF, INF, INF])
    found = compare_pair(("a", "b"), np.array([2.0, 2, 2, 2]), lost)
    assert found.probability == 0.75 and found.difference == -INF
    both = compare_pair(("a", "b"), lost, lost)
    assert both.probability == 0.5 and np.isnan(both.difference)
