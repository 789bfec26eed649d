"""Scaling what an agent sees."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.numerics.barrier import materialised
from undertow.numerics.norms import root_of_squares


def centred(x: Float[Array, "*batch stencil"], axis: int = -1) -> Float[Array, "*batch stencil"]:
    r"""$x - \bar x$ along one axis: exactly 0 where all numbers are equal.

    The mean is that of $x_m - x_1$. A mean of equal numbers is rounded, so that $x - \bar x$ is not 0 but rounding, which a
    z-score would divide by next to nothing; a mean of zeros is exact.
    """
    apart = x - jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    return apart - jnp.mean(apart, axis=axis, keepdims=True)


def safe_standard_deviation(x: Float[Array, "*batch stencil"], axis: int = -1) -> Float[Array, "*batch 1"]:
    """Population standard deviation along one axis, kept as an axis of length 1, with derivative 0 where it is 0.

    It is exactly 0 for equal numbers, and squares nothing larger than 1: no size of numbers overflows or vanishes.
    """
    return root_of_squares(centred(x, axis), axis, keepdims=True) / math.sqrt(x.shape[axis])


def z_score(
    x: Float[Array, "*batch stencil"], *, epsilon: float = 1e-10, clip: float = 5.0
) -> Float[Array, "*batch stencil"]:
    r"""$z = (x - \bar x) / (\sigma + \epsilon)$ over the last axis, clipped to $\pm$`clip`.

    The published scaling (arXiv 2203.08937, code): invariant to the scale and offset of the split flux. A constant stencil
    gives exactly 0, with the derivative 1/`epsilon` of $(x - \bar x)/\epsilon$: finite, but true only for changes well below
    `epsilon`. The clip is never active for a stencil of 25 values or fewer.

    `epsilon` is a number in the units of `x`, as published. In single precision the rounding of a nearly constant stencil
    is larger than it: see [`visible_z_score`][undertow.policies.normalise.visible_z_score].
    """
    x = materialised(x)  # or the compiler works equal numbers out twice, with another rounding
    scaled = centred(x) / (safe_standard_deviation(x) + epsilon)
    return jnp.clip(scaled, -clip, clip) if x.shape[-1] > clip**2 else scaled


ROUNDINGS = 64
"""In units of the precision, relative to the largest number about: variations below this count as rounding. Solvers leave some
three units in what is constant."""


def visible_z_score(
    x: Float[Array, "*batch stencil"], size: Float[Array, "*#batch 1"]
) -> Float[Array, "*batch stencil"]:
    r"""$z = (x - \bar x)\,\sigma / (\sigma^2 + \epsilon^2)$ over the last axis with
    $\epsilon = \max(10^{-10}, 64\,\epsilon_\text{machine})\,q$: what is rounding is not seen, in any precision.

    In double precision and for $q$ near 1 this is the published z-score, but for variations below about $10^{-10}$. It depends
    on no unit: $x$ and $q$ times any factor score the same. Variations well below $\epsilon$ fade with the square of their
    size, equal numbers score exactly 0, and no score is larger than $\sqrt{n - 1}$ but for rounding.

    **Arguments:** `x`; `size` $q$: the largest absolute value of the numbers that `x` was computed from. Differences of larger
    numbers carry their rounding.
    """
    scaled = materialised(x / jnp.maximum(size, jnp.finfo(x.dtype).tiny))  # as in `z_score`
    epsilon = max(1e-10, ROUNDINGS * float(jnp.finfo(x.dtype).eps))
    deviation = safe_standard_deviation(scaled)
    return centred(scaled) * (deviation / (deviation * deviation + epsilon**2))


def smooth_z_score(x: list[Float[Array, "*batch"]], *, epsilon: float) -> list[Float[Array, "*batch"]]:
    r"""$z_m = (x_m - \bar x) / \sqrt{\sigma^2 + \varepsilon^2}$ over the entries of a list: smooth everywhere, constant
    stencils included, where it is exactly 0.

    Variations well above $\varepsilon$ are scaled to order one, those below fade to 0.
    """
    apart = [v - x[0] for v in x[1:]]  # as in `centred`
    mean = sum(apart[1:], apart[0]) / len(x)
    difference = [-mean, *(v - mean for v in apart)]
    squares = [v * v for v in difference]
    inverse = jax.lax.rsqrt(sum(squares[1:], squares[0]) / len(x) + epsilon**2)
    return [v * inverse for v in difference]
