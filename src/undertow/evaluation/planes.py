r"""Policies trained in one dimension, in the plane: error and time beside the classical schemes at equal and doubled cells."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, at_home, require, require_positive
from undertow._io import make_folder
from undertow._types import Metrics
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.placing import boundaries_of, coordinates, grid_of, inflow_of, point_values
from undertow.evaluation.statistics import geometric_mean
from undertow.laws.fields import AbstractField
from undertow.laws.law import Reconstruction
from undertow.laws.planes import plane_case
from undertow.numerics.timestep import CFLStep
from undertow.policies.classical import classical
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.march import march, relative_to
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.reference import sample_centers
from undertow.schemes.semidiscrete import SemiDiscrete

STUDY = ("quadrants-3", "quadrants-4", "quadrants-6", "quadrants-12", "vortex", "kelvin-helmholtz")
"""The cases of the usual study: shocks, shear layers and contacts between quadrants, and two smooth flows."""

References = Mapping[tuple[str, int], Float[np.ndarray, "judged *cells"]]
"""What is true at the end, by case and cells along the first axis."""


@dataclass(frozen=True, eq=False)
class PlaneRun:
    r"""One policy on one case.

    - `case`, `policy`, `cells` (along the first axis), `steps` taken and `seconds` they took, compilation apart.
    - `error`: mean absolute error of the components that the law is judged by (a gas's density) at the end; NaN if the run
        did not reach it.
    - `time`: how far it came; `state`: the values there, `"chan *cells"`.
    """

    case: str
    policy: str
    cells: int
    steps: int
    seconds: float
    error: float
    time: float
    state: Float[np.ndarray, "chan *cells"]


@dataclass(frozen=True, eq=False)
class PlaneTransfer:
    """Runs of several policies on several cases, to be compared with those of the policy called `baseline`."""

    runs: tuple[PlaneRun, ...]
    baseline: str

    def find(self, case: str, policy: str, cells: int) -> PlaneRun:
        """The run of a policy on a case. Raises `UndertowError` if there is none."""
        for run in self.runs:
            if (run.case, run.policy, run.cells) == (case, policy, cells):
                return run
        raise UndertowError(f"no run of {policy} on {case} with {cells} cells; there are those in `runs`")

    def rows(self) -> list[Metrics]:
        """One row per run: what was run, error and seconds, and both over the baseline's at equal cells (None where there is
        none, or a run did not reach the end)."""
        rows: list[Metrics] = []
        for run in self.runs:
            own = self.find(run.case, self.baseline, run.cells)
            row: Metrics = {"case": run.case, "policy": run.policy, "cells": run.cells, "steps": run.steps}
            values = run.seconds, run.error, run.error / own.error, run.seconds / own.seconds
            for name, value in zip(("seconds", "error", "error_ratio", "seconds_ratio"), values, strict=True):
                row[name] = value if math.isfinite(value) else None
            rows.append(row)
        return rows

    def summary(self) -> list[Metrics]:
        """One row per policy and number of cells: geometric means over the cases of error and seconds, as ratios to the
        baseline's at the smallest number of cells, and how many runs did not reach the end."""
        fewest = min(run.cells for run in self.runs)
        rows: list[Metrics] = []
        for policy, cells in dict.fromkeys((run.policy, run.cells) for run in self.runs):
            pairs = [
                (run, self.find(run.case, self.baseline, fewest))
                for run in self.runs
                if (run.policy, run.cells) == (policy, cells)
            ]
            done = [(run, own) for run, own in pairs if math.isfinite(run.error / own.error)]
            row: Metrics = {"policy": policy, "cells": cells, "cases": len(pairs), "unfinished": len(pairs) - len(done)}
            row["error_ratio"] = _geometric([run.error / own.error for run, own in done])
            row["seconds_ratio"] = _geometric([run.seconds / own.seconds for run, own in done])
            rows.append(row)
        return rows

    def save_states(self, path: Path | str) -> None:
        """Write the final values of all runs as single-precision arrays `<case>/<policy>/<cells>` of one `.npz` file."""
        path = at_home(path)
        make_folder(path.parent)
        with np.errstate(over="ignore"):  # a run that blew up becomes infinite
            named: dict[str, Any] = {
                f"{run.case}/{run.policy}/{run.cells}": run.state.astype(np.float32) for run in self.runs
            }
        np.savez_compressed(path, **named)


