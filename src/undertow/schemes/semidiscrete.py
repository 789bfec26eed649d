r"""Conservative finite differences: from point values to stencils, and from stencil weights to $du/dt$."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, is_zero, require, shown
from undertow.laws.law import AbstractBasis, AbstractConservationLaw, Mean, Reconstruction, check_law
from undertow.laws.source import SineSource
from undertow.numerics.barrier import gathered, materialised
from undertow.numerics.boundary import Boundary, boundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.inflow import AbstractInflow
from undertow.numerics.stencil import both_directions, directions, face_slices, unstack
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.fluxes import lax_friedrichs
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.splitting import AbstractSpeed, GlobalSpeed, as_speed
from undertow.schemes.weights import reconstruct, size, typical

Stencils = tuple[Float[Array, "2 chan *faces stencil"], ...]
Weights = tuple[Float[Array, "2 chan *faces r"], ...]
Sides = tuple[list[Float[Array, "chan *faces"]], list[Float[Array, "chan *faces"]]]
Bases = tuple[AbstractBasis, ...] | None
Fluxes = tuple[Float[Array, "chan *faces"], ...]
RECONSTRUCTIONS: tuple[Reconstruction, ...] = get_args(Reconstruction)


class SemiDiscrete(eqx.Module):
    r"""The method of lines for $u_t + \sum_d f_d(u)_{x_d} = \nu\nabla^2 u + s$,

    $$\frac{du_i}{dt} = -\sum_d \frac{\hat f_{i+1/2} - \hat f_{i-1/2}}{\Delta x_d} + \nu\,(\nabla^2 u)_i + s_i, \qquad
      \hat f = \sum_k w_k^+ \hat q_k^+ + \sum_k w_k^- \hat q_k^- ,$$

    with Lax-Friedrichs split fluxes and whatever weights $w$ it is given: any weights conserve; weights that sum to one are
    consistent; at best the order is 2r-1. Unknowns are *point values at cell centres*, `"chan *cells"`.

    **Arguments:**

    - `law`: the conservation law; `grid`: the cells; `order`: formal order 2r-1 (3, 5, ..., 13; default 5).
    - `boundary`: a name for all ends, one [`Boundary`][undertow.numerics.boundary.Boundary] per axis, or one name or
        pair of names per axis. A leaf: batches may mix boundaries.
    - `speed`: the splitting speed (default: the published global maximum).
    - `source`: a function of position and time, or None.
    - `reconstruction`: of a system: `component` (default), each conserved component's split flux by itself, or
        `characteristic`: the stencils of every face are projected on the eigenvectors of the Jacobian at that face, and the
        reconstructed fluxes projected back. Agents then see characteristic fields.
    - `mean`: the state at a face that the eigenvectors belong to: `arithmetic` (default, of the conserved values) or `roe`.
    - `limiter`: a [`PositivityLimiter`][undertow.schemes.positivity.PositivityLimiter] that `rate` applies to the fluxes, or
        None (default).
    - `inflow`: prescribed values for some of the ghost cells, an
        [`AbstractInflow`][undertow.numerics.inflow.AbstractInflow], or None (default).

    **Raises:** `UndertowError` for unknown names or orders, a boundary that does not fit the order, or a law without
    eigenvectors.

    **Reference:** Shu and Osher (1989), J. Comput. Phys. 83, 32-78; Jiang and Shu (1996).
    """

    law: AbstractConservationLaw
    grid: UniformGrid
    boundary: tuple[Boundary, ...]
    speed: AbstractSpeed
    source: SineSource | None
    limiter: PositivityLimiter | None
    inflow: AbstractInflow | None
    order: int = eqx.field(static=True)
    reconstruction: Reconstruction = eqx.field(static=True)
    mean: Mean = eqx.field(static=True)

    def __init__(
        self,
        law: AbstractConservationLaw,
        grid: UniformGrid,
        boundary: str | tuple[Boundary | str | tuple[str, str], ...] = "periodic",
        *,
        order: int = 5,
        speed: AbstractSpeed | str | None = None,
        source: SineSource | None = None,
        reconstruction: Reconstruction = "component",
        mean: Mean = "arithmetic",
        limiter: PositivityLimiter | None = None,
        inflow: AbstractInflow | None = None,
    ):
        ghost = substencil_width(order) + 1
        self.law, self.grid, self.order, self.source = law, grid, order, source
        self.speed = GlobalSpeed() if speed is None else as_speed(speed)
        self.limiter, self.inflow = limiter, inflow
        self.reconstruction = choice("reconstruction", reconstruction, RECONSTRUCTIONS)
        self.mean = choice("mean", mean, get_args(Mean))
        check_law(law, grid.num_axes)
        kinds = _per_axis(boundary, grid.num_axes)
        require(len(kinds) == grid.num_axes, f"{len(kinds)} boundaries given for a grid with {grid.num_axes} axes")
        self.boundary = tuple(_as_boundary(kind, ghost) for kind in kinds)
        for axis, (each, cells) in enumerate(zip(self.boundary, grid.num_cells, strict=True)):
            require(each.ghost == ghost, f"order {order} needs {ghost} ghost cells, the boundary has {each.ghost}")
            require(
                cells >= max(ghost, 3), f"order {order} needs at least {max(ghost, 3)} cells, axis {axis} has {cells}"
            )

    @property
    def ghost(self) -> int:
        """Ghost cells at each end: r+1, one more than the stencils need, as in the published set-up (its maximum of the
        speed looks at all of them)."""
        return substencil_width(self.order) + 1

    def check_state(self, u: Array) -> None:
        """Raise `UndertowError` unless `u` is one sample of shape `(components, *cells)`."""
        expected = (self.law.num_components, *self.grid.num_cells)
        shape, kind = getattr(u, "shape", None), getattr(u, "dtype", None)
        require(
            shape is not None, f"a state is an array of shape {expected} (components, *cells), got {type(u).__name__}"
        )
        require(
            kind in (np.float32, np.float64),
            f"a state is of single or double precision, got {kind}: take u.astype(float)",
        )
        require(
            u.shape == expected,
            f"a state here has shape {expected} (components, *cells), got {u.shape}; batches go through jax.vmap",
        )

    def relative_to(self, u: Float[Array, "chan *cells"]) -> SemiDiscrete:
        """This scheme for the problem that starts from `u`: floors of the law that nobody has named become relative to it, see
        [`relative_to`][undertow.laws.law.AbstractConservationLaw.relative_to] of the law. `simulate` and `solve` do so."""
        share = None
        if self.limiter is not None:
            # It bounds the speeds, and what is left where next to nothing is stays above 0 with the true ones only. So floors
            # are as small as products allow; amplitudes of characteristic fields are taken to the fourth power.
            power = 1 / 3 if self.reconstruction == "component" else 0.1
            share = min(float(jnp.finfo(u.dtype).tiny) ** power, 1e-12)
        law = self.law.relative_to(u, share)
        return self if law is self.law else dataclasses.replace(self, law=law)

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
            cells = u if self.inflow is None else self.pad(u, axis, time)
            speeds = jnp.sqrt(self.law.smooth_speed_squared(cells, axis, 1e-3))
            flux, moved = self.law.flux(cells, axis), typical(speeds) * cells
            split += [0.5 * (flux + moved), 0.5 * (flux - moved)]
        unit = size(split)
        forcing = self.forcing(u, jnp.zeros((), u.dtype) if time is None else time)
        if forcing is not None:
            # A rate of change over the length of the domain is a flux.
            length = max(dx * cells for dx, cells in zip(self.grid.spacing, self.grid.num_cells, strict=True))
            driven = length * jnp.max(jnp.abs(forcing.reshape(forcing.shape[0], -1)), axis=1)
            unit = jnp.where(unit >= jnp.finfo(u.dtype).tiny, unit, driven)
        return jnp.where(unit >= jnp.finfo(u.dtype).tiny, unit, 1.0)

    def pad(
        self, u: Float[Array, "chan *cells"], axis: int, time: Float[Array, ""] | None = None
    ) -> Float[Array, "chan *padded"]:
        """`u` with ghost cells at both ends of `axis`, as boundary and inflow fill them at `time` (default 0)."""
        padded = self.boundary[axis].pad(u, axis, self.law.parity(axis))
        if self.inflow is None:
            return padded
        return self.inflow.fill(padded, self.grid, axis, self.ghost, jnp.zeros((), u.dtype) if time is None else time)

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
        self.check_state(u)
        r = substencil_width(self.order)
        out, bases = [], []
        for axis in range(self.grid.num_axes):
            padded = self.pad(u, axis, time)
            alpha = self.speed(self.law, padded, axis, self.ghost)
            values = face_slices(padded, 2 * r, self.ghost, axis)
            fluxes = face_slices(self.law.flux(padded, axis), 2 * r, self.ghost, axis)
            plus = [0.5 * (f + alpha * v) for f, v in zip(fluxes[:-1], values[:-1], strict=True)]
            minus = [0.5 * (f - alpha * v) for f, v in zip(fluxes[:0:-1], values[:0:-1], strict=True)]
            if self.reconstruction == "characteristic":
                basis = self.law.eigenvectors(values[r - 1], values[r], axis, self.mean)
                plus, minus = [basis.project(f) for f in plus], [basis.project(f) for f in minus]
                bases.append(basis)
            out.append((gathered(plus), gathered(minus)))
        return out, tuple(bases) if bases else None

    def fluxes(self, stencils: Stencils, weights: Weights, bases: Bases = None) -> Fluxes:
        """The numerical flux at every face, one array per axis; `bases` are those that `observe` returned."""
        require(
            (bases is None) == (self.reconstruction == "component"),
            "characteristic stencils need the eigenvectors that `observe` returned beside them",
        )
        sides = []
        for stencil in stencils:
            plus, minus = directions(stencil)
            sides.append((unstack(plus), unstack(minus)))
        return self._fluxes(sides, weights, bases)

    def _fluxes(self, sides: list[Sides], weights: Weights, bases: Bases) -> Fluxes:
        out = []
        for axis, ((plus, minus), weight) in enumerate(zip(sides, weights, strict=True)):
            rightward, leftward = directions(weight)
            total = reconstruct(jnp.stack(plus, axis=-1), rightward) + reconstruct(jnp.stack(minus, axis=-1), leftward)
            total = materialised(total)  # eigenvectors read every field of a face, cells the fluxes of two faces
            out.append(total if bases is None else materialised(bases[axis].expand(total)))
        return tuple(out)

    def tendency(self, stencils: Stencils, weights: Weights, bases: Bases = None) -> Float[Array, "chan *cells"]:
        r"""$-\sum_d (\hat f_{i+1/2} - \hat f_{i-1/2}) / \Delta x_d$; arguments as in `fluxes`."""
        return self.divergence(self.fluxes(stencils, weights, bases))

    def divergence(self, fluxes: Fluxes) -> Float[Array, "chan *cells"]:
        """What fluxes through the faces leave in every cell per unit time."""
        total = None
        for axis, (flux, dx) in enumerate(zip(fluxes, self.grid.spacing, strict=True)):
            cells = flux.shape[axis + 1] - 1
            left = jax.lax.slice_in_dim(flux, 0, cells, axis=axis + 1)
            right = jax.lax.slice_in_dim(flux, 1, cells + 1, axis=axis + 1)
            part = (left - right) / dx
            total = part if total is None else total + part
        assert total is not None
        return total

    def forcing(self, u: Float[Array, "chan *cells"], time: Float[Array, ""]) -> Float[Array, "chan *cells"] | None:
        r"""$\nu\nabla^2 u + s(x, t)$ with the second-order Laplacian, or None where both are absent."""
        total = None
        if not is_zero(self.law.viscosity):
            for axis, dx in enumerate(self.grid.spacing):
                padded = self.pad(u, axis, time)
                at = [
                    jax.lax.slice_in_dim(padded, self.ghost + k, self.ghost + k + u.shape[axis + 1], axis=axis + 1)
                    for k in (-1, 0, 1)
                ]
                part = self.law.viscosity * ((at[0] - 2 * at[1] + at[2]) / dx**2)
                total = part if total is None else total + part
        if self.source is not None:
            x = jnp.asarray(self.grid.centers(0), u.dtype).reshape((-1,) + (1,) * (self.grid.num_axes - 1))
            part = jnp.broadcast_to(self.source(jnp.broadcast_to(x, self.grid.num_cells), time), u.shape).astype(
                u.dtype
            )
            total = part if total is None else total + part
        return total

    def limited(
        self, u: Float[Array, "chan *cells"], fluxes: Fluxes, time: Float[Array, ""], dt: Float[Array, ""] | None
    ) -> Fluxes:
        """The fluxes as the limiter leaves them for a forward Euler step `dt` from `u` at `time`; as they are without one.

        **Raises:** `UndertowError` for a limiter without `dt`.
        """
        if self.limiter is None:
            return fluxes
        if dt is None:
            raise UndertowError("a positivity limiter has to know the time step: give dt to rate")
        low, speeds, bounds = [], [], []
        for axis in range(self.grid.num_axes):
            padded = self.pad(u, axis, time)
            speeds.append(self.speed(self.law, padded, axis, self.ghost))
            left, right = face_slices(padded, 2, self.ghost, axis)
            low.append(lax_friedrichs(self.law, left, right, axis, speeds[-1]))
            reach = self.law.reach(padded)
            if reach is not None:
                bounds.append(jnp.maximum(*face_slices(reach[None], 2, self.ghost, axis))[0])
        periodic = tuple(each.periodic for each in self.boundary)
        return self.limiter(
            self.law, u, fluxes, tuple(low), tuple(speeds), periodic, self.grid.spacing, dt, tuple(bounds) or None
        )

    def rate(
        self,
        u: Float[Array, "chan *cells"],
        time: Float[Array, ""],
        choose: Callable[[Array, Stencils], Weights] | None,
        dt: Float[Array, ""] | None = None,
    ) -> Float[Array, "chan *cells"]:
        """$du/dt$ with the weights that `choose(u, stencils)` returns; a limiter has to know the time step `dt`.

        **Raises:** `UndertowError` without `choose`, or for a limiter without `dt`.
        """
        if choose is None:
            raise UndertowError("a SemiDiscrete scheme needs weights, got None; WenoJS() are the usual ones")
        sides, bases = self._sides(u, time)
        fluxes = self._fluxes(sides, choose(u, tuple(_stacked(*each) for each in sides)), bases)
        return self.rate_of(fluxes, u, time, dt)

    def rate_of(
        self, fluxes: Fluxes, u: Float[Array, "chan *cells"], time: Float[Array, ""], dt: Float[Array, ""] | None = None
    ) -> Float[Array, "chan *cells"]:
        """$du/dt$ with these fluxes through the faces, limited if there is a limiter, and the forcing.

        **Raises:** `UndertowError` for a limiter without `dt`.
        """
        rate = self.divergence(self.limited(u, fluxes, time, dt))
        forcing = self.forcing(u, time)
        return rate if forcing is None else rate + forcing

    def speed_over_dx(self, u: Float[Array, "chan *cells"], time: Float[Array, ""] | None = None) -> Float[Array, ""]:
        r"""$\max_i \sum_d |\lambda_d(u_i)| / \Delta x_d$, what the CFL condition bounds; with an inflow of its ghost cells at
        `time` (default 0), too."""

        def largest(values: Array) -> Array:
            total = sum(self.law.max_speed(values, axis) / dx for axis, dx in enumerate(self.grid.spacing))
            return jnp.max(jnp.asarray(total))

        if self.inflow is None:
            return largest(u)
        every = [largest(self.pad(u, axis, time)) for axis in range(self.grid.num_axes)]
        return jnp.max(jnp.stack(every))

    @property
    def decay_rate(self) -> float | Float[Array, ""]:
        r"""$4 \nu \sum_a \Delta x_a^{-2}$, the rate at which the shortest wave of the grid decays; the number 0.0 without
        viscosity."""
        nu = self.law.viscosity
        return 0.0 if is_zero(nu) else 4 * nu * sum(1 / dx**2 for dx in self.grid.spacing)


@eqx.filter_jit
def relative(scheme: SemiDiscrete, u: Float[Array, "chan *cells"]) -> tuple[SemiDiscrete, Float[Array, " chan"] | None]:
    """The scheme for the problem that starts from `u`, and the `unit` of that state: one program instead of dozens."""
    scheme = scheme.relative_to(u)
    return scheme, scheme.unit(u)


def _stacked(plus: list[Array], minus: list[Array]) -> Float[Array, "2 chan *faces stencil"]:
    # Position by position: whoever takes the array apart again gets these operands, and the compiler sees that. On the way
    # back it sees so only while an array is taken apart by one reader, so every reader gets one of its own.
    return both_directions(jnp.stack(plus, axis=-1), jnp.stack(minus, axis=-1))


def _per_axis(boundary: Any, axes: int) -> tuple[Any, ...]:
    """One boundary per axis: a name stands for all of them, and on a line a pair of names for its two ends."""
    if isinstance(boundary, str):
        return (boundary,) * axes
    require(
        isinstance(boundary, (tuple, list)),
        "boundary must be a name or a tuple with one entry per axis, "
        f"got {shown(boundary)}; take 'periodic' or 'outflow'",
    )
    ends = axes == 1 and len(boundary) == 2 and all(isinstance(each, str) for each in boundary)
    return (tuple(boundary),) if ends else tuple(boundary)


def _as_boundary(kind: Boundary | str | tuple[str, str], ghost: int) -> Boundary:
    if isinstance(kind, Boundary):
        return kind
    left, right = (kind, kind) if isinstance(kind, str) else kind
    return boundary(left, right, ghost=ghost)
