"""Random command lines for `validation.fuzz`: every command and every option, with values that are in order or odd.

Options are read off the dataclasses that the command line is made from, so that a new one is tried without a word here.
"""

from __future__ import annotations

import dataclasses
import random
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from undertow.cli.export import ExportArguments
from undertow.cli.many import CompareArguments, DiffArguments, RunsArguments
from undertow.cli.report import ReportArguments
from undertow.cli.runs import EvaluateArguments, ImportArguments, PlotArguments, ResumeArguments, TrainArguments
from undertow.cli.solver import SimulateArguments
from undertow.cli.study import ReproduceArguments
from undertow.cli.sweep import DirectoryArguments, SweepArguments
from undertow.laws.catalogue import case_names
from undertow.presets import PRESETS
from undertow.reproduction.grid import TASKS

SCHEME, CONTROLLER = "given/scheme", "given/controller"
"""Run directories that stand beside every command."""

FILES = {
    "deep.json": "[" * 100_000,
    "deep.toml": "a = " + "[" * 5_000,
    "deep_table.json": '{"a":' * 50_000,
    "list.json": "[1]",
    "empty.json": "",
    "torn.json": '{"seed": 1, "grid": {"num_c',
    "long_number.json": '{"seed": ' + "1" * 5_000 + "}",
    "nan.json": '{"law": {"viscosity": NaN}}',
    "huge.json": '{"grid": {"end_time": 1e308}}',
    "null.json": "null",
    "types.json": '{"grid": [], "seed": {}, "policy": "x"}',
    "family.json": '{"family": ["scheme"]}',
    "twice.toml": "seed = 1\nseed = 2\n",
    "date.toml": "seed = 1979-05-27\n",
    "good.toml": 'family = "cartpole"\nseed = 3\n',
    "agent.zip": "PK\x03\x04 and nothing more",
}
"""Files that stand beside every command, too."""

BASE = {
    "scheme": """--grid.num-cells 16 --grid.steps 2 --grid.end-time 0.01 --data.pool 4 --training.batch 2 --training.updates 2
        --training.dispatch 1 --policy.hidden 2 --evaluation.cases 2 --evaluation.every 2 --evaluation.suites
        --evaluation.no-figures""",
    "control": """--horizon 2 --training.updates 2 --training.batch 2 --training.dispatch 1 --data.train 2 --data.test 2
        --policy.hidden 2 --evaluation.every 2 --evaluation.suites --evaluation.no-figures""",
}
"""Sizes that take no time, where nothing else is said."""

_ODD_WORDS = (
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e200",
    "1e-200",
    "1e-308",
    "5e-324",
    "1e400",
    "-1",
    "-0.0",
    "0",
    "1",
    "2.5",
    "3",
    "1e9",
    "1" + "0" * 23,
    str(2**31),
    str(2**32),
    str(2**63),
    str(2**64),
    "-" + str(2**63),
    "9" * 5_000,
    "x" * 5_000,
    "é✓\u202e",
    "١٢",
    "\x1b[31mred\x07",
    "two\nlines\ttab",
    "\udcff",
    "none",
    "None",
    "True",
    "nope",
    "/nonexistent/x",
    "/dev/null",
    "..",
    "~",
    "a=b",
    "=",
    "1,2",
    "[1,2]",
    "[[1],[2]",
    "1..2",
    "-",
    "{}",
    "%s%n",
    "$(id)",
    "0x10",
    "1_000",
)
_HELD_BACK = {"serve", "out", "tensorboard"}  # a server does not end; files to write have their own odd values

