r"""Grid convergence: errors against cell size, with the time step tied to it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from undertow._checks import lookup, require, require_positive, whole_number
from undertow._io import atomic_write_text, to_json
from undertow._limits import out_of_memory_told, require_memory
from undertow.core.policy import AbstractPolicy
from undertow.envs.needs import march_memory
from undertow.envs.placing import boundaries_of
from undertow.envs.truth import batches, common_form, exact_values
from undertow.evaluation.evaluate import check_orders
from undertow.evaluation.statistics import geometric_mean as _geometric_mean
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.conditions import AbstractCondition
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS, AbstractIntegrator
from undertow.numerics.norms import l1, l2, linf
from undertow.numerics.timestep import CFLStep
from undertow.schemes.march import march, relative_to
from undertow.schemes.semidiscrete import SemiDiscrete

if TYPE_CHECKING:
    from rich.table import Table

CELLS = (64, 82, 108, 128, 144, 192, 256)
"""The published study's numbers of cells."""
Norm = Literal["l1", "l2", "linf"]


@dataclass(frozen=True, eq=False)
class Grid:
    """One resolution.

    `x` and `exact`, `"cells"`; `values` of every policy, `"cells"`, NaN if it did not reach the end; `steps` it took.
    """

    x: Float[np.ndarray, " cells"]
    exact: Float[np.ndarray, " cells"]
    values: Mapping[str, Float[np.ndarray, " cells"]]
    steps: Mapping[str, int]

    def error(self, policy: str, norm: Norm) -> float:
        """The distance to the exact solution."""
        error, dx = jnp.asarray(self.values[policy] - self.exact)[None], float(self.x[1] - self.x[0])
        return float(linf(error) if norm == "linf" else {"l1": l1, "l2": l2}[norm](error, dx))


