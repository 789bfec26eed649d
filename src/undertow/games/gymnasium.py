"""The games as Gymnasium environments: registered ids, one global agent (the extra `gymnasium`).

```python
import gymnasium
import undertow.games.gymnasium  # registers undertow/Burgers-v0 and the others

env = gymnasium.make("undertow/Burgers-v0", reward="one-step")
envs = gymnasium.make_vec("undertow/Burgers-v0", num_envs=1024)
```
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from undertow._checks import check_seed, refuse_unknown, require, unusable
from undertow.games.player import Player
from undertow.games.registry import GAMES

try:
    import gymnasium
    from gymnasium.envs.registration import EnvSpec
except Exception as error:
    raise unusable("these environments need Gymnasium", "gymnasium", error) from error

from undertow.games.spaces import to_gymnasium

RENDER_MODES = ["human", "rgb_array"]


class Specified:
    """An environment whose `spec` tells the length of its episodes, which depends on the options that it was made with.

    Its games end by themselves, so that no `TimeLimit` has to be wrapped around it.
    """

    _episode_steps: int | None
    _given: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """Gymnasium's specification, with `max_episode_steps`."""
        return None if self._given is None else dataclasses.replace(self._given, max_episode_steps=self._episode_steps)

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self._given = spec


class GameEnv(Specified, gymnasium.Env[np.ndarray, np.ndarray]):
    """A game with one agent that sees and does everything: the faces' observations and actions in one array each.

    The reward is the mean over the faces; `info["rewards"]` has every face's. An episode that reaches its end is truncated, one
    that blows up is terminated.

    **Arguments:** `game`: an id out of `GAMES`; `render_mode`: None, `rgb_array` or `human`; what else is given makes the game,
    see [`make`][undertow.games.registry.make].

    **Raises:** `UndertowError` for unknown ids and options; in `step`, for actions that are not in the space, before the first
    `reset` and after the end of an episode.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 25}  # noqa: RUF012  (Gymnasium's form)

    def __init__(self, game: str, render_mode: str | None = None, **options: Any):
        check_render_mode(render_mode)
        self._player = Player(game, options, remembers=render_mode is not None)
        self.render_mode = render_mode
        self.game, self.params = self._player.game, self._player.params
        self.observation_space = to_gymnasium(self.game.observation_space)
        self.action_space = to_gymnasium(self.game.action_space)
        self._episode_steps = self._player.episode_steps
        self._window: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("game", "params", "_window")}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self.game, self.params, self._window = self._player.game, self._player.params, None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode. With a `seed` the episodes from here on are those of the seed."""
        super().reset(seed=None if seed is None else check_seed(seed))
        refuse_unknown(options or {}, (), "reset")
        observation = self._player.reset(self.np_random if seed is not None else None, lambda: self.np_random)
        self._show()
        return observation, self._player.info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of the game."""
        observation, reward, terminated, truncated, info = self._player.step(action)
        self._show()
        return observation, reward, terminated, truncated, info

    def _show(self) -> None:
        if self.render_mode == "human":
            from undertow.games.render import show

            self._window = show(self._player.frame(), self._window)

    def render(self) -> Any:
        """The picture of the moment, `(height, width, 3)`, if `render_mode` is `rgb_array`; a window shows itself."""
        return self._player.frame() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            from undertow.games.render import close

            close(self._window)
            self._window = None


def check_render_mode(mode: str | None) -> None:
    """Raise `UndertowError` for a way of rendering that there is not."""
    require(mode in (None, *RENDER_MODES), f"render_mode must be None, 'rgb_array' or 'human', got {mode!r}")


def register() -> None:
    """Enter every game into Gymnasium's registry, once. Importing this module does it."""
    for id in GAMES:
        if id not in gymnasium.registry:
            gymnasium.register(
                id,
                entry_point="undertow.games.gymnasium:GameEnv",
                vector_entry_point="undertow.games.vector:GameVectorEnv",
                kwargs={"game": id},
            )


register()
