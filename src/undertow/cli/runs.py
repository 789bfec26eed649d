"""The commands `train`, `resume`, `evaluate`, `plot` and `import-agent`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from undertow import experiment
from undertow._checks import UndertowError, at_home, quoted, require
from undertow._fields import Count, Positive
from undertow._io import new_folder
from undertow.cli.parse import parse, presets_listed, require_new, say, show, show_json
from undertow.config import Config, SchemeConfig, load_config
from undertow.presets import preset
from undertow.progress import Display

C = TypeVar("C", bound=Config)
Integrator = Literal["euler", "ssp_rk3", "rk4"]


@dataclass(frozen=True)
class TrainArguments(Generic[C]):
    """Options of `train`."""

    config: Annotated[C, tyro.conf.arg(name="")]
    out: Path | None = None
    """the run directory, which must not exist yet; None: runs/PRESET/TIME"""
    quiet: bool = False
    """show no progress bar"""
    tensorboard: bool | None = None
    """write event files for TensorBoard, too; None: if tensorboardX is installed"""
    long: bool = False
    """begin also what certainly takes hours"""
    json: bool = False
    """print JSON: where the run is, and its summary"""


def train(arguments: list[str]) -> int:
    """Train a preset; print how it compares and where its run directory is."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: undertow train PRESET [options]\n       undertow train --config FILE [options]\n"
            "       undertow train --repeat RUN [options]\n\n"
            "Train a preset, a configuration in a JSON or TOML file, or what a run was trained with, changed by options;\n"
            f"print how it compares and where its run directory is.\n\n{presets_listed()}\n\n"
            "`undertow train PRESET --help` shows every option with its default."
        )
        return 0
    name, config, about, rest = _chosen(arguments)
    kind: Any = TrainArguments
    parsed = parse(kind[type(config)], rest, f"train {arguments[0]}", f"Train {about}.", kind(config))
    return _report(
        experiment.train(
            parsed.config,
            preset=name,
            out=parsed.out,
            quiet=parsed.quiet,
            tensorboard=parsed.tensorboard,
            command=["undertow", "train", *arguments],
            long=parsed.long,
        ),
        parsed.json,
    )


def _chosen(arguments: list[str]) -> tuple[str, Config, str, list[str]]:
    """The name, the configuration to begin with, a word about it, and the arguments that are left."""
    first, *rest = arguments
    flag, equals, value = first.partition("=")
    if flag in ("--config", "--repeat"):
        if not equals:
            require(
                bool(rest), f"{flag} needs a value: undertow train {flag} {'FILE' if flag == '--config' else 'RUN'}"
            )
            value, *rest = rest
        require(
            flag == "--config" or at_home(value).is_dir(),
            f"--repeat needs a run directory, and there is none at {value}",
        )
        named = load_config(value)
        return named.preset, named.config, f"what {value} says", rest
    require(not first.startswith("-"), f"the preset comes first: undertow train PRESET {first} ...")
    chosen = preset(first)
    return first.rpartition(":")[2], chosen.config, chosen.description, rest


def _report(run: experiment.Run, as_json: bool) -> int:
    if as_json:
        show_json(run.to_dict())
    else:
        if run.table is not None:
            show(run.table)
        show(f"run directory: {run.path}")
    if run.status != "finished":
        reason = run.error or f"after {run.summary['updates']} updates"
        say(
            f"{run.status}: {reason}; go on: undertow resume {quoted(run.path)}; see: undertow evaluate {quoted(run.path)}"
        )
    return run.exit_code


@dataclass(frozen=True)
class ResumeArguments:
    """Options of `resume`."""

    run: tyro.conf.Positional[Path]
    """a run directory"""
    updates: Count | None = None
    """how many in all, also more than were first asked for; None: as in its configuration"""
    quiet: bool = False
    """show no progress bar"""
    tensorboard: bool | None = None
    """write event files for TensorBoard, too; None: if tensorboardX is installed"""
    long: bool = False
    """begin also what certainly takes hours"""
    json: bool = False
    """print JSON: where the run is, and its summary"""


def resume(arguments: list[str]) -> int:
    """Go on with a run as if it had never stopped; print how it compares."""
    parsed = parse(
        ResumeArguments, arguments, "resume", "Go on with a run that was stopped, killed or is to go further."
    )
    return _report(
        experiment.resume(
            parsed.run,
            updates=parsed.updates,
            quiet=parsed.quiet,
            tensorboard=parsed.tensorboard,
            command=["undertow", "resume", *arguments],
            long=parsed.long,
        ),
        parsed.json,
    )


