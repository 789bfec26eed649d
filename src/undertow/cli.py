"""The command line: a thin layer over `undertow.experiment` and `undertow.simulate`.

Exit codes: 0 all went well; 1 a run or simulation became non-finite; 2 something given was wrong (one line on standard
error says what), or a file could not be read or written; 130 and 143 stopped by Ctrl-C or SIGTERM.

This is the only module that touches JAX's settings: double precision on, the compilation cache on disk off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import jax
import tyro
from rich.console import Console

from undertow import experiment
from undertow._checks import NonFiniteError, UndertowError, lookup, require
from undertow.catalogue import catalogue
from undertow.config import Config, LawConfig
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.numerics.boundary import BOUNDARIES
from undertow.presets import PRESETS, preset
from undertow.simulate import simulate
from undertow.training._machine import describe_machine, git_state

A = TypeVar("A")
C = TypeVar("C", bound=Config)
Integrator = Literal["euler", "ssp_rk3", "rk4"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Arguments default to the process's own."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.WARNING, format="undertow: %(message)s")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        return _dispatch(arguments)
    except NonFiniteError as error:
        # An initial state that is not finite was given so; what becomes so later did.
        return _fail(error, 1 if error.step else 2)
    except UndertowError as error:
        return _fail(error, 2)
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:  # the reader of a pipe has gone, as in `undertow list | head -1`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # Python flushes it at exit
        return 0
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        return _fail(f"{error.filename or 'file'}: {error.strerror}", 2)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _fail("out of memory; take a smaller batch, --training.rematerialise step or fewer cells", 2)


def _say(message: object) -> None:
    """One line to standard error."""
    print("undertow:", " ".join(str(message).split()), file=sys.stderr)


def _fail(message: object, code: int) -> int:
    _say(message)
    return code


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        print("undertow", describe_machine()["versions"]["undertow"])
        return 0
    command = lookup("command", arguments[0], COMMANDS)
    try:
        return command.run(arguments[1:])
    except SystemExit as stop:  # --help was printed
        return int(stop.code or 0)


def _help() -> str:
    lines = "\n".join(f"  {command.usage:22}{command.summary}" for command in COMMANDS.values())
    return (
        "usage: undertow COMMAND [options]\n\n"
        "Learn numerical schemes by gradient descent through the solver, and use them.\n\n"
        f"commands:\n{lines}\n\n"
        "`undertow COMMAND --help` shows the options. To begin: undertow train burgers"
    )


def _parse(kind: Callable[..., A], arguments: list[str], prog: str, description: str, default: A | None = None) -> A:
    """What tyro makes of the arguments. Its error box becomes one line."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            given = {} if default is None else {"default": default}
            return tyro.cli(kind, args=arguments, prog=f"undertow {prog}", description=description, **given)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UndertowError(f"{_one_line(box.getvalue())} (see undertow {prog} --help)") from None


def _one_line(box: str) -> str:
    """The first paragraph of one of tyro's boxes, and the first option it suggests.

    A box is a title and sections between rules, drawn with lines, or on a terminal without them with dashes.
    """
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if text and not text.strip("─-"):
            sections.append([])
        elif not text.startswith(("╭", "╰")):
            sections[-1].append(text)
    if "╭" not in box:
        sections = sections[1:]  # the title stands above the first rule
    paragraph = "\n".join(sections[0] if sections else []).strip().split("\n\n")[0]
    said = " ".join(paragraph.split()).rstrip(".")
    for section in sections[1:]:
        options = [word for line in section for word in line.split() if word.startswith("--")]
        if section and section[0].startswith("Perhaps you meant") and options:
            return f"{said}; did you mean {options[0].rstrip(',')}?"
    return said or "the arguments could not be read"


