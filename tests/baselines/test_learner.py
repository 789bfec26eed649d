"""Trainings by the methods of Stable-Baselines3, in the same run directories as all others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra baselines is not installed: make baselines")

import torch

from tests.baselines.tiny import tiny
from undertow.assembly import build
from undertow.baselines.algorithms import METHODS, get_policy, set_actor
from undertow.baselines.learner import Learner
from undertow.config.baseline import OFF_POLICY
from undertow.core.flow import FULL
from undertow.experiment import evaluate_run, resume, train

BY_METHOD = pytest.mark.parametrize("method", METHODS)

torch.set_num_threads(1)  # such small networks are slower on several


def begun(config):
    experiment = build(config)
    learner = Learner(experiment, experiment.make_pool())
    return experiment, learner, learner.init(experiment.policy, jax.random.key(0))


def leaves(tree):
    return [
        np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
        for x in jax.tree.leaves(tree)
    ]


@BY_METHOD
def test_the_policy_is_what_the_model_does_without_exploring(method):
    experiment, learner, state = begun(tiny(method=method, policy__prior=False))
    for one, other in zip(leaves(state.policy), leaves(experiment.policy), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)  # it begins where every method does
    set_actor(learner._model, jax.tree.map(lambda x: 1.7 * x + 0.1, experiment.policy))
    policy = get_policy(learner._model, experiment.policy)
    seen = learner._env.observe()
    said, _ = learner._model.predict(seen, deterministic=True)
    np.testing.assert_allclose(policy.bounded(policy.network(jnp.asarray(seen))), said, rtol=1e-4, atol=1e-5)


@BY_METHOD
def test_every_method_learns_what_is_asked(method):
    """The best that can be had is known: the weights of the linear scheme, whose every step is rewarded with 0."""
    config = tiny(
        "burgers-paper",
        method=method,
        objective__comparator="linear",
        objective__scale=20.0,
        policy__bound=2.0 if method in OFF_POLICY else None,
        training__batch=3,
        baseline__learning_rate=3e-3 if method in OFF_POLICY else 1e-2,
        baseline__gradient_steps=5,
        baseline__minibatch=256,
        baseline__spread=0.5,
    )
    experiment, learner, state = begun(config)
    result = learner.fit(state, 30)
    assert result.status == "finished" and int(result.state.step) == 30
    problems = experiment.make_sets()["test"]
    loss = jax.jit(lambda policy: experiment.task.losses(policy, FULL, problems).mean())
    assert 0 < loss(result.state.policy) < 0.85 * loss(experiment.policy)


@pytest.mark.parametrize("method", ["ppo", "sac", "td3"])
def test_a_training_that_was_stopped_goes_on_bit_for_bit(method, tmp_path):
    config = tiny(method=method)
    whole = train(config, out=tmp_path / "whole", quiet=True)
    stopped = train(config, out=tmp_path / "stopped", quiet=True, callbacks=[lambda progress: progress.done == 3])
    assert (whole.status, stopped.status) == ("finished", "interrupted")
    np.random.seed(5)  # what happens to the global generators in between is of no matter
    torch.manual_seed(5)
    again = resume(tmp_path / "stopped", quiet=True)
    assert again.status == "finished"
    for one, other in zip(leaves(whole.policy), leaves(again.policy), strict=True):
        np.testing.assert_array_equal(one, other)
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("whole", "stopped")]
    columns = rows[0][0].split(",")
    keep = [i for i, name in enumerate(columns) if name != "seconds"]
    one, other = ([[row.split(",")[i] for i in keep] for row in table] for table in rows)
    assert one == other and len(one) == 4


def test_a_run_is_a_run(tmp_path):
    """Its policy is evaluated like any other; it is noted what it learned by."""
    run = train(tiny(method="policy-gradient"), out=tmp_path / "run", quiet=True)
    assert run.summary["updates"] == 4 and run.summary["best"]["metric"] == "ratio"
    with open(tmp_path / "run" / "metrics.csv") as file:
        assert {"loss", "blown_up", "policy_loss", "value_loss", "ratio"} <= set(file.readline().strip().split(","))
    (found,) = evaluate_run(tmp_path / "run", ["families"], cells=16).values()
    assert np.isfinite(found.summary()["learned"]["geometric_mean"])


def test_global_generators_are_left_alone():
    np.random.seed(7)
    torch.manual_seed(7)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()
    _, learner, state = begun(tiny(method="td3"))
    learner.fit(state, 2)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_seed_decides():
    def learned(seed):
        config = tiny(method="ppo", seed=seed, policy__prior=False)
        _, learner, state = begun(config)
        return leaves(learner.fit(state, 2).state.policy)

    one, same, other = learned(0), learned(0), learned(1)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_networks_that_become_nan_end_the_training_with_the_last_good_state():
    _, learner, state = begun(tiny(method="ppo", baseline__learning_rate=1e30))
    result = learner.fit(state, 3)
    assert result.status == "failed" and "became NaN in update" in str(result.error)
    assert all(np.isfinite(x).all() for x in leaves(result.state.policy))
