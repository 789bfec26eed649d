"""Tasks: batches of problems, their losses, and what cannot be a batch."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted
from tests.toys import Gain, Heun, Linear, linear_problem
from undertow._checks import UndertowError
from undertow._tree import take
from undertow.core.flow import FULL, PHYSICS
from undertow.core.objective import FinalCost, Problem, ReferenceDistance
from undertow.core.task import Task, batch_size, stack_problems


def problems(count=3, env=Heun):
    """Problems that differ in their physics, initial state and reference."""
    out = []
    for i in range(count):
        a, b, _, x, w = (jnp.asarray(v) for v in linear_problem(i))
        options = {"h": 0.05 * (i + 1)} if env is Heun else {}
        out.append(Problem(env(a, b, **options), x, w))
    return out


def last(trajectory):
    return trajectory.final


TASK = Task(ReferenceDistance(last, power=2), horizon=5)
POLICY = Gain(jnp.asarray(linear_problem(9)[2]), saturated=True)


@pytest.mark.parametrize("flow", [FULL, PHYSICS], ids=["full", "physics"])
def test_losses_of_a_batch_equal_those_of_its_problems(flow):
    each = problems()
    batch = stack_problems(each)
    losses = TASK.losses(POLICY, flow, batch)
    assert losses.shape == (3,)
    for problem, expected in zip(each, losses, strict=True):
        one = TASK.objective(TASK.run(POLICY, problem, flow), problem)
        np.testing.assert_allclose(one, expected, rtol=1e-13)
    value, metrics = TASK.loss(POLICY, flow, batch)
    np.testing.assert_allclose(value, np.mean(losses), rtol=1e-14)
    np.testing.assert_array_equal(metrics["losses"], losses)


def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_problems():
    each = problems()
    gradient = jax.jit(jax.grad(lambda p, batch: TASK.loss(p, PHYSICS, batch)[0]))
    alone = [gradient(POLICY, stack_problems([problem])).k for problem in each]
    np.testing.assert_allclose(gradient(POLICY, stack_problems(each)).k, sum(alone) / 3, rtol=1e-12)


def test_segments_and_recomputing_are_the_tasks_to_choose():
    batch = stack_problems(problems())
    for options in ({"segment": 2}, {"rematerialise": "nothing"}):
        other = Task(TASK.objective, 5, **options)
        np.testing.assert_allclose(other.losses(POLICY, FULL, batch), TASK.losses(POLICY, FULL, batch), rtol=1e-13)


def test_noise_follows_the_key_and_differs_between_samples():
    same = [problems()[0]] * 3
    batch, noisy = stack_problems(same), Gain(POLICY.k, noise=0.5)
    losses = eqx.filter_jit(lambda key: TASK.losses(noisy, FULL, batch, key=key))
    one, again, other = (losses(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert len({*np.asarray(one).tolist(), *np.asarray(other).tolist()}) == 6
    plain = TASK.losses(noisy, FULL, batch)
    np.testing.assert_array_equal(plain, plain[0])


def test_equal_tasks_are_compiled_once():
    body = Counted(lambda task, policy, batch: task.loss(policy, FULL, batch)[0])
    run = eqx.filter_jit(body)
    for i in range(3):
        batch = stack_problems(problems())
        # Floats in the problems have become arrays: another value is not another program.
        shifted = eqx.tree_at(lambda b: b.environment.h, batch, batch.environment.h + 0.1 * i)
        run(Task(ReferenceDistance(last, power=2), horizon=5), Gain(POLICY.k + i, saturated=True), shifted)
    assert body.calls == 1


def test_a_sampled_task():
    def sample(key):
        x = jax.random.normal(key, (3,))
        a, b, *_ = (jnp.asarray(v) for v in linear_problem(0))
        return Problem(Linear(a, b), x)

    task = Task(FinalCost(jnp.sum), 3, sample)
    batch = jax.vmap(task.sample)(jax.random.split(jax.random.key(0), 4))
    assert batch_size(batch) == 4
    assert task.losses(POLICY, FULL, batch).shape == (4,)


def test_stacking_and_taking_are_inverse():
    each = problems()
    batch = stack_problems(each)
    assert batch_size(batch) == 3
    for i, problem in enumerate(each):
        one = take(batch, i)
        assert eqx.tree_equal(one.state, problem.state)
        assert eqx.tree_equal(one.environment.a, problem.environment.a)
        assert float(one.environment.h) == problem.environment.h
    some = take(batch, jnp.asarray([2, 0]))
    np.testing.assert_array_equal(some.state, jnp.stack([each[2].state, each[0].state]))


def test_numbers_of_any_kind_may_differ_in_a_batch():
    a, b, _, x, _ = (jnp.asarray(v) for v in linear_problem())
    batch = stack_problems([Problem(Heun(a, b, h), x) for h in (1, 0.5, np.float64(0.25), 0)])
    np.testing.assert_array_equal(batch.environment.h, [1.0, 0.5, 0.25, 0.0])


def test_what_is_no_batch_is_refused():
    with pytest.raises(UndertowError, match="cannot stack an empty list of problems"):
        stack_problems([])
    with pytest.raises(UndertowError, match="must share grid, order and flags"):
        stack_problems([problems()[0], problems(env=Linear)[0]])
    with pytest.raises(UndertowError, match="must share grid, order and flags"):
        one = problems()[0]
        stack_problems([one, Problem(one.environment, one.state, None)])
    batch = stack_problems(problems())
    with pytest.raises(UndertowError, match=r"one common leading axis.*\['2', '3'\]"):
        batch_size(eqx.tree_at(lambda b: b.state, batch, batch.state[:2]))
    with pytest.raises(UndertowError, match="one common leading axis"):
        TASK.losses(POLICY, FULL, eqx.tree_at(lambda b: b.state, batch, jnp.asarray(1.0)), key=jax.random.key(0))


def test_states_of_different_size_are_no_batch():
    one, other = problems()[:2]
    with pytest.raises(UndertowError, match=r"arrays of the same shapes, got \(3,\) and \(4,\)"):
        stack_problems([one, eqx.tree_at(lambda p: p.state, other, jnp.ones(4))])


@pytest.mark.parametrize("horizon", [0, -2])
def test_a_horizon_below_one_step_is_refused(horizon):
    with pytest.raises(UndertowError, match="horizon must be a whole number above 0"):
        Task(TASK.objective, horizon)
