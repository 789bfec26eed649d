"""PettingZoo: its own checks, and an agent per face that plays what the one of Gymnasium does."""

from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from tests.games.small import ALL, BURGERS, CARTPOLE, SOME, at_random
from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.games.gymnasium import GameEnv
from undertow.games.pettingzoo import parallel_env
from undertow.policies.classical import classical


def parallel(case, **more):
    id, options = ALL[case]
    return parallel_env(id, **options, **more)


@pytest.mark.parametrize("case", SOME)
def test_pettingzoo_is_content(case, capsys):
    parallel_api_test(parallel(case), num_cycles=20)
    parallel_seed_test(lambda: parallel(case), num_cycles=3)


@pytest.mark.parametrize("case", [BURGERS, "undertow/Burgers2D-v0", "undertow/Guidance-v0"])
def test_agents_play_what_one_agent_plays(case):
    env = parallel(case)
    id, options = ALL[case]
    whole = GameEnv(id, **options)
    act = at_random(whole.game)
    seen, _ = env.reset(seed=3)
    together, _ = whole.reset(seed=3)
    fields = "Guidance" not in case
    for _ in range(2):
        rows = together if fields else [together] * len(env.agents)  # a herd's drivers see all of it
        np.testing.assert_array_equal([seen[agent] for agent in env.agents], rows)
        action = act(None)
        seen, rewards, terminated, truncated, infos = env.step(dict(zip(env.agents, action, strict=True)))
        together, reward, *ended, info = whole.step(action)
        np.testing.assert_array_equal(list(rewards.values()), info["rewards"])
        if len(set(map(str.__len__, (a.split("_")[0] for a in env.agents)))) == 1 and "2D" not in case:
            assert np.mean(list(rewards.values())) == pytest.approx(reward)
        assert [terminated[env.agents[0]], truncated[env.agents[0]]] == ended
        assert infos[env.agents[0]] == {"time": info["time"], "steps": info["steps"]}
        np.testing.assert_array_equal(env.state(), whole.game.values(whole._player.state))


def test_faces_are_alike():
    env = parallel("undertow/Burgers2D-v0")
    assert len(env.possible_agents) == 2 * 6 * 5
    assert env.possible_agents[:2] == ["x_0_0", "x_0_1"] and env.possible_agents[-1] == "y_4_5"
    assert len({env.observation_space(agent).shape for agent in env.possible_agents}) == 1
    assert parallel(BURGERS).possible_agents == [f"face_{k}" for k in range(17)]
    assert parallel("undertow/Guidance-v0").possible_agents == ["driver_0", "driver_1"]


def test_weno_at_every_face_is_rewarded_with_zero():
    env = parallel(BURGERS)
    weno = quick_jit(env.game.acting(classical("weno-js", 3)))
    seen, _ = env.reset(seed=0)
    while env.agents:
        actions = weno(np.stack([seen[agent] for agent in env.agents]))
        seen, rewards, *_ = env.step(dict(zip(env.agents, np.asarray(actions), strict=True)))
        np.testing.assert_allclose(list(rewards.values()), 0, atol=1e-10)


def test_errors_and_pictures():
    env = parallel(CARTPOLE, render_mode="rgb_array")
    force = np.ones(1)
    with pytest.raises(UndertowError, match="call reset"):
        env.step({"cart": force})
    with pytest.raises(UndertowError, match="call reset first"):
        env.state()
    env.reset(seed=0)
    with pytest.raises(UndertowError, match="every agent acts in every step; got no action of 'cart'"):
        env.step({})
    with pytest.raises(UndertowError, match="an action of 'horse', which is no agent here"):
        env.step({"cart": force, "horse": force})
    with pytest.raises(UndertowError, match=r"the action of cart has shape \(1,\), got \(2,\)"):
        env.step({"cart": np.ones(2)})
    with pytest.raises(UndertowError, match="must be finite numbers"):
        env.step({"cart": np.array([np.inf])})
    assert env.render().dtype == np.uint8
    for _ in range(4):
        env.step({"cart": force})
    with pytest.raises(UndertowError, match="the episode is over"):
        env.step({"cart": force})
    with pytest.raises(UndertowError, match="render_mode must be"):
        parallel(CARTPOLE, render_mode="ansi")
    shown = parallel(CARTPOLE, render_mode="human")
    shown.reset()
    shown.close()


def test_without_the_extras_the_core_works_and_says_what_to_install():
    script = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"gymnasium", "pettingzoo"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import undertow
undertow.games.make("undertow/CartPole-v0")
for name in ("gymnasium", "vector", "spaces", "pettingzoo"):
    try:
        __import__(f"undertow.games.{name}")
    except undertow.UndertowError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 3 and all("pip install 'undertow[gymnasium]'" in line for line in lines)
    assert "pip install 'undertow[pettingzoo]'" in last


def test_keys_are_data(capsys):
    """Two games of equal options share their programs, whatever their parameters."""
    one, other = parallel(BURGERS), parallel(BURGERS, limit=1e3)
    one.reset(), other.reset()
    assert one._player._step is other._player._step
    assert jax.tree.structure(one.params) == jax.tree.structure(other.params)