@dataclass(frozen=True, eq=False)
class Convergence:
    """Errors of policies on ever finer grids: `case`, `end_time`, `cells`, and what was computed on each of them."""

    case: str
    end_time: float
    cells: tuple[int, ...]
    grids: tuple[Grid, ...]

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the policies."""
        return tuple(self.grids[0].values)

    def errors(self, policy: str, norm: Norm = "l2") -> Float[np.ndarray, " grids"]:
        """The error on every grid."""
        lookup("policy", policy, self.grids[0].values)
        return np.array([grid.error(policy, norm) for grid in self.grids])

    def orders(self, policy: str, norm: Norm = "l2") -> Float[np.ndarray, " grids-1"]:
        r"""Observed orders between neighbouring grids, $\log(e_1/e_2) / \log(N_2/N_1)$."""
        return observed_orders(self.cells, self.errors(policy, norm))

    def table(self, norm: Norm = "l2") -> Table:
        """Errors and observed orders, as a table for the terminal."""
        from rich.table import Table

        table = Table(title=f"{self.case}, t = {self.end_time:g}: {norm} error and observed order")
        table.add_column("cells", justify="right")
        for policy in self.policies:
            table.add_column(policy, justify="right")
            table.add_column("order", justify="right")
        for place, cells in enumerate(self.cells):
            row = [str(cells)]
            for policy in self.policies:
                order = f"{self.orders(policy, norm)[place - 1]:.2f}" if place else ""
                row += [f"{self.errors(policy, norm)[place]:.3e}", order]
            table.add_row(*row)
        return table

    def rows(self) -> list[dict[str, float | int | str]]:
        """One dictionary per policy and grid."""
        return [
            {
                "case": self.case,
                "policy": policy,
                "cells": cells,
                "steps": grid.steps[policy],
                **{norm: grid.error(policy, norm) for norm in ("l1", "l2", "linf")},
            }
            for policy in self.policies
            for cells, grid in zip(self.cells, self.grids, strict=True)
        ]

    def to_csv(self, path: Path | str) -> None:
        """Write one line per policy and grid, atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows()[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        atomic_write_text(path, text.getvalue())

    def to_json(self, path: Path | str) -> None:
        """Write the same as JSON, atomically. What is not finite becomes the string "nan"."""
        atomic_write_text(path, to_json({"case": self.case, "end_time": self.end_time, "grids": self.rows()}) + "\n")


def observed_orders(cells: Sequence[int], errors: Sequence[float] | np.ndarray) -> Float[np.ndarray, " grids-1"]:
    r"""$\log(e_1/e_2) / \log(N_2/N_1)$ between neighbouring grids."""
    sizes, errors = np.asarray(cells, float), np.asarray(errors, float)
    return np.log(errors[:-1] / errors[1:]) / np.log(sizes[1:] / sizes[:-1])


def geometric_mean(studies: Sequence[Convergence], policy: str, norm: Norm = "l2") -> Float[np.ndarray, " grids"]:
    """The geometric mean of a policy's errors over several cases on the same grids."""
    require(len(studies) > 0, "a mean needs at least one convergence study, got none")
    require(len({study.cells for study in studies}) == 1, "convergence studies of other grids have no common mean")
    return _geometric_mean(np.asarray([study.errors(policy, norm) for study in studies]))


@out_of_memory_told("fewer cells")
def convergence(
    policies: Mapping[str, AbstractPolicy],
    case: str | AbstractCondition = "gaussian",
    *,
    cells: Sequence[int] = CELLS,
    end_time: float = 0.05,
    cfl: float = 0.5,
    integrator: str | AbstractIntegrator = "rk4",
    order: int = 5,
    law: AbstractConservationLaw | None = None,
) -> Convergence:
    r"""Solve one case on several grids and compare with the exact solution.

    The time step follows the grid, $\Delta t = C\,\Delta x/\max|\lambda|$. The defaults are the published study's. With
    a method of order $q$ in time the error is at best of the order $\min(2r-1, q)$ for ever finer grids; a small
    Courant number keeps the error in time out of sight for longer.

    **Arguments:** `policies` by name; `case`: a named Burgers condition, or a condition; `cells`: at least two, rising;
    `end_time`; `cfl` $C$; `integrator`: a name out of `INTEGRATORS`, or an integrator; `order` of the scheme; `law`
    (default `Burgers()`), which must have an exact solution.

    **Returns:** `Convergence`. A policy whose result does not stay finite, or does not reach the end, is NaN there.

    **Raises:** `UndertowError` for unknown names, grids that do not rise, or a Courant number that is not positive or
    far above 1.
    """
    require(len(policies) > 0, "convergence needs at least one policy, got none")
    check_orders(policies, order)
    cells = tuple(whole_number("cells", count) for count in cells)
    rising = all(a < b for a, b in itertools.pairwise(cells))
    require(len(cells) >= 2 and rising, f"cells must be at least two rising numbers, got {cells}")
    end_time, cfl = require_positive("end_time", end_time), require_positive("cfl", cfl)
    require(cfl <= 2, f"cfl must not lie far above 1, got {cfl}")
    method = lookup("integrator", integrator, INTEGRATORS) if isinstance(integrator, str) else integrator
    law = Burgers() if law is None else law
    require_memory(march_memory(max(cells), law.num_components, 1, "cells"))
    condition = burgers_condition(case) if isinstance(case, str) else case
    # The common form: exact solutions of all named cases then share one compiled program.
    (batch, _), *_ = batches([common_form(condition)])
    grids = []
    for count in cells:
        grid = UniformGrid(count, *condition.domain)
        scheme = SemiDiscrete(law, grid, boundaries_of(condition, (order + 1) // 2 + 1), order=order)
        end, x = jnp.asarray(end_time), jnp.asarray(grid.centers())
        rule, u0 = CFLStep(jnp.asarray(cfl), end, grid.dx), condition(x)[None]
        values, steps = {}, {}
        for name, policy in policies.items():
            own, unit = relative_to(scheme, policy, u0)
            u, time, taken = march(
                own, policy, u0, jnp.zeros(()), end_time=end, time_step=rule, integrator=method, unit=unit
            )
            arrived = float(time) >= end_time * (1 - 1e-6)
            values[name] = np.where(arrived, np.asarray(u[0]), np.nan)
            steps[name] = int(taken)
        exact = np.asarray(exact_values(law, batch, x, end_time))[0]
        grids.append(Grid(np.asarray(x), exact, values, steps))
    name = case if isinstance(case, str) else type(case).__name__
    return Convergence(name, float(end_time), cells, tuple(grids))
