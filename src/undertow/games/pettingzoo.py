"""The games as PettingZoo parallel environments: an agent per cell face (the extra `pettingzoo`).

```python
from undertow.games.pettingzoo import parallel_env

env = parallel_env("undertow/Burgers-v0")
```
"""

from __future__ import annotations

from typing import Any

import numpy as np

from undertow._checks import UndertowError, check_seed, require, unusable
from undertow.games.game import AbstractGame
from undertow.games.player import Player, numbers

try:
    import pettingzoo
    from gymnasium.utils import seeding
except Exception as error:
    raise unusable("these environments need PettingZoo", "pettingzoo", error) from error

from undertow.games.spaces import to_gymnasium


class ParallelGameEnv(pettingzoo.ParallelEnv[str, np.ndarray, np.ndarray]):
    """A game with homogeneous agents: one per cell face, all with the same spaces, so that they may share their parameters.

    Every face gets its own reward, the paper's. All agents live as long as the episode. Controlled systems have one agent, the
    herd's one per driver.

    **Arguments:** `game`: an id out of `GAMES`; `render_mode`: None, `rgb_array` or `human`; what else is given makes the game,
    see [`make`][undertow.games.registry.make].

    **Raises:** `UndertowError` for unknown ids and options; in `step` for missing or unknown agents, actions that are not in the
    space, before the first `reset` and after the end of an episode.
    """

    def __init__(self, game: str, render_mode: str | None = None, **options: Any):
        require(
            render_mode in (None, "rgb_array", "human"),
            f"render_mode must be None, 'rgb_array' or 'human', got {render_mode!r}",
        )
        self._player = Player(game, options, remembers=render_mode is not None)
        self.metadata = {
            "name": game,
            "render_modes": ["human", "rgb_array"],
            "render_fps": 25,
            "is_parallelizable": True,
        }
        self.render_mode = render_mode
        self.game: AbstractGame = self._player.game
        self.params = self._player.params
        self.possible_agents = list(self.game.agents)
        self.agents: list[str] = []
        self.observation_spaces = {a: to_gymnasium(self.game.agent_observation_space) for a in self.possible_agents}
        self.action_spaces = {a: to_gymnasium(self.game.agent_action_space) for a in self.possible_agents}
        self._space = self.game.agent_action_space
        self._generator: np.random.Generator | None = None
        self._window: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("game", "params", "_window")}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self.game, self.params, self._window = self._player.game, self._player.params, None

    def observation_space(self, agent: str) -> Any:
        """The space of an agent's observations."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """The space of an agent's actions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """A new episode. With a `seed` the episodes from here on are those of the seed. There are no options."""
        if seed is not None or self._generator is None:
            self._generator = seeding.np_random(None if seed is None else check_seed(seed))[0]
        generator = self._generator
        observation = self._player.reset(generator if seed is not None else None, lambda: generator)
        self.agents = list(self.possible_agents)
        self._show()
        return self._dealt(observation), self._infos()

    def step(
        self, actions: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One step of the game, with an action of every agent."""
        require(len(self.agents) > 0, "the episode is over or has not begun; call reset before the next step")
        if actions.keys() != set(self.agents):
            missing = [agent for agent in self.agents if agent not in actions]
            unknown = [agent for agent in actions if agent not in self.action_spaces]
            problem = (
                f"no action of {missing[0]!r}" if missing else f"an action of {unknown[0]!r}, which is no agent here"
            )
            raise UndertowError(f"every agent acts in every step; got {problem}")
        together = self._together(actions)
        observation, _, terminated, truncated, info = self._player.step(self.game.joined(together))
        agents, rewards = self.agents, info["rewards"].tolist()
        if terminated or truncated:
            self.agents = []
        self._show()
        return (
            self._dealt(observation),
            dict(zip(agents, rewards, strict=True)),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            self._infos(),
        )

    def _together(self, actions: dict[str, np.ndarray]) -> np.ndarray:
        space, rows = self._space, [actions[agent] for agent in self.agents]
        try:
            return numbers(space.batched(len(rows)), rows)
        except UndertowError:  # whose it is takes longer to find out
            each = zip(self.agents, rows, strict=True)
            return np.stack([numbers(space, row, f"the action of {agent}") for agent, row in each])

    def _dealt(self, observation: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.possible_agents, np.array(self.game.split(observation)), strict=True))

    def _infos(self) -> dict[str, dict[str, Any]]:
        info = self._player.info()
        return {agent: {"time": info["time"], "steps": info["steps"]} for agent in self.possible_agents}

    def state(self) -> np.ndarray:
        """The state of the system: point values `"chan *cells"`, or that of a controlled system."""
        require(self._player.state is not None, "the game has not begun; call reset first")
        return np.array(self.game.values(self._player.state))

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


def parallel_env(game: str, render_mode: str | None = None, **options: Any) -> ParallelGameEnv:
    """The game called `game` with an agent per face, see [`ParallelGameEnv`][undertow.games.pettingzoo.ParallelGameEnv]."""
    return ParallelGameEnv(game, render_mode, **options)
