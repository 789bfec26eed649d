"""A simulator of one's own as a control task: a plain step is enough."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from undertow._checks import calling, require, shown
from undertow._tree import as_pytree
from undertow.core.environment import AbstractControlled, check_kept
from undertow.core.objective import one_number
from undertow.tasks.task import Comparison, ControlObjectiveSettings, ControlTask, System

Step = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class NoSettings:
    """Nothing: a simulator of one's own has its numbers in its own file."""


class Simulator(AbstractControlled[Array, Array, Array]):
    """A plain step as an environment. Its state is one array: that of the simulator, or all of its arrays in one row.

    **Arguments:** `simulator`: the step `(state, action) -> state`, or an environment; `seen`: what the policy sees of a state,
    None for the environment's own `observe`, or all numbers in one row; `unravel`: from one row to the simulator's state, None
    where the state is one array.
    """

    simulator: Any
    seen: Callable | None
    unravel: Callable | None = eqx.field(static=True)

    def inner(self, state: Array) -> Any:
        """The state as the simulator has it."""
        return state if self.unravel is None else self.unravel(state)

    def observe(self, state: Float[Array, "..."]) -> Float[Array, "..."]:
        """What the policy sees."""
        if self.seen is not None:
            return self.seen(self.inner(state))
        if isinstance(self.simulator, AbstractControlled):
            return self.simulator.observe(self.inner(state))
        return state.reshape(-1)

    def advance(self, state: Float[Array, "..."], action: Float[Array, "..."]) -> Float[Array, "..."]:
        """One step, in the precision of the state."""
        known = isinstance(self.simulator, AbstractControlled)
        step: Step = self.simulator.advance if known else self.simulator
        new = step(self.inner(state), action)
        return (new if self.unravel is None else ravel_pytree(new)[0]).astype(state.dtype)


def control_task(
    simulator: Step | AbstractControlled | type[AbstractControlled],
    *,
    cost: Callable[[Any], Float[Array, ""]],
    start: Callable[[Array], Any],
    action: int | Sequence[int],
    observe: Callable[[Any], Array] | None = None,
    horizon: int = 100,
    objective: Literal["final", "running"] = "running",
    action_cost: float = 0.0,
    goal: str = "control a simulator of one's own",
) -> ControlTask:
    """A control task from a simulator, for everything that takes the name of a task: `learn`, `train`, run directories, resume,
    evaluate, report, compare, export.

    **Arguments:**

    - `simulator`: one time step, a function `(state, action) -> state` written with `jax.numpy`; or an environment
        ([`AbstractControlled`][undertow.core.environment.AbstractControlled]), an object or a class without arguments. The state
        is an array or a pytree of arrays, of one sample, without a batch.
    - `cost`: of one state, one number. `start`: from a random key to an initial state.
    - `action`: the shape of an action, or how many numbers it has.
    - `observe`: what the policy sees of a state, one array; default: the environment's own, or all numbers of the state.
    - `horizon`: time steps, default 100; `objective`: `running` (default: mean cost over time) or `final` (of the last state);
        `action_cost`: factor of the mean square action, default 0. They are defaults of the configuration.
    - `goal`: what is to be done, in words.

    **Returns:** the task. Bind it to a name in its file (`BOAT = control_task(...)`), by which it is found again as
    `boat.py:BOAT`.

    **Raises:** `UndertowError` for functions that fail, shapes that do not fit, a start that is not of floating-point numbers or
    not finite, each in one line.
    """
    made: Any = simulator
    if inspect.isclass(made):
        with calling(f"{made.__name__}() fails"):
            made = made()
    known = isinstance(made, AbstractControlled)
    require(known or callable(made), f"a simulator is a step (state, action) -> state, got {shown(made)}")
    made = as_pytree(made)
    step: Step = made.advance if known else made
    shape = (action,) if isinstance(action, int) else tuple(action)
    with calling("start(key) fails"):
        state = start(jax.random.key(0))
    for leaf in jax.tree.leaves(state):
        require(
            jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and bool(np.isfinite(np.asarray(leaf)).all()),
            f"start(key) has to give finite floating-point numbers, got {shown(leaf)}",
        )
    single = isinstance(state, jax.Array | np.ndarray)
    unravel = None if single else ravel_pytree(state)[1]
    with calling("the simulator (state, action) fails"):
        check_kept(lambda s, x: (step(s, x), None), state, jnp.zeros(shape), exact=False)
    environment = Simulator(made, None if observe is None else as_pytree(observe), unravel)

    def flat(key: Array) -> Array:
        return jnp.asarray(start(key)) if single else ravel_pytree(start(key))[0]

    @functools.wraps(cost)
    def valued(state: Array) -> Array:
        return cost(environment.inner(state))

    shown_state = jax.eval_shape(flat, jax.random.key(0))
    with calling("observe(state) fails"):
        seen = jax.eval_shape(environment.observe, shown_state)
    require(
        isinstance(seen, jax.ShapeDtypeStruct) and seen.size > 0,
        f"observe(state) has to give one array, got {shown(seen)}; join its parts with jnp.concatenate",
    )
    with calling("cost(state) fails"):
        one_number(jax.eval_shape(valued, shown_state), cost, "state")
    system = System(environment, valued, flat, shape)
    return ControlTask(
        summary=goal,
        goal=goal,
        settings=NoSettings,
        system=lambda _: system,
        layout="one array"
        if single
        else "the leaves of the simulator's state, in the order of jax.tree.leaves, in one row",
        game="Own",
        agents="agent",
        bound=1.0,
        comparison=Comparison({}, 1, 1),
        horizon=horizon,
        objective=ControlObjectiveSettings(objective, action_cost=action_cost),
    )
