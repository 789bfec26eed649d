r"""Conservative finite differences: from point values to stencils, and from stencil weights to $du/dt$."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, require
from undertow.laws.law import AbstractBasis, AbstractConservationLaw, Mean, Reconstruction
from undertow.laws.source import SineSource
from undertow.numerics.barrier import gathered, materialised
from undertow.numerics.grid import UniformGrid
from undertow.numerics.inflow import AbstractInflow
from undertow.numerics.reductions import largest
from undertow.numerics.stencil import both_directions, directions, face_slices, unstack
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.domain import Domain, Ends, Fluxes
from undertow.schemes.faces import Answer, FaceValues, Stencils
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.scheme import RECONSTRUCTIONS, AbstractScheme
from undertow.schemes.splitting import AbstractSpeed, GlobalSpeed, as_speed
from undertow.schemes.weights import reconstruct, size, typical

Sides = tuple[list[Float[Array, "chan *faces"]], list[Float[Array, "chan *faces"]]]
Bases = tuple[AbstractBasis, ...] | None


class SemiDiscrete(AbstractScheme):
    r"""The method of lines for $u_t + \sum_d f_d(u)_{x_d} = \nu\nabla^2 u + s$,

    $$\frac{du_i}{dt} = -\sum_d \frac{\hat f_{i+1/2} - \hat f_{i-1/2}}{\Delta x_d} + \nu\,(\nabla^2 u)_i + s_i, \qquad
      \hat f = \sum_k w_k^+ \hat q_k^+ + \sum_k w_k^- \hat q_k^- ,$$

    with Lax-Friedrichs split fluxes and whatever weights $w$ it is given: any weights conserve; weights that sum to one are
    consistent; at best the order is 2r-1. In their place an agent may give the two sums themselves, as
    [`FaceValues`][undertow.schemes.faces.FaceValues]. Unknowns are *point values at cell centres*, `"chan *cells"`.

    **Arguments:**

    - `law`, `grid`, `boundary`, `source`, `limiter`, `inflow`: of the [`Domain`][undertow.schemes.domain.Domain].
    - `order`: formal order 2r-1 (3, 5, ..., 13; default 5).
    - `speed`: the splitting speed (default: the published global maximum).
    - `reconstruction`: of a system: `component` (default), each conserved component's split flux by itself, or
        `characteristic`: the stencils of every face are projected on the eigenvectors of the Jacobian at that face, and the
        reconstructed fluxes projected back. Agents then see characteristic fields.
    - `mean`: the state at a face that the eigenvectors belong to: `arithmetic` (default, of the conserved values) or `roe`.

    **Raises:** `UndertowError` for unknown names or orders, a boundary that does not fit the order, or a law without
    eigenvectors.

    **Reference:** Shu and Osher (1989), J. Comput. Phys. 83, 32-78; Jiang and Shu (1996).
    """

    domain: Domain
    speed: AbstractSpeed
    reconstruction: Reconstruction = eqx.field(static=True)
    mean: Mean = eqx.field(static=True)

    def __init__(
        self,
        law: AbstractConservationLaw,
        grid: UniformGrid,
        boundary: str | tuple[Ends, ...] = "periodic",
        *,
        order: int = 5,
        speed: AbstractSpeed | str | None = None,
        source: SineSource | None = None,
        reconstruction: Reconstruction = "component",
        mean: Mean = "arithmetic",
        limiter: PositivityLimiter | None = None,
        inflow: AbstractInflow | None = None,
    ):
        self.domain = Domain(law, grid, boundary, order=order, source=source, limiter=limiter, inflow=inflow)
        self.speed = GlobalSpeed() if speed is None else as_speed(speed)
        self.reconstruction = choice("reconstruction", reconstruction, RECONSTRUCTIONS)
        self.mean = choice("mean", mean, get_args(Mean))

    def relative_to(self, u):
        """The law's floors."""
        return self.over(self.relative_domain(u))

    def unit(
        self, u: Float[Array, "chan *cells"], time: Float[Array, ""] | None = None
    ) -> Float[Array, " chan"] | None:
        r"""The size of the split fluxes of the state `u` at `time` (default 0), one number per component, above 0: what weights
        measure stencils by that have an $\epsilon$ without a unit.

        It is about the largest deviation of $\tfrac12 (f \pm \alpha u)$ from their mean, and not below a hundredth of their own
        size (see [`size`][undertow.schemes.weights.size]), with $\alpha$ close to the largest speed. In other units of mass,
        length and time it changes as the fluxes do. Where everything is 0 it is what the forcing makes of it, or 1. None for
        characteristic fields, which come without a unit (see `AbstractBasis`).
        """
        if self.reconstruction == "characteristic":
            return None
        split = []
        for axis in range(self.grid.num_axes):
            # Ghost cells are copies, unless something else enters there.
            cells = u if self.domain.inflow is None else self.domain.pad(u, axis, time)
            speeds = jnp.sqrt(self.law.smooth_speed_squared(cells, axis, 1e-3))
            flux, moved = self.law.flux(cells, axis), typical(speeds) * cells
            split += [0.5 * (flux + moved), 0.5 * (flux - moved)]
        unit = size(split)
        forcing = self.domain.forcing(u, jnp.zeros((), u.dtype) if time is None else time)
        if forcing is not None:
            # A rate of change over the length of the domain is a flux.
            length = max(dx * cells for dx, cells in zip(self.grid.spacing, self.grid.num_cells, strict=True))
            driven = length * largest(jnp.abs(forcing.reshape(forcing.shape[0], -1)), axis=1)
            unit = jnp.where(unit >= jnp.finfo(u.dtype).tiny, unit, driven)
        return jnp.where(unit >= jnp.finfo(u.dtype).tiny, unit, 1.0)

    def stencils(self, u: Float[Array, "chan *cells"], time: Float[Array, ""] | None = None) -> Stencils:
        """Split-flux stencils at every face, one array per axis of shape `(2, chan, *faces, 2r-1)`.

        Entry 0 is the right-going flux, entry 1 the left-going one, mirrored, so that both read from upwind to downwind and
        one agent serves both directions. With characteristic reconstruction the second axis counts characteristic fields.
        `time` (default 0) is for the inflow.
        """
        return self.observe(u, time)[0]

    def observe(self, u: Float[Array, "chan *cells"], time: Float[Array, ""] | None = None) -> tuple[Stencils, Bases]:
        """The stencils, and the eigenvectors they are projected on, per axis (None where they are not)."""
        sides, bases = self._sides(u, time)
        return tuple(_stacked(plus, minus) for plus, minus in sides), bases

    def _sides(self, u: Array, time: Array | None) -> tuple[list[Sides], Bases]:
        """The right-going and the left-going stencils of every axis, position by position, and the eigenvectors."""
        self.domain.check_state(u)
        r = substencil_width(self.order)
        out, bases = [], []
        for axis in range(self.grid.num_axes):
            padded, ghost = self.domain.pad(u, axis, time), self.domain.ghost
            alpha = self.speed(self.law, padded, axis, ghost)
            values = face_slices(padded, 2 * r, ghost, axis)
            fluxes = face_slices(self.law.flux(padded, axis), 2 * r, ghost, axis)
            plus = [0.5 * (f + alpha * v) for f, v in zip(fluxes[:-1], values[:-1], strict=True)]
            minus = [0.5 * (f - alpha * v) for f, v in zip(fluxes[:0:-1], values[:0:-1], strict=True)]
            if self.reconstruction == "characteristic":
                basis = self.law.eigenvectors(values[r - 1], values[r], axis, self.mean)
                plus, minus = [basis.project(f) for f in plus], [basis.project(f) for f in minus]
                bases.append(basis)
            out.append((gathered(plus), gathered(minus)))
        return out, tuple(bases) if bases else None

    def fluxes(self, stencils: Stencils, answer: Answer, bases: Bases = None) -> Fluxes:
        """The numerical flux at every face, one array per axis, with these weights or face values; `bases` are those that
        `observe` returned."""
        require(
            (bases is None) == (self.reconstruction == "component"),
            "characteristic stencils need the eigenvectors that `observe` returned beside them",
        )
        sides = []
        for stencil in stencils:
            plus, minus = directions(stencil)
            sides.append((unstack(plus), unstack(minus)))
        return self._fluxes(sides, answer, bases)

    def _fluxes(self, sides: list[Sides], answer: Answer, bases: Bases) -> Fluxes:
        out = []
        for axis, (sides_of_axis, given) in enumerate(zip(sides, answer, strict=True)):
            if isinstance(answer, FaceValues):
                rightward, leftward = given
            else:
                rightward, leftward = (
                    reconstruct(jnp.stack(stencil, axis=-1), weights)
                    for stencil, weights in zip(sides_of_axis, directions(given), strict=True)
                )
            total = materialised(
                rightward + leftward
            )  # eigenvectors read every field of a face, cells the fluxes of two faces
            out.append(total if bases is None else materialised(bases[axis].expand(total)))
        return tuple(out)

    def tendency(self, stencils: Stencils, answer: Answer, bases: Bases = None) -> Float[Array, "chan *cells"]:
        r"""What the fluxes alone do to the cells, $-\sum_d (\hat f_{i+1/2} - \hat f_{i-1/2}) / \Delta x_d$; arguments as in
        `fluxes`."""
        return self.domain.divergence(self.fluxes(stencils, answer, bases))

    def face_fluxes(
        self,
        u: Float[Array, "chan *cells"],
        time: Float[Array, ""] | None,
        choose: Callable[[Array, Stencils], Answer] | None,
    ) -> Fluxes:
        """With the weights, or face values, that `choose(u, stencils)` returns. Raises `UndertowError` without `choose`."""
        if choose is None:
            raise UndertowError("a SemiDiscrete scheme needs weights, got None; WenoJS() are the usual ones")
        sides, bases = self._sides(u, time)
        return self._fluxes(sides, choose(u, tuple(_stacked(*each) for each in sides)), bases)


def _stacked(plus: list[Array], minus: list[Array]) -> Float[Array, "2 chan *faces stencil"]:
    # Position by position: whoever takes the array apart again gets these operands, and the compiler sees that. On the way
    # back it sees so only while an array is taken apart by one reader, so every reader gets one of its own.
    return both_directions(jnp.stack(plus, axis=-1), jnp.stack(minus, axis=-1))
