"""Gymnasium: its own checks, and the same numbers through every interface."""

from __future__ import annotations

import warnings

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

import undertow.games.gymnasium
from tests.games.small import ALL, BURGERS, CARTPOLE, MODES, SOME, at_random, programs, tiny
from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.games.player import seed_of
from undertow.games.spaces import SimplexBox
from undertow.games.vector import GameVectorEnv
from undertow.policies.classical import classical
from undertow.schemes.solve import solve
from undertow.schemes.weights import EPSILON, WenoJS


def single(case, **more):
    id, options = ALL[case]
    return gymnasium.make(id, **options, **more).unwrapped


def vector(case, copies=2, **more):
    id, options = ALL[case]
    return gymnasium.make_vec(id, num_envs=copies, **options, **more)


def check(env):
    with warnings.catch_warnings():
        # States and stencils have no bounds, and forces are in newtons.
        warnings.filterwarnings("ignore", message=".*A Box observation space (minimum|maximum) value is")
        warnings.filterwarnings("ignore", message=".*recommend using a symmetric and normalized space")
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize("case", SOME)
def test_gymnasium_is_content(case):
    check(single(case))


def round_off(env):
    # Scores change by the 1e10-fold of what changes by rounding, where variations are 1e-10 of the largest number.
    return 1e-5 if getattr(env.game, "observations", "raw") == "normalised" else 1e-12


@pytest.mark.parametrize("case", SOME)
def test_an_environment_is_the_functional_core(case):
    same_as_the_core(single(case))


def same_as_the_core(env):
    game, act = env.game, at_random(env.game)
    reset, step = programs(game)
    root = jax.random.key(seed_of(np.random.Generator(np.random.PCG64(7))))
    for episode in range(2):
        root, key = jax.random.split(root)
        state, observation = reset(key, env.params)
        seen, _ = env.reset(seed=None if episode else 7)
        np.testing.assert_array_equal(seen, observation)
        assert env.observation_space.contains(seen)
        for _ in range(2):
            action = act(None)
            _, (state, observation, reward, done, info) = step(state, action, env.params)
            seen, value, terminated, truncated, told = env.step(action)
            np.testing.assert_allclose(seen, observation, rtol=1e-11, atol=round_off(env))
            np.testing.assert_allclose(told["rewards"], info["rewards"], rtol=1e-9, atol=1e-11)
            assert (value, terminated or truncated) == (pytest.approx(float(reward), rel=1e-9), done)


@pytest.mark.parametrize("case", [BURGERS, CARTPOLE])
def test_a_copy_of_many_is_one_with_its_seed(case):
    same_as_one(vector(case, 3, chunk=2), single(case))


def same_as_one(envs, env):
    assert isinstance(envs, GameVectorEnv)
    many, infos = envs.reset(seed=5)
    one, _ = env.reset(seed=6)
    np.testing.assert_allclose(many[1], one, rtol=1e-11, atol=round_off(env))
    assert infos["time"].tolist() == [0, 0, 0] and infos["_time"].all()
    act = at_random(env.game)
    for step in range(6):
        actions = np.stack([act(None) for _ in range(3)])
        many, rewards, terminated, truncated, infos = envs.step(actions)
        assert envs.observation_space.contains(many) and rewards.shape == (3,)
        if (
            step == 4 and getattr(env.game, "acts", "step") == "step"
        ):  # the episode's four steps are over: begun anew, whatever the action
            one, info = env.reset()
            expected = (0.0, False, False)
        else:
            one, *expected, info = env.step(actions[1])
        np.testing.assert_allclose(many[1], one, rtol=1e-11, atol=round_off(env))
        np.testing.assert_allclose((rewards[1], terminated[1], truncated[1]), expected, rtol=1e-9, atol=1e-12)
        assert infos["steps"][1] == info["steps"] and infos["time"][1] == pytest.approx(info["time"])


