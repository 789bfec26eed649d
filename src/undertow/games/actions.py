r"""What the agents at the faces of a scheme may do: set stencil weights, in one form or another, or the fluxes themselves.

The agents' arrays have the face first, `"agents chan 2 ..."`: the faces of the first axis in row-major order, then those of
the second. Those of the solver have one array per axis, the direction first, `"2 chan *faces ..."`.
"""

from __future__ import annotations

import functools
import itertools
import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import whole_number
from undertow.games.game import Space
from undertow.numerics.grid import UniformGrid
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.domain import Fluxes
from undertow.schemes.faces import Stencils, Weights
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import reconstruct


def faces_of(grid: UniformGrid) -> tuple[tuple[int, ...], ...]:
    """How many faces there are in every direction, of the faces normal to each axis."""
    return tuple(
        tuple(count + (other == axis) for other, count in enumerate(grid.num_cells)) for axis in range(grid.num_axes)
    )


def to_agents(parts: tuple[Array, ...], leading: int) -> Array:
    """From one array per axis, `"<leading axes> *faces ..."`, to `"agents ..."`: the leading axes follow in reverse order."""
    out = []
    for part in parts:
        axes = len(parts)
        order = [*range(leading, leading + axes), *reversed(range(leading)), *range(leading + axes, part.ndim)]
        moved = part.transpose(order)
        out.append(moved.reshape(-1, *moved.shape[axes:]))
    return out[0] if len(out) == 1 else jnp.concatenate(out)


def to_axes(x: Array, grid: UniformGrid, leading: int) -> tuple[Array, ...]:
    """The inverse of `to_agents`: `"agents ..."` to one array per axis with `leading` axes before the faces."""
    out, start, axes = [], 0, grid.num_axes
    for faces in faces_of(grid):
        count = math.prod(faces)
        part = x[start : start + count].reshape(*faces, *x.shape[1:])
        order = [*reversed(range(axes, axes + leading)), *range(axes), *range(axes + leading, part.ndim)]
        out.append(part.transpose(order))
        start += count
    return tuple(out)


class AbstractActions(eqx.Module):
    """What an agent does, and the rate of change that follows."""

    def space(self, components: int, order: int) -> Space:
        """The space of one agent's actions."""
        raise NotImplementedError

    def weights(self, action: Array, scheme: SemiDiscrete) -> Weights | None:
        """The stencil weights of all faces, or None where the action sets none."""
        return None

    def fluxes(self, action: Array, scheme: SemiDiscrete) -> Fluxes:
        """The numerical fluxes of all faces, where the action sets them."""
        raise NotImplementedError

    def encoded(self, weights: Weights, stencils: Stencils) -> Array:
        """The action that does what these weights would, or what is nearest to it."""
        raise NotImplementedError

    def rate(
        self, scheme: SemiDiscrete, u: Array, time: Float[Array, ""], action: Array, dt: Float[Array, ""]
    ) -> Float[Array, "chan *cells"]:
        """$du/dt$ of the scheme from `u` under the action."""
        weights = self.weights(action, scheme)
        if weights is None:
            return scheme.rate_of(self.fluxes(action, scheme), u, time, dt)
        return scheme.rate(u, time, lambda u, stencils: weights, dt)


class Simplex(AbstractActions):
    r"""Weights $w_k \ge 0$, $\sum_k w_k = 1$ of the substencils: `"agents chan 2 r"`, the right-going flux first, substencil 0
    the most upwind one of each direction. What WENO itself plays."""

    def space(self, components: int, order: int) -> Space:
        return Space((components, 2, substencil_width(order)), 0.0, 1.0, simplex=True)

    def weights(self, action: Array, scheme: SemiDiscrete) -> Weights:
        return to_axes(action, scheme.grid, 2)

    def encoded(self, weights: Weights, stencils: Stencils) -> Array:
        return to_agents(weights, 2)


