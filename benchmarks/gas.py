"""Gas dynamics: Sod's tube forward and backward, the plane's throughput, one update at the published settings."""

from __future__ import annotations

import dataclasses
import json
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.common import in_fresh_process, matrix_rate, median_seconds, peak_memory_mb, write
from benchmarks.update import network_operations
from undertow.assembly import build
from undertow.envs.placing import point_values
from undertow.laws.euler import Euler
from undertow.laws.gas_cases import gas_case
from undertow.laws.planes import plane_case
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import FixedStep
from undertow.presets import PRESETS
from undertow.schemes.riemann import RiemannScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import WenoJS

CELLS, STEPS, END_TIME = 200, 100, 0.2
SIDE, PLANE_STEPS = 256, 4
ORIGINAL_SECONDS, ORIGINAL_MEMORY_MB = 4.2, 2450
"""The published TensorFlow code on two such cores, one update on Sod's tube."""


def _sod_scheme(kind: str):
    grid, law = UniformGrid(CELLS, -0.5, 0.5), Euler()
    if kind == "hllc":
        return RiemannScheme(law, grid, "outflow")
    return SemiDiscrete(law, grid, "outflow", reconstruction=kind)


def sod(kind: str) -> dict:
    """200 cells, 100 SSP-RK3 steps of WENO5-JS, float64: forward, and the gradient of the density's squares by all values."""
    scheme = _sod_scheme(kind)
    u0 = point_values(gas_case("sod").field(), scheme.grid)
    rule = FixedStep(END_TIME / STEPS)

    def final(u):
        weights = None if kind == "hllc" else WenoJS(5)
        return solve(scheme, weights, u, steps=STEPS, time_step=rule).values[-1]

    row: dict = {"measurement": f"sod {kind}"}
    calls = {"forward": final, "gradient": jax.grad(lambda u: jnp.sum(final(u)[0] ** 2))}
    for name, function in calls.items():
        start = time.perf_counter()
        lowered = jax.jit(function).lower(u0)
        traced = time.perf_counter() - start
        compiled = lowered.compile()
        row |= {
            f"{name}_trace_seconds": traced,
            f"{name}_compile_seconds": time.perf_counter() - start - traced,
            f"{name}_ms": 1e3 * median_seconds(lambda compiled=compiled: compiled(u0), 21),
        }
    return row | {"peak_memory_mb": peak_memory_mb()}


def plane(dtype: str) -> dict:
    """256 x 256 cells, component-wise WENO5-JS, SSP-RK3: million cell-steps per second, and the gradient's memory."""
    field = plane_case("quadrants-3").field()
    scheme = SemiDiscrete(Euler(dimensions=2), UniformGrid((SIDE, SIDE)), "outflow")
    u0 = point_values(field, scheme.grid).astype(dtype)
    rule = FixedStep(jnp.asarray(5e-4, dtype))
    run = jax.jit(lambda u: solve(scheme, WenoJS(5), u, steps=PLANE_STEPS, time_step=rule).values[-1])
    start = time.perf_counter()
    compiled = run.lower(u0).compile()
    compile_seconds = time.perf_counter() - start
    seconds = median_seconds(lambda: compiled(u0), 5)
    before = peak_memory_mb()
    step = jax.checkpoint(lambda u, _: (solve(scheme, WenoJS(5), u, steps=1, time_step=rule).values[-1], None))
    gradient = jax.jit(jax.grad(lambda u: jnp.sum(jax.lax.scan(step, u, length=PLANE_STEPS)[0][0] ** 2)))
    gradient_seconds = median_seconds(lambda: gradient(u0), 3)
    stored = 4 * SIDE**2 * jnp.dtype(dtype).itemsize / 1e6
    return {
        "measurement": f"plane {dtype}",
        "million_cell_steps_per_second": SIDE**2 * PLANE_STEPS / seconds / 1e6,
        "compile_seconds": compile_seconds,
        "gradient_over_forward": gradient_seconds / seconds,
        "gradient_extra_bytes_per_cell": (peak_memory_mb() - before) * 2**20 / SIDE**2,
        "state_mb": stored,
    }


def update(precision: str) -> dict:
    """One update of `euler-sod-paper`: 128 cells, 1000 forward Euler steps, one-step reward, 10-64-64-6."""
    config = PRESETS["euler-sod-paper"].config
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, precision=precision))
    experiment = build(config)
    trainer = experiment.trainer(experiment.make_pool())
    state = trainer.init(experiment.policy, jax.random.key(1))
    step = eqx.filter_jit(trainer.update)
    start = time.perf_counter()
    step.lower(state).compile()
    compiled = time.perf_counter() - start
    seconds = median_seconds(lambda: step(state)[1]["loss"], 5)
    operations = network_operations(3 * 129 * 1000, (10, 64, 64, 6))
    return {
        "measurement": f"sod-paper update {precision}",
        "seconds_per_update": seconds,
        "compile_seconds": compiled,
        "peak_memory_mb": peak_memory_mb(),
        "share_of_limit": operations / seconds / matrix_rate(jnp.dtype(precision)),
        "times_faster_than_original": ORIGINAL_SECONDS / seconds,
    }


MEASUREMENTS = {"sod": sod, "plane": plane, "update": update}


def table() -> None:
    """Gas dynamics: Sod's tube, a plane of 256 x 256, an update at the published settings; each in a process of its own."""
    asked = [("sod", kind) for kind in ("component", "characteristic", "hllc")]
    asked += [("plane", dtype) for dtype in ("float64", "float32")] + [("update", "float64")]
    write("gas", [in_fresh_process("gas", *each) for each in asked])


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print(json.dumps(MEASUREMENTS[sys.argv[1]](sys.argv[2])))
