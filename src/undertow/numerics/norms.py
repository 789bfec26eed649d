r"""Norms of grid functions: sums over components and cells, weighted with the cell volume."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def root_of_squares(
    x: Float[Array, "..."], axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> Float[Array, "..."]:
    r"""$\big(\sum x^2\big)^{1/2}$ along axes (default all), with derivative 0 where it is 0.

    Numbers are squared in units of the largest one: no size of numbers overflows or vanishes.
    """
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    # Below the smallest normal number reciprocals are infinite; at infinity a quotient is not a number.
    zero = size < jnp.finfo(x.dtype).tiny
    size = jnp.where(zero | jnp.isinf(size), 1.0, size)
    scaled = x / size
    square = jnp.sum(scaled * scaled, axis=axis, keepdims=True)
    # The double `where`: the square root never sees 0, so its infinite derivative is never multiplied by 0.
    root = jnp.where(zero, 0.0, size * jnp.sqrt(jnp.where(zero, 1.0, square)))
    return root if keepdims else jnp.squeeze(root, axis)


def l1(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\sum_i |e_i|\,\Delta V$."""
    return jnp.sum(jnp.abs(error)) * volume


def l2(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\big(\sum_i e_i^2\,\Delta V\big)^{1/2}$, not divided by the domain's size, with derivative 0 where it is 0."""
    return root_of_squares(error) * jnp.sqrt(volume)


def linf(error: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\max_i |e_i|$."""
    return jnp.max(jnp.abs(error))


def total_variation(u: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\sum_i |u_{i+1} - u_i|$ over the cells of the domain, every component and axis added; no wrap-around."""
    return sum((jnp.sum(jnp.abs(jnp.diff(u, axis=axis))) for axis in range(1, u.ndim)), start=jnp.zeros((), u.dtype))
