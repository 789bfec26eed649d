r"""Initial point values of systems: functions that know their law, their domain, their boundary and, if there is one, their
exact solution."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
import math
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, is_traced, require
from undertow._types import ArrayLike, Scalar
from undertow.laws.conditions import AbstractCondition, as_float
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.inflow import AbstractInflow

PIECES = 3
"""Pieces of every named problem of piecewise states, so that they share one structure."""


class AbstractField(eqx.Module):
    r"""Initial values of a system on an interval or a box.

    - `law`: the conservation law they are meant for, with its constants.
    - `lower`, `upper`: the ends of the domain, one number per axis; static.
    - `periodic`, `reflective`: what happens beyond the domain, one number per axis, 1.0 or 0.0; where neither is 1, values
        continue as the edge cell's (outflow). Arrays, so that they may differ within a batch. `reflective` may have one
        number per axis and end, too: `"axes 2"`, the lower end first.
    """

    law: eqx.AbstractVar[AbstractConservationLaw]
    lower: eqx.AbstractVar[tuple[float, ...]]
    upper: eqx.AbstractVar[tuple[float, ...]]
    periodic: eqx.AbstractVar[Float[Array, " axes"]]
    reflective: eqx.AbstractVar[Float[Array, " axes"] | Float[Array, "axes ends"]]

    @abc.abstractmethod
    def __call__(self, *x: Float[Array, "*cells"]) -> Float[Array, "chan *cells"]:
        """Conserved point values; one array of coordinates per axis, all of the shape of the cells."""

    @property
    def inflow(self) -> AbstractInflow | None:
        """What is prescribed beyond parts of the boundary, for [`SemiDiscrete`][undertow.schemes.semidiscrete.SemiDiscrete];
        nothing by default."""
        return None

    @property
    def line(self) -> AbstractCondition | None:
        """The scalar condition in one dimension of which this is nothing but a copy along an axis; usually None."""
        return None

    def shared_form(self) -> Self:
        """The same in the structure that all named problems of its kind have, so that they share a batch and a program."""
        return self

    @property
    def solvable(self) -> bool:
        """Whether `exact` knows the solution."""
        return False

    def exact(self, *x: Float[Array, "*cells"], time: ArrayLike) -> Float[Array, "chan *cells"]:
        """Conserved point values of the exact solution at `time`. Raises `UndertowError` where there is none."""
        raise UndertowError(f"{type(self).__name__} has no exact solution; compare with a finer grid (truth='fine')")


class PiecewiseStates(AbstractField):
    r"""A constant state on every piece of an interval, of which the first component may wave: of a gas in one dimension

    $$\rho(x) = \rho_i\,(1 + a_i \sin(k x + \varphi)), \qquad v(x) = v_i, \qquad p(x) = p_i \quad \text{on piece } i .$$

    Riemann problems, shock tubes with several diaphragms, shocks that meet entropy waves and travelling density waves are all
    of this form, so that one compiled program serves a batch of all of them. At a jump the value is the one to its left.

    **Arguments:**

    - `law`: in one dimension, such as [`Euler`][undertow.laws.euler.Euler].
    - `states`: primitive values of the pieces, `"pieces chan"`: what `law.conserved` takes, of a gas density, velocity, pressure.
    - `positions`: where they meet, sorted, `"pieces-1"`.
    - `amplitudes`: $a$, one per piece (default 0); `wavenumber`: $k$, radians per length; `phase`: $\varphi$, radians.
    - `domain`: default (0, 1); `periodic`, `reflective`: 1.0 or 0.0 (default 0.0: outflow).
    - `riemann`: whether the exact solution is that of the Riemann problem of the first two pieces (waves absent, and nothing
        else in reach), or for a `periodic` gas the density carried along at the first piece's velocity; static.
    """

    law: AbstractConservationLaw
    states: Float[Array, "pieces chan"] = eqx.field(converter=as_float)
    positions: Float[Array, " breaks"] = eqx.field(converter=as_float)
    amplitudes: Float[Array, " pieces"]
    wavenumber: Scalar
    phase: Scalar
    periodic: Float[Array, " axes"]
    reflective: Float[Array, " axes"]
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    riemann: bool = eqx.field(static=True)

    def __init__(
        self,
        law: AbstractConservationLaw,
        states: ArrayLike,
        positions: ArrayLike,
        *,
        amplitudes: ArrayLike | None = None,
        wavenumber: ArrayLike = 2 * math.pi,
        phase: ArrayLike = 0.0,
        domain: tuple[float, float] = (0.0, 1.0),
        periodic: ArrayLike = 0.0,
        reflective: ArrayLike = 0.0,
        riemann: bool = False,
    ):
        self.law = law
        self.states, self.positions = as_float(states), as_float(positions)
        pieces = self.states.shape[0]
        require(
            self.states.shape[1:] == (law.num_components,) and self.positions.shape == (pieces - 1,),
            f"states must have shape (pieces, {law.num_components}) and positions (pieces - 1,), got "
            f"{self.states.shape} and {self.positions.shape}",
        )
        self.amplitudes = jnp.zeros(pieces) if amplitudes is None else as_float(amplitudes)
        self.wavenumber, self.phase = as_float(wavenumber), as_float(phase)
        self.periodic, self.reflective = (jnp.broadcast_to(as_float(kind), (1,)) for kind in (periodic, reflective))
        self.lower, self.upper = (float(domain[0]),), (float(domain[1]),)
        self.riemann = riemann
        if riemann and not is_traced(self.periodic):
            closed = bool(jnp.all(self.periodic > 0))
            require(
                closed or pieces > 1,
                "a Riemann problem needs two pieces, got one; give another one, periodic=1.0 or riemann=False",
            )
            require(
                law.has_contact or not closed,
                f"{type(law).__name__} has no contact that would carry a wave along; take riemann=False",
            )
        require(self.lower < self.upper, f"domain must be (x_min, x_max) with x_min < x_max, got {domain!r}")

    def __call__(self, *x):
        return self.law.conserved(self._primitive(x[0]))

    def _primitive(self, x: Array) -> Array:
        piece = jnp.sum(x[..., None] > self.positions, axis=-1)
        state = jnp.moveaxis(self.states[piece], -1, 0)
        wave = 1 + self.amplitudes[piece] * jnp.sin(self.wavenumber * x + self.phase)
        return state.at[0].multiply(wave)

    @property
    def solvable(self) -> bool:
        return self.riemann

    def exact(self, *x, time):
        if not self.riemann:
            return super().exact(*x, time=time)
        states = self.states
        if len(states) > 1:
            states = self.law.riemann(states[0], states[1], x[0], self.positions[0], time)
        if self.law.has_contact:  # on a circle nothing but the wave of its density
            low, high = self.lower[0], self.upper[0]
            carried = self._primitive(low + (x[0] - self.states[0, 1] * time - low) % (high - low))
            states = carried if len(self.states) == 1 else jnp.where(self.periodic > 0, carried, states)
        return self.law.conserved(states)

    def normalised(self, end_time: float, own_end_time: float) -> Self:
        r"""The same problem on the interval (0, 1) to the time `end_time` instead of `own_end_time`.

        Lengths are measured in units of the domain and times such that the end times agree; velocities, pressures and the law's
        constants follow, and the equations do not notice. One compiled program then serves cases of all sizes.
        """
        low, length = self.lower[0], self.upper[0] - self.lower[0]
        factor = own_end_time / (length * end_time)
        return self._changed(
            law=self.law.faster(factor),
            states=self.states * jnp.asarray([factor**power for power in self.law.speed_powers]),
            positions=(self.positions - low) / length,
            wavenumber=self.wavenumber * length,
            phase=self.phase + self.wavenumber * low,
            domain=(0.0, 1.0),
        )

    def shared_form(self) -> Self:
        """The same in `PIECES` pieces."""
        return self.padded(PIECES)

    def padded(self, pieces: int) -> Self:
        """The same with copies of the last piece at the domain's end, so that cases share one structure."""
        more = pieces - self.states.shape[0]
        require(more >= 0, f"there are {self.states.shape[0]} pieces, more than {pieces}")
        return self._changed(
            states=jnp.pad(self.states, ((0, more), (0, 0)), mode="edge"),
            positions=jnp.pad(self.positions, (0, more), constant_values=self.upper[0]),
            amplitudes=jnp.pad(self.amplitudes, (0, more), mode="edge"),
        )

    def _changed(self, **changes: Any) -> Self:
        kept = ("law", "states", "positions", "amplitudes", "wavenumber", "phase", "periodic", "reflective", "riemann")
        return type(self)(
            **{"domain": (self.lower[0], self.upper[0]), **{name: getattr(self, name) for name in kept}, **changes}
        )