def plane_environment(
    field: AbstractField,
    cells: int,
    end_time: float,
    *,
    order: int = 5,
    reconstruction: Reconstruction = "characteristic",
    cfl: float = 0.45,
    limiter: PositivityLimiter | None = None,
) -> Conservation:
    """A field's law on its domain in `cells` cells along the first axis, marched by SSP-RK3 with steps of the Courant number
    `cfl` until `end_time`."""
    end_time = require_positive("end_time", end_time)
    grid = grid_of(field, cells)
    scheme = SemiDiscrete(
        field.law,
        grid,
        boundaries_of(field, substencil_width(order) + 1),
        order=order,
        reconstruction=reconstruction,
        limiter=limiter,
        inflow=inflow_of(field),
    )
    return Conservation(scheme, CFLStep(jnp.asarray(cfl), jnp.asarray(end_time), grid.dx))


def run_plane(
    policy: AbstractPolicy, environment: Conservation, u0: Float[Array, "chan *cells"]
) -> tuple[FieldState, int, float]:
    """March values to the end time of a `plane_environment`. Floors and the epsilon of a classical policy are relative to them.

    **Returns:** the last state (which has not reached the end if something stopped being finite, or the steps became a hundred
    times shorter than the first), the steps taken and the seconds they took, compilation apart.
    """
    rule = environment.time_step
    assert isinstance(rule, CFLStep)
    scheme, unit = relative_to(environment.scheme, policy, u0)
    zero, end = jnp.zeros((), u0.dtype), jnp.asarray(rule.end_time, u0.dtype)
    carried = partial(march, scheme, policy, u0, zero, time_step=rule, integrator=environment.integrator, unit=unit)
    jax.block_until_ready(carried(end_time=zero))  # compiles
    begin = time.perf_counter()
    u, reached, steps = jax.block_until_ready(carried(end_time=end))
    return FieldState(u, reached), int(steps), time.perf_counter() - begin


def plane_reference(
    case: str, cells: int, *, factor: int = 5, cfl: float = 0.8, reconstruction: Reconstruction = "characteristic"
) -> Float[np.ndarray, "judged *cells"]:
    """The judged components of a named case at its end time: exact where the exact solution is known, else by WENO5-JS on a
    grid `factor` (odd) times finer.

    **Raises:** `UndertowError` for an unknown case or an even factor, or if the fine run does not reach the end.
    """
    problem = plane_case(case)
    field = problem.field()
    judged = list(field.law.judged)
    if field.solvable:
        x = coordinates(grid_of(field, cells))
        return np.asarray(jax.jit(lambda: field.exact(*x, time=problem.end_time))())[judged]
    require(factor % 2 == 1, f"the factor must be odd so that cell centres stay cell centres, got {factor}")
    environment = plane_environment(field, cells * factor, problem.end_time, reconstruction=reconstruction, cfl=cfl)
    state, _, _ = run_plane(classical("weno-js"), environment, point_values(field, environment.scheme.grid))
    require(
        _finished(state, problem.end_time),
        f"WENO5 stopped at t = {float(state.time):.3g} of case {case} on the fine grid",
    )
    return np.asarray(sample_centers(state.u, factor, environment.scheme.grid.num_axes))[judged]


def load_references(path: Path | str) -> dict[tuple[str, int], np.ndarray]:
    """References stored as arrays `<case>/<cells>` of an `.npz` file. Raises `UndertowError` if there is none."""
    require(Path(path).is_file(), f"no references at {path}; benchmarks/plane_references.py makes them")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {(name.rpartition("/")[0], int(name.rpartition("/")[2])): stored[name] for name in stored.files}
    except Exception as error:  # what NumPy and zipfile raise at other files has no common name
        raise UndertowError(f"{path} holds no references ({error or type(error).__name__})") from error


