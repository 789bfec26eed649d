r"""Ideal magnetohydrodynamics in one dimension, with Brio and Wu's tube, others with names, and random Riemann problems."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import dataclasses
import math
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import constant, require
from undertow._types import Key
from undertow.laws.cases import HeldOut, LawEntry, PiecewiseCase, Play, Problems
from undertow.laws.euler import GAMMA
from undertow.laws.fields import PiecewiseStates
from undertow.laws.gas import AbstractGas
from undertow.laws.law import Floor, Signal, floored

FIELD = partial(constant, "normal_field")


class MHD(AbstractGas):
    r"""A perfectly conducting gas in a magnetic field $B = (B_x, B_y, B_z)$ that depends on $x$ alone; then $B_x$ is a constant:

    $$\rho_t + (\rho v_x)_x = 0, \qquad (\rho v)_t + \big(\rho v_x v + p_* e_x - B_x B\big)_x = 0, \qquad
      B_t + \big(v_x B - B_x v\big)_x = 0,$$

    $$E_t + \big((E + p_*)\,v_x - B_x\,(v \cdot B)\big)_x = 0 \quad\text{with}\quad p_* = p + \tfrac12 |B|^2, \qquad
      p = (\gamma - 1)\big(E - \tfrac12 \rho |v|^2 - \tfrac12 |B|^2\big),$$

    in units in which the magnetic pressure is $\tfrac12 |B|^2$ (no $4\pi$, no $\mu_0$).

    The components are density, three momenta, $B_y$, $B_z$ and total energy $E$ per volume; primitive values are density, three
    velocities, $B_y$, $B_z$ and pressure. The fastest waves are fast magnetosonic, $v_x \mp c_f$ with

    $$c_f^2 = \tfrac12 \Big(a^2 + b^2 + \sqrt{(a^2 - b^2)^2 + 4 a^2 b_t^2}\Big), \qquad
      a^2 = \gamma p / \rho, \quad b^2 = |B|^2 / \rho, \quad b_t^2 = (B_y^2 + B_z^2) / \rho .$$

    There is no set of eigenvectors to offer, so reconstruct component by component. Without any field it is
    [`Euler`][undertow.laws.euler.Euler] in one dimension, with two velocities that are carried along.

    **Arguments:**

    - `gamma` $\gamma > 1$: ratio of specific heats, default 1.4, as of `Euler`; 5/3 and 2 are usual, too. A leaf.
    - `normal_field` $B_x$: default 0.75. A leaf.
    - `density_floor`, `pressure_floor`: as of `Euler`.

    **Reference:** Brio and Wu (1988), J. Comput. Phys. 75, 400-422, eqs. 1-7.
    """

    formula: ClassVar[str | None] = (
        "components density, momenta, B_y, B_z, energy E; f = (rho v_x, rho v_x v + p* e_x - B_x B, v_x B_t - B_x v_t, "
        "(E + p*) v_x - B_x (v B)), p* = p + |B|^2 / 2, p = (gamma - 1)(E - rho |v|^2 / 2 - |B|^2 / 2), B_x = normal_field"
    )

    gamma: float | Float[Array, ""] = eqx.field(converter=GAMMA, default=1.4)
    normal_field: float | Float[Array, ""] = eqx.field(converter=FIELD, default=0.75)
    density_floor: Floor = None
    pressure_floor: Floor = None
    viscosity: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        require(self.viscosity == 0, f"ideal magnetohydrodynamics has no viscosity, got {self.viscosity!r}")

    @property
    def num_components(self) -> int:
        """Density, three momenta, two components of the field, energy."""
        return 7

    @property
    def component_names(self) -> tuple[str, ...]:
        return ("density", "momentum x", "momentum y", "momentum z", "field y", "field z", "energy")

    def conserved(self, primitive: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Density, velocities, field and pressure to conserved values."""
        density, velocity, field, pressure = primitive[0], primitive[1:4], primitive[4:6], primitive[6]
        energy = pressure / (self.gamma - 1) + 0.5 * density * _square(velocity) + self._magnetic(field)
        return jnp.concatenate([density[None], density * velocity, field, energy[None]])

    def primitive(self, u: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Conserved values to density, velocities, field and pressure; density and pressure not below their floors."""
        density = floored(u[0], self.density_floor)
        velocity = u[1:4] / density
        inner = u[6] - 0.5 * density * _square(velocity) - self._magnetic(u[4:6])
        pressure = floored((self.gamma - 1) * inner, self.pressure_floor)
        return jnp.concatenate([density[None], velocity, u[4:6], pressure[None]])

    def _magnetic(self, field: Float[Array, "2 *cells"]) -> Float[Array, "*cells"]:
        """The magnetic pressure, which is the energy of the field, too."""
        return 0.5 * (self.normal_field**2 + _square(field))

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        """The flux along x, see the class. Raises `UndertowError` along another axis."""
        require(axis == 0, f"MHD is of one dimension, got the axis {axis}")
        _, along, *across, field_y, field_z, pressure = self.primitive(u)
        normal, fields = self.normal_field, (field_y, field_z)
        total = pressure + self._magnetic(u[4:6])
        work = along * normal + across[0] * field_y + across[1] * field_z
        return jnp.stack(
            [
                u[1],
                u[1] * along + total - normal**2,
                *(momentum * along - normal * field for momentum, field in zip(u[2:4], fields, strict=True)),
                *(field * along - normal * speed for speed, field in zip(across, fields, strict=True)),
                (u[6] + total) * along - normal * work,
            ]
        )

    def speeds(
        self, u: Float[Array, "chan *cells"], axis: int
    ) -> tuple[Float[Array, "*cells"], Float[Array, "*cells"]]:
        r"""$v_x$ and $c_f^2$."""
        density, velocity, *_, pressure = self.primitive(u)
        return velocity, self._fast_squared(self.gamma * pressure / density, u[4:6], density)

    def _fast_squared(self, sound_squared: Array, field: Array, density: Array) -> Array:
        across = _square(field) / density
        both = across + self.normal_field**2 / density
        # Both squares are at least 0: nothing cancels where waves are nearly as fast as others.
        root = jnp.sqrt(floored((sound_squared - both) ** 2 + 4 * sound_squared * across, None))
        return 0.5 * (sound_squared + both + root)

    def signal(self, u: Float[Array, "chan *places"], axis: int, delta: float = 0.0) -> Signal:
        r"""$v_x \mp c_f$."""
        along, square = self.speeds(u, axis)
        fast = jnp.sqrt(square)
        return Signal(along, fast, fast)

    def mean_signal(self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int) -> Signal:
        r"""$\tilde v_x \mp \tilde c_f$ of Roe's mean: with $s = \sqrt{\rho^-} / (\sqrt{\rho^-} + \sqrt{\rho^+})$ velocities and
        enthalpy $(E + p_*)/\rho$ are means with the shares $s$ and $1 - s$, the field with $1 - s$ and $s$, the density is
        $\sqrt{\rho^- \rho^+}$, and $\tilde a^2 = (\gamma - 1)\big(\tilde H - \tfrac12 |\tilde v|^2 - |\tilde B|^2/\tilde\rho\big)
        + (2 - \gamma)\,|B^+ - B^-|^2 / 2 (\sqrt{\rho^-} + \sqrt{\rho^+})^2$. It has the exact speed of a single fast shock.

        **Reference:** Cargo and Gallice (1997), J. Comput. Phys. 136, 446-466, section 3."""
        a, b = self.primitive(left), self.primitive(right)
        roots = jnp.sqrt(a[0]), jnp.sqrt(b[0])
        both = roots[0] + roots[1]
        share = roots[0] / both
        density = roots[0] * roots[1]
        velocity = share * a[1:4] + (1 - share) * b[1:4]
        field = (1 - share) * a[4:6] + share * b[4:6]
        of_left, of_right = (
            (u[6] + state[6] + self._magnetic(state[4:6])) / state[0] for u, state in ((left, a), (right, b))
        )
        enthalpy = share * of_left + (1 - share) * of_right
        jump = _square(b[4:6] - a[4:6]) / (2 * both**2)
        heat = enthalpy - 0.5 * _square(velocity) - 2 * self._magnetic(field) / density
        floor = None if self.pressure_floor is None else self.gamma * self.pressure_floor / density
        sound_squared = floored((self.gamma - 1) * heat + (2 - self.gamma) * jump, floor)
        fast = jnp.sqrt(self._fast_squared(sound_squared, field, density))
        return Signal(velocity[0], fast, fast)

    def parity(self, axis: int) -> tuple[float, ...]:
        """A wall is a mirror: the momentum normal to it changes sign, and so does the field along it, an axial vector."""
        return (1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0)

    def positive(self, u: Float[Array, "chan *cells"]) -> tuple[Float[Array, "*cells"], ...]:
        r"""Density, and $\rho e = E - |\rho v|^2 / 2\rho - \tfrac12 |B|^2$, without floors where the density is positive."""
        density = floored(u[0], self.density_floor)
        return u[0], u[6] - 0.5 * _square(u[1:4]) / density - self._magnetic(u[4:6])

    @property
    def speed_powers(self) -> tuple[int, ...]:
        """Momenta and fields grow as speeds, pressure and energy as their squares."""
        return (0, 1, 1, 1, 1, 1, 2)

    def faster(self, factor: float | Float[Array, ""]) -> "MHD":
        """The field grows as speeds do."""
        return dataclasses.replace(self, normal_field=self.normal_field * factor)

    def quantities(self, u: Float[Array, "chan *cells"]) -> dict[str, Float[Array, "*cells"]]:
        """The primitive values."""
        names = ("density", "velocity x", "velocity y", "velocity z", "field y", "field z", "pressure")
        return dict(zip(names, self.primitive(u), strict=True))


def _square(vector: Float[Array, "dim *cells"]) -> Float[Array, "*cells"]:
    return jnp.sum(vector * vector, axis=0)


def plasma(gamma: float, normal_field: float) -> MHD:
    """Constants as arrays, so that one compiled program serves tubes of all."""
    return MHD(gamma=jnp.asarray(gamma, float), normal_field=jnp.asarray(normal_field, float))


def random_plasma(key: Key, *, gamma: float = 1.4) -> PiecewiseStates:
    r"""A random Riemann problem with a wave in the density, on (0, 1), meant for times up to 0.2.

    The fastest wave of the initial states crosses the domain once in 2/3 to 5/4 of a unit of time. Densities are log-uniform
    in (1/8, 1), pressures in (1/10, 1); with $b^2$ the mean pressure, $B_x$ is uniform in $(0, 3b/2)$ and the components of
    the field across are normal with standard deviation $b$, the same on either side in one problem of four. Velocities are
    normal with standard deviations of 1/2 (along x) and 1/4 (across) of the fast speed; waves have relative amplitudes of up
    to 0.3 (none in one problem of four) and one to six periods in the domain. The diaphragm stands between 0.3 and 0.7.

    **Arguments:** `key`; `gamma`, default 1.4. Jittable; `vmap` over keys for a batch.
    """
    keys = iter(jax.random.split(key, 11))

    def uniform(low, high, shape=()):
        return jax.random.uniform(next(keys), shape, minval=low, maxval=high)

    density = jnp.exp(uniform(math.log(1 / 8), 0.0, (2,)))
    pressure = 10 ** (-uniform(0.0, 1.0, (2,)))
    strength = jnp.sqrt(jnp.mean(pressure))
    normal = strength * uniform(0.0, 1.5)
    field = strength * jax.random.normal(next(keys), (2, 2))
    field = jnp.where(uniform(0.0, 1.0) < 0.75, field, field[0])
    turns = jax.random.normal(next(keys), (2, 3)) * jnp.asarray([0.5, 0.25, 0.25])
    states = jnp.concatenate([density[:, None], jnp.zeros((2, 3)), field, pressure[:, None]], axis=1)
    law = MHD(gamma=jnp.asarray(gamma, float), normal_field=normal)
    fast = jnp.sqrt(law.speeds(law.conserved(states.T), 0)[1])
    velocity = turns * fast[:, None]
    factor = uniform(0.8, 1.5) / jnp.max(jnp.abs(velocity[:, 0]) + fast)
    powers = jnp.asarray([factor**power for power in law.speed_powers])
    states = states.at[:, 1:4].set(velocity) * powers
    wavy = uniform(0.0, 1.0) < 0.75
    amplitudes = jnp.where(wavy, uniform(0.0, 0.3, (2,)), 0.0)
    along = uniform(0.0, 1.0, (3,))
    return PiecewiseStates(
        law.faster(factor),
        jnp.concatenate([states, states[1:]]),
        jnp.stack([0.3 + 0.4 * along[0], jnp.ones(())]),
        amplitudes=jnp.concatenate([amplitudes, amplitudes[1:]]),
        wavenumber=2 * math.pi * (1 + jnp.floor(6 * along[1])),
        phase=2 * math.pi * along[2],
    )


_UNIT = 1 / math.sqrt(4 * math.pi)  # of fields that are stated in Gaussian units

MHD_CASES: dict[str, PiecewiseCase] = {
    "brio_wu": PiecewiseCase(
        partial(plasma, 2.0, 0.75),
        ((1, 0, 0, 0, 1, 0, 1), (0.125, 0, 0, 0, -1, 0, 0.1)),
        (0.5,),
        (0.0, 1.0),
        0.1,
        "Brio and Wu (1988), section 5",
        cells=400,
        reference="fine",
    ),
    "ryu_jones": PiecewiseCase(
        partial(plasma, 5 / 3, 2 * _UNIT),
        ((1.08, 1.2, 0.01, 0.5, 3.6 * _UNIT, 2 * _UNIT, 0.95), (1, 0, 0, 0, 4 * _UNIT, 2 * _UNIT, 1)),
        (0.5,),
        (0.0, 1.0),
        0.2,
        "Ryu and Jones (1995), figure 2a",
        cells=400,
        reference="fine",
    ),
}
"""Problems of ideal magnetohydrodynamics in one dimension, by name."""

ENTRY = LawEntry(
    MHD,
    "ideal magnetohydrodynamics in one dimension; constants: gamma, normal_field",
    Problems(
        "mhd cases",
        MHD_CASES,
        family="mhd",
        random=random_plasma,
        held_out=HeldOut("random Riemann problems of a magnetised gas, with density waves, that no training sees"),
        named="tubes of magnetised gas, to their own end times",
        play=Play(
            "MHD", "magnetohydrodynamics in one dimension: Brio and Wu's tube", "brio_wu", 128, 1e-3, 100, "ssp_rk3"
        ),
    ),
)
"""The law and what it brings along."""
