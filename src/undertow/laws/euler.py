r"""The Euler equations of gas dynamics in one, two or three dimensions, for an ideal gas."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, constant, require, whole_number
from undertow._types import ArrayLike
from undertow.laws.euler_riemann import euler_riemann_at
from undertow.laws.fluid import AbstractFluidBasis
from undertow.laws.gas import AbstractGas
from undertow.laws.law import (
    Floor,
    Mean,
    Reconstruction,
    floored,
    velocities,
)
from undertow.numerics.reciprocal import reciprocal
from undertow.numerics.stencil import unstack

GAMMA = partial(constant, "gamma, the ratio of specific heats,", within=Within(above=1))
DIMENSIONS = partial(whole_number, "dimensions", within=Within(at_least=1, at_most=3))


class Euler(AbstractGas):
    r"""$\rho_t + \nabla\!\cdot(\rho v) = 0$, $(\rho v)_t + \nabla\!\cdot(\rho v\otimes v) + \nabla p = 0$,
    $E_t + \nabla\!\cdot((E + p) v) = 0$ with $p = (\gamma - 1)(E - \tfrac12 \rho |v|^2)$.

    The components are density $\rho$, one momentum $\rho v_d$ per dimension, and total energy $E$ per volume.

    **Arguments:**

    - `gamma` $\gamma > 1$: ratio of specific heats, default 1.4; a leaf.
    - `dimensions`: 1 (default), 2 or 3; static.
    - `density_floor`, `pressure_floor`: from below which values count as the floor wherever velocity, pressure or sound
        speed are needed. The state itself is not changed, so that conservation is not touched; what they buy is a defined
        flux, with a defined derivative, at states that are not physical. A number is kept, and has the unit of the data.
        The default, None, is relative to the problem, see `relative_to`.

    **Reference:** Toro (2009), Riemann Solvers and Numerical Methods for Fluid Dynamics, sections 3.1 and 3.2.
    """

    formula: ClassVar[str | None] = (
        "components density, momenta, energy E; f_a = (rho v_a, rho v v_a + p e_a, (E + p) v_a) along axis a, "
        "p = (gamma - 1)(E - rho |v|^2 / 2)"
    )
    basis_formula: ClassVar[str | None] = (
        "the split fluxes of all cells of a stencil times L of its face, L R = 1: R holds, times rho c, the columns "
        "(1, v - c e_a, H - c v_a), (1, v, |v|^2 / 2), c (0, e_t, v_t) for other axes t, (1, v + c e_a, H + c v_a) at the mean "
        "of the two states"
    )
    reconstruction: ClassVar[Reconstruction] = "characteristic"
    has_contact: ClassVar[bool] = True

    gamma: float | Float[Array, ""] = eqx.field(converter=GAMMA, default=1.4)
    dimensions: int = eqx.field(static=True, converter=DIMENSIONS, default=1)
    density_floor: Floor = None
    pressure_floor: Floor = None
    viscosity: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        require(self.viscosity == 0, f"the Euler equations have no viscosity, got {self.viscosity!r}")

    @property
    def num_components(self) -> int:
        """Density, a momentum per dimension, energy."""
        return self.dimensions + 2

    @property
    def component_names(self) -> tuple[str, ...]:
        return ("density", *(f"momentum {axis}" for axis in "xyz"[: self.dimensions]), "energy")

    @property
    def field_names(self) -> tuple[str, ...]:
        return ("v - c", *("v",) * self.dimensions, "v + c")

    def conserved(self, primitive: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Density, velocity and pressure to conserved values."""
        density, velocity, pressure = primitive[0], primitive[1:-1], primitive[-1]
        energy = pressure / (self.gamma - 1) + 0.5 * density * _squares(velocity)
        return jnp.concatenate([density[None], density * velocity, energy[None]])

    def primitive(self, u: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Conserved values to density, velocity and pressure, each not below its floor."""
        density = floored(u[0], self.density_floor)
        velocity = u[1:-1] / density
        return jnp.concatenate([density[None], velocity, self._pressure(u[-1], u[1:-1], velocity)[None]])

    def _pressure(self, energy: Array, momenta: Sequence[Array] | Array, velocities: Sequence[Array] | Array) -> Array:
        kinetic = 0.5 * _sum([momenta[d] * velocities[d] for d in range(self.dimensions)])
        return floored((self.gamma - 1) * (energy - kinetic), self.pressure_floor)

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        r"""$(\rho v_a,\; \rho v v_a + p\, e_a,\; (E + p) v_a)$ along axis $a$."""
        _, *momenta, energy = unstack(u, 0)
        _, along, pressure = self._along(u, axis)
        carried = [momentum * along for momentum in momenta]
        carried[axis] = carried[axis] + pressure
        return jnp.stack([momenta[axis], *carried, (energy + pressure) * along])

    def speeds(
        self, u: Float[Array, "chan *cells"], axis: int
    ) -> tuple[Float[Array, "*cells"], Float[Array, "*cells"]]:
        r"""$v_a$ and $c^2 = \gamma p/\rho$."""
        inverse, along, pressure = self._along(u, axis)
        return along, self.gamma * pressure * inverse

    def _along(self, u: Array, axis: int) -> tuple[Array, Array, Array]:
        """One over the density, the velocity along an axis, the pressure: component by component, so that their
        derivatives have no array of zeros around one component either."""
        density, *momenta, energy = unstack(u, 0)
        inverse = reciprocal(floored(density, self.density_floor))
        velocities = [momentum * inverse for momentum in momenta]
        return inverse, velocities[axis], self._pressure(energy, momenta, velocities)

    def parity(self, axis: int) -> tuple[float, ...]:
        """The momentum normal to a wall changes sign there."""
        return (1.0, *(-1.0 if d == axis else 1.0 for d in range(self.dimensions)), 1.0)

    def riemann(
        self,
        left: Float[Array, " chan"],
        right: Float[Array, " chan"],
        x: Float[Array, "*points"],
        x0: ArrayLike,
        t: ArrayLike,
    ) -> Float[Array, "chan *points"]:
        """See [`euler_riemann_at`][undertow.laws.euler_riemann.euler_riemann_at]."""
        return euler_riemann_at(left, right, self.gamma, x, x0, t)

    @property
    def speed_powers(self) -> tuple[int, ...]:
        """Momenta grow as speeds, pressure and energy as their squares."""
        return (0, *(1,) * self.dimensions, 2)

    def contact(
        self,
        left: Float[Array, "chan *faces"],
        right: Float[Array, "chan *faces"],
        low: Float[Array, "*faces"],
        high: Float[Array, "*faces"],
        axis: int,
    ) -> Float[Array, "*faces"]:
        r"""$S^*$: eq. 10.37 of Toro (2009)."""
        a, b = self.primitive(left), self.primitive(right)
        before, after = a[0] * (low - a[1 + axis]), b[0] * (high - b[1 + axis])
        # The denominator is below 0: both waves move away from the gas on their side.
        return (b[-1] - a[-1] + before * a[1 + axis] - after * b[1 + axis]) / (before - after)

    def beside(
        self, u: Float[Array, "chan *faces"], speed: Float[Array, "*faces"], contact: Float[Array, "*faces"], axis: int
    ) -> Float[Array, "chan *faces"]:
        """See [`HLLC`][undertow.schemes.fluxes.HLLC]: a contact at rest is kept to the last bit."""
        density, *velocity, pressure = self.primitive(u)
        normal = velocity[axis]
        flow = density * (speed - normal)
        width = 1 / (speed - contact)
        star = flow * width
        push = pressure + flow * (contact - normal)
        energy = ((speed - normal) * u[-1] - pressure * normal + push * contact) * width
        carried = [star * (contact if d == axis else velocity[d]) * contact for d in range(self.dimensions)]
        carried[axis] = carried[axis] + push
        return jnp.stack([star * contact, *carried, (energy + push) * contact])

    def quantities(self, u: Float[Array, "chan *cells"]) -> dict[str, Float[Array, "*cells"]]:
        r"""Density, velocity (`velocity x`, ... in several dimensions), pressure and the specific internal energy
        $e = p / ((\gamma - 1)\rho)$."""
        density, *velocity, pressure = self.primitive(u)
        moving = dict(zip(velocities(self.dimensions), velocity, strict=True))
        heat = pressure / ((self.gamma - 1) * density)
        return {"density": density, **moving, "pressure": pressure, "internal energy": heat}

    def positive(self, u: Float[Array, "chan *cells"]) -> tuple[Float[Array, "*cells"], ...]:
        r"""Density, and $\rho e = E - |\rho v|^2 / 2\rho$, without floors where the density is positive."""
        density = floored(u[0], self.density_floor)
        return u[0], u[-1] - 0.5 * _squares(u[1:-1]) / density

    def reach(self, u: Float[Array, "chan *cells"]) -> Float[Array, "*cells"]:
        r"""$E/\rho + \sqrt{|v|^2 + c^2}\, c/\gamma$, of the total energy per mass. A Lax-Friedrichs half cell is $\rho (1 \mp
        v_a/\alpha)$ of the energy $E/\rho \mp p v_a / \rho(\alpha \mp v_a)$ per mass: with $\alpha \ge |v_a| + c$ that is at
        most $E/\rho + |v_a| c/\gamma$. It bounds velocity and sound speed."""
        density, *velocity, pressure = self.primitive(u)
        moving, heat = _squares(velocity), pressure / density
        sound = self.gamma * heat
        return heat / (self.gamma - 1) + 0.5 * moving + jnp.sqrt((moving + sound) * sound) / self.gamma

    def below(self, u: Float[Array, "chan *cells"], bound: Float[Array, "*cells"]) -> Float[Array, "*cells"]:
        r"""$b \rho - E$."""
        return bound * u[0] - u[-1]

    def eigenvectors(
        self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int, mean: Mean
    ) -> "EulerBasis":
        """The eigenvectors along `axis` at the mean of two states; see `EulerBasis`."""
        if mean == "arithmetic":
            density, *momenta, energy = unstack(0.5 * (left + right), 0)
            density = floored(density, self.density_floor)
            inverse = reciprocal(density)
            velocities = [momentum * inverse for momentum in momenta]
            velocity, square = jnp.stack(velocities), self.gamma * self._pressure(energy, momenta, velocities) * inverse
        elif mean == "roe":
            a, b = self.primitive(left), self.primitive(right)
            roots = jnp.sqrt(a[0]), jnp.sqrt(b[0])
            share = roots[0] / (roots[0] + roots[1])
            density = roots[0] * roots[1]
            velocity = share * a[1:-1] + (1 - share) * b[1:-1]
            enthalpy = share * ((left[-1] + a[-1]) / a[0]) + (1 - share) * ((right[-1] + b[-1]) / b[0])
            floor = None if self.pressure_floor is None else self.gamma * self.pressure_floor / density
            square = floored((self.gamma - 1) * (enthalpy - 0.5 * _squares(velocity)), floor)
        else:
            raise UndertowError(f"mean must be 'arithmetic' or 'roe', got {mean!r}")
        return EulerBasis(
            density=density,
            velocity=velocity,
            sound=jnp.sqrt(square),
            gamma=jnp.asarray(self.gamma, square.dtype),
            axis=axis,
        )


class EulerBasis(AbstractFluidBasis):
    r"""Eigenvectors of the Euler flux along an axis $a$: the fields $v_a - c$, entropy, shear (one per other axis), $v_a + c$.

    The columns of $R$ are $s(1, v - c e_a, H - c v_a)$, $s(1, v, |v|^2/2)$, $s c\,(0, e_t, v_t)$ and $s(1, v + c e_a, H + c v_a)$
    with the scale $s = \rho c$ of the face. Scaling eigenvectors changes no scheme whose weights are; what it
    buys is characteristic fields that are *relative*: dimensionless amplitudes of order one, whatever the units, so that
    one epsilon in a smoothness measure, and one network, fits all gases.

    **Reference:** Toro (2009), sections 3.1.2 and 3.2.2, with another order and scaling.
    """

    density: Float[Array, "*faces"]
    velocity: Float[Array, "dim *faces"]
    sound: Float[Array, "*faces"]
    gamma: Float[Array, ""]
    axis: int = eqx.field(static=True)

    def project(self, q: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$L q$, one amplitude per field."""
        v, axis = unstack(self.velocity, 0), self.axis
        mass, *momenta, energy = unstack(q, 0)
        slowness = reciprocal(self.sound)
        inverse = reciprocal(self.density) * slowness
        inner = _sum([v[d] * momenta[d] for d in range(len(v))])
        heat = (self.gamma - 1) * (slowness * slowness) * (0.5 * _squares(v) * mass - inner + energy)
        across = [(momenta[d] - v[d] * mass) * slowness for d in range(len(v))]
        shear = [across[d] * inverse for d in range(len(v)) if d != axis]
        half = 0.5 * inverse
        return jnp.stack([half * (heat - across[axis]), (mass - heat) * inverse, *shear, half * (heat + across[axis])])

    def expand(self, a: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$R a$."""
        v, c, axis = unstack(self.velocity, 0), self.sound, self.axis
        slower, entropy, *shear, faster = unstack(a, 0)
        scale = self.density * c
        both, rise = slower + faster, (faster - slower) * c
        mass = scale * (both + entropy)
        others = iter(shear)
        extra = [scale * (rise if d == axis else c * next(others)) for d in range(len(v))]
        momenta = [mass * v[d] + extra[d] for d in range(len(v))]
        work = _sum([v[d] * extra[d] for d in range(len(v))])
        energy = 0.5 * _squares(v) * mass + scale * both * (c * c / (self.gamma - 1)) + work
        return jnp.stack([mass, *momenta, energy])


def _sum(terms: list[Array]) -> Array:
    return sum(terms[1:], terms[0])


def _squares(v: Float[Array, "dim *cells"] | list[Array]) -> Float[Array, "*cells"]:
    return _sum([v[d] * v[d] for d in range(len(v))])