def _print(*things: Any) -> None:
    """To standard output; wide enough for a table where it is not a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)
    console.print(*things, highlight=False, soft_wrap=all(isinstance(thing, str) for thing in things), markup=False)


# --- train ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainArguments(Generic[C]):
    """Options of `train`."""

    config: Annotated[C, tyro.conf.arg(name="")]
    out: Path | None = None
    """the run directory, which must not exist yet; None: runs/PRESET/TIME"""
    quiet: bool = False
    """show no progress bar"""


def _train(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        presets = "\n".join(f"  {name:16}{each.description}" for name, each in PRESETS.items())
        print(
            "usage: undertow train PRESET [options]\n\nTrain a preset, changed by options; print how it compares and "
            f"where its run directory is.\n\npresets:\n{presets}\n\n"
            "`undertow train PRESET --help` shows every option with its default."
        )
        return 0
    name, *rest = arguments
    require(not name.startswith("-"), f"the preset comes first: undertow train PRESET {name} ...")
    chosen = preset(name)
    kind: Any = TrainArguments
    parsed = _parse(
        kind[type(chosen.config)], rest, f"train {name}", f"Train {chosen.description}.", kind(chosen.config)
    )
    run = experiment.train(
        parsed.config, preset=name, out=parsed.out, quiet=parsed.quiet, command=["undertow", "train", *arguments]
    )
    if run.table is not None:
        _print(run.table)
    _print(f"run directory: {run.path}")
    if run.status != "finished":
        reason = run.error or f"after {run.summary['updates']} updates"
        _say(f"{run.status}: {reason}; its checkpoints are kept: undertow evaluate {run.path}")
    return run.exit_code


# --- evaluate, plot ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluateArguments:
    """Options of `evaluate`. What is None is as the suite has it."""

    run: tyro.conf.Positional[Path]
    """a run directory, or one of its checkpoints"""
    suite: tuple[str, ...] = ()
    """suites to evaluate on (`undertow list suites`); none: held-out for a scheme, test for a controller"""
    checkpoint: str = "best"
    """best, last, or a file in checkpoints/"""
    cells: int | None = None
    """number of cells"""
    steps: int | None = None
    """number of time steps"""
    end_time: float | None = None
    """time simulated"""
    integrator: Integrator | None = None
    """in time"""
    cases: int | None = None
    """conditions of a random suite, or initial states"""
    out: Path | None = None
    """a new directory for one CSV and one JSON file per suite"""


def _evaluate(arguments: list[str]) -> int:
    parsed = _parse(EvaluateArguments, arguments, "evaluate", "Compare a run's policy with WENO on fixed problems.")
    if parsed.out is not None:
        _new_directory(parsed.out)
    fields = {"cells": "cells", "steps": "steps", "end_time": "end_time", "integrator": "integrator", "cases": "n"}
    overrides = {theirs: getattr(parsed, ours) for ours, theirs in fields.items() if getattr(parsed, ours) is not None}
    evaluations = experiment.evaluate_run(parsed.run, parsed.suite, which=parsed.checkpoint, **overrides)
    for name, evaluation in evaluations.items():
        _print(evaluation.table())
        if parsed.out is not None:
            evaluation.to_csv(parsed.out / f"{name}.csv")
            evaluation.to_json(parsed.out / f"{name}.json")
    return 0


def _new_directory(path: Path) -> None:
    require(not path.exists(), f"{path} exists already and is left as it is; choose another --out")
    path.mkdir(parents=True)


@dataclass(frozen=True)
class PlotArguments:
    """Options of `plot`."""

    run: tyro.conf.Positional[Path]
    """a run directory"""
    checkpoint: str = "best"
    """best, last, or a file in checkpoints/"""


def _plot(arguments: list[str]) -> int:
    parsed = _parse(PlotArguments, arguments, "plot", "Draw a run's figures again, into its directory.")
    for path in experiment.plot_run(parsed.run, which=parsed.checkpoint):
        _print(str(path))
    return 0


# --- simulate ---------------------------------------------------------------------------------------------------------


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


def _simulate(arguments: list[str]) -> int:
    parsed = _parse(SimulateArguments, arguments, "simulate", "Solve one initial value problem and measure the result.")
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
        _print(f"{name.replace('_', ' '):16}{value:.6g}")
    for path in parsed.out:
        if path.suffix == ".csv":
            result.to_csv(path)
        else:
            from undertow.report.simulation import draw_simulation  # not at the top: it takes long to load

            title = f"{parsed.case}, {parsed.policy}, {parsed.cells} cells"
            draw_simulation(result.x, result.times, result.values, result.exact, path, title=title)
        _print(str(path))
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


# --- list, info -------------------------------------------------------------------------------------------------------


def _list(arguments: list[str]) -> int:
    kinds = catalogue()
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: undertow list [{'|'.join(kinds)}]\n\nList what there is to choose from.")
        return 0
    for word in arguments:
        lookup("list", word, kinds)
    for title in arguments or kinds:
        print(f"{title}:")
        for name, about in kinds[title].items():
            print(f"  {name:22}{about}".rstrip())
    return 0


def _info(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: undertow info\n\nShow versions, machine and devices.")
        return 0
    require(not arguments, f"info takes no arguments, got {' '.join(arguments)}")
    machine, git = describe_machine(), git_state()
    for name, version in machine["versions"].items():
        print(f"{name:12}{version}")
    device = machine["device"]
    print(f"{'platform':12}{machine['platform']}, {machine['cpu_count']} CPUs")
    print(f"{'device':12}{device['count']} x {device['kind']} ({device['platform']})")
    if git is not None:
        print(f"{'commit':12}{git['commit']}{', changed' if git['dirty'] else ''} ({git['of']})")
    return 0


class Command(NamedTuple):
    """A command: how to call it, one line about it, and what runs it."""

    usage: str
    summary: str
    run: Callable[[list[str]], int]


COMMANDS = {
    "train": Command("train PRESET", "train a policy, evaluate it, keep everything in a run directory", _train),
    "evaluate": Command("evaluate RUN", "compare a run's policy with WENO on fixed problems", _evaluate),
    "simulate": Command("simulate CASE", "the plain solver: one initial condition, one policy", _simulate),
    "plot": Command("plot RUN", "draw a run's figures again", _plot),
    "list": Command("list [WHAT]", "presets, conditions, policies, suites, integrators ...", _list),
    "info": Command("info", "versions, machine and devices", _info),
}
"""Every command, by its first word."""
