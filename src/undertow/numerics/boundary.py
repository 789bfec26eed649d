r"""Ghost cells as data, behind the interface that whatever else lies beyond the end of a grid would have, too.

Every named boundary fills its ghost cells with linear combinations of the cells next to the domain's two ends, so a
boundary *is* a pair of small matrices. Matrices are leaves: a batch can mix boundaries inside one compiled program, and the
gradient of the filling is a small matrix product instead of a scatter.
"""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, require


def _copy_edge(ghost: int, edge: int) -> np.ndarray:
    rows = np.zeros((ghost, edge))
    rows[:, 0] = 1.0
    return rows


def _mirror(ghost: int, edge: int) -> np.ndarray:
    return np.eye(ghost, edge)


def _linear(ghost: int, edge: int) -> np.ndarray:
    j = np.arange(1, ghost + 1)
    rows = np.zeros((ghost, edge))
    rows[:, 0], rows[:, 1] = 1 + j, -j
    return rows


def _quadratic(ghost: int, edge: int) -> np.ndarray:
    j = np.arange(1, ghost + 1)
    rows = np.zeros((ghost, edge))
    rows[:, 0], rows[:, 1], rows[:, 2] = (j + 1) * (j + 2) / 2, -j * (j + 2), j * (j + 1) / 2
    return rows


# Ghost j = 1, 2, ... counted outwards from the wall, as a combination of the cells counted inwards from the wall.
_ONE_SIDED = {"outflow": _copy_edge, "reflective": _mirror, "linear": _linear, "quadratic": _quadratic}

BOUNDARIES = ("periodic", *_ONE_SIDED)
"""Names of the boundaries: what fills the ghost cells at one end of the domain."""


class AbstractBoundary(eqx.Module):
    """What lies beyond the two ends of an axis.

    Where the cells of a neighbour lie there (those of another device, say), `pad` fetches them and `beyond` asks for its values.
    """

    ghost: eqx.AbstractVar[int]
    """Ghost cells at each end."""
    periodic: eqx.AbstractVar[Float[Array, ""]]
    """1 where the two ends are neighbours of each other, else 0."""

    @abc.abstractmethod
    def pad(self, u: Float[Array, "chan *cells"], axis: int, parity: tuple[float, ...]) -> Float[Array, "chan *padded"]:
        """Append `ghost` cells at both ends of space axis `axis`.

        **Arguments:** `u` the point values; `axis` the space axis (0 is the first axis after the channels); `parity`
        one number per channel, -1 for a component that changes sign at a reflective wall, else 1.

        **Raises:** `UndertowError` if the axis has fewer cells than the boundary reads.
        """

    @abc.abstractmethod
    def beyond(
        self, first: Float[Array, "*cells"], last: Float[Array, "*cells"], nothing: float
    ) -> tuple[Float[Array, "*cells"], Float[Array, "*cells"]]:
        """What a neighbour has before the first and after the last cell of an axis; `nothing` where there is none.

        **Arguments:** `first`, `last`: what the cells at the two ends have, which are their neighbours' neighbours.
        """


class Boundary(AbstractBoundary):
    r"""Ghost filling along one axis: `ghosts = (even + parity * odd) @ edges`.

    `edges` are the first and the last `edge` cells of the axis, `ghosts` the `ghost` cells below the first and above the
    last one, both from left to right. `odd` holds the part of a reflective wall, which a component that changes sign at
    the wall (the normal velocity) takes with `parity = -1`.

    Make one with [`boundary`][undertow.numerics.boundary.boundary].
    """

    even: Float[Array, "2*ghost 2*edge"]
    odd: Float[Array, "2*ghost 2*edge"]
    periodic: Float[Array, ""]
    ghost: int = eqx.field(static=True)

    def pad(self, u, axis, parity):
        """A small matrix times the cells at the two ends."""
        edge = self.even.shape[-1] // 2
        size = u.shape[axis + 1]
        require(size >= edge, f"axis {axis} has {size} cells; this boundary (ghost={self.ghost}) needs at least {edge}")
        ends = [jax.lax.slice_in_dim(u, start, start + edge, axis=axis + 1) for start in (0, size - edge)]
        # Only these few cells change places for the product, never the whole field.
        edges = jnp.moveaxis(jnp.concatenate(ends, axis=axis + 1), axis + 1, -1)
        matrix = self.even + jnp.asarray(parity)[:, None, None] * self.odd
        ghosts = jnp.einsum("cge,c...e->c...g", matrix.astype(u.dtype), edges, precision=jax.lax.Precision.HIGHEST)
        before, after = jnp.split(jnp.moveaxis(ghosts, -1, axis + 1), 2, axis=axis + 1)
        return jnp.concatenate([before, u, after], axis=axis + 1)

    def beyond(self, first, last, nothing):
        """The other end's where the axis is periodic."""
        return jnp.where(self.periodic > 0, last, nothing), jnp.where(self.periodic > 0, first, nothing)


def boundary(left: str, right: str | None = None, *, ghost: int) -> Boundary:
    """The ghost filling with the named behaviour at each end.

    **Arguments:**

    - `left`, `right`: one of `periodic`, `outflow` (copy the edge cell), `reflective` (mirror the cells; components with
        parity -1 change sign), `linear` and `quadratic` (extrapolation through the last two or three cells). `right`
        defaults to `left`.
    - `ghost`: ghost cells at each end; a scheme of formal order 2r-1 uses r+1.

    **Raises:** `UndertowError` for an unknown name, or if only one of the two ends is periodic.
    """
    right = left if right is None else right
    for name in (left, right):
        choice("boundary", name, BOUNDARIES)
    require(ghost >= 1, f"ghost must be at least 1, got {ghost}")
    if (left == "periodic") != (right == "periodic"):
        raise UndertowError(f"a periodic boundary has two ends: got left={left!r}, right={right!r}; make both periodic")
    edge = max(ghost, 3)
    parts = {"even": np.zeros((2 * ghost, 2 * edge)), "odd": np.zeros((2 * ghost, 2 * edge))}
    if left == "periodic":
        parts["even"][:ghost, 2 * edge - ghost :] = np.eye(ghost)
        parts["even"][ghost:, :ghost] = np.eye(ghost)
    else:
        # Counted outwards (rows) and inwards (columns) from the wall; the left end reads right to left.
        left_part = parts["odd" if left == "reflective" else "even"]
        left_part[:ghost, :edge] = _ONE_SIDED[left](ghost, edge)[::-1]
        right_part = parts["odd" if right == "reflective" else "even"]
        right_part[ghost:, edge:] = _ONE_SIDED[right](ghost, edge)[:, ::-1]
    even, odd = (jnp.asarray(parts[name]) for name in ("even", "odd"))
    return Boundary(even=even, odd=odd, periodic=jnp.asarray(float(left == "periodic")), ghost=ghost)