REPORTED = [
    "train burgers --seed 9223372036854775808",
    "train advection --seed 18446744073709551616",
    "train cartpole --data.seed -1",
    "train cartpole --data.seed 4294967296",
    "train burgers --method ppo --seed -1",
    "train burgers --method ppo --seed 4294967296",
    "sweep cartpole --over gradient=full,stop --seeds 1 --seed -1",
    f"evaluate {CONTROLLER} --cases 0",
    f"evaluate {CONTROLLER} --cases -1",
    "simulate shock --params u_L=1e308",
    "simulate flat --params a=1e200",
    "simulate smooth_sine --law.name advection --law.velocity nan",
    "simulate smooth_sine --law.name advection --law.velocity 1e300",
    "simulate sod --dt 1e-300",
    "simulate sod --cfl 1e-300",
    "runs given --since 999999999999d",
    f"diff {SCHEME} deep.json",
    "train --config deep.json",
    "train cartpole --data.train 1000000000",
    "train cartpole --system.poles 1000000",
    "train burgers --evaluation.cases 1000000000",
    "simulate sod --cells 1000000000",
    "simulate sod --saves 1000000000",
    "sweep cartpole --over gradient=full,stop --seeds 1000000000",
    "train quantum --system.points 1000000",
    f"evaluate {SCHEME} --cases 500000",
    "train burgers --policy.hidden 100000000",
    "sweep cartpole --over gradient=full,stop --seeds 1 --workers 100000",
    f"train burgers --training.updates 1{'0' * 23}",
    "simulate shock_formation --params k=0",
    "simulate smooth_rare --params k=0",
]
"""The command lines that ended in tracebacks, used up the machine or went on with nonsense, of the reports."""


def drawn(rng: random.Random) -> Iterator[list[str]]:
    """Command lines without end, about five in six with something odd in them."""
    kinds = list(_MAKERS)
    weights = [_MAKERS[kind][0] for kind in kinds]
    while True:
        (kind,) = rng.choices(kinds, weights)
        words = [kind, *_MAKERS[kind][1](rng)]
        if rng.random() < 0.05:
            words += rng.choice((["-v"], ["--log-level", rng.choice(_ODD_WORDS)], ["--log-level"], ["--help"]))
        if rng.random() < 0.03:
            words.insert(rng.randrange(len(words)), rng.choice(_ODD_WORDS))
        yield [word.replace("\0", "") for word in words]


def _simulate(rng: random.Random) -> list[str]:
    case = rng.choice([*case_names(), "smooth_sine", "shock", "sod"])
    words = [case, "--cells", str(rng.choice((16, 20))), "--end-time", "0.01", "--quiet"]
    if rng.random() < 0.4:
        name = rng.choice(("A", "k", "u_L", "u_R", "a", "b", "c", "L", "x", "", "\x1b"))
        words += ["--params", f"{name}={rng.choice(_ODD_WORDS)}"]
    return words + _options(rng, SimulateArguments, 2)


def _train(rng: random.Random) -> list[str]:
    if rng.random() < 0.2:
        flag = rng.choice(("--config", "--repeat"))
        return [flag, rng.choice([*FILES, SCHEME, *_ODD_WORDS]), *BASE["control"].split(), "--out", "run"]
    preset = rng.choice(list(PRESETS))
    config = PRESETS[preset].config
    words = [preset, *BASE[_family(config)].split(), "--quiet", "--out", _out(rng)]
    return words + _options(rng, type(config), 3) + _options(rng, TrainArguments, 1)


def _sweep(rng: random.Random) -> list[str]:
    if rng.random() < 0.2:
        return _options(rng, DirectoryArguments, 2)
    preset = rng.choice(list(PRESETS))
    config = PRESETS[preset].config
    name, hint = rng.choice(list(_fields(type(config))))
    values = ",".join(_value(rng, hint) for _ in range(rng.randint(0, 3)))
    words = [preset, *BASE[_family(config)].split(), "--quiet", "--out", _out(rng), "--seeds", "1", "--trials", "1"]
    words += ["--over", f"{name}={values}"]
    return words + _options(rng, SweepArguments, 2) + _options(rng, type(config), 1)


def _of_a_run(kind: type, odd: int) -> Any:
    def make(rng: random.Random) -> list[str]:
        place = rng.choice((SCHEME, CONTROLLER, SCHEME, CONTROLLER, f"{SCHEME}/checkpoints", rng.choice(_ODD_WORDS)))
        small = ["--cases", "2"] if kind is EvaluateArguments else []
        return [place, *small, *_options(rng, kind, odd)]

    return make


