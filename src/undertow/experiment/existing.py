"""Runs that exist: loaded, evaluated, drawn again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from undertow._checks import UndertowError, at_home, lookup, nearest, require
from undertow._limits import out_of_memory_told
from undertow._own import is_own, open_name
from undertow._tree import cast
from undertow.assembly import Experiment, build, read_policy, refuse_published
from undertow.assembly.own import own_scheme_policy
from undertow.config import run_config
from undertow.core.policy import AbstractPolicy
from undertow.policies.classical import CLASSICAL, classical
from undertow.policies.published import is_published, read_published
from undertow.store.rundir import RunDirectory


def load_run(path: Path | str, which: str = "best") -> tuple[RunDirectory, Experiment, AbstractPolicy]:
    """A run directory, its experiment as it was before training, and a checkpoint's policy in default precision.

    **Arguments:** `path`: the run directory, or one of its checkpoints; `which`: `best`, `last` or a checkpoint's file.

    **Raises:** `UndertowError` naming what is missing, damaged or of another shape.
    """
    path = at_home(path)
    refuse_published(path)
    if path.is_file():
        require(
            path.parent.name == "checkpoints",
            f"{path} is neither a run directory nor a checkpoint in one, which is at RUN/checkpoints/NAME.safetensors",
        )
        path, which = path.parent.parent, path.name
    directory = RunDirectory.open(path)
    experiment = build(run_config(directory).untrained())
    return directory, experiment, cast(read_policy(path, experiment.policy, which))


def load_policy(where: Path | str, order: int = 5) -> AbstractPolicy:
    """A policy by the name of a classical one (with this order), a run directory, one of its checkpoints, a checkpoint of the
    code of arXiv 2203.08937 (a zip file), or one of your own by its name, such as `mine.py:Agent`, which is imported.

    **Raises:** `UndertowError` for something that is none of them.
    """
    if str(where) in CLASSICAL:
        return classical(str(where), order)
    if is_published(where):
        return read_published(where)
    if is_own(where):
        return own_scheme_policy(open_name(str(where), allowed=True), order, jax.random.key(0))
    if at_home(where).exists():
        return load_run(where)[2]
    raise UndertowError(f"{str(where)!r} is neither a run directory nor a policy{nearest(str(where), CLASSICAL)}")


@out_of_memory_told("fewer cases or cells")
def evaluate_run(
    path: Path | str,
    suites: Sequence[str] | None = None,
    *,
    which: str = "best",
    on_suite: Callable[[int, Any], None] | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Evaluate a run's policy, and its rivals beside it, on suites.

    **Arguments:** `path`: the run directory or a checkpoint; `suites`: names out of `undertow list suites` (default: the
    first of the run's own, or of the family's); `which` checkpoint; `on_suite`: called after every suite with how many are
    done and the evaluation; `overrides`: for a scheme as in
    [`suite`][undertow.envs.suites.suite], such as `cells=256`; for a controller `n` states and `steps`; for both `long=True`,
    which begins also what certainly takes hours.

    **Returns:** by suite, for a learned scheme an [`Evaluation`][undertow.evaluation.results.Evaluation] of the policies
    `learned`, `weno-js` and `weno-z`, for a controller a
    [`ControlEvaluation`][undertow.evaluation.control.ControlEvaluation] of it and of no control.
    """
    _, experiment, policy = load_run(path, which)
    suites = suites or (experiment.judge.default,)
    for name in suites:
        lookup("suite", name, experiment.judge.known)
    evaluations = {}
    for done, name in enumerate(suites, start=1):
        evaluations[name] = experiment.judge.evaluate(policy, name, **overrides)
        if on_suite is not None:
            on_suite(done, evaluations[name])
    return evaluations


@out_of_memory_told("a suite of fewer cases or cells")
def plot_run(path: Path | str, *, which: str = "best") -> list[Path]:
    """Evaluate a run's policy again and draw its figures, into its own `figures` directory. Returns their files."""
    directory, experiment, policy = load_run(path, which)
    judge = experiment.judge
    evaluations = {name: judge.evaluate(policy, name) for name in judge.suites or (judge.default,)}
    # An imported agent has none.
    metrics = directory.read_metrics() if (directory.path / "metrics.csv").exists() else None
    return judge.draw(directory.figures, policy, evaluations, metrics)
