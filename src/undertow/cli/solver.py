"""The command `simulate`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import tyro

from undertow import experiment
from undertow._checks import UndertowError, at_home, choice, drawing, real_number, require, shown
from undertow._fields import Count, Positive
from undertow._io import require_free
from undertow._limits import Need, number, require_disk, require_memory, require_time
from undertow._own import is_own, opened
from undertow.assembly.own import own_condition
from undertow.cli.parse import fail, parse, show, show_json
from undertow.cli.runs import Integrator
from undertow.config import LawConfig, SchemeConfig, run_config
from undertow.envs.placing import grid_of
from undertow.evaluation.simulation import Simulation
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.laws.cases import Initial
from undertow.laws.catalogue import case
from undertow.laws.fields import AbstractField
from undertow.laws.law import Reconstruction
from undertow.numerics.boundary import BOUNDARIES
from undertow.policies.classical import CLASSICAL
from undertow.policies.published import is_published
from undertow.progress import Display
from undertow.simulate import simulate, started
from undertow.store.rundir import RunDirectory

_ENDINGS = (".csv", ".png", ".gif")
_FRAMES = 40  # states for a moving picture
# At least: characters of a number in a CSV file, bytes and seconds of a picture of a moving one.
_DIGITS, _PICTURE_BYTES, _PICTURE_SECONDS = 6, 500_000, 0.01


@dataclass(frozen=True)
class SimulateArguments:
    """Options of `simulate`."""

    case: tyro.conf.Positional[str]
    """an initial condition, a gas case or a case in the plane (`undertow list conditions "gas cases" "plane cases"`)"""
    policy: str | None = None
    """who chooses the weights: a name (`undertow list policies`), a run directory, a checkpoint, or an agent of the published
    code (.zip); None: weno-js, and with a flux nobody"""
    params: tuple[str, ...] = ()
    """parameters of the condition, such as A=1.5 k=4"""
    law: LawConfig = dataclasses.field(default_factory=LawConfig)
    cells: Count | None = None
    """number of cells, in 2D along the first axis; None: 128, or as the case is usually shown"""
    end_time: Positive | None = None
    """time simulated; None: 0.1, or the case's own"""
    cfl: Positive | None = None
    """Courant number of time steps that follow wave speed and viscosity; 0.5 where neither dt nor steps is given, 0.4 with
    positivity, 0.1 with the integrator euler"""
    dt: Positive | None = None
    """length of a fixed time step; the last one is clipped to the end"""
    steps: Count | None = None
    """number of fixed time steps"""
    integrator: Integrator = "ssp_rk3"
    """in time"""
    order: Count | None = None
    """formal order of the scheme; None: the policy's, or 5"""
    speed: Literal["global", "local", "smooth"] = "global"
    """wave speed of the splitting"""
    flux: Literal["hllc", "hll", "lf"] | None = None
    """solve a Riemann problem at every face with this flux, between interpolated values, in place of split fluxes and a policy;
    hllc is for laws with a contact"""
    reconstruction: Literal["component", "characteristic"] | None = None
    """of a system: every component by itself, or characteristic fields; None: what the policy was trained on, for a gas with
    a classical policy characteristic"""
    positivity: bool = False
    """of a gas or of water: limit fluxes where density, pressure or depth would become negative"""
    unit: float | None = None
    """size of the fluxes in which the policy sees them; None: for a classical policy that of the initial state, for a learned
    one 1, as it was trained"""
    boundary: str | None = None
    """instead of the condition's own (`undertow list boundaries`)"""
    saves: Count | None = None
    """states to keep, at equal distances in time; None: the last one, or for a .gif as many as it has pictures"""
    long: bool = False
    """begin also what certainly takes hours"""
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
        require_free(path)
        require(path.absolute().parent.is_dir(), f"cannot write {path}: there is no directory {path.parent}")
    require(
        parsed.policy is None or parsed.flux is None, "--flux is a scheme without a policy; leave one of the two out"
    )
    parsed, name = opened(parsed), parsed.policy or "weno-js"
    if is_own(parsed.case):
        problem = _own(parsed, _trained_on(name))
    else:
        problem = _condition(parsed) if parsed.case in BURGERS_CONDITIONS else _field(parsed, _trained_on(name))
    policy = None
    if parsed.flux is None:
        policy = experiment.load_policy(name, 5 if parsed.order is None else parsed.order)
    moving = any(path.suffix == ".gif" for path in parsed.out)
    saves = parsed.saves if parsed.saves is not None else _FRAMES if moving else 1
    _require_room(parsed, problem["condition"], saves)
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
            flux=parsed.flux,
            positivity=parsed.positivity,
            unit=parsed.unit,
            saves=saves,
            on_save=lambda done, _: display.advance(done),
            long=parsed.long,
        )
    metrics = result.metrics()
    if not parsed.json:
        width = max([16, *(len(name) + 2 for name in metrics)])
        for name, value in metrics.items():
            show(f"{name.replace('_', ' '):{width}}{value:.6g}")
        for note in result.notes:
            show(f"note: {note}")
    written, code = [], 0
    for path in sorted(parsed.out, key=lambda path: path.suffix != ".csv"):  # numbers first, pictures last
        try:
            _write(result, path, f"{parsed.case}, {parsed.flux or name}")
        except UndertowError as error:  # the others may still be written
            code = fail(error, 2)
            continue
        written.append(path)
        if not parsed.json:
            show(str(path))
    if parsed.json:
        who = {"policy": name} if parsed.flux is None else {"flux": parsed.flux}
        show_json({"case": parsed.case, **who, "metrics": metrics, "notes": result.notes, "files": written})
    return code


