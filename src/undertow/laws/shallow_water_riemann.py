r"""The exact solution of the Riemann problem of shallow water over a flat bed: two constant states, dry beds included.

**Reference:** E. F. Toro, Shock-Capturing Methods for Free-Surface Shallow Flows, Wiley 2001, chapters 5 and 6; R. J.
LeVeque, Finite Volume Methods for Hyperbolic Problems, Cambridge 2002, chapter 13.
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

_ENTRIES = "depth, velocity, any tangential velocities"


def shallow_water_riemann(
    left: Float[Array, " chan"], right: Float[Array, " chan"], gravity: ArrayLike, xi: Float[Array, "*points"]
) -> Float[Array, "chan *points"]:
    r"""The entropy solution of the shallow water equations from two constant states, as a function of $\xi = x/t$.

    $$h_t + (h v)_x = 0, \qquad (h v)_t + (h v^2 + g h^2/2)_x = 0$$

    from `left` where $x \le 0$ and `right` where $x > 0$. Tangential velocities are carried along and jump where the two
    waters touch. Depth 0 is a dry bed, on one side or on both, and the bed falls dry where the water is pulled apart
    fast enough; there the depth is 0, and the velocity is $x/t$ between two waters, beside one that of the given state.

    **Arguments:**

    - `left`, `right`: primitive states $(h, v)$, `"2"`, or `"3"` and more with tangential velocities after $v$.
    - `gravity`: acceleration $g > 0$, a scalar.
    - `xi`: $x/t$, any shape, infinite values too. A point exactly on a jump belongs to the piece on its left.

    **Returns:** the primitive states, `"chan *points"`, exact to a few roundings. Differentiable once in everything,
    forward and reverse, away from the jumps, and finite everywhere. Batch with `jax.vmap`. NaN for depths below 0 or
    $g \le 0$ that only a traced call brings.

    **Raises:** `UndertowError` for such states outside of a trace, or for other shapes.

    **Reference:** Toro (2001), chapter 5, and chapter 6 for dry beds; LeVeque (2002), sections 13.7-13.10.
    """
    states, xi = as_states(left, right, xi, _ENTRIES, 2)
    return _solve(states, _checked(states, gravity), xi)


def shallow_water_riemann_at(
    left: Float[Array, " chan"],
    right: Float[Array, " chan"],
    gravity: ArrayLike,
    x: Float[Array, "*points"],
    x0: ArrayLike = 0.0,
    t: ArrayLike = 1.0,
) -> Float[Array, "chan *points"]:
    r"""`shallow_water_riemann` at points and a time: $\xi = (x - x_0)/t$, and the two states themselves at $t = 0$.

    **Arguments:** as `shallow_water_riemann`; `x`: points, any shape; `x0`: where the states meet, default 0, itself on
    the left; `t`: time $\ge 0$, a scalar, default 1.

    **Returns:** the primitive states, `"chan *points"`. **Raises:** as `shallow_water_riemann`, and for a negative time.
    """
    states, x = as_states(left, right, x, _ENTRIES, 2)
    return _solve(states, _checked(states, gravity), similarity(x, x0, t))


def shallow_water_star_state(
    left: Float[Array, " chan"], right: Float[Array, " chan"], gravity: ArrayLike
) -> tuple[Scalar, Scalar]:
    r"""Depth $h_*$ and velocity $v_*$ between the two waves of a Riemann problem.

    Over a dry bed $h_* = 0$, and $v_*$ is the speed of the water's edge, or the mean of the two edges.

    **Arguments:** as
    [`shallow_water_riemann`][undertow.laws.shallow_water_riemann.shallow_water_riemann]. **Returns:** two scalars,
    differentiable once. **Raises:** as `shallow_water_riemann`.

    **Reference:** Toro (2001), chapter 5.
    """
    states, _ = as_states(left, right, left, _ENTRIES, 2)
    return _star(states, _checked(states, gravity))


class ShallowWaterWaves(AbstractWaves):
    r"""Waves of shallow water; $s = \log(h_*/h_K)$, and gravity is in the units: $c_K = \sqrt{g h_K}$."""

    def expansion(self) -> Scalar:
        return jnp.asarray(2.0)

    def exponent(self) -> Scalar:
        return jnp.asarray(0.5)

    def shock_jump(self, s: Array) -> Array:
        r"""$(e^s - 1)\,\sqrt{(1 + e^{-s})/2}$ in units of $c_K$: the jump conditions."""
        return jnp.expm1(s) * jnp.sqrt((1 + jnp.exp(-s)) / 2)

    def shock_speed(self, s: Array) -> Array:
        r"""$\sqrt{(e^s + 1)\,e^s/2}$, from the same."""
        return jnp.exp(s) * jnp.sqrt((1 + jnp.exp(-s)) / 2)

    def strength_bound(self, jump: Array) -> Array:
        """From the jump with the root at its least, one over the square root of two."""
        return jnp.log1p(2**0.5 * jump)


def _checked(states: Array, gravity: ArrayLike) -> Array:
    check(
        (states, np.isfinite, "depth and velocity must be finite"),
        (states[:, 0], lambda depth: depth >= 0, "depth must be at least 0 (a dry bed)"),
        (gravity, lambda gravity: np.ndim(gravity) == 0 and gravity > 0, "gravity must be a single number above 0"),
    )
    return jnp.asarray(gravity).astype(states.dtype)


def _middle(states: Array, gravity: Array) -> tuple[ShallowWaterWaves, TwoStates, Middle, Array]:
    """The waves, what they start from, what is between them, and the depths that were taken for it."""
    empty = states[:, 0] <= 0
    depth = jnp.where(empty, 1, states[:, 0])
    two = TwoStates(states[:, 1], jnp.where(empty, 0, jnp.sqrt(gravity * depth)), jnp.log(depth), empty)
    waves = ShallowWaterWaves()
    return waves, two, solve_middle(waves, two), depth


def _valid(states: Array, gravity: Array) -> Array:
    return jnp.all(states[:, 0] >= 0) & (gravity > 0) & jnp.all(jnp.isfinite(states))


@jax.jit
def _star(states: Array, gravity: Array) -> tuple[Scalar, Scalar]:
    _, _, middle, depth = _middle(states, gravity)
    valid = _valid(states, gravity)
    return jnp.where(valid, middle.level(depth), jnp.nan), jnp.where(valid, middle.velocity, jnp.nan)


@jax.jit
def _solve(states: Array, gravity: Array, xi: Array) -> Array:
    waves, two, middle, depth = _middle(states, gravity)
    here = locate(waves, two, middle, xi)
    fan = here.pick(jnp.where(two.empty, 0, states[:, 0])) * here.ratio**2
    rows = [jnp.where(here.vacuum, 0, jnp.where(here.middle, middle.level(depth), fan)), here.velocity]
    rows += [here.pick(states[:, row]) for row in range(2, states.shape[1])]
    return jnp.where(_valid(states, gravity), jnp.stack(rows), jnp.nan)
