"""Controllers measured on fixed sets of initial states."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from undertow._checks import require
from undertow._io import atomic_write_text, to_json
from undertow._tree import take
from undertow.core.objective import Cost, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.core.unroll import Trajectory
from undertow.evaluation.statistics import mean, quartiles

if TYPE_CHECKING:
    from rich.table import Table

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ControlScores:
    """One controller on all states of a suite; every array has one entry per state.

    `loss`: the task's objective; `final`: the cost of the last state; `effort`: mean square action over time.
    """

    loss: Float[np.ndarray, " states"]
    final: Float[np.ndarray, " states"]
    effort: Float[np.ndarray, " states"]


@dataclass(frozen=True, eq=False)
class ControlEvaluation:
    """The scores of controllers on a suite of initial states.

    `suite`: its name; `horizon`: unrolled steps; `scores`: by controller; `trajectories`: of the first few states, by
    controller, leaves `"states time ..."`.
    """

    suite: str
    describe: str
    horizon: int
    scores: Mapping[str, ControlScores]
    trajectories: Mapping[str, Trajectory]

    def summary(self) -> dict[str, dict[str, Any]]:
        """By controller: mean `loss`, its median, quartiles and largest, mean `final` cost and `effort`, and how many of the
        `states` are `non_finite` (means are NaN then)."""
        return {name: _summary(scores) for name, scores in self.scores.items()}

    def table(self) -> Table:
        """The summary as a table for the terminal."""
        from rich.table import Table  # not at the top: `import undertow` need not draw

        table = Table(title=f"{self.suite}: {self.describe}", title_justify="left")
        table.add_column("policy", no_wrap=True)
        heads = ("mean loss", "median", "worst", "final cost", "effort", "NaN")
        for head in heads:
            table.add_column(head, justify="right", no_wrap=True)
        for name, row in self.summary().items():
            cells = [f"{row[key]:.4g}" for key in ("loss", "median", "worst", "final", "effort")]
            table.add_row(name, *cells, str(row["non_finite"]))
        return table

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, str]:
        """In a notebook, the table."""
        return self.table()._repr_mimebundle_(*arguments, **options)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per controller and state."""
        return [
            {
                "policy": name,
                "state": place,
                **{key: float(getattr(scores, key)[place]) for key in ("loss", "final", "effort")},
            }
            for name, scores in self.scores.items()
            for place in range(len(scores.loss))
        ]

    def to_csv(self, path: Path | str) -> None:
        """Write one line per controller and state, atomically."""
        text, rows = io.StringIO(), self.rows()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_text(path, text.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """The summary and every state's scores."""
        return {"suite": self.suite, "horizon": self.horizon, "summary": self.summary(), "states": self.rows()}

    def to_json(self, path: Path | str) -> None:
        """Write `to_dict`, atomically. What is not finite becomes the string "nan"."""
        atomic_write_text(path, to_json(self.to_dict()) + "\n")


def _summary(scores: ControlScores) -> dict[str, Any]:
    middle, low, high = quartiles(scores.loss)
    return {
        "states": len(scores.loss),
        "loss": float(mean(scores.loss)),
        "lower_quartile": float(low),
        "median": float(middle),
        "upper_quartile": float(high),
        "worst": float(np.max(scores.loss)),
        "final": float(mean(scores.final)),
        "effort": float(mean(scores.effort)),
        "non_finite": int(np.sum(~np.isfinite(scores.loss))),
    }


def evaluate_control(
    policies: Mapping[str, AbstractPolicy],
    task: Task,
    problems: Problem,
    cost: Cost,
    *,
    suite: str = "",
    describe: str = "",
    keep: int = 16,
) -> ControlEvaluation:
    """Run every controller from every initial state.

    **Arguments:** `policies` by name; `task`: objective and horizon; `problems`: a stacked batch; `cost` of one state, for
    the last one; `suite` and `describe`: how the result is called; `keep`: trajectories of so many first states are kept.

    **Raises:** `UndertowError` without a policy.
    """
    require(len(policies) > 0, "there is no policy to evaluate")

    def run(policy: AbstractPolicy, problems: Problem) -> tuple[Any, Trajectory]:
        def one(problem: Problem) -> tuple[Any, Trajectory]:
            trajectory = task.run(policy, problem)
            actions = jax.tree.leaves(trajectory.actions)
            effort = sum((x**2).sum() for x in actions) / sum(x.size for x in actions)
            return (task.objective(trajectory, problem), cost(trajectory.final), effort), trajectory

        numbers, trajectories = eqx.filter_vmap(one, in_axes=(eqx.if_array(0),))(problems)
        return numbers, take(trajectories, slice(keep))

    scores, kept = {}, {}
    for name, policy in policies.items():
        begun = time.perf_counter()
        numbers, trajectories = eqx.filter_jit(run)(policy, problems)
        scores[name] = ControlScores(*map(np.asarray, numbers))
        kept[name] = jax.tree.map(np.asarray, trajectories)
        seconds = time.perf_counter() - begun
        _log.info("%s on %s: %d states in %.2f s", name, suite, len(scores[name].loss), seconds)
    return ControlEvaluation(suite, describe, task.horizon, scores, kept)
