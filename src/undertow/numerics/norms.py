r"""Norms of grid functions: sums over components and cells, weighted with the cell volume."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def l1(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\sum_i |e_i|\,\Delta V$."""
    return jnp.sum(jnp.abs(error)) * volume


def l2(error: Float[Array, "chan *cells"], volume: float) -> Float[Array, ""]:
    r"""$\big(\sum_i e_i^2\,\Delta V\big)^{1/2}$, not divided by the domain's size. Where all is 0 the derivative is taken as 0."""
    # In units of the largest error: squares neither vanish nor overflow.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(error), initial=0.0))
    none = largest == 0  # not so for what is not finite, which has to be seen
    unit = jnp.where(jnp.isfinite(largest) & ~none, largest, 1.0)
    total = jnp.sum((error / unit) ** 2) * volume
    # The double `where`: the root never sees 0, so its infinite derivative is never multiplied by 0.
    return jnp.where(none, 0.0, unit * jnp.sqrt(jnp.where(none, 1.0, total)))


def linf(error: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\max_i |e_i|$."""
    return jnp.max(jnp.abs(error))


def total_variation(u: Float[Array, "chan *cells"]) -> Float[Array, ""]:
    r"""$\sum_i |u_{i+1} - u_i|$ over the cells of the domain, every component and axis added; no wrap-around."""
    return sum((jnp.sum(jnp.abs(jnp.diff(u, axis=axis))) for axis in range(1, u.ndim)), start=jnp.zeros((), u.dtype))
