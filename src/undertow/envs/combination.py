r"""From errors in cells to errors at faces."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, require
from undertow.core.objective import Problem
from undertow.envs.conservation import Conservation
from undertow.numerics.norms import root_of_squares
from undertow.numerics.stencil import face_slices
from undertow.schemes.coefficients import substencil_width

CellErrors = Float[Array, "time *cells"]
FaceErrors = tuple[Float[Array, "time *faces"], ...]


def norm(x: Array, power: Literal[1, 2], axis: int | tuple[int, ...]) -> Array:
    r"""$\sum |x|$ or $(\sum x^2)^{1/2}$ along axes, with derivative 0 where it is 0."""
    if power == 1:
        return jnp.sum(jnp.abs(x), axis=axis)
    return root_of_squares(x, axis)


def conservation(problem: Problem) -> Conservation:
    """The environment of a problem. Raises `UndertowError` unless it is a `Conservation`, with faces and cells."""
    environment = problem.environment
    if not isinstance(environment, Conservation):
        raise UndertowError(
            f"rewards of faces and cells need a Conservation environment, got {type(environment).__name__}; "
            "take an objective from undertow.core.objective"
        )
    return environment


class AbstractCombination(eqx.Module):
    """From errors in cells to errors at faces."""

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        raise NotImplementedError


class AdjacentAverage(AbstractCombination):
    """The mean of the two cells beside each face.

    At an open end the edge cell's error; at a periodic one the mean of the first and the last cell's, at both ends.
    """

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        out = []
        for axis, boundary in enumerate(conservation(problem).scheme.domain.boundary):
            e = jnp.moveaxis(errors, axis + 1, -1)
            wrapped = 0.5 * (e[..., :1] + e[..., -1:])
            first = jnp.where(boundary.periodic > 0, wrapped, e[..., :1])
            last = jnp.where(boundary.periodic > 0, wrapped, e[..., -1:])
            faces = jnp.concatenate([first, 0.5 * (e[..., 1:] + e[..., :-1]), last], axis=-1)
            out.append(jnp.moveaxis(faces, -1, axis + 1))
        return tuple(out)


class StencilCombination(AbstractCombination):
    r"""The maximum, mean, sum (`L1`) or root of the sum of squares (`L2`) over the stencil of each face.

    The published window is that of the right-going flux, the 2r-1 cells $i-r+1 .. i+r-1$ around face $i+1/2$: $r$ on
    its left, $r-1$ on its right, whichever way the flow goes. `symmetric` takes the $2r$ cells of both directions'
    stencils instead, so that a mirrored problem gets mirrored rewards. Beyond the ends of the domain errors continue as
    the boundary continues the state: around (periodic), the edge cell's (outflow), mirrored (reflective), and the size
    of the extrapolation where the boundary extrapolates.

    The maximum has no derivative where several cells share it: JAX splits the gradient equally. `L2` has none where all
    errors are 0: 0 is taken.

    **Arguments:** `reduction`: `max` (default), `avg`, `L1` or `L2`; `symmetric`, default False.

    **Raises:** `UndertowError` for an unknown reduction.

    **Reference:** the code of arXiv 2203.08937, reward modes `stencil_max`, `stencil_avg`, `stencil_L1`, `stencil_L2`.
    """

    reduction: Literal["max", "avg", "L1", "L2"] = eqx.field(static=True, default="max")
    symmetric: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        known = ("max", "avg", "L1", "L2")
        require(self.reduction in known, f"reduction must be one of {', '.join(known)}, got {self.reduction!r}")

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        scheme = conservation(problem).scheme
        width = 2 * substencil_width(scheme.order)
        out = []
        for axis, boundary in enumerate(scheme.domain.boundary):
            # One sample each, a single component that keeps its sign at a wall.
            padded = jax.vmap(lambda e, axis=axis, boundary=boundary: boundary.pad(e[None], axis, (1.0,))[0])(errors)
            cells = face_slices(jnp.abs(padded), width, boundary.ghost, axis)
            window = jnp.stack(cells if self.symmetric else cells[:-1], axis=-1)
            out.append(self._reduce(window))
        return tuple(out)

    def _reduce(self, window: Array) -> Array:
        if self.reduction == "max":
            return jnp.max(window, axis=-1)
        if self.reduction == "avg":
            return jnp.mean(window, axis=-1)
        return norm(window, 1 if self.reduction == "L1" else 2, -1)
