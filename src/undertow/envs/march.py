"""Forward only: batches of problems marched to their end without keeping what training would need."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import batch_size, take
from undertow.envs.conservation import Conservation, FieldState


@eqx.filter_jit
def final_values(
    policy: AbstractPolicy, problems: Problem, steps: int, chunk: int = 32
) -> Float[Array, "cases chan *cells"]:
    """The values after `steps` steps, of every problem of a batch, `chunk` of them at a time."""
    return _map(lambda problem: _steps(policy, problem.environment, problem.state, steps).u, problems, chunk)


@eqx.filter_jit
def saved_values(
    policy: AbstractPolicy, problems: Problem, steps: int, every: int, chunk: int = 32
) -> Float[Array, "cases saved chan *cells"]:
    """The initial values and those after every `every` steps, of every problem of a batch."""

    def one(problem):
        def body(state, _):
            state = _steps(policy, problem.environment, state, every)
            return state, state.u

        _, later = jax.lax.scan(body, problem.state, length=steps // every)
        return jnp.concatenate([problem.state.u[None], later])

    return _map(one, problems, chunk)


@eqx.filter_jit
def march(
    policy: AbstractPolicy, environment: Conservation, state: FieldState, end_time: Array, max_steps: Array
) -> tuple[FieldState, Int[Array, ""]]:
    """As many steps as it takes to reach `end_time`, at most `max_steps`; fewer if something stops being finite.

    For a `CFLStep`, which clips its last step to its end time.

    **Returns:** the last state, whose `time` tells how far it came, and the number of steps.
    """
    step = closed_loop(environment, policy)
    near = end_time * (1 - 8 * jnp.finfo(state.u.dtype).eps)

    def goes_on(carry):
        state, count = carry
        return (state.time < near) & (count < max_steps) & jnp.all(jnp.isfinite(state.u))

    return jax.lax.while_loop(goes_on, lambda carry: (step(carry[0])[0], carry[1] + 1), (state, jnp.zeros((), int)))


def _steps(policy: AbstractPolicy, environment: Conservation, state: FieldState, steps: int) -> FieldState:
    step = closed_loop(environment, policy)
    return jax.lax.scan(lambda carry, _: (step(carry)[0], None), state, length=steps)[0]


def _map(function, problems: Problem, chunk: int) -> Array:
    """`function` of every problem.

    The batch is filled up with copies of the last one, because a remainder would be compiled as a program of its own.
    """
    size = batch_size(problems)
    chunk = min(chunk, size)
    index = np.minimum(np.arange(-(-size // chunk) * chunk), size - 1)
    bare = Problem(problems.environment, problems.state)
    arrays, static = eqx.partition(take(bare, index), eqx.is_array)
    return jax.lax.map(lambda row: function(eqx.combine(row, static)), arrays, batch_size=chunk)[:size]