@dataclass(frozen=True)
class EvaluateArguments:
    """Options of `evaluate`. What is None is as the suite has it."""

    run: tyro.conf.Positional[Path]
    """a run directory, or one of its checkpoints"""
    suite: tuple[str, ...] = ()
    """suites to evaluate on (`undertow list suites`); none: the first of the run's own"""
    checkpoint: str = "best"
    """best, last, or a file in checkpoints/"""
    cells: Count | None = None
    """number of cells"""
    steps: Count | None = None
    """number of time steps"""
    end_time: Positive | None = None
    """time simulated"""
    integrator: Integrator | None = None
    """in time"""
    cases: Count | None = None
    """conditions of a random suite, or initial states"""
    long: bool = False
    """begin also what certainly takes hours"""
    out: Path | None = None
    """a new directory for one CSV and one JSON file per suite"""
    json: bool = False
    """print JSON: by suite, summary and every case"""
    quiet: bool = False
    """show no progress bar"""


def evaluate(arguments: list[str]) -> int:
    """Evaluate a run; print tables, write files if asked to."""
    parsed = parse(EvaluateArguments, arguments, "evaluate", "Compare a run's policy with others on fixed problems.")
    require_new(parsed.out)
    fields = {"cells": "cells", "steps": "steps", "end_time": "end_time", "integrator": "integrator", "cases": "n"}
    overrides = {theirs: getattr(parsed, ours) for ours, theirs in fields.items() if getattr(parsed, ours) is not None}
    if parsed.long:
        overrides["long"] = True
    with Display(quiet=parsed.quiet) as display:
        display.stage("evaluating", len(parsed.suite) if len(parsed.suite) > 1 else None)
        evaluations = experiment.evaluate_run(
            parsed.run,
            parsed.suite,
            which=parsed.checkpoint,
            on_suite=lambda done, _: display.advance(done),
            **overrides,
        )
    if parsed.json:
        show_json({name: evaluation.to_dict() for name, evaluation in evaluations.items()})
    else:
        for evaluation in evaluations.values():
            show(evaluation.table())
    if parsed.out is not None:
        with new_folder(parsed.out) as folder:
            for name, evaluation in evaluations.items():
                evaluation.to_csv(folder / f"{name}.csv")
                evaluation.to_json(folder / f"{name}.json")
    return 0


@dataclass(frozen=True)
class PlotArguments:
    """Options of `plot`."""

    run: tyro.conf.Positional[Path]
    """a run directory"""
    checkpoint: str = "best"
    """best, last, or a file in checkpoints/"""
    quiet: bool = False
    """show no progress bar"""


def plot(arguments: list[str]) -> int:
    """Draw a run's figures again; print their files."""
    parsed = parse(PlotArguments, arguments, "plot", "Draw a run's figures again, into its directory.")
    with Display(quiet=parsed.quiet) as display:
        display.stage("evaluating and drawing")
        paths = experiment.plot_run(parsed.run, which=parsed.checkpoint)
    for path in paths:
        show(str(path))
    return 0


@dataclass(frozen=True)
class ImportArguments:
    """Options of `import-agent`."""

    file: tyro.conf.Positional[Path]
    """a checkpoint (.zip) of the published code, arXiv 2203.08937"""
    preset: str = "euler-sod-paper"
    """the preset that says what it is evaluated under (`undertow list presets`): law, grid, suites"""
    activation: str = "relu"
    """of its hidden layers, which the file does not tell (`undertow list activations`)"""
    out: Path | None = None
    """the run directory, which must not exist yet; None: runs/imported/TIME"""


def import_agent(arguments: list[str]) -> int:
    """Make a run directory of a published agent; print what it is and where."""
    parsed = parse(
        ImportArguments, arguments, "import-agent", "Make a run of an agent that the published code trained."
    )
    config = preset(parsed.preset).config
    if not isinstance(config, SchemeConfig):
        raise UndertowError(f"--preset must be one of a learned scheme, and {parsed.preset!r} is not")
    directory = experiment.import_agent(
        parsed.file,
        config,
        activation=parsed.activation,
        out=parsed.out,
        command=["undertow", "import-agent", *arguments],
    )
    show(f"run directory: {directory.path}")
    return 0
