"""The command `simulate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from undertow import experiment
from undertow._checks import UndertowError, lookup, require
from undertow.cli.parse import parse, show
from undertow.cli.runs import Integrator
from undertow.config import LawConfig
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.numerics.boundary import BOUNDARIES
from undertow.simulate import simulate


@dataclass(frozen=True)
class SimulateArguments:
    """Options of `simulate`."""

    case: tyro.conf.Positional[str]
    """an initial condition (`undertow list conditions`)"""
    policy: str = "weno-js"
    """who chooses the weights: a name (`undertow list policies`), a run directory or a checkpoint"""
    params: tuple[str, ...] = ()
    """parameters of the condition, such as A=1.5 k=4"""
    law: LawConfig = dataclasses.field(default_factory=LawConfig)
    cells: int = 128
    """number of cells"""
    end_time: float = 0.1
    """time simulated"""
    cfl: float | None = None
    """Courant number of time steps that follow the wave speed; 0.5 where neither dt nor steps is given"""
    dt: float | None = None
    """length of a fixed time step"""
    steps: int | None = None
    """number of fixed time steps"""
    integrator: Integrator = "ssp_rk3"
    """in time"""
    order: int | None = None
    """formal order of the scheme; None: the policy's, or 5"""
    speed: Literal["global", "local", "smooth"] = "global"
    """wave speed of the splitting"""
    boundary: str | None = None
    """instead of the condition's own (`undertow list boundaries`)"""
    saves: int = 1
    """states to keep, at equal distances in time"""
    out: tuple[Path, ...] = ()
    """new files: .csv for the states, .png for a picture"""


def run(arguments: list[str]) -> int:
    """Solve one initial value problem; print what was measured, write files if asked to."""
    parsed = parse(SimulateArguments, arguments, "simulate", "Solve one initial value problem and measure the result.")
    for path in parsed.out:
        require(path.suffix in (".csv", ".png"), f"--out takes .csv and .png files, got {path}")
        require(not path.exists(), f"{path} exists already and is left as it is; choose another --out")
        require(path.absolute().parent.is_dir(), f"cannot write {path}: there is no directory {path.parent}")
    require(parsed.law.source == 0, "simulate takes no source; train and evaluate do")
    if parsed.boundary is not None:
        lookup("boundary", parsed.boundary, dict.fromkeys(BOUNDARIES))
    condition = burgers_condition(parsed.case, boundary=parsed.boundary, **_parameters(parsed.params))
    policy = experiment.load_policy(parsed.policy, 5 if parsed.order is None else parsed.order)
    law = parsed.law
    result = simulate(
        condition,
        policy,
        law=Burgers(law.viscosity) if law.name == "burgers" else LinearAdvection(law.velocity, law.viscosity),
        num_cells=parsed.cells,
        end_time=parsed.end_time,
        cfl=parsed.cfl,
        dt=parsed.dt,
        steps=parsed.steps,
        integrator=parsed.integrator,
        order=getattr(policy, "order", 5) if parsed.order is None else parsed.order,
        speed=parsed.speed,
        saves=parsed.saves,
    )
    for name, value in result.metrics().items():
        show(f"{name.replace('_', ' '):16}{value:.6g}")
    for path in parsed.out:
        if path.suffix == ".csv":
            result.to_csv(path)
        else:
            from undertow.report.simulation import draw_simulation  # not at the top: it takes long to load

            title = f"{parsed.case}, {parsed.policy}, {parsed.cells} cells"
            draw_simulation(result.x, result.times, result.values, result.exact, path, title=title)
        show(str(path))
    return 0


def _parameters(given: Sequence[str]) -> dict[str, float]:
    parameters = {}
    for each in given:
        name, _, value = each.partition("=")
        try:
            parameters[name] = float(value)
        except ValueError:
            raise UndertowError(f"--params takes name=number, such as A=1.5, got {each!r}") from None
    return parameters
