r"""What must stay positive stays positive: fluxes limited towards first-order Lax-Friedrichs fluxes, face by face."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from undertow._checks import require
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.boundary import AbstractBoundary
from undertow.numerics.integrator import RK4, AbstractIntegrator
from undertow.numerics.reductions import everywhere

HALVINGS = 20
"""How often a step is tried again with half its length where a stage of it, or its result, is not physical."""


def is_physical(law: AbstractConservationLaw, u: Float[Array, "chan *cells"]) -> Bool[Array, ""]:
    """Whether all that the law wants positive is: nothing below 0, and nothing that is not a number. A dry bed and a vacuum are
    0."""
    return jnp.stack([everywhere(part >= 0) for part in (*law.positive(u), jnp.zeros(()))]).all()


def check_limited(integrator: AbstractIntegrator) -> None:
    """Raise `UndertowError` for an integrator whose steps are no means of forward Euler's: a limiter promises nothing then."""
    require(not isinstance(integrator, RK4), "positivity holds with the integrators euler and ssp_rk3, not with rk4")


class PositivityLimiter(eqx.Module):
    r"""Every flux becomes $\theta \hat f + (1 - \theta) \hat f^{LF}$ with the largest $\theta \in [0, 1]$ for which both half
    cells at the face stay positive.

    A forward Euler step is the mean of half cells, two per axis, which every flux shares with one cell only,

    $$u_i - \sum_a \frac{\Delta t}{\Delta x_a}\big(\hat f_{i+1/2} - \hat f_{i-1/2}\big)
      = \sum_a \frac{w_a}{2}\Big[\Big(u_i - \frac{2\Delta t}{w_a \Delta x_a}\hat f_{i+1/2}\Big)
      + \Big(u_i + \frac{2\Delta t}{w_a \Delta x_a}\hat f_{i-1/2}\Big)\Big], \qquad
      w_a = \frac{\alpha_a/\Delta x_a}{\sum_b \alpha_b/\Delta x_b},$$

    with $\alpha_a$ the larger Lax-Friedrichs speed of the cell's two faces along axis $a$. A quantity $g$ of `law.positive` is a
    concave function of the state, so it is positive in a cell if it is in its half cells. With $\hat f^{LF}$ a half cell is

    $$(1 - 2c)\,u_i + c\,\big(u_i \mp f(u_i)/\alpha\big) + c\,\big(u_{i\pm1} \mp f(u_{i\pm1})/\alpha\big), \qquad
      c = \frac{\alpha\,\Delta t}{w_a \Delta x_a},$$

    a mean of positive states where $\alpha \ge |v| + c_s$ in both cells and

    $$\Delta t \sum_a \alpha_a / \Delta x_a \le \tfrac12 \quad\text{in every cell}$$

    and stage (a Courant number of at most 1/2 in 1D, and less where the stages of a step are faster than its start). $\theta$
    is then found for one quantity after the other: $g \ge m\,g^{LF}$ in every half cell, in terms of what the first-order
    flux would leave there, so that no scale of density or pressure has to be known. Parabolas close in on $\theta$ from both
    sides (for a gas the first one is the function), and a last step of Newton's carries the derivative.

    Conservative, because a face has one $\theta$. Where nothing is to be done the flux keeps its bits. Differentiable away from
    the corners: a $\theta$ just reaching 1, or both cells of a face asking for the same $\theta < 1$. The speed $\alpha$ is the
    splitting's, with whatever is said about its derivative there.

    SSP Runge-Kutta steps are means of forward Euler steps of length $\Delta t$ from their stages. For `SSPRK3`, with
    $u^{(1)} = u + \Delta t\,k_1$,

    $$u^{(2)} = \tfrac34 u + \tfrac14 (u^{(1)} + \Delta t\,k_2), \qquad u' = \tfrac13 u + \tfrac23 (u^{(2)} + \Delta t\,k_3),$$

    which written out is its Butcher tableau; so it suffices that every slope $k_s$ is limited as for a forward Euler step from
    its own stage. That holds for `ForwardEuler` and `SSPRK3`; `RK4` is no such mean and nothing is promised for it. Sources
    and viscosity are not looked at, nor are ghost cells: what boundaries put there has to be physical.

    **Arguments:** `margin` $m$, default 1e-3, far above round-off, so that positive is what rounding leaves too; `iterations`,
    parabolas, default 2.

    **Reference:** Zhang and Shu (2010), J. Comput. Phys. 229, 8918-8934, section 2, for the half cells of Lax-Friedrichs;
    Hu, Adams and Shu (2013), J. Comput. Phys. 242, 169-180, section 3, for limiting fluxes, density first (there with an
    absolute margin); Xiong, Qiu and Xu (2016), J. Sci. Comput. 67, 1066-1088.
    """

    margin: float = eqx.field(static=True, default=1e-3)
    iterations: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        require(0 < self.margin < 1, f"margin must lie between 0 and 1, got {self.margin!r}")
        require(self.iterations >= 1, f"iterations must be at least 1, got {self.iterations!r}")

    def __call__(
        self,
        law: AbstractConservationLaw,
        u: Float[Array, "chan *cells"],
        fluxes: tuple[Float[Array, "chan *faces"], ...],
        first_order: tuple[Float[Array, "chan *faces"], ...],
        speeds: tuple[Float[Array, "*faces"], ...],
        boundary: tuple[AbstractBoundary, ...],
        spacing: tuple[float, ...],
        dt: Float[Array, ""],
        bounds: tuple[Float[Array, "*faces"], ...] | None = None,
    ) -> tuple[Float[Array, "chan *faces"], ...]:
        r"""The limited fluxes, one array per axis.

        **Arguments:** the `law`; the state `u`; per axis: the `fluxes` $\hat f$, the `first_order` fluxes $\hat f^{LF}$ and their
        `speeds` $\alpha$ (that axis may have length 1), the `boundary` and the cell size;
        the time step `dt`, s; `bounds`: per axis the largest `law.reach` of the two cells of every face, or None (default):
        speeds are then not bounded.

        **Raises:** `UndertowError` if nothing of the law has to be positive.
        """
        count = len(law.positive(u))
        require(count > 0, f"nothing of {type(law).__name__} has to stay positive: take limiter=None")
        rates = [_of_cells(speed, axis) / dx for axis, (speed, dx) in enumerate(zip(speeds, spacing, strict=True))]
        out = []
        for axis, (flux, low, dx) in enumerate(zip(fluxes, first_order, spacing, strict=True)):
            factor = 2 * dt / (_share(rates, axis) * dx)
            bound = None if bounds is None else bounds[axis]
            for which in range(count if bound is None else count + 1):
                theta = self._theta(law, which, u, flux, low, factor, boundary[axis], axis, bound)
                # In this order theta = 1 leaves the flux as it is, to the last bit.
                flux = flux + (theta - 1) * (flux - low)
            out.append(flux)
        return tuple(out)

    def _theta(
        self,
        law: AbstractConservationLaw,
        which: int,
        u: Array,
        flux: Array,
        low: Array,
        factor: Array,
        boundary: AbstractBoundary,
        axis: int,
        bound: Array | None,
    ) -> Array:
        cells = u.shape[axis + 1]

        def halves(f: Array) -> Array:
            """What a flux brings the two half cells of every cell: at its right face, at its left face."""
            right = jax.lax.slice_in_dim(f, 1, cells + 1, axis=axis + 1)
            left = jax.lax.slice_in_dim(f, 0, cells, axis=axis + 1)
            return jnp.stack([-factor * right, factor * left], axis=1)

        ends = None
        if bound is not None:
            ends = jnp.stack([jax.lax.slice_in_dim(bound, 1 - k, cells + 1 - k, axis=axis) for k in (0, 1)])
        theta = self.largest(law, which, u[:, None] + halves(low), halves(flux - low), ends)
        right, left = theta[0], theta[1]
        last = jax.lax.slice_in_dim(right, cells - 1, cells, axis=axis)
        first = jax.lax.slice_in_dim(left, 0, 1, axis=axis)
        # Beyond an end there is no cell to protect, unless a neighbour is there.
        before, after = boundary.beyond(first, last, 1.0)
        return jnp.minimum(jnp.concatenate([before, right], axis=axis), jnp.concatenate([left, after], axis=axis))

    def scaled(
        self,
        law: AbstractConservationLaw,
        base: Float[Array, "chan *places"],
        change: Float[Array, "chan *places"],
        bound: Float[Array, "*places"] | None = None,
    ) -> Float[Array, "chan *places"]:
        r"""$\theta d$ with the largest $\theta \in [0, 1]$ for which $g(b + \theta d) \ge m\,g(b)$ for every quantity $g$ of the
        `law` that has to be positive.

        **Arguments:** as in `largest`.

        **Reference:** Zhang and Shu (2010), section 3, with an absolute margin there.
        """
        for which in range(len(law.positive(base)) + (bound is not None)):
            change = self.largest(law, which, base, change, bound) * change
        return change

    def largest(
        self,
        law: AbstractConservationLaw,
        which: int,
        base: Float[Array, "chan *places"],
        change: Float[Array, "chan *places"],
        bound: Float[Array, "*places"] | None = None,
    ) -> Float[Array, "*places"]:
        r"""The largest $\theta \in [0, 1]$ with $g(b + \theta d) \ge m\,g(b)$ at every place; 0 where $g(b)$ is not positive.

        **Arguments:** the `law`; `which` of its `positive` quantities is $g$, those before it being positive all the way;
        `base` $b$; `change` $d$. One `which` after the last of them means what `law.below` says with this `bound`.
        """
        speeds = which == len(law.positive(base))

        def quantity(u: Array, bound: Array | None) -> Array:
            if bound is not None and speeds:
                return law.below(u, bound)
            return law.positive(u)[which]

        def excess(theta: Array, b: Array, d: Array, bound: Array | None) -> Array:
            at = b + theta * d
            beyond = quantity(at, bound) - self.margin * quantity(b, bound)
            # Same sign, and for a gas a polynomial: density times (energy minus momentum squared over twice the density).
            return beyond if which == 0 or speeds else beyond * law.positive(at)[0]

        def with_slope(theta: Array, b: Array, d: Array, bound: Array | None) -> tuple[Array, Array]:
            return jax.jvp(lambda at: excess(at, b, d, bound), (theta,), (jnp.ones_like(theta),))

        start = quantity(base, bound)
        acts = (quantity(base + change, bound) < self.margin * start) & (start > 0)
        fixed = jax.lax.stop_gradient((base, change, bound))
        inside, outside = jnp.zeros_like(start), jnp.ones_like(start)
        trial = inside
        for _ in range(self.iterations):
            # The parabola through both ends with the slope at the inner one: a gas is done with the first.
            (above, slope), below, width = with_slope(inside, *fixed), excess(outside, *fixed), outside - inside
            bend, rise = below - above - slope * width, slope * width
            root = jnp.sqrt(jnp.maximum(rise * rise - 4 * bend * above, 0.0))
            step = 2 * above / jnp.where(root > rise, root - rise, jnp.inf)
            trial = inside + width * jnp.clip(step, 0.0, 1.0)
            good = excess(trial, *fixed) >= 0
            inside, outside = jnp.where(good, trial, inside), jnp.where(good, outside, trial)
        _, fall = with_slope(trial, *fixed)
        # Newton's step at the root has the root's derivative.
        theta = trial - excess(trial, base, change, bound) / jnp.where(acts & (fall < 0), fall, -1.0)
        return jnp.where(acts, jnp.clip(theta, 0.0, 1.0), jnp.where(start > 0, 1.0, 0.0))


def _of_cells(speed: Array, axis: int) -> Array:
    """The larger speed of the two faces of every cell along an axis."""
    faces = speed.shape[axis]
    if faces == 1:  # one value for the whole line
        return speed
    return jnp.maximum(
        jax.lax.slice_in_dim(speed, 0, faces - 1, axis=axis), jax.lax.slice_in_dim(speed, 1, faces, axis=axis)
    )


def _share(rates: list[Array], axis: int) -> Array:
    """The part of a cell that belongs to an axis; equal parts where nothing moves."""
    if len(rates) == 1:
        return jnp.ones((), rates[0].dtype)
    total = sum(rates[1:], rates[0])
    moves = total > 0
    # The other axes lie still, or this one does: then its fluxes are 0 and any positive part will do.
    return jnp.where(moves, jnp.maximum(rates[axis] / jnp.where(moves, total, 1.0), 1e-12), 1 / len(rates))
