"""What travels back, step by step: the closed form of a linear loop, and sums that are the gradient."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Linear, Pendulum, linear_problem
from undertow._checks import UndertowError
from undertow.core.adjoint import adjoints, direct, stacked
from undertow.core.flow import FULL, GradientFlow
from undertow.core.objective import ActionCost, FinalCost, Problem, RunningCost
from undertow.core.task import Task, stack_problems

T = 5


def pendulums():
    states = [{"angle": jnp.asarray(a), "speed": jnp.asarray(-a), "count": jnp.asarray(0)} for a in (0.3, 0.8)]
    return stack_problems([Problem(Pendulum(), state) for state in states])


def test_of_a_linear_loop_they_are_the_recursion_on_paper():
    """lambda_T = w, mu_t = B^T lambda_{t+1} + rho c_t, lambda_t = p A^T lambda_{t+1} + q K^T mu_t."""
    a, b, k, x, w = linear_problem()
    flow = GradientFlow(jnp.linspace(0.2, 1.0, T), jnp.asarray([1.0, 0.0, 0.5, 1.0, 0.3]))
    objective = FinalCost(lambda state: jnp.dot(jnp.asarray(w), state)) + ActionCost()
    problems = stack_problems([Problem(Linear(jnp.asarray(a), jnp.asarray(b)), jnp.asarray(s * x)) for s in (1.0, 2.0)])
    task, policy = Task(objective, T), Gain(jnp.asarray(k))
    found = eqx.filter_jit(lambda: adjoints(task, policy, problems, flow, parameters=True))()
    source = eqx.filter_jit(direct)(task, policy, problems)
    contributions = np.zeros((T, *k.shape))
    for sample, size in enumerate((1.0, 2.0)):
        states = [size * x]
        for _ in range(T):
            states.append((a + b @ k) @ states[-1])
        adjoint = w
        np.testing.assert_allclose(found.states[sample, T], adjoint, rtol=1e-13)
        for t in reversed(range(T)):
            own = 2 * k @ states[t] / (T * len(k))
            to_action = b.T @ adjoint + own
            adjoint = float(flow.physics[t]) * a.T @ adjoint + float(flow.policy[t]) * k.T @ to_action
            np.testing.assert_allclose(source.actions[sample, t], own, rtol=1e-12)
            np.testing.assert_allclose(found.actions[sample, t], to_action, rtol=1e-11)
            np.testing.assert_allclose(found.states[sample, t], adjoint, rtol=1e-11)
            contributions[t] += np.outer(to_action, states[t]) / 2
        np.testing.assert_allclose(source.states[sample, :T], 0)
        np.testing.assert_allclose(source.states[sample, T], w)
    np.testing.assert_allclose(found.parameters.k, contributions, rtol=1e-11)


def test_contributions_add_up_to_the_gradient_also_with_stages_and_counters():
    """A Runge-Kutta environment with an integer in its state, under segments."""
    task = Task(RunningCost(lambda s: s["angle"] ** 2 + s["speed"] ** 2), 4, segment=2)
    policy, problems, flow = Gain(jnp.asarray([[0.3, -0.2, 0.5]])), pendulums(), GradientFlow(0.4, 0.7)

    @eqx.filter_jit
    def both():
        gradient = eqx.filter_grad(lambda p: task.loss(p, flow, problems)[0])(policy)
        start = jax.grad(lambda s: jnp.sum(task.losses(policy, flow, eqx.tree_at(angle, problems, s))))
        return adjoints(task, policy, problems, flow, parameters=True), gradient, start(problems.state["angle"])

    angle = lambda p: p.state["angle"]
    found, gradient, start = both()
    np.testing.assert_allclose(found.parameters.k.sum(axis=0), gradient.k, rtol=1e-11)
    np.testing.assert_allclose(found.states["angle"][:, 0], start, rtol=1e-11)
    assert found.states["count"] is None
    assert found.actions.shape == (2, 4, 1)


def test_flows_are_stacked_or_refused():
    gates = stacked({"full": FULL, "half": GradientFlow(0.5, jnp.arange(3.0))}, 3)
    np.testing.assert_array_equal(gates.physics, [[1, 1, 1], [0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(gates.policy, [[1, 1, 1], [0, 1, 2]])
    with pytest.raises(UndertowError, match="at least one gradient flow"):
        stacked({}, 3)
    with pytest.raises(UndertowError, match="one per step"):
        stacked({"wrong": GradientFlow(jnp.ones(2))}, 3)