def test_seeds_reproduce_bit_for_bit():
    envs = vector(CARTPOLE)

    def played():
        out = [envs.reset(seed=3)[0]]
        act = at_random(envs.game)
        for _ in range(6):
            out += envs.step(np.stack([act(None), act(None)]))[:2]
        return out

    for one, other in zip(played(), played(), strict=True):
        np.testing.assert_array_equal(one, other)
    listed, _ = envs.reset(seed=[4, 3])
    np.testing.assert_array_equal(listed[1], played()[0][0])
    on, _ = envs.reset()
    assert not np.array_equal(on, vector(CARTPOLE).reset(seed=3)[0])


def test_weno_plays_the_solver_through_both():
    env, envs = single(BURGERS), vector(BURGERS)
    weno = quick_jit(env.game.acting(classical("weno-js", 3)))
    seen, _ = env.reset(seed=1)
    many, _ = envs.reset(seed=0)
    start = env._player.state
    for _ in range(4):
        seen, reward, *_ = env.step(weno(seen))
        many, rewards, *_ = envs.step(np.stack([weno(each) for each in many]))
        np.testing.assert_allclose([reward, *rewards], 0, atol=1e-10)
    conserved = env.game.environment(start, env.params)
    rule = {"time_step": conserved.time_step, "integrator": conserved.integrator}
    weights = WenoJS(3, EPSILON)  # a game shows stencils as they are, whatever the problem's unit
    expected = quick_jit(lambda u: solve(conserved.scheme, weights, u, steps=4, **rule).values[-1])(start.field.u)
    np.testing.assert_allclose(env._player.state.field.u, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(envs.states.field.u[1], expected, rtol=1e-13, atol=1e-14)


# --- what happens at the end of an episode ----------------------------------------------------------------------------


def force(copies=2):
    return np.ones((copies, 1))


def test_same_step_returns_the_last_observation_beside_the_first():
    envs, twin = vector(CARTPOLE, autoreset_mode="SameStep"), vector(CARTPOLE)
    envs.reset(seed=0), twin.reset(seed=0)
    for _ in range(4):
        seen, rewards, _, truncated, infos = envs.step(force())
        last, expected, *_ = twin.step(force())
    np.testing.assert_array_equal(rewards, expected)
    assert truncated.all() and infos["_final_obs"].all() and infos["steps"].tolist() == [0, 0]
    np.testing.assert_array_equal(np.stack(infos["final_obs"]), last)
    assert infos["final_info"]["steps"].tolist() == [4, 4]
    np.testing.assert_array_equal(seen, twin.step(force())[0])


def test_without_autoreset_those_who_are_asked_to_begin_anew():
    envs = vector(CARTPOLE, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    for _ in range(4):
        before, *_ = envs.step(force())
    with pytest.raises(UndertowError, match="some episodes are over and nothing resets them"):
        envs.step(force())
    seen, infos = envs.reset(options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(seen[1], before[1])
    assert not np.array_equal(seen[0], before[0])
    assert infos["steps"].tolist() == [0, 4] and infos["_steps"].tolist() == [True, False]
    with pytest.raises(UndertowError, match="reset_mask is 2 booleans"):
        envs.reset(options={"reset_mask": np.ones(3, bool)})


# --- spaces, pictures, errors -----------------------------------------------------------------------------------------


def test_samples_are_on_the_simplex():
    space = SimplexBox((3, 2, 4), np.float64, seed=0)
    x = space.sample()
    assert x in space and space.sample().tolist() != x.tolist()
    assert 0.9 * x not in space and np.full(x.shape, np.nan) not in space and x[0] not in space and "x" not in space
    many = batch_space(space, 5)
    assert isinstance(many, SimplexBox) and many.sample() in many and many.shape == (5, 3, 2, 4)
    with pytest.raises(UndertowError, match="without mask"):
        space.sample(mask=1)


@pytest.mark.parametrize("case", [BURGERS, "undertow/Burgers2D-v0", CARTPOLE])
def test_pictures(case):
    env = single(case, render_mode="rgb_array")
    with pytest.raises(UndertowError, match="call reset first"):
        env.render()
    env.reset(seed=0)
    first = env.render()
    env.step(at_random(env.game)(None))
    assert first.dtype == np.uint8 and first.shape[2] == 3 and first.std() > 0
    assert env.render().shape == first.shape and np.any(env.render() != first)


def test_a_window_without_a_display_is_a_warning(caplog):
    env = single(CARTPOLE, render_mode="human")
    env.reset(seed=0)
    env.step(force(1)[0])
    assert env.render() is None
    env.close()
    assert [record.message for record in caplog.records] == [
        "there is no display for render_mode='human'; take 'rgb_array' to get the pictures"
    ]
    envs = vector(CARTPOLE, render_mode="rgb_array")
    envs.reset(seed=0)
    assert len(envs.render()) == 2


def test_refused_steps_change_nothing():
    env = single(BURGERS)
    with pytest.raises(UndertowError, match="call reset before step"):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    good = at_random(env.game)(None)
    state = env._player.state
    for bad, message in [
        (good[0], r"an action has shape \(17, 1, 2, 2\), got \(1, 2, 2\)"),
        (np.where(np.arange(2) == 0, np.nan, good), "must be on the simplex"),
        (1.1 * good, "must be on the simplex.*actions='logits'"),
        (good - [1.0, -1.0], "must be on the simplex"),
        (np.full(good.shape, "left"), "real numbers here, got <U4"),
        ([[1, 2], [3]], "ragged"),
    ]:
        with pytest.raises(UndertowError, match=message):
            env.step(bad)
    assert jax.tree.all(jax.tree.map(lambda a, b: a is b, env._player.state, state))
    for _ in range(4):
        env.step(good)
    with pytest.raises(UndertowError, match="the episode is over"):
        env.step(good)
    with pytest.raises(UndertowError, match="reset has no option 'case'"):
        env.reset(options={"case": "sod"})
    with pytest.raises(UndertowError, match="unknown game"):
        undertow.games.gymnasium.GameEnv("Burgers")
    with pytest.raises(UndertowError, match="render_mode must be"):
        undertow.games.gymnasium.GameEnv(CARTPOLE, render_mode="ansi")
    with pytest.raises(UndertowError, match="no option 'pole'"):
        gymnasium.make(CARTPOLE, pole=2)


def test_refused_steps_of_many_name_the_copy():
    envs = vector(BURGERS)
    with pytest.raises(UndertowError, match="call reset before step"):
        envs.step(envs.action_space.sample())
    envs.reset(seed=0)
    good = np.stack([at_random(envs.game)(None)] * 2)
    leaves = envs._leaves
    with pytest.raises(UndertowError, match=r"the copies' action has shape \(2, 17, 1, 2, 2\)"):
        envs.step(good[:1])
    bad = good.copy()
    bad[1, 3] = np.nan
    with pytest.raises(UndertowError, match="on the simplex.*copy 1 is the first"):
        envs.step(bad)
    assert envs._leaves is leaves
    for options, message in [
        ({"num_envs": 0}, "num_envs must be a whole number above 0"),
        ({"chunk": 0}, "chunk must be a whole number above 0"),
        ({"autoreset_mode": "Never"}, "unknown autoreset mode"),
        ({"render_mode": "human"}, "many copies have no window"),
    ]:
        with pytest.raises(UndertowError, match=message):
            GameVectorEnv(CARTPOLE, **options)
    with pytest.raises(UndertowError, match="got 3 seeds"):
        envs.reset(seed=[1, 2, 3])


def test_discrete_actions_are_whole_numbers():
    env = single("change")
    env.reset(seed=0)
    with pytest.raises(UndertowError, match="whole numbers here, got float64"):
        env.step(np.zeros(env.action_space.shape))
    with pytest.raises(UndertowError, match="whole numbers from 0 to 2"):
        env.step(np.full(env.action_space.shape, 3))
    assert tiny(**MODES["change"])[0].action_space.categories == 3
