"""Controllers: sizes, starts, and the small convolutional network against a library's convolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.policies.controller import Controller, WaveController, ZeroAction

KEY = jax.random.key(0)


def parameters(policy):
    return sum(x.size for x in jax.tree.leaves(policy) if hasattr(x, "size"))


@pytest.mark.parametrize(
    "policy, count",
    [
        (lambda: Controller(4, (1,), key=KEY), 10701),
        (lambda: Controller(6, (1,), key=KEY), 10901),
        (lambda: Controller(24, (2, 2), key=KEY), 13004),
        (lambda: WaveController(32, key=KEY), 11701),
    ],
)
def test_sizes_as_published(policy, count):
    assert parameters(policy()) == count


def test_a_zero_last_layer_is_no_action(rng):
    state = jnp.asarray(rng.normal(size=24))
    np.testing.assert_array_equal(Controller(24, (2, 2), key=KEY)(state), np.zeros((2, 2)))
    assert np.abs(Controller(24, (2, 2), key=KEY, zero_last=False)(state)).min() > 0
    wave = jnp.asarray(rng.normal(size=(32, 2)))
    np.testing.assert_array_equal(WaveController(32, key=KEY, zero_last=True)(wave), np.zeros(1))
    assert WaveController(32, key=KEY)(wave).shape == (1,)


@pytest.mark.parametrize("points", [7, 12, 32, 33])
def test_the_convolutions(points, rng):
    policy = WaveController(points, key=KEY, channels=5)
    wave = jnp.asarray(rng.normal(size=(points, 2)))
    x = wave[None]
    for kernel, bias in zip(policy.kernels[:2], policy.biases[:2], strict=True):
        width = kernel.reshape(3, -1, 5)
        x = jnp.tanh(
            jax.lax.conv_general_dilated(x, width, (2,), "VALID", dimension_numbers=("NWC", "WIO", "NWC")) + bias
        )
    expected = x.reshape(-1) @ policy.kernels[2] + policy.biases[2]
    np.testing.assert_allclose(policy(wave), expected, atol=1e-13)


def test_glorot_bounds_of_convolutions():
    """sqrt(6 / (width (in + out))), which random kernels reach but do not pass."""
    policy = WaveController(32, key=KEY)
    for kernel, bound in zip(policy.kernels, (np.sqrt(6 / 366), np.sqrt(6 / 360), np.sqrt(6 / 421)), strict=True):
        assert 0.95 * bound < np.abs(kernel).max() <= bound


def test_no_control():
    np.testing.assert_array_equal(ZeroAction((2, 2))(jnp.ones(3)), np.zeros((2, 2)))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Controller(4, (1,), key=KEY)(jnp.zeros(5)), r"made for 4 observations, got an array of shape \(5,\)"),
        (lambda: Controller(4, (1,), key=KEY, activation="tan"), "unknown activation 'tan'; did you mean 'tanh'"),
        (lambda: WaveController(6, key=KEY), "at least 7 points, got 6"),
        (lambda: WaveController(8, key=KEY, channels=0), "channels must be a whole number above 0"),
        (lambda: WaveController(8, key=KEY)(jnp.zeros((9, 2))), r"waves of shape \(8, 2\), got \(9, 2\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call()
