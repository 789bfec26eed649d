"""Shifted slices: the values around every cell face."""

from __future__ import annotations

import jax
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
