r"""Stencil weights of the classical schemes, as functions of one stencil.

Every class maps `stencil: "*batch 2r-1"`, read from upwind to downwind, to `weights: "*batch r"`, substencil 0 the most upwind
one. They are parameter-free policies too: see `undertow.policies.classical`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, require
from undertow.numerics.barrier import gathered
from undertow.numerics.reciprocal import reciprocal
from undertow.numerics.reductions import largest, mean
from undertow.numerics.stencil import both_directions, directions, unstack
from undertow.schemes.coefficients import substencil_width, weno_coefficients

GLOBAL_SMOOTHNESS = {
    2: (1, -1),
    3: (1, 0, -1),
    4: (1, 3, -3, -1),
    5: (1, 2, -6, 2, 1),
    6: (1, 1, -8, 8, -1, -1),
    7: (1, 36, 135, 0, -135, -36, -1),
}
r"""The $c_k$ of $\tau = |\sum_k c_k \beta_k|$ by r: Castro, Costa and Don (2011), J. Comput. Phys. 230, 1766-1792, eqs. 25-29."""


def smoothness(stencil: Float[Array, "*batch stencil"], order: int) -> list[Float[Array, "*batch"]]:
    r"""The Jiang-Shu smoothness indicators $\beta_0 .. \beta_{r-1}$ of one stencil, as sums of squares of differences.

    **Reference:** Jiang and Shu (1996), eq. 3.1.
    """
    table = weno_coefficients(order)
    r = substencil_width(order)
    q = unstack(stencil)
    delta = [q[m + 1] - q[m] for m in range(order - 1)]
    betas = []
    for k in range(r):
        beta = jnp.zeros((), stencil.dtype)
        for j in range(r - 1):
            row = table.smoothness_squares[k, j]
            inner = delta[k + j]  # the pivot, coefficient 1
            for m in range(j + 1, r - 1):
                inner = inner + float(row[m]) * delta[k + m]
            beta = beta + float(table.smoothness_scales[k, j]) * (inner * inner)
        betas.append(beta)
    return gathered(betas)


def global_smoothness(betas: list[Float[Array, "*batch"]]) -> Float[Array, "*batch"]:
    r"""$\sum_k c_k \beta_k$, whose absolute value is the global indicator $\tau$ of WENO-Z: of higher order in
    $\Delta x$ than every $\beta_k$ where the data are smooth, as large as they are at a jump or a kink.

    **Reference:** Castro, Costa and Don (2011), J. Comput. Phys. 230, 1766-1792, eqs. 25-29.
    """
    terms = [float(c) * beta for c, beta in zip(GLOBAL_SMOOTHNESS[len(betas)], betas, strict=True) if c]
    return sum(terms[1:], terms[0])


def normalised(alphas: list[Float[Array, "*batch"]]) -> list[Float[Array, "*batch"]]:
    r"""$\alpha_k / \sum_m \alpha_m$."""
    inverse = reciprocal(sum(alphas[1:], alphas[0]))
    return [alpha * inverse for alpha in alphas]


EPSILON = 1e-6
r"""What $\epsilon$ is where nobody names one: as a share of the square of the problem's unit, see `AbstractWeights.relative`."""


class AbstractWeights(eqx.Module):
    """Weights of the substencils as a function of one stencil."""

    order: eqx.AbstractVar[int]

    @property
    def relative(self) -> bool:
        """Whether they compare a stencil with a constant that nobody has named, so that it has to come in units of the problem.

        `solve` and `simulate` then divide the stencils by [`SemiDiscrete.unit`][undertow.schemes.semidiscrete.SemiDiscrete.unit]
        of the initial state. Weights that have no such constant do not mind the unit, and with one that is named they are to
        see the stencils as they are."""
        return False

    def __call__(self, stencil: Float[Array, "*batch stencil"]) -> Float[Array, "*batch r"]:
        """`"*batch 2r-1"` values from upwind to downwind to `"*batch r"` weights."""
        raise NotImplementedError


def at_faces(
    weights: Callable[[Float[Array, "*batch stencil"]], Float[Array, "*batch r"]],
    stencils: tuple[Float[Array, "2 *batch stencil"], ...],
    unit: Float[Array, " chan"] | None = None,
) -> tuple[Float[Array, "2 *batch r"], ...]:
    """The weights of both directions at every face, one array per axis; one direction after the other, which compiles to
    faster code than both at once. With a `unit`, one per component, they see the stencils divided by it."""
    return tuple(
        both_directions(*(weights(measured(each, unit)) for each in directions(stencil))) for stencil in stencils
    )


def measured(
    stencil: Float[Array, "chan *faces stencil"], unit: Float[Array, " chan"] | None
) -> Float[Array, "chan *faces stencil"]:
    """A stencil in units of `unit`, one per component; as it is without one."""
    if unit is None:
        return stencil
    factor = (1 / unit).reshape(-1, *(1,) * (stencil.ndim - 2)).astype(stencil.dtype)
    # Position by position, as everywhere: whoever takes it apart gets these operands.
    return jnp.stack([q * factor for q in unstack(stencil)], axis=-1)


