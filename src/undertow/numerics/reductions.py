r"""Maxima, sums and means over the cells of a grid. Every number that is made of all cells, or of a whole line of them, is made
here: on a grid that several devices share, these functions alone would ask the others."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Axis = int | tuple[int, ...] | None
"""The axes of the array to reduce, all of them (None) or some, which then keep the length 1 with `keepdims`."""


def largest(values: Float[Array, "..."], axis: Axis = None, *, keepdims: bool = False) -> Float[Array, "..."]:
    """The largest value. Several that share it also share its derivative, in equal parts."""
    return jnp.max(values, axis=axis, keepdims=keepdims)


def smallest(values: Float[Array, "..."], axis: Axis = None, *, keepdims: bool = False) -> Float[Array, "..."]:
    """The smallest value."""
    return jnp.min(values, axis=axis, keepdims=keepdims)


def total(values: Float[Array, "..."], axis: Axis = None, *, keepdims: bool = False) -> Float[Array, "..."]:
    """The sum."""
    return jnp.sum(values, axis=axis, keepdims=keepdims)


def mean(values: Float[Array, "..."], axis: Axis = None, *, keepdims: bool = False) -> Float[Array, "..."]:
    """The mean."""
    return jnp.mean(values, axis=axis, keepdims=keepdims)


def everywhere(holds: Bool[Array, "..."]) -> Bool[Array, ""]:
    """Whether something holds in all cells."""
    return jnp.all(holds)
