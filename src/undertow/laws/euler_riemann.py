r"""The exact solution of the Riemann problem of gas dynamics: an ideal gas, two constant states, vacuum included.

**Reference:** E. F. Toro, Riemann Solvers and Numerical Methods for Fluid Dynamics, 3rd ed., Springer 2009, chapter 4.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from undertow._types import Array, ArrayLike, Float, Scalar
from undertow.laws.riemann_waves import (
    AbstractWaves,
    Middle,
    TwoStates,
    as_states,
    check,
    locate,
    similarity,
    solve_middle,
)

_ENTRIES = "density, velocity, any tangential velocities, pressure"


def euler_riemann(
    left: Float[Array, " chan"], right: Float[Array, " chan"], gamma: ArrayLike, xi: Float[Array, "*points"]
) -> Float[Array, "chan *points"]:
    r"""The entropy solution of the Euler equations from two constant states, as a function of $\xi = x/t$.

    $$\rho_t + (\rho v)_x = 0, \quad (\rho v)_t + (\rho v^2 + p)_x = 0, \quad E_t + ((E + p)\,v)_x = 0, \qquad
    E = \frac{p}{\gamma - 1} + \frac{\rho v^2}{2}$$

    from `left` where $x \le 0$ and `right` where $x > 0$. Tangential velocities are carried along and jump at the contact
    (their energy plays no part). Density 0 is vacuum, on one side or on both, and vacuum opens where the gas is pulled
    apart fast enough; there density and pressure are 0, and the velocity is $x/t$ between two gases, beside one gas that
    of the given state. Pressure 0 with a density above 0 is a cold gas.

    **Arguments:**

    - `left`, `right`: primitive states $(\rho, v, p)$, `"3"`, or `"4"` and more with tangential velocities before $p$.
    - `gamma`: ratio of specific heats $\gamma > 1$, a scalar.
    - `xi`: $x/t$, any shape, infinite values too. A point exactly on a jump belongs to the piece on its left.

    **Returns:** the primitive states, `"chan *points"`, exact to a few roundings. Differentiable once in everything,
    forward and reverse, away from the jumps, and finite everywhere; a jump's position has no derivative at fixed $\xi$,
    and the derivative by a pressure of 0 is not taken. Batch with `jax.vmap`. NaN for densities or pressures below 0 or
    $\gamma \le 1$ that only a traced call brings.

    **Raises:** `UndertowError` for such states outside of a trace, or for other shapes.

    **Reference:** Toro (2009): pressure equation (4.5), shocks (4.50)-(4.60), fans (4.53)-(4.63), vacuum section 4.6.
    """
    states, xi = as_states(left, right, xi, _ENTRIES, 3)
    return _solve(states, _checked(states, gamma), xi)


def euler_riemann_at(
    left: Float[Array, " chan"],
    right: Float[Array, " chan"],
    gamma: ArrayLike,
    x: Float[Array, "*points"],
    x0: ArrayLike = 0.0,
    t: ArrayLike = 1.0,
) -> Float[Array, "chan *points"]:
    r"""`euler_riemann` at points and a time: $\xi = (x - x_0)/t$, and the two states themselves at $t = 0$.

    **Arguments:** as `euler_riemann`; `x`: points, any shape; `x0`: where the states meet, default 0, itself on the left;
    `t`: time $\ge 0$, a scalar, default 1.

    **Returns:** the primitive states, `"chan *points"`. **Raises:** as `euler_riemann`, and for a negative time.
    """
    states, x = as_states(left, right, x, _ENTRIES, 3)
    return _solve(states, _checked(states, gamma), similarity(x, x0, t))


def star_state(left: Float[Array, " chan"], right: Float[Array, " chan"], gamma: ArrayLike) -> tuple[Scalar, Scalar]:
    r"""Pressure $p_*$ and velocity $v_*$ between the two waves of a Riemann problem.

    In vacuum $p_* = 0$, and $v_*$ is the speed of its edge, or the mean of its two edges.

    **Arguments:** as [`euler_riemann`][undertow.laws.euler_riemann.euler_riemann]. **Returns:** two scalars,
    differentiable once. **Raises:** as `euler_riemann`.

    **Reference:** Toro (2009), (4.5)-(4.9).
    """
    states, _ = as_states(left, right, left, _ENTRIES, 3)
    return _star(states, _checked(states, gamma))


class EulerWaves(AbstractWaves):
    r"""Waves of an ideal gas; $s = \log(p_*/p_K)$. **Arguments:** `gamma` $\gamma > 1$."""

    gamma: Scalar

    def expansion(self) -> Scalar:
        return 2 / (self.gamma - 1)

    def exponent(self) -> Scalar:
        return (self.gamma - 1) / (2 * self.gamma)

    def _inertia(self, s: Array) -> Array:
        # Divided by exp(s), which may overflow where the rest does not.
        return self.gamma + 1 + (self.gamma - 1) * jnp.exp(-s)

    def shock_jump(self, s: Array) -> Array:
        r"""$(e^s - 1)\,\sqrt{2 / (\gamma\,((\gamma+1)\,e^s + \gamma - 1))}$, Toro (4.6) in units of $a_K$."""
        return 2 * jnp.sinh(s / 2) * jnp.sqrt(2 / (self.gamma * self._inertia(s)))

    def shock_speed(self, s: Array) -> Array:
        r"""$\sqrt{((\gamma+1)\,e^s + \gamma - 1) / (2\gamma)}$, Toro (4.52)."""
        return jnp.exp(s / 2) * jnp.sqrt(self._inertia(s) / (2 * self.gamma))

    def strength_bound(self, jump: Array) -> Array:
        r"""The inverse of `shock_jump`, $2\,(M - 1/M) / (\gamma + 1)$ in terms of the Mach number $M$."""
        quarter = (self.gamma + 1) * jump / 4
        mach = quarter + jnp.hypot(quarter, 1)
        return jnp.log1p(2 * self.gamma / (self.gamma + 1) * (mach**2 - 1))

    def compression(self, s: Array) -> Array:
        r"""Density behind a wave over that in front: $e^{s/\gamma}$, or over a shock
        $((\gamma+1)\,e^s + \gamma - 1) / ((\gamma-1)\,e^s + \gamma + 1)$, Toro (4.50).
        """
        shock = jnp.where(s > 0, s, 0)
        compressed = self._inertia(shock) / (self.gamma - 1 + (self.gamma + 1) * jnp.exp(-shock))
        return jnp.where(s > 0, compressed, jnp.exp(jnp.where(s > 0, 0, s) / self.gamma))


def _checked(states: Array, gamma: ArrayLike) -> Array:
    check(
        (states, np.isfinite, "density, velocity and pressure must be finite"),
        (states[:, 0], lambda density: density >= 0, "density must be at least 0 (vacuum)"),
        (states[:, -1], lambda pressure: pressure >= 0, "pressure must be at least 0"),
        (gamma, lambda gamma: np.ndim(gamma) == 0 and gamma > 1, "gamma must be a single number above 1"),
    )
    return jnp.asarray(gamma).astype(states.dtype)


def _middle(states: Array, gamma: Array) -> tuple[EulerWaves, TwoStates, Middle, Array]:
    """The waves, what they start from, what is between them, and the pressures that were taken for it."""
    density, pressure = states[:, 0], states[:, -1]
    empty = density <= 0
    # A cold gas has a pressure so low that nothing tells it from none, yet with a logarithm.
    cold = float(jnp.finfo(states.dtype).tiny) ** 0.5
    pressure = jnp.where(empty, 1, jnp.where(pressure > 0, pressure, cold))
    sound = jnp.where(empty, 0, jnp.sqrt(gamma * pressure / jnp.where(empty, 1, density)))
    two = TwoStates(states[:, 1], sound, jnp.log(pressure), empty)
    waves = EulerWaves(gamma)
    return waves, two, solve_middle(waves, two), pressure


def _valid(states: Array, gamma: Array) -> Array:
    return jnp.all(states[:, 0] >= 0) & jnp.all(states[:, -1] >= 0) & (gamma > 1) & jnp.all(jnp.isfinite(states))


@jax.jit
def _star(states: Array, gamma: Array) -> tuple[Scalar, Scalar]:
    _, _, middle, pressure = _middle(states, gamma)
    valid = _valid(states, gamma)
    return jnp.where(valid, middle.level(pressure), jnp.nan), jnp.where(valid, middle.velocity, jnp.nan)


@jax.jit
def _solve(states: Array, gamma: Array, xi: Array) -> Array:
    waves, two, middle, pressure = _middle(states, gamma)
    here = locate(waves, two, middle, xi)
    density = jnp.where(two.empty, 0, states[:, 0])
    fan_density = here.pick(density) * here.ratio ** waves.expansion()
    star_density = here.pick(density * waves.compression(jnp.where(middle.vacuum, 0, middle.strength)))
    fan_pressure = here.pick(jnp.where(two.empty, 0, states[:, -1])) * here.ratio ** (1 / waves.exponent())

    rows = [jnp.where(here.middle, star_density, fan_density), here.velocity]
    rows += [here.pick(states[:, row]) for row in range(2, states.shape[1] - 1)]
    rows += [jnp.where(here.middle, middle.level(pressure), fan_pressure)]
    gas = ~here.vacuum
    rows[0], rows[-1] = jnp.where(gas, rows[0], 0), jnp.where(gas, rows[-1], 0)
    return jnp.where(_valid(states, gamma), jnp.stack(rows), jnp.nan)
