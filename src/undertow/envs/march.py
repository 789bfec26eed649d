"""Forward only: batches of problems carried through a number of steps without keeping what training would need."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._tree import concatenate, take
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import FieldState

CHUNK = 32
"""Problems that are advanced at a time."""


def advance_all(
    policy: AbstractPolicy, problems: Problem, states: FieldState, steps: int, *, chunk: int = CHUNK
) -> FieldState:
    """The states of a batch of problems after `steps` more steps, `chunk` problems at a time.

    One compiled program serves every number of problems and steps: the last chunk is filled up with copies of the last
    problem, and the number of steps is data. With 0 steps this compiles and does nothing else.
    """
    size = len(states.u)
    index = np.minimum(np.arange(-(-size // chunk) * chunk), size - 1).reshape(-1, chunk)
    bare = Problem(problems.environment, states)
    parts = [_advance(policy, take(bare, rows), jnp.asarray(steps)) for rows in index]
    return take(concatenate(parts), slice(size))


@eqx.filter_jit
def _advance(policy: AbstractPolicy, problems: Problem, steps: Array) -> FieldState:
    def one(problem):
        step = closed_loop(problem.environment, policy)
        return jax.lax.fori_loop(0, steps, lambda _, state: step(state)[0], problem.state)

    return eqx.filter_vmap(one, in_axes=(eqx.if_array(0),))(problems)


def final_values(policy: AbstractPolicy, problems: Problem, steps: int) -> Float[Array, "cases chan *cells"]:
    """The values after `steps` steps, of every problem of a batch."""
    return advance_all(policy, problems, problems.state, steps).u


def saved_values(
    policy: AbstractPolicy, problems: Problem, steps: int, every: int
) -> Float[np.ndarray, "cases saved chan *cells"]:
    """The initial values and those after every `every` steps, of every problem of a batch."""
    states, saved = problems.state, [np.asarray(problems.state.u)]
    for _ in range(steps // every):
        states = advance_all(policy, problems, states, every)
        saved.append(np.asarray(states.u))
    return np.stack(saved, axis=1)
