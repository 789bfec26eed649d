r"""The shallow water equations over a flat bed, in one or two dimensions."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, require
from undertow.laws.law import AbstractBasis, AbstractConservationLaw, Floor, Mean, floored, relative_floor


class ShallowWater(AbstractConservationLaw):
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

    gravity: float | Float[Array, ""] = 1.0
    dimensions: int = eqx.field(static=True, default=1)
    depth_floor: Floor = None
    viscosity: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        require(self.dimensions in (1, 2), f"dimensions must be 1 or 2, got {self.dimensions!r}")
        require(
            not isinstance(self.gravity, (int, float)) or self.gravity > 0,
            f"gravity must be above 0, got {self.gravity!r}",
        )
        require(self.viscosity == 0, f"the shallow water equations have no viscosity, got {self.viscosity!r}")

    @property
    def num_components(self) -> int:
        """Depth and a momentum per dimension."""
        return self.dimensions + 1

    @property
    def component_names(self) -> tuple[str, ...]:
        return ("depth", *(f"momentum {axis}" for axis in "xy"[: self.dimensions]))

    @property
    def judged(self) -> tuple[int, ...]:
        """Depth."""
        return (0,)

    def relative_to(self, u: Float[Array, "chan *cells"]) -> "ShallowWater":
        r"""This water with a floor relative to the state `u`: $10^{-10} \max h$, or a hundredth of the smallest positive depth
        where that is less. A floor that is a number already stays."""
        return (
            self if self.depth_floor is not None else dataclasses.replace(self, depth_floor=relative_floor(u[0], 1e-10))
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

    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""$|v_a| + \sqrt{g h}$. Its derivative at $v_a = 0$ does not exist; JAX takes that of $\sqrt{g h}$."""
        depth = self._depth(u)
        return jnp.abs(u[1 + axis] / depth) + jnp.sqrt(self.gravity * depth)

    def smooth_speed_squared(self, u: Float[Array, "chan *cells"], axis: int, delta: float) -> Float[Array, "*cells"]:
        r"""$\big(\sqrt{v_a^2 + \delta^2 g h} + \sqrt{g h}\big)^2$: above $|v_a| + \sqrt{g h}$ by at most
        $\delta \sqrt{g h}$, and smooth at $v_a = 0$."""
        depth = self._depth(u)
        along, square = u[1 + axis] / depth, self.gravity * depth
        return (jnp.sqrt(along * along + delta**2 * square) + jnp.sqrt(square)) ** 2

    def parity(self, axis: int) -> tuple[float, ...]:
        """The momentum normal to a wall changes sign there."""
        return (1.0, *(-1.0 if d == axis else 1.0 for d in range(self.dimensions)))

    def positive(self, u: Float[Array, "chan *cells"]) -> tuple[Float[Array, "*cells"], ...]:
        """Depth."""
        return (u[0],)

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
        return ShallowWaterBasis(depth, velocity, jnp.sqrt(self.gravity * depth), axis)


class ShallowWaterBasis(AbstractBasis):
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
