"""What trained controllers are measured by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array

from undertow._checks import UndertowError, lookup, require, whole_number
from undertow._limits import Need, least_seconds, number, require_memory, require_time
from undertow._types import Key
from undertow.assembly.judge import LEARNED, AbstractJudge
from undertow.config import ControlConfig
from undertow.core.environment import AbstractControlled
from undertow.core.flow import FLOWS
from undertow.core.objective import Cost, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.envs.needs import parameters_of
from undertow.evaluation.control import ControlEvaluation, evaluate_control
from undertow.instruments.health import StepGradients, step_gradients
from undertow.policies.controller import ZeroAction

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from undertow.report.html import Section

UNCONTROLLED = "no control"
CONTROL_SUITES = {
    "test": "the test states",
    "train": "the states trained on",
    "fresh": "1024 states drawn anew",
    "longer": "the test states, over twice the horizon",
}
"""What controllers are evaluated on, by name."""

# Far from the seeds of training and test sets.
_FRESH_SEED, _FRESH = 1_000_003, 1024
# Test states whose gradients are drawn, step by step.
_MEASURED = 32


class ControlJudge(AbstractJudge):
    """Controllers beside no control, on the states of their configuration and on others."""

    def __init__(
        self,
        config: ControlConfig,
        environment: AbstractControlled,
        cost: Cost,
        task: Task,
        draw: Callable[[Key], Array],
        action_shape: tuple[int, ...],
        sets: Callable[[], tuple[Problem, Problem]],
    ):
        self.suites = config.evaluation.suites
        self.known = CONTROL_SUITES
        self.config, self.environment, self.cost, self.task = config, environment, cost, task
        self._draw, self._action_shape, self._sets = draw, action_shape, sets

    def problems(self, suite_name: str, n: int | None = None) -> Problem:
        """The problems of a suite, or the first `n` of them. Raises `UndertowError` for more than there are (of `fresh` there
        are as many as are asked for)."""
        lookup("suite", suite_name, self.known)
        n = None if n is None else whole_number("n, the number of initial states,", n)
        if suite_name == "fresh":
            keys = jax.random.split(jax.random.key(_FRESH_SEED), _FRESH if n is None else n)
            return Problem(self.environment, jax.vmap(self._draw)(keys))
        train, test = self._sets()
        problems = train if suite_name == "train" else test
        available = len(problems.state)
        require(
            n is None or n <= available, f"suite {suite_name!r} has {available} initial states, got n={n}; take fresh"
        )
        return problems if n is None else Problem(problems.environment, problems.state[:n])

    def evaluate(self, policy: AbstractPolicy, suite_name: str, **overrides: Any) -> ControlEvaluation:
        """`overrides`: `n` states, `steps` of the unroll, `long`: also what certainly takes hours."""
        for name in overrides:
            if name not in ("n", "steps", "long"):
                raise UndertowError(f"a controller is not evaluated with another {name}; there are: n (cases), steps")
        usual = self.task.horizon * (2 if suite_name == "longer" else 1)
        steps = whole_number("steps", overrides.get("steps", usual))
        task = dataclasses.replace(self.task, horizon=steps)
        n = overrides.get("n")
        n = None if n is None else whole_number("n, the number of initial states,", n)
        self._require_room(suite_name, n, steps, parameters_of(policy), overrides.get("long", False))
        policies = {LEARNED: policy, UNCONTROLLED: ZeroAction(self._action_shape)}
        problems = self.problems(suite_name, n)
        describe = f"{self.known[suite_name]}, {steps} steps"
        return evaluate_control(policies, task, problems, self.cost, suite=suite_name, describe=describe)

    def _require_room(self, suite_name: str, n: int | None, steps: int, parameters: float, long: bool) -> None:
        """Raise `UndertowError` for more states or steps than memory or patience bears."""
        data = self.config.data
        held = {"fresh": _FRESH if n is None else n, "train": data.train}.get(suite_name, data.test)
        states = held if n is None else min(held, n)
        state = jax.eval_shape(self._draw, jax.random.key(0))
        needed = float(state.size) * state.dtype.itemsize * states * (1 + steps)
        what = f"{number(steps)} steps from {number(states)} states"
        require_memory([Need(what, needed, "cases or steps")])
        seconds = least_seconds(2 * steps, states, parameters)
        require_time([Need(what, seconds, "cases or steps")], long=long)

    def summarise(self, evaluations: Mapping[str, ControlEvaluation]) -> dict[str, Any]:
        """`loss` is the first suite's mean, `suites` everything."""
        if not evaluations:
            return {}
        tables = {name: evaluation.summary() for name, evaluation in evaluations.items()}
        first = next(iter(tables))
        return {"suite": first, "loss": tables[first][LEARNED]["loss"], "suites": tables}

    def table(self, evaluations: Mapping[str, ControlEvaluation]) -> Table:
        from rich.table import Table  # not at the top: `import undertow` need not draw

        table = Table(title="mean loss over the states (median; worst)", title_justify="left")
        table.add_column("suite", no_wrap=True)
        table.add_column("states", justify="right")
        for name in (LEARNED, UNCONTROLLED):
            table.add_column(name, justify="right", no_wrap=True)
        for suite_name, evaluation in evaluations.items():
            rows = evaluation.summary()
            cells = [
                f"{row['loss']:.4g} ({row['median']:.4g}; {row['worst']:.4g})"
                for row in (rows[LEARNED], rows[UNCONTROLLED])
            ]
            table.add_row(suite_name, str(rows[LEARNED]["states"]), *cells)
        return table

    def figures(
        self,
        policy: AbstractPolicy,
        evaluations: Mapping[str, ControlEvaluation],
        metrics: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[tuple[str, Figure]]:
        from undertow.report.control import control_figures  # not at the top: it takes long to load

        shown, health = next(iter(evaluations.values())), self._health(policy)
        return control_figures(self.environment, shown, metrics, cost=self.cost, health=health)

    def draw(
        self,
        folder: Path,
        policy: AbstractPolicy,
        evaluations: Mapping[str, ControlEvaluation],
        metrics: Mapping[str, np.ndarray] | None = None,
    ) -> list[Path]:
        from undertow.report.control import draw_control  # not at the top: it takes long to load

        shown, health = next(iter(evaluations.values())), self._health(policy)
        return draw_control(folder, self.environment, shown, metrics, cost=self.cost, health=health)

    def sections(self, policy: AbstractPolicy, evaluations: Mapping[str, ControlEvaluation]) -> list[Section]:
        from undertow.report.html.control_pages import control_sections  # not at the top: it takes long to load

        return control_sections(evaluations, self.environment, self.cost)

    def _health(self, policy: AbstractPolicy) -> StepGradients:
        return step_gradients(self.task, policy, self.problems("test", min(_MEASURED, self.config.data.test)), FLOWS)
