"""Bands over seeds, against numbers from tables of Student's distribution and against definitions."""

from __future__ import annotations

import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.evaluation.statistics import band, quartiles, student_quantile


@pytest.mark.parametrize(
    ("level", "freedom", "value"), [(0.95, 1, 12.7062), (0.95, 5, 2.5706), (0.99, 10, 3.1693), (0.95, 10**6, 1.95997)]
)
def test_student(level, freedom, value):
    assert student_quantile(level, freedom) == pytest.approx(value, abs=1e-4)


def test_kinds():
    x = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    assert [part.tolist() for part in band(x)] == [[3, 30], [1, 10], [6, 60]]
    spread = np.sqrt(7)
    np.testing.assert_allclose(band(x, "sigma", amount=2)[1:], [[3 - 2 * spread], [3 + 2 * spread]] * np.array([1, 10]))
    half = student_quantile(0.95, 2) * spread / np.sqrt(3)
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
