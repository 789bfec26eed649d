"""Games that are quick to compile and to play: few cells, order 3, few steps. Equal games share their programs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from undertow.core.unroll import Trajectory
from undertow.games import GAMES, make
from undertow.games.game import AbstractGame
from undertow.tasks import TASKS

BURGERS, CARTPOLE = "undertow/Burgers-v0", "undertow/CartPole-v0"
FIELD = {
    "cells": 16, "steps": 4, "order": 3, "observations": "raw", "integrator": "euler", "actions": "simplex",
}  # fmt: skip
TINY: dict[str, dict[str, Any]] = {
    "undertow/Burgers-v0": {**FIELD, "case": ("smooth_sine", "rarefaction")},
    "undertow/Advection-v0": FIELD,
    "undertow/Euler-v0": FIELD,
    "undertow/ShallowWater-v0": {**FIELD, "dt": 1e-3},
    "undertow/MHD-v0": {**FIELD, "dt": 1e-3},
    "undertow/Burgers2D-v0": {**FIELD, "cells": 5},
    "undertow/Euler2D-v0": {**FIELD, "cells": 4, "case": "vortex"},
    **{f"undertow/{task.game}-v0": {"horizon": 4} for task in TASKS.values()},
}
"""Options with which every game is small."""

MODES: dict[str, dict[str, Any]] = {
    "one-step": {},
    "full": {"actions": "logits", "acts": "stage", "integrator": "ssp_rk3"},
    "change": {"actions": "lattice"},
    "consistency-lo": {"actions": "flux"},
    "consistency-hi": {"actions": "split-flux", "combination": "stencil-max", "squash": "log", "clipped": True},
    "conservation": {"observations": "normalised"},
    "cloning": {"actions": "logits", "integrator": "ssp_rk3"},
    "total-variation": {},
}
"""Every reward of games on Burgers' equation, and with them every kind of action, of acting and of observation."""


def mode(reward: str) -> dict[str, Any]:
    return {**TINY[BURGERS], "reward": reward, **MODES[reward]}


@functools.lru_cache
def programs(game: AbstractGame) -> tuple[Callable, Callable]:
    """`reset(key, params)`, and `step(state, action, params)` that says first whether the action is in the space."""

    def step(state: Any, action: Any, params: Any) -> tuple:
        return game.action_space.holds(action), game.step(None, state, action, params)

    return jax.jit(game.reset), jax.jit(step)


ALL = {**{id: (id, TINY[id]) for id in GAMES}, **{reward: (BURGERS, mode(reward)) for reward in MODES}}
"""Every game, and every mode of Burgers'."""
SOME = (BURGERS, "undertow/Burgers2D-v0", "undertow/Guidance-v0", CARTPOLE, "full", "change")
"""Those of them that the adapters are tested with; validation takes all."""


def tiny(id: str = BURGERS, **options: Any) -> tuple[Any, Any]:
    return make(id, **{**TINY[id], **options})


def played(game: AbstractGame, params: Any, act: Callable[[Any], Any], steps: int, seed: int = 0) -> dict[str, Any]:
    """Steps of one episode: the `first` state and observation, and all that came after, `"time ..."`, with the actions."""
    reset, step = programs(game)
    state, observation = reset(jax.random.key(seed), params)
    first, rows = {"first": state, "observation": observation}, []
    for _ in range(steps):
        action = act(observation)
        good, (state, observation, reward, done, info) = step(state, action, params)
        assert good
        rows.append({"state": state, "seen": observation, "reward": reward, "done": done, "action": action, **info})
    return {**first, **jax.tree.map(lambda *xs: np.stack(xs), *rows)}


def at_random(game: AbstractGame, seed: int = 0) -> Callable[[Any], np.ndarray]:
    """Actions that any player may take, without a program."""
    rng, space = np.random.default_rng(seed), game.action_space

    def act(observation: Any) -> np.ndarray:
        if space.categories is not None:
            return rng.integers(space.categories, size=space.shape)
        if space.simplex:
            raw = rng.exponential(size=space.shape)
            return raw / raw.sum(axis=-1, keepdims=True)
        return rng.uniform(-1, 1, space.shape)

    return act


def trajectory_of(out: dict[str, Any], states: Callable[[Any], Any], actions: Any) -> Trajectory:
    first = jax.tree.map(lambda x: x[None], states(out["first"]))
    return Trajectory(jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, states(out["state"])), actions)
