"""The cost of a scheme: nanoseconds per cell and Runge-Kutta stage of the forward solver."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.common import median_seconds, write
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import FixedStep
from undertow.policies.classical import classical
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.semidiscrete import SemiDiscrete

CELLS, STEPS, BATCH = 128, 100, 16


def nanoseconds(policy: AbstractPolicy, dtype: jnp.dtype) -> float:
    """Median time of a batch of rollouts, per sample, cell, step and stage."""
    env = Conservation(SemiDiscrete(Burgers(), UniformGrid(CELLS)), FixedStep(1e-3))
    x = jnp.asarray(env.scheme.grid.centers(), dtype)
    phases = jnp.linspace(0, 6, BATCH, dtype=dtype)
    states = jax.vmap(lambda p: env.initial(jnp.sin(2 * jnp.pi * x + p)[None]))(phases)
    cast = jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, policy)
    run = eqx.filter_jit(lambda q, s: jax.vmap(lambda one: rollout(env, q, one, STEPS).final.u)(s))
    return median_seconds(lambda: run(cast, states)) / (BATCH * CELLS * STEPS * env.integrator.num_stages) * 1e9


def table() -> None:
    """Nanoseconds per cell and stage, classical and learned schemes side by side, on this machine's CPU or GPU."""
    key = jax.random.key(0)
    policies = {
        "WENO5-JS": classical("weno-js"),
        "WENO5-Z": classical("weno-z"),
        "directional 5-8-3": DirectionalPolicy(key=key, hidden=(8,)),
        "directional 5-8-3, no prior": DirectionalPolicy(key=key, hidden=(8,), prior=False),
        "directional 5-16-16-3": DirectionalPolicy(key=key, hidden=(16, 16)),
        "paired 10-128-128-6": PairedPolicy(key=key),
    }
    rows = []
    for name, policy in policies.items():
        times = {str(jnp.dtype(t)): nanoseconds(policy, t) for t in (jnp.float64, jnp.float32)}
        rows.append({"policy": name, **{f"{dtype}_ns": value for dtype, value in times.items()}})
    for row in rows:
        row["float64_over_weno5_js"] = row["float64_ns"] / rows[0]["float64_ns"]
    write("forward", rows)
