"""Games in several processes: copies that go on where the original was, lengths that Gymnasium knows, forks that are refused."""

from __future__ import annotations

import copy
import os
import pickle

import cloudpickle
import gymnasium
import numpy as np
import pytest

import undertow.games.gymnasium  # noqa: F401  # registers the ids
from tests.games.small import ALL, BURGERS, CARTPOLE, FIELD, SOME, at_random
from undertow._checks import UndertowError
from undertow.games import make, processes
from undertow.games.pettingzoo import parallel_env

WAYS = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: cloudpickle.loads(cloudpickle.dumps(env)),
    "copy": copy.deepcopy,
}


def same(one, other):
    for a, b in zip(one, other, strict=True):
        if isinstance(a, dict):
            assert a.keys() == b.keys()
            same(a.values(), b.values())
        else:
            np.testing.assert_array_equal(a, b)


def goes_on(env, way, act):
    """A copy of a game in the middle of an episode takes the same steps, and begins the same episodes."""
    env.reset(seed=3)
    env.step(act())
    other = WAYS[way](env)
    for _ in range(2):
        action = act()
        same(env.step(action), other.step(action))
    same(env.reset(), other.reset())
    action = act()
    same(env.step(action), other.step(action))
    return other


def survives(case, way):
    """Before its first episode and in the middle of one."""
    id, options = ALL[case]
    env = gymnasium.make(id, disable_env_checker=True, **options)
    fresh = WAYS[way](env)
    same(env.reset(seed=1), fresh.reset(seed=1))
    draw = at_random(env.unwrapped.game)
    other = goes_on(env, way, lambda: draw(None))
    assert other.unwrapped.game == env.unwrapped.game and other.observation_space == env.observation_space
    assert other.spec == env.spec


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", SOME)
def test_copies_of_a_game_go_on(case, way):
    survives(case, way)


@pytest.mark.parametrize("case", [BURGERS, CARTPOLE])
def test_copies_of_many_go_on(case):
    id, options = ALL[case]
    envs = gymnasium.make_vec(id, num_envs=2, **options).unwrapped
    pickle.loads(pickle.dumps(envs)).reset(seed=0)
    draw = at_random(envs.game)
    goes_on(envs, "pickle", lambda: np.stack([draw(None), draw(None)]))


def test_copies_with_an_agent_per_face_go_on():
    id, options = ALL[BURGERS]
    env = parallel_env(id, **options)
    draw = at_random(env.game)
    goes_on(env, "cloudpickle", lambda: dict(zip(env.possible_agents, draw(None), strict=True)))


def test_pictures_are_of_the_same_episode():
    id, options = ALL[CARTPOLE]
    env = gymnasium.make(id, render_mode="rgb_array", **options)
    env.reset(seed=0)
    env.step(np.ones(1))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(env)).render(), env.render())


@pytest.mark.parametrize(
    ("id", "options", "steps"),
    [
        (BURGERS, {}, 250),
        (BURGERS, {"steps": 7}, 7),
        (BURGERS, {"end_time": 0.1}, 250),
        (BURGERS, {"end_time": 0.1, "cfl": 0.5, "integrator": "ssp_rk3"}, None),
        (BURGERS, {"steps": 5, "acts": "stage", "integrator": "ssp_rk3"}, 15),
        (BURGERS, {"steps": 5, "acts": "stage"}, 5),
        ("undertow/Euler-v0", {}, 1000),
        (CARTPOLE, {"horizon": 12}, 12),
    ],
)
def test_the_length_of_an_episode_is_known(id, options, steps):
    env = gymnasium.make(id, **options)
    assert env.spec.max_episode_steps == env.unwrapped.spec.max_episode_steps == steps
    assert gymnasium.make_vec(id, num_envs=1, **options).spec.max_episode_steps == steps
    assert gymnasium.make(id, max_episode_steps=3, **options).spec.max_episode_steps == 3


@pytest.mark.parametrize("case", [BURGERS, "full", CARTPOLE])
def test_episodes_are_as_long_as_they_say(case):
    id, options = ALL[case]
    env = gymnasium.make(id, **options)
    draw, over = at_random(env.unwrapped.game), False
    env.reset(seed=0)
    for step in range(env.spec.max_episode_steps):
        assert not over, step
        *_, terminated, over, _ = env.step(draw(None) * 0.01 if case == "full" else draw(None))
        assert not terminated
    assert over


def test_a_made_game_can_be_made_again():
    env = gymnasium.make(BURGERS, **FIELD)
    again = gymnasium.make(env.spec)
    assert again.unwrapped.game == env.unwrapped.game


def test_the_usual_actions_are_for_any_agent():
    for env in (gymnasium.make(BURGERS, cells=16, steps=4), parallel_env(BURGERS, cells=16, steps=4)):
        env.reset(seed=0)
    env = gymnasium.make(BURGERS, cells=16, steps=4)
    env.reset(seed=0)
    assert type(env.action_space) is gymnasium.spaces.Box and env.action_space.low.min() < 0
    env.action_space.seed(0)
    for action in (env.action_space.sample(), np.zeros(env.action_space.shape), 3 * env.action_space.high):
        assert np.isfinite(env.step(action)[1])


@pytest.mark.parametrize(
    ("id", "option", "meant"),
    [
        (BURGERS, "cels", "cells"),
        (BURGERS, "step", "steps"),
        (BURGERS, "squahs", "squash"),
        (BURGERS, "intergrator", "integrator"),
        (CARTPOLE, "horizn", "horizon"),
        (CARTPOLE, "pole", "poles"),
    ],
)
def test_a_misspelt_option_is_told_the_nearest_of_all(id, option, meant):
    with pytest.raises(UndertowError, match=f"has no option '{option}'; did you mean '{meant}'"):
        make(id, **{option: 3})


def test_a_fork_is_refused_and_does_not_hang(monkeypatch):
    assert processes._in_use()  # whatever was made above
    processes.require_no_fork()
    monkeypatch.setattr(processes, "_stopped", False)
    monkeypatch.setattr(os, "fork", None)  # nothing is forked here: what runs in a child is called
    processes._after_fork()
    for play in (lambda: gymnasium.make(BURGERS, **FIELD), lambda: gymnasium.make_vec(BURGERS, num_envs=2, **FIELD)):
        with pytest.raises(UndertowError, match="forked .* start processes with spawn"):
            play()
