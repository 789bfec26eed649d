"""Stable-Baselines3 trains on the games as they are, one at a time and many in one call, and has nothing to complain about."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

sb3 = pytest.importorskip("stable_baselines3", reason="the extra baselines is not installed: make baselines")

import gymnasium  # noqa: E402
import torch  # noqa: E402
from stable_baselines3.common.env_checker import check_env  # noqa: E402

import undertow.games.gymnasium  # noqa: E402, F401  # registers the ids
from tests.games.small import BURGERS, CARTPOLE, FIELD  # noqa: E402
from undertow._checks import UndertowError  # noqa: E402
from undertow.baselines.games import GameVecEnv  # noqa: E402
from undertow.games.vector import GameVectorEnv  # noqa: E402

torch.set_num_threads(1)  # such small networks are slower on several
OPTIONS = {**FIELD, "case": "smooth_sine", "actions": "logits"}


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("kind", ["PPO", "SAC"])
@pytest.mark.parametrize(("game", "options"), [(BURGERS, OPTIONS), (CARTPOLE, {"horizon": 4})], ids=["faces", "cart"])
def test_the_library_trains_without_a_warning(game, options, kind, many):
    own = {"n_steps": 8, "batch_size": 8} if kind == "PPO" else {"learning_starts": 8, "batch_size": 8}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = GameVecEnv(game, 2, **options) if many else gymnasium.make(game, **options)
        model = getattr(sb3, kind)("MlpPolicy", env, seed=0, device="cpu", **own)
        before = {name: value.clone() for name, value in model.policy.state_dict().items()}
        model.learn(32)
    assert any(not value.equal(before[name]) for name, value in model.policy.state_dict().items())


def test_the_library_finds_nothing_wrong():
    check_env(gymnasium.make(BURGERS, **OPTIONS), warn=False)


def test_copies_are_those_of_the_vector_environment():
    ours, theirs = (
        GameVecEnv(BURGERS, 3, seed=4, **OPTIONS),
        GameVectorEnv(BURGERS, 3, autoreset_mode="SameStep", **OPTIONS),
    )
    seen, (expected, _) = ours.reset(), theirs.reset(seed=4)
    np.testing.assert_array_equal(seen, expected)
    actions = np.random.default_rng(0).normal(size=(3, *ours.action_space.shape))
    for step in range(FIELD["steps"] + 1):
        seen, rewards, over, infos = ours.step(actions)
        expected, other, terminated, truncated, info = theirs.step(actions)
        np.testing.assert_array_equal(seen, expected)
        np.testing.assert_allclose(rewards, other, rtol=1e-6)
        np.testing.assert_array_equal(over, terminated | truncated)
        if step == FIELD["steps"] - 1:
            assert over.all()
            np.testing.assert_array_equal(infos[1]["terminal_observation"], info["final_obs"][1])
            assert infos[1]["TimeLimit.truncated"] is True
        else:
            assert not over.any() and infos == [{}, {}, {}]


def test_actions_on_a_simplex_are_refused_at_the_door():
    with pytest.raises(UndertowError, match="take actions='logits'"):
        GameVecEnv(BURGERS, 2, **{**OPTIONS, "actions": "simplex"})


def test_choices_from_a_lattice_are_trained():
    options = {**OPTIONS, "actions": "lattice"}
    env = GameVecEnv(BURGERS, 2, **options)
    assert env.action_space.nvec.ndim == 1
    model = sb3.PPO("MlpPolicy", env, seed=0, device="cpu", n_steps=8, batch_size=8)
    model.learn(32)
    theirs = GameVectorEnv(BURGERS, 2, autoreset_mode="SameStep", **options)
    ours = GameVecEnv(BURGERS, 2, seed=1, **options)
    np.testing.assert_array_equal(ours.reset(), theirs.reset(seed=1)[0])
    flat = np.random.default_rng(0).integers(0, env.action_space.nvec, (2, env.action_space.nvec.size))
    np.testing.assert_array_equal(
        ours.step(flat)[0], theirs.step(flat.reshape(2, *theirs.single_action_space.shape))[0]
    )


def test_pictures_of_all_copies():
    env = GameVecEnv(CARTPOLE, 2, horizon=4, render_mode="rgb_array")
    env.reset()
    images = env.get_images()
    assert len(images) == 2 and images[0].dtype == np.uint8 and images[0].ndim == 3
    assert env.render().shape[2] == 3
    assert GameVecEnv(CARTPOLE, 2, horizon=4).get_images() == [None, None]
