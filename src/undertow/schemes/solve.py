"""The plain solver: a scheme and weights marched in time. No learning in here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import NonFiniteError, UndertowError, require
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.riemann import RiemannScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import AbstractWeights, at_faces


class Solution(eqx.Module):
    """States that a solver run kept: `times: "saved"` and `values: "saved chan *cells"`, the initial state first."""

    times: Float[Array, " saved"]
    values: Float[Array, "saved chan *cells"]


def step_length(
    scheme: SemiDiscrete | RiemannScheme,
    time_step: FixedStep | CFLStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
) -> Float[Array, ""]:
    """The time step that is taken from `u` at `time`."""
    speed = scheme.speed_over_dx(u, time) if time_step.needs_speed else jnp.zeros((), u.dtype)
    return time_step(speed, time).astype(u.dtype)


def advance(
    scheme: SemiDiscrete | RiemannScheme,
    choose: Callable[..., tuple] | None,
    integrator: AbstractIntegrator,
    time_step: FixedStep | CFLStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
    *,
    asks_time: bool = False,
) -> tuple[Float[Array, "chan *cells"], Float[Array, ""]]:
    """One time step; `choose(u, stencils)` gives the weights at every stage. Returns the new values and time.

    With `asks_time` it is `choose(u, stencils, time)`, the time of the stage. A `RiemannScheme` has None for it.
    """
    dt = step_length(scheme, time_step, u, time)

    def tendency(v: Array, t: Array) -> Array:
        asked = choose
        if choose is not None and asks_time:
            asked = lambda v, stencils: choose(v, stencils, t)
        return scheme.rate(v, t, asked, dt)

    new = integrator.step(tendency, u, time, dt)
    return new, time + dt


def solve(
    scheme: SemiDiscrete | RiemannScheme,
    weights: AbstractWeights | None,
    u0: Float[Array, "chan *cells"],
    *,
    steps: int,
    time_step: FixedStep | CFLStep,
    integrator: AbstractIntegrator | None = None,
    save_every: int | None = None,
) -> Solution:
    r"""March `u0` through `steps` time steps. Jittable, differentiable, vmappable over scheme and state.

    Constants that have a unit and that nobody has named are taken relative to `u0`: the floors of a law
    (`Euler(density_floor=...)` names one) and the $\epsilon$ of the weights (`WenoJS(epsilon=...)` names it). So the same problem
    in other units has the same solution.

    **Arguments:** `scheme`; `weights` (any map from a stencil to substencil weights, see `undertow.schemes.weights`; None for a
    [`RiemannScheme`][undertow.schemes.riemann.RiemannScheme], which has its own); `u0` the point values at $t=0$, shape
    `(components, *cells)`; `steps`; `time_step`; `integrator` (default SSP-RK3); `save_every`: keep every so many steps
    (default: only the first and the last state).

    **Returns:** `Solution`. **Raises:** `UndertowError` for a state of the wrong shape or an order that does not fit.
    """
    scheme.check_state(u0)
    theirs = scheme.order if weights is None else weights.order
    require(theirs == scheme.order, f"weights of order {theirs} in a scheme of order {scheme.order}")
    require(steps >= 0, f"steps must not be negative, got {steps}")
    every = max(steps, 1) if save_every is None else save_every
    require(every >= 1, f"save_every must be at least 1, got {every}")
    integrator = SSPRK3() if integrator is None else integrator

    scheme = scheme.relative_to(u0)
    unit = scheme.unit(u0) if isinstance(scheme, SemiDiscrete) and getattr(weights, "relative", False) else None
    choose = None if weights is None else (lambda u, stencils: at_faces(weights, stencils, unit))

    # Gradients work a step's insides out again instead of storing them: less memory, and faster too.
    @partial(jax.checkpoint, prevent_cse=False)
    def one(carry, _):
        return advance(scheme, choose, integrator, time_step, *carry), None

    def chunk(length):
        def run(carry, _):
            carry, _ = jax.lax.scan(one, carry, length=length)
            return carry, carry

        return run

    start = (u0, jnp.zeros((), u0.dtype))
    carry, (values, times) = jax.lax.scan(chunk(every), start, length=steps // every)
    values = jnp.concatenate([u0[None], values])
    times = jnp.concatenate([jnp.zeros((1,), u0.dtype), times])
    if steps % every:
        u, time = chunk(steps % every)(carry, None)[0]
        values, times = jnp.concatenate([values, u[None]]), jnp.concatenate([times, time[None]])
    return Solution(times, values)


def check_courant(
    scheme: SemiDiscrete | RiemannScheme, u0: Float[Array, "chan *cells"], dt: float, *, limit: float = 2.0
) -> float:
    r"""The Courant number $\Delta t \max|\lambda|/\Delta x$ of a fixed step at the initial state.

    **Raises:** `UndertowError` if it is above `limit` (2: far above what any integrator here is stable for), or if `u0` is
    not finite; the error names the first bad cell.
    """
    check_finite(u0)
    return check_courant_number(float(scheme.speed_over_dx(u0)) * dt, dt, limit=limit)


def check_courant_number(courant: float, dt: float, *, limit: float = 2.0) -> float:
    """The Courant number of a time step `dt`. Raises `UndertowError` if it is above `limit`."""
    if courant > limit:
        raise UndertowError(
            f"dt={dt:g} gives a Courant number of {courant:.3g}, far above 1: take dt <= {dt / courant:.3g} or fewer cells"
        )
    return courant


def check_diffusion(law: AbstractConservationLaw, dt: float, dx: float, *, limit: float = 0.5) -> None:
    r"""Raise `UndertowError` if $\nu\,\Delta t/\Delta x^2$ is above `limit` (0.5, where forward Euler stops being stable)."""
    viscosity = float(law.viscosity)
    if viscosity * dt > limit * dx**2:
        raise UndertowError(
            f"viscosity {viscosity:g} with dt={dt:.3g} and dx={dx:.3g} gives nu dt / dx^2 = {viscosity * dt / dx**2:.3g}, "
            f"above {limit}: take dt <= {limit * dx**2 / viscosity:.3g} or fewer cells"
        )


def check_finite(u: Array, *, step: int | None = None) -> None:
    """Raise `NonFiniteError` naming the first cell of a state (or the first sample and cell of a batch) that is not finite.

    **Arguments:** `u` of shape `(components, *cells)`.
    """
    bad = np.argwhere(~np.isfinite(np.asarray(u)))
    if len(bad):
        component, *cell = (int(i) for i in bad[0])
        value = float(np.asarray(u)[tuple(bad[0])])
        where = cell[0] if len(cell) == 1 else tuple(cell)
        what = "the initial state" if step is None else f"the state after step {step}"
        raise NonFiniteError(
            f"{what} is {value} in cell {where} (component {component}); {len(bad)} values are not finite",
            step=step or 0,
            cell=where,
        )
