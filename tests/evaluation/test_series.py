"""Series in time begin without error, keep the mass of a circle, and end where an evaluation ends."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tests.small import carried, hand_made
from undertow._checks import UndertowError
from undertow.evaluation.evaluate import evaluate
from undertow.evaluation.series import series
from undertow.policies.classical import classical

POLICIES = {"linear": classical("linear"), "weno-js": classical("weno-js")}


def test_begins_without_error_and_ends_like_an_evaluation():
    found, whole = series(POLICIES, carried()), evaluate(POLICIES, carried())
    assert found.times[0] == 0 and found.times[-1] == pytest.approx(0.1)
    for name in POLICIES:
        for norm in ("l1", "l2", "linf"):
            values = found.quantity(norm, name)
            assert (values[:, 0] == 0).all()
            np.testing.assert_allclose(values[:, -1], getattr(whole.scores[name], norm), rtol=1e-11)
        np.testing.assert_allclose(found.quantity("total_variation", name)[:, -1], whole.scores[name].total_variation)


def test_a_circle_keeps_its_mass_and_the_truth_its_variation():
    found = series(POLICIES, hand_made(), cases=["wave"], every=5)
    assert np.abs(found.quantity("mass_change", "linear")).max() < 1e-14
    np.testing.assert_allclose(found.quantity("l2"), 0)
    # Sampled at other places of the wave after other times: the variation differs by the curvature at its tops.
    np.testing.assert_allclose(found.quantity("total_variation"), 4.0, rtol=0.07)


def test_what_leaves_is_missing():
    """The jump from 1 to 0 at 0.8 moves at speed 1: the inflow of 1 adds what has come in, until the jump has left."""
    found = series({"weno-js": POLICIES["weno-js"]}, hand_made(), cases=["jump"], every=4)
    expected = np.minimum(found.times, 0.2)
    np.testing.assert_allclose(found.quantity("mass_change", "weno-js")[0, 1:], expected[1:], atol=1 / 32)
    np.testing.assert_allclose(found.quantity("mass_change")[0], expected, atol=1 / 32)


def test_means():
    found = series(POLICIES, carried(), every=10)
    values = found.quantity("l1", "linear")
    np.testing.assert_allclose(found.mean("l1", "linear"), values.mean(axis=0))
    expected = np.prod(values[:, 1:], axis=0) ** (1 / 6)
    np.testing.assert_allclose(found.mean("l1", "linear", geometric=True)[1:], expected, rtol=1e-12)
    assert found.mean("l1", "linear", geometric=True)[0] == 0


def test_file(tmp_path):
    found = series({"linear": POLICIES["linear"]}, hand_made(), every=10)
    found.to_csv(tmp_path / "s.csv")
    with open(tmp_path / "s.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 3 and {row["policy"] for row in rows} == {"linear", "exact"}
    assert [float(row["l2"]) for row in rows[:3]] == found.quantity("l2", "linear")[0].tolist()


def test_bad_input():
    with pytest.raises(UndertowError, match="every must divide the 20 steps"):
        series(POLICIES, hand_made(), every=3)
    with pytest.raises(UndertowError, match="no case 'waves'; did you mean 'wave'"):
        series(POLICIES, hand_made(), cases=["waves"])
    with pytest.raises(UndertowError, match="a quantity is one of"):
        series(POLICIES, hand_made(), every=20).quantity("l3")
    with pytest.raises(UndertowError, match="at least one policy"):
        series({}, hand_made())
