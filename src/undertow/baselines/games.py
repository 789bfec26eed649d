"""The games of `undertow.games` for Stable-Baselines3: many copies as one vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from undertow._checks import require, unusable

try:
    import gymnasium
    import stable_baselines3  # noqa: F401  # what is imported below needs it
except Exception as error:
    raise unusable("this needs Stable-Baselines3", "baselines", error) from error

from undertow.baselines.vector import ProgramVecEnv
from undertow.games.vector import GameVectorEnv


class GameVecEnv(ProgramVecEnv):
    r"""Copies of a game, stepped in one call, with the interface that Stable-Baselines3 has for many environments.

    ```python
    from stable_baselines3 import PPO
    from undertow.baselines.games import GameVecEnv

    env = GameVecEnv("undertow/Burgers-v0", num_envs=16, case="smooth_sine", cells=32, steps=20)
    PPO("MlpPolicy", env, n_steps=20, batch_size=64).learn(1000)
    ```

    A single copy needs no adapter: `PPO("MlpPolicy", gymnasium.make("undertow/Burgers-v0"))`. Choices from a lattice come as one
    row of numbers, which is what the library knows.

    **Arguments:** `game`: an id of `undertow.games.GAMES`; `num_envs`; `seed` (default: another one every time); what else is
    given makes the game, see [`make`][undertow.games.registry.make]. The library knows no simplex: take `actions` that are
    logits (the default), fluxes or points of a lattice.

    **Raises:** `UndertowError` for unknown ids and options, actions on a simplex, and in `step` for actions that are not in
    the space.
    """

    def __init__(self, game: str, num_envs: int = 1, seed: int | None = None, **options: Any):
        self._envs = GameVectorEnv(game, num_envs, autoreset_mode="SameStep", copy=True, **options)
        space = self._envs.single_action_space
        require(
            type(space) in (gymnasium.spaces.Box, gymnasium.spaces.MultiDiscrete),  # a box on a simplex is another
            "Stable-Baselines3 knows no actions on a simplex; take actions='logits'",
        )
        self._shape = (num_envs, *(space.shape or ()))
        if isinstance(space, gymnasium.spaces.MultiDiscrete):
            space = gymnasium.spaces.MultiDiscrete(
                space.nvec.ravel(), dtype=space.dtype.type
            )  # it knows one axis alone
        self._seed = seed
        self.render_mode = self._envs.render_mode
        super().__init__(num_envs, self._envs.single_observation_space, space)

    def reset(self) -> np.ndarray:
        """The first observations of all copies."""
        observations, _ = self._envs.reset(seed=self._seed)
        self._seed = None
        return observations

    def seed(self, seed: int | None = None) -> list[int | None]:
        """The seed of the next `reset`: copy $i$ has `seed` + $i$."""
        self._seed = seed
        return [None if seed is None else seed + copy for copy in range(self.num_envs)]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = np.asarray(actions).reshape(self._shape)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, info = self._envs.step(self._actions)
        over = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for copy in np.flatnonzero(over):
            cut = bool(truncated[copy] and not terminated[copy])
            infos[copy] = {"terminal_observation": info["final_obs"][copy], "TimeLimit.truncated": cut}
        return observations, rewards.astype(np.float32), over, infos

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of every copy, if `render_mode` is `rgb_array`; `render()` puts them side by side."""
        return self._envs.render() or [None] * self.num_envs

    def close(self) -> None:
        self._envs.close()
