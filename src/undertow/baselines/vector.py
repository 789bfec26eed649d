"""Episodes of `undertow.baselines.faces` as a vector environment of Stable-Baselines3: one row, one environment."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from undertow.baselines.faces import FaceGame, Pool
from undertow.core.task import batch_size

REACH = 20.0
"""How far from 0 actions of methods without bounds may be; the library asks for a number."""


class ProgramVecEnv(VecEnv):
    """A vector environment that is one program: nothing in it has methods or attributes of its own to reach for."""

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"what one program steps has no {attr_name} of its own to set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise AttributeError(f"what one program steps has no method {method_name} of its own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))


class FaceVecEnv(ProgramVecEnv):
    """Copies of a `FaceGame` that are stepped by one program and begin anew by themselves; every row of every copy is an
    environment.

    **Arguments:** `game`; `pool`; `copies`; `key`: of the problems drawn.

    `ended` are the episodes that are over since it was last emptied: what each has gathered, and whether it blew up.
    """

    def __init__(self, game: FaceGame, pool: Pool, copies: int, key: Any):
        self.game, self.copies = game, copies
        self._key, self._count = key, 0
        self._pool, fixed = eqx.partition(pool, eqx.is_array)  # numbers that are no arrays stay what they are
        self.ended: list[tuple[float, bool]] = []
        size = batch_size(pool.problems)
        if game.sampling == "cycle":
            places = jnp.arange(copies) % size
        else:
            places = jax.random.choice(jax.random.fold_in(key, 0), size, (copies,), replace=False)

        def seen(arrays: Any, states: Any) -> Any:
            pool = eqx.combine(arrays, fixed)
            return jax.vmap(lambda state: game.rows(pool, state))(states).astype(jnp.float32)

        def reset(arrays: Any, places: Any) -> Any:
            pool = eqx.combine(arrays, fixed)
            return jax.vmap(lambda place: game.reset(pool, place))(places)

        def step(arrays: Any, states: Any, actions: Any, key: Any, count: Any) -> tuple:
            pool = eqx.combine(arrays, fixed)
            keys = jax.random.split(jax.random.fold_in(key, count), copies)
            after, rewards, lost, over = jax.vmap(lambda state, action: game.step(pool, state, action))(states, actions)
            places = jax.vmap(lambda key, state: game.next_place(pool, key, state.place, copies))(keys, after)
            fresh = reset(arrays, places)
            pick = lambda a, b: jnp.where(over.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
            states = jax.tree.map(pick, fresh, after)
            return states, seen(arrays, states), rewards.astype(jnp.float32), lost, over, after.gathered

        self._step, self._seen = jax.jit(step), jax.jit(seen)
        self.states = jax.jit(reset)(self._pool, places)
        rows = self.observe()
        outputs = game.policy.network.biases[-1].shape[0]
        reach = REACH if game.bounded or game.policy.bound is None else game.policy.bound
        self._rows = len(rows) // copies
        super().__init__(
            len(rows),
            gymnasium.spaces.Box(-np.inf, np.inf, rows.shape[1:], np.float32),
            gymnasium.spaces.Box(-reach, reach, (outputs,), np.float32),
        )
        self._infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]

    def observe(self) -> np.ndarray:
        """What all rows see now."""
        rows = np.array(self._seen(self._pool, self.states))  # one that PyTorch may write to
        return rows.reshape(-1, rows.shape[-1])

    def reset(self) -> np.ndarray:
        """What all rows see now: episodes begin anew by themselves."""
        return self.observe()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        self._count += 1
        given = np.asarray(self._actions, np.float32).reshape(self.copies, self._rows, -1)
        states, rows, rewards, lost, over, gathered = self._step(
            self._pool, self.states, given, self._key, np.int32(self._count)
        )
        self.states = states
        over = np.asarray(over)
        for copy in np.flatnonzero(over):
            self.ended.append((float(gathered[copy]), bool(lost[copy])))
        # An end is one for good: the horizon is that of the objective, and nothing is to be hoped for after it.
        done = np.repeat(over, self._rows)
        return (
            np.array(rows).reshape(self.num_envs, -1),
            np.array(rewards).reshape(-1),
            done,
            self._infos,
        )

    def arrays(self) -> dict[str, Any]:
        """Where it stands, for `restore`."""
        return {"states": self.states, "count": jnp.asarray(self._count)}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Go on from where it stood."""
        self.states, self._count = arrays["states"], int(arrays["count"])
