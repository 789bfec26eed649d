"""Toy environments and policies whose gradients are known on paper."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from undertow.core.environment import AbstractEnvironment
from undertow.core.policy import AbstractPolicy


class Linear(AbstractEnvironment):
    """x' = A x + B c, asked once."""

    a: Array
    b: Array

    def observe(self, state):
        return state

    def step(self, state, feedback):
        action = feedback(state)
        return self.a @ state + self.b @ action, action


class Heun(AbstractEnvironment):
    """x_t = A x + B c with two stages: x' = x + h/2 (k1 + k2), k1 = f(x, c(x)), k2 = f(x + h k1, c(x + h k1))."""

    a: Array
    b: Array
    h: float = 0.1

    def observe(self, state):
        return state

    def step(self, state, feedback):
        first = self.a @ state + self.b @ feedback(state)
        stage = state + self.h * first
        action = feedback(stage)
        return state + self.h / 2 * (first + self.a @ stage + self.b @ action), action


class Pendulum(AbstractEnvironment):
    """A driven pendulum: a state of two parts (one of them an integer counter), nonlinear, asked at two stages."""

    h: float = 0.1

    def observe(self, state):
        return jnp.stack([jnp.sin(state["angle"]), jnp.cos(state["angle"]), state["speed"]])

    def step(self, state, feedback):
        speed = state["speed"] + self.h / 2 * (feedback(state)[0] - jnp.sin(state["angle"]))
        middle = {**state, "angle": state["angle"] + self.h / 2 * state["speed"], "speed": speed}
        action = feedback(middle)
        new = {
            "angle": state["angle"] + self.h * speed,
            "speed": state["speed"] + self.h * (action[0] - jnp.sin(middle["angle"])),
            "count": state["count"] + 1,
        }
        return new, action


class Gain(AbstractPolicy):
    """c = K x, or tanh(K x); with a key, normal noise on it."""

    k: Array
    saturated: bool = eqx.field(static=True, default=False)
    noise: float = eqx.field(static=True, default=0.0)

    def __call__(self, observation, *, key=None):
        action = self.k @ observation
        if key is not None:
            action = action + self.noise * jax.random.normal(key, action.shape)
        return jnp.tanh(action) if self.saturated else action


def linear_problem(seed: int = 0, size: int = 3, controls: int = 2):
    """Matrices A, B, K, an initial state and a weight of the last state, all random."""
    rng = np.random.default_rng(seed)
    shapes = ((size, size), (size, controls), (controls, size), (size,), (size,))
    return tuple(rng.normal(size=shape) / np.sqrt(shape[-1]) for shape in shapes)
