r"""Objectives over whole trajectories as rewards of single steps and agents.

The formulas are those of `undertow.envs.rewards`, `penalties` and `consistency`; here they are asked about one step. What a
game's rewards add up to over an undisturbed episode is minus what the objective says of its trajectory.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError
from undertow.core.objective import AbstractObjective, ActionCost, FinalCost, Problem, RunningCost, SumObjective
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory
from undertow.envs import rewards
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.objectives import FieldReference
from undertow.envs.penalties import ConservationPenalty, TotalVariationPenalty, WeightCloning
from undertow.schemes.faces import Weights

WITHOUT_SQUASH = 1e7
"""What a lost step costs where no arctangent bounds the reward, as published."""


def parts_of(objective: AbstractObjective) -> list[AbstractObjective]:
    """The terms of a sum, and of sums in it."""
    if isinstance(objective, SumObjective):
        return [term for part in objective.parts for term in parts_of(part)]
    return [objective]


def asks_weights(objective: AbstractObjective) -> bool:
    """Whether an objective looks at the weights that were chosen."""
    return any(isinstance(part, WeightCloning) for part in parts_of(objective))


def face_rewards(objective: AbstractObjective, trajectory: Trajectory, problem: Problem) -> Float[Array, " agents"]:
    """The reward of every face for the last step of a trajectory: the faces of all axes, one after the other.

    What an objective says of a step as a whole, every face gets; errors of separate components count by their mean.

    **Raises:** `UndertowError` for an objective that is no sum over steps.
    """
    if isinstance(objective, SumObjective):
        terms = [
            factor * face_rewards(part, trajectory, problem)
            for part, factor in zip(objective.parts, objective.factors, strict=True)
        ]
        return sum(terms[1:], terms[0])
    grid = rewards.conservation(problem).scheme.grid
    if isinstance(objective, rewards.Reward):
        axes = [each[-1] for each in objective.rewards(trajectory, problem)]
        return _flat([jnp.mean(each, axis=0) if each.ndim > grid.num_axes else each for each in axes])
    if isinstance(objective, WeightCloning):
        return -_flat([jnp.mean(each[-1], axis=0) for each in objective.distances(trajectory, problem)])
    agents = sum(math.prod(n + (a == b) for b, n in enumerate(grid.num_cells)) for a in range(grid.num_axes))
    if isinstance(objective, ConservationPenalty):
        return jnp.broadcast_to(objective.rewards(trajectory, problem)[-1], (agents,))
    assert isinstance(objective, TotalVariationPenalty)
    last = Trajectory(jax.tree.map(lambda x: x[-2:], trajectory.states), None)
    return jnp.broadcast_to(-objective(last, problem), (agents,))


def step_rewards(
    objective: AbstractObjective,
    environment: Conservation,
    before: FieldState,
    after: FieldState,
    reference: Float[Array, "2 chan *cells"] | None = None,
    weights: Weights | None = None,
) -> Float[Array, " agents"]:
    """Every face's reward for a step.

    **Arguments:** `objective`; `environment`; the states `before` and `after` it; `reference`: the trajectory that is compared
    with, at both of them, where the objective names one (`reference_of`); `weights` that were chosen, where it asks for them.
    """
    twice = any(isinstance(part, rewards.Reward) and changes(part.error) for part in parts_of(objective))
    states = [before, before, after] if twice else [before, after]
    trajectory = Trajectory(
        jax.tree.map(lambda *xs: jnp.stack(xs), *states),
        jax.tree.map(lambda w: jnp.stack([w] * (len(states) - 1)), weights),
    )
    if reference is not None and not twice:
        reference = reference[1:]
    known = None if reference is None else FieldReference(reference, jnp.ones(()))
    return face_rewards(given(objective), trajectory, Problem(environment, before, known))


def _flat(axes: list[Array]) -> Float[Array, " agents"]:
    return jnp.concatenate([each.reshape(-1) for each in axes])


def check_face_objective(objective: AbstractObjective, sets_weights: bool) -> None:
    """Raise `UndertowError` unless `face_rewards` knows the objective; cloning needs actions that are weights."""
    kinds = (rewards.Reward, ConservationPenalty, TotalVariationPenalty, WeightCloning)
    for part in parts_of(objective):
        if not isinstance(part, kinds):
            raise UndertowError(
                f"{type(part).__name__} is no sum over steps and faces; take one of "
                f"{', '.join(kind.__name__ for kind in kinds)}, or a sum of them"
            )
        if isinstance(part, WeightCloning) and not sets_weights:
            raise UndertowError("cloning compares stencil weights, and these actions set fluxes; take another reward")
        if isinstance(part, rewards.Reward) and changes(part.error) and full_error(part.error) is None:
            raise UndertowError("the change of an error is known for FullError alone, got another one")


def changes(error: rewards.AbstractError) -> bool:
    """Whether an error looks at two steps at once."""
    if isinstance(error, rewards.ClippedError):
        return changes(error.error)
    return isinstance(error, rewards.ChangeError)


def full_error(error: rewards.AbstractError) -> rewards.FullError | None:
    """The distance to a whole trajectory that an error is made of, if it is."""
    while isinstance(error, (rewards.ClippedError, rewards.ChangeError)):
        error = error.error
    return error if isinstance(error, rewards.FullError) else None


def reference_of(objective: AbstractObjective) -> AbstractPolicy | str | None:
    """Whose trajectory has to be known: a comparator's, that of the exact solution (`truth`), or nobody's.

    **Raises:** `UndertowError` for two different ones in one sum.
    """
    found = [full_error(part.error) for part in parts_of(objective) if isinstance(part, rewards.Reward)]
    wanted = ["truth" if full.comparator is None else full.comparator for full in found if full is not None]
    if not wanted:
        return None
    if any(type(each) is not type(wanted[0]) or each != wanted[0] for each in wanted):
        raise UndertowError("a game follows one reference trajectory; the terms of this objective name several")
    return wanted[0]


def given(objective: AbstractObjective) -> AbstractObjective:
    """The same objective with the reference trajectory given by the problem."""
    if isinstance(objective, SumObjective):
        return SumObjective(tuple(given(part) for part in objective.parts), objective.factors)
    if isinstance(objective, rewards.Reward):
        return dataclasses.replace(objective, error=_given(objective.error))
    return objective


def _given(error: Any) -> Any:
    if isinstance(error, (rewards.ClippedError, rewards.ChangeError)):
        return dataclasses.replace(error, error=_given(error.error))
    return rewards.FullError() if isinstance(error, rewards.FullError) else error


def worst_step(objective: AbstractObjective) -> float:
    r"""What a step costs that a blown-up solution does not take: $\pi/2$ where every reward is an arctangent, else 1e7."""
    squashes = [part.squash for part in parts_of(objective) if isinstance(part, (rewards.Reward, ConservationPenalty))]
    bounded = squashes and all(isinstance(squash, rewards.ArctanSquash) for squash in squashes)
    return math.pi / 2 if bounded else WITHOUT_SQUASH


def control_reward(
    objective: AbstractObjective, state: Any, action: Array, last: Array, horizon: Array
) -> Float[Array, ""]:
    """The reward for reaching `state` by `action`; `last`: whether it ends the episode of `horizon` steps."""
    if isinstance(objective, SumObjective):
        terms = [
            factor * control_reward(part, state, action, last, horizon)
            for part, factor in zip(objective.parts, objective.factors, strict=True)
        ]
        return sum(terms[1:], terms[0])
    if isinstance(objective, FinalCost):
        return jnp.where(last, -objective.cost(state), 0.0)
    if isinstance(objective, RunningCost):
        cost = -objective.cost(state)
        return cost / horizon if objective.reduction == "mean" else cost
    assert isinstance(objective, ActionCost)
    return -jnp.mean(action**2) / horizon


def check_control_objective(objective: AbstractObjective) -> None:
    """Raise `UndertowError` unless `control_reward` knows the objective."""
    for part in parts_of(objective):
        if not isinstance(part, (FinalCost, RunningCost, ActionCost)):
            raise UndertowError(
                f"{type(part).__name__} is no sum over steps; take FinalCost, RunningCost, ActionCost or a sum of them"
            )
