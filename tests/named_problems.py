"""Every named problem with every truth, boundary and objective that a configuration can put together."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import undertow as ut
from undertow._checks import UndertowError
from undertow.assembly import build
from undertow.config import (
    DataConfig,
    EvaluationConfig,
    GridConfig,
    LawConfig,
    ObjectiveConfig,
    PolicyConfig,
    SchemeConfig,
    TrainingConfig,
)
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS
from undertow.laws.gas_cases import GAS_CASES
from undertow.laws.mhd import MHD_CASES
from undertow.laws.planes import PLANE_CASES
from undertow.laws.water_cases import WATER_CASES
from undertow.numerics.boundary import BOUNDARIES

OBJECTIVES = {
    "trajectory": ObjectiveConfig(),
    "log-trajectory": ObjectiveConfig("log-trajectory"),
    "reward": ObjectiveConfig("reward"),
    "reward against the truth": ObjectiveConfig("reward", error="full", against="truth"),
}
NAMES = {
    ("burgers", 1): tuple(BURGERS_CONDITIONS),
    ("advection", 1): tuple(BURGERS_CONDITIONS),
    ("euler", 1): tuple(GAS_CASES),
    ("shallow_water", 1): tuple(WATER_CASES),
    ("mhd", 1): tuple(MHD_CASES),
    ("burgers", 2): tuple(PLANE_CASES),
}
"""The names that a law knows in so many dimensions; those of gases in the plane among them, which are to be refused."""


def configuration(
    law: str,
    dimensions: int,
    name: str,
    truth: str = "exact",
    boundary: str | None = None,
    objective: str = "trajectory",
) -> SchemeConfig:
    """One of them, as small as it may be: two updates on a few cells, of a network of four neurons."""
    return SchemeConfig(
        law=LawConfig(law),
        grid=GridConfig(num_cells=10, steps=2, end_time=1e-4, order=3, integrator="euler", dimensions=dimensions),
        data=DataConfig(conditions=(name,), boundary=boundary, pool=1, truth=truth, refinement=3),
        policy=PolicyConfig(hidden=(4,)),
        objective=OBJECTIVES[objective],
        training=TrainingConfig(updates=2, batch=1, dispatch=2, precision="float64"),
        evaluation=EvaluationConfig(every=2, conditions=(name,), cases=1, keep=1, suites=(), figures=False),
    )


def every() -> Iterator[tuple[str, SchemeConfig]]:
    """All combinations, with a label each."""
    for (law, dimensions), names in NAMES.items():
        for chosen in itertools.product(names, ("exact", "fine"), (None, *BOUNDARIES), OBJECTIVES):
            yield f"{law} {dimensions}D {' '.join(map(str, chosen))}", configuration(law, dimensions, *chosen)


def thinned() -> Iterator[tuple[str, SchemeConfig]]:
    """Every name with both truths, and every boundary and every objective with some name, the objectives in turn."""
    turn = itertools.cycle(OBJECTIVES)
    for (law, dimensions), names in NAMES.items():
        for name, truth in itertools.product(names, ("exact", "fine")):
            objective = next(turn)
            yield (
                f"{law} {dimensions}D {name} {truth} {objective}",
                configuration(law, dimensions, name, truth, None, objective),
            )
        next(turn)
    for boundary, objective, truth in itertools.product(BOUNDARIES, OBJECTIVES, ("exact", "fine")):
        label = f"burgers 1D smooth_sine {truth} {boundary} {objective}"
        yield label, configuration("burgers", 1, "smooth_sine", truth, boundary, objective)


def refusal(config: SchemeConfig) -> str | None:
    """Why a configuration is refused before anything is made, in one line, or None."""
    try:
        build(config)
    except UndertowError as error:
        words = str(error)
        assert words and "\n" not in words
        return words
    return None


def trained(config: SchemeConfig, folder: Path) -> str | None:
    """Train, and return why it was refused, in one line, or None; then two updates were made and their numbers are finite."""
    try:
        run = ut.train(config, out=folder, quiet=True)
    except UndertowError as error:
        words = str(error)
        assert words and "\n" not in words
        return words
    assert run.status == "finished" and run.summary["updates"] == 2, run.error
    assert run.summary["skipped_updates"] == 0 and np.isfinite(run.summary["best"]["value"])
    return None


def longer(config: SchemeConfig, steps: int, end_time: float, num_cells: int) -> SchemeConfig:
    """The same problem over another time."""
    grid = dataclasses.replace(config.grid, steps=steps, end_time=end_time, num_cells=num_cells)
    return dataclasses.replace(config, grid=grid)
