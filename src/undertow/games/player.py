"""One episode after another of a game, with NumPy's arrays outside and compiled programs inside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from undertow._checks import UndertowError, require
from undertow._types import Key
from undertow.games.game import AbstractGame, Space
from undertow.games.registry import make


@functools.lru_cache(maxsize=64)
def programs(game: AbstractGame) -> tuple[Callable, Callable]:
    """`reset(key, params)` and `step(state, action, params)` of a game, compiled; the latter says first whether the action was
    in the space. Players of equal games share them."""

    def step(state: Any, action: Any, params: Any) -> tuple:
        return game.action_space.holds(action), game.step(_NO_KEY, state, action, params)

    return jax.jit(game.reset), jax.jit(step)


_NO_KEY: Any = None  # the games here draw nothing after their start


def seed_of(generator: np.random.Generator) -> int:
    """A seed for JAX from the generator that Gymnasium keeps."""
    return int(generator.integers(2**31))


def numbers(space: Space, action: Any, what: str = "an action") -> np.ndarray:
    """An action as an array of the right shape and kind. Raises `UndertowError` otherwise; values are not looked at."""
    try:
        array = np.asarray(action)
    except ValueError as error:
        raise UndertowError(f"{what} is an array of shape {space.shape}, got something ragged") from error
    require(array.shape == space.shape, f"{what} has shape {space.shape}, got {array.shape}")
    kinds = "iu" if space.categories is not None else "iuf"
    wanted = "whole numbers" if space.categories is not None else "real numbers"
    require(array.dtype.kind in kinds, f"{what} is {wanted} here, got {array.dtype}")
    return array.astype(dtype_of(space))


def dtype_of(space: Space) -> np.dtype:
    """The numbers of a space, outside: JAX's default float, or 64-bit integers."""
    return np.dtype(np.int64) if space.categories is not None else np.dtype(jax.dtypes.canonicalize_dtype(float))


class Player:
    """Plays a game, one episode after another. What the adapters of other libraries share.

    **Arguments:** `id`, `options`: of [`make`][undertow.games.registry.make]; `remembers`: keep the states and actions of the
    episode, to draw them.
    """

    def __init__(self, id: str, options: dict[str, Any], *, remembers: bool = False):
        self.game, self.params = make(id, **options)
        self._reset, self._step = programs(self.game)
        self._root: Key | None = None
        self._state: Any = None
        self._done = False
        self._remembers = remembers
        self.history: list[tuple[Any, Any]] = []
        self._last: dict[str, Any] = {}

    def reset(self, seeded: np.random.Generator | None, otherwise: Callable[[], np.random.Generator]) -> np.ndarray:
        """The first observation of a new episode. `seeded`: a generator that has just been given its seed; without one the
        stream goes on, and begins, where it has not, with `otherwise()`."""
        if seeded is not None or self._root is None:
            self._root = jax.random.key(seed_of(otherwise() if seeded is None else seeded))
        self._root, key = jax.random.split(self._root)
        self._state, observation = self._reset(key, self.params)
        self._done = False
        self.history = [(self._state, None)] if self._remembers else []
        self._last = {
            "time": 0.0,
            "steps": 0,
            "rewards": np.zeros(len(self.game.agents), np.asarray(observation).dtype),
        }
        return np.array(observation)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step, in Gymnasium's form."""
        require(self._state is not None, "the game has not begun; call reset before step")
        require(not self._done, "the episode is over; call reset before the next step")
        action = numbers(self.game.action_space, action)
        good, (state, observation, reward, done, info) = self._step(self._state, action, self.params)
        require(bool(good), self.game.action_space.complaint())
        self._state, self._done = state, bool(done)
        if self._remembers:
            self.history.append((state, action))
        self._last = {"time": float(info["time"]), "steps": int(info["steps"]), "rewards": np.array(info["rewards"])}
        return np.array(observation), float(reward), bool(info["terminated"]), bool(info["truncated"]), self.info()

    @property
    def state(self) -> Any:
        """The state of the episode."""
        return self._state

    def info(self) -> dict[str, Any]:
        """Time, steps and every agent's reward."""
        return dict(self._last)

    def frame(self) -> np.ndarray:
        """A picture of the moment. Raises `UndertowError` before the first reset."""
        require(len(self.history) > 0, "there is nothing to draw yet; call reset first")
        from undertow.games.render import frame

        return frame(self.game, self.params, self.history)
