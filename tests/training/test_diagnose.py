"""Faults in the backward pass through finite states are named: step, sample, and the entry of state or action."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

from tests.toys import Gain, Linear
from undertow.core.environment import AbstractControlled
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP
from undertow.core.objective import FinalCost, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, stack_problems
from undertow.training.diagnose import locate, locate_nonfinite_gradient
from undertow.training.fit import fit
from undertow.training.trainer import Trainer

T = 5


class Countdown(AbstractControlled):
    """(h, s) -> (h - 1 + c_0, s + sqrt|h| + c_1): the root has no derivative at h = 0, its value is fine."""

    def observe(self, state):
        return state

    def advance(self, state, action):
        return jnp.stack([state[0] - 1, state[1] + jnp.sqrt(jnp.abs(state[0]))]) + action


class Uncontrolled(Countdown):
    """The same with a height that no action changes."""

    def advance(self, state, action):
        return super().advance(state, action.at[0].set(0.0))


class Rooted(AbstractControlled):
    """x' = x + sqrt|c|: no derivative for an action of 0."""

    def observe(self, state):
        return state

    def advance(self, state, action):
        return state + jnp.sqrt(jnp.abs(action))


class RootGain(AbstractPolicy):
    """c = sqrt(k) x, whose parameter has no derivative at 0."""

    k: jax.Array

    def __call__(self, observation, *, key=None):
        return jnp.sqrt(self.k) * observation


def batch(env, *starts):
    return stack_problems([Problem(env, jnp.asarray(start)) for start in starts])


COUNTDOWN = batch(Countdown(), [9.0, 0.0], [3.0, 0.0], [2.0, 0.0])
SECOND = Task(FinalCost(lambda state: state[1] ** 2), T)
WEAK = Gain(jnp.asarray([[0.0, 0.0], [0.0, 0.1]]))


def test_a_root_at_zero_is_found_at_its_step():
    """Heights 9, 3 and 2: two samples meet the root, at steps 3 and 2. On its way back, the gradient meets 3 first."""
    found = locate_nonfinite_gradient(SECOND, WEAK, COUNTDOWN)
    assert (found.step, found.sample, found.cell) == (3, 1, 0)
    assert str(found).startswith("every state is finite, but the gradient of sample 1 became ")
    assert " at entry 0 of the state at step 3 " in str(found) and "close a gate" in str(found)
    again = locate(SECOND, WEAK, COUNTDOWN)
    assert str(again) == str(found)


@pytest.mark.parametrize("flow", [POLICY, STOP], ids=["policy", "stop"])
def test_a_closed_gate_stops_it(flow):
    assert locate_nonfinite_gradient(SECOND, WEAK, COUNTDOWN, flow) is None


def test_an_overflow_is_found_with_what_arrived():
    """x' = 1e200 x from 1e-300: the states stay finite, d x_3 / d x_1 = 1e400 is not."""
    env = Linear(jnp.asarray([[1e200]]), jnp.asarray([[0.0]]))
    task, problems = Task(FinalCost(jnp.sum), 3), batch(env, [1e-300], [0.0])
    found = locate_nonfinite_gradient(task, Gain(jnp.zeros((1, 1))), problems, FULL)
    assert (found.step, found.sample, found.cell) == (1, 0, 0)
    assert "became inf at entry 0 of the state at step 1" in str(found) and "up to 1.0e+200" in str(found)


def test_a_flow_that_overflows_alone_is_named():
    """The policy cancels the physics, x' = (1e200 - 1e200) x: only the flow without it overflows."""
    env = Linear(jnp.asarray([[1e200]]), jnp.asarray([[1.0]]))
    task, problems = Task(FinalCost(jnp.sum), 3), batch(env, [0.0])
    policy = Gain(jnp.asarray([[-1e200]]))
    assert locate_nonfinite_gradient(task, policy, problems) is None
    found = locate(task, policy, problems)
    assert "under the flow 'physics'" in str(found) and found.step == 1
    assert locate_nonfinite_gradient(task, policy, problems, PHYSICS).step == 1


def test_faults_of_action_policy_and_objective_say_so():
    task = Task(FinalCost(jnp.sum), 3)
    action = locate(task, Gain(jnp.zeros((1, 1))), batch(Rooted(), [1.0], [1.0]))
    assert (action.step, action.sample, action.cell) == (2, 0, 0)
    assert "at entry 0 of the action at step 2" in str(action)
    free = Linear(jnp.asarray([[1.0]]), jnp.asarray([[1.0]]))
    policy = locate(task, RootGain(jnp.zeros(1)), batch(free, [1.0], [2.0]))
    assert (policy.step, policy.sample, policy.cell) == (2, 0, None)
    assert "inside the policy" in str(policy)
    distance = Task(FinalCost(lambda state: jnp.sqrt(jnp.sum(state**2))), 3)
    objective = locate(distance, Gain(jnp.zeros((1, 1))), batch(free, [1.0], [0.0]))
    assert (objective.step, objective.sample, objective.cell) == (3, 1, 0)
    assert str(objective).endswith("where the objective itself has no finite derivative")


def test_a_training_that_fails_on_the_way_back_names_step_and_sample():
    trainer = Trainer(SECOND, COUNTDOWN, optimizer=optax.sgd(0.1), batch=3, sampling="cycle")
    result = fit(trainer, trainer.init(WEAK, jax.random.key(0)), 4, every=2, max_skipped=2)
    assert result.status == "failed"
    assert result.error is not None
    assert (result.error.step, result.error.sample) == (3, 1)


def test_what_is_finite_is_not_blamed():
    """Also where what arrives at a state is not finite, but no action depends on it: the parameters never see it."""
    unseen = eqx.tree_at(lambda p: p.environment, COUNTDOWN, Uncontrolled())
    assert locate_nonfinite_gradient(SECOND, WEAK, unseen).step == 3
    assert "not when the same batch was run again" in str(locate(SECOND, WEAK, unseen))
    free = Linear(jnp.asarray([[1.0]]), jnp.asarray([[1.0]]))
    assert "not when the same batch was run again" in str(
        locate(Task(FinalCost(jnp.sum), 3), Gain(jnp.zeros((1, 1))), batch(free, [1.0]))
    )
