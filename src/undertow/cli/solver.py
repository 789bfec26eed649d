"""The command `simulate`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from undertow import experiment
from undertow._checks import UndertowError, drawing, lookup, require
from undertow.cli.parse import fail, parse, show, show_json
from undertow.cli.runs import Integrator
from undertow.config import LawConfig, SchemeConfig, config_from_dict
from undertow.evaluation.simulation import Simulation
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.numerics.boundary import BOUNDARIES
from undertow.policies.classical import CLASSICAL
from undertow.policies.published import is_published
from undertow.progress import Display
from undertow.schemes.semidiscrete import Reconstruction
from undertow.simulate import named_case, simulate
from undertow.training.rundir import RunDirectory

_ENDINGS = (".csv", ".png", ".gif")
_FRAMES = 40  # states for a moving picture


@dataclass(frozen=True)
class SimulateArguments:
    """Options of `simulate`."""

    case: tyro.conf.Positional[str]
    """an initial condition, a gas case or a case in the plane (`undertow list conditions "gas cases" "plane cases"`)"""
    policy: str = "weno-js"
    """who chooses the weights: a name (`undertow list policies`), a run directory, a checkpoint, or an agent of the published
    code (.zip)"""
    params: tuple[str, ...] = ()
    """parameters of the condition, such as A=1.5 k=4"""
    law: LawConfig = dataclasses.field(default_factory=LawConfig)
    cells: int | None = None
    """number of cells, in 2D along the first axis; None: 128, or as the case is usually shown"""
    end_time: float | None = None
    """time simulated; None: 0.1, or the case's own"""
    cfl: float | None = None
    """Courant number of time steps that follow the wave speed; 0.5 where neither dt nor steps is given, 0.4 with
    positivity"""
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
    reconstruction: Literal["component", "characteristic"] | None = None
    """of a system: every component by itself, or characteristic fields; None: what the policy was trained on, for a gas with
    a classical policy characteristic"""
    positivity: bool = False
    """of a gas: limit fluxes where density or pressure would become negative"""
    boundary: str | None = None
    """instead of the condition's own (`undertow list boundaries`)"""
    saves: int | None = None
    """states to keep, at equal distances in time; None: the last one, or for a .gif as many as it has pictures"""
    out: tuple[Path, ...] = ()
    """new files: .csv for the states, .png for a picture, .gif for a moving one"""
    json: bool = False
    """print JSON: what was measured, and the files written"""
    quiet: bool = False
    """show no progress bar"""


def run(arguments: list[str]) -> int:
    """Solve one initial value problem; print what was measured, write files if asked to."""
    parsed = parse(SimulateArguments, arguments, "simulate", "Solve one initial value problem and measure the result.")
    for path in parsed.out:
        require(path.suffix in _ENDINGS, f"--out takes .csv and .png files, and .gif for moving pictures, got {path}")
        require(not path.exists(), f"{path} exists already and is left as it is; choose another --out")
        require(path.absolute().parent.is_dir(), f"cannot write {path}: there is no directory {path.parent}")
    trained = _trained_on(parsed.policy)
    problem = _condition(parsed) if parsed.case in BURGERS_CONDITIONS else _field(parsed, trained)
    policy = experiment.load_policy(parsed.policy, 5 if parsed.order is None else parsed.order)
    moving = any(path.suffix == ".gif" for path in parsed.out)
    saves = parsed.saves if parsed.saves is not None else _FRAMES if moving else 1
    with Display(quiet=parsed.quiet) as display:
        display.stage(f"simulating {parsed.case}", saves if saves > 1 else None)
        result = simulate(
            problem.pop("condition"),
            policy,
            **problem,
            num_cells=parsed.cells,
            end_time=parsed.end_time,
            cfl=parsed.cfl,
            dt=parsed.dt,
            steps=parsed.steps,
            integrator=parsed.integrator,
            order=getattr(policy, "order", 5) if parsed.order is None else parsed.order,
            speed=parsed.speed,
            positivity=parsed.positivity,
            saves=saves,
            on_save=lambda done, _: display.advance(done),
        )
    metrics = result.metrics()
    if not parsed.json:
        width = max([16, *(len(name) + 2 for name in metrics)])
        for name, value in metrics.items():
            show(f"{name.replace('_', ' '):{width}}{value:.6g}")
    written, code = [], 0
    for path in sorted(parsed.out, key=lambda path: path.suffix != ".csv"):  # numbers first, pictures last
        try:
            _write(result, path, f"{parsed.case}, {parsed.policy}")
        except UndertowError as error:  # the others may still be written
            code = fail(error, 2)
            continue
        written.append(path)
        if not parsed.json:
            show(str(path))
    if parsed.json:
        show_json({"case": parsed.case, "policy": parsed.policy, "metrics": metrics, "files": written})
    return code


def _write(result: Simulation, path: Path, title: str) -> None:
    if path.suffix == ".csv":
        result.to_csv(path)
        return
    with drawing(path):
        from undertow.report.simulation import draw_simulation  # not at the top: it takes long to load

        draw_simulation(result, path, title=title)


def _condition(parsed: SimulateArguments) -> dict[str, Any]:
    """A scalar condition and its law."""
    law = parsed.law
    require(law.source == 0, "simulate takes no source; train and evaluate do")
    require(law.name != "euler", f"{parsed.case} is a condition of one component; gas cases: undertow list 'gas cases'")
    if parsed.boundary is not None:
        lookup("boundary", parsed.boundary, dict.fromkeys(BOUNDARIES))
    return {
        "condition": burgers_condition(parsed.case, boundary=parsed.boundary, **_parameters(parsed.params)),
        "law": Burgers(law.viscosity) if law.name == "burgers" else LinearAdvection(law.velocity, law.viscosity),
        "reconstruction": parsed.reconstruction,
    }


def _field(parsed: SimulateArguments, trained: Reconstruction | None) -> dict[str, Any]:
    """A case with a law, parameters and boundaries of its own; or a misspelt name, which `simulate` refuses."""
    own = {
        "--law": parsed.law != LawConfig(),
        "--params": bool(parsed.params),
        "--boundary": parsed.boundary is not None,
    }
    given = [name for name, changed in own.items() if changed]
    if given:
        named_case(parsed.case)
        raise UndertowError(
            f"{parsed.case} brings its own law, parameters and boundary; leave {' and '.join(given)} out"
        )
    return {"condition": parsed.case, "reconstruction": parsed.reconstruction or trained}


def _trained_on(policy: str) -> Reconstruction | None:
    """The reconstruction that a policy learned for systems knows; None for all others.

    **Raises:** `UndertowError` for a run of a controller, which chooses no weights.
    """
    path = Path(policy)
    if policy in CLASSICAL or not path.exists():
        return None
    if is_published(path):
        return "component"
    config = config_from_dict(RunDirectory.open(path.parent.parent if path.is_file() else path).config)
    if not isinstance(config, SchemeConfig):
        raise UndertowError(
            f"{policy} is a run of a controller; simulate takes policies that choose a scheme's weights"
        )
    return config.grid.reconstruction if config.law.name == "euler" else None


def _parameters(given: Sequence[str]) -> dict[str, float]:
    parameters = {}
    for each in given:
        name, _, value = each.partition("=")
        try:
            parameters[name] = float(value)
        except ValueError:
            raise UndertowError(f"--params takes name=number, such as A=1.5, got {each!r}") from None
    return parameters
