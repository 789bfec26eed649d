r"""Norms of grid functions: sums over components and cells, weighted with the cell volume."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def l1(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\sum_i |e_i|\,\Delta V$."""
    return jnp.sum(jnp.abs(error)) * volume


def l2(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\big(\sum_i e_i^2\,\Delta V\big)^{1/2}$, not divided by the domain's size."""
    return jnp.sqrt(jnp.sum(error**2) * volume)


def linf(error: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\max_i |e_i|$."""
    return jnp.max(jnp.abs(error))


def total_variation(u: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\sum_i |u_{i+1} - u_i|$ over the cells of the domain, every component and axis added; no wrap-around."""
    return sum((jnp.sum(jnp.abs(jnp.diff(u, axis=axis))) for axis in range(1, u.ndim)), start=jnp.zeros((), u.dtype))
