r"""Exact entropy solutions of the inviscid Burgers' equation, at any time, by the Lax-Oleinik formula.

The entropy solution of $u_t + (u^2/2)_x = 0$ with $u(x, 0) = u_0(x)$ is, for $t > 0$,

$$u(x, t) = \frac{x - y^*}{t}, \qquad y^* = \arg\min_y\; U_0(y) + \frac{(x - y)^2}{2t}, \qquad U_0' = u_0.$$

One minimisation replaces the search for characteristics, shocks and fans: at a shock the minimiser jumps, in a fan it
stays on a jump of $u_0$. The minimum itself, as a function of $x$, is the primitive of the solution.

How the minimum is found: all points share one grid of nodes $y$ with the exact $U_0$ and $u_0$ on it. Between two nodes
the function of $y$ has a local minimum where its derivative $u_0(y) - (x - y)/t$ turns from - to +; the two deepest,
judged by cubic Hermite interpolation, are then solved to rounding, as roots of $u = u_0(x - u t)$, and compared by
their exact depth. Upward jumps of $u_0$ and what lies outside the domain have closed forms and join the comparison.

**Reference:** E. Hopf, Comm. Pure Appl. Math. 3 (1950) 201-230; P. D. Lax, Comm. Pure Appl. Math. 10 (1957) 537-566;
L. C. Evans, Partial Differential Equations, section 3.4.2 (Lax-Oleinik formula).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jax.typing import DTypeLike

from undertow._checks import is_traced, require
from undertow._types import Array, ArrayLike, Float
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS
from undertow.laws.conditions import AbstractCondition, as_float

EXACT_BOUNDARIES = ("periodic", "outflow", "linear", "mixed")
_MAX_ITERATIONS = 60


def burgers_exact_cases() -> tuple[str, ...]:
    """Names of the Burgers conditions that `burgers_exact` solves with their own boundary: all of them."""
    return tuple(name for name, family in BURGERS_CONDITIONS.items() if family.boundary in EXACT_BOUNDARIES)


def burgers_exact(
    condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike, *, num_candidates: int = 512
) -> Float[Array, " cells"]:
    r"""Point values of the entropy solution of $u_t + (u^2/2)_x = 0$ at time $t$: before, at and after shocks.

    $u_0$ is continued beyond the domain by its boundary: `periodic` repeats it, `outflow` continues the values at the
    two edges as constants, `linear` continues it by its tangents at the edges.

    The result is valid where that continuation is what the boundary does. Periodic: always. Outflow: as long as nothing
    that has left through an edge comes back. A shock that leaves and is later driven back by the constant state outside
    does come back here, whereas a boundary that copies the edge cell has forgotten it (`outflow_holds` tells). Linear:
    until the tangent outside itself breaks, at $1 + t\,u_0'(edge) = 0$; from then on there is no solution but NaN.

    On a shock the states of both sides are equally good; where they tie to rounding the result is their mean, which
    keeps the mirror symmetry of the data. Shocks are placed to about 1e-14 of the domain; values beside them are exact
    to a few roundings times $\max(1, |u_0'|)$. Only at its birth, while all of its fold lies within three node
    spacings, may a shock be misplaced, and then within that fold.

    **Arguments:**

    - `condition`: $u_0$, one sample. Batch with `jax.vmap`, or with `jax.lax.map(..., batch_size=64)` where
        samples x points x nodes are too many numbers for the memory or the cache.
    - `x`: points, `"cells"`, anywhere on the line.
    - `t`: time $\ge 0$, a scalar; 0 returns $u_0$.
    - `num_candidates`: nodes over the domain for the search, default 512; static. They must resolve the shape of $u_0$
        (some ten nodes for a wave or a slope); the accuracy does not depend on them.

    **Returns:** $u(x, t)$, `"cells"`; differentiable once in `x`, `t` and the arrays of the condition, away from
    shocks, forward and reverse, by the implicit function theorem.

    **Raises:** `UndertowError` for a negative time, for `x` or `t` of another shape, or for a boundary that does not
    continue $u_0$ on the whole line, such as `quadratic`.
    """
    return _solve(condition, x, t, num_candidates)[0]


def burgers_potential(
    condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike, *, num_candidates: int = 512
) -> Float[Array, " cells"]:
    r"""The primitive of the entropy solution: $W_x = u$, $W_t = -u^2/2$, $W(x, 0) = U_0(x)$; continuous at shocks.

    Its differences are exact cell averages, $(W(x + \Delta x/2) - W(x - \Delta x/2)) / \Delta x$. Arguments, validity
    and errors are those of `burgers_exact`.
    """
    return _solve(condition, x, t, num_candidates)[1]


def outflow_holds(condition: AbstractCondition, t: ArrayLike, *, num_times: int = 32) -> Array:
    """Whether nothing comes back into an outflow domain until time `t`.

    Where this is true `burgers_exact` is what a boundary that copies the edge cell computes; leave the others out of
    training data. It is false when an edge that waves left through lets waves in again.

    **Arguments:** `condition`: one sample; `t`: the last time; `num_times`: equally spaced times at which the edges are
    looked at, default 32, static.

    **Returns:** a boolean scalar, true for periodic samples.
    """
    times = jnp.linspace(0.0, 1.0, num_times + 1)[1:] * t
    edges = jnp.asarray(condition.domain)
    speeds = jax.lax.map(lambda time: burgers_exact(condition, edges, time), times)
    inward = jnp.concatenate([condition(edges)[None], speeds]) * jnp.asarray([1.0, -1.0])
    noise = 64 * jnp.finfo(inward.dtype).eps * jnp.max(jnp.abs(inward))
    has_left = jax.lax.cummax((inward < -noise).astype(int), axis=0) > 0
    return jnp.all(~(has_left & (inward > noise))) | (condition.periodic > 0)


# --- the search -----------------------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """u0 on the whole line, seen from a frame that moves with its mean if it is periodic (so that V is periodic)."""

    start: float
    end: float
    periodic: Array  # bool
    mean: Array
    value: Callable[[Array], Array]  # v0 = u0 - mean, inside the domain
    primitive: Callable[[Array], Array]  # V, inside the domain
    tangents: Array  # slopes of the continuation beyond the left and the right edge

    def everywhere(self, x: Array) -> tuple[Array, Array]:
        """v0 and V at any x."""
        length = self.end - self.start
        turns = jnp.floor((x - self.start) / length)
        wrapped = jnp.where((x >= self.start) & (x <= self.end), x, x - turns * length)
        inner = jnp.clip(jnp.where(self.periodic, wrapped, x), self.start, self.end)
        beyond = jnp.where(self.periodic, 0.0, x - inner)
        slope = jnp.where(x < self.start, self.tangents[0], self.tangents[1])
        value = self.value(inner)
        return value + slope * beyond, self.primitive(inner) + value * beyond + slope * beyond**2 / 2


class _Nodes(NamedTuple):
    """The search grid: uniform nodes and breakpoints, sorted. u0 is smooth from one node to the next."""

    y: Array
    primitive: Array
    above: Array  # v0 just right of the node
    below: Array  # v0 just left of it
    inset: Array  # how far to stay away from the node: 0 on uniform nodes, a few roundings on breakpoints


class _Candidates(NamedTuple):
    value: Array  # what u (in the moving frame) would be
    depth: Array  # the function to be minimised
    valid: Array  # whether this is a local minimum


def _solve(condition: AbstractCondition, x: Array, t: ArrayLike, num_candidates: int) -> tuple[Array, Array]:
    require(
        condition.boundary in EXACT_BOUNDARIES,
        f"no exact solution for boundary {condition.boundary!r}: it does not say what u0 is on the whole line; "
        f"give the condition one of {', '.join(EXACT_BOUNDARIES[:3])}",
    )
    x = as_float(x)
    require(x.ndim == 1, f"x must have shape (cells,), got {x.shape}; batch with jax.vmap")
    require(jnp.ndim(t) == 0, f"t must be a single time, got shape {jnp.shape(t)}; batch with jax.vmap")
    if not is_traced(t):
        require(bool(np.asarray(t) >= 0), f"time must be at least 0, got {t}")
    x = x.astype(jnp.result_type(x, jax.eval_shape(condition, x)))
    return _search(condition, x, jnp.asarray(t, x.dtype), num_candidates)


@eqx.filter_jit
def _search(condition: AbstractCondition, x: Array, t: Array, num_candidates: int) -> tuple[Array, Array]:
    line, frozen = _whole_line(condition, x.dtype), _whole_line(_frozen(condition), x.dtype)
    breakpoints = condition.breakpoints.astype(x.dtype)
    nodes = _nodes(frozen, stop_gradient(breakpoints), num_candidates)
    # Before this time nothing has moved by as much as a rounding of the domain (and 1/t could overflow).
    fastest = jnp.max(jnp.abs(frozen.mean + jnp.stack([nodes.above, nodes.below])))
    started = fastest * t > 1e-3 * jnp.finfo(x.dtype).eps * (condition.domain[1] - condition.domain[0])
    later = jnp.where(started, t, 1.0)
    xi = x - line.mean * later
    smooth = _smooth_minima(line, frozen, nodes, xi, later)
    groups = smooth, _fans(line, breakpoints, xi, later), _outside(line, xi, later)
    value, depth, valid = (jnp.concatenate(parts, axis=-1) for parts in zip(*groups, strict=True))
    # Rounding can deny the true minimum its sign change; then the deepest of the rest is it, else none deeper by 3 sizes.
    size = jnp.max(jnp.abs(nodes.primitive))
    ranked = stop_gradient(jnp.where(valid, depth, depth + 3 * size))
    best = jnp.min(ranked, axis=-1, keepdims=True)
    tied = ranked <= best + 8 * jnp.finfo(x.dtype).eps * (size + jnp.abs(best))
    v = (jnp.max(jnp.where(tied, value, -jnp.inf), -1) + jnp.min(jnp.where(tied, value, jnp.inf), -1)) / 2
    chosen = jnp.take_along_axis(depth, jnp.argmin(ranked, axis=-1)[:, None], axis=-1)[:, 0]
    exists = jnp.all(1 + line.tangents * t > 0)
    v, potential = jnp.where(exists, v, jnp.nan), jnp.where(exists, chosen, jnp.nan)

    v_start, potential_start = line.everywhere(x)
    u = line.mean + jnp.where(started, v, v_start)
    drift = line.mean * (x - line.start)
    return u, drift + jnp.where(started, potential - line.mean**2 * t / 2, potential_start)


def _whole_line(condition: AbstractCondition, dtype: DTypeLike) -> _Line:
    start, end = condition.domain
    edges = jnp.asarray([start, end], dtype)
    periodic = condition.periodic > 0
    mean = jnp.where(periodic, condition.primitive(edges)[1] / (end - start), 0.0).astype(dtype)
    tangents = _with_slope(condition, edges)[1] if condition.boundary == "linear" else jnp.zeros_like(edges)
    return _Line(
        start=start,
        end=end,
        periodic=periodic,
        mean=mean,
        value=lambda y: condition(y.reshape(-1)).reshape(y.shape).astype(dtype) - mean,
        primitive=lambda y: condition.primitive(y.reshape(-1)).reshape(y.shape).astype(dtype) - mean * (y - start),
        tangents=tangents,
    )


def _frozen(condition: AbstractCondition) -> AbstractCondition:
    """The condition without derivatives: the search iterates, and only its result is differentiated."""
    arrays, rest = eqx.partition(condition, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(stop_gradient, arrays), rest)


def _with_slope(function: Callable[[Array], Array], y: Array) -> tuple[Array, Array]:
    """An elementwise function and its derivative."""
    return jax.jvp(function, (y,), (jnp.ones_like(y),))


def _inset(line: _Line, dtype: DTypeLike) -> float:
    return 8 * float(jnp.finfo(dtype).eps) * max(abs(line.start), abs(line.end))


def _limits(line: _Line, y: Array, inset: ArrayLike) -> tuple[Array, Array]:
    """v0 just left and just right of y."""
    left, right = jnp.clip(y - inset, line.start, line.end), jnp.clip(y + inset, line.start, line.end)
    return line.value(left), line.value(right)


def _nodes(line: _Line, breakpoints: Array, num_candidates: int) -> _Nodes:
    uniform = jnp.linspace(line.start, line.end, num_candidates + 1, dtype=breakpoints.dtype)
    y = jnp.concatenate([uniform, jnp.clip(breakpoints, line.start, line.end)])
    tiny = _inset(line, y.dtype)
    inset = jnp.concatenate([jnp.zeros_like(uniform), jnp.full_like(breakpoints, tiny)])
    # A uniform node may coincide with a breakpoint: sorted apart, with no width between them, both need the inset.
    order = jnp.argsort(y)
    y, inset = y[order], inset[order]
    touches = jnp.diff(y) <= 2 * tiny
    beside = jnp.pad(jnp.where(touches, inset[1:], 0), (0, 1)), jnp.pad(jnp.where(touches, inset[:-1], 0), (1, 0))
    inset = jnp.maximum(inset, jnp.maximum(*beside))
    below, above = _limits(line, y, inset)
    return _Nodes(y, line.primitive(y), above, below, inset)


def _nearest_image(line: _Line, xi: Array, y: Array) -> Array:
    """xi, moved by whole periods to where it is nearest to y (as it is, where nothing is periodic)."""
    length = line.end - line.start
    return xi - jnp.where(line.periodic, length * jnp.round((xi - y) / length), 0.0)


def _smooth_minima(line: _Line, frozen: _Line, nodes: _Nodes, xi: Array, t: Array) -> _Candidates:
    """Minima between nodes: for each point three cells, the first of them solved from both of its ends."""
    here, now = stop_gradient(xi)[:, None], stop_gradient(t)
    cells, images = _deepest_cells(frozen, nodes, here, now)
    low, high, start, valid = _brackets(nodes, cells, images, now)
    start = jnp.concatenate([low[:, :1], high[:, :1], start[:, 1:]], axis=-1)
    low, high, images, valid = (jnp.concatenate([part[:, :1], part], axis=-1) for part in (low, high, images, valid))
    size = jnp.max(jnp.abs(nodes.above)) + jnp.abs(frozen.mean)
    root, slope = _characteristic_roots(frozen, size, images, now, low, high, start, valid)

    # The search is over; what follows repeats its last step with derivatives, for the implicit function theorem.
    moved = xi[:, None] + (images - here)
    foot = jnp.clip(moved - root * t, low, high)
    stretch = 1 + now * slope
    residual = (root - line.value(foot)) / jnp.where(jnp.abs(stretch) > jnp.finfo(xi.dtype).eps, stretch, 1)
    foot = stop_gradient(foot)  # the depth is stationary in y
    depth = line.primitive(foot) + (moved - foot) ** 2 / (2 * t)
    return _Candidates(root - (residual - stop_gradient(residual)), depth, valid)


def _deepest_cells(line: _Line, nodes: _Nodes, xi: Array, t: Array) -> tuple[Array, Array]:
    """The two cells with the deepest minima, and the cell half a period away; xi as each of them sees it.

    xi has shape "points 1". A cell looks at the nearest periodic image of xi. The cell that contains the point half a
    period away has two nearest images; the search has looked at one of them, so this cell is returned with the other.
    """
    y, width = nodes.y, jnp.diff(nodes.y)
    middle = (y[:-1] + y[1:]) / 2
    image = _nearest_image(line, xi, middle)
    to_left, to_right = image - y[:-1], image - y[1:]
    slope_left, slope_right = nodes.above[:-1] - to_left / t, nodes.below[1:] - to_right / t
    depth_left = nodes.primitive[:-1] + to_left**2 / (2 * t)
    depth_right = nodes.primitive[1:] + to_right**2 / (2 * t)
    s = _crossing(slope_left, slope_right)
    ends = (1 + 2 * s) * (1 - s) ** 2 * depth_left + s**2 * (3 - 2 * s) * depth_right
    minimum = ends + s * (1 - s) * width * ((1 - s) * slope_left - s * slope_right)
    otherwise = jnp.minimum(depth_left, depth_right) + 3 * jnp.max(jnp.abs(nodes.primitive))
    depth = jnp.where((slope_left <= 0) & (slope_right >= 0), minimum, otherwise)
    first = jnp.argmin(depth, axis=-1)
    second = jnp.argmin(jnp.where(jnp.arange(width.shape[0]) == first[:, None], jnp.inf, depth), axis=-1)

    length = line.end - line.start
    opposite = line.start + jnp.mod(xi[:, 0] - line.start + length / 2, length)
    third = jnp.clip(jnp.sum(y <= opposite[:, None], axis=-1) - 1, 0, width.shape[0] - 1)
    cells = jnp.stack([first, second, third], axis=-1)
    images = _nearest_image(line, xi, middle[cells])
    other = images[:, 2] - jnp.where(line.periodic, length * jnp.sign(images[:, 2] - middle[third]), 0.0)
    return cells, images.at[:, 2].set(other)


def _crossing(left: Array, right: Array) -> Array:
    """Where on [0, 1] the straight line from `left` to `right` rises through 0; one half if it does not rise."""
    rises = left < right
    return jnp.where(rises, left / jnp.where(rises, left - right, 1), 0.5)


def _brackets(nodes: _Nodes, cells: Array, images: Array, t: Array) -> tuple[Array, Array, Array, Array]:
    """Intervals of y around the minima in `cells`, a guess of the minimum, and whether there is one.

    A cell is widened by its neighbours where u0 stays smooth: while a fold is young both of its minima may lie within
    two cells, only one of which shows a change of sign.
    """
    near = jnp.clip(cells[..., None] + jnp.arange(-1, 3), 0, nodes.y.shape[0] - 1)
    near_nodes = _Nodes(*jnp.moveaxis(jnp.stack(nodes, axis=-1)[near], -1, 0))  # before, left, right and after the cell
    y, inset = near_nodes.y, near_nodes.inset
    limit = jnp.where(jnp.arange(4) < 2, near_nodes.above, near_nodes.below)
    slope = limit - (images[..., None] - y) / t
    falls, rises = slope <= 0, slope >= 0
    valid = falls[..., 1] & rises[..., 2]
    guess = y[..., 1] + _crossing(slope[..., 1], slope[..., 2]) * (y[..., 2] - y[..., 1])
    low = jnp.where((inset[..., 1] == 0) & falls[..., 0], y[..., 0] + inset[..., 0], y[..., 1] + inset[..., 1])
    high = jnp.where((inset[..., 2] == 0) & rises[..., 3], y[..., 3] - inset[..., 3], y[..., 2] - inset[..., 2])
    high = jnp.maximum(low, high)
    return low, high, jnp.clip(guess, low, high), valid


def _characteristic_roots(
    line: _Line, size: Array, xi: Array, t: Array, low: Array, high: Array, start: Array, valid: Array
) -> tuple[Array, Array]:
    """The root u of u = v0(xi - u t) with its foot y = xi - u t in [low, high], and the slope of v0 there.

    Newton's method inside a shrinking bracket, begun at the foot `start`, for the valid brackets only. Where a bracket
    holds two minima (and a maximum between them) it ends in the one nearer to the end it starts from, because the
    function is curved that way. Written for u instead of y it is well conditioned for every t. `size` is that of the
    values u0 is made of, whose roundings end the iteration.
    """
    eps = jnp.finfo(xi.dtype).eps
    extent = max(abs(line.start), abs(line.end))

    def body(state):
        count, u, smallest, largest, slope, done = state
        value, new_slope = _with_slope(line.value, jnp.clip(xi - u * t, low, high))
        excess = u - value
        smallest, largest = jnp.where(excess < 0, u, smallest), jnp.where(excess > 0, u, largest)
        stretch = 1 + t * new_slope
        newton = u - excess / jnp.where(stretch > 0, stretch, 1)
        inside = (stretch > 0) & (newton >= smallest) & (newton <= largest)
        small = jnp.abs(excess) <= 8 * eps * (jnp.abs(u) + size + jnp.abs(new_slope) * extent)  # by rounding
        # Rounding may put Newton's step from a root beyond the bracket that has just shrunk to it: no reason to bisect.
        new = jnp.where(inside, newton, jnp.where(small, u, (smallest + largest) / 2))
        # The last step is taken, then the point rests, so that the others do not move it.
        settled = small | (new == u)
        u, slope = jnp.where(done, u, new), jnp.where(done, slope, new_slope)
        return count + 1, u, smallest, largest, slope, done | settled

    def unsettled(state):
        return (state[0] < _MAX_ITERATIONS) & ~jnp.all(state[-1])

    first = (xi - start) / t
    state = (0, first, (xi - high) / t, (xi - low) / t, jnp.zeros_like(first), ~valid)
    _, u, _, _, slope, _ = jax.lax.while_loop(unsettled, body, state)
    return u, slope


# --- closed forms ---------------------------------------------------------------------------------------------------


def _fans(line: _Line, breakpoints: Array, xi: Array, t: Array) -> _Candidates:
    """Minima on the breakpoints: where u0 jumps up a fan u = (xi - y) / t opens."""
    y = jnp.clip(breakpoints, line.start, line.end)
    below, above = _limits(line, y, _inset(line, xi.dtype))
    # The edges of a periodic domain are one more point where u0 may jump.
    edge = jnp.asarray([line.start, line.end], xi.dtype)
    inward, _ = _limits(line, edge[1:], _inset(line, xi.dtype))
    _, outward = _limits(line, edge[:1], _inset(line, xi.dtype))
    y, below, above = (jnp.concatenate(pair) for pair in ((y, edge[:1]), (below, inward), (above, outward)))
    distance = _nearest_image(line, xi[:, None], y) - y
    value = distance / t
    exists = jnp.append(jnp.ones(breakpoints.shape, bool), line.periodic)
    valid = (below <= value) & (value <= above) & exists
    return _Candidates(value, line.primitive(y) + distance**2 / (2 * t), valid)


def _outside(line: _Line, xi: Array, t: Array) -> _Candidates:
    """Minima beyond the edges of a domain that is not periodic, where u0 is a straight line."""
    edges = jnp.asarray([line.start, line.end], xi.dtype)
    stretch = 1 + line.tangents * t
    distance = xi[:, None] - edges
    value = (line.value(edges) + line.tangents * distance) / jnp.where(stretch > 0, stretch, 1)
    foot = distance - value * t
    valid = jnp.stack([foot[:, 0] <= 0, foot[:, 1] >= 0], axis=-1) & ~line.periodic
    foot = jnp.stack([jnp.minimum(foot[:, 0], 0), jnp.maximum(foot[:, 1], 0)], axis=-1)
    straight = line.primitive(edges) + line.value(edges) * foot + line.tangents * foot**2 / 2
    return _Candidates(value, jnp.where(line.periodic, jnp.inf, straight + (distance - foot) ** 2 / (2 * t)), valid)
