r"""MP5: the linear value of fifth order at a face, kept within bounds that preserve monotone data and smooth extrema."""

from __future__ import annotations

from functools import reduce

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.numerics.stencil import directions, unstack
from undertow.schemes.faces import FaceValues, Stencils
from undertow.schemes.weights import linear, reconstruct


class MP5(AbstractPolicy):
    r"""Suresh and Huynh's monotonicity-preserving scheme of fifth order, which is no set of weights. With the cells $q_{-2} ..
    q_2$ of a stencil from upwind to downwind, the face after $q_0$, and $d_k = q_{k+1} - 2 q_k + q_{k-1}$,

    $$\hat q = \mathrm{median}(q^L, q^{min}, q^{max}), \qquad
      q^L = \tfrac{1}{60}(2 q_{-2} - 13 q_{-1} + 47 q_0 + 27 q_1 - 3 q_2),$$

    $$q^{min} = \max\big(\min(q_0, q_1, q^{MD}), \min(q_0, q^{UL}, q^{LC})\big), \qquad
      q^{max} = \min\big(\max(q_0, q_1, q^{MD}), \max(q_0, q^{UL}, q^{LC})\big),$$

    $$q^{UL} = q_0 + \alpha (q_0 - q_{-1}), \qquad q^{MD} = \tfrac12 (q_0 + q_1) - \tfrac12 d^{M4}_{1/2}, \qquad
      q^{LC} = q_0 + \tfrac12 (q_0 - q_{-1}) + \tfrac43 d^{M4}_{-1/2},$$

    $d^{M4}_{k+1/2} = \mathrm{minmod}(4 d_k - d_{k+1}, 4 d_{k+1} - d_k, d_k, d_{k+1})$. The published test that leaves the bounds
    out where they cannot act (eq. 2.30) saves work only, and its $\epsilon = 10^{-10}$ has a unit: the bounds are always taken.

    Not differentiable where bounds begin to act. **Arguments:** `alpha` $\alpha$, default 4: monotone data stay so with forward
    Euler and Courant numbers up to $1/(1 + \alpha)$.

    **Raises:** `UndertowError` for an `alpha` below 2, with which smooth extrema are clipped.

    **Reference:** Suresh and Huynh (1997), J. Comput. Phys. 136, 83-99, eqs. 2.1, 2.8 and 2.24 to 2.29.
    """

    alpha: float = eqx.field(static=True, default=4.0)

    def __check_init__(self):
        require(self.alpha >= 2, f"alpha must be at least 2, got {self.alpha!r}")

    @property
    def order(self) -> int:
        """5."""
        return 5

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> FaceValues:
        """The values of both directions at every face."""
        return FaceValues(tuple(jnp.stack([self.value(way) for way in directions(each)]) for each in observation))

    def value(self, stencil: Float[Array, "*batch 5"]) -> Float[Array, "*batch"]:
        r"""$\hat q$ of one stencil."""
        q = unstack(stencil)
        plain = reconstruct(stencil, linear(5)(stencil))
        bend = [q[k + 1] - 2 * q[k] + q[k - 1] for k in (1, 2, 3)]
        before, after = (_minmod(4 * a - b, 4 * b - a, a, b) for a, b in (bend[:2], bend[1:]))
        rise = q[2] - q[1]
        upper, middle = q[2] + self.alpha * rise, 0.5 * (q[2] + q[3]) - 0.5 * after
        curved = q[2] + 0.5 * rise + 4 / 3 * before
        sides = ((q[2], q[3], middle), (q[2], upper, curved))
        least = jnp.maximum(*(reduce(jnp.minimum, side) for side in sides))
        most = jnp.minimum(*(reduce(jnp.maximum, side) for side in sides))
        return plain + _minmod(least - plain, most - plain)


def _minmod(*values: Array) -> Array:
    """The value nearest to 0 where all have one sign, else 0."""
    low, high = reduce(jnp.minimum, values), reduce(jnp.maximum, values)
    return jnp.maximum(low, 0.0) + jnp.minimum(high, 0.0)
