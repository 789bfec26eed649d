"""Evaluation against mathematics: a scheme is as good as itself, nothing that fails is hidden, norms are norms."""

from __future__ import annotations

import csv
import json
import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.small import Failing, carried, hand_made
from undertow._checks import UndertowError
from undertow.core.policy import AbstractPolicy
from undertow.evaluation.evaluate import evaluate
from undertow.policies.classical import ClassicalPolicy, classical
from undertow.schemes.weights import FixedWeights


def test_weno_against_itself():
    evaluation = evaluate({"own": classical("weno-js")}, carried())
    own = evaluation.scores["own"]
    assert list(evaluation.scores) == ["own", "weno-js"]
    assert (own.ratio == 1).all() and (own.linf_to_baseline == 0).all()
    assert (own.mass_error <= 1e-12).all()
    summary = evaluation.summary()["own"]
    assert summary["geometric_mean"] == summary["median"] == summary["worst"] == 1
    assert summary["cases"] == 6 and summary["non_finite"] == 0 and summary["mass_error"] <= 1e-12


def test_nothing_moves_without_weights():
    made = carried()
    evaluation = evaluate({"still": classical("stationary")}, made)
    scores, start = evaluation.scores["still"], np.asarray(made.problems.state.u)
    np.testing.assert_array_equal(scores.values, start)
    error = start - made.truth
    np.testing.assert_allclose(scores.l1, np.abs(error).sum(axis=(1, 2)) / 32, rtol=1e-14)
    np.testing.assert_allclose(scores.l2, np.sqrt((error**2).sum(axis=(1, 2)) / 32), rtol=1e-14)
    np.testing.assert_allclose(scores.linf, np.abs(error).max(axis=(1, 2)), rtol=1e-14)
    np.testing.assert_allclose(scores.total_variation, np.abs(np.diff(start[:, 0])).sum(axis=1), rtol=1e-14)
    assert (scores.mass_error == 0).all()
    baseline = evaluation.scores["weno-js"]
    np.testing.assert_allclose(scores.ratio, scores.l1 / baseline.l1, rtol=1e-14)
    np.testing.assert_allclose(scores.l1_to_baseline, np.abs(start - baseline.values).sum(axis=(1, 2)) / 32, rtol=1e-13)


def test_summary_is_what_it_says():
    evaluation = evaluate({"linear": classical("linear")}, carried())
    ratio, summary = evaluation.scores["linear"].ratio, evaluation.summary()["linear"]
    np.testing.assert_allclose(summary["geometric_mean"], math.prod(ratio) ** (1 / 6), rtol=1e-13)
    np.testing.assert_allclose(summary["median"], np.median(ratio))
    assert summary["worst"] == ratio.max() and summary["worst_case"] == evaluation.cases[ratio.argmax()]
    np.testing.assert_allclose(summary["l1"], evaluation.scores["linear"].l1.mean())
    assert summary["seconds"] > 0 and summary["nanoseconds"] > 0


def test_what_is_not_finite_is_told():
    made = carried()
    largest = np.asarray(made.problems.state.u).max(axis=(1, 2))
    limit = float(np.sort(largest)[-2:].mean())  # one case lies above it
    evaluation = evaluate({"failing": Failing(limit), "linear": classical("linear")}, made)
    summary, name = evaluation.summary(), made.cases[int(largest.argmax())]
    failing = summary["failing"]
    assert failing["non_finite"] == 1 and failing["non_finite_cases"] == [name] and failing["worst_case"] == name
    assert all(math.isnan(failing[key]) for key in ("geometric_mean", "median", "worst", "l1", "mass_error"))
    assert failing["cases"] == 6
    assert np.isfinite(evaluation.scores["failing"].ratio).sum() == 5
    assert np.isfinite(summary["linear"]["geometric_mean"]) and summary["linear"]["non_finite"] == 0
    assert f"failing is not finite in: {name}" in evaluation.notes()
    assert "nan" in evaluation.text()


def test_a_scheme_that_blows_up():
    explosive = ClassicalPolicy(FixedWeights(order=5, values=(40.0, -80.0, 41.0)))
    evaluation = evaluate({"explosive": explosive}, carried(end_time=1.0))
    assert evaluation.summary()["explosive"]["non_finite"] == 6
    assert not np.isfinite(evaluation.scores["explosive"].l1).any()


