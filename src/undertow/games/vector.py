"""Thousands of copies of a game as one Gymnasium vector environment, one program and one call per step."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import (
    LARGEST_SEED,
    UndertowError,
    check_seed,
    lookup,
    plain_number,
    refuse_unknown,
    require,
    unusable,
    whole_number,
)
from undertow._limits import Need, number, real, require_memory, sum_bytes
from undertow._tree import where
from undertow.games.game import AbstractGame
from undertow.games.player import numbers, seed_of
from undertow.games.processes import require_no_fork
from undertow.games.registry import make

try:
    import gymnasium
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode
    from gymnasium.vector.utils import batch_space
except Exception as error:
    raise unusable("vector environments need Gymnasium", "gymnasium", error) from error

from undertow.games.gymnasium import RENDER_MODES, Specified, check_render_mode
from undertow.games.spaces import to_gymnasium

MODES = {mode.value: mode for mode in AutoresetMode}
CHUNK = 16
"""Copies that are worked on at a time, so that what they need stays in the processor's cache."""


def mapped(function: Callable, chunk: int | None) -> Callable:
    """`function` of one copy for a leading axis of copies in every argument, `chunk` of them at a time; None: all at once."""
    if chunk is None:
        return jax.vmap(function)
    return lambda *arguments: jax.lax.map(lambda each: function(*each), arguments, batch_size=chunk)


@functools.lru_cache(maxsize=64)
def _step(game: AbstractGame, chunk: int | None, state: Any, params: Any) -> Callable:
    """One step of all copies, for leaves of states and parameters of these structures, see `stepping`."""

    def step(state_leaves: Any, actions: Any, params_leaves: Any) -> tuple:
        none: Any = None
        own = jax.tree.unflatten(params, params_leaves)

        def one(leaves: Any, action: Any) -> tuple:
            before = jax.tree.unflatten(state, leaves)
            after, observation, reward, _, info = game.step(none, before, action, own)
            # What an episode keeps from its start to its end does not have to be carried about.
            same = [a is b for a, b in zip(leaves, jax.tree.leaves(after), strict=True)]
            kept.append(same)
            changed = [leaf for leaf, stays in zip(jax.tree.leaves(after), same, strict=True) if not stays]
            return changed, observation, reward, info

        kept: list[list[bool]] = []
        over = jax.tree.unflatten(state, state_leaves).done
        good = jax.vmap(game.action_space.holds)(actions) | over
        changed, *out = mapped(one, chunk)(state_leaves, actions)
        new = iter(changed)
        leaves = [leaf if stays else next(new) for leaf, stays in zip(state_leaves, kept[-1], strict=True)]
        return (jnp.stack([jnp.all(good), jnp.argmin(good)]), leaves, *out)

    return jax.jit(step)


@functools.lru_cache(maxsize=64)
def _resets(game: AbstractGame) -> tuple[Callable, Callable]:
    def reset(roots: Any, states: Any, observations: Any, mask: Any, params: Any) -> tuple:
        """New episodes where the mask holds."""
        split = jax.vmap(jax.random.split)(roots)
        fresh = jax.vmap(game.reset, in_axes=(0, None))(split[:, 1], params)
        choose = jax.vmap(where)
        keys = jnp.where(mask.reshape(-1, *(1,) * (roots.ndim - 1)), split[:, 0], roots)
        return keys, *choose(mask, fresh, (states, observations))

    def first(roots: Any, params: Any) -> tuple:
        split = jax.vmap(jax.random.split)(roots)
        return split[:, 0], *jax.vmap(game.reset, in_axes=(0, None))(split[:, 1], params)

    return jax.jit(reset), jax.jit(first)


