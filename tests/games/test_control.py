"""Games of controlled systems: the simulator itself, and rewards that add up to the objective."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.games.small import CARTPOLE, TINY, at_random, played, programs, tiny, trajectory_of
from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.core.objective import ActionCost, FinalCost, Problem, RunningCost
from undertow.core.unroll import rollout
from undertow.envs.objectives import TrajectoryError
from undertow.games import GAMES, make
from undertow.policies.controller import Controller
from undertow.tasks.cartpole import Upright

SYSTEMS = [id for id in GAMES if "horizon" in TINY[id]]


@pytest.mark.parametrize("id", SYSTEMS)
def test_rewards_of_an_episode_add_up_to_minus_the_objective(id):
    game, params = tiny(id)
    out = played(game, params, at_random(game), 4)
    trajectory = trajectory_of(out, lambda state: state.system, jnp.asarray(out["action"]))
    expected = quick_jit(lambda: game.objective(trajectory, Problem(params.environment, None)))()
    np.testing.assert_allclose(-np.sum(out["reward"]), expected, rtol=1e-12)
    assert out["done"].tolist() == [False, False, False, True] and out["truncated"][-1]
    assert out["rewards"].shape == (4, len(game.agents))
    np.testing.assert_allclose(out["time"], params.environment.dt * np.arange(1, 5))


@pytest.mark.parametrize(
    "options", [{"reward": "running"}, {"reward": "running", "reduction": "sum", "action_cost": 0.2}]
)
def test_the_cart_may_be_rewarded_all_along(options):
    game, params = tiny(**{"id": CARTPOLE, **options})
    out = played(game, params, at_random(game), 4)
    trajectory = trajectory_of(out, lambda state: state.system, jnp.asarray(out["action"]))
    np.testing.assert_allclose(-np.sum(out["reward"]), game.objective(trajectory, Problem(None, None)), rtol=1e-12)
    assert (np.abs(out["reward"]) > 0).all()


def test_a_controller_plays_its_closed_loop():
    game, params = tiny(CARTPOLE)
    policy = Controller(4, (1,), key=jax.random.key(0), hidden=(4,), zero_last=False)
    out = played(game, params, quick_jit(game.acting(policy)), 4)
    expected = quick_jit(lambda state: rollout(params.environment, policy, state, 4).states)(out["first"].system)
    np.testing.assert_allclose(out["state"].system, expected[1:], rtol=1e-12)


def test_gradients_through_steps_are_those_of_the_simulator():
    game, params = make(CARTPOLE, horizon=3, reward="running", reduction="sum")
    state, _ = programs(game)[0](jax.random.key(0), params)

    def by_game(force):
        here, total = state, 0.0
        for _ in range(3):
            here, _, reward, _, _ = game.step(None, here, force, params)
            total = total - reward
        return total

    def by_hand(force):
        x, total = state.system, 0.0
        for _ in range(3):
            x = params.environment.advance(x, force)
            total = total + Upright()(x)
        return total

    for one, other in zip(*(quick_jit(jax.value_and_grad(f))(jnp.ones(1)) for f in (by_game, by_hand)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_system_that_blows_up_ends():
    game, params = tiny(CARTPOLE, limit=10.0, penalty=2.0)
    reset, step = programs(game)
    state, _ = reset(jax.random.key(0), params)
    _, (state, _, _, _, _) = step(state, np.zeros(1), params)
    _, (after, _, reward, done, info) = step(state, np.full(1, 1e6), params)
    assert done and info["terminated"] and not info["truncated"] and reward == -2.0 * 3
    np.testing.assert_array_equal(after.system, state.system)
    _, (_, _, reward, done, info) = step(after, np.zeros(1), params)
    assert done and reward == 0 and not info["terminated"]


def test_options_and_what_is_wrong_with_them():
    assert make(CARTPOLE, poles=3)[0].observation_space.shape == (8,)
    assert make("undertow/Guidance-v0", drivers=3)[0].agents == ("driver_0", "driver_1", "driver_2")
    assert make("undertow/Contact-v0", dimensions=1, bound=3.0)[0].action_space.high == 3
    own = FinalCost(Upright()) + 0.1 * ActionCost()
    assert make(CARTPOLE, reward=own)[0].objective is own
    for options, message in [
        ({"pole": 2}, "the game of cartpole has no option 'pole'; did you mean 'poles'"),
        ({"reward": "finale"}, "unknown reward 'finale'; did you mean 'final'"),
        ({"reward": RunningCost(Upright()), "action_cost": 0.1}, "leave them out"),
        ({"horizon": 0}, "horizon must be"),
        ({"dt": -1.0}, "system.dt must be"),
        ({"reward": TrajectoryError(1)}, "TrajectoryError is no sum over steps"),
    ]:
        with pytest.raises(UndertowError, match=message):
            make(CARTPOLE, **options)