def transfer_planes(
    policies: Mapping[str, AbstractPolicy],
    cases: Sequence[str] = STUDY,
    cells: Sequence[int] = (64,),
    *,
    references: References | None = None,
    factor: int = 5,
    reconstruction: Reconstruction = "characteristic",
    cfl: float = 0.45,
    baseline: str = "weno-js",
    rivals: Sequence[str] = ("weno-z",),
    doubled: bool = True,
    limiter: PositivityLimiter | None = None,
) -> PlaneTransfer:
    r"""Run policies on problems in the plane, unchanged, beside classical schemes.

    **Arguments:**

    - `policies` by name, each for stencils of its own order (default 5); `cases`: names out of `PLANE_CASES`; `cells` along the
        first axis.
    - `references`: what is true, for cases without an exact solution, as
        [`load_references`][undertow.evaluation.planes.load_references] reads them; where one is missing it is computed on a
        grid `factor` times finer, which takes its time.
    - `reconstruction`: `characteristic` (default) or `component`, of laws for which the former is usual, such as gases; of others
        it is always the latter.
    - `cfl`: Courant number of the time steps, default 0.45; `limiter` of the fluxes, default none.
    - `baseline`, `rivals`: classical schemes to run, too (default WENO5-JS, and WENO-Z); `doubled`: the baseline on twice the
        largest number of cells, too (default True).

    **Returns:** a [`PlaneTransfer`][undertow.evaluation.planes.PlaneTransfer], the doubled baseline in it under its own name.

    **Raises:** `UndertowError` for unknown cases, or a policy that has the name of a classical scheme.
    """
    require(len(cases) > 0 and len(cells) > 0, "a study of planes needs at least one case and one number of cells")
    own = {name: classical(name) for name in (baseline, *rivals)}
    for name in policies:
        require(name not in own, f"{name!r} is one of the classical schemes here; call the policy something else")
    known, runs = dict(references or {}), []
    plan = [(count, {**own, **policies}) for count in cells]
    if doubled and 2 * max(cells) not in cells:
        plan.append((2 * max(cells), {baseline: own[baseline]}))
    for case in cases:
        problem = plane_case(case)
        field = problem.field()
        kind: Reconstruction = reconstruction if field.law.reconstruction == "characteristic" else "component"
        for count, entrants in plan:
            if (case, count) not in known:
                known[case, count] = plane_reference(case, count, factor=factor, reconstruction=kind)
            truth, judged = known[case, count], list(field.law.judged)
            expected = (len(judged), *grid_of(field, count).num_cells)
            require(
                truth.shape == expected,
                f"the reference of {case} with {count} cells has shape {truth.shape} instead of {expected}; make it anew",
            )
            for name, policy in entrants.items():
                environment = plane_environment(
                    field,
                    count,
                    problem.end_time,
                    order=getattr(policy, "order", 5),
                    reconstruction=kind,
                    cfl=cfl,
                    limiter=limiter,
                )
                u0 = point_values(field, environment.scheme.grid)
                state, steps, seconds = run_plane(policy, environment, u0)
                values = np.asarray(state.u)
                error = float(np.mean(np.abs(values[judged] - truth)))
                finished = _finished(state, problem.end_time)
                runs.append(
                    PlaneRun(
                        case, name, count, steps, seconds, error if finished else math.nan, float(state.time), values
                    )
                )
    return PlaneTransfer(tuple(runs), baseline)


def _finished(state: FieldState, end_time: float) -> bool:
    return float(state.time) > end_time * (1 - 1e-6) and bool(jnp.all(jnp.isfinite(state.u)))


def _geometric(values: Sequence[float]) -> float | None:
    return float(geometric_mean(np.asarray(values))) if values else None
