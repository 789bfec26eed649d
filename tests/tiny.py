"""A training that takes a second: few cells, few steps, low order, a fine-grid truth, no suites."""

from __future__ import annotations

from typing import Any

from undertow.config import (
    DataConfig,
    EvaluationConfig,
    GridConfig,
    PolicyConfig,
    SchemeConfig,
    TrainingConfig,
)
from undertow.training.optimizer import OptimizerConfig

FLAGS = """
    --grid.num-cells 16 --grid.steps 4 --grid.end-time 0.04 --grid.order 3 --grid.integrator euler
    --data.pool 8 --data.truth fine --data.refinement 3 --policy.hidden 4
    --training.updates 4 --training.batch 2 --training.dispatch 2 --training.precision float64
    --evaluation.every 2 --evaluation.cases 4 --evaluation.keep 2 --evaluation.suites --evaluation.no-figures
"""
"""The same as `tiny`, for the command line."""


def tiny(**changes: Any) -> SchemeConfig:
    """The configuration, with some of its parts replaced."""
    parts: dict[str, Any] = {
        "grid": GridConfig(num_cells=16, steps=4, end_time=0.04, order=3, integrator="euler"),
        "data": DataConfig(pool=8, truth="fine", refinement=3),
        "policy": PolicyConfig(hidden=(4,)),
        "optimizer": OptimizerConfig("adam", learning_rate=1e-2),
        "training": TrainingConfig(updates=4, batch=2, dispatch=2),
        "evaluation": EvaluationConfig(every=2, cases=4, keep=2, suites=(), figures=False),
    }
    return SchemeConfig(**{**parts, **changes})
