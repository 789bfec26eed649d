r"""Numerical fluxes between two states at a face."""

from __future__ import annotations

from jaxtyping import Array, Float

from undertow.laws.law import AbstractConservationLaw


def lax_friedrichs(
    law: AbstractConservationLaw,
    left: Float[Array, "chan *faces"],
    right: Float[Array, "chan *faces"],
    axis: int,
    speed: Float[Array, "*faces"],
) -> Float[Array, "chan *faces"]:
    r"""$F(u^-, u^+) = \tfrac12\big(f(u^-) + f(u^+) - \alpha\,(u^+ - u^-)\big)$ (Rusanov's where $\alpha$ is local).

    **Arguments:** the `law`; the states `left` $u^-$ and `right` $u^+$ of every face; the `axis` normal to it; `speed` $\alpha$,
    not below any $|\lambda|$ of the two states, broadcast to the faces.

    **Reference:** Toro (2009), Riemann Solvers and Numerical Methods for Fluid Dynamics, eq. 10.55 and section 5.3.4.
    """
    return 0.5 * (law.flux(left, axis) + law.flux(right, axis) - speed * (right - left))
