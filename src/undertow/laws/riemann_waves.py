r"""What exact Riemann solvers share: two nonlinear waves with a contact between them, or vacuum.

Gas dynamics and shallow water answer a jump in the same way. A wave runs into either side, a shock or a rarefaction,
and the two meet at one pressure (depth) and one velocity, which unless vacuum opens is one equation for one number. With
$s_K = \log(p_*/p_K)$, the strength of the wave on side $K$, and its curve $\varphi$, in units of the sound speed $a_K$,

$$a_L\,\varphi(s_L) + a_R\,\varphi(s_R) + v_R - v_L = 0, \qquad s_L - s_R = \log(p_R / p_L).$$

In logarithms the left side is convex (exponentials on all branches), so that Newton's method comes down to the root from
any bound above, and neither vacuum nor a pressure ratio of 1e10 is an extreme. A law says what its shocks do, in a
subclass of `AbstractWaves`; everything else is here.

**Reference:** E. F. Toro, Riemann Solvers and Numerical Methods for Fluid Dynamics, 3rd ed., sections 4.2-4.6. The
two-rarefaction state is a bound from above for $\gamma \le 5/3$: J.-L. Guermond, B. Popov, J. Comput. Phys. 321 (2016)
908-926.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from undertow._checks import is_traced, require
from undertow._types import Array, ArrayLike, Float, Scalar
from undertow.laws.conditions import as_float

_MAX_ITERATIONS = 60


class AbstractWaves(eqx.Module):
    r"""The waves of one law. Strengths are $s = \log(p_*/p_K)$ (depths for water), speeds come in units of $a_K$."""

    def expansion(self) -> Scalar:
        r"""$m$: gas that expands into vacuum is faster by $m\,a_K$."""
        raise NotImplementedError

    def exponent(self) -> Scalar:
        r"""$g$: in a rarefaction the sound speed is $a_K\,e^{g s}$."""
        raise NotImplementedError

    def shock_jump(self, s: Array) -> Array:
        """How much a shock of strength $s > 0$ changes the velocity."""
        raise NotImplementedError

    def shock_speed(self, s: Array) -> Array:
        """How fast a shock of strength $s > 0$ runs into the gas at rest."""
        raise NotImplementedError

    def strength_bound(self, jump: Array) -> Array:
        r"""A strength at which `shock_jump` has reached `jump` $\ge 0$, not far above the smallest one."""
        raise NotImplementedError

    def jump(self, s: Array) -> Array:
        r"""$\varphi(s)$: `shock_jump` for $s > 0$, else $m\,(e^{g s} - 1)$. Twice continuously differentiable."""
        rarefaction = self.expansion() * jnp.expm1(self.exponent() * jnp.where(s > 0, 0, s))
        return jnp.where(s > 0, self.shock_jump(jnp.where(s > 0, s, 0)), rarefaction)


class TwoStates(NamedTuple):
    """What the waves see of the left and the right state: arrays of two, left first."""

    velocity: Float[Array, "2"]
    sound: Float[Array, "2"]  # 0 where empty
    level: Float[Array, "2"]  # the logarithm of pressure or depth; anything finite where empty
    empty: Array  # bool: vacuum, dry bed


class Middle(NamedTuple):
    """The solution between the two waves."""

    strength: Float[Array, "2"]  # of the waves; without meaning where `vacuum`
    velocity: Scalar  # of the contact, or of what stands for it in vacuum
    vacuum: Array  # bool: the two sides do not touch

    def level(self, values: Float[Array, "2"]) -> Scalar:
        """The pressure (depth) of the middle from the given ones: by the weaker wave, which rounds less."""
        reached = values * jnp.exp(self.strength)
        nearer = jnp.abs(self.strength[0]) <= jnp.abs(self.strength[1])
        return jnp.where(self.vacuum, 0, jnp.where(nearer, reached[0], reached[1]))


class Local(NamedTuple):
    """Where the points of a solution lie; all of their shape."""

    left: Array  # bool: on the left of the contact
    middle: Array  # bool: between the waves, not in vacuum
    vacuum: Array  # bool: in vacuum that has opened
    ratio: Array  # sound speed over the one in front of the wave, in rarefactions; elsewhere 1
    velocity: Array

    def pick(self, values: Float[Array, "2"]) -> Array:
        """The value of the side that a point is on."""
        return pick(self.left, values)


def solve_middle(waves: AbstractWaves, states: TwoStates) -> Middle:
    """The state between the waves of two states, differentiable once.

    In vacuum the velocity is that of its only edge, or the mean of both of them.
    """
    touching = ~jnp.any(states.empty)
    sound = jnp.where(touching, states.sound, 1)
    expansion = waves.expansion()
    # Cases without an answer are replaced by some that have one, so that what is not used is still finite.
    apart = jnp.where(touching, states.velocity[1] - states.velocity[0], 0)
    margin = expansion * jnp.sum(sound) - apart
    vacuum = (margin <= 0) | ~touching
    apart = jnp.where(vacuum, 0, apart)
    half = jnp.where(touching, (states.level[1] - states.level[0]) / 2, 0)
    offsets = half * _inward(half)

    # The search iterates, so only what follows it is differentiated: the implicit function theorem.
    frozen = jax.tree.map(stop_gradient, _Problem(waves, sound, apart, offsets))
    root = _root(frozen)
    slopes = frozen.jumps(root)[1]
    jumps = sound * waves.jump(root + offsets)
    residual = jnp.sum(jumps) + apart
    step = -(residual - stop_gradient(residual)) / jnp.sum(slopes)  # zero, but for its derivative
    strength, jumps = root + step + offsets, jumps + slopes * step
    # Either wave tells the velocity; weighed like this, an error of the root does not count.
    told = states.velocity - jumps * _inward(sound)
    reached = told[0] + slopes[0] / jnp.sum(slopes) * (told[1] - told[0])

    edges = states.velocity + expansion * states.sound * _inward(sound)
    one_edge = jnp.where(states.empty[0], edges[1], edges[0])
    edge = jnp.where(states.empty[0] ^ states.empty[1], one_edge, jnp.mean(edges))
    return Middle(strength, jnp.where(vacuum, edge, reached), vacuum)


def locate(waves: AbstractWaves, states: TwoStates, middle: Middle, xi: Array) -> Local:
    r"""Which part of the solution the points $\xi = x/t$ lie in. A point on a jump belongs to the piece on its left."""
    expansion, left = waves.expansion(), xi <= middle.velocity
    shock = (middle.strength > 0) & ~middle.vacuum
    heads = states.sound * jnp.where(shock, waves.shock_speed(jnp.where(shock, middle.strength, 0)), 1)
    # The least sound speed of the fans, over that in front: 0 where they end in vacuum.
    ends = jnp.where(middle.vacuum, 0, jnp.exp(waves.exponent() * jnp.where(shock, 0, middle.strength)))
    sounds = jnp.where(states.empty, 1, states.sound)
    velocity, sound, head, outward = (pick(left, v) for v in (states.velocity, sounds, heads, -_inward(sounds)))

    def fan(xi):
        return (expansion + outward * (xi - velocity) / sound) / (1 + expansion)

    speed = outward * (xi - velocity)
    ahead = jnp.where(left, speed >= head, speed > head) | pick(left, states.empty)
    behind = ~ahead & (pick(left, shock) | (fan(xi) <= pick(left, ends)))
    in_fan, in_vacuum = ~ahead & ~behind, behind & middle.vacuum
    # Infinite xi are good points, but not for derivatives: these see 0 where they are not wanted.
    ratio = jnp.where(in_fan, fan(jnp.where(in_fan, xi, 0)), 1)
    outside = velocity + outward * sound * expansion * (ratio - 1)
    inside = jnp.where(in_vacuum, jnp.where(in_vacuum, xi, 0), middle.velocity)
    return Local(left, behind & ~in_vacuum, in_vacuum, ratio, jnp.where(behind, inside, outside))


def pick(left: Array, values: Float[Array, "2"]) -> Array:
    """The first of two values where `left`, else the second."""
    return jnp.where(left, values[0], values[1])


def similarity(x: Array, x0: ArrayLike, t: ArrayLike) -> Array:
    r"""$\xi = (x - x_0) / t$; at $t = 0$ infinite, with the sign of the side. $x_0$ itself is on the left."""
    x, x0, t = (jnp.asarray(value, jnp.result_type(x)) for value in (x, x0, t))
    require(jnp.ndim(t) == 0, f"t must be a single time, got shape {jnp.shape(t)}; batch with jax.vmap")
    require(is_traced(t) or bool(t >= 0), f"time must be at least 0, got {t}")
    # Nothing has moved, and the derivative would overflow; neither is there one at infinity.
    moving = (t > float(jnp.finfo(x.dtype).tiny) ** 0.4) & ~jnp.isinf(x)
    return jnp.where(
        moving, (jnp.where(moving, x, x0) - x0) / jnp.where(moving, t, 1), jnp.where(x > x0, jnp.inf, -jnp.inf)
    )


def as_states(left: ArrayLike, right: ArrayLike, xi: ArrayLike, entries: str, least: int) -> tuple[Array, Array]:
    """Both states as one array `"2 entries"` and the points, all of one precision, with errors for people."""
    left, right, xi = as_float(left), as_float(right), as_float(xi)
    require(
        left.ndim == 1 and left.shape == right.shape and left.shape[0] >= least,
        f"left and right must be states ({entries}) of one shape with at least {least} entries, got shapes {left.shape} "
        f"and {right.shape}; batch with jax.vmap",
    )
    dtype = jnp.result_type(left, right, xi)
    return jnp.stack([left, right]).astype(dtype), xi.astype(dtype)


def check(*rules: tuple[ArrayLike, Callable, str]) -> None:
    """Rules of `(value, holds, message)` for the values that are known; those traced by JAX are not."""
    for value, holds, message in rules:
        require(is_traced(value) or bool(np.all(holds(np.asarray(value)))), f"{message}, got {value}")


# --- the root -------------------------------------------------------------------------------------------------------


class _Problem(NamedTuple):
    """Two waves that must add up, for the mean y of their strengths."""

    waves: AbstractWaves
    sound: Array
    apart: Array  # the velocity of the right side less that of the left
    offsets: Array  # the strengths, less their mean

    def jumps(self, y: Array) -> tuple[Array, Array]:
        """The velocities that both waves bridge, and their derivatives."""
        strength = y + self.offsets
        jump, slope = jax.jvp(self.waves.jump, (strength,), (jnp.ones_like(strength),))
        return self.sound * jump, self.sound * slope


def _inward(like: Array) -> Array:
    """The direction from either side towards the other."""
    return jnp.asarray([1, -1], like.dtype)


def _root(problem: _Problem) -> Array:
    """The y for which the waves bridge what the sides are apart, by Newton's method from above in a shrinking bracket."""
    waves, sound, apart, offsets = problem
    expansion, exponent, eps = waves.expansion(), waves.exponent(), jnp.finfo(sound.dtype).eps
    # A shock takes at most what is pushed into it and what the other side gives while it expands.
    push = jnp.maximum(expansion * sound[::-1] - apart, 0)
    bound = jnp.min(waves.strength_bound(push / sound) - offsets)
    # The answer if both waves are rarefactions, above the true one if they are not.
    margin = expansion * jnp.sum(sound) - apart
    rarefactions = jnp.log(margin / (expansion * jnp.sum(sound * jnp.exp(exponent * offsets)))) / exponent

    def body(state):
        count, y, low, high, _ = state
        jumps, slopes = problem.jumps(y)
        value, size = jnp.sum(jumps) + apart, jnp.sum(jnp.abs(jumps)) + jnp.abs(apart)
        low, high = jnp.where(value < 0, y, low), jnp.where(value > 0, y, high)
        newton = y - value / jnp.sum(slopes)
        small = jnp.abs(value) <= 4 * eps * size
        # The step is taken all the same: it is what makes the last digits right. But rounding may put it beyond the
        # bracket that has just shrunk to the root: no reason to bisect.
        new = jnp.where((newton >= low) & (newton <= high), newton, jnp.where(small, y, (low + high) / 2))
        noise = 4 * eps * (jnp.abs(y) + jnp.abs(offsets[0]))
        settled = small | (jnp.abs(new - y) <= noise)
        return count + 1, new, low, high, settled

    start = jnp.minimum(rarefactions, bound)
    state = (0, start, jnp.full_like(start, -jnp.inf), bound, jnp.asarray(False))
    return jax.lax.while_loop(lambda state: (state[0] < _MAX_ITERATIONS) & ~state[-1], body, state)[1]
