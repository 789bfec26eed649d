"""The perceptron: sizes, the start, and what it computes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.policies.network import ACTIVATIONS, MLP


def test_it_computes_what_it_says(rng):
    network = MLP((5, 7, 6, 3), key=jax.random.key(0), activation="tanh")
    network = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), network)
    x = rng.normal(size=(4, 2, 5))
    y = x
    for kernel, bias in zip(network.kernels[:-1], network.biases[:-1], strict=True):
        y = np.tanh(y @ kernel + bias)
    np.testing.assert_allclose(network(jnp.asarray(x)), y @ network.kernels[-1] + network.biases[-1], rtol=1e-12)


def test_sites_do_not_see_each_other(rng):
    network = MLP((3, 8, 2), key=jax.random.key(1))
    x = jnp.asarray(rng.normal(size=(6, 3)))
    np.testing.assert_allclose(network(x)[2:4], network(x[2:4]), rtol=1e-14)


def test_the_start_is_glorot_uniform_with_zero_biases():
    network = MLP((10, 128, 128, 6), key=jax.random.key(2))
    assert [k.shape for k in network.kernels] == [(10, 128), (128, 128), (128, 6)]
    for kernel in network.kernels:
        bound = np.sqrt(6 / sum(kernel.shape))
        assert 0.97 * bound < np.abs(kernel).max() <= bound
        np.testing.assert_allclose(np.var(kernel), bound**2 / 3, rtol=0.1)
    assert all(np.all(bias == 0) for bias in network.biases)


@pytest.mark.parametrize(("sizes", "count"), [((10, 128, 128, 6), 18_694), ((6, 128, 128, 4), 17_924), ((5, 8, 3), 75)])
def test_numbers_of_parameters(sizes, count):
    assert MLP(sizes, key=jax.random.key(0)).num_parameters == count


def test_a_zero_last_layer_gives_zero_and_still_learns(rng):
    network = MLP((5, 8, 3), key=jax.random.key(3), zero_last=True)
    x = jnp.asarray(rng.normal(size=(10, 5)))
    np.testing.assert_array_equal(network(x), 0)
    gradient = jax.grad(lambda n: jnp.sum(n(x)[:, 0]))(network)
    assert np.abs(gradient.kernels[-1]).max() > 0
    assert np.abs(gradient.biases[-1]).max() > 0


def test_keys_decide():
    one, same, other = (MLP((4, 4, 2), key=jax.random.key(seed)).kernels[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.any(one == other)


def test_activations():
    x = jnp.linspace(-3, 3, 7)
    known = {
        "relu": np.maximum(x, 0),
        "leaky_relu": np.where(x > 0, x, 0.01 * x),
        "silu": x / (1 + np.exp(-x)),
        "softplus": np.log1p(np.exp(x)),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
    }
    assert set(known) == set(ACTIVATIONS)
    for name, expected in known.items():
        np.testing.assert_allclose(ACTIVATIONS[name](x), expected, rtol=1e-12, atol=1e-14)


def test_precision_follows_the_data():
    network = MLP((3, 4, 2), key=jax.random.key(0))
    assert network.kernels[0].dtype == jnp.float64
    assert network(jnp.ones((2, 3), jnp.float32)).dtype == jnp.float32
    assert MLP((3, 2), key=jax.random.key(0), dtype=jnp.float32).biases[0].dtype == jnp.float32


@pytest.mark.parametrize("sizes", [(), (5,), (5, 0, 3), (5, 2.5, 3), (5, -1)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(UndertowError, match="layer sizes"):
        MLP(sizes, key=jax.random.key(0))


def test_unknown_activations_are_refused_with_the_nearest_one():
    with pytest.raises(UndertowError, match="unknown activation 'rely'; did you mean 'relu'"):
        MLP((2, 2), key=jax.random.key(0), activation="rely")
