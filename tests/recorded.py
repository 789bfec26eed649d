"""Recorded trajectories of another program, and how far round-off alone lets two correct programs differ.

The recorded scheme has weights d / (1e-16 + beta^2) with beta = q^T sigma q as written. In that form beta loses digits to
cancellation, and weights near beta = 1e-8 multiply the loss: the same formula with its sum taken in another order is the
measure of it.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS, ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.schemes.coefficients import weno_coefficients
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import AbstractWeights, WenoJS

ORIGINAL = WenoJS(5, 1e-16, "original")
BOUNDARY = {"first": "linear", "second": "quadratic"}


class AsWritten(AbstractWeights):
    """The original form with the smoothness as the sum of products it is printed as, from either end."""

    order: int = eqx.field(static=True, default=5)
    backwards: bool = eqx.field(static=True, default=False)

    def __call__(self, stencil):
        table = weno_coefficients(self.order)
        alphas = []
        for k, (d, sigma) in enumerate(zip(table.linear_weights, table.smoothness, strict=True)):
            terms = [
                float(sigma[i, j]) * (1 if i == j else 2) * stencil[..., k + i] * stencil[..., k + j]
                for i in range(len(sigma))
                for j in range(i + 1)
            ]
            beta = jnp.zeros(())
            for term in reversed(terms) if self.backwards else terms:
                beta = beta + term
            alphas.append(float(d) / (1e-16 + beta * beta))
        total = sum(alphas[1:], alphas[0])
        return jnp.stack([alpha / total for alpha in alphas], axis=-1)


class Comparison(NamedTuple):
    """Per condition: the largest deviation from the recording, and between two orders of summation in our own runs."""

    names: list[str]
    deviation: np.ndarray
    round_off: np.ndarray


def compare_lines(reference_dir: Path, integrator: str, last: int) -> Comparison:
    """All recorded one-dimensional conditions, up to step `last`, as one batch of mixed boundaries."""
    recorded = np.load(reference_dir / "rl_pde" / f"burgers1d_traj_N128_order3_{integrator}.npz")
    kinds = {name: given["boundary"] for name, given in json.loads(str(recorded["init_params_json"])).items()}
    steps = recorded["steps"][recorded["steps"] <= last]
    schemes = [SemiDiscrete(Burgers(), UniformGrid(128), BOUNDARY.get(kind, kind)) for kind in kinds.values()]
    batch = jax.tree.map(lambda *x: jnp.stack(x) if eqx.is_array(x[0]) else x[0], *schemes)
    ghosts = int(recorded["ng"])
    u0 = jnp.stack([jnp.asarray(recorded[f"{name}/u0_full"][:, ghosts:-ghosts]) for name in kinds])
    dt = jnp.asarray(float(recorded["dt"]))

    def run(scheme, u, weights):
        options = {"time_step": FixedStep(dt), "integrator": INTEGRATORS[integrator], "save_every": 1}
        return solve(scheme, weights, u, steps=last, **options).values[steps, 0]

    march = eqx.filter_jit(eqx.filter_vmap(run, in_axes=(eqx.if_array(0), 0, None)))
    out = np.asarray(march(batch, u0, ORIGINAL))
    one, other = (np.asarray(march(batch, u0, AsWritten(backwards=b))) for b in (False, True))
    expected = np.stack([recorded[f"{name}/u"][: len(steps)] for name in kinds])
    return Comparison(list(kinds), np.abs(out - expected).max(axis=(1, 2)), np.abs(one - other).max(axis=(1, 2)))


def planes(reference_dir: Path):
    """The recorded two-dimensional conditions: `(name, scheme, recorded arrays of it)` one after the other."""
    recorded = np.load(reference_dir / "rl_pde" / "burgers2d_N32_order3.npz")
    for name in sorted({key.split("/")[0] for key in recorded.files if "/" in key}):
        prefix = f"{name}/"
        arrays = {key.removeprefix(prefix): recorded[key] for key in recorded.files if key.startswith(prefix)}
        kind = str(arrays["boundary"])
        kinds = ast.literal_eval(kind) if kind.startswith("(") else (kind, kind)
        line = line_of(arrays["xy"][0])
        grid = UniformGrid(line.num_cells * 2, line.lower[0], line.upper[0])
        arrays["steps"] = recorded["steps"]
        yield name, SemiDiscrete(Burgers(), grid, kinds), arrays


def line_of(x: np.ndarray) -> UniformGrid:
    """The grid with these cell centres."""
    half = (x[1] - x[0]) / 2
    return UniformGrid(len(x), float(x[0] - half), float(x[-1] + half))


def compare_gases(reference_dir: Path, last: int) -> Comparison:
    """All recorded gases, up to step `last` or as far as the recording is finite, one batch for each domain."""
    recorded = np.load(reference_dir / "rl_pde" / "euler1d_traj_N128_order3_comp.npz")
    names = sorted({key.split("/")[0] for key in recorded.files if "/" in key})
    grids = {name: line_of(recorded[f"{name}/x"]) for name in names}
    steps = recorded["steps"][recorded["steps"] <= last]
    options = {"time_step": FixedStep(float(recorded["dt"])), "integrator": ForwardEuler(), "save_every": 1}
    names.sort(key=lambda name: grids[name].lower)
    deviation, round_off = [], []
    for lower in sorted({grids[name].lower for name in names}):
        members = [name for name in names if grids[name].lower == lower]
        scheme = SemiDiscrete(Euler(), grids[members[0]], "outflow")
        u0 = jnp.stack([jnp.asarray(recorded[f"{name}/u0_full"][:, 4:-4]) for name in members])

        def run(u, weights, scheme=scheme):
            return solve(scheme, weights, u, steps=last, **options).values[steps]

        march = eqx.filter_jit(eqx.filter_vmap(run, in_axes=(0, None)))
        every = [np.asarray(march(u0, each)) for each in (ORIGINAL, AsWritten(), AsWritten(backwards=True))]
        for row, name in enumerate(members):
            expected = recorded[f"{name}/u"][: len(steps)]
            out, one, other = (values[row, : len(expected)] for values in every)
            deviation.append(np.abs(out - expected).max())
            round_off.append(np.abs(one - other).max())
    return Comparison(names, np.asarray(deviation), np.asarray(round_off))
