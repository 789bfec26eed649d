r"""Gas dynamics in the plane where something enters through the boundary: what it is, as a function of place and time."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._types import ArrayLike, Scalar
from undertow.laws.conditions import as_float
from undertow.laws.euler import Euler
from undertow.laws.fields import AbstractField
from undertow.laws.plane_gases import both, plane_gas
from undertow.numerics.inflow import CallableInflow, Prescribed


class DoubleMach(AbstractField):
    r"""A shock of Mach 10 that runs along a wall at an angle of 60 degrees to it: double Mach reflection.

    Behind the shock, at $x < \tfrac16 + (y + 20\,t)/\sqrt3$, the gas has density 8, velocity $8.25\,(\cos 30°, -\sin 30°)$ and
    pressure 116.5; ahead of it density 1.4 and pressure 1, at rest. The domain is $[0, 4] \times [0, 1]$: the state behind the
    shock enters from the left and from below before the wall begins at $x = \tfrac16$, the right end is open, and above the
    undisturbed shock passes by.

    **Arguments:** `behind`, `ahead`: density, two velocities and pressure, with these defaults; `corner`: where the wall
    begins, default 1/6; `speed`: with which the shock moves along its normal, default 10; `law`, default $\gamma = 1.4$.

    **Reference:** Woodward and Colella (1984), J. Comput. Phys. 54, 115-173, section IVc.
    """

    behind: Float[Array, " chan"] = eqx.field(
        converter=as_float, default=(8.0, 8.25 * math.cos(math.pi / 6), -8.25 * math.sin(math.pi / 6), 116.5)
    )
    ahead: Float[Array, " chan"] = eqx.field(converter=as_float, default=(1.4, 0.0, 0.0, 1.0))
    corner: Scalar = eqx.field(converter=as_float, default=1 / 6)
    speed: Scalar = eqx.field(converter=as_float, default=10.0)
    law: Euler = eqx.field(default_factory=plane_gas)

    @property
    def lower(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    @property
    def upper(self) -> tuple[float, ...]:
        return (4.0, 1.0)

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def reflective(self) -> Float[Array, "axes ends"]:
        return jnp.asarray([[0.0, 0.0], [1.0, 0.0]])

    def _shock(self, x: Array, y: Array, time: ArrayLike) -> Float[Array, "chan *cells"]:
        """The shock as if there were no wall. It meets x = corner, y = 0 at the beginning and its normal has slope -1/sqrt(3)."""
        front = self.corner + (y + 2 * self.speed * time) / math.sqrt(3)
        return self.law.conserved(_either(x < front, self.behind, self.ahead))

    def __call__(self, *x):
        return self._shock(*x, 0.0)

    @property
    def inflow(self) -> CallableInflow:
        """See `entering`."""
        return CallableInflow(self.entering)

    def entering(self, *x: Array, time: ArrayLike) -> Prescribed:
        """The shock on the left and above; from below, before the wall, what is behind it."""
        below = x[1] < 0
        values = jnp.where(below, self.law.conserved(_either(below, self.behind, self.ahead)), self._shock(*x, time))
        given = (x[0] < 0) | (x[1] > self.upper[1]) | (below & (x[0] < self.corner))
        return values, given.astype(values.dtype)


class Jet(AbstractField):
    r"""A jet that enters a gas at rest from the left, at $|y| < r$: with the defaults at Mach 2157, the "Mach 2000 jet".

    The gas at rest has the jet's density and pressure; the other ends are open.

    **Arguments:** `density`, default 5; `speed`, default 800; `pressure`, default 0.4127; `radius` $r$, default 0.05; `law`,
    default $\gamma = 5/3$; `lower`, `upper`: default $[0, 1] \times [-0.25, 0.25]$.

    **Reference:** Ha, Gardner, Gelb and Shu (2005), J. Sci. Comput. 24, 29-44; Zhang and Shu (2010), J. Comput. Phys. 229,
    8918-8934, section 4.
    """

    density: Scalar = eqx.field(converter=as_float, default=5.0)
    speed: Scalar = eqx.field(converter=as_float, default=800.0)
    pressure: Scalar = eqx.field(converter=as_float, default=0.4127)
    radius: Scalar = eqx.field(converter=as_float, default=0.05)
    law: Euler = eqx.field(default_factory=lambda: plane_gas(5 / 3))
    lower: tuple[float, ...] = eqx.field(static=True, default=(0.0, -0.25))
    upper: tuple[float, ...] = eqx.field(static=True, default=(1.0, 0.25))

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    def __call__(self, *x):
        return self._moving(jnp.zeros_like(x[0]))

    def _moving(self, speed: Float[Array, "*cells"]) -> Float[Array, "chan *cells"]:
        rest = jnp.zeros_like(speed)
        return self.law.conserved(jnp.stack([rest + self.density, speed, rest, rest + self.pressure]))

    @property
    def inflow(self) -> CallableInflow:
        """See `entering`."""
        return CallableInflow(self.entering)

    def entering(self, *x: Array, time: ArrayLike) -> Prescribed:
        """The jet, and beside it the gas at rest, on the left."""
        outside = x[0] < self.lower[0]
        values = self._moving(jnp.where(outside & (jnp.abs(x[1]) < self.radius), self.speed, 0.0))
        return values, outside.astype(values.dtype)


def _either(where: Array, one: Float[Array, " chan"], other: Float[Array, " chan"]) -> Float[Array, "chan *cells"]:
    """One of two states in every cell."""
    wide = (slice(None), *(None,) * where.ndim)
    return jnp.where(where, one[wide], other[wide])
