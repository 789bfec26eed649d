"""How a policy is to learn is a field like any other: what contradicts it is refused, and cloning is supervised learning."""

from __future__ import annotations

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.baselines.tiny import tiny
from tests.helpers import random_like
from undertow._checks import UndertowError
from undertow.assembly import build
from undertow.core.flow import FULL, STOP
from undertow.experiment import train
from undertow.policies.classical import classical


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "ppo", "gradient": "physics"}, "ppo takes no gradient through time"),
        ({"method": "sac", "window": 3}, "sac takes no gradient through time"),
        ({"method": "cloning", "gates": (1.0, 0.5)}, "cloning takes no gradient through time"),
        ({"method": "td3", "policy__noise": 0.1}, "td3 explores by itself; set policy.noise to 0"),
        ({"method": "ppo", "objective__cloning": 0.1}, "leave data.every and the objective's"),
        ({"baseline__spread": 0.0}, "baseline.spread must be a finite number above 0"),
        ({"baseline__discount": 1.5}, "baseline.discount must be a finite number from 0 to 1"),
        ({"baseline__penalty": -1.0}, "baseline.penalty must be a finite number of 0 or more"),
        ({"method": "pppo"}, "pppo"),
    ],
)
def test_contradictions_are_told_before_anything_is_done(fields, message):
    with pytest.raises(UndertowError, match=message):
        build(tiny(**fields))


def test_without_the_library_its_extra_is_named_and_nothing_is_written(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(UndertowError, match=r"ppo needs Stable-Baselines3: pip install 'undertow\[baselines\]'"):
        train(tiny(method="ppo"), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_methods_that_need_a_bound_have_one():
    assert build(tiny(method="ppo")).policy.bound is None
    assert build(tiny(method="sac")).policy.bound == 5.0
    assert build(tiny(method="ddpg", policy__bound=2.0)).policy.bound == 2.0


def test_what_trains_many_at_once_does_not_take_another_method_for_its_own():
    experiment = build(tiny(method="ppo"))
    with pytest.raises(UndertowError, match="ppo trains one policy at a time"):
        experiment.trainer(experiment.make_pool())


def test_cloning_is_supervised_learning_in_the_states_that_come_up():
    """Its gradient is that of the distance to WENO's weights with all stencils held fixed."""
    experiment = build(tiny(method="cloning", policy__prior=False))
    problems = experiment.make_pool()
    arrays, rest = eqx.partition(experiment.policy, eqx.is_inexact_array)
    policy = eqx.combine(jax.tree.map(lambda x, d: x + 0.2 * d, arrays, random_like(arrays, jax.random.key(1))), rest)
    trainer, task = experiment.trainer(problems), experiment.task
    assert trainer.gradient.flow == STOP

    @eqx.filter_jit
    def both(policy):
        loss, gradient, _ = trainer.gradient(lambda p, flow: task.loss(p, flow, problems), policy)
        states = eqx.filter_vmap(lambda problem: task.run(policy, problem).before)(problems)
        weno = classical("weno-js", 3)

        def supervised(policy):
            def distance(problem, states):
                def at(state):
                    (stencils,) = problem.environment.observe(state)
                    (mine,), (its,) = policy((stencils,)), weno((stencils,))
                    return jnp.mean(jnp.sqrt(jnp.sum((mine - its) ** 2, axis=(0, -1))))

                return jnp.sum(jax.vmap(at)(states))

            return jnp.mean(eqx.filter_vmap(distance)(problems, states))

        return (loss, gradient), eqx.filter_value_and_grad(supervised)(policy)

    (loss, gradient), (expected, slope) = both(policy)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)
    run = trainer.update(trainer.init(policy, jax.random.key(0)))[0]
    assert np.isfinite(task.loss(run.policy, FULL, problems)[0])
