"""Gas dynamics beside a peer in the same run: `python -m benchmarks peers`.

The peer is pyro, a finite-volume code compiled by numba. It is looked for in the interpreter that UNDERTOW_PEER_PYTHON names
(`python -m venv peer && peer/bin/pip install pyro-hydro scipy`), or in this one; without it the rows say so.

Every code runs the same problem on the same cells to the same end, with its own time steps: a vortex that is carried once around
a periodic box, and Sod's tube along the first axis of a plane. Errors are those of the density at the end, L1, against the exact
solution: point values for undertow, whose schemes are finite differences, cell averages for pyro. Threads are as both take them:
XLA uses the cores there are, numba's code here is serial.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import PEER, in_fresh_process, median_seconds, peak_memory_mb, write
from undertow.envs.placing import boundaries_of, coordinates, grid_of, point_values
from undertow.laws.exact import exact_solution
from undertow.laws.fields import AbstractField
from undertow.laws.planes import plane_case
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import SSPRK3
from undertow.numerics.timestep import FixedStep
from undertow.schemes.riemann import RiemannScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import WenoJS

PYRO_SOLVERS = ("compressible", "compressible_rk", "compressible_fv4")
OURS = ("component", "characteristic", "hllc")
CFL = 0.8  # of all our schemes; the sum over the axes of speed * dt / dx
# Where a cell is averaged: Gauss-Legendre points, enough for the vortex; the tube is cut into many thin slices instead.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)
SLICES = 64


class Problem:
    """A field on its grid, to its end time."""

    def __init__(self, name: str):
        self.name = name
        if name == "vortex":
            self.field, self.end_time, cells = plane_case("vortex").field(), 10.0, 64
        else:
            self.field, self.end_time, cells = plane_case("1d-sod-x").field(), 0.2, 200
        assert isinstance(self.field, AbstractField)
        self.grid = grid_of(self.field, cells)
        if name == "sod":  # a strip: nothing happens across it
            x0, x1 = self.grid.lower[0], self.grid.upper[0]
            self.grid = UniformGrid((cells, 16), (x0, self.grid.lower[1]), (x1, self.grid.lower[1] + 16 * self.grid.dx))

    def averages(self, at: float) -> np.ndarray:
        """Cell averages of the exact solution, `"chan *cells"`."""
        dx, x = self.grid.dx, coordinates(self.grid)
        if self.name == "vortex":
            offsets = [
                (a, b, wa * wb / 4)
                for a, wa in zip(NODES, WEIGHTS, strict=True)
                for b, wb in zip(NODES, WEIGHTS, strict=True)
            ]
        else:
            offsets = [((2 * k + 1) / SLICES - 1, 0.0, 1 / SLICES) for k in range(SLICES)]
        solve_at = jax.jit(
            lambda a, b: exact_solution(self.field.law, self.field, (x[0] + a, x[1] + b), jnp.asarray(at))
        )
        return sum(weight * np.asarray(solve_at(a * dx / 2, b * dx / 2)) for a, b, weight in offsets)

    def points(self, at: float) -> np.ndarray:
        """The exact solution at the cell centres."""
        return np.asarray(exact_solution(self.field.law, self.field, coordinates(self.grid), jnp.asarray(at)))

    def error(self, density: np.ndarray, truth: np.ndarray) -> float:
        """The mean of the density's error."""
        return float(np.mean(np.abs(density - truth[0])))


def ours(kind: str, name: str) -> dict:
    """One of our schemes with SSP-RK3, in float64."""
    problem = Problem(name)
    law, grid = problem.field.law, problem.grid
    ends = boundaries_of(problem.field, 4)
    scheme = RiemannScheme(law, grid, ends) if kind == "hllc" else SemiDiscrete(law, grid, ends, reconstruction=kind)
    u0 = point_values(problem.field, grid)
    # The largest speed of the exact solution, so that a fixed step does for the whole way.
    speed = max(
        float(sum(jnp.max(law.max_speed(jnp.asarray(problem.points(at)), axis)) for axis in range(2)))
        for at in np.linspace(0, problem.end_time, 5)
    )
    steps = int(np.ceil(problem.end_time * speed / (CFL * grid.dx)))
    rule, weights = FixedStep(problem.end_time / steps), None if kind == "hllc" else WenoJS(5)
    run = jax.jit(lambda u: solve(scheme, weights, u, steps=steps, time_step=rule, integrator=SSPRK3()).values[-1])
    begun = time.perf_counter()
    compiled = run.lower(u0).compile()
    compile_seconds = time.perf_counter() - begun
    seconds = median_seconds(lambda: compiled(u0), 5)
    error = problem.error(np.asarray(compiled(u0))[0], problem.points(problem.end_time))
    label = "WENO5 and HLLC" if kind == "hllc" else f"WENO5-JS, {kind}"
    return {
        "problem": name,
        "code": f"undertow, {label}",
        "cells": list(grid.num_cells),
        "steps": steps,
        "seconds": seconds,
        "million_cell_steps_per_second": np.prod(grid.num_cells) * steps / seconds / 1e6,
        "l1_error": error,
        "compile_seconds": compile_seconds,
        "peak_memory_mb": peak_memory_mb(),
    }


def pyro(solver: str, name: str) -> dict:
    """One of pyro's solvers."""
    problem = Problem(name)
    grid = problem.grid
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "start.npz", Path(folder) / "end.npz"
        np.savez(
            source,
            start=problem.averages(0.0),
            bounds=np.stack([grid.lower, grid.upper], axis=1),
            periodic=name == "vortex",
            end_time=problem.end_time,
            gamma=float(problem.field.law.gamma),
        )
        script = Path(__file__).with_name("peer_pyro.py")
        done = subprocess.run([PEER, str(script), solver, str(source), str(target)], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"problem": name, "code": f"pyro, {solver}", "not_measured": last}
        found = json.loads(done.stdout.splitlines()[-1])
        end = np.load(target)["end"]
    return {
        "problem": name,
        "code": f"pyro {found['version']}, {solver}",
        "cells": list(grid.num_cells),
        "steps": found["steps"],
        "seconds": found["seconds"],
        "million_cell_steps_per_second": np.prod(grid.num_cells) * found["steps"] / found["seconds"] / 1e6,
        "l1_error": problem.error(end[0], problem.averages(problem.end_time)),
        "compile_seconds": found["first_run_seconds"] - found["seconds"],
        "peak_memory_mb": found["peak_memory_mb"],
    }


MEASUREMENTS = {"ours": ours, "pyro": pyro}


def table() -> None:
    """Gas dynamics beside pyro (pip install pyro-hydro scipy; UNDERTOW_PEER_PYTHON names its interpreter): seconds and errors."""
    asked = [
        (who, kind, name)
        for name in ("vortex", "sod")
        for who, kinds in (("ours", OURS), ("pyro", PYRO_SOLVERS))
        for kind in kinds
    ]
    write("peers", [in_fresh_process("peers", *each) for each in asked])


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    who, kind, name = sys.argv[1:]
    print(json.dumps(MEASUREMENTS[who](kind, name)))