def typical(values: Float[Array, "*cells"]) -> Float[Array, ""]:
    """The mean of the eighth powers to the power of one eighth: near the largest of positive values, and smooth."""
    top = largest(values)
    some = top >= jnp.finfo(values.dtype).tiny
    top = jax.lax.stop_gradient(jnp.where(some, top, 1.0))
    power = mean((values / top) ** 8)
    return jnp.where(some, top * jnp.where(some, power, 1.0) ** 0.125, 0.0)


def size(values: Sequence[Float[Array, "chan *cells"]]) -> Float[Array, " chan"]:
    r"""What variations of several arrays are measured by, one number per component,

    $$\Big\langle (q - \bar q)^8 + q_{100}^8 \Big\rangle^{1/8}, \qquad q_{100} = q / 100,$$

    the mean being over cells and arrays. The first part is close to the largest deviation, whatever it stands on, and unlike a
    maximum it has a derivative where several cells share it. The second bounds it from below in proportion to the data: at
    constant states differences of any size would be jumps otherwise, and weights not differentiable. 0 for zeros only.
    """
    flat = [v.reshape(v.shape[0], -1) for v in values]
    top = jnp.max(jnp.stack([largest(jnp.abs(v), axis=1) for v in flat]), axis=0)
    # Dividing by the largest keeps the powers in range. It cancels from the value, so its gradient is stopped.
    some = top >= jnp.finfo(top.dtype).tiny
    top = jax.lax.stop_gradient(jnp.where(some, top, 1.0))

    def powers(v: Array) -> Array:
        v = v / top[:, None]
        apart = v - mean(v, axis=1, keepdims=True)
        return mean(apart**8 + (0.01 * v) ** 8, axis=1)

    total = jnp.mean(jnp.stack([powers(v) for v in flat]), axis=0)
    return jnp.where(some, top * jnp.where(some, total, 1.0) ** 0.125, 0.0)


class FixedWeights(AbstractWeights):
    """The same weights at every face. Use the functions below to make the named ones."""

    values: tuple[float, ...] = eqx.field(static=True)
    order: int = eqx.field(static=True)

    def __check_init__(self):
        r = substencil_width(self.order)
        require(len(self.values) == r, f"order {self.order} has {r} substencils, got {len(self.values)} weights")

    def __call__(self, stencil: Float[Array, "*batch stencil"]) -> Float[Array, "*batch r"]:
        """The fixed weights, broadcast."""
        values = jnp.asarray(self.values, stencil.dtype)
        return jnp.broadcast_to(values, (*stencil.shape[:-1], len(self.values)))


def linear(order: int) -> FixedWeights:
    r"""The optimal linear weights $d_k$: the upwind scheme of formal order 2r-1, no shock capturing."""
    return FixedWeights(values=tuple(weno_coefficients(order).linear_weights.tolist()), order=order)


def equal(order: int) -> FixedWeights:
    """Weight 1/r on every substencil."""
    r = substencil_width(order)
    return FixedWeights(values=(1 / r,) * r, order=order)


def stationary(order: int) -> FixedWeights:
    """All weights zero: no flux, nothing moves (a baseline of the published comparison; not consistent)."""
    return FixedWeights(values=(0.0,) * substencil_width(order), order=order)


