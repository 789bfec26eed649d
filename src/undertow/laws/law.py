"""What a conservation law has to say for itself."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float


class AbstractConservationLaw(eqx.Module):
    r"""$u_t + \sum_d f_d(u)_{x_d} = \nu\,\nabla^2 u$. One file per law; constants are leaves."""

    viscosity: eqx.AbstractVar[float | Float[Array, ""]]
    num_components: eqx.AbstractClassVar[int]

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        """The flux along space axis `axis`, cell by cell."""
        raise NotImplementedError

    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""The largest characteristic speed $|\lambda|$ along `axis`, cell by cell."""
        raise NotImplementedError

    def parity(self, axis: int) -> tuple[float, ...]:
        """One number per component: -1 where it changes sign at a wall normal to `axis`, else 1."""
        raise NotImplementedError
