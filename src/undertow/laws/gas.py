r"""What laws of an ideal gas share: what has to stay positive, and from below which values nothing is computed."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
import dataclasses
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.laws.fluid import AbstractFluid
from undertow.laws.law import Floor, floored, relative_floor
from undertow.numerics.reductions import largest, smallest


class AbstractGas(AbstractFluid):
    r"""A law of an ideal gas, $p = (\gamma - 1)\,\rho e$, whose first component is the density $\rho$ and whose last is the total
    energy $E$ per volume; $p$ is the last of its primitive values.

    - `gamma` $\gamma > 1$: ratio of specific heats.
    - `density_floor`, `pressure_floor`: from below which values count as the floor wherever they are needed; None: relative to
        the problem, see `relative_to`.
    """

    gamma: eqx.AbstractVar[float | Float[Array, ""]]
    density_floor: eqx.AbstractVar[Floor]
    pressure_floor: eqx.AbstractVar[Floor]

    @abc.abstractmethod
    def primitive(self, u: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Conserved values to primitive ones: density first, pressure last, neither below its floor."""

    @property
    def judged(self) -> tuple[int, ...]:
        """Density, which sees shocks, rarefactions and contacts, and has one unit."""
        return (0,)

    @property
    def positive_names(self) -> tuple[str, ...]:
        return ("density", "pressure")

    def extremes(self, u: Float[Array, "chan *cells"]) -> dict[str, Float[Array, ""]]:
        """The least pressure, without the floor that velocity and sound speed need."""
        return {"minimum_pressure": (self.gamma - 1) * smallest(self.positive(u)[1])}

    def relative_to(self, u: Float[Array, "chan *cells"], share: float | None = None) -> Self:
        r"""This gas with floors relative to the state `u`: $10^{-10} \max\rho$ and $10^{-12} \max p$, or a hundredth of the
        smallest positive density and pressure where those are less. Without any pressure it is $10^{-12} (\gamma - 1) \max E$.
        With a `share` it stands in place of both. Floors that are numbers already stay."""
        if self.density_floor is not None and self.pressure_floor is not None:
            return self
        shares = (1e-10, 1e-12) if share is None else (share, share)
        density = relative_floor(u[0], shares[0]) if self.density_floor is None else self.density_floor
        pressure = self.pressure_floor
        if pressure is None:
            values = dataclasses.replace(self, density_floor=density, pressure_floor=0.0).primitive(u)[-1]
            # A gas without any pressure has that of its energy's last digits.
            energy = jax.lax.stop_gradient(shares[1] * (self.gamma - 1) * largest(u[-1]))
            pressure = jnp.where(largest(values) > 0, relative_floor(values, shares[1]), floored(energy, None))
        return dataclasses.replace(self, density_floor=density, pressure_floor=pressure)
