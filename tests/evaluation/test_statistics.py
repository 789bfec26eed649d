"""Statistics over seeds, against numbers from tables, definitions, and their own promises over many draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from undertow._checks import UndertowError
from undertow.evaluation.statistics import (
    band,
    bootstrap_interval,
    finite_mean,
    geometric_mean,
    interquartile_mean,
    mean,
    probability_of_improvement,
    quartiles,
)


@pytest.mark.parametrize(
    ("level", "freedom", "value"), [(0.95, 1, 12.7062), (0.95, 5, 2.5706), (0.99, 10, 3.1693), (0.95, 10**6, 1.95997)]
)
def test_a_confidence_band_is_students(level, freedom, value):
    x = np.arange(freedom + 1.0)
    high = band(x, "confidence", amount=level).high
    assert (high - x.mean()) / (x.std(ddof=1) / np.sqrt(len(x))) == pytest.approx(value, abs=1e-4)


@given(
    value=st.floats(1e-300, 1e300) | st.sampled_from([0.1, 0.7, 1 / 3, 1e20]),
    count=st.integers(2, 12),
)
def test_of_equal_numbers_every_mean_is_that_number(value, count):
    """No rounding puts a mean outside the values, a deviation above 0, or a band's end on the wrong side of its mean."""
    x = np.full((count, 2), value)
    for statistic in (mean, finite_mean, geometric_mean, interquartile_mean):
        np.testing.assert_array_equal(statistic(x), value)
    for kind in ("range", "confidence", "sigma", "percentile"):
        centre, low, high = band(x, kind)
        assert (low == value).all() and (centre == value).all() and (high == value).all()
        centre, low, high = band(x, kind, geometric=True)
        assert (low == centre).all() and (centre == high).all()
    estimate, low, high = bootstrap_interval([x[:, 0]], interquartile_mean, resamples=20)
    assert estimate == low == high == value


@given(arrays(float, (5, 3), elements=st.floats(allow_nan=False)))
@example(np.full((5, 3), 3.6e307))
def test_means_lie_among_their_values(x):
    found = mean(x)
    inside = (x.min(axis=0) <= found) & (found <= x.max(axis=0))
    both = np.isposinf(x).any(axis=0) & np.isneginf(x).any(axis=0)
    assert (inside | both).all() and np.isnan(found[both]).all()


def test_means_of_the_largest_numbers():
    x = np.array([[1.7e308], [1.0e308], [1.2e308]])
    for found in (mean(x), finite_mean(np.vstack([x, [[np.nan]]]))):
        assert found == pytest.approx(1.3e308)


def test_kinds():
    x = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    assert [part.tolist() for part in band(x)] == [[3, 30], [1, 10], [6, 60]]
    spread = np.sqrt(7)
    np.testing.assert_allclose(band(x, "sigma", amount=2)[1:], [[3 - 2 * spread], [3 + 2 * spread]] * np.array([1, 10]))
    half = 4.302652730 * spread / np.sqrt(3)  # of 2 degrees of freedom
    np.testing.assert_allclose(band(x, "confidence").high, [3 + half, 30 + 10 * half])
    np.testing.assert_allclose(band(x, "percentile", amount=0.5).low, [1.5, 15])


def test_a_confidence_band_covers_the_mean_as_often_as_it_says(rng):
    draws = rng.normal(2.0, 3.0, (5, 4000))
    found = band(draws, "confidence", amount=0.9)
    assert np.mean((found.low <= 2) & (found.high >= 2)) == pytest.approx(0.9, abs=0.02)


def test_geometric():
    found = band(np.array([1.0, 4.0, 16.0]), geometric=True)
    np.testing.assert_allclose(found, [4, 1, 16])
    assert band(np.array([2.0])).mean == 2


def test_bad_input():
    for keywords, message in (
        ({"kind": "minmax"}, "kind must be one of"),
        ({"kind": "sigma"}, "at least two seeds"),
        ({"kind": "confidence", "amount": 95}, "between 0 and 1"),
    ):
        with pytest.raises(UndertowError, match=message):
            band(np.ones((1, 3)), **keywords)
    with pytest.raises(UndertowError, match="at least one seed"):
        band(np.ones((0, 3)))


def test_quartiles_and_lost_seeds():
    middle, low, high = quartiles(np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 7.0], [4.0, np.inf]]))
    np.testing.assert_allclose([low[0], middle[0], high[0]], [1.75, 2.5, 3.25])
    # Two of four seeds are lost: the better half is finite, the worse is not.
    assert np.isfinite(low[1]) and high[1] == np.inf
    lost = quartiles(np.full(3, np.nan))
    assert lost.mean == lost.low == lost.high == np.inf


