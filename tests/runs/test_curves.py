"""Curves on one axis: step functions, ranges in common, runs that were lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertow._checks import UndertowError
from undertow.runs.curves import MOST_POINTS, Curve, bundle

NAN, INF = np.nan, np.inf


def curve(x, y, ending="holds") -> Curve:
    return Curve(np.array(x, float), np.array(y, float), ending)


def test_equal_points_stay_as_they_are():
    found = bundle([curve([0, 1, 2], [3, 2, 1]), curve([0, 1, 2], [6, 5, 4])])
    np.testing.assert_array_equal(found.x, [0, 1, 2])
    np.testing.assert_array_equal(found.values, [[3, 2, 1], [6, 5, 4]])
    assert not found.interpolated and found.ended is None
    np.testing.assert_array_equal(found.final, [1, 4])


def test_a_value_holds_until_the_next_one():
    found = bundle([curve([0, 2], [5, 3]), curve([1, 4], [10, 7])])
    np.testing.assert_array_equal(found.x, [1, 2, 4])  # from where both have one
    np.testing.assert_array_equal(found.values, [[5, 3, 3], [10, 10, 7]])
    assert found.interpolated


def test_a_run_that_is_not_over_ends_the_range():
    """Where it will go is not known; where a finished one stays is."""
    long, short = curve([0, 1, 2, 3], [4, 3, 2, 1]), [[0, 1], [8, 7]]
    found = bundle([long, curve(*short, "open")])
    np.testing.assert_array_equal(found.values, [[4, 3], [8, 7]])
    assert found.ended == 1 and not found.interpolated
    found = bundle([long, curve(*short, "holds")])
    np.testing.assert_array_equal(found.values, [[4, 3, 2, 1], [8, 7, 7, 7]])
    assert found.ended is None


@pytest.mark.parametrize(("mode", "worst"), [("min", INF), ("max", -INF)])
def test_a_lost_run_is_worst_from_there_on(mode, worst):
    whole = curve([0, 1, 2, 3], [4, 3, 2, 1])
    found = bundle(
        [whole, curve([0, 1], [8, 7], "lost"), curve([], [], "lost"), curve([0, 1, 2, 3], [NAN, 5, NAN, 6])], mode=mode
    )
    np.testing.assert_array_equal(found.x, [1, 2, 3])
    np.testing.assert_array_equal(
        found.values, [[3, 2, 1], [7, worst, worst], [worst] * 3, [5, worst, 6]]
    )  # not measured yet is not lost


def test_a_lost_run_ends_lost_wherever_the_range_ends():
    found = bundle([curve([0, 1], [4, 3], "open"), curve([0, 1, 2], [4, 3, 2], "lost")])
    np.testing.assert_array_equal(found.final, [3, INF])
    np.testing.assert_array_equal(bundle([curve([0, 1], [4, 3], "lost")]).final, [INF])


def test_what_has_nothing_in_common():
    with pytest.raises(UndertowError, match="no run has measured anything"):
        bundle([curve([], [], "lost"), curve([0, 1], [NAN, NAN])])
    with pytest.raises(UndertowError, match="no range in common: one ends at 1, another begins at 5"):
        bundle([curve([0, 1], [1, 1], "open"), curve([5, 6], [1, 1])])


def test_long_curves_are_thinned_and_keep_their_ends():
    x = np.arange(5000.0)
    found = bundle([Curve(x, x**2), Curve(x + 0.5, x)])
    assert len(found.x) <= MOST_POINTS
    assert (found.x[0], found.x[-1]) == (0.5, 4999.5)
    np.testing.assert_array_equal(found.values[0], np.floor(found.x) ** 2)


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True), min_size=1, max_size=4))
def test_the_order_of_runs_is_theirs(xs):
    curves = [curve(sorted(x), np.sqrt(sorted(x))) for x in xs]
    forward, backward = bundle(curves), bundle(curves[::-1])
    np.testing.assert_array_equal(forward.values, backward.values[::-1])
    np.testing.assert_array_equal(forward.final, [each.y[-1] for each in curves])
