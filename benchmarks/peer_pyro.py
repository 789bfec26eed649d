"""Two problems of gas dynamics by pyro (pyro-hydro on PyPI), for `benchmarks peers`. Runs where pyro is installed, without JAX
or undertow: `python benchmarks/peer_pyro.py SOLVER INPUT.npz OUTPUT.npz` reads cell averages of the conserved values
and writes those at the end, and prints JSON.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time

import numpy as np
import pyro
from pyro.pyro_sim import Pyro

REPEATS = 3
NAMES = ("density", "x-momentum", "y-momentum", "energy")


def main(solver: str, source: str, target: str) -> None:
    """Run to the end, once to compile, then a few times."""
    given = dict(np.load(source))
    start = given["start"]
    nx, ny = start.shape[1:]
    (xmin, xmax), (ymin, ymax) = given["bounds"]
    border = "periodic" if given["periodic"] else "outflow"

    def init(data, parameters) -> None:
        for name, values in zip(NAMES, start, strict=True):
            data.get_var(name).v()[:, :] = values

    inputs = {
        "mesh.nx": nx,
        "mesh.ny": ny,
        "mesh.xmin": xmin,
        "mesh.xmax": xmax,
        "mesh.ymin": ymin,
        "mesh.ymax": ymax,
        **{f"mesh.{axis}{side}boundary": border for axis in "xy" for side in "lr"},
        "driver.tmax": float(given["end_time"]),
        "driver.max_steps": 100_000,
        "driver.fix_dt": -1.0,
        "compressible.grav": 0.0,
        "eos.gamma": float(given["gamma"]),
    }

    def run():
        simulation = Pyro(solver)
        simulation.add_problem("given", init)
        simulation.initialize_problem("given", inputs_dict=inputs)
        begun = time.perf_counter()
        while not simulation.sim.finished():
            simulation.single_step()
        return time.perf_counter() - begun, simulation

    first, _ = run()
    runs = [run() for _ in range(REPEATS)]
    sim = runs[0][1].sim
    np.savez(target, end=np.stack([np.asarray(sim.cc_data.get_var(name).v()) for name in NAMES]), time=sim.cc_data.t)
    seconds = statistics.median(each[0] for each in runs)
    print(
        json.dumps(
            {
                "version": pyro.__version__,
                "steps": int(sim.n),
                "seconds": seconds,
                "first_run_seconds": first,
                "cfl": float(sim.rp.get_param("driver.cfl")),
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    paths = [os.path.abspath(each) for each in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # it writes its inputs where it is
        main(sys.argv[1], *paths)
