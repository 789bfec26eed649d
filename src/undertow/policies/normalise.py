"""Scaling what an agent sees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_standard_deviation(x: Float[Array, "*batch stencil"], axis: int = -1) -> Float[Array, "*batch 1"]:
    """Population standard deviation along one axis, kept as an axis of length 1, with derivative 0 where it is 0."""
    centred = x - jnp.mean(x, axis=axis, keepdims=True)
    variance = jnp.mean(centred * centred, axis=axis, keepdims=True)
    positive = variance > 0
    # The double `where`: the square root never sees 0, so its infinite derivative is never multiplied by 0.
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)


def z_score(
    x: Float[Array, "*batch stencil"], *, epsilon: float = 1e-10, clip: float = 5.0
) -> Float[Array, "*batch stencil"]:
    r"""$z = (x - \bar x) / (\sigma + \epsilon)$ over the last axis, clipped to $\pm$`clip`.

    The published scaling (arXiv 2203.08937, code): invariant to the scale and offset of the split flux. A constant stencil
    gives 0, with the derivative 1/`epsilon` of $(x - \bar x)/\epsilon$: finite, but true only for changes well below `epsilon`.
    The clip is never active for a stencil of 25 values or fewer.
    """
    scaled = (x - jnp.mean(x, axis=-1, keepdims=True)) / (safe_standard_deviation(x) + epsilon)
    return jnp.clip(scaled, -clip, clip) if x.shape[-1] > clip**2 else scaled


def smooth_z_score(x: list[Float[Array, "*batch"]], *, epsilon: float) -> list[Float[Array, "*batch"]]:
    r"""$z_m = (x_m - \bar x) / \sqrt{\sigma^2 + \varepsilon^2}$ over the entries of a list: smooth everywhere, constant
    stencils included.

    Variations well above $\varepsilon$ are scaled to order one, those below fade to 0.
    """
    mean = sum(x[1:], x[0]) / len(x)
    centred = [v - mean for v in x]
    squares = [v * v for v in centred]
    inverse = jax.lax.rsqrt(sum(squares[1:], squares[0]) / len(x) + epsilon**2)
    return [v * inverse for v in centred]
