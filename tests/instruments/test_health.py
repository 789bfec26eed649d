"""Instruments on loops whose gradients are known on paper: sizes by step, and angles between flows."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Linear, linear_problem
from undertow._checks import UndertowError
from undertow.core.flow import FLOWS, FULL, PHYSICS, GradientFlow
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task, stack_problems
from undertow.instruments.health import flow_cosines, norm, step_gradients
from undertow.policies.controller import ZeroAction

T = 6


def line(a: float, starts=(1.0, 2.0)):
    """x' = a x + c with c = k x, and L = x_T."""
    env = Linear(jnp.asarray([[a]]), jnp.asarray([[1.0]]))
    problems = stack_problems([Problem(env, jnp.asarray([x])) for x in starts])
    return Task(FinalCost(lambda x: x[0]), T), problems


def test_norms_of_a_line_are_powers_and_grow_by_its_factor():
    """lambda_t = (p a + q k)^(T-t), mu_t = lambda_{t+1}, and x_t mu_t is what step t contributes to dL/dk."""
    a, k = 1.1, -0.7
    task, problems = line(a)
    policy = Gain(jnp.asarray([[k]]))
    flows = {**FLOWS, "half": GradientFlow(0.5, 0.5)}
    found = step_gradients(task, policy, problems, flows, parameters=True)
    assert found.flows == tuple(flows)
    back = np.arange(T, -1, -1)
    for i, flow in enumerate(flows.values()):
        factor = abs(flow.physics * a + flow.policy * k)
        powers = np.where(back == 0, 1.0, factor**back)
        np.testing.assert_allclose(found.states[i], powers, rtol=1e-12)
        np.testing.assert_allclose(found.actions[i], powers[1:], rtol=1e-12)
        states = np.mean([1.0, 2.0]) * (a + k) ** np.arange(T)
        np.testing.assert_allclose(found.parameters[i], powers[1:] * states, rtol=1e-12)
    for part in ("actions", "states"):
        balance = found.balance(part)
        np.testing.assert_allclose(balance["physics"].growth, 1.1, rtol=1e-12)
        np.testing.assert_allclose(balance["full"].growth, 0.4, rtol=1e-12)
    steps = T - 1
    np.testing.assert_allclose(found.balance()["full"].decades, -steps * np.log10(0.4), rtol=1e-12)
    assert found.balance()["stop"].silent == (T - 1) / T
    assert np.isnan(found.balance()["stop"].growth)
    metrics = found.metrics()
    assert metrics["policy/actions/silent"] == 0
    np.testing.assert_allclose(metrics["policy/actions/growth"], 0.7, rtol=1e-12)
    assert len(metrics) == 5 * 3 * 3


def test_the_batch_enters_by_its_root_mean_square_and_squares_do_not_overflow():
    """L = x^2 / 2 of starts 3 and 4 under a factor of 1e40, whose powers' squares leave the range of numbers."""
    task, problems = line(1e40, starts=(3e-240, 4e-240))
    task = eqx.tree_at(lambda t: t.objective, task, FinalCost(lambda x: 0.5 * x[0] ** 2))
    found = step_gradients(task, Gain(jnp.zeros((1, 1))), problems)
    assert found.flows == ("full",)
    np.testing.assert_allclose(found.states[0], np.sqrt(12.5) * 1e40 ** np.arange(T, -1.0, -1), rtol=1e-12)
    np.testing.assert_allclose(found.balance("states")["full"].growth, 1e40, rtol=1e-9)
    np.testing.assert_allclose(norm({"a": jnp.asarray([[3e-200, 0]]), "b": jnp.asarray([[4e-200]])}, 1), [5e-200])


def test_a_part_that_was_not_asked_for_is_named():
    task, problems = line(0.5)
    found = step_gradients(task, Gain(jnp.zeros((1, 1))), problems, GradientFlow(0.5, 0.5))
    assert found.flows == ("flow",)
    with pytest.raises(UndertowError, match="unknown part of the gradient 'parameters'"):
        found.part("parameters")
    with pytest.raises(UndertowError, match="at least one gradient flow"):
        step_gradients(task, Gain(jnp.zeros((1, 1))), problems, {})


def test_cosines_are_those_of_the_gradients():
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem())
    task = Task(FinalCost(lambda state: jnp.dot(w, state)), 4)
    problems = stack_problems([Problem(Linear(a, b), x), Problem(Linear(a, b), -0.3 * x + 1)])
    policy = Gain(k)
    found = flow_cosines(task, policy, problems)
    gradient = jax.jit(jax.grad(lambda k, flow: task.loss(Gain(k), flow, problems)[0]))
    each = [np.asarray(gradient(k, flow.per_step(4))) for flow in FLOWS.values()]
    assert found.flows == tuple(FLOWS)
    for i, one in enumerate(each):
        np.testing.assert_allclose(found.norms[i], np.linalg.norm(one), rtol=1e-12)
        for j, other in enumerate(each):
            expected = np.sum(one * other) / np.linalg.norm(one) / np.linalg.norm(other)
            np.testing.assert_allclose(found.cosine[i, j], expected, rtol=1e-11)
            np.testing.assert_allclose(found.agreement[i, j], np.mean(np.sign(one) == np.sign(other)), rtol=1e-14)
    assert found.between("full", "physics") == found.cosine[0, 1]
    metrics = found.metrics()
    assert metrics["full-physics/cosine"] == found.cosine[0, 1]
    assert len(metrics) == 4 + 2 * 6
    with pytest.raises(UndertowError, match="unknown flow"):
        found.between("full", "half")


def test_a_policy_without_parameters_has_no_angles():
    task, problems = line(0.5)
    with pytest.raises(UndertowError, match="no parameters"):
        flow_cosines(task, ZeroAction((1,)), problems, {"full": FULL, "physics": PHYSICS})