class GameVectorEnv(Specified, gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    r"""Copies of a game that are stepped by one program.

    Copy $i$ of an environment with seed $s$ plays the episodes of a single one with seed $s + i$. What `reset` and `step` return
    are read-only views of the program's own arrays, new ones in every step; `copy=True` makes copies of them, which may be
    written to.

    **Arguments:** `game`: an id out of `GAMES`; `num_envs`; `render_mode`: None or `rgb_array`; `autoreset_mode`: Gymnasium's
    `NextStep` (default), `SameStep` or `Disabled`, where episodes that are over are begun anew by
    `reset(options={"reset_mask": mask})`; `chunk`: copies to be worked on at a time (16; None: all); `copy`: default False;
    what else is given makes the game, see [`make`][undertow.games.registry.make].

    **Raises:** `UndertowError` for unknown ids and options; in `step` for actions that are not in the space, before the first
    `reset`, and with `Disabled` for episodes that are over. A step that is refused changes nothing.
    """

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        chunk: int | None = CHUNK,
        copy: bool = False,
        **options: Any,
    ):
        num_envs = whole_number("num_envs", num_envs)
        chunk = None if chunk is None else whole_number("chunk", chunk)
        check_render_mode(render_mode)
        require(render_mode != "human", "many copies have no window; take render_mode='rgb_array'")
        word = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        self._mode = lookup("autoreset mode", word, MODES)
        self.metadata = {"render_modes": RENDER_MODES[1:], "render_fps": 25, "autoreset_mode": self._mode}
        self.num_envs, self.render_mode = num_envs, render_mode
        self._made, self._chunk_asked = (game, dict(options)), chunk
        self._make()
        one = jax.eval_shape(lambda key: self.game.reset(key, self.params)[:2], jax.random.key(0))
        require_memory([Need(f"{number(num_envs)} copies of the game", real(num_envs) * sum_bytes(one), "num_envs")])
        self.single_observation_space = to_gymnasium(self.game.observation_space)
        self.single_action_space = to_gymnasium(self.game.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batched = self.game.action_space.batched(num_envs)
        self._copy = copy
        self._roots: Any = None
        self._leaves: Any = None
        self._observations: Any = None
        self._over = np.zeros(num_envs, bool)

    def _make(self) -> None:
        """The game, and the programs that belong to it."""
        require_no_fork()
        self.game, self.params = make(self._made[0], **self._made[1])
        chunk = self._chunk_asked
        self._chunk = None if chunk is None or chunk >= self.num_envs else chunk
        self._renew, self._first = _resets(self.game)
        self._params, self._params_form = jax.tree.flatten(self.params)
        self._episode_steps = self.game.episode_steps(self.params)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process needs: programs and games are made anew there, from the same id and options."""
        made_anew = ("game", "params", "_chunk", "_renew", "_first", "_params", "_params_form", "_step", "_form")
        kept = {name: value for name, value in self.__dict__.items() if name not in made_anew}
        if self._leaves is not None:
            kept["_roots"] = np.asarray(jax.random.key_data(self._roots))
            kept["_leaves"] = [np.asarray(leaf) for leaf in self._leaves]
            kept["_observations"] = np.asarray(self._observations)
        return kept

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self._make()
        if self._leaves is not None:
            self._roots = jax.random.wrap_key_data(jnp.asarray(kept["_roots"]))
            _, states, _ = jax.eval_shape(self._first, self._roots, self.params)
            leaves = [jnp.asarray(leaf) for leaf in kept["_leaves"]]
            self._keep(
                self._roots, jax.tree.unflatten(jax.tree.structure(states), leaves), jnp.asarray(kept["_observations"])
            )

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New episodes of all copies, or of those where `options["reset_mask"]` holds. `seed`: of the first one, or one each."""
        given = dict(options or {})
        refuse_unknown(given, ("reset_mask",), "reset")
        mask = np.asarray(given.get("reset_mask", np.ones(self.num_envs, bool)))
        require(
            mask.shape == (self.num_envs,) and mask.dtype == bool,
            f"reset_mask is {self.num_envs} booleans, got {mask.dtype} of shape {mask.shape}",
        )
        seed = plain_number(seed)
        super().reset(seed=check_seed(seed) if isinstance(seed, int) else None)
        roots = self._seeded(seed)
        if self._leaves is None:
            require(bool(mask.all()), "the first reset is of all copies; leave reset_mask out")
            self._keep(*self._first(roots, self.params))
        else:
            self._restart(roots, mask)
        self._over &= ~mask
        time, steps = self._clock()
        return self._out(self._observations), self._info({"time": time, "steps": steps}, mask)

    def _seeded(self, seed: int | Sequence[int | None] | None) -> Any:
        if seed is None and self._roots is not None:
            return self._roots
        if seed is None or isinstance(seed, int):
            start = int(self.np_random.integers(2**31)) if seed is None else int(seed)
            seeds: list[int | None] = [(start + i) % (LARGEST_SEED + 1) for i in range(self.num_envs)]
        else:
            seeds = [None if each is None else check_seed(each) for each in seed]
        require(len(seeds) == self.num_envs, f"there are {self.num_envs} copies, got {len(seeds)} seeds")
        words = [seed_of(seeding.np_random(each)[0]) for each in seeds]
        return jax.vmap(jax.random.key)(jnp.asarray(words, jnp.uint32))

    def _restart(self, roots: Any, mask: np.ndarray) -> None:
        self._keep(*self._renew(roots, self.states, self._observations, jnp.asarray(mask), self.params))

    def _keep(self, roots: Any, states: Any, observations: Any) -> None:
        self._roots, self._observations = roots, observations
        self._leaves, self._form = jax.tree.flatten(states)
        self._step = _step(self.game, self._chunk, self._form, self._params_form)

    @property
    def states(self) -> Any:
        """The states of all copies, `"copies ..."` in every array; None before the first reset."""
        return None if self._leaves is None else jax.tree.unflatten(self._form, self._leaves)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every copy."""
        require(self._leaves is not None, "the games have not begun; call reset before step")
        require(
            self._mode is not AutoresetMode.DISABLED or not self._over.any(),
            "some episodes are over and nothing resets them; call reset(options={'reset_mask': ...}) before the next step",
        )
        actions = numbers(self._batched, actions, "the copies' action")
        checked, leaves, observations, rewards, info = self._step(self._leaves, actions, self._params)
        good, worst = np.asarray(checked).tolist()
        if not good:
            raise UndertowError(f"{self.game.action_space.complaint()}; copy {worst} is the first")
        self._leaves, self._observations = leaves, observations
        stepped = ~self._over
        terminated, truncated = np.asarray(info["terminated"]), np.asarray(info["truncated"])
        infos = {
            "time": np.asarray(info["time"]),
            "steps": np.asarray(info["steps"]),
            "rewards": np.asarray(info["rewards"]),
        }
        if self._over.any():  # NextStep: begun anew instead of stepped
            self._restart(self._roots, self._over)
            infos["time"], infos["steps"] = self._clock()
        self._over = terminated | truncated
        result = self._info(infos, np.ones(self.num_envs, bool))
        if self._mode is AutoresetMode.SAME_STEP and self._over.any():
            ended = self._over
            last = np.asarray(observations)
            final = np.full(self.num_envs, None, object)
            for place in np.flatnonzero(ended):
                final[place] = np.array(last[place])
            result |= {"final_obs": final, "_final_obs": ended, "_final_info": ended}
            result["final_info"] = self._info(infos, ended)
            self._restart(self._roots, ended)
            result["time"], result["steps"] = self._clock()
            self._over = np.zeros(self.num_envs, bool)
        rewards = np.where(stepped, np.asarray(rewards), 0.0)
        return self._out(self._observations), rewards, terminated, truncated, result

    def _clock(self) -> tuple[np.ndarray, np.ndarray]:
        times = jax.vmap(self.game.time, in_axes=(0, None))(self.states, self.params)
        return np.asarray(times), np.asarray(self.states.steps)

    def _info(self, infos: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
        return {**infos, **{f"_{name}": mask for name in infos}}

    def _out(self, observations: Any) -> np.ndarray:
        return np.array(observations) if self._copy else np.asarray(observations)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture per copy, if `render_mode` is `rgb_array`."""
        if self.render_mode is None:
            return None
        require(self._leaves is not None, "there is nothing to draw yet; call reset first")
        from undertow.games.render import frame

        each = [jax.tree.map(lambda x, i=i: x[i], self.states) for i in range(self.num_envs)]
        return tuple(frame(self.game, self.params, [(state, None)]) for state in each)
