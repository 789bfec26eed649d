"""A multi-layer perceptron that is applied to many sites at once."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import lookup, require, whole_number
from undertow._types import Key

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
}
"""Activations by name. `relu` and `leaky_relu` have no derivative at 0; the others are smooth."""


class MLP(eqx.Module):
    r"""$y = W_n\,\sigma(\cdots\sigma(W_1 x + b_1)\cdots) + b_n$ on the last axis of its input.

    **Arguments:** `sizes`: widths of all layers, input and output included; `activation`: a name out of `ACTIVATIONS`;
    `zero_last`: start with a zero last layer; `key`; `dtype` of the parameters (default: JAX's default float).

    Kernels (shape `(in, out)`) start Glorot-uniform, biases at zero: the defaults of the networks of both papers.
    """

    kernels: tuple[Float[Array, "in out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        sizes: tuple[int, ...],
        *,
        key: Key,
        activation: str = "relu",
        zero_last: bool = False,
        dtype: jnp.dtype | None = None,
    ):
        sizes = tuple(whole_number("layer sizes, input and output included,", size) for size in sizes)
        require(len(sizes) >= 2, f"layer sizes include those of input and output, got {sizes!r}")
        lookup("activation", activation, ACTIVATIONS)
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        init = jax.nn.initializers.glorot_uniform()
        keys = jax.random.split(key, len(sizes) - 1)
        kernels = [init(k, (m, n), dtype) for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)]
        if zero_last:
            kernels[-1] = jnp.zeros_like(kernels[-1])
        self.kernels = tuple(kernels)
        self.biases = tuple(jnp.zeros((n,), dtype) for n in sizes[1:])
        self.activation = activation

    def __call__(self, x: Float[Array, "*sites in"]) -> Float[Array, "*sites out"]:
        """Apply to every site."""
        act = ACTIVATIONS[self.activation]
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = act(x @ kernel.astype(x.dtype) + bias.astype(x.dtype))
        return x @ self.kernels[-1].astype(x.dtype) + self.biases[-1].astype(x.dtype)

    @property
    def num_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(k.size for k in self.kernels) + sum(b.size for b in self.biases)