def one_sided(order: int, which: Literal["left", "middle", "right"]) -> FixedWeights:
    """All weight on the most upwind (`left`), the middle (index r // 2) or the most downwind (`right`) substencil."""
    r = substencil_width(order)
    places = {"left": 0, "middle": r // 2, "right": r - 1}
    if which not in places:
        raise UndertowError(f"which must be 'left', 'middle' or 'right', got {which!r}")
    return FixedWeights(values=tuple(float(k == places[which]) for k in range(r)), order=order)


class WenoJS(AbstractWeights):
    r"""Jiang-Shu weights, $w_k = \alpha_k / \sum_m \alpha_m$ with

    $$\alpha_k = \frac{d_k}{(\epsilon + \beta_k)^2}\quad(\texttt{textbook}), \qquad
      \alpha_k = \frac{d_k}{\epsilon + \beta_k^2}\quad(\texttt{original}).$$

    **Arguments:** `order` (default 5); `epsilon`, a number in the unit of the stencil squared, which is kept, or None (default):
    1e-6, in which case `solve` and `simulate` give the stencils in units of the problem; `form`, default `textbook`.

    The textbook form with $\epsilon = 10^{-6}$ is differentiable everywhere, constant states included. The `original` form
    (the code of arXiv 2203.08937, with $\epsilon = 10^{-16}$: `WenoJS(5, 1e-16, "original")`) has derivatives of up to 6e23
    near $\beta = 6\cdot10^{-9}$: at nearly constant states its gradient is round-off. Do not learn through it unless you
    want to reproduce the published set-up.

    **Reference:** Jiang and Shu (1996), J. Comput. Phys. 126, 202-228, eqs. 2.16 and 3.1.
    """

    order: int = eqx.field(static=True, default=5)
    epsilon: float | None = eqx.field(static=True, default=None)
    form: Literal["textbook", "original"] = eqx.field(static=True, default="textbook")

    def __check_init__(self):
        substencil_width(self.order)
        require(self.epsilon is None or self.epsilon > 0, f"epsilon must be above 0, got {self.epsilon!r}")
        require(self.form in ("textbook", "original"), f"form must be 'textbook' or 'original', got {self.form!r}")

    @property
    def relative(self) -> bool:
        """Without an `epsilon` of its own."""
        return self.epsilon is None

    def unnormalised(self, stencil: Float[Array, "*batch stencil"]) -> list[Float[Array, "*batch"]]:
        r"""$\alpha_0 .. \alpha_{r-1}$."""
        d = weno_coefficients(self.order).linear_weights
        epsilon = EPSILON if self.epsilon is None else self.epsilon
        if self.form == "textbook":
            inverses = [reciprocal(epsilon + b) for b in smoothness(stencil, self.order)]
            return [float(dk) * (each * each) for dk, each in zip(d, inverses, strict=True)]
        inverses = [reciprocal(epsilon + b * b) for b in smoothness(stencil, self.order)]
        return [float(dk) * each for dk, each in zip(d, inverses, strict=True)]

    def __call__(self, stencil: Float[Array, "*batch stencil"]) -> Float[Array, "*batch r"]:
        """`"*batch 2r-1"` to `"*batch r"`."""
        return jnp.stack(normalised(self.unnormalised(stencil)), axis=-1)


class WenoZ(AbstractWeights):
    r"""WENO-Z weights, $\alpha_k = d_k\,\big(1 + (\tau / (\beta_k + \epsilon))^p\big)$ with the global indicator
    $\tau = |\sum_k c_k \beta_k|$ ($|\beta_0 - \beta_2|$ at order 5).

    **Arguments:** `order` (default 5); `epsilon`, as that of [`WenoJS`][undertow.schemes.weights.WenoJS], which keeps the weights
    differentiable at constant states; `power` $p$, default 2 (design order at critical points for order 5).

    **Reference:** Borges, Carmona, Costa and Don (2008), J. Comput. Phys. 227, 3191-3211, eqs. 25-28; Castro, Costa and Don
    (2011), J. Comput. Phys. 230, 1766-1792, for the other orders.
    """

    order: int = eqx.field(static=True, default=5)
    epsilon: float | None = eqx.field(static=True, default=None)
    power: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        substencil_width(self.order)
        require(self.epsilon is None or self.epsilon > 0, f"epsilon must be above 0, got {self.epsilon!r}")
        require(self.power in (1, 2, 3, 4, 5, 6), f"power must be an integer from 1 to 6, got {self.power!r}")

    @property
    def relative(self) -> bool:
        """Without an `epsilon` of its own."""
        return self.epsilon is None

    def unnormalised(self, betas: list[Float[Array, "*batch"]]) -> list[Float[Array, "*batch"]]:
        r"""$\alpha_0 .. \alpha_{r-1}$ from the smoothness indicators."""
        tau = global_smoothness(betas)
        tau = jnp.abs(tau) if self.power % 2 else tau
        d = weno_coefficients(self.order).linear_weights
        epsilon = EPSILON if self.epsilon is None else self.epsilon
        ratios = [tau * reciprocal(b + epsilon) for b in betas]
        return [float(dk) * (1 + ratio**self.power) for dk, ratio in zip(d, ratios, strict=True)]

    def __call__(self, stencil: Float[Array, "*batch stencil"]) -> Float[Array, "*batch r"]:
        """`"*batch 2r-1"` to `"*batch r"`."""
        return jnp.stack(normalised(self.unnormalised(smoothness(stencil, self.order))), axis=-1)


def reconstruct(stencil: Float[Array, "*batch stencil"], weights: Float[Array, "*batch r"]) -> Float[Array, "*batch"]:
    r"""The face value $\sum_k w_k\,\hat q_k$ with the substencil reconstructions $\hat q_k = \sum_l a_{kl}\,q_{k+l}$."""
    r = weights.shape[-1]
    table = weno_coefficients(2 * r - 1).reconstruction
    q, w = unstack(stencil), unstack(weights)
    total = None
    for k in range(r):
        inner = float(table[k, 0]) * q[k]
        for m in range(1, r):
            inner = inner + float(table[k, m]) * q[k + m]
        term = w[k] * inner
        total = term if total is None else total + term
    assert total is not None
    return total
