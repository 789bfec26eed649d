r"""Objectives over whole trajectories as rewards of single steps and agents.

What is paid for a step the objectives say themselves: `step_reward` of a controlled system's, `last_rewards` of those of faces.
What a game's rewards add up to over an undisturbed episode is minus what the objective says of its trajectory.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError
from undertow._tree import stack
from undertow.core.objective import AbstractObjective, Problem, no_steps
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.face_objective import AbstractFaceObjective
from undertow.envs.objectives import FieldReference
from undertow.envs.squash import AbstractSquash
from undertow.schemes.faces import Weights


def needs_weights(objective: AbstractObjective) -> bool:
    """Whether an objective looks at the weights that were chosen."""
    return any(part.needs_weights for _, part in _parts(objective))


def _parts(objective: AbstractObjective) -> list[tuple[float, AbstractFaceObjective]]:
    return [(factor, part) for factor, part in objective.terms() if isinstance(part, AbstractFaceObjective)]


def step_rewards(
    objective: AbstractObjective,
    environment: Conservation,
    before: FieldState,
    after: FieldState,
    reference: Float[Array, "2 chan *cells"] | None = None,
    weights: Weights | None = None,
) -> Float[Array, " agents"]:
    """Every face's reward for a step: the faces of all axes, one after the other.

    **Arguments:** `objective`; `environment`; the states `before` and `after` it; `reference`: the trajectory that is compared
    with, at both of them, where the objective follows one (`reference_of`); `weights` that were chosen, where it needs them.
    """
    parts = _parts(objective)
    twice = any(part.looks_back for _, part in parts)
    states = [before, before, after] if twice else [before, after]
    trajectory = Trajectory(stack(states), jax.tree.map(lambda w: jnp.stack([w] * (len(states) - 1)), weights))
    if reference is not None and not twice:
        reference = reference[1:]
    compared = None if reference is None else FieldReference(reference, jnp.ones(()))
    problem = Problem(environment, before, compared)
    cells = environment.scheme.grid.num_cells
    shapes = [tuple(n + (a == b) for b, n in enumerate(cells)) for a in range(len(cells))]

    def paid(part: AbstractFaceObjective) -> Array:
        axes = part.compared().last_rewards(trajectory, problem)
        return jnp.concatenate(
            [jnp.broadcast_to(each, shape).reshape(-1) for each, shape in zip(axes, shapes, strict=True)]
        )

    terms = [factor * paid(part) for factor, part in parts]
    return sum(terms[1:], terms[0])


def check_face_objective(objective: AbstractObjective, sets_weights: bool) -> None:
    """Raise `UndertowError` unless every face is paid for every step; cloning needs actions that are weights."""
    for _, part in objective.terms():
        if not isinstance(part, AbstractFaceObjective):
            raise UndertowError(
                f"{type(part).__name__} is no sum over steps and faces; take Reward, ConservationPenalty, "
                "TotalVariationPenalty, WeightCloning, or a sum of them"
            )
        if part.needs_weights and not sets_weights:
            raise UndertowError("cloning compares stencil weights, and these actions set fluxes; take another reward")
        if part.looks_back and part.follows is None:
            raise UndertowError("the change of an error is known for FullError alone, got another one")


def reference_of(objective: AbstractObjective) -> AbstractPolicy | Literal["truth"] | None:
    """Whose trajectory has to be known: a comparator's, that of the exact solution (`truth`), or nobody's.

    **Raises:** `UndertowError` for two different ones in one sum.
    """
    wanted = [part.follows for _, part in _parts(objective) if part.follows is not None]
    if any(type(each) is not type(wanted[0]) or each != wanted[0] for each in wanted):
        raise UndertowError("a game follows one reference trajectory; the terms of this objective name several")
    return wanted[0] if wanted else None


def worst_step(objective: AbstractObjective) -> float:
    r"""What a step costs that a blown-up solution does not take: $\pi/2$ where every reward is an arctangent, else 1e7."""
    costs = [part.worst for _, part in objective.terms() if isinstance(part, AbstractFaceObjective)]
    return max((cost for cost in costs if cost is not None), default=AbstractSquash.worst)


def check_control_objective(objective: AbstractObjective) -> None:
    """Raise `UndertowError` unless the objective says what it pays for a step."""
    for _, part in objective.terms():
        if type(part).step_reward is AbstractObjective.step_reward:
            raise no_steps(part)
