"""Forward only: batches of problems marched to their end without keeping what training would need."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from undertow._tree import concatenate, take
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import Conservation, FieldState
from undertow.numerics.timestep import FixedStep
from undertow.schemes.positivity import HALVINGS, is_physical
from undertow.schemes.solve import step_length

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


@eqx.filter_jit
def march(
    policy: AbstractPolicy, environment: Conservation, state: FieldState, end_time: Array, max_steps: Array
) -> tuple[FieldState, Int[Array, ""]]:
    """As many steps as it takes to reach `end_time`, at most `max_steps`; fewer if something stops being finite.

    For a rule that clips its last step to its end time. With a positivity limiter a step of a `CFLStep` is taken again with
    half its length, at most `HALVINGS` times, until every stage and the result are physical; the march ends at a state that is
    not.

    **Returns:** the last state, whose `time` tells how far it came, and the number of steps.
    """
    scheme, step = environment.scheme, closed_loop(environment, policy)
    near = end_time * (1 - 8 * jnp.finfo(state.u.dtype).eps)
    guarded = scheme.domain.limiter is not None

    def goes_on(carry):
        state, count = carry
        fine = jnp.all(jnp.isfinite(state.u))
        fine = fine & is_physical(scheme.law, state.u) if guarded else fine
        return (state.time < near) & (count < max_steps) & fine

    def careful(state: FieldState) -> FieldState:
        first = step_length(scheme, environment.time_step, state.u, state.time, environment.integrator)

        def attempt(dt: Array) -> tuple[FieldState, Array]:
            good = []

            def feedback(stage: FieldState):
                good.append(is_physical(scheme.law, stage.u))
                return policy(environment.observe(stage))

            fixed = dataclasses.replace(environment, time_step=FixedStep(dt))
            new, _ = fixed.step(state, feedback)
            return new, jnp.stack([*good, is_physical(scheme.law, new.u)]).all()

        def shorter(carry):
            dt, _, _, tries = carry
            return (0.5 * dt, *attempt(0.5 * dt), tries + 1)

        begin = (2 * first, state, jnp.zeros((), bool), jnp.zeros((), int))
        return jax.lax.while_loop(lambda c: ~c[2] & (c[3] <= HALVINGS), shorter, begin)[1]

    advanced = careful if guarded and environment.time_step.needs_speed else (lambda state: step(state)[0])
    return jax.lax.while_loop(goes_on, lambda carry: (advanced(carry[0]), carry[1] + 1), (state, jnp.zeros((), int)))
