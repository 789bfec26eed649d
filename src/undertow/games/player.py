"""One episode after another of a game, with NumPy's arrays outside and compiled programs inside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, require
from undertow._types import Key
from undertow.games.game import AbstractGame, Space
from undertow.games.processes import require_no_fork
from undertow.games.registry import make


@functools.lru_cache(maxsize=64)
def beginning(game: AbstractGame) -> Callable:
    """`reset(key, params)` of a game, compiled. Players of equal games share it."""
    return jax.jit(game.reset)


@functools.lru_cache(maxsize=64)
def stepping(game: AbstractGame, state: Any, params: Any) -> Callable:
    """`step` of a game, compiled, for leaves of states and parameters of these structures: `(state, action, params)` to
    the new state and one array: whether the action was in the space, reward, terminated, truncated, time, steps, then the
    agents' rewards and the observation.

    Trees of many modules take longer to be taken apart in every call than one copy's step itself, and so does fetching
    many arrays.
    """

    def step(state_leaves: Any, action: Any, params_leaves: Any) -> tuple:
        before, own = jax.tree.unflatten(state, state_leaves), jax.tree.unflatten(params, params_leaves)
        after, observation, reward, _, info = game.step(_NO_KEY, before, action, own)
        good = game.action_space.holds(action)
        numbers = [good, reward, info["terminated"], info["truncated"], info["time"], info["steps"]]
        packed = jnp.stack([jnp.asarray(number, float) for number in numbers])
        seen = [packed, info["rewards"], observation.ravel()]
        return jax.tree.leaves(after), jnp.concatenate([jnp.asarray(part, observation.dtype) for part in seen])

    return jax.jit(step)


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
    return array.astype(dtype_of(space), copy=False)


def dtype_of(space: Space) -> np.dtype:
    """The numbers of a space, outside: JAX's default float, or 64-bit integers."""
    return np.dtype(np.int64) if space.categories is not None else np.dtype(jax.dtypes.canonicalize_dtype(float))


class Player:
    """Plays a game, one episode after another. What the adapters of other libraries share.

    **Arguments:** `id`, `options`: of [`make`][undertow.games.registry.make]; `remembers`: keep the states and actions of the
    episode, to draw them.
    """

    def __init__(self, id: str, options: dict[str, Any], *, remembers: bool = False):
        require_no_fork()
        self.game, self.params = make(id, **options)
        self._made = (id, dict(options))
        self._params, self._params_form = jax.tree.flatten(self.params)
        self._agents, self._shape = len(self.game.agents), self.game.observation_space.shape
        self._space = self.game.action_space
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
        state, observation = beginning(self.game)(key, self.params)
        self._state, self._form = jax.tree.flatten(state)
        self._step = stepping(self.game, self._form, self._params_form)
        self._done = False
        self.history = [(state, None)] if self._remembers else []
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
        action = numbers(self._space, action)
        state, told = self._step(self._state, action, self._params)
        told = np.asarray(told)
        good, reward, terminated, truncated, time, steps = told[:6].tolist()
        rewards, observation = told[6 : 6 + self._agents], told[6 + self._agents :].reshape(self._shape)
        if not good:
            raise UndertowError(self._space.complaint())
        self._state, self._done = state, terminated + truncated > 0
        if self._remembers:
            self.history.append((self.state, action))
        self._last = {"time": time, "steps": int(steps), "rewards": rewards.copy()}
        return observation.copy(), reward, terminated > 0, truncated > 0, self.info()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process needs: programs and games are made anew there, from the same id and options."""
        leaves = [(jax.tree.leaves(state), action) for state, action in self.history]
        return {
            "made": self._made,
            "remembers": self._remembers,
            "root": None if self._root is None else np.asarray(jax.random.key_data(self._root)),
            "state": None if self._state is None else [np.asarray(leaf) for leaf in self._state],
            "history": [([np.asarray(leaf) for leaf in state], action) for state, action in leaves],
            "done": self._done,
            "last": self._last,
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        Player.__init__(self, *kept["made"], remembers=kept["remembers"])
        self._done, self._last = kept["done"], kept["last"]
        if kept["root"] is not None:
            self._root = jax.random.wrap_key_data(jnp.asarray(kept["root"]))
        if kept["state"] is not None:
            state, _ = jax.eval_shape(beginning(self.game), jax.random.key(0), self.params)
            self._form = jax.tree.structure(state)
            self._state = [jnp.asarray(leaf) for leaf in kept["state"]]
            self._step = stepping(self.game, self._form, self._params_form)
            self.history = [
                (jax.tree.unflatten(self._form, [jnp.asarray(leaf) for leaf in leaves]), action)
                for leaves, action in kept["history"]
            ]

    @property
    def episode_steps(self) -> int | None:
        """After how many steps an episode ends at the latest, None where that is not known beforehand."""
        return self.game.episode_steps(self.params)

    @property
    def state(self) -> Any:
        """The state of the episode, None before the first."""
        return None if self._state is None else jax.tree.unflatten(self._form, self._state)

    def info(self) -> dict[str, Any]:
        """Time, steps and every agent's reward."""
        return dict(self._last)

    def frame(self) -> np.ndarray:
        """A picture of the moment. Raises `UndertowError` before the first reset."""
        require(len(self.history) > 0, "there is nothing to draw yet; call reset first")
        from undertow.games.render import frame

        return frame(self.game, self.params, self.history)
