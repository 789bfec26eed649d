"""The command `reproduce`."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from undertow._checks import lookup, require
from undertow._fields import Count
from undertow.cli.parse import parse, say, show
from undertow.reproduction import reproduce
from undertow.reproduction.grid import CLIPS, COMPARISONS, Clip, Flow


@dataclass(frozen=True)
class ReproduceArguments:
    """Options of `reproduce`."""

    seeds: Count = 5
    """trainings per setting, side by side"""
    quick: bool = False
    """the easiest and the hardest setting, clipping by norm, few epochs"""
    epochs: Count | None = None
    """passes over the training states; None: as published"""
    flows: tuple[Flow, ...] = ("regular", "modified", "combined", "one-step")
    """which gradients: the paper's four, other combinations, evolution strategies, backpropagation in short windows"""
    clips: tuple[Clip, ...] = CLIPS
    """how gradients are clipped"""
    panels: tuple[str, ...] = ()
    """some of the settings, such as "1 pole" "4 poles"; none: all"""
    out: Path | None = None
    """the study's directory, which is gone on with if it holds this very study; None: runs/reproduce/TASK"""
    long: bool = False
    """begin also what certainly takes hours"""
    quiet: bool = False
    """show no progress bar"""


def run(arguments: list[str]) -> int:
    """Run, or go on with, a published comparison; show its table; write results and figures."""
    if not arguments or arguments[0] in ("-h", "--help"):
        tasks = "\n".join(f"  {name:12}panels: {', '.join(make().panels)}" for name, make in COMPARISONS.items())
        print(
            "usage: undertow reproduce TASK [options]\n\nRun a published comparison again (arXiv 2405.02041), or one of its "
            f"kind. It can be stopped and gone on with at any time.\n\ntasks:\n{tasks}\n\n"
            "`undertow reproduce TASK --help` shows every option with its default."
        )
        return 0
    task, *rest = arguments
    require(not task.startswith("-"), f"the task comes first: undertow reproduce TASK {task} ...")
    lookup("task", task, COMPARISONS)
    given = parse(ReproduceArguments, rest, f"reproduce {task}", f"Run the published comparison of {task} again.")
    out = (
        given.out if given.out is not None else Path("runs") / "reproduce" / (f"{task}-quick" if given.quick else task)
    )
    outcome = reproduce(
        task,
        out,
        seeds=given.seeds,
        quick=given.quick,
        epochs=given.epochs,
        flows=given.flows,
        clips=given.clips,
        panels=given.panels,
        quiet=given.quiet,
        long=given.long,
    )
    show(outcome.table)
    show(outcome.timed)
    for path in (outcome.results, *outcome.figures):
        show(str(path))
    if not outcome.finished:
        say("stopped; the same command goes on from here")
        return 128 + (outcome.signal or signal.SIGINT)
    return 0