def _write(result: Simulation, path: Path, title: str) -> None:
    if path.suffix == ".csv":
        result.to_csv(path)
        return
    with drawing(path):
        from undertow.report.simulation import draw_simulation  # not at the top: it takes long to load

        draw_simulation(result, path, title=title)


def _require_room(parsed: SimulateArguments, condition: str | Initial, saves: int) -> None:
    """Raise `UndertowError` for files that cannot be held in memory or written."""
    initial, cells, _ = started(condition, parsed.cells)
    law = initial.law if isinstance(initial, AbstractField) else None
    grid = grid_of(initial, cells)
    numbers = (1 + grid.num_axes + (1 if law is None else law.num_components)) * float(math.prod(grid.num_cells))
    change = "--saves or --cells"
    for path in parsed.out:
        if path.suffix == ".csv":
            text = [Need(f"{number(saves + 1)} states in {path.name}", _DIGITS * (saves + 1) * numbers, change)]
            require_memory(text, host=True)
            require_disk(text, path.absolute().parent)
        elif path.suffix == ".gif":
            pictures = f"{number(saves)} pictures in {path.name}"
            require_memory([Need(pictures, _PICTURE_BYTES * saves, "--saves")], host=True)
            require_time([Need(pictures, _PICTURE_SECONDS * saves, "--saves")], long=parsed.long)


def _condition(parsed: SimulateArguments) -> dict[str, Any]:
    """A scalar condition and its law."""
    law, problems = parsed.law, parsed.law.entry.line
    require(law.source == 0, "simulate takes no source; train and evaluate do")
    require(
        not problems.brings_law,
        f"{parsed.case} is a condition of one component; cases of {law.name}: undertow list {problems.title!r}",
    )
    if parsed.boundary is not None:
        choice("boundary", parsed.boundary, BOUNDARIES)
    return {
        "condition": burgers_condition(parsed.case, boundary=parsed.boundary, **_parameters(parsed.params)),
        "law": law.make(),
        "reconstruction": parsed.reconstruction,
    }


def _own(parsed: SimulateArguments, trained: Reconstruction | None) -> dict[str, Any]:
    """An initial condition of one's own: a field, which brings its law, or a scalar condition, which takes the one given."""
    require(
        not parsed.params and parsed.boundary is None,
        f"{parsed.case} has no parameters and its own boundary; leave them out",
    )
    condition = own_condition(parsed.case, jax.random.key(0))
    law = {} if isinstance(condition, AbstractField) else {"law": parsed.law.make()}
    return {"condition": condition, "reconstruction": parsed.reconstruction or trained, **law}


def _field(parsed: SimulateArguments, trained: Reconstruction | None) -> dict[str, Any]:
    """A case with a law, parameters and boundaries of its own; or a misspelt name, which `simulate` refuses."""
    own = {
        "--law": parsed.law != LawConfig(),
        "--params": bool(parsed.params),
        "--boundary": parsed.boundary is not None,
    }
    given = [name for name, changed in own.items() if changed]
    if given:
        case(parsed.case)
        raise UndertowError(
            f"{parsed.case} brings its own law, parameters and boundary; leave {' and '.join(given)} out"
        )
    return {"condition": parsed.case, "reconstruction": parsed.reconstruction or trained}


def _trained_on(policy: str) -> Reconstruction | None:
    """The reconstruction that a policy learned for systems knows; None for all others.

    **Raises:** `UndertowError` for a run of a controller, which chooses no weights.
    """
    path = at_home(policy)
    if policy in CLASSICAL or not path.exists():
        return None
    if is_published(path):
        return "component"
    config = run_config(RunDirectory.open(path.parent.parent if path.is_file() else path))
    if not isinstance(config, SchemeConfig):
        raise UndertowError(
            f"{policy} is a run of a controller; simulate takes policies that choose a scheme's weights"
        )
    return config.grid.reconstruction if config.law.make().num_components > 1 else None


def _parameters(given: Sequence[str]) -> dict[str, float]:
    parameters = {}
    for each in given:
        name, _, value = each.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise UndertowError(f"--params takes name=number, such as A=1.5, got {shown(each)}") from None
        parameters[name] = real_number(f"--params {name}", number)
    return parameters
