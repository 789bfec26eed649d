"""Episodes for reinforcement learning: the solver's own steps, and rewards that add up to what training minimises."""

from __future__ import annotations

import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.baselines.tiny import tiny
from tests.helpers import random_like
from undertow.assembly import build
from undertow.baselines.faces import FaceGame, make_pool
from undertow.config.fields import changed
from undertow.core.flow import FULL
from undertow.envs import rewards
from undertow.envs.combination import AdjacentAverage
from undertow.envs.squash import NoSquash

CASES = {
    "directional": tiny(method="ppo"),
    "paired": tiny("burgers-paper", method="ppo", training__batch=3),
    "plane": tiny(
        "burgers-2d",
        method="ppo",
        grid__num_cells=6,
        grid__steps=2,
        data__pool=2,
        objective__name="reward",
        objective__error="full",
    ),
    "gas": tiny("euler", method="ppo", objective__name="reward", data__pool=2, objective__combination="stencil-max"),
    "penalties": tiny(
        method="ppo", objective__name="reward", objective__cloning=0.3, objective__total_variation=0.1, data__pool=2
    ),
}


def shaken(policy):
    """A policy with weights that are not those before training."""
    arrays, rest = eqx.partition(policy, eqx.is_inexact_array)
    moved = jax.tree.map(lambda x, d: x + 0.3 * d, arrays, random_like(arrays, jax.random.key(3)))
    return eqx.combine(moved, rest)


def played(config, policy, steps=None, compiled=contextlib.nullcontext):
    """Every problem's episode with the policy's own outputs for actions: last states, gathered rewards, whether it is over."""
    experiment = build(config)
    problems = experiment.make_pool()
    relative = config.objective.name != "reward"
    growth = rewards.Reward(rewards.GrowthError(rewards.FullError()), AdjacentAverage(), NoSquash())
    objective = growth if relative else experiment.task.objective
    game = FaceGame(policy, objective, experiment.task.horizon, 1.0)
    pool = make_pool(problems, objective, experiment.task.horizon, relative=relative)

    def episode(place):
        def one(state, _):
            rows = game.rows(pool, state)
            state, each, lost, over = game.step(pool, state, policy.network(rows))
            return state, (each, lost, over)

        return jax.lax.scan(one, game.reset(pool, place), length=steps or experiment.task.horizon)

    count = len(problems.reference.scale)
    with compiled():
        return experiment, problems, jax.jit(jax.vmap(episode))(jnp.arange(count))


@pytest.mark.parametrize("name", CASES)
def test_a_policy_plays_what_it_does_in_training_and_gathers_its_objective(name, as_users):
    """With forward Euler; with stages actions are held, see below."""
    # Made quickly, the two programs of the paired one are 2e-9 apart in one cell.
    compiled = as_users if name == "paired" else contextlib.nullcontext
    config = changed(CASES[name], {"grid.integrator": "euler"})
    policy = shaken(build(config).policy)
    experiment, problems, (states, (each, lost, over)) = played(config, policy, compiled=compiled)
    task = experiment.task
    with compiled():
        finals = eqx.filter_jit(eqx.filter_vmap(lambda p: task.run(policy, p).final.u))(problems)
    np.testing.assert_allclose(states.field.u, finals, rtol=1e-12, atol=1e-12)
    assert not np.any(lost) and np.all(over[:, -1]) and not np.any(over[:, :-1])
    if config.objective.name == "reward":
        losses = eqx.filter_jit(task.losses)(policy, FULL, problems)
        np.testing.assert_allclose(states.gathered, -losses, rtol=1e-10)
    # Rows of one face have one reward, and there are as many rows of every face: both means are the same.
    np.testing.assert_allclose(jnp.sum(jnp.mean(each, axis=2), axis=1), states.gathered, rtol=1e-10)


def test_growth_adds_up_to_the_relative_error_at_the_end():
    """What is gathered is minus the error around the faces at the end, over WENO-JS's own."""
    config = CASES["directional"]
    policy = shaken(build(config).policy)
    experiment, problems, (states, _) = played(config, policy)
    whole = rewards.Reward(rewards.FullError(), AdjacentAverage(), NoSquash())
    at_faces = eqx.filter_jit(eqx.filter_vmap(lambda p: whole.rewards(experiment.task.run(policy, p), p)[0][-1]))
    expected = jnp.mean(at_faces(problems), axis=1) / problems.reference.scale
    np.testing.assert_allclose(states.gathered, expected, rtol=1e-10)


def test_actions_are_held_over_the_stages_of_a_step():
    config = changed(CASES["directional"], {"grid.integrator": "ssp_rk3"})
    policy = shaken(build(config).policy)
    _, problems, (states, _) = played(config, policy, steps=1)
    for place in range(len(problems.reference.scale)):
        problem = jax.tree.map(lambda x, i=place: x[i] if eqx.is_array(x) else x, problems)
        env = problem.environment
        held = policy.network(policy.features(env.observe(problem.state)[0]))

        def weights(at, env=env, held=held):
            return (policy.weighted(env.observe(at)[0], held),)

        after, _ = eqx.filter_jit(env.step)(problem.state, weights)
        np.testing.assert_allclose(states.field.u[place], after.u, rtol=1e-12)


def test_a_solution_that_blows_up_pays_for_every_step_that_is_left():
    config = CASES["directional"]
    experiment = build(config)
    pool_of = experiment.make_pool()
    growth = rewards.Reward(rewards.GrowthError(rewards.FullError()), AdjacentAverage(), NoSquash())
    game = FaceGame(experiment.policy, growth, 4, 2.5, limit=1e-3)
    pool = make_pool(pool_of, growth, 4, relative=True)
    state = game.reset(pool, jnp.asarray(0))
    after, each, lost, over = eqx.filter_jit(game.step)(pool, state, jnp.zeros((len(game.rows(pool, state)), 2)))
    assert bool(lost) and bool(over)
    np.testing.assert_array_equal(each, -2.5 * 4)
    np.testing.assert_array_equal(after.field.u, state.field.u)


def test_problems_follow_each_other():
    config = CASES["directional"]
    experiment = build(config)
    game = FaceGame(
        experiment.policy, rewards.Reward(rewards.OneStepError(experiment.policy)), 4, 1.0, sampling="cycle"
    )
    problems = experiment.make_pool()
    pool = make_pool(problems, rewards.Reward(rewards.OneStepError(None)), 4, relative=False)
    places = [int(game.next_place(pool, jax.random.key(0), jnp.asarray(p), 3)) for p in range(4)]
    assert places == [3, 0, 1, 2]
    drawn = FaceGame(experiment.policy, game.objective, 4, 1.0)
    found = {int(drawn.next_place(pool, jax.random.key(k), jnp.asarray(0), 3)) for k in range(40)}
    assert found == {0, 1, 2, 3}
