"""Figures of controllers and of studies show the medians and quartiles of what they are given."""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from tests.report.pictures import named
from undertow._checks import UndertowError
from undertow.report import control, study

KEPT = np.arange(24.0).reshape(4, 3, 2)
"""States of four trajectories at three times."""


def test_costs_are_medians_with_the_middle_half():
    moving = {"learned": SimpleNamespace(states=KEPT), "nothing": SimpleNamespace(states=2 * KEPT)}
    evaluation = SimpleNamespace(trajectories=moving, suite="test")
    (axis,) = control.cost_over_time(evaluation, cost=lambda state: jnp.sum(state)).axes
    costs = KEPT.sum(axis=2)
    lines = named(axis)
    assert list(lines) == ["learned", "nothing"]
    np.testing.assert_array_equal(lines["learned"], np.stack([np.arange(3), np.median(costs, axis=0)], axis=1))
    np.testing.assert_array_equal(lines["nothing"][:, 1], 2 * lines["learned"][:, 1])
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    low, high = np.quantile(costs, [0.25, 0.75], axis=0)
    assert (band.min(), band.max()) == (low.min(), high.max())
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "cost")
    assert axis.get_title() == "cost of the state, test: median and middle half"


@pytest.fixture
def results():
    seeds = np.array([[9.0, 3.0, 1.0], [8.0, 2.0, 0.5], [10.0, 4.0, 2.0]]).T
    cell = {"epochs": [0, 5, 10], "clip": "norm", "test_loss": seeds.tolist(), "cosine": (seeds / 10).tolist()}
    return {
        "cells": {
            "a": {**cell, "panel": "one pole", "line": "regular"},
            "b": {**cell, "panel": "one pole", "line": "combined", "clip": "none"},
            "c": {**cell, "panel": "two poles", "line": "regular"},
        }
    }


def test_a_study_has_a_panel_per_setting_and_a_line_per_flow(results, monkeypatch, tmp_path):
    kept = {}
    monkeypatch.setattr(study.style, "save", lambda fig, path: kept.setdefault(path.name, fig) and path)
    assert [path.name for path in study.draw_study(results, tmp_path / "out")] == ["test_loss.png", "cosine.png"]
    one, two = kept["test_loss.png"].axes
    assert [axis.get_title() for axis in (one, two)] == ["one pole", "two poles"]
    assert (one.get_ylabel(), one.get_yscale(), one.get_xlabel()) == ("test loss", "log", "epoch")
    np.testing.assert_array_equal(named(one)["regular"], [[0, 9], [5, 3], [10, 1]])
    assert list(named(one)) == ["regular", "combined, clip none"] and list(named(two)) == ["regular"]
    assert [line.get_linestyle() for line in one.lines] == ["-", ":"]
    assert one.lines[0].get_color() == study.COLOURS["regular"]
    cosine = kept["cosine.png"].axes[0]
    assert (cosine.get_ylabel(), cosine.get_yscale()) == ("cosine of the two gradients", "linear")
    with pytest.raises(UndertowError, match="nothing was measured of 'zeroed'"):
        study.study_figure(results, tmp_path / "a.png", quantity="zeroed")
