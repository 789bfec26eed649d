"""Gradient estimators: by name, without effect on values, and with the steps' contributions balanced."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Heun, Linear, linear_problem
from undertow._checks import UndertowError
from undertow.core.combine import SignAgreement
from undertow.core.estimator import Backprop
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow, mixed
from undertow.core.gradient import GRADIENTS, NormBalanced
from undertow.core.objective import FinalCost, Problem, RunningCost
from undertow.core.task import Task, stack_problems
from undertow.core.unroll import rollout

T, BATCH = 5, 4
A, B, K, X, W = linear_problem(1)
STATES = np.random.default_rng(3).normal(size=(BATCH, 3))


def test_values_do_not_depend_on_the_estimator(optimised):
    env = Heun

    def loss(policy, flow):
        final = rollout(env(jnp.asarray(A), jnp.asarray(B)), policy, jnp.asarray(X), T, flow=flow).final
        return jnp.dot(W, final) ** 2, {"final": final}

    policy = Gain(jnp.asarray(K), saturated=True)
    run = eqx.filter_jit(lambda estimator: estimator(loss, policy, key=jax.random.key(0)))
    value = run(Backprop(FULL))[0]
    for name, estimator in GRADIENTS.items():
        other, gradient, metrics = run(estimator)
        assert other == value, name
        assert eqx.tree_equal(jax.tree.structure(gradient), jax.tree.structure(eqx.filter(policy, eqx.is_array)))
        assert metrics["final"].shape == (3,)


def test_the_named_estimators():
    for name, flow in (("full", FULL), ("physics", PHYSICS), ("policy", POLICY), ("stop", STOP)):
        assert GRADIENTS[name] == Backprop(flow)
    assert GRADIENTS["sign-agreement"] == SignAgreement(PHYSICS, FULL)
    assert GRADIENTS["sign-agreement-swapped"] == SignAgreement().swapped()
    assert GRADIENTS["norm-balanced"] == NormBalanced(FULL)


def task_loss(cost, **options):
    """The batch mean over problems in one physics, as the trainer hands it to an estimator."""
    task = Task(cost(lambda state: jnp.dot(jnp.asarray(W), state)), T, **options)
    problems = stack_problems([Problem(Linear(jnp.asarray(A), jnp.asarray(B)), jnp.asarray(x)) for x in STATES])
    return lambda policy, flow: task.loss(policy, flow, problems)


def contributions(flow, running):
    """What every step sends to the gain, batch mean, from the adjoint by hand."""
    p, q = (np.asarray(g) for g in (flow.per_step(T).physics, flow.per_step(T).policy))
    parts = np.zeros((T, *K.shape))
    for x in STATES:
        states = [x]
        for _ in range(T):
            states.append((A + B @ K) @ states[-1])
        adjoint = np.zeros(3)
        for t in reversed(range(T)):
            adjoint = adjoint + (W / T if running else W * (t == T - 1))
            parts[t] += np.outer(B.T @ adjoint, states[t]) / BATCH
            adjoint = (p[t] * A + q[t] * B @ K).T @ adjoint
    return parts


def balanced(parts, strength=1.0):
    sizes = np.linalg.norm(parts, axis=(1, 2))
    there = sizes > 0
    mean = sizes[there].mean()
    return np.tensordot((mean / sizes[there]) ** strength, parts[there], 1), mean


@pytest.mark.parametrize(
    ("flow", "running", "strength", "options"),
    [
        (FULL, False, 1.0, {}),
        (FULL, True, 0.5, {"segment": 2}),
        (PHYSICS, True, 1.0, {"rematerialise": "nothing"}),
        (mixed(["full", "full", "stop", "physics", "full"]), False, 1.0, {}),
    ],
)
def test_contributions_are_balanced_over_the_whole_batch(flow, running, strength, options):
    """The batch mean of a step is balanced, not every sample by itself; steps that feel nothing (before a stop, with a
    final cost) stay out of the mean."""
    loss = task_loss(RunningCost if running else FinalCost, **options)
    parts = contributions(flow, running)
    run = eqx.filter_jit(lambda policy: NormBalanced(flow, strength)(loss, policy))
    value, gradient, metrics = run(Gain(jnp.asarray(K)))
    expected, mean = balanced(parts, strength)
    np.testing.assert_allclose(gradient.k, expected, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(metrics["contribution"], mean, rtol=1e-12)
    np.testing.assert_allclose(value, loss(Gain(jnp.asarray(K)), FULL)[0], rtol=1e-14)


def test_balancing_what_needs_none():
    policy = Gain(jnp.asarray(K))
    loss = task_loss(FinalCost)
    run = eqx.filter_jit(lambda estimator: estimator(loss, policy)[1].k)
    np.testing.assert_allclose(run(NormBalanced(FULL, 0.0)), contributions(FULL, False).sum(0), rtol=1e-11)
    np.testing.assert_allclose(run(NormBalanced(STOP)), contributions(STOP, False).sum(0), rtol=1e-11)


def test_credit_weighs_balanced_steps():
    loss, parts = task_loss(FinalCost), contributions(FULL, False)
    sizes = np.linalg.norm(parts, axis=(1, 2))
    credit = np.linspace(0, 1, T)
    gradient = NormBalanced(GradientFlow(credit=jnp.asarray(credit)))(loss, Gain(jnp.asarray(K)))[1]
    np.testing.assert_allclose(gradient.k, np.tensordot(credit * sizes.mean() / sizes, parts, 1), rtol=1e-11)


def test_no_gradient_and_no_number():
    def nothing(policy, flow):
        return 0 * loss(policy, flow)[0], {}

    def broken(policy, flow):
        return jnp.nan * loss(policy, flow)[0], {}

    loss, policy = task_loss(FinalCost), Gain(jnp.asarray(K))
    np.testing.assert_array_equal(NormBalanced()(nothing, policy)[1].k, 0)
    assert np.all(np.isnan(NormBalanced()(broken, policy)[1].k))
    with pytest.raises(UndertowError, match="strength must be between 0 and 1"):
        NormBalanced(strength=1.5)