class Logits(AbstractActions):
    r"""Real numbers $l_k$ that become weights $w_k = e^{l_k} / \sum_m e^{l_m}$: `"agents chan 2 r"`. The published scaling of
    what a network puts out; for agents that know no simplex.

    **Arguments:** `bound`: of the space's box, default 10; larger numbers are taken, too.
    """

    bound: float = eqx.field(static=True, default=10.0)

    def space(self, components: int, order: int) -> Space:
        return Space((components, 2, substencil_width(order)), -self.bound, self.bound)

    def weights(self, action: Array, scheme: SemiDiscrete) -> Weights:
        return to_axes(jax.nn.softmax(action, axis=-1), scheme.grid, 2)

    def encoded(self, weights: Weights, stencils: Stencils) -> Array:
        return jnp.log(jnp.maximum(to_agents(weights, 2), jnp.finfo(float).tiny))


class Lattice(AbstractActions):
    r"""One of the points of the simplex whose coordinates are multiples of $1/n$: `"agents chan 2"`, whole numbers.

    There are $\binom{n + r - 1}{r - 1}$ of them, in lexicographic order of their coordinates: the last is all weight on the
    most upwind substencil. With $n = 1$ the agent chooses a substencil, as ENO does.

    **Arguments:** `parts` $n$, default 2.

    **Raises:** `UndertowError` for parts below 1.

    **Reference:** the discrete actions in the code of arXiv 2203.08937.
    """

    parts: int = eqx.field(static=True, converter=partial(whole_number, "parts"), default=2)

    def points(self, order: int) -> Float[np.ndarray, "choices r"]:
        """The points to choose from."""
        return _lattice(self.parts, substencil_width(order))

    def space(self, components: int, order: int) -> Space:
        return Space((components, 2), categories=len(self.points(order)))

    def weights(self, action: Array, scheme: SemiDiscrete) -> Weights:
        return to_axes(jnp.asarray(self.points(scheme.order))[action], scheme.grid, 2)

    def encoded(self, weights: Weights, stencils: Stencils) -> Array:
        w = to_agents(weights, 2)
        apart = [jnp.sum((w - point) ** 2, axis=-1) for point in _lattice(self.parts, w.shape[-1])]
        return jnp.argmin(jnp.stack(apart), axis=0)


@functools.cache
def _lattice(parts: int, r: int) -> np.ndarray:
    points = [p for p in itertools.product(range(parts + 1), repeat=r) if sum(p) == parts]
    return np.asarray(points, float) / parts


class Flux(AbstractActions):
    r"""The numerical flux $\hat f$ itself: `"agents chan"`. It conserves; nothing makes it consistent or stable.

    **Arguments:** `bound`: of the space's box, default 10; larger numbers are taken, too.
    """

    bound: float = eqx.field(static=True, default=10.0)

    def space(self, components: int, order: int) -> Space:
        return Space((components,), -self.bound, self.bound)

    def fluxes(self, action: Array, scheme: SemiDiscrete) -> Fluxes:
        return to_axes(action, scheme.grid, 1)

    def encoded(self, weights: Weights, stencils: Stencils) -> Array:
        return jnp.sum(_split(weights, stencils), axis=-1)


class SplitFlux(AbstractActions):
    r"""The two parts $\hat f^+$, $\hat f^-$ of the numerical flux, $\hat f = \hat f^+ + \hat f^-$: `"agents chan 2"`.

    **Arguments:** `bound`: of the space's box, default 10; larger numbers are taken, too.
    """

    bound: float = eqx.field(static=True, default=10.0)

    def space(self, components: int, order: int) -> Space:
        return Space((components, 2), -self.bound, self.bound)

    def fluxes(self, action: Array, scheme: SemiDiscrete) -> Fluxes:
        return tuple(part[0] + part[1] for part in to_axes(action, scheme.grid, 2))

    def encoded(self, weights: Weights, stencils: Stencils) -> Array:
        return _split(weights, stencils)


def _split(weights: Weights, stencils: Stencils) -> Float[Array, "agents chan 2"]:
    return to_agents(tuple(reconstruct(s, w) for s, w in zip(stencils, weights, strict=True)), 2)


ACTIONS: dict[str, Any] = {
    "simplex": Simplex,
    "logits": Logits,
    "lattice": Lattice,
    "flux": Flux,
    "split-flux": SplitFlux,
}
"""What agents at faces may do, by name."""
