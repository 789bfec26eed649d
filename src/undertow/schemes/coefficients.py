r"""WENO coefficients for every order 2r-1, derived in exact rational arithmetic.

Convention: a stencil of 2r-1 values reads from upwind to downwind, $q_0 .. q_{2r-2}$, the cell just upwind of the face in the
middle at index $r-1$. Substencil $k = 0..r-1$ holds $q_k .. q_{k+r-1}$ ($k = 0$ is the most upwind one). Values are treated as
cell averages of a function whose point value at the face is wanted; for flux-split finite differences the numerical
flux function is exactly that (Shu and Osher 1989, Lemma 2.1).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from undertow._checks import UndertowError

ORDERS = (3, 5, 7, 9, 11, 13)
"""Formal orders 2r-1 on offer."""

Polynomial = list[Fraction]  # coefficients, lowest power first


class WenoCoefficients(NamedTuple):
    r"""Tables of one order, float64, indexed as in the module's convention.

    - `linear_weights`: $d_k$, shape `(r,)`: $\sum_k d_k\,\hat q_k$ is the optimal reconstruction of order 2r-1.
    - `reconstruction`: shape `(r, r)`: $\hat q_k = \sum_l a_{kl}\,q_{k+l}$.
    - `smoothness_squares`: shape `(r, r-1, r-1)` and `smoothness_scales`: shape `(r, r-1)`:
      $\beta_k = \sum_j c_{kj}\,\big(\sum_m L_{kjm}\,\delta_{k+m}\big)^2$ with the differences $\delta_m = q_{m+1} - q_m$;
      a sum of squares, so it is never negative and exactly 0 for constant data.
    - `smoothness`: shape `(r, r, r)`, the symmetric matrices with $\beta_k = q^T \sigma_k q$ (for tests and reading).
    """

    linear_weights: np.ndarray
    reconstruction: np.ndarray
    smoothness_squares: np.ndarray
    smoothness_scales: np.ndarray
    smoothness: np.ndarray


def substencil_width(order: int) -> int:
    """r for the formal order 2r-1. Raises `UndertowError` for an order not in `ORDERS`."""
    if order not in ORDERS:
        raise UndertowError(f"order must be one of {', '.join(map(str, ORDERS))} (formal order 2r-1), got {order!r}")
    return (order + 1) // 2


def _multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    out = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            out[i + j] += a * b
    return out


def _derivative(p: Polynomial) -> Polynomial:
    return [i * c for i, c in enumerate(p)][1:] or [Fraction(0)]


def _evaluate(p: Polynomial, x: Fraction) -> Fraction:
    total = Fraction(0)
    for c in reversed(p):
        total = total * x + c
    return total


def _average_basis(first: int, width: int) -> list[Polynomial]:
    """Polynomials p_l with average 1 over cell first+l and 0 over the other cells first .. first+width-1.

    Cell i is [i - 1/2, i + 1/2]. From the Lagrange interpolation of the primitive at the width+1 faces: p_l is the
    derivative of the sum of the Lagrange polynomials of the faces to the right of cell l.
    """
    faces = [Fraction(2 * (first + m) - 1, 2) for m in range(width + 1)]
    lagrange: list[Polynomial] = []
    for m, face in enumerate(faces):
        p: Polynomial = [Fraction(1)]
        for n, other in enumerate(faces):
            if n != m:
                p = _multiply(p, [-other / (face - other), 1 / (face - other)])
        lagrange.append(_derivative(p))
    basis = []
    for cell in range(width):
        total = [Fraction(0)] * width
        for m in range(cell + 1, width + 1):
            total = [a + b for a, b in zip(total, lagrange[m], strict=True)]
        basis.append(total)
    return basis


def _smoothness_matrix(basis: list[Polynomial]) -> list[list[Fraction]]:
    r"""Jiang and Shu (1996), eq. 3.1: $\beta = \sum_{m=1}^{r-1} \int_{-1/2}^{1/2} (p^{(m)})^2 dx$ as a matrix."""
    r = len(basis)
    half = Fraction(1, 2)
    sigma = [[Fraction(0)] * r for _ in range(r)]
    derivatives = basis
    for _ in range(1, r):
        derivatives = [_derivative(p) for p in derivatives]
        for i in range(r):
            for j in range(i + 1):
                product = _multiply(derivatives[i], derivatives[j])
                integral = sum(
                    (2 * c * half ** (n + 1) / (n + 1) for n, c in enumerate(product) if n % 2 == 0), Fraction(0)
                )
                sigma[i][j] += integral
                if i != j:
                    sigma[j][i] += integral
    return sigma


def _in_differences(sigma: list[list[Fraction]]) -> list[list[Fraction]]:
    """The same quadratic form in the differences: q_l = q_0 + sum_{m<l} delta_m, and constants drop out."""
    r = len(sigma)
    return [
        [sum(sigma[i][j] for i in range(a + 1, r) for j in range(b + 1, r)) for b in range(r - 1)]  # type: ignore[misc]
        for a in range(r - 1)
    ]


def _sum_of_squares(form: list[list[Fraction]]) -> tuple[list[list[Fraction]], list[Fraction]]:
    """LDL^T of a positive definite form: rows L_j and scales c_j with x^T F x = sum_j c_j (L_j x)^2."""
    n = len(form)
    work = [row[:] for row in form]
    rows, scales = [], []
    for j in range(n):
        pivot = work[j][j]
        row = [work[j][m] / pivot for m in range(n)]
        for a in range(j + 1, n):
            for b in range(j + 1, n):
                work[a][b] -= work[j][a] * work[j][b] / pivot
        for a in range(j + 1, n):
            work[a][j] = Fraction(0)
        rows.append([Fraction(0)] * j + row[j:])
        scales.append(pivot)
    return rows, scales


@cache
def weno_coefficients(order: int) -> WenoCoefficients:
    """The tables of formal order `order` = 2r-1, derived from first principles.

    **Arguments:** `order`: 3, 5, 7, 9, 11 or 13.

    **Returns:** [`WenoCoefficients`][undertow.schemes.coefficients.WenoCoefficients].

    **Raises:** `UndertowError` for any other order.

    **Reference:** Jiang and Shu (1996), J. Comput. Phys. 126, 202-228, eqs. 2.3 and 3.1; Balsara and Shu (2000) for orders
    7 to 11; Gerolymos, Senechal and Vallet (2009) for 13.
    """
    r = substencil_width(order)
    half = Fraction(1, 2)
    # Cell 0 is the one just upwind of the face at +1/2.
    optimal = [_evaluate(p, half) for p in _average_basis(-(r - 1), order)]
    rows = []
    squares, scales, matrices = [], [], []
    for k in range(r):
        basis = _average_basis(k - (r - 1), r)
        rows.append([_evaluate(p, half) for p in basis])
        # Smoothness is measured over cell 0, [-1/2, 1/2].
        sigma = _smoothness_matrix(basis)
        matrices.append(sigma)
        square, scale = _sum_of_squares(_in_differences(sigma))
        squares.append(square)
        scales.append(scale)
    # The first value of the stencil is seen by substencil 0 alone, the second by 0 and 1, ...: forward substitution.
    linear: list[Fraction] = []
    for k in range(r):
        seen = sum((linear[m] * rows[m][k - m] for m in range(k)), Fraction(0))
        linear.append((optimal[k] - seen) / rows[k][0])

    def array(values: object) -> np.ndarray:
        table = np.array(values, dtype=object).astype(np.float64)
        table.flags.writeable = False
        return table

    return WenoCoefficients(array(linear), array(rows), array(squares), array(scales), array(matrices))
