"""Shifted slices: the values around every cell face."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def face_slices(
    padded: Float[Array, "chan *padded"], width: int, ghost: int, axis: int
) -> list[Float[Array, "chan *faces"]]:
    r"""The `width` cells around every face along `axis`, from left to right, as one array per position.

    Face $j = 0..N$ lies between cells $j-1$ and $j$; its neighbours are cells $j - w/2, ..., j + w/2 - 1$ for an even width
    $w$. Slices instead of a gather: the compiler sees through them and their gradient needs no scatter.

    **Arguments:** `padded` values with `ghost` ghost cells at both ends of space axis `axis` and none elsewhere.
    """
    cells = padded.shape[axis + 1] - 2 * ghost
    start = ghost - width // 2
    return [jax.lax.slice_in_dim(padded, start + m, start + m + cells + 1, axis=axis + 1) for m in range(width)]


def unstack(x: Float[Array, "*batch stencil"], axis: int = -1) -> list[Float[Array, "*batch"]]:
    """The entries along an axis (default: the last) as a list. The inverse of `jnp.stack`, and unlike indexing so in
    the backward pass too, where every index would become an array of zeros around one slice."""
    return [jnp.squeeze(part, axis) for part in jax.lax.split(x, (1,) * x.shape[axis], axis=axis % x.ndim)]


def directions(
    x: Float[Array, "2 *batch stencil"],
) -> tuple[Float[Array, "*batch stencil"], Float[Array, "*batch stencil"]]:
    """`x[0]` and `x[1]`, taken apart position by position: of an array that was stacked so, the compiler sees the operands."""
    pairs = [unstack(part, 0) for part in unstack(x)]
    plus, minus = (jnp.stack([pair[way] for pair in pairs], axis=-1) for way in (0, 1))
    return plus, minus


def both_directions(
    plus: Float[Array, "*batch stencil"], minus: Float[Array, "*batch stencil"]
) -> Float[Array, "2 *batch stencil"]:
    """The inverse of `directions`."""
    return jnp.stack([jnp.stack(pair) for pair in zip(unstack(plus), unstack(minus), strict=True)], axis=-1)


def softmax_last(logits: list[Float[Array, "*batch"]]) -> list[Float[Array, "*batch"]]:
    r"""$e^{l_k} / \sum_m e^{l_m}$ of a short list of logits, shifted by their maximum."""
    largest = logits[0]
    for logit in logits[1:]:
        largest = jnp.maximum(largest, logit)
    largest = jax.lax.stop_gradient(largest)
    powers = [jnp.exp(logit - largest) for logit in logits]
    total = powers[0]
    for power in powers[1:]:
        total = total + power
    inverse = 1 / total
    return [power * inverse for power in powers]
