r"""What a conservation law lives in: the cells, what lies beyond their ends, what drives it; and all that no scheme changes."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from undertow._checks import UndertowError, is_zero, require, shown
from undertow.laws.law import AbstractConservationLaw, check_law
from undertow.laws.source import SineSource
from undertow.numerics.boundary import AbstractBoundary, boundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.inflow import AbstractInflow
from undertow.numerics.reductions import everywhere, largest
from undertow.numerics.stencil import face_slices
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.fluxes import lax_friedrichs
from undertow.schemes.positivity import PositivityLimiter, is_physical
from undertow.schemes.splitting import AbstractSpeed

Fluxes = tuple[Float[Array, "chan *faces"], ...]
Ends = AbstractBoundary | str | tuple[str, str]
"""The boundary of one axis: itself, or the name of both ends, or one name for each."""


class Domain(eqx.Module):
    r"""A law on a grid: all of $u_t + \sum_d f_d(u)_{x_d} = \nu\nabla^2 u + s$ but the fluxes through the faces.

    Unknowns are point values at cell centres, `"chan *cells"`. What is made of all cells goes through
    [`undertow.numerics.reductions`][undertow.numerics.reductions], what lies beyond an end through its
    [`AbstractBoundary`][undertow.numerics.boundary.AbstractBoundary].

    **Arguments:**

    - `law`: the conservation law; `grid`: the cells.
    - `boundary`: a name for all ends, one [`Boundary`][undertow.numerics.boundary.Boundary] per axis, or one name or
        pair of names per axis (default `periodic`). A leaf: batches may mix boundaries.
    - `order` 2r-1 (3, 5, ..., 13; default 5): of the schemes that it has cells and ghost cells enough for.
    - `source` $s$: a function of position and time, or None (default).
    - `inflow`: prescribed values for some of the ghost cells, an
        [`AbstractInflow`][undertow.numerics.inflow.AbstractInflow], or None (default).
    - `limiter`: a [`PositivityLimiter`][undertow.schemes.positivity.PositivityLimiter] of all fluxes, or None (default).

    **Raises:** `UndertowError` for unknown names, a law whose functions do not fit, or boundaries that do not fit the grid.
    """

    law: AbstractConservationLaw
    grid: UniformGrid
    boundary: tuple[AbstractBoundary, ...]
    source: SineSource | None
    inflow: AbstractInflow | None
    limiter: PositivityLimiter | None
    order: int = eqx.field(static=True)

    def __init__(
        self,
        law: AbstractConservationLaw,
        grid: UniformGrid,
        boundary: str | tuple[Ends, ...] = "periodic",
        *,
        order: int = 5,
        source: SineSource | None = None,
        inflow: AbstractInflow | None = None,
        limiter: PositivityLimiter | None = None,
    ):
        check_law(law, grid.num_axes)
        kinds = _per_axis(boundary, grid.num_axes)
        require(len(kinds) == grid.num_axes, f"{len(kinds)} boundaries given for a grid with {grid.num_axes} axes")
        self.law, self.grid, self.order = law, grid, order
        ghost = self.ghost
        self.boundary = tuple(_as_boundary(kind, ghost) for kind in kinds)
        self.source, self.inflow, self.limiter = source, inflow, limiter
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

    def pad(
        self, u: Float[Array, "chan *cells"], axis: int, time: Float[Array, ""] | None = None
    ) -> Float[Array, "chan *padded"]:
        """`u` with ghost cells at both ends of `axis`, as boundary and inflow fill them at `time` (default 0)."""
        padded = self.boundary[axis].pad(u, axis, self.law.parity(axis))
        if self.inflow is None:
            return padded
        return self.inflow.fill(padded, self.grid, axis, self.ghost, jnp.zeros((), u.dtype) if time is None else time)

    def divergence(self, fluxes: Fluxes) -> Float[Array, "chan *cells"]:
        r"""$-\sum_d (\hat f_{i+1/2} - \hat f_{i-1/2}) / \Delta x_d$: what fluxes through the faces leave in every cell per unit
        time."""
        total = None
        for axis, (flux, dx) in enumerate(zip(fluxes, self.grid.spacing, strict=True)):
            cells = flux.shape[axis + 1] - 1
            left = jax.lax.slice_in_dim(flux, 0, cells, axis=axis + 1)
            right = jax.lax.slice_in_dim(flux, 1, cells + 1, axis=axis + 1)
            part = (left - right) / dx
            total = part if total is None else total + part
        assert total is not None
        return total

    def diffusion(self, u: Float[Array, "chan *cells"], time: Float[Array, ""]) -> Float[Array, "chan *cells"] | None:
        r"""$\nu\nabla^2 u$ with the second-order Laplacian, or None without viscosity."""
        if is_zero(self.law.viscosity):
            return None
        total = None
        for axis, dx in enumerate(self.grid.spacing):
            padded = self.pad(u, axis, time)
            at = [
                jax.lax.slice_in_dim(padded, self.ghost + k, self.ghost + k + u.shape[axis + 1], axis=axis + 1)
                for k in (-1, 0, 1)
            ]
            part = self.law.viscosity * ((at[0] - 2 * at[1] + at[2]) / dx**2)
            total = part if total is None else total + part
        return total

    def forcing(self, u: Float[Array, "chan *cells"], time: Float[Array, ""]) -> Float[Array, "chan *cells"] | None:
        r"""$\nu\nabla^2 u + s(x, t)$, or None where both are absent."""
        total = self.diffusion(u, time)
        if self.source is not None:
            x = jnp.asarray(self.grid.centers(0), u.dtype).reshape((-1,) + (1,) * (self.grid.num_axes - 1))
            part = jnp.broadcast_to(self.source(jnp.broadcast_to(x, self.grid.num_cells), time), u.shape).astype(
                u.dtype
            )
            total = part if total is None else total + part
        return total

    def limited(
        self,
        u: Float[Array, "chan *cells"],
        fluxes: Fluxes,
        speed: AbstractSpeed,
        time: Float[Array, ""],
        dt: Float[Array, ""] | None,
    ) -> Fluxes:
        """The fluxes as the limiter leaves them for a forward Euler step `dt` from `u` at `time`; as they are without one.

        `speed` is that of the first-order fluxes that it falls back to. **Raises:** `UndertowError` for a limiter without `dt`.
        """
        if self.limiter is None:
            return fluxes
        if dt is None:
            raise UndertowError("a positivity limiter has to know the time step: give dt to rate")
        low, speeds, bounds = [], [], []
        for axis in range(self.grid.num_axes):
            padded = self.pad(u, axis, time)
            speeds.append(speed(self.law, padded, axis, self.ghost))
            left, right = face_slices(padded, 2, self.ghost, axis)
            low.append(lax_friedrichs(self.law, left, right, axis, speeds[-1]))
            reach = self.law.reach(padded)
            if reach is not None:
                bounds.append(jnp.maximum(*face_slices(reach[None], 2, self.ghost, axis))[0])
        return self.limiter(
            self.law, u, fluxes, tuple(low), tuple(speeds), self.boundary, self.grid.spacing, dt, tuple(bounds) or None
        )

    def speed_over_dx(self, u: Float[Array, "chan *cells"], time: Float[Array, ""] | None = None) -> Float[Array, ""]:
        r"""$\max_i \sum_d |\lambda_d(u_i)| / \Delta x_d$, what the CFL condition bounds; with an inflow of its ghost cells at
        `time` (default 0), too."""

        def fastest(values: Array) -> Array:
            total = sum(self.law.max_speed(values, axis) / dx for axis, dx in enumerate(self.grid.spacing))
            return largest(jnp.asarray(total))

        if self.inflow is None:
            return fastest(u)
        every = [fastest(self.pad(u, axis, time)) for axis in range(self.grid.num_axes)]
        return jnp.max(jnp.stack(every))

    @property
    def decay_rate(self) -> float | Float[Array, ""]:
        r"""$4 \nu \sum_a \Delta x_a^{-2}$, the rate at which the shortest wave of the grid decays; the number 0.0 without
        viscosity."""
        nu = self.law.viscosity
        return 0.0 if is_zero(nu) else 4 * nu * sum(1 / dx**2 for dx in self.grid.spacing)

    def is_sound(self, u: Float[Array, "chan *cells"]) -> Bool[Array, ""]:
        """Whether a state is one to go on from: finite, and with a limiter physical."""
        finite = everywhere(jnp.isfinite(u))
        return finite if self.limiter is None else finite & is_physical(self.law, u)


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


def _as_boundary(kind: Ends, ghost: int) -> AbstractBoundary:
    if isinstance(kind, AbstractBoundary):
        return kind
    left, right = (kind, kind) if isinstance(kind, str) else kind
    return boundary(left, right, ghost=ghost)
