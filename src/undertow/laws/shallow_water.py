r"""The shallow water equations over a flat bed, in one or two dimensions."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import dataclasses
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, constant, require, whole_number
from undertow._types import ArrayLike
from undertow.laws.fluid import AbstractFluid, AbstractFluidBasis
from undertow.laws.law import (
    Floor,
    Mean,
    floored,
    relative_floor,
    velocities,
)
from undertow.laws.shallow_water_riemann import shallow_water_riemann_at

GRAVITY = partial(constant, "gravity", within=Within(above=0))
DIMENSIONS = partial(whole_number, "dimensions", within=Within(at_least=1, at_most=2))


class ShallowWater(AbstractFluid):
    r"""$h_t + \nabla\!\cdot(h v) = 0$, $(h v)_t + \nabla\!\cdot(h v\otimes v) + \nabla(\tfrac12 g h^2) = 0$.

    The components are depth $h$ and one momentum $h v_d$ per dimension.

    **Arguments:**

    - `gravity` $g > 0$: acceleration, default 1, which measures speeds in units of that of a long wave on water of unit
        depth; with lengths in metres and times in seconds it is 9.81. A leaf.
    - `dimensions`: 1 (default) or 2; static.
    - `depth_floor`: a depth below counts as this one wherever velocity, pressure or wave speed are needed. The state itself is
        not changed, so that conservation is not touched. A number is kept, and has the unit of the data; the default, None,
        is relative to the problem, see `relative_to`.

    **Raises:** `UndertowError` for other dimensions, or a gravity that is not positive.

    **Reference:** Toro (2001), Shock-Capturing Methods for Free-Surface Shallow Flows, chapter 3; LeVeque (2002), Finite
    Volume Methods for Hyperbolic Problems, section 13.1.
    """

    formula: ClassVar[str | None] = (
        "components depth h, momenta; f_a = (h v_a, h v v_a + (gravity h^2 / 2) e_a) along axis a"
    )
    basis_formula: ClassVar[str | None] = (
        "the split fluxes of all cells of a stencil times L of its face, L R = 1: R holds, times h c, the columns "
        "(1, v - c e_a), "
        "c (0, e_t) for other axes t, (1, v + c e_a) at the mean of the two states"
    )

    gravity: float | Float[Array, ""] = eqx.field(converter=GRAVITY, default=1.0)
    dimensions: int = eqx.field(static=True, converter=DIMENSIONS, default=1)
    depth_floor: Floor = None
    viscosity: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        require(self.viscosity == 0, f"the shallow water equations have no viscosity, got {self.viscosity!r}")

    @property
    def num_components(self) -> int:
        """Depth and a momentum per dimension."""
        return self.dimensions + 1

    @property
    def component_names(self) -> tuple[str, ...]:
        return ("depth", *(f"momentum {axis}" for axis in "xy"[: self.dimensions]))

    @property
    def field_names(self) -> tuple[str, ...]:
        return ("v - c", *("v",) * (self.dimensions - 1), "v + c")

    @property
    def judged(self) -> tuple[int, ...]:
        """Depth."""
        return (0,)

    def relative_to(self, u: Float[Array, "chan *cells"], share: float | None = None) -> "ShallowWater":
        r"""This water with a floor relative to the state `u`: $10^{-10} \max h$, or a hundredth of the smallest positive depth
        where that is less; a `share` stands in place of the former. A floor that is a number already stays."""
        share = 1e-10 if share is None else share
        return (
            self if self.depth_floor is not None else dataclasses.replace(self, depth_floor=relative_floor(u[0], share))
        )

    def conserved(self, primitive: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Depth and velocity to conserved values."""
        return jnp.concatenate([primitive[:1], primitive[0] * primitive[1:]])

    def primitive(self, u: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Conserved values to depth, not below its floor, and velocity."""
        depth = self._depth(u)
        return jnp.concatenate([depth[None], u[1:] / depth])

    def _depth(self, u: Array) -> Array:
        return floored(u[0], self.depth_floor)

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        r"""$(h v_a,\; h v v_a + \tfrac12 g h^2\, e_a)$ along axis $a$."""
        depth = self._depth(u)
        along, pressure = u[1 + axis] / depth, 0.5 * self.gravity * depth * depth
        momenta = [u[1 + d] * along + (pressure if d == axis else 0.0) for d in range(self.dimensions)]
        return jnp.stack([u[1 + axis], *momenta])

    def speeds(
        self, u: Float[Array, "chan *cells"], axis: int
    ) -> tuple[Float[Array, "*cells"], Float[Array, "*cells"]]:
        r"""$v_a$ and $g h$."""
        depth = self._depth(u)
        return u[1 + axis] / depth, self.gravity * depth

    def parity(self, axis: int) -> tuple[float, ...]:
        """The momentum normal to a wall changes sign there."""
        return (1.0, *(-1.0 if d == axis else 1.0 for d in range(self.dimensions)))

    def riemann(
        self,
        left: Float[Array, " chan"],
        right: Float[Array, " chan"],
        x: Float[Array, "*points"],
        x0: ArrayLike,
        t: ArrayLike,
    ) -> Float[Array, "chan *points"]:
        """See [`shallow_water_riemann_at`][undertow.laws.shallow_water_riemann.shallow_water_riemann_at]."""
        return shallow_water_riemann_at(left, right, self.gravity, x, x0, t)

    @property
    def speed_powers(self) -> tuple[int, ...]:
        """Depth stays, momenta grow as speeds."""
        return (0, *(1,) * self.dimensions)

    def faster(self, factor: float | Float[Array, ""]) -> "ShallowWater":
        """Gravity grows as the square of speeds."""
        return dataclasses.replace(self, gravity=self.gravity * factor**2)

    def quantities(self, u: Float[Array, "chan *cells"]) -> dict[str, Float[Array, "*cells"]]:
        """Depth and velocity."""
        return dict(zip(["depth", *velocities(self.dimensions)], self.primitive(u), strict=True))

    def positive(self, u: Float[Array, "chan *cells"]) -> tuple[Float[Array, "*cells"], ...]:
        """Depth."""
        return (u[0],)

    @property
    def positive_names(self) -> tuple[str, ...]:
        return ("depth",)

    def reach(self, u: Float[Array, "chan *cells"]) -> Float[Array, "*cells"]:
        r"""$\sqrt{|v|^2 + c^2} + c/2$. A Lax-Friedrichs half cell is $h (1 \mp v_a/\alpha)$ of the velocity $v \mp g h e_a /
        2(\alpha \mp v_a)$: with $\alpha \ge |v_a| + c$ that is at most $|v| + c/2$, and means of states are no faster than the
        fastest."""
        depth = self._depth(u)
        square = self.gravity * depth
        return jnp.sqrt(jnp.sum((u[1:] / depth) ** 2, axis=0) + square) + 0.5 * jnp.sqrt(square)

    def below(self, u: Float[Array, "chan *cells"], bound: Float[Array, "*cells"]) -> Float[Array, "*cells"]:
        r"""$(b h)^2 - |h v|^2$."""
        return (bound * u[0]) ** 2 - jnp.sum(u[1:] ** 2, axis=0)

    def eigenvectors(
        self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int, mean: Mean
    ) -> "ShallowWaterBasis":
        """The eigenvectors along `axis` at the mean of two states; see `ShallowWaterBasis`."""
        middle = 0.5 * (left + right)
        depth = self._depth(middle)
        if mean == "arithmetic":
            velocity = middle[1:] / depth
        elif mean == "roe":
            # Roe's mean of the depth is the arithmetic one.
            a, b = self.primitive(left), self.primitive(right)
            roots = jnp.sqrt(a[0]), jnp.sqrt(b[0])
            share = roots[0] / (roots[0] + roots[1])
            velocity = share * a[1:] + (1 - share) * b[1:]
        else:
            raise UndertowError(f"mean must be 'arithmetic' or 'roe', got {mean!r}")
        return ShallowWaterBasis(depth=depth, velocity=velocity, sound=jnp.sqrt(self.gravity * depth), axis=axis)


class ShallowWaterBasis(AbstractFluidBasis):
    r"""Eigenvectors of the shallow water flux along an axis $a$: the fields $v_a - c$, shear (in 2D), $v_a + c$, $c = \sqrt{gh}$.

    The columns of $R$ are $s(1, v - c e_a)$, $s c\,(0, e_t)$ and $s(1, v + c e_a)$ with the scale $s = h c$ of the face, so
    that the amplitudes of split fluxes are dimensionless and of order one, as those of
    [`EulerBasis`][undertow.laws.euler.EulerBasis].

    **Reference:** Toro (2001), chapter 3, with another scaling; the Roe mean: LeVeque (2002), section 15.3.3.
    """

    depth: Float[Array, "*faces"]
    velocity: Float[Array, "dim *faces"]
    sound: Float[Array, "*faces"]
    axis: int = eqx.field(static=True)

    def project(self, q: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$L q$, one amplitude per field."""
        v, c, axis = self.velocity, self.sound, self.axis
        inverse = 1 / (self.depth * c)
        moved = [(q[1 + d] - v[d] * q[0]) / c * inverse for d in range(len(v))]
        half, push = 0.5 * inverse * q[0], 0.5 * moved[axis]
        return jnp.stack([half - push, *(m for d, m in enumerate(moved) if d != axis), half + push])

    def expand(self, a: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$R a$."""
        v, c, axis = self.velocity, self.sound, self.axis
        scale = self.depth * c
        mass = scale * (a[0] + a[-1])
        others = iter(range(1, len(v)))
        extra = [scale * c * (a[-1] - a[0] if d == axis else a[next(others)]) for d in range(len(v))]
        return jnp.stack([mass, *(mass * v[d] + extra[d] for d in range(len(v)))])
