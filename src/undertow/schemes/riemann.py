r"""Finite differences around a Riemann solver: point values interpolated to the faces, and corrected for being point values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import choice, require
from undertow.laws.law import AbstractConservationLaw, Mean, Reconstruction
from undertow.laws.source import SineSource
from undertow.numerics.grid import UniformGrid
from undertow.numerics.inflow import AbstractInflow
from undertow.numerics.reductions import largest
from undertow.numerics.stencil import face_slices
from undertow.schemes.coefficients import substencil_width, weno_coefficients
from undertow.schemes.domain import Domain, Ends, Fluxes
from undertow.schemes.fluxes import HLL, HLLC, AbstractFlux
from undertow.schemes.interpolation import WenoInterpolation, interpolation_coefficients
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.scheme import RECONSTRUCTIONS, AbstractScheme
from undertow.schemes.splitting import AbstractSpeed, LocalSpeed, as_speed

_HALF = Fraction(1, 2)
_SHARE = 0.25  # of density and pressure that interpolation leaves at a face: a sound speed of at most twice the cell's


@cache
def flux_correction(order: int) -> tuple[float, ...]:
    r"""$c_1 .. c_{r-1}$: what has to be added to the point value $f$ at a face to make it a numerical flux,

    $$\hat f - f = -\tfrac{1}{24} \Delta x^2 f_{xx} + \tfrac{7}{5760} \Delta x^4 f_{xxxx} - \dots
      \approx \sum_{s=1}^{r-1} c_s\,(f_{i-s} + f_{i+1+s} - f_i - f_{i+1}) .$$

    Exact for polynomials up to degree 2r-1, so it is the reconstruction from the 2r cells around the face less the
    interpolation from them. For order 5, $c = (-137, 19)/3840$: the usual central differences.

    **Arguments:** `order` 2r-1: 3, 5, ..., 13. **Raises:** `UndertowError` for any other.

    **Reference:** Shu and Osher (1988), J. Comput. Phys. 77, 439-471, section 3 (there for the derivatives' coefficients);
    Jiang, Shu and Zhang (2013), SIAM J. Sci. Comput. 35, A1137-A1160, eqs. 2.5 and 2.6.
    """
    r = substencil_width(order)

    def central(linear_weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """From 2r cells: the mean of the optimal upwind formula from the left and its mirror image."""
        upwind = np.zeros(2 * r)
        for k in range(r):
            upwind[k : k + r] += linear_weights[k] * rows[k]
        return 0.5 * (upwind + upwind[::-1])

    average, point = weno_coefficients(order), interpolation_coefficients(order, _HALF)
    weights = central(average.linear_weights, average.reconstruction) - central(
        point.linear_weights, point.interpolation
    )
    return tuple(float(weights[r - 1 - s]) for s in range(1, r))


class RiemannScheme(AbstractScheme):
    r"""The method of lines with a Riemann solver's flux $F$ at design order, on point values at cell centres:

    $$\hat f_{i+1/2} = F(u^-_{i+1/2}, u^+_{i+1/2}) - \tfrac{1}{24} \Delta x^2 f_{xx}
      + \tfrac{7}{5760} \Delta x^4 f_{xxxx} - \dots$$

    with $u^\mp$ interpolated from either side by WENO and central differences of the cells' fluxes for the corrections, as many
    as the order needs. A classical solver: no splitting speed enters, so it is less dissipative than
    [`SemiDiscrete`][undertow.schemes.semidiscrete.SemiDiscrete], and there is nothing for an agent to choose. `solve` and
    `advance` take it, with None for the weights.

    Differentiable as its flux is. **Arguments:**

    - `law`, `grid`, `boundary`, `order`, `source`, `limiter`, `inflow`: as for `SemiDiscrete`. A limiter also pulls the
        interpolated states towards the cell's where they have less than a quarter of its density or pressure. Take one where
        densities differ by factors of hundreds: without it the corrections for point values make them negative.
    - `flux`: default [`HLLC`][undertow.schemes.fluxes.HLLC] for a law with a contact, such as a gas, else
        [`HLL`][undertow.schemes.fluxes.HLL].
    - `reconstruction`: interpolate conserved values (`component`, default) or `characteristic` fields, with eigenvectors at the
        `mean` of the two cells (`arithmetic`, default, or `roe`).
    - `interpolation`: its weights, default [`WenoInterpolation`][undertow.schemes.interpolation.WenoInterpolation].
    - `speed`: of the first-order flux that the limiter falls back to (default: local).
    - `unit`: what the interpolation's weights measure the values by, one number per component or characteristic field; the
        default, None, is 1 until `relative_to` sets it.

    **Raises:** `UndertowError` as `SemiDiscrete`.

    **Reference:** Shu and Osher (1988), J. Comput. Phys. 77, 439-471; Jiang, Shu and Zhang (2013), SIAM J. Sci. Comput. 35,
    A1137-A1160.
    """

    domain: Domain
    speed: AbstractSpeed
    flux: AbstractFlux
    interpolation: WenoInterpolation
    unit: Float[Array, " chan"] | None
    reconstruction: Reconstruction = eqx.field(static=True)
    mean: Mean = eqx.field(static=True)

    def __init__(
        self,
        law: AbstractConservationLaw,
        grid: UniformGrid,
        boundary: str | tuple[Ends, ...] = "periodic",
        *,
        order: int = 5,
        flux: AbstractFlux | None = None,
        source: SineSource | None = None,
        reconstruction: Reconstruction = "component",
        mean: Mean = "arithmetic",
        interpolation: WenoInterpolation | None = None,
        speed: AbstractSpeed | None = None,
        limiter: PositivityLimiter | None = None,
        inflow: AbstractInflow | None = None,
        unit: Float[Array, " chan"] | None = None,
    ):
        self.unit = unit
        self.domain = Domain(law, grid, boundary, order=order, source=source, limiter=limiter, inflow=inflow)
        self.speed = LocalSpeed() if speed is None else as_speed(speed)
        self.reconstruction = choice("reconstruction", reconstruction, RECONSTRUCTIONS)
        self.mean = choice("mean", mean, get_args(Mean))
        self.flux = (HLLC() if law.has_contact else HLL()) if flux is None else flux
        self.interpolation = WenoInterpolation() if interpolation is None else interpolation

    def relative_to(self, u):
        """The law's floors, and the `unit` where the interpolation has no `epsilon` of its own."""
        domain, unit = self.relative_domain(u), self.unit
        if unit is None and self.reconstruction == "component":
            unit = self.interpolation.unit(u)
        elif unit is None and self.interpolation.epsilon is None:
            # Eigenvectors are scaled for fluxes; of states their amplitudes are those over a speed.
            speeds = [largest(domain.law.max_speed(u, axis)) for axis in range(self.grid.num_axes)]
            unit = jnp.full(u.shape[0], 1 / jnp.max(jnp.stack(speeds)))
        return eqx.tree_at(lambda s: (s.domain, s.unit), self, (domain, unit), is_leaf=lambda leaf: leaf is None)

    def faces(
        self, u: Float[Array, "chan *cells"], axis: int, time: Float[Array, ""] | None = None
    ) -> tuple[Float[Array, "chan *faces"], Float[Array, "chan *faces"]]:
        """The states $u^-$ and $u^+$ on the two sides of every face along `axis`."""
        padded = self.domain.pad(u, axis, time)
        return self._sides(face_slices(padded, 2 * substencil_width(self.order), self.domain.ghost, axis), axis)

    def _sides(self, cells: list[Array], axis: int) -> tuple[Array, Array]:
        law, r = self.law, len(cells) // 2
        left, right = cells[r - 1], cells[r]
        basis = None
        fields = cells
        if self.reconstruction == "characteristic":
            basis = law.eigenvectors(left, right, axis, self.mean)
            fields = [basis.project(q) for q in cells]
        # Differences to the cell beside the face: what is constant stays so to the last bit.
        near = jnp.stack([fields[m] - fields[r - 1] for m in range(2 * r - 1)], axis=-1)
        far = jnp.stack([fields[2 * r - 1 - m] - fields[r] for m in range(2 * r - 1)], axis=-1)
        both = [self.interpolation.stencil_values(stencil, [_HALF], self.unit)[0] for stencil in (near, far)]
        steps = [both[0], both[1]] if basis is None else [basis.expand(both[0]), basis.expand(both[1])]
        limiter = self.domain.limiter
        if limiter is not None:
            # In a gas that is thinner still, waves are faster than any time step was made for.
            limiter = dataclasses.replace(limiter, margin=max(limiter.margin, _SHARE))
            before, after = law.reach(left), law.reach(right)
            bound = None if before is None or after is None else jnp.maximum(before, after)
            steps = [limiter.scaled(law, state, step, bound) for state, step in zip((left, right), steps, strict=True)]
        return left + steps[0], right + steps[1]

    def face_fluxes(
        self,
        u: Float[Array, "chan *cells"],
        time: Float[Array, ""] | None = None,
        choose: Callable[..., Any] | None = None,
    ) -> Fluxes:
        """The Riemann solver's, corrected. Nothing is there to `choose`. Raises `UndertowError` for anything but None."""
        require(choose is None, "a RiemannScheme interpolates with weights of its own: take None for the weights")
        self.domain.check_state(u)
        r, out = substencil_width(self.order), []
        for axis in range(self.grid.num_axes):
            padded = self.domain.pad(u, axis, time)
            flux = self.flux(self.law, *self._sides(face_slices(padded, 2 * r, self.domain.ghost, axis), axis), axis)
            f = face_slices(self.law.flux(padded, axis), 2 * r, self.domain.ghost, axis)
            nearest = f[r - 1] + f[r]
            for s, c in enumerate(flux_correction(self.order), 1):
                flux = flux + c * (f[r - 1 - s] + f[r + s] - nearest)
            out.append(flux)
        return tuple(out)
