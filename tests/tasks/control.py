"""The controlled systems with small controllers, for tests of all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from undertow.policies.controller import Controller, WaveController
from undertow.tasks.cartpole import CartPole, Upright, random_cartpole
from undertow.tasks.guidance import DistanceToTarget, Guidance, random_guidance
from undertow.tasks.quantum import Infidelity, QuantumBox, random_wave


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
    key = jax.random.key(0)
    systems = {
        "cartpole": lambda: System(
            CartPole(), Controller(6, (1,), key=key, hidden=(8, 8)), Upright(), lambda k: random_cartpole(k, 2)
        ),
        "guidance": lambda: System(
            Guidance(),
            Controller(20, (2, 2), key=key, hidden=(8, 8)),
            DistanceToTarget(),
            lambda k: random_guidance(k, 2, 3),
        ),
        "quantum": lambda: System(
            QuantumBox(), WaveController(12, key=key, channels=4), Infidelity(3), lambda k: random_wave(k, 12)
        ),
    }
    system = systems[name]()
    return system._replace(policy=scrambled(system.policy))


NAMES = ("cartpole", "guidance", "quantum")


def states(system: System, count: int = 3) -> jax.Array:
    """A batch of initial states."""
    return jax.vmap(system.draw)(jax.random.split(jax.random.key(7), count))


def as_numpy(policy: Any) -> list:
    """Weights and biases in turn, as arrays."""
    network = getattr(policy, "network", policy)
    pairs = zip(network.kernels, network.biases, strict=True)
    return [np.asarray(x) for pair in pairs for x in pair]
