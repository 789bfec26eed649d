"""What a control task is: a system to be controlled, and what everybody asks about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from jaxtyping import Array

from undertow._fields import Names, NotNegative
from undertow._limits import Need, number, real, require_memory
from undertow._own import is_own, target_of
from undertow._types import Key
from undertow.core.environment import AbstractControlled
from undertow.core.objective import AbstractObjective, ActionCost, Cost, FinalCost, RunningCost, as_objective


@dataclass(frozen=True)
class ControlObjectiveSettings:
    """What is to be made small."""

    name: Annotated[str, Names(("final", "running"))] = "final"
    """final: the cost of the last state; running: the costs of all states that were reached; or one of your own, such as
    mine.py:error"""
    reduction: Literal["mean", "sum"] = "mean"
    """running: over time"""
    action_cost: NotNegative = 0.0
    """factor of the mean square action"""

    def of(self, cost: Cost) -> AbstractObjective:
        """The objective of states with this `cost`."""
        if is_own(self.name):
            objective = as_objective(target_of(self.name, "objective.name"))
        else:
            objective = FinalCost(cost) if self.name == "final" else RunningCost(cost, self.reduction)
        return objective + self.action_cost * ActionCost() if self.action_cost else objective


@dataclass(frozen=True)
class System:
    """A system, the cost of its states, how initial states are drawn, and the shape of its actions.

    `published`: `(count, seed) -> states`, the first `count` of a published set; None where nothing is published, and the sets
    are drawn as all others.
    """

    environment: AbstractControlled
    cost: Cost
    draw: Callable[[Key], Array]
    action_shape: tuple[int, ...]
    published: Callable[[int, int], Array] | None = None


@dataclass(frozen=True)
class Comparison:
    """Trainings that are compared by the way their gradient travels back.

    - `panels`: settings by name, as values of the configuration's fields by dotted name, beside those of the preset;
    - `epochs`: passes over the training states, as published; `quick_epochs`: those of a quick look.
    """

    panels: Mapping[str, Mapping[str, Any]]
    epochs: int
    quick_epochs: int


@dataclass(frozen=True)
class ControlTask:
    """A control task: all that is said of it is said here, and the rest of the library asks.

    - `summary` of its preset; `goal`: what is to be done, in words.
    - `settings`: a frozen dataclass of plain values with a range each (`undertow._fields`), which is part of the configuration
        and of the command line; `system`: from the settings to the system, raises `UndertowError` for what cannot be.
    - `layout`: what stands where in a state.
    - `game`: its name as a game; `agents`: their name, one for each row of an action that has rows; `bound` of the game's
        actions.
    - `comparison`: its trainings for `undertow reproduce`.
    - `horizon` in time steps (default 100), `objective` and `preset`: what its preset has, `preset` by dotted field.
    """

    summary: str
    goal: str
    settings: type
    system: Callable[[Any], System]
    layout: str
    game: str
    agents: str
    bound: float
    comparison: Comparison
    horizon: int = 100
    objective: ControlObjectiveSettings = ControlObjectiveSettings()
    preset: Mapping[str, Any] = field(default_factory=dict)


def require_state(parts: int, change: str) -> None:
    """Raise `UndertowError` if one state of so many parts does not fit: two numbers of each, and what they are drawn with."""
    require_memory([Need(f"a state of {number(parts)} parts", 32 * real(parts), change)], host=True)
