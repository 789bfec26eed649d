"""Objectives: numbers from trajectories, written down."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Linear
from undertow._checks import UndertowError
from undertow.core.objective import ActionCost, FinalCost, Problem, ReferenceDistance, RunningCost
from undertow.core.unroll import Trajectory

# Three states after two steps, with actions of two parts.
TRAJECTORY = Trajectory(
    states=jnp.asarray([[9.0, 9.0], [1.0, 2.0], [3.0, -1.0]]),
    actions={"force": jnp.asarray([[1.0, 2.0], [3.0, 0.0]]), "switch": jnp.asarray([-1.0, 1.0])},
)
PROBLEM = Problem(Linear(jnp.eye(2), jnp.eye(2)), TRAJECTORY.initial, {"target": jnp.asarray([1.0, 1.0])})


def first(state):
    return state[0]


def final_state(trajectory):
    return trajectory.final


def target(reference):
    return reference["target"]


def test_objectives_on_paper():
    for objective, expected in (
        (FinalCost(first), 3.0),
        (RunningCost(first), 2.0),  # the initial state is given, not reached
        (RunningCost(first, "sum"), 4.0),
        (ActionCost(), (1 + 4 + 9 + 0 + 1 + 1) / 6),
        (ReferenceDistance(final_state, target), (2 + 2) / 2),
        (ReferenceDistance(final_state, target, power=2), (4 + 4) / 2),
        (FinalCost(first) + RunningCost(first), 5.0),
        (FinalCost(first) + 0.5 * RunningCost(first), 4.0),
        (2.0 * (FinalCost(first) + ActionCost()) + RunningCost(first), 2 * (3 + 16 / 6) + 2),
        (-1.0 * FinalCost(first), -3.0),
    ):
        np.testing.assert_allclose(objective(TRAJECTORY, PROBLEM), expected, rtol=1e-15)


def test_the_reference_is_compared_with_as_it_is_unless_told_otherwise():
    problem = Problem(PROBLEM.environment, PROBLEM.state, jnp.asarray([3.0, 1.0]))
    assert ReferenceDistance(final_state)(TRAJECTORY, problem) == 1.0


def test_objectives_are_differentiable_and_can_be_batched():
    objective = FinalCost(first) + 0.5 * ActionCost()
    gradient = jax.grad(lambda t: objective(t, PROBLEM))(TRAJECTORY)
    np.testing.assert_array_equal(gradient.states, [[0, 0], [0, 0], [1, 0]])
    np.testing.assert_allclose(gradient.actions["force"], TRAJECTORY.actions["force"] / 6)
    batch = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), TRAJECTORY)
    np.testing.assert_allclose(jax.vmap(lambda t: FinalCost(first)(t, PROBLEM))(batch), [3.0, 6.0])


def test_an_unknown_reduction_is_refused():
    with pytest.raises(UndertowError, match="reduction must be 'mean' or 'sum', got 'median'"):
        RunningCost(first, "median")