def test_a_baseline_that_fails_is_told():
    summary = evaluate(
        {"failing": Failing(-10.0), "linear": classical("linear")}, carried(), baseline="failing"
    ).summary()
    assert math.isnan(summary["linear"]["geometric_mean"]) and summary["linear"]["worst_case"] == "random 0"
    assert summary["linear"]["non_finite"] == 0 and summary["failing"]["non_finite"] == 6


def test_cases_without_error_are_not_scored():
    made = hand_made()
    evaluation = evaluate({"linear": classical("linear")}, made)
    assert made.scored.tolist() == evaluation.scored.tolist() == [True, False, True]
    ratio = evaluation.scores["linear"].ratio
    assert np.isnan(ratio[1]) and np.isfinite(ratio[[0, 2]]).all()
    assert evaluation.summary()["linear"]["cases"] == 2
    assert any("constant" in note for note in evaluation.notes())
    assert "zero, flat" not in "".join(evaluation.notes())


def test_mass_is_told_of_circles_only():
    evaluation = evaluate({"linear": classical("linear")}, hand_made())
    assert np.isfinite(evaluation.scores["linear"].mass_error).tolist() == [True, False, False]
    assert evaluation.summary()["linear"]["mass_error"] < 1e-15
    open_ends = evaluate({"linear": classical("linear")}, hand_made().subset(["jump"]))
    assert open_ends.summary()["linear"]["mass_error"] is None


def test_tables_and_files(tmp_path):
    evaluation = evaluate({"failing": Failing(-10.0)}, hand_made())
    evaluation.to_csv(tmp_path / "a.csv")
    evaluation.to_json(tmp_path / "a.json")
    with open(tmp_path / "a.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and rows[0]["policy"] == "failing" and rows[0]["l1"] == "nan"
    assert rows[5]["case"] == "jump" and rows[5]["mass_error"] == ""
    own = evaluation.scores["weno-js"]
    assert [float(row["l1"]) for row in rows[3:]] == own.l1.tolist()
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["suite"] == "hand-made" and content["summary"]["failing"]["geometric_mean"] == "nan"
    assert content["summary"]["weno-js"]["geometric_mean"] == 1.0
    assert len(content["cases"]) == 6
    assert "hand-made: 3 cases, 32 cells, 20 steps of SSPRK3 to t = 0.25" in evaluation.text()
    assert evaluation.cases_table("weno-js").row_count == 3
    with pytest.raises(UndertowError, match="unknown policy 'weno'"):
        evaluation.cases_table("weno")


class Traced(AbstractPolicy):
    """Linear weights that count how often they are traced."""

    shift: jnp.ndarray
    count: list = eqx.field(static=True, default_factory=list)
    order: int = eqx.field(static=True, default=5)

    __hash__ = object.__hash__

    def __call__(self, observation, *, key=None):
        self.count.append(1)
        return tuple(w + 0 * self.shift for w in classical("linear")(observation))


def test_one_program_for_every_suite_of_a_resolution():
    """Cases, steps and weights are data: other numbers of them compile nothing."""
    count = _Count()
    evaluate({"a": Traced(jnp.zeros(()), count), "b": Traced(jnp.ones(()), count)}, carried(6))
    first = len(count)
    assert 0 < first <= 12
    evaluate({"c": Traced(jnp.asarray(np.float64(2)), count)}, carried(40))
    evaluate({"c": Traced(jnp.asarray(np.float64(3)), count)}, carried(2, steps=27))
    assert len(count) == first


class _Count(list):
    """A list that is equal to itself only, and may be a static field."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def test_bad_input():
    with pytest.raises(UndertowError, match="at least one policy"):
        evaluate({}, carried())
    with pytest.raises(UndertowError, match="unknown policy 'weno'"):
        evaluate({"linear": classical("linear")}, carried(), baseline="weno")
    with pytest.raises(UndertowError, match="policy 'linear' is of order 7, the scheme of order 5"):
        evaluate({"linear": classical("linear", 7)}, carried())
