"""The games by name, and what they can be made with."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from undertow._checks import (
    Within,
    choice,
    is_zero,
    lookup,
    real_number,
    refuse_unknown,
    require,
    require_positive,
    whole_number,
)
from undertow._fields import read
from undertow._limits import require_memory
from undertow._tree import numbers_as_arrays
from undertow.assembly.scheme import make_objective
from undertow.config import ObjectiveConfig
from undertow.core.objective import AbstractObjective
from undertow.envs.needs import march_memory
from undertow.envs.penalties import ConservationPenalty, TotalVariationPenalty, WeightCloning
from undertow.envs.placing import grid_of, law_of, point_values
from undertow.envs.pools import Discretised
from undertow.games.actions import ACTIONS, AbstractActions
from undertow.games.control import ControlGame, ControlParams
from undertow.games.fields import FieldGame, FieldParams, check_truth
from undertow.games.game import AbstractGame
from undertow.games.initial import Drawn, DrawnCondition, pool
from undertow.games.scores import worst_step
from undertow.laws.cases import Initial, Play, Problems
from undertow.laws.catalogue import all_problems
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw, make_law
from undertow.numerics.integrator import INTEGRATORS
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import classical
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.solve import check_finite
from undertow.schemes.splitting import SPEEDS
from undertow.schemes.stability import check_cfl, check_courant_number, check_diffusion_number, check_viscosity
from undertow.tasks import TASKS
from undertow.tasks.task import ControlObjectiveSettings, ControlTask, System

LIMIT = 1e7
"""The size of a value that ends an episode, as published."""
REWARDS = (
    "one-step",
    "full",
    "change",
    "consistency-lo",
    "consistency-hi",
    "conservation",
    "cloning",
    "total-variation",
)
"""Rewards of games of conservation laws by name."""


@dataclass(frozen=True)
class FieldGameSpec:
    """A game of a conservation law. **Arguments:** the `law` and its `problems`, which say what they are `play`ed with."""

    law: type[AbstractConservationLaw]
    problems: Problems
    play: Play

    @property
    def summary(self) -> str:
        """For people."""
        return self.play.about

    def __call__(
        self,
        *,
        case: str | tuple[str, ...] | Initial | None = None,
        cells: int | None = None,
        order: int = 5,
        integrator: str | None = None,
        dt: float | None = None,
        cfl: float | None = None,
        steps: int | None = None,
        end_time: float | None = None,
        actions: str | AbstractActions = "logits",
        acts: str = "step",
        observations: str = "normalised",
        reward: str | AbstractObjective = "one-step",
        reconstruction: str = "component",
        speed: str = "global",
        positivity: bool = False,
        viscosity: float = 0.0,
        velocity: float | None = None,
        source: float = 0.0,
        limit: float = LIMIT,
        penalty: float | None = None,
        **reward_options: Any,
    ) -> tuple[FieldGame, FieldParams]:
        """The game and its parameters, see [`make`][undertow.games.registry.make]."""
        rewards = [f.name for f in dataclasses.fields(ObjectiveConfig) if f.name not in _NOT_OPTIONS]
        refuse_unknown(reward_options, [*_options(self), *rewards], "the game")
        law = self._law(viscosity, velocity)
        start, template = _initial(self, self.play.case if case is None else case)
        law = law_of(template, law)
        cells = self.play.cells if cells is None else cells
        cells, limit = whole_number("cells", cells), require_positive("limit", limit)
        source = real_number("source", source, Within(at_least=0))
        require(law.has_source or not source, f"{type(law).__name__} has no source here; leave source out")
        objective = _objective(reward, order, reward_options, viscous=viscosity > 0)
        check_truth(law, template, objective)
        require(cfl is None or dt is None, "cfl and dt contradict each other; give one of them")
        require(steps is None or end_time is None, "steps and end_time contradict each other; give one of them")
        kind = lookup("actions", actions, ACTIONS)() if isinstance(actions, str) else actions
        how = Discretised(
            self._law(viscosity, velocity),
            cells,
            1,
            1.0,
            order=order,
            integrator=lookup("integrator", self.play.integrator if integrator is None else integrator, INTEGRATORS),
            speed=lookup("splitting speed", speed, SPEEDS),
            reconstruction=reconstruction,  # type: ignore[arg-type]
            limiter=PositivityLimiter() if positivity else None,
        )
        grid = grid_of(template, cells)
        require_memory(march_memory(math.prod(grid.num_cells), law.num_components, 0, "cells"))
        game = FieldGame(
            how,
            grid,
            law.num_components,
            objective,
            kind,
            choice("acts", acts, ("step", "stage")),
            choice("observations", observations, ("normalised", "raw")),
        )
        u0, speed_over_dx = _at_start(how, template)
        check_finite(u0)
        steps = None if steps is None else whole_number("steps", steps)
        end_time = None if end_time is None else require_positive("end_time", end_time)
        until = math.inf if end_time is None else end_time
        rule: FixedStep | CFLStep
        if cfl is None:
            dt = self.play.dt * self.play.cells * grid.spacing[0] if dt is None else dt
            dt = require_positive("dt", dt)
            courant = float(speed_over_dx) * dt
            taken = steps if end_time is None else math.ceil(end_time / dt)
            taken = self.play.steps if taken is None else taken
            check_courant_number(courant, dt, integrator=how.integrator, order=order, steps=taken)
            check_diffusion_number(
                check_viscosity(law.viscosity), dt, grid.spacing, how.integrator, courant=courant, order=order
            )
            rule = FixedStep(jnp.asarray(dt, float))
        else:
            cfl = require_positive("cfl", cfl)
            check_cfl(cfl, how.integrator, order)
            rule = CFLStep(jnp.asarray(cfl, float), jnp.asarray(until, float), grid.dx)
        if steps is None and end_time is None:
            steps = self.play.steps
        params = FieldParams(
            start,
            rule,
            _constants(how.law),
            jnp.asarray(_NO_END if steps is None else steps, int),
            jnp.asarray(until, float),
            jnp.asarray(limit, float),
            jnp.asarray(worst_step(objective) if penalty is None else penalty, float),
            jnp.asarray(source, float) if source else None,
        )
        return game, params

    def _law(self, viscosity: float, velocity: float | None) -> AbstractConservationLaw:
        viscosity = real_number("viscosity", viscosity, Within(at_least=0))
        require(
            not (viscosity and self.problems.brings_law),
            "viscosity is for scalar laws in one dimension; leave it out",
        )
        constants = {"viscosity": viscosity} if viscosity else {}
        return make_law(self.law, constants if velocity is None else {**constants, "velocity": velocity})


@eqx.filter_jit
def _at_start(how: Discretised, condition: Initial) -> tuple[Array, Array]:
    """The values of a condition, and how many cells its fastest wave crosses per unit time: one program, not many small ones."""
    scheme = how.environment(condition).scheme
    u0 = point_values(condition, scheme.grid)
    scheme.domain.check_state(u0)
    return u0, scheme.domain.speed_over_dx(u0)


def _options(spec: Callable) -> list[str]:
    """The options that a spec names itself."""
    parameters = inspect.signature(type(spec).__call__).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


_drawn = eqx.filter_jit(lambda start, key: start(key))
_NO_END = 2**31 - 1
_NOT_OPTIONS = ("name", "error", "floor", "penalty")


def _constants(law: AbstractConservationLaw) -> AbstractConservationLaw:
    """A law's numbers as arrays; zeros are left out, so that terms that are not there cost nothing."""
    return jax.tree.map(lambda x: None if is_zero(x) else jnp.asarray(x, float), law)