def _many(kind: type) -> Any:
    def make(rng: random.Random) -> list[str]:
        places = [SCHEME, CONTROLLER, "given", *FILES, *PRESETS, rng.choice(_ODD_WORDS)]
        count = 1 if kind is RunsArguments else rng.randint(0, 3)
        return rng.choices(places, k=count) + _options(rng, kind, 3)

    return make


def _reproduce(rng: random.Random) -> list[str]:
    # Never as published: that takes hours.
    odd = [str(rng.choice((-1, 0, 2.5, "nan", "", 2**63))) for _ in range(2)]
    flag = rng.choice(("--seeds", "--epochs"))
    return [rng.choice([*TASKS, "nope"]), *_options(rng, ReproduceArguments, 1), flag, odd[0]]


def _words(*known: str) -> Any:
    return lambda rng: rng.choices([*known, *_ODD_WORDS], k=rng.randint(0, 2))


_MAKERS: dict[str, tuple[int, Any]] = {
    "simulate": (26, _simulate),
    "train": (28, _train),
    "sweep": (10, _sweep),
    "evaluate": (8, _of_a_run(EvaluateArguments, 2)),
    "resume": (4, _of_a_run(ResumeArguments, 1)),
    "export": (4, _of_a_run(ExportArguments, 2)),
    "report": (2, _of_a_run(ReportArguments, 2)),
    "plot": (1, _of_a_run(PlotArguments, 1)),
    "import-agent": (3, lambda rng: [rng.choice([*FILES, *_ODD_WORDS]), *_options(rng, ImportArguments, 1)]),
    "runs": (5, _many(RunsArguments)),
    "diff": (4, _many(DiffArguments)),
    "compare": (6, _many(CompareArguments)),
    "reproduce": (3, _reproduce),
    "list": (1, _words("presets", "--json", "gas cases")),
    "info": (1, _words("--json")),
}


def _family(config: Any) -> str:
    return "scheme" if config.family == "scheme" else "control"


def _out(rng: random.Random) -> str:
    return rng.choice(("run", "run", "run", "deep.json", "given", "a/b/c", "/dev/null/x", "/proc/x", "x" * 300))


def _options(rng: random.Random, kind: type, most: int) -> list[str]:
    words: list[str] = []
    fields = list(_fields(kind))
    for name, hint in rng.sample(fields, min(len(fields), rng.randint(0, most))):
        flag = "--" + name.replace("_", "-")
        if hint is bool:
            words += rng.choice(
                ([flag], [flag.replace(name.split(".")[-1].replace("_", "-"), "no-x")], [flag, "maybe"])
            )
        else:
            words += [flag, *_value(rng, hint).split(" ")] if rng.random() < 0.8 else [f"{flag}={_value(rng, hint)}"]
    return words


def _fields(kind: type, above: str = "") -> Iterator[tuple[str, Any]]:
    """The options of a dataclass and their types; arguments without a flag are left out."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        marks = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
        bare = typing.get_args(hint)[0] if marks else hint
        if any("Positional" in str(mark) or "POSITIONAL" in str(mark) for mark in marks):
            continue
        if isinstance(bare, type) and dataclasses.is_dataclass(bare):
            yield from _fields(bare, f"{above}{field.name}.")
        elif not isinstance(bare, typing.TypeVar) and field.name not in _HELD_BACK:
            yield above + field.name, bare


def _value(rng: random.Random, hint: Any) -> str:
    """A value for an option of this type, mostly an odd one; several with blanks between them."""
    if rng.random() < 0.7:
        return rng.choice(_ODD_WORDS)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _value(rng, arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _value(rng, rng.choice(arguments))
    if origin is Literal:
        return str(rng.choice(arguments))
    if origin is tuple:
        return " ".join(_value(rng, arguments[0]) for _ in range(rng.randint(0, 3)))
    plain: dict[Any, Sequence[str]] = {
        int: ("1", "2", "3"),
        float: ("0.1", "0.5", "1"),
        Path: ("new", "given", "deep.json"),
        str: ("full", "held-out", "periodic", "best", "last", "weno-z", "seed=1", "loss<1"),
        bool: ("True",),
    }
    return rng.choice(plain.get(hint, ("None",)))
