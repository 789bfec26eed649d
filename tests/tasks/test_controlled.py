"""What holds for every controlled system: flows change no value, one compilation for every horizon's program."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tasks.control import NAMES, make, states
from undertow.core.flow import FULL, STOP, GradientFlow
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task
from undertow.core.unroll import rollout


@pytest.mark.parametrize("name", NAMES)
def test_no_flow_changes_a_value(name):
    system = make(name)
    state = states(system, 1)[0]

    def run(flow):
        return rollout(system.env, system.policy, state, 12, flow=flow)

    steps = jnp.arange(12)
    plain = jax.jit(lambda: run(FULL))()
    others = [
        jax.jit(lambda: run(STOP))(),
        jax.jit(lambda: run(GradientFlow(jnp.linspace(0, 1, 12), steps % 3)))(),
    ]
    gates = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    vmapped = jax.jit(jax.vmap(lambda g: run(GradientFlow(g[0], g[1]))))(gates)
    others += [jax.tree.map(lambda x, i=i: x[i], vmapped) for i in range(3)]
    for other in others:
        for ours, expected in zip(jax.tree.leaves(other), jax.tree.leaves(plain), strict=True):
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_the_program_does_not_grow_with_the_horizon(name):
    """The unroll is a loop: what is compiled for 200 steps is what is compiled for 20."""
    system = make(name)

    def program(horizon):
        task = Task(FinalCost(system.cost), horizon)
        problems = Problem(system.env, states(system, 2))
        gradient = eqx.filter_grad(lambda p: task.loss(p, FULL, problems)[0])
        return len(str(jax.make_jaxpr(lambda p: eqx.filter(gradient(p), eqx.is_array))(system.policy)).splitlines())

    assert program(200) == program(20)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    system = make(name)
    task, problems = Task(FinalCost(system.cost), 10), Problem(system.env, states(system, 2))
    params, static = eqx.partition(system.policy, eqx.is_inexact_array)
    direction = jax.tree.map(lambda x: jax.random.normal(jax.random.key(x.size), x.shape), params)

    @jax.jit
    def loss(amount):
        moved = jax.tree.map(lambda p, d: p + amount * d, params, direction)
        return task.loss(eqx.combine(moved, static), FULL, problems)[0]

    slope = jax.jit(jax.grad(loss))(0.0)
    assert abs(slope) > 1e-8
    differences = [(loss(h) - loss(-h)) / (2 * h) for h in (1e-3, 5e-4)]
    np.testing.assert_allclose((4 * differences[1] - differences[0]) / 3, slope, rtol=1e-6)