def _objective(
    reward: str | AbstractObjective, order: int, options: dict[str, Any], *, viscous: bool
) -> AbstractObjective:
    if not isinstance(reward, str):
        refuse_unknown(options, (), "a reward that is an object")
        return reward
    choice("reward", reward, REWARDS)
    comparator = options.get("comparator", ObjectiveConfig.comparator)
    plain = {
        "conservation": lambda: ConservationPenalty(),
        "total-variation": lambda: TotalVariationPenalty(),
        "cloning": lambda: WeightCloning(classical(comparator, order)),
    }
    if reward in plain:
        refuse_unknown(options, ("comparator",) if reward == "cloning" else (), f"reward {reward!r}")
        return plain[reward]()
    config = ObjectiveConfig("reward", error=reward, **options)  # type: ignore[arg-type]
    return make_objective(config, order, 1, viscous=viscous)


def _initial(spec: FieldGameSpec, case: str | tuple[str, ...] | Initial) -> tuple[Callable, Initial]:
    """What draws the condition of an episode, and an example of it."""
    if not isinstance(case, (str, tuple)):
        return pool([case]), case
    problems = spec.problems
    if case == "random":
        require(problems.random is not None, f"there are no random problems of {spec.play.name}; name a case")
        drawn = Drawn(problems.family)
        return drawn, _drawn(drawn, jax.random.key(0))
    if isinstance(case, str) and problems.find is None:
        choice("case", case, (*problems.cases, "random"))
    names = (case,) if isinstance(case, str) else case
    require(len(names) > 0, "a game needs at least one case, got an empty tuple")
    found = [problems.case(name) for name in names]
    if isinstance(case, str) and found[0].draws:
        own = DrawnCondition(case)
        return own, _drawn(own, jax.random.key(0))
    conditions = [each.field() for each in found]
    for name, condition in zip(names, conditions, strict=True):
        if isinstance(condition, AbstractField):
            require(
                isinstance(condition.law, spec.law),
                f"case {name!r} is one of {type(condition.law).__name__}, not of {spec.law.__name__}; take its own game",
            )
    if len(conditions) > 1:
        conditions = [each.shared_form() if isinstance(each, AbstractField) else each for each in conditions]
    return pool(conditions), conditions[0]


