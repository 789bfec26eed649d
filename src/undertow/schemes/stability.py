r"""What a time step may be: the Courant numbers and the diffusion that an integrator bears with an upwind scheme.

Von Neumann's analysis of the linear scheme that smooth data meet: a wave of $\theta$ radians per cell is multiplied by $R(z)$
in a step, with $z = -C\,q(\theta) - 4\,\nu\Delta t \sum_a \Delta x_a^{-2} \sin^2(\theta/2)$, Courant number $C$ and the symbol
$q$ of the upwind difference of order 2r-1.

**Reference:** Wang and Spiteri (2007), SIAM J. Numer. Anal. 45, 1871-1901: WENO5 with SSP-RK3 is stable up to 1.43, with forward
Euler for no Courant number; Motamed, Macdonald and Ruuth (2011), J. Sci. Comput. 47, 127-149.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, real_number, require, require_positive
from undertow.numerics.integrator import AbstractIntegrator, ForwardEuler
from undertow.schemes.coefficients import substencil_width, weno_coefficients

EULER_LIMIT = 0.25
"""The largest Courant number that forward Euler is let run with. No number is stable for ever with an upwind scheme of high
order: what no shock damps grows by $e^{n g}$ in $n$ steps, with $g = 0.004$ at 0.1 (as published, order 5), 0.037 at 0.25, 0.17
at 0.5."""
TOLERATED_GROWTH = 30.0
"""Where a run is so short that no wave grows by more than this, a larger Courant number does no harm."""


@cache
def upwind_symbol(order: int) -> np.ndarray:
    r"""$q(\theta)$ of the upwind difference with linear weights at 721 angles from 0 to $\pi$: $\Delta x\,u_x$ of $e^{i\theta
    j}$."""
    coefficients, r = weno_coefficients(order), substencil_width(order)
    weights = np.zeros(2 * r - 1)
    for k in range(r):
        weights[k : k + r] += coefficients.linear_weights[k] * coefficients.reconstruction[k]
    angles = np.linspace(0.0, np.pi, 721)
    face = np.exp(1j * np.multiply.outer(angles, np.arange(2 * r - 1) - (r - 1))) @ weights
    return face * (1 - np.exp(-1j * angles))


def amplification(integrator: AbstractIntegrator, order: int, courant: float) -> float:
    r"""$\max_\theta |R(-C q(\theta))|$: how fast the fastest growing wave grows per step; 1 where all are stable."""
    return float(np.abs(integrator.factor(-courant * upwind_symbol(order))).max())


def courant_limit(integrator: AbstractIntegrator, order: int) -> float:
    """The largest Courant number that is stable with the linear weights of this order: 1.43 for SSP-RK3 and 1.73 for RK4 at
    order 5. Of forward Euler, for which none is, `EULER_LIMIT`."""
    return _courant_limit(type(integrator), order)


@cache
def _courant_limit(method: type[AbstractIntegrator], order: int) -> float:
    numbers = np.arange(0.01, 4.0, 0.001)
    growth = np.abs(method().factor(-np.multiply.outer(numbers, upwind_symbol(order)))).max(axis=1)
    stable = growth <= 1 + 1e-9
    limit = float(numbers[np.argmin(stable) - 1]) if stable[0] else 0.0
    return max(limit, EULER_LIMIT)


def check_courant_number(
    courant: float,
    dt: float,
    *,
    limit: float = 2.0,
    integrator: AbstractIntegrator | None = None,
    order: int = 5,
    steps: int | None = None,
) -> float:
    """The Courant number of a time step `dt`, where it can work.

    **Arguments:** `limit`: what is refused in any case (default 2); `integrator` and `order` (default 5) of the scheme: more than
    they bear is refused, too, unless the run has so few `steps` that nothing can grow by more than `TOLERATED_GROWTH` (default:
    many).

    **Raises:** `UndertowError` with the time step that would do.
    """
    if not courant <= limit:
        raise UndertowError(
            f"dt={dt:g} gives a Courant number of {courant:.3g}, far above 1: take dt <= {dt / courant:.3g} or fewer cells"
        )
    if integrator is not None and courant > courant_limit(integrator, order) * (1 + 1e-9):
        growth = amplification(integrator, order, courant)
        if steps is None or steps * math.log(growth) > math.log(TOLERATED_GROWTH):
            bears = courant_limit(integrator, order)
            raise UndertowError(
                f"dt={dt:g} gives a Courant number of {courant:.3g}, which is unstable: {_name(integrator)} bears {bears:.3g} at "
                f"order {order}; take dt <= {dt * bears / courant:.3g}{_another(integrator)}"
            )
    return courant


def check_cfl(cfl: float, integrator: AbstractIntegrator, order: int) -> float:
    """The Courant number of steps that follow the wave speed. Raises `UndertowError` for one that is not above 0, or unstable."""
    cfl = require_positive("cfl", cfl)
    require(cfl <= 2, f"cfl must lie above 0 and not far above 1, got {cfl}")
    bears = courant_limit(integrator, order)
    require(
        cfl <= bears * (1 + 1e-9),
        f"cfl={cfl:g} is unstable: {_name(integrator)} bears {bears:.3g} at order {order}; take cfl <= {bears:.3g}"
        f"{_another(integrator)}",
    )
    return cfl


def usual_cfl(integrator: AbstractIntegrator, *, positivity: bool = False) -> float:
    """The Courant number that is taken where none is given: 0.5, with a positivity limiter 0.4, with forward Euler 0.1."""
    return 0.1 if isinstance(integrator, ForwardEuler) else 0.4 if positivity else 0.5


def check_diffusion_number(
    viscosity: float,
    dt: float,
    spacing: tuple[float, ...],
    integrator: AbstractIntegrator,
    *,
    courant: float = 0.0,
    order: int = 5,
) -> None:
    r"""Raise `UndertowError` unless the shortest wave, two cells along every axis, is stable: $4\nu\Delta t \sum_a \Delta
    x_a^{-2} + C q(\pi) \le \beta$ with the end $\beta$ of the integrator's region of stability on the real axis.

    **Arguments:** `viscosity` $\nu$, m^2/s; `dt`, s; `spacing`: the cell sizes, m; `integrator`; `courant` $C$, default 0, and
    the `order` of the scheme, default 5: its upwind differences damp the shortest wave, too.
    """
    if viscosity <= 0:
        return
    inverse = sum(1 / dx**2 for dx in spacing)
    diffusion = 4 * viscosity * dt * inverse
    used = courant * float(upwind_symbol(order)[-1].real)
    if not diffusion + used <= integrator.real_axis * (1 + 1e-9):
        sizes = " and ".join(f"{dx:.3g}" for dx in spacing)
        what = "nu dt / dx^2" if len(spacing) == 1 else "nu dt (1 / dx^2 + ...)"
        raise UndertowError(
            f"viscosity {viscosity:g} with dt={dt:.3g} and dx={sizes} gives {what} = {diffusion / 4:.3g}, above the "
            f"{max(integrator.real_axis - used, 0.0) / 4:.3g} that {_name(integrator)} bears: "
            f"take dt <= {_rounded_down(dt * integrator.real_axis / (diffusion + used))} or fewer cells"
        )


def check_viscosity(viscosity: Float[Array, ""] | float) -> float:
    """A viscosity as a number. Raises `UndertowError` if it is negative or not finite."""
    return real_number("viscosity", viscosity, Within(at_least=0))


def _rounded_down(value: float) -> str:
    """Three digits of a positive number, not more than it is."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / unit) * unit:.3g}"


def _name(integrator: AbstractIntegrator) -> str:
    return {"ForwardEuler": "forward Euler", "SSPRK3": "SSP-RK3"}.get(
        type(integrator).__name__, type(integrator).__name__
    )


def _another(integrator: AbstractIntegrator) -> str:
    return " or the integrator ssp_rk3" if isinstance(integrator, ForwardEuler) else ""
