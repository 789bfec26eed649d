"""Controllers: networks that see a whole state."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import lookup, require, whole_number
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.policies.network import ACTIVATIONS, MLP


class Controller(AbstractPolicy[Array, Array]):
    r"""A multi-layer perceptron from a vector of observations to an action of any shape.

    **Arguments:** `observations`: length of the observation; `action_shape`; `hidden`: widths of the hidden layers, default
    two of 100; `activation`, default `tanh`; `zero_last`: start with a zero last layer, so that the first action is 0
    (default, as the published programs do in effect); `key`; `dtype` of the parameters (default: JAX's default float).

    **Raises:** `UndertowError` for sizes below 1, an unknown activation, or an observation of another length.

    **Reference:** Schnell and Thuerey (2024), arXiv 2405.02041: 10,701 parameters for a cart with one pole.
    """

    network: MLP
    action_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        observations: int,
        action_shape: tuple[int, ...],
        *,
        key: Key,
        hidden: tuple[int, ...] = (100, 100),
        activation: str = "tanh",
        zero_last: bool = True,
        dtype: jnp.dtype | None = None,
    ):
        sizes = (observations, *hidden, math.prod(action_shape))
        self.network = MLP(sizes, key=key, activation=activation, zero_last=zero_last, dtype=dtype)
        self.action_shape = tuple(action_shape)

    def __call__(self, observation: Float[Array, "..."], *, key: Key | None = None) -> Array:
        """The action on an observation of any shape with as many numbers, taken row by row."""
        expected = self.network.kernels[0].shape[0]
        require(
            observation.size == expected,
            f"the controller was made for {expected} observations, got an array of shape {observation.shape}",
        )
        return self.network(observation.reshape(-1)).reshape(self.action_shape)


class WaveController(AbstractPolicy[Array, Array]):
    r"""A small convolutional network from a complex wave function to one number.

    Two convolutions of width 3 and stride 2 without padding, over (real, imaginary) as two channels, each followed by the
    activation; then a linear layer on everything that is left. As published: 60 channels, `tanh`, 11,701 parameters on 32
    points.

    **Arguments:** `points` of the wave, at least 7; `channels` = 60; `activation` = `tanh`; `zero_last`: start with a zero
    last layer (default False: the published program zeroes the bias only, which is zero anyway); `key`; `dtype`.

    **Raises:** `UndertowError` for too few points, channels below 1, or a wave of another shape.
    """

    kernels: tuple[Float[Array, "in out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    points: int = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        points: int,
        *,
        key: Key,
        channels: int = 60,
        activation: str = "tanh",
        zero_last: bool = False,
        dtype: jnp.dtype | None = None,
    ):
        require(points >= 7, f"two convolutions of width 3 and stride 2 need at least 7 points, got {points}")
        channels = whole_number("channels", channels)
        lookup("activation", activation, ACTIVATIONS)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        left = _halved(_halved(points))
        keys = jax.random.split(key, 3)
        # The fans of Glorot's rule count a kernel's whole field, of the first one (3 points, 2 parts) to each channel.
        kernels = []
        for k, fan_in, fan_out, shape in zip(
            keys,
            (3 * 2, 3 * channels, left * channels),
            (3 * 2 * channels, 3 * channels, 1),
            ((3 * 2, channels), (3 * channels, channels), (left * channels, 1)),
            strict=True,
        ):
            bound = math.sqrt(6 / (fan_in + fan_out))
            kernels.append(jax.random.uniform(k, shape, dtype, -bound, bound))
        if zero_last:
            kernels[-1] = jnp.zeros_like(kernels[-1])
        self.kernels = tuple(kernels)
        self.biases = tuple(jnp.zeros((n,), dtype) for n in (channels, channels, 1))
        self.points, self.activation = points, activation

    def __call__(self, observation: Float[Array, "points 2"], *, key: Key | None = None) -> Float[Array, "1"]:
        """The action."""
        require(
            observation.shape == (self.points, 2),
            f"the controller was made for waves of shape {(self.points, 2)}, got {observation.shape}",
        )
        act = ACTIVATIONS[self.activation]
        x = observation
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = act(_windows(x) @ kernel.astype(x.dtype) + bias.astype(x.dtype))
        return x.reshape(-1) @ self.kernels[-1].astype(x.dtype) + self.biases[-1].astype(x.dtype)


class ZeroAction(AbstractPolicy[Array, Array]):
    """No control: the action is zero. What every controller is measured beside.

    **Arguments:** `action_shape`.
    """

    action_shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, observation: Array, *, key: Key | None = None) -> Array:
        """Zeros."""
        return jnp.zeros(self.action_shape, observation.dtype)


def _halved(points: int) -> int:
    """How many windows of width 3 and stride 2 fit."""
    return (points - 3) // 2 + 1


def _windows(x: Float[Array, "points channels"]) -> Float[Array, "windows 3*channels"]:
    """Windows of width 3 and stride 2, position by position, channels fastest: a convolution is then one product."""
    count = _halved(x.shape[0])
    return jnp.concatenate([x[k : k + 2 * count - 1 : 2] for k in range(3)], axis=1)


CONTROLLERS = (Controller, WaveController, ZeroAction)
"""Policies of systems, which see a state and not the stencils of a scheme."""
