r"""Norms of grid functions: sums over components and cells, weighted with the cell volume."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def l1(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\sum_i |e_i|\,\Delta V$."""
    return jnp.sum(jnp.abs(error)) * volume


def l2(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\big(\sum_i e_i^2\,\Delta V\big)^{1/2}$, not divided by the domain's size; its derivative where all is 0 is taken as 0."""
    # In units of the largest error: squares neither vanish nor overflow.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(error), initial=0.0))
    some = largest > 0
    scaled = error / jnp.where(some, largest, 1.0)
    # The double `where`: the root never sees 0, so its infinite derivative is never multiplied by 0.
    total = jnp.sum(scaled * scaled) * volume
    return jnp.where(some, largest * jnp.sqrt(jnp.where(some, total, 1.0)), 0.0)


def linf(error: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\max_i |e_i|$."""
    return jnp.max(jnp.abs(error))


def total_variation(u: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\sum_i |u_{i+1} - u_i|$ over the cells of the domain, every component and axis added; no wrap-around."""
    return sum((jnp.sum(jnp.abs(jnp.diff(u, axis=axis))) for axis in range(1, u.ndim)), start=jnp.zeros((), u.dtype))
