"""The command line: a thin layer over `undertow.experiment` and `undertow.simulate`.

Exit codes: 0 all went well; 1 a run or simulation became non-finite; 2 something given was wrong (one line on standard
error says what), or a file could not be read or written; 130 and 143 stopped by Ctrl-C or SIGTERM.

This is the only module that touches JAX's settings: double precision on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from undertow._checks import NonFiniteError, UndertowError, lookup
from undertow._limits import OUT_OF_MEMORY, is_out_of_memory
from undertow._own import allow_code, typed
from undertow.cli import export, lists, logs, many, report, runs, solver, streams, study, sweep
from undertow.cli.parse import fail
from undertow.store.machine import describe_machine

__all__ = ["COMMANDS", "Command", "main"]

ALLOW_CODE = "--allow-code"
"""With any command: code that runs and configuration files name may be imported. What is typed needs no leave."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Arguments default to the process's own, whose streams are seen to then."""
    if argv is None:
        streams.secure()
    return streams.flushed(_run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    jax.config.update("jax_enable_x64", True)
    try:
        arguments, level = logs.take_level(arguments)
        logs.set_up(level)
        every = [word for word in arguments if word != ALLOW_CODE]
        names = typed(every) if len(every) == len(arguments) else {"*"}
        with allow_code(*names) if names else contextlib.nullcontext():
            return _dispatch(every)
    except NonFiniteError as error:
        # An initial state that is not finite was given so; what becomes so later did.
        return fail(error, 1 if error.step else 2)
    except UndertowError as error:
        return fail(error, 2)
    except KeyboardInterrupt:
        return fail("stopped", 130)
    except BrokenPipeError:  # the reader of a pipe has gone, as in `undertow list | head -1`
        return 0
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        return fail(f"{error.filename or 'reading or writing'}: {error.strerror}", 2)
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
        return fail("out of memory; take less of what is large: cells, cases, states, batch, saves, seeds", 2)


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
        "Train numerical schemes and controllers by gradients through the simulator, and use them.\n\n"
        f"commands:\n{lines}\n\n"
        "options, with any command:\n"
        "  -v, -vv               say what is done, in detail; --verbose is -v\n"
        f"  --log-level LEVEL     {', '.join(logs.LEVELS)}; the environment variable {logs.VARIABLE} does the same\n"
        f"  {ALLOW_CODE}          import the code from outside undertow that a run or a configuration file names, which runs it\n"
        "  --version             the version\n\n"
        "exit codes:\n"
        "  0                     all went well\n"
        "  1                     a run or a simulation became non-finite\n"
        "  2                     something given was wrong, or a file could not be read or written\n"
        "  130, 143              stopped by Ctrl-C, by SIGTERM\n\n"
        "`undertow COMMAND --help` shows the options. To begin: undertow train burgers, or undertow train cartpole"
    )


class Command(NamedTuple):
    """A command: how to call it, one line about it, and what runs it."""

    usage: str
    summary: str
    run: Callable[[list[str]], int]


COMMANDS = {
    "train": Command("train PRESET", "train a policy, evaluate it, keep everything in a run directory", runs.train),
    "resume": Command("resume RUN", "go on with a run that was stopped or killed, bit for bit", runs.resume),
    "evaluate": Command("evaluate RUN", "compare a run's policy with others on fixed problems", runs.evaluate),
    "import-agent": Command(
        "import-agent FILE", "make a run of an agent that the published code trained", runs.import_agent
    ),
    "export": Command("export RUN", "write a policy and its scheme for numpy alone, or JAX alone", export.run),
    "simulate": Command("simulate CASE", "the plain solver: one initial condition, one policy", solver.run),
    "reproduce": Command("reproduce TASK", "run a published comparison again, with many seeds", study.run),
    "runs": Command("runs [ROOT]", "list the runs in a directory, chosen and sorted by any field", many.runs),
    "diff": Command("diff A B", "in what runs, configuration files or presets differ", many.diff),
    "compare": Command("compare RUN...", "groups of runs: curves, results, and how sure they are", many.compare),
    "sweep": Command("sweep PRESET", "train combinations of options, several seeds each, and compare them", sweep.run),
    "report": Command(
        "report RUN", "one HTML file with all there is to see of a run; or a page that follows it", report.report
    ),
    "plot": Command("plot RUN", "draw a run's figures again", runs.plot),
    "list": Command("list [WHAT]", "presets, conditions, policies, suites, gradients ...", lists.names),
    "info": Command("info", "versions, machine and devices", lists.info),
}
"""Every command, by its first word."""
