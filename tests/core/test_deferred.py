"""The adjoint way back: the numbers of differentiating the unroll, for every flow and all that can be differentiated."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Heun, linear_problem
from undertow._checks import UndertowError
from undertow.core.environment import AbstractControlled
from undertow.core.flow import PHYSICS, GradientFlow
from undertow.core.gradient import NormBalanced, SignAgreement
from undertow.core.objective import ActionCost, Problem, RunningCost
from undertow.core.task import Task
from undertow.core.unroll import rollout, unroll

LENGTHS = (20, 7)  # in portions of ten, and in one piece


class Rocket(AbstractControlled):
    """A state of two parts, one of them a counter, and a constant that may be differentiated."""

    drag: jax.Array

    def observe(self, state):
        return jnp.concatenate([state["x"], state["v"]])

    def advance(self, state, action):
        v = state["v"] + 0.1 * (action - self.drag * state["v"] ** 3)
        return {"x": state["x"] + 0.1 * v, "v": v, "count": state["count"] + 1}


KEY = jax.random.key(3)
POLICY_AT = Gain(jax.random.normal(KEY, (2, 4)), saturated=True, noise=0.1)
PAIRS = [(1, 1), (1, 0), (0, 1), (0, 0), (0.3, 0.6)]


def problems(count=3):
    x = jax.random.normal(KEY, (count, 2))
    state = {"x": x, "v": 0.5 * x[:, ::-1], "count": jnp.arange(count)}
    return Problem(Rocket(jnp.linspace(0.1, 0.5, count)), state)


def task(length, how):
    cost = RunningCost(lambda s: jnp.sum(s["x"] ** 2)) + 0.3 * ActionCost()
    return Task(cost, length, rematerialise=how)


def close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("length", LENGTHS)
def test_losses_and_gradients_of_a_batch(length):
    """With respect to the policy, the initial state and the environment's constants; with exploration noise."""
    at = (POLICY_AT, problems().environment.drag, problems().state["x"])
    steps = jnp.arange(length)
    gates = [*([p * jnp.ones(length), q * jnp.ones(length)] for p, q in PAIRS), [steps / length, steps % 2]]

    def measured(how):
        def loss(moving, flow):
            policy, drag, x = moving
            given = dataclasses.replace(problems(), environment=Rocket(drag))
            given = eqx.tree_at(lambda p: p.state["x"], given, x)
            return task(length, how).loss(policy, flow, given, key=KEY)[0]

        one = eqx.filter_value_and_grad(loss)
        every = jax.vmap(lambda pair: one(at, GradientFlow(*pair)))(jnp.asarray(gates))
        return every, one(at, PHYSICS)  # the last one with gates that are known while tracing

    ours, plain = (jax.jit(lambda how=how: eqx.filter(measured(how), eqx.is_array))() for how in ("adjoint", "step"))
    close(ours, plain)
    assert len(set(np.asarray(ours[0][0]))) == 1  # no flow changes the value


def test_two_flows_share_it():
    def estimate(how):
        loss = lambda policy, flow: task(20, how).loss(policy, flow, problems())
        return SignAgreement()(loss, POLICY_AT)

    close(*(eqx.filter_jit(estimate)(how) for how in ("adjoint", "step")))


def test_one_trajectory_and_its_nudges():
    one = jax.tree.map(lambda x: x[0], problems())

    def loss(nudges, how):
        run = rollout(one.environment, POLICY_AT, one.state, 6, nudges=nudges, rematerialise=how)
        return jnp.sum(run.states["x"] ** 2) + jnp.sum(run.actions**3)

    both = [
        jax.jit(jax.value_and_grad(lambda n, how=how: loss(n, how)))(jnp.full((6, 2), 0.01))
        for how in ("adjoint", "step")
    ]
    close(*both)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: rollout(Heun(*map(jnp.asarray, linear_problem(1)[:2])), POLICY_AT, jnp.ones(3), 4, rematerialise="adjoint"),
         "environments that ask once per step .* Heun may ask several times"),
        (lambda: NormBalanced()(lambda p, f: task(4, "adjoint").loss(p, f, problems()), POLICY_AT), "credit or balance need"),
        (lambda: rollout(Rocket(jnp.ones(())), POLICY_AT, None, 4, segment=2, rematerialise="adjoint"), "segments need 'step'"),
        (lambda: unroll(lambda s: (s, s), jnp.ones(1), 4, rematerialise="adjoint"), "rematerialise must be"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call()
