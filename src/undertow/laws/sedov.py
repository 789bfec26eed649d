r"""The exact solution of a point explosion in a cold uniform gas: the blast wave of Sedov, von Neumann and Taylor.

Energy is set free at once on a plane, a line or a point, in a gas without pressure. Everything then depends on
$\lambda = r/R(t)$ alone, and with $V$, the velocity in units of $r/t$, as the parameter, the profiles are products of
powers of four linear functions of $V$.

**Reference:** L. I. Sedov, Similarity and Dimensional Methods in Mechanics, Academic Press 1959, chapter IV; J. R. Kamm,
F. X. Timmes, On Efficient Generation of Numerically Robust Sedov Solutions, LA-UR-07-2849 (2007), the standard case
with uniform density. The published exponents divide by $2 - \gamma$; here that is divided out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from undertow._checks import require, require_positive

_NUM_HALVINGS = 64
_VOLUMES = {
    1: 2.0,
    2: 2 * math.pi,
    3: 4 * math.pi,
}  # of r^(j-1) dr: both sides of the plane, around the line, the point

_Array = NDArray[np.float64]


def sedov(
    r: ArrayLike, t: float, *, energy: float, density: float = 1.0, gamma: float = 1.4, dimensions: int = 3
) -> tuple[_Array, _Array, _Array]:
    r"""Density, radial velocity and pressure of a blast wave at distances `r` and time `t`.

    $$\rho_t + \frac{(r^{j-1} \rho v)_r}{r^{j-1}} = 0, \quad v_t + v\,v_r + \frac{p_r}{\rho} = 0, \quad
    (p\,\rho^{-\gamma})_t + v\,(p\,\rho^{-\gamma})_r = 0$$

    with all the energy at $r = 0$ when $t = 0$. Ahead of the shock the gas is at rest and has no pressure.

    **Arguments:**

    - `r`: distances from the explosion, at least 0, any shape; a point exactly on the shock is behind it.
    - `t`: time after it, above 0.
    - `energy`: $E$, above 0, all of it: on the plane per unit of area and for both of its sides, on the line per unit
        of length.
    - `density`: $\rho_0$ of the gas ahead, default 1.
    - `gamma`: ratio of specific heats $\gamma$, above 1 and in three dimensions below 7, default 1.4.
    - `dimensions`: $j$, 1 for a plane, 2 for a line, 3 for a point (default).

    **Returns:** three float64 arrays of the shape of `r`, NumPy's: this one is not traced by JAX.

    **Raises:** `UndertowError` for arguments beyond those limits. Beyond $\gamma = 7$ the centre is empty in three
    dimensions, which these formulas do not describe.

    **Reference:** Sedov (1959), chapter IV, section 11; Kamm and Timmes (2007), the standard case.
    """
    r = np.asarray(r, np.float64)
    require(bool(np.all(r >= 0)), f"r must be distances from the explosion, at least 0, got {np.min(r, initial=0)}")
    radius = sedov_shock_radius(t, energy=energy, density=density, gamma=gamma, dimensions=dimensions)
    speed = 2 / (dimensions + 2) * radius / t

    inside = r <= radius
    # At the centre itself the profiles have reached their limits long before this.
    behind = _profiles(np.log(np.maximum(r[inside] / radius, 1e-200)), gamma, dimensions)
    out = np.full(r.shape, float(density)), np.zeros(r.shape), np.zeros(r.shape)
    out[0][inside] = (gamma + 1) / (gamma - 1) * density * np.exp(behind.density)
    out[1][inside] = 4 / ((dimensions + 2) * (gamma + 1)) * r[inside] / t * np.exp(behind.velocity)
    out[2][inside] = 2 / (gamma + 1) * density * speed**2 * np.exp(behind.pressure)
    return out


def sedov_shock_radius(
    t: float, *, energy: float, density: float = 1.0, gamma: float = 1.4, dimensions: int = 3
) -> float:
    r"""$R(t) = \left(E\,t^2 / (\alpha\,\rho_0)\right)^{1/(j+2)}$, where the shock of a blast wave is at time `t`.

    **Arguments, raises:** as [`sedov`][undertow.laws.sedov.sedov]. **Returns:** a number.
    """
    for name, value in (("t", t), ("energy", energy), ("density", density)):
        require_positive(name, value)
    return (energy * t**2 / (sedov_constant(gamma, dimensions) * density)) ** (1 / (dimensions + 2))


def sedov_constant(gamma: float = 1.4, dimensions: int = 3) -> float:
    r"""The number $\alpha = E\,t^2 / (\rho_0\,R^{j+2})$ of a blast wave, from the integral of its energy.

    With $f$, $g$ and $h$ for velocity, density and pressure over those at the shock, and $\sigma_j = 2, 2\pi, 4\pi$,

    $$\alpha = \frac{8\,\sigma_j}{(j+2)^2\,(\gamma^2-1)} \int_0^1 (g f^2 + h)\,\lambda^{j-1}\,d\lambda.$$

    **Arguments:** `gamma` $\gamma$ and `dimensions` $j$, as [`sedov`][undertow.laws.sedov.sedov]. **Returns:** a
    number, to about 14 digits: 1.07749, 0.98407 and 0.85107 for $\gamma = 1.4$ in 1, 2 and 3 dimensions. For planes
    half of it is often quoted, 0.53874, which goes with the energy of one side.

    **Raises:** `UndertowError` as `sedov`.
    """
    require(dimensions in _VOLUMES, f"dimensions must be 1, 2 or 3, got {dimensions!r}")
    require_positive("gamma", gamma)
    require(gamma > 1, f"gamma must be above 1, got {gamma!r}")
    require(
        dimensions < 3 or gamma < 7,
        f"a spherical blast wave is known here for gamma below 7, got {gamma!r}; choose less",
    )
    # q grows like the volume. Tanh-sinh quadrature bears the powers of q and of 1 - q at its ends.
    nodes = np.linspace(-4.0, 4.0, 513)
    swing = np.pi * np.sinh(nodes)
    log_q = -np.logaddexp(0, -swing)
    # d log q, and from it d log x2 and d log lambda
    weights = (nodes[1] - nodes[0]) * np.pi * np.cosh(nodes) * np.exp(-np.logaddexp(0, swing))
    power = dimensions * _rate(gamma, dimensions)
    at = _at(log_q / power, gamma, dimensions)
    energies = np.exp(at.density + 2 * (at.velocity + at.radius)) + np.exp(at.pressure)
    integral = np.sum(weights * at.slope / power * energies * np.exp(dimensions * at.radius))
    return 8 * _VOLUMES[dimensions] / ((dimensions + 2) ** 2 * (gamma**2 - 1)) * float(integral)


class _Profile(NamedTuple):
    """Logarithms of the profiles over their values at the shock, and d(log radius) / d(log x2)."""

    radius: _Array
    velocity: _Array  # in units of radius over time
    density: _Array
    pressure: _Array
    slope: _Array
    rest: tuple[_Array, _Array]  # the radius without its power of x2


def _rate(gamma: float, j: int) -> float:
    """The power of x2 that lambda is near the centre."""
    return (gamma - 1) / (2 * (gamma - 1) + j)


def _at(log_x2: _Array, gamma: float, j: int) -> _Profile:
    r"""The profiles where $x_2$, which grows from 0 at the centre to 1 at the shock, has this logarithm.

    Kamm and Timmes' $x_1 \dots x_4$ (there with constants $a$ to $e$) and exponents $\alpha_0 \dots \alpha_5$, with

    $$x_3 = x_4\,(1 - (2 - \gamma)\,q), \qquad (j + 2)\,\alpha_1 = 2 + (2 - \gamma)\,\kappa,$$

    so that $\alpha_4 \log x_3 + \alpha_5 \log x_4 = \kappa \log x_3 + 2 \log(1 - (2 - \gamma)\,q) / (2 - \gamma)$.
    """
    less, to_two = gamma - 1, 2 - gamma
    width = 2 * j + (2 - j) * less
    share = (2 + j * less) / ((j + 2) * gamma)
    x2 = np.exp(log_x2)
    rise = less / (gamma + 1) * x2  # c V - 1
    x1 = (gamma + 1) / (2 * gamma) * (1 + rise)
    x3 = (j + 2) * (gamma + 1) / width * (1 - share * (1 + rise))
    x4 = (gamma + 1) / gamma - x2 / gamma
    kappa = (j - 2) * (2 * j - (j - 2) * less) / ((2 + j * less) * (2 * less + j))
    alpha1 = (2 + to_two * kappa) / (j + 2)
    q = 2 * j * (gamma + 1) / less * (1 - x1) / (width * x4)
    both = kappa * np.log(x3) + 2 * (np.log1p(-to_two * q) / to_two if to_two else -q)

    log1, log3 = np.log(x1), np.log(x3)
    rest = -2 / (j + 2) * log1, -alpha1 * log3
    radius = _rate(gamma, j) * log_x2 + rest[0] + rest[1]
    bends = 2 / (j + 2) / (1 + rise) - alpha1 * share / (1 - share * (1 + rise))
    return _Profile(
        radius=radius,
        velocity=log1,
        density=j / (2 * less + j) * log_x2 + both,
        pressure=2 * j / (j + 2) * log1 + both - 2 * alpha1 * log3 + np.log(x4),
        slope=_rate(gamma, j) - rise * bends,
        rest=rest,
    )


def _profiles(log_radius: _Array, gamma: float, j: int) -> _Profile:
    """The profiles at radii, by Newton's method inside a shrinking bracket: the radius grows with x2."""
    rate = _rate(gamma, j)
    # What the radius has besides the power of x2 is at most this: powers of x1 and x3, which grow or fall steadily.
    centre = _at(np.asarray(-np.inf), gamma, j)
    rest = sum(abs(float(part)) for part in centre.rest)
    low, high = (log_radius - rest) / rate, np.minimum((log_radius + rest) / rate, 0.0)
    log_x2 = (low + high) / 2
    for _ in range(_NUM_HALVINGS):
        now = _at(log_x2, gamma, j)
        excess = now.radius - log_radius
        low, high = np.where(excess <= 0, log_x2, low), np.where(excess >= 0, log_x2, high)
        newton = log_x2 - excess / now.slope
        new = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if np.array_equal(new, log_x2):
            break
        log_x2 = new
    return _at(log_x2, gamma, j)