@functools.lru_cache(maxsize=64)
def _system(task: str, settings: Any) -> System:
    """The same object for the same settings, so that equal games are equal."""
    return TASKS[task].system(settings)


@dataclass(frozen=True)
class ControlGameSpec:
    """A game of a control task. **Arguments:** `name` of the task, out of `TASKS`."""

    name: str

    @property
    def task(self) -> ControlTask:
        """The task."""
        return TASKS[self.name]

    @property
    def summary(self) -> str:
        """For people."""
        return self.task.goal

    def __call__(
        self,
        *,
        horizon: int | None = None,
        reward: str | AbstractObjective | None = None,
        reduction: str | None = None,
        action_cost: float | None = None,
        bound: float | None = None,
        limit: float = LIMIT,
        penalty: float = LIMIT,
        **system_options: Any,
    ) -> tuple[ControlGame, ControlParams]:
        """The game and its parameters, see [`make`][undertow.games.registry.make]."""
        task = self.task
        fields = [f.name for f in dataclasses.fields(task.settings)]
        refuse_unknown(system_options, [*_options(self), *fields], f"the game of {self.name}")
        changes = {"reduction": reduction, "action_cost": action_cost}
        if isinstance(reward, str):
            changes["name"] = choice("reward", reward, ("final", "running"))
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        require(
            isinstance(reward, (str, type(None))) or not given,
            "a reward that is an object has its own reduction and action_cost; leave them out",
        )
        objective_settings = read(ControlObjectiveSettings, dataclasses.replace(task.objective, **given), "objective")
        horizon = whole_number("horizon", task.horizon if horizon is None else horizon)
        bound = require_positive("bound", task.bound if bound is None else bound)
        limit = require_positive("limit", limit)
        system = _system(self.name, read(task.settings, system_options, "system"))
        objective = objective_settings.of(system.cost) if reward is None or isinstance(reward, str) else reward
        rows = range(system.action_shape[0])
        names = tuple(f"{task.agents}_{row}" for row in rows) if len(system.action_shape) > 1 else (task.agents,)
        seen = jax.eval_shape(lambda key: system.environment.observe(system.draw(key)), jax.random.key(0))
        game = ControlGame(system.draw, objective, seen.shape, system.action_shape, names, bound)
        params = ControlParams(
            numbers_as_arrays(system.environment, float),
            jnp.asarray(horizon, int),
            jnp.asarray(limit, float),
            jnp.asarray(penalty, float),
        )
        return game, params


GAMES: dict[str, FieldGameSpec | ControlGameSpec] = {
    **{
        f"undertow/{problems.play.name}-v0": FieldGameSpec(entry.law, problems, problems.play)
        for entry, problems in all_problems()
        if problems.play is not None
    },
    **{f"undertow/{task.game}-v0": ControlGameSpec(name) for name, task in TASKS.items()},
}
"""Every game, by its id. An entry is called with options and makes the game and its parameters."""


def make(id: str, **options: Any) -> tuple[AbstractGame, Any]:
    r"""The game called `id`, one of `GAMES`, and its parameters.

    **Arguments**, all optional. Of conservation laws:

    - `case`: a named condition (`undertow list conditions`), several in a tuple, of which every episode draws one, `random`
        for the random family, or a condition itself; `cells`, `order`, `integrator`, `reconstruction`, `speed`,
        `positivity`, `viscosity`, `velocity` (of advection), `source` (amplitude of a random one).
    - `dt` (default: the usual one, which follows the size of the cells) or `cfl`; the end of an episode: `steps` or `end_time`.
    - `actions`: a name out of `ACTIONS` or an object (default `logits`, which any agent may choose; `simplex` takes the weights
        themselves); `acts`: `step` or `stage`; `observations`: `normalised` or `raw`.
    - `reward`: a name out of `REWARDS` or an objective; with a name also `against`, `comparator`, `combination`, `squash`,
        `scale`, `clipped`, `components`, `conservation`, `total_variation`, `cloning` as in
        [`ObjectiveConfig`][undertow.config.scheme.ObjectiveConfig].
    - `limit`: the size of a value that ends an episode (1e7); `penalty` for every step that is then not taken (default
        $\pi/2$ for rewards that are arctangents, else 1e7, as published).

    Of controlled systems: the fields of the system in its configuration (`poles`, `level`, ...); `horizon`; `reward`: `final`,
    `running` or an objective; `reduction`, `action_cost`; `bound` of the action space; `limit`, `penalty`.

    **Returns:** the game and its parameters.

    **Raises:** `UndertowError` for an unknown id or option, or for what cannot work.
    """
    return lookup("game", id, GAMES)(**options)
