"""Unrolling a loop in time without keeping its insides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import require, whole_number
from undertow._types import Key
from undertow.core.deferred import deferred
from undertow.core.environment import AbstractEnvironment, check_kept
from undertow.core.flow import FULL, GradientFlow, closed_loop
from undertow.core.policy import AbstractPolicy

State = TypeVar("State")
Action = TypeVar("Action")

Rematerialise = str
"""What the backward pass recomputes: `step` (everything inside a step), `cheap` (all but matrix products), `nothing`; or
`adjoint` (in `rollout` only): like `step`, and the parameters' gradient is taken for all steps at once at the end."""


class Trajectory(eqx.Module, Generic[State, Action]):
    """A closed loop in time. `states`: every leaf `"time+1 ..."`, the initial state first; `actions`: `"time ..."`."""

    states: State
    actions: Action

    @property
    def initial(self) -> State:
        """The first state."""
        return jax.tree.map(lambda x: x[0], self.states)

    @property
    def final(self) -> State:
        """The last state."""
        return jax.tree.map(lambda x: x[-1], self.states)

    @property
    def before(self) -> State:
        """The states that were acted on, `"time ..."`."""
        return jax.tree.map(lambda x: x[:-1], self.states)

    @property
    def after(self) -> State:
        """The states that were reached, `"time ..."`."""
        return jax.tree.map(lambda x: x[1:], self.states)


def _rematerialised(body: Callable, how: str) -> Callable:
    require(how in ("step", "cheap", "nothing"), f"rematerialise must be 'step', 'cheap' or 'nothing', got {how!r}")
    if how == "nothing":
        return body
    policy = jax.checkpoint_policies.dots_saveable if how == "cheap" else None
    # Inside a scan the compiler cannot merge the two forward passes anyway; the barrier would only slow it down.
    return jax.checkpoint(body, policy=policy, prevent_cse=False)


def unroll(
    step: Callable[..., tuple[State, Action]],
    state: State,
    length: int,
    *,
    inputs: Any = None,
    segment: int | None = None,
    rematerialise: Rematerialise = "step",
) -> Trajectory[State, Action]:
    """Apply `step` `length` times and keep every state and action.

    **Arguments:**

    - `step`: `state -> (state', action)`, or `(state, input) -> (state', action)` where `inputs` is given.
    - `state`: the initial state, a pytree of arrays; `length`: number of steps.
    - `inputs`: a pytree of arrays `"time ..."`, one slice per step.
    - `segment`: additionally checkpoint whole segments of so many steps. Backward memory for a final-state objective then
        grows with `length / segment + segment` states instead of `length`. Default: off.
    - `rematerialise`: what the backward pass recomputes instead of storing: `step` (default: a step's insides), `cheap`
        (keep matrix products, recompute the rest), `nothing` (store everything).

    **Returns:** `Trajectory`. **Raises:** `UndertowError` for a length or segment below 1 or an unknown mode.

    **Reference:** Chen et al. (2016), arXiv 1604.06174, for checkpointed segments.
    """
    length = whole_number("length", length)
    segment = None if segment is None else whole_number("segment", segment)

    def body(carry, x):
        new, action = step(carry) if inputs is None else step(carry, x)
        return new, (new, action)

    plain, body = body, _rematerialised(body, rematerialise)
    try:
        return _unrolled(body, state, length, inputs, segment)
    except TypeError:  # what a scan says of a state that a step changes is for those who know scans
        check_kept(plain, state, jax.tree.map(lambda x: x[0], inputs))
        raise


def _unrolled(body: Callable, state: Any, length: int, inputs: Any, segment: int | None) -> Trajectory:
    if segment is None or segment >= length:
        _, (states, actions) = jax.lax.scan(body, state, inputs, length=length)
    else:
        count, rest = divmod(length, segment)
        head = jax.tree.map(lambda x: x[: count * segment].reshape(count, segment, *x.shape[1:]), inputs)
        tail = jax.tree.map(lambda x: x[count * segment :], inputs)

        def run(carry, xs):
            return jax.lax.scan(body, carry, xs, length=segment)

        carry, kept = jax.lax.scan(jax.checkpoint(run, prevent_cse=False), state, head, length=count)
        kept = jax.tree.map(lambda x: x.reshape(count * segment, *x.shape[2:]), kept)
        if rest:
            _, last = jax.lax.scan(body, carry, tail, length=rest)
            kept = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), kept, last)
        states, actions = kept
    return Trajectory(with_first(state, states), actions)


def with_first(state: Any, later: Any) -> Any:
    """The states of a trajectory from the first one and those reached, `"time ..."`."""
    return jax.tree.map(lambda x, rest: jnp.concatenate([jnp.asarray(x)[None], rest]), state, later)


def rollout(
    env: AbstractEnvironment,
    policy: AbstractPolicy,
    state: State,
    length: int,
    *,
    flow: GradientFlow = FULL,
    key: Key | None = None,
    nudges: Any = None,
    segment: int | None = None,
    rematerialise: Rematerialise = "step",
) -> Trajectory[State, Any]:
    """Unroll the closed loop of `env` and `policy` for `length` steps.

    **Arguments:** as in `closed_loop` and `unroll`; `flow`'s gates may be arrays over time; `key` is split over the steps;
    `nudges`: added to the actions, a pytree like them, `"time ..."`. `rematerialise="adjoint"` is faster for networks in
    environments that ask once per step; reverse mode only, see [`deferred`][undertow.core.deferred.deferred].

    **Returns:** `Trajectory`.
    """
    keys = None if key is None else jax.random.split(key, length)
    if rematerialise == "adjoint":
        require(segment is None, "rematerialise='adjoint' stores every state; segments need 'step'")
        reached, actions = deferred(env, policy, state, flow, keys, nudges, length)
        return Trajectory(with_first(state, reached), actions)
    gates = flow.per_step(length) if flow.varies_in_time else None
    if keys is None and gates is None and nudges is None:
        return unroll(closed_loop(env, policy, flow), state, length, segment=segment, rematerialise=rematerialise)

    def step(s, x):
        gate, step_key, nudge = x
        return closed_loop(env, policy, flow if gate is None else gate, key=step_key, nudge=nudge)(s)

    return unroll(step, state, length, inputs=(gates, keys, nudges), segment=segment, rematerialise=rematerialise)
