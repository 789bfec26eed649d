"""Trainings by reinforcement learning that are over in a moment: few cells, order 3, few steps."""

from __future__ import annotations

from typing import Any

import undertow as ut
from undertow.config import SchemeConfig
from undertow.config.fields import changed

COARSE = {
    "grid.num_cells": 12,
    "grid.steps": 4,
    "grid.end_time": 0.04,
    "grid.dt": None,
    "grid.order": 3,
    "grid.integrator": "euler",
    "policy.hidden": (6,),
    "training.batch": 2,
    "training.updates": 4,
    "baseline.replay": 2000,
    "baseline.minibatch": 64,
    "evaluation.every": 2,
    "evaluation.cases": 4,
    "evaluation.horizon": 1,
    "evaluation.suites": (),
    "evaluation.figures": False,
}


def tiny(preset: str = "burgers", **fields: Any) -> SchemeConfig:
    """A preset's configuration on a coarse grid, with these fields, dots written as two underscores."""
    given = {name.replace("__", "."): value for name, value in fields.items()}
    plain = {"data.pool": 4} if preset == "burgers" else {}
    config = changed(ut.preset(preset).config, {**COARSE, **plain, **given})
    assert isinstance(config, SchemeConfig)
    return config
