"""What one run of the plain solver found: states, errors, files."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._io import atomic_write_text
from undertow._types import ArrayLike, Metrics
from undertow.envs.placing import coordinates
from undertow.laws.cases import Initial
from undertow.laws.exact import exact_solution
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.grid import UniformGrid
from undertow.numerics.norms import l1, l2, linf, total_variation


def quantities(law: AbstractConservationLaw, u: ArrayLike) -> dict[str, Float[np.ndarray, "*cells"]]:
    """What the `law` says is to be looked at in a state, by name, as arrays of NumPy; `u`: conserved point values."""
    return {name: np.asarray(values) for name, values in law.quantities(jnp.asarray(u)).items()}


@dataclass(frozen=True, eq=False)
class Simulation:
    """What came out: `times: "saved"`, `values: "saved chan *cells"`; `exact`, the same, where there is one.

    The first saved state is the initial one. `initial`: the condition it started from; `law`, `grid`: what was solved, and
    where; `steps`: time steps taken; `seconds`: without compiling; `notes`: sentences for people, such as why there are no
    errors, or that the last state is not physical.
    """

    initial: Initial
    law: AbstractConservationLaw
    grid: UniformGrid
    times: Float[np.ndarray, " saved"]
    values: Float[np.ndarray, "saved chan *cells"]
    exact: Float[np.ndarray, "saved chan *cells"] | None
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def x(self) -> Float[np.ndarray, " cells"]:
        """The cell centres along the first axis; `grid.centers(axis)` has those of the others."""
        return self.grid.centers()

    def quantities(self, saved: int = -1) -> dict[str, Float[np.ndarray, "*cells"]]:
        """What to look at in a saved state, by name: of a gas density, velocity, pressure and internal energy."""
        return quantities(self.law, self.values[saved])

    def truth(
        self, saved: int = -1, points: int = 1024
    ) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "chan points"]] | None:
        """The exact solution in one dimension as a line: points and values, of a system between the cells, too.

        None where there is none. For a scalar condition the points are the cell centres: the exact solver of Burgers' equation
        takes longer to compile than the line is worth.
        """
        if self.exact is None or self.grid.num_axes > 1:
            return None
        if not isinstance(self.initial, AbstractField):
            return self.x, self.exact[saved]
        line = np.linspace(self.grid.lower[0], self.grid.upper[0], points)
        return line, np.asarray(_solve(self.law, self.initial, (line,), np.asarray(self.times[saved])))

    def metrics(self) -> Metrics:
        """Of the last state, by name.

        Errors against the exact solution (`l1_error`, ...), `total_variation`, `minimum` and `maximum` over the components
        that the law is judged by (density of a gas, depth of water, otherwise all); for a gas the `minimum_pressure`; the
        change of the integral over the domain, `mass_change`, of a system one per component, such as
        `change_of_momentum_x`, with what flowed through open boundaries; `time`, `steps`, `seconds`.
        """
        judged, volume = list(self.law.judged), self.grid.cell_volume
        last = jnp.asarray(self.values[-1])
        u = last[jnp.asarray(judged)]
        metrics: Metrics = {"time": self.times[-1], "steps": self.steps, "seconds": self.seconds}
        if self.exact is not None:
            error = u - jnp.asarray(self.exact[-1][judged])
            metrics |= {"l1_error": l1(error, volume), "l2_error": l2(error, volume), "linf_error": linf(error)}
        metrics |= {"total_variation": total_variation(u), "minimum": u.min(), "maximum": u.max()}
        metrics |= self.law.extremes(last)
        changes = (self.values[-1] - self.values[0]).reshape(len(last), -1).sum(axis=1) * volume
        names = [f"change_of_{name.replace(' ', '_')}" for name in self.law.component_names]
        metrics |= dict(zip(names if len(names) > 1 else ["mass_change"], changes, strict=True))
        return {name: value if name == "steps" else float(value) for name, value in metrics.items()}

    def to_csv(self, path: Path | str) -> None:
        """Write time, coordinates and values of every cell at every saved time, atomically.

        A column per component; of a gas or of water one per other quantity to look at, too; then the exact values of the same.
        """
        axes = "xyz"[: self.grid.num_axes]
        places = [np.asarray(each).ravel() for each in coordinates(self.grid)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [name.replace(" ", "_") for name in self._columns(self.values[0])]
        exact = ["exact"] if len(names) == 1 else [f"exact_{name}" for name in names]
        writer.writerow(["time", *axes, *names] + ([] if self.exact is None else exact))
        for index, saved in enumerate(self.times):
            columns = [*places, *self._columns(self.values[index]).values()]
            columns += [] if self.exact is None else [*self._columns(self.exact[index]).values()]
            rows = zip(*map(np.ravel, columns), strict=True)
            writer.writerows([repr(float(saved)), *map(repr, map(float, row))] for row in rows)
        atomic_write_text(path, text.getvalue())

    def _columns(self, u: np.ndarray) -> dict[str, np.ndarray]:
        # Where both have a name, the component: it has no floor.
        components = dict(zip(self.law.component_names, u, strict=True))
        return {**components, **{name: v for name, v in quantities(self.law, u).items() if name not in components}}


def exact_states(
    law: AbstractConservationLaw, initial: Initial, grid: UniformGrid, times: Float[np.ndarray, " saved"]
) -> Float[np.ndarray, "saved chan *cells"]:
    """The exact solution at the cell centres at some times. Raises as [`exact_solution`][undertow.laws.exact.exact_solution]."""
    centers = [np.asarray(grid.centers(axis), jnp.result_type(float)) for axis in range(grid.num_axes)]
    x = tuple(np.meshgrid(*centers, indexing="ij"))
    values = np.stack([np.asarray(_solve(law, initial, x, np.asarray(time))) for time in times])
    return values.reshape(len(times), law.num_components, *grid.num_cells)


@eqx.filter_jit
def _solve(law: AbstractConservationLaw, initial: Initial, x: Any, time: np.ndarray) -> Array:
    return exact_solution(law, initial, x, time)
