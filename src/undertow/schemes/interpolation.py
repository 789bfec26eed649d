r"""WENO interpolation: point values between the cell centres of a grid.

Reconstruction turns cell averages into face values; interpolation turns point values into point values. The tables
differ, the idea is the same: Lagrange polynomials through substencils, blended by how smooth the data is. They depend
on where between two cells the value is wanted, and are derived here in exact rational arithmetic for any such place.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import Within, require, require_positive, whole_number
from undertow.numerics.stencil import face_slices
from undertow.schemes.coefficients import Polynomial, substencil_width
from undertow.schemes.scheme import AbstractScheme
from undertow.schemes.weights import EPSILON, measured, size, smoothness

Rational: TypeAlias = Fraction | float


class InterpolationCoefficients(NamedTuple):
    r"""Tables for one order and one place, float64; the stencil as in `undertow.schemes.coefficients`.

    - `linear_weights`: $d_k(\theta)$, shape `(r,)`, all positive: $\sum_k d_k\,q_k$ is the Lagrange polynomial through
      all 2r-1 values.
    - `interpolation`: shape `(r, r)`: $q_k = \sum_l \ell_{kl}(\theta)\,u_{k+l}$, the polynomial through substencil $k$.
    """

    linear_weights: np.ndarray
    interpolation: np.ndarray


def _lagrange(first: int, width: int, x: Fraction) -> Polynomial:
    """The Lagrange polynomials of the nodes first .. first+width-1, each evaluated at `x`."""
    nodes = range(first, first + width)
    values = []
    for node in nodes:
        product = Fraction(1)
        for other in nodes:
            if other != node:
                product *= (x - other) / (node - other)
        values.append(product)
    return values


@cache
def interpolation_coefficients(order: int, fraction: Fraction) -> InterpolationCoefficients:
    r"""The tables of formal order 2r-1 for the point a fraction $\theta$ of a cell downwind of the stencil's middle.

    The substencils' polynomials are the Lagrange polynomials; the linear weights follow from the optimal polynomial by
    forward substitution and are positive for $0 < \theta < 1$.

    **Arguments:** `order`: 3, 5, ..., 13; `fraction` $\theta$, an exact number strictly between 0 and 1.

    **Returns:** [`InterpolationCoefficients`][undertow.schemes.interpolation.InterpolationCoefficients].

    **Raises:** `UndertowError` for any other order or fraction.

    **Reference:** Carlini, Ferretti and Russo (2005), SIAM J. Sci. Comput. 27, 1071-1091, for weighted
    interpolation of point values and positive weights (with an even number of nodes there).
    """
    r = substencil_width(order)
    require(0 < fraction < 1, f"a point between two cells has a fraction strictly between 0 and 1, got {fraction}")
    optimal = _lagrange(-(r - 1), order, fraction)
    rows = [_lagrange(k - (r - 1), r, fraction) for k in range(r)]
    linear: Polynomial = []
    for k in range(r):
        seen = sum((linear[m] * rows[m][k - m] for m in range(k)), Fraction(0))
        linear.append((optimal[k] - seen) / rows[k][0])

    def array(values: object) -> np.ndarray:
        table = np.array(values, dtype=object).astype(np.float64)
        table.flags.writeable = False
        return table

    return InterpolationCoefficients(array(linear), array(rows))


def equal_fractions(points: int) -> tuple[Fraction, ...]:
    r"""$\theta_m = m / (K+1)$ for $m = 1..K$: `points` $K$ equally spaced places between two cells."""
    points = whole_number("points", points, Within(at_least=0))
    return tuple(Fraction(m, points + 1) for m in range(1, points + 1))


class WenoInterpolation(eqx.Module):
    r"""Values between the cell centres, from the data on both sides,

    $$I(\theta) = (1-\theta)\,I^+(\theta) + \theta\,I^-(\theta), \qquad
      I^\pm = \sum_k w_k^\pm q_k^\pm(\theta), \qquad w_k \propto \frac{d_k(\theta)}{(\epsilon + \beta_k)^2},$$

    a fraction $\theta$ of the way from one cell to the next. $I^+$ uses the 2r-1 values around the left cell, $I^-$ the
    mirror image around the right one, and the blend follows the nearer cell: a jump between two cells becomes a ramp,
    not a plateau, essentially without over- or undershoot. $\beta_k$ are the Jiang-Shu indicators of the interpolated
    values themselves.

    Formal order 2r-1 in space, 2r at the midpoint $\theta = 1/2$ with linear weights; every polynomial of degree r-1 is
    reproduced, of degree 2r-2 with linear weights. More axes are done one after the other. Differentiable everywhere.

    The public code of arXiv 2203.08937 takes the weights $w$ from the reconstruction of the *split flux* instead; here
    they belong to the interpolation, so that it has its full order and serves any law.

    **Arguments:** `epsilon`: a number in units of the values squared, which is kept, or None (default): 1e-6, with the values
    in units of the problem, see `unit`; `linear`: use the linear weights $d_k$, without regard to jumps (default False).

    **Raises:** `UndertowError` for an `epsilon` that is not positive.
    """

    epsilon: float | None = eqx.field(static=True, default=None)
    linear: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.epsilon is not None:
            require_positive("epsilon", self.epsilon)

    def unit(self, values: Float[Array, "chan *cells"]) -> Float[Array, " chan"] | None:
        """What the variations of point values are measured by, one number per component, above 0: their
        [`size`][undertow.schemes.weights.size]. None where `epsilon` is named, or there is none."""
        if self.linear or self.epsilon is not None:
            return None
        unit = size([values])
        return jnp.where(unit >= jnp.finfo(values.dtype).tiny, unit, 1.0)

    def stencil_values(
        self,
        stencil: Float[Array, "*batch stencil"],
        fractions: Sequence[Fraction],
        unit: Float[Array, " chan"] | None = None,
    ) -> list[Float[Array, "*batch"]]:
        r"""$I^+$ at the `fractions` downwind of the middle of `stencil`, which reads from upwind to downwind. With a `unit`, one
        per component (the first axis), the weights see the stencil divided by it."""
        order = stencil.shape[-1]
        r = substencil_width(order)
        # The indicators do not depend on the place, so they are shared by all of them.
        betas = None if self.linear else smoothness(measured(stencil, unit), order)
        epsilon = EPSILON if self.epsilon is None else self.epsilon
        out = []
        for fraction in fractions:
            table = interpolation_coefficients(order, fraction)
            total, norm = None, None
            for k in range(r):
                inner = float(table.interpolation[k, 0]) * stencil[..., k]
                for m in range(1, r):
                    inner = inner + float(table.interpolation[k, m]) * stencil[..., k + m]
                alpha = float(table.linear_weights[k])
                weight = jnp.asarray(alpha, stencil.dtype) if betas is None else alpha / (epsilon + betas[k]) ** 2
                total = weight * inner if total is None else total + weight * inner
                norm = weight if norm is None else norm + weight
            assert total is not None
            assert norm is not None
            out.append(total / norm)
        return out

    def between(
        self, scheme: AbstractScheme, u: Float[Array, "chan *cells"], fractions: Sequence[Rational], axis: int = 0
    ) -> Float[Array, "chan *faces points"]:
        """Values at the given fractions of the way from each cell to the next along one axis.

        **Arguments:** `scheme` says the order and the boundaries; `u` point values (they may be finer than the scheme's
        grid); `fractions`, numbers strictly between 0 and 1, taken exactly; `axis`.

        **Returns:** one more entry than cells along `axis`, because the gaps across both ends count; places last.

        **Raises:** `UndertowError` for values or an axis that do not fit the scheme, or a fraction out of range.
        """
        require(
            0 <= axis < scheme.grid.num_axes and u.ndim == scheme.grid.num_axes + 1,
            f"axis {axis} of values of shape {u.shape} on a grid with {scheme.grid.num_axes} axes: "
            "a state has shape (components, *cells); batches go through jax.vmap",
        )
        exact = [Fraction(f) for f in fractions]
        if not exact:
            shape = [*u.shape, 0]
            shape[axis + 1] += 1
            return jnp.zeros(shape, u.dtype)
        r = substencil_width(scheme.order)
        padded = scheme.domain.boundary[axis].pad(u, axis, scheme.law.parity(axis))
        values, unit = face_slices(padded, 2 * r, scheme.domain.ghost, axis), self.unit(u)
        plus = self.stencil_values(jnp.stack(values[:-1], axis=-1), exact, unit)
        minus = self.stencil_values(jnp.stack(values[:0:-1], axis=-1), [1 - f for f in exact], unit)
        blended = [float(1 - f) * a + float(f) * b for f, a, b in zip(exact, plus, minus, strict=True)]
        return jnp.stack(blended, axis=-1)

    def densify(
        self, scheme: AbstractScheme, u: Float[Array, "chan *cells"], points: int, axis: int = 0
    ) -> Float[Array, "chan *dense"]:
        """Add `points` K equally spaced values between every two cells of one axis, and beyond the first and the last.

        N cells become K + (K+1) N values along `axis`, the old ones at K, 2K+1, ... . Other arguments as in `between`.
        """
        gaps = jnp.moveaxis(self.between(scheme, u, equal_fractions(points), axis), axis + 1, -2)
        cells = jnp.moveaxis(u, axis + 1, -1)
        runs = jnp.concatenate([cells[..., None], gaps[..., 1:, :]], axis=-1)
        dense = jnp.concatenate([gaps[..., 0, :], runs.reshape(*cells.shape[:-1], -1)], axis=-1)
        return jnp.moveaxis(dense, -1, axis + 1)

    def refine(self, scheme: AbstractScheme, u: Float[Array, "chan *cells"], factor: int) -> Float[Array, "chan *fine"]:
        """Values at the cell centres of the grid whose cells are cut into `factor` along every axis.

        That grid is [`UniformGrid.refine`][undertow.numerics.grid.UniformGrid.refine]. Odd factors keep the old values
        among the new ones.
        """
        _check_factor(factor)
        offsets = [Fraction(2 * m + 1, 2 * factor) - Fraction(1, 2) for m in range(factor)]
        # Left of a centre: in the gap before the cell, counted from its left neighbour. Right of it: in the gap after.
        fractions = sorted({offset % 1 for offset in offsets if offset})
        for axis in range(scheme.grid.num_axes):
            gaps = jnp.moveaxis(self.between(scheme, u, fractions, axis), axis + 1, -2)
            cells = jnp.moveaxis(u, axis + 1, -1)
            columns = []
            for offset in offsets:
                if offset == 0:
                    columns.append(cells)
                else:
                    side = slice(1, None) if offset > 0 else slice(None, -1)
                    columns.append(gaps[..., side, fractions.index(offset % 1)])
            fine = jnp.stack(columns, axis=-1).reshape(*cells.shape[:-1], -1)
            u = jnp.moveaxis(fine, -1, axis + 1)
        return u

    def coarsen(
        self, scheme: AbstractScheme, fine: Float[Array, "chan *fine"], factor: int
    ) -> Float[Array, "chan *cells"]:
        """Values at the cell centres of the grid that has one cell for every `factor` along every axis.

        The fine values that sit there for an odd factor; interpolated midway between two of them for an even one.

        **Raises:** `UndertowError` if `factor` does not divide the number of cells.
        """
        _check_factor(factor)
        for axis in range(scheme.grid.num_axes):
            size = fine.shape[axis + 1]
            require(size % factor == 0, f"axis {axis} has {size} cells, which {factor} does not divide")
            if factor % 2:
                fine = jax.lax.slice_in_dim(fine, factor // 2, size, stride=factor, axis=axis + 1)
            else:
                middle = self.between(scheme, fine, (Fraction(1, 2),), axis)[..., 0]
                fine = jax.lax.slice_in_dim(middle, factor // 2, size, stride=factor, axis=axis + 1)
        return fine


def _check_factor(factor: int) -> None:
    whole_number("a refinement factor", factor)
