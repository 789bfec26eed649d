"""The controlled systems with small controllers, for tests of all of them."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from undertow.policies.controller import Controller, WaveController
from undertow.tasks import TASKS


class System(NamedTuple):
    """An environment, a small controller for it, a cost, and how initial states are drawn."""

    env: Any
    policy: Any
    cost: Any
    draw: Any


def scrambled(policy: Any, seed: int = 1) -> Any:
    """The same network with random biases, too, so that no derivative is zero by chance."""
    leaves, structure = jax.tree.flatten(eqx.filter(policy, eqx.is_array))
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    new = [x + 0.3 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return eqx.combine(jax.tree.unflatten(structure, new), policy)


def make(name: str) -> System:
    """One of the systems by name."""
    task, key = TASKS[name], jax.random.key(0)
    system = task.system(task.settings(**SMALL.get(name, {})))
    seen = jax.eval_shape(lambda: system.environment.observe(system.draw(key)))
    make_policy: Any = partial(Controller, seen.size, system.action_shape, hidden=(8, 8))
    if task.preset.get("policy.name") == "cnn":
        make_policy = partial(WaveController, seen.shape[0], channels=4)
    return System(system.environment, scrambled(make_policy(key=key)), system.cost, system.draw)


SMALL: dict[str, dict[str, Any]] = {"cartpole": {"poles": 2}, "guidance": {"evaders": 3}, "quantum": {"points": 12}}
NAMES = tuple(TASKS)


def states(system: System, count: int = 3) -> jax.Array:
    """A batch of initial states."""
    return jax.vmap(system.draw)(jax.random.split(jax.random.key(7), count))


def as_numpy(policy: Any) -> list:
    """Weights and biases in turn, as arrays."""
    network = getattr(policy, "network", policy)
    pairs = zip(network.kernels, network.biases, strict=True)
    return [np.asarray(x) for pair in pairs for x in pair]
