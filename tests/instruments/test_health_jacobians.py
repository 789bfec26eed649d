"""Spectral norms of steps and of their products, against matrices written out."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Linear, Pendulum, linear_problem
from undertow._checks import UndertowError
from undertow.core.flow import FULL, STOP, GradientFlow
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task, stack_problems
from undertow.instruments.jacobians import PATHS, jacobian_norms

T = 5
FLOWS = {**PATHS, "varying": GradientFlow(jnp.linspace(0.0, 1.0, T), 0.5), "stop": STOP}


@pytest.mark.parametrize("dense", [64, 0], ids=["dense", "power"])
def test_of_a_linear_loop_they_are_those_of_its_matrices(dense):
    """J_t = p_t A + q_t B K, whatever the state."""
    a, b, k, x, _ = linear_problem(2)
    env = Linear(jnp.asarray(a), jnp.asarray(b))
    problems = stack_problems([Problem(env, jnp.asarray(x)), Problem(env, jnp.asarray(-2 * x))])
    task = Task(FinalCost(lambda state: state[0]), T)
    found = jacobian_norms(task, Gain(jnp.asarray(k)), problems, FLOWS, dense=dense, iterations=60)
    tolerance = 1e-10 if dense else 1e-4
    for i, flow in enumerate(FLOWS.values()):
        gates = flow.per_step(T)
        steps = [float(p) * a + float(q) * b @ k for p, q in zip(gates.physics, gates.policy, strict=True)]
        product = np.eye(len(a))
        for t in reversed(range(T)):
            product = product @ steps[t]
            for sample in (0, 1):
                np.testing.assert_allclose(found.steps[i, sample, t], np.linalg.norm(steps[t], 2), rtol=tolerance)
                # Powers find norms from below.
                expected, value = np.linalg.norm(product, 2), 10 ** found.products[i, sample, t]
                np.testing.assert_allclose(value, expected, rtol=tolerance)
                assert value <= expected * (1 + 1e-9)
    whole = np.linalg.norm(np.linalg.matrix_power(a + b @ k, T), 2)
    np.testing.assert_allclose(found.growth()["full"], whole ** (1 / T), rtol=tolerance)
    metrics = found.metrics()
    assert metrics["stop/growth"] == metrics["stop/largest"] == 0
    np.testing.assert_allclose(metrics["physics/step"], np.linalg.norm(a, 2), rtol=tolerance)


def test_products_are_the_derivative_of_the_unroll_and_stay_in_range():
    """Two stages, an integer in the state; and a product of 1e500, which no number holds."""
    state = {"angle": jnp.asarray(0.4), "speed": jnp.asarray(-1.0), "count": jnp.asarray(0)}
    task = Task(FinalCost(lambda s: s["angle"]), T)
    policy = Gain(jnp.asarray([[1.0, -0.5, 2.0]]), saturated=True)
    found = jacobian_norms(task, policy, stack_problems([Problem(Pendulum(), state)]), FULL)
    assert found.flows == ("full",)

    def final(start):
        last = task.run(policy, Problem(Pendulum(), {**state, "angle": start[0], "speed": start[1]})).final
        return jnp.stack([last["angle"], last["speed"]])

    whole = np.asarray(jax.jit(jax.jacfwd(final))(jnp.asarray([0.4, -1.0])))
    np.testing.assert_allclose(10 ** found.products[0, 0, 0], np.linalg.norm(whole, 2), rtol=1e-11)

    steep = Linear(1e100 * jnp.eye(2), jnp.zeros((2, 1)))
    problems = stack_problems([Problem(steep, jnp.zeros(2))])
    found = jacobian_norms(
        eqx.tree_at(lambda t: t.objective, task, FinalCost(jnp.sum)), Gain(jnp.zeros((1, 2))), problems
    )
    np.testing.assert_allclose(found.products[0, 0], 100.0 * np.arange(T, 0, -1), rtol=1e-12)
    assert (found.products[1, 0] == -np.inf).all()


def test_counts_out_of_range_are_refused():
    a, b, k, x, _ = (jnp.asarray(v) for v in linear_problem())
    task, problems = Task(FinalCost(jnp.sum), T), stack_problems([Problem(Linear(a, b), x)])
    with pytest.raises(UndertowError, match="iterations must be at least 1"):
        jacobian_norms(task, Gain(k), problems, iterations=0)
    with pytest.raises(UndertowError, match="dense must be at least 0"):
        jacobian_norms(task, Gain(k), problems, dense=-1)
