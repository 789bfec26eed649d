"""Reference solutions on finer grids."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import is_traced, is_zero, require
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator
from undertow.numerics.timestep import FixedStep
from undertow.schemes.march import stepper
from undertow.schemes.scheme import AbstractScheme
from undertow.schemes.solve import Solution, saved, solve
from undertow.schemes.weights import AbstractWeights

Scheme = TypeVar("Scheme", bound=AbstractScheme)

REFERENCE_SHARE = 0.6
"""Of the longest step that diffusion alone bears: the rest is left to the waves."""


def refined(scheme: Scheme, factor: int) -> Scheme:
    """The same scheme on a grid with every cell cut into `factor`; an odd factor keeps the old centres."""
    require(factor % 2 == 1, f"refinement factor must be odd so that cell centres stay cell centres, got {factor}")
    return scheme.over(dataclasses.replace(scheme.domain, grid=scheme.grid.refine(factor)))


def sample_centers(fine: Float[Array, "... fine_cells"], factor: int, num_axes: int = 1) -> Array:
    """Every `factor`-th value along the last `num_axes` axes, starting at the centre of the first coarse cell."""
    for axis in range(fine.ndim - num_axes, fine.ndim):
        fine = jax.lax.slice_in_dim(fine, factor // 2, fine.shape[axis], stride=factor, axis=axis)
    return fine


def fine_reference(
    scheme: AbstractScheme,
    weights: AbstractWeights,
    condition: Callable[..., Array],
    *,
    factor: int,
    steps: int,
    dt: float | Float[Array, ""],
    integrator: AbstractIntegrator | None = None,
    save_every: int | None = None,
) -> Solution:
    r"""Solve on a grid `factor` times finer with `factor` times as many steps, and sample the coarse cell centres.

    Diffusion asks for steps that shrink with the square of the cells: where $4 \nu \Delta t \sum_a \Delta x_a^{-2}$ on the fine
    grid would be above 0.6 of what the integrator bears, there are as many more steps as it takes.

    **Arguments:** `scheme` the coarse scheme; `weights` as in `solve`; `condition` the initial point values as a function of
    the cell centres, one array of the shape of the cells per axis, with or without an axis of components; `factor` odd;
    `steps` and `dt` the *coarse* time steps; `integrator`; `save_every` in coarse steps.

    The viscosity and `dt` may be traced. With viscosity the number of fine steps is then data, and reverse-mode gradients do not
    exist.

    **Returns:** a `Solution` on the coarse grid. **Raises:** `UndertowError` for an even factor.
    """
    fine = refined(scheme, factor)
    axes = range(fine.grid.num_axes)
    u0 = condition(*jnp.meshgrid(*(jnp.asarray(fine.grid.centers(axis)) for axis in axes), indexing="ij"))
    u0 = u0[None] if u0.ndim == fine.grid.num_axes else u0
    integrator = SSPRK3() if integrator is None else integrator
    # Without viscosity the number of steps is known whatever `dt` is, so that gradients exist.
    rate = fine.domain.decay_rate
    needed = 0.0 if is_zero(rate) else dt * rate / (REFERENCE_SHARE * integrator.real_axis)
    if is_traced(needed):
        count = jnp.maximum(jnp.ceil(needed), factor).astype(int)
        own = FixedStep(jnp.asarray(dt) / count)

        def coarse_step(u: Array, time: Array) -> tuple[Array, Array]:
            one = stepper(fine, weights, own, integrator)
            return jax.lax.fori_loop(0, count, lambda _, carry: one(*carry), (u, time))

        out = saved(coarse_step, u0, steps, max(steps, 1) if save_every is None else save_every)
    else:
        parts = max(factor, math.ceil(needed))
        out = solve(
            fine,
            weights,
            u0,
            steps=steps * parts,
            time_step=FixedStep(jnp.asarray(dt) / parts),
            integrator=integrator,
            save_every=None if save_every is None else save_every * parts,
        )
    return dataclasses.replace(out, values=sample_centers(out.values, factor, fine.grid.num_axes))