def values(low: int = 1, high: int = 30):
    return arrays(float, st.integers(low, high), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize(
    ("sample", "mean"),
    [
        ([7.0], 7.0),
        ([1.0, 3.0], 2.0),
        ([0.0, 1.0, 5.0], (0.25 * 0 + 1 + 0.25 * 5) / 1.5),
        ([-100.0, 2.0, 4.0, 1000.0], 3.0),
        ([0.0, 1.0, 2.0, 3.0, 1e9], (0.75 * 1 + 2 + 0.75 * 3) / 2.5),
        (range(8), (2 + 3 + 4 + 5) / 4),
    ],
)
def test_interquartile_mean_by_hand(sample, mean, rng):
    x = rng.permutation(np.array(sample, float))
    assert interquartile_mean(x) == pytest.approx(mean)
    np.testing.assert_allclose(interquartile_mean(np.stack([x, -x], axis=1)), [mean, -mean])


@given(values())
def test_interquartile_mean_is_that_of_four_copies(x):
    """Four copies of a sample have the same quantiles, and their middle half is whole values."""
    four = np.sort(np.tile(x, 4))
    middle = four[len(x) : 3 * len(x)]
    assert interquartile_mean(x) == pytest.approx(middle.mean(), abs=1e-6)


@given(values(), st.floats(-100, 100), st.floats(0.01, 100))
def test_interquartile_mean_follows_shift_and_scale(x, shift, scale):
    assert interquartile_mean(scale * x + shift) == pytest.approx(scale * interquartile_mean(x) + shift, abs=1e-5)
    assert x.min() - 1e-6 <= interquartile_mean(x) <= x.max() + 1e-6


def test_interquartile_mean_of_lost_runs():
    """Up to a quarter of them it is finite."""
    assert interquartile_mean(np.array([1, 2, 3, np.inf])) == 2.5
    assert interquartile_mean(np.array([1, 2, np.inf, np.inf])) == np.inf
    with pytest.raises(UndertowError, match="lost run as infinite"):
        interquartile_mean(np.array([1, np.nan]))
    with pytest.raises(UndertowError, match="at least one value"):
        interquartile_mean(np.array([]))


def test_probability_of_improvement_by_hand():
    assert probability_of_improvement(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.875
    assert probability_of_improvement(np.array([1.0, 2.0]), np.array([2.0, 3.0]), mode="max") == 0.125
    assert probability_of_improvement(np.array([1.0, np.inf]), np.array([5.0, np.inf])) == (1 + 1 + 0 + 0.5) / 4
    with pytest.raises(UndertowError, match="mode must be"):
        probability_of_improvement(np.ones(1), np.ones(1), mode="less")


@given(values(), values())
def test_probability_of_improvement_knows_order_only(x, y):
    p = probability_of_improvement(x, y)
    assert p + probability_of_improvement(y, x) == pytest.approx(1)
    assert p == pytest.approx(probability_of_improvement(-x, -y, mode="max"))
    assert p == pytest.approx(probability_of_improvement(np.cbrt(x), np.cbrt(y)))
    assert probability_of_improvement(x, x) == pytest.approx(0.5)


def test_probability_of_improvement_between_normal_samples(rng):
    """Of N(0, 1) and N(1, 1): that of N(-1, 2) being negative."""
    p = probability_of_improvement(rng.normal(0, 1, 2000), rng.normal(1, 1, 2000))
    assert p == pytest.approx(0.5 * (1 + math.erf(1 / 2)), abs=0.02)


def test_bootstrap_covers_as_often_as_it_says(rng):
    """Of the mean of 40 normal values, whose percentile interval at 0.9 is that of a normal one, but for 1/40."""
    draws = rng.normal(3.0, 2.0, (400, 40))
    found = [
        bootstrap_interval([x], lambda x: x.mean(axis=0), level=0.9, resamples=600, seed=k) for k, x in enumerate(draws)
    ]
    inside = np.mean([low <= 3 <= high for _, low, high in found])
    assert inside == pytest.approx(0.9, abs=0.045)  # three standard errors of 400 draws
    assert [estimate for estimate, _, _ in found] == pytest.approx(draws.mean(axis=1))


def test_bootstrap_draws_every_stratum_by_itself():
    """Two tasks of one value each leave nothing to chance; as one sample they do."""
    strata = [np.full(5, 1.0), np.full(5, 3.0)]

    def mean(*tasks: np.ndarray) -> np.ndarray:
        return np.concatenate(tasks).mean(axis=0)

    assert bootstrap_interval(strata, mean) == (2, 2, 2)
    _, low, high = bootstrap_interval([np.concatenate(strata)], mean)
    assert low < 2 < high


def test_bootstrap_is_repeatable_and_takes_lost_runs(rng):
    x = np.append(rng.normal(size=9), np.inf)
    one, again = (bootstrap_interval([x], interquartile_mean, seed=4) for _ in range(2))
    assert one == again != bootstrap_interval([x], interquartile_mean, seed=5)
    assert np.isfinite(one.mean) and one.low < one.mean < one.high
    assert bootstrap_interval([np.full(4, np.inf)], interquartile_mean) == (np.inf, np.inf, np.inf)
    for keywords, message in (
        ({"level": 95}, "between 0 and 1"),
        ({"resamples": 0}, "resamples must be a whole number above 0"),
    ):
        with pytest.raises(UndertowError, match=message):
            bootstrap_interval([x], interquartile_mean, **keywords)
    for strata in ([], [x, np.array([])]):
        with pytest.raises(UndertowError, match="at least one"):
            bootstrap_interval(strata, interquartile_mean)
