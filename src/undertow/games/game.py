"""What every game has: pure `reset` and `step`, a state apart from its parameters, and a word about its spaces."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.numerics.stencil import unstack

State = TypeVar("State")
Params = TypeVar("Params")
TOLERANCE = 1e-6
"""How far weights may be from the simplex, at most; agents often compute in single precision."""


@dataclass(frozen=True)
class Space:
    r"""What an array of observations or actions may hold; plain data, without any library of environments.

    **Arguments:** `shape`; `low`, `high`: the bounds of every entry; `simplex`: entries are at least 0 and add up to 1
    along the last axis; `categories`: entries are whole numbers from 0 to this one, excluded (default None: real numbers).

    Bounds of real numbers that are on no simplex are advice to agents and samplers: any finite number is taken.
    """

    shape: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf
    simplex: bool = False
    categories: int | None = None

    def batched(self, *sizes: int) -> Space:
        """The same with more axes in front."""
        return Space((*sizes, *self.shape), self.low, self.high, self.simplex, self.categories)

    def sample(self, key: Key) -> Array:
        """A random element: uniform, on the simplex too; normal where there are no bounds."""
        if self.categories is not None:
            return jax.random.randint(key, self.shape, 0, self.categories)
        if self.simplex:
            parts = jax.random.exponential(key, self.shape)
            return parts / jnp.sum(parts, axis=-1, keepdims=True)
        if math.isfinite(self.low) and math.isfinite(self.high):
            return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high)
        return jax.random.normal(key, self.shape)

    def holds(self, x: Array) -> Array:
        """Whether an array of this shape is in the space, as an array: may be traced."""
        if self.categories is not None:
            return jnp.all((x >= 0) & (x < self.categories))
        if self.simplex:
            # Weight by weight, which takes a quarter of the time of a sum along an axis. NaN fails every comparison.
            parts = unstack(x)
            smallest = functools.reduce(jnp.minimum, parts)
            return jnp.all((smallest >= -TOLERANCE) & (jnp.abs(sum(parts) - 1) <= TOLERANCE))
        return jnp.all(jnp.isfinite(x))

    def checked(self, x: Any, what: str = "an action") -> Array:
        """`x` as an array. Raises `UndertowError` for another shape or kind of numbers; values are not looked at."""
        x = jnp.asarray(x)
        require(x.shape == self.shape, f"{what} has shape {self.shape}, got {x.shape}; batches go through jax.vmap")
        whole = jnp.issubdtype(x.dtype, jnp.integer)
        if self.categories is not None:
            require(whole, f"{what} is whole numbers below {self.categories} here, got {x.dtype}")
            return x
        require(whole or jnp.issubdtype(x.dtype, jnp.floating), f"{what} is real numbers, got {x.dtype}")
        return x.astype(jnp.result_type(float))

    def complaint(self, what: str = "the action") -> str:
        """What to say of an array of this shape that `holds` refuses."""
        if self.categories is not None:
            return f"{what} must be whole numbers from 0 to {self.categories - 1}; other numbers are in it"
        if self.simplex:
            return (
                f"{what} must be on the simplex: along the last axis weights of at least 0 that add up to 1 (to "
                f"{TOLERANCE:g}); take actions='logits' for numbers that go through a softmax"
            )
        return f"{what} must be finite numbers; NaN or infinity is in it"


class AbstractGame(eqx.Module, Generic[State, Params]):
    r"""A simulator as a partially observable Markov game with homogeneous agents, one at every cell face; or with one agent.

    A game itself is static: sizes, names, formulas. What may be traced, batched or differentiated is in its parameters
    (constants of the physics, time step, horizon, initial conditions) and in the state of an episode. `reset` and `step`
    are pure functions of one episode: batches go through `jax.vmap`, programs through `jax.jit`. Nothing resets by itself.

    ```python
    game, params = undertow.games.make("undertow/Burgers-v0")
    state, observation = game.reset(key, params)
    state, observation, reward, done, info = game.step(key, state, action, params)
    ```
    """

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents' names, in the order of the first axis of `split` and of `info["rewards"]`."""
        raise NotImplementedError

    @property
    def observation_space(self) -> Space:
        """What all agents see, in one array."""
        raise NotImplementedError

    @property
    def action_space(self) -> Space:
        """What all agents do, in one array."""
        raise NotImplementedError

    @property
    def agent_observation_space(self) -> Space:
        """What one agent sees."""
        raise NotImplementedError

    @property
    def agent_action_space(self) -> Space:
        """What one agent does."""
        raise NotImplementedError

    def split(self, observation: Any) -> Float[Array, "agents ..."]:
        """One observation per agent."""
        raise NotImplementedError

    def joined(self, actions: Any) -> Any:
        """The action of the game from one per agent, `"agents ..."`."""
        raise NotImplementedError

    def reset(self, key: Key, params: Params) -> tuple[State, Array]:
        """A new episode. **Returns:** its state and the first observation."""
        raise NotImplementedError

    def step(
        self, key: Key, state: State, action: Array, params: Params
    ) -> tuple[State, Array, Float[Array, ""], Array, dict[str, Array]]:
        """One step of the game.

        **Arguments:** `key`: for games of chance; the ones here draw nothing after `reset`. `state`; `action`, of
        `action_space`, whose *values* are not checked here (`action_space.holds` does); `params`.

        **Returns:** state, observation, reward (the mean of the agents'), whether the episode is over, and a dictionary:
        `rewards` (one per agent), `terminated` (the solution blew up), `truncated` (the end was reached), `time`, `steps`.
        A step of an episode that is over changes nothing and rewards with 0.

        **Raises:** `UndertowError` for an action of another shape or kind.
        """
        raise NotImplementedError

    def acting(self, policy: AbstractPolicy) -> Callable[[Array], Array]:
        """A policy of this library, classical or learned, as a player: from observations to actions."""
        raise NotImplementedError

    def episode_steps(self, params: Params) -> int | None:
        """After how many steps of the game an episode ends at the latest; None where that is not known beforehand."""
        raise NotImplementedError

    def values(self, state: State) -> Array:
        """The numbers of the simulated system, of an episode's state."""
        raise NotImplementedError

    def time(self, state: State, params: Params) -> Float[Array, ""]:
        """The time of an episode's state."""
        raise NotImplementedError


def blown_up(x: Array, limit: Array) -> Array:
    """Whether an entry is beyond the limit, or not a number."""
    return ~jnp.all(jnp.abs(x) <= limit)
