"""Convergence studies find the orders that are there, and tell of policies that do not arrive."""

from __future__ import annotations

import csv

import jax.numpy as jnp
import numpy as np
import pytest

from tests.small import Failing
from undertow._checks import UndertowError
from undertow.evaluation.convergence import convergence, geometric_mean, observed_orders
from undertow.laws.advection import LinearAdvection
from undertow.laws.conditions import SineCondition
from undertow.policies.classical import classical

WAVE = SineCondition(0.0, 1.0, 2 * jnp.pi, boundary="periodic")


def study(policies, cells=(16, 32, 64), **keywords):
    return convergence(policies, WAVE, cells=cells, end_time=0.25, law=LinearAdvection(1.0), **keywords)


def test_orders_of_a_power():
    np.testing.assert_allclose(observed_orders([10, 20, 30], [1.0, 0.5**3, 3.0**-3]), [3, 3])


@pytest.mark.parametrize("order", [3, 5])
def test_linear_weights_show_their_order(order):
    found = study({"linear": classical("linear", order)}, order=order, cfl=0.1)
    for norm in ("l1", "l2", "linf"):
        np.testing.assert_allclose(found.orders("linear", norm), order, atol=0.1)


def test_the_time_step_shows_where_it_is_the_larger_error():
    """Forward Euler is of first order in time, whatever the scheme in space."""
    found = study({"linear": classical("linear")}, cfl=0.2, integrator="euler")
    np.testing.assert_allclose(found.orders("linear")[-1], 1, atol=0.1)


def test_steps_follow_the_courant_number():
    found = study({"linear": classical("linear")}, cfl=0.5)
    assert [grid.steps["linear"] for grid in found.grids] == [8, 16, 32]


def test_errors_are_norms_of_the_difference():
    found = study({"linear": classical("linear")})
    grid = found.grids[1]
    np.testing.assert_allclose(grid.exact, np.sin(2 * np.pi * (grid.x - 0.25)), atol=1e-14)
    difference = grid.values["linear"] - grid.exact
    np.testing.assert_allclose(found.errors("linear", "l2")[1], np.sqrt(np.mean(difference**2)), rtol=1e-13)
    np.testing.assert_allclose(found.errors("linear", "linf")[1], np.abs(difference).max(), rtol=1e-13)


def test_a_policy_that_fails_is_nan_and_does_not_hang(tmp_path):
    found = study({"failing": Failing(0.9), "linear": classical("linear")})
    assert np.isnan(found.errors("failing")).all() and np.isfinite(found.errors("linear")).all()
    found.to_csv(tmp_path / "c.csv")
    found.to_json(tmp_path / "c.json")
    with open(tmp_path / "c.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["l2"] for row in rows[:3]] == ["nan"] * 3
    assert [float(row["l2"]) for row in rows[3:]] == found.errors("linear").tolist()
    assert '"nan"' in (tmp_path / "c.json").read_text()
    assert found.table().row_count == 3


def test_geometric_mean_over_cases():
    one, two = study({"a": classical("linear")}), study({"a": classical("weno-js")})
    expected = np.sqrt(one.errors("a") * two.errors("a"))
    np.testing.assert_allclose(geometric_mean([one, two], "a"), expected, rtol=1e-13)
    with pytest.raises(UndertowError, match="other grids"):
        geometric_mean([one, study({"a": classical("linear")}, cells=(16, 32))], "a")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cells": (64,)}, "at least two rising"),
        ({"cells": (64, 32)}, "at least two rising"),
        ({"cfl": 0.0}, "cfl must be"),
        ({"cfl": 7.0}, "far above 1"),
        ({"integrator": "rk5"}, "unknown integrator"),
        ({"order": 7}, "of order 5, the scheme of order 7"),
    ],
)
def test_bad_input(keywords, message):
    with pytest.raises(UndertowError, match=message):
        study({"linear": classical("linear")}, **keywords)
    with pytest.raises(UndertowError, match="unknown Burgers condition"):
        convergence({"linear": classical("linear")}, "gausian")
