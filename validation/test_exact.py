"""The exact Burgers solver against WENO5 on 4096 cells, through the formation and merging of shocks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.envs.placing import boundaries_of
from undertow.envs.suites import held_out_conditions
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.burgers_exact import burgers_exact, burgers_exact_cases
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import WenoJS

CELLS, TIMES = 4096, (0.1, 0.2)
GRID = UniformGrid(CELLS)
X = jnp.asarray(GRID.centers())


@jax.jit
def _march(boundary, u0, dt):
    scheme = SemiDiscrete(Burgers(), GRID, (boundary,))
    return solve(scheme, WenoJS(), u0[None], steps=STEPS, time_step=FixedStep(dt), save_every=STEPS // 2).values[1:, 0]


STEPS = 5000  # a Courant number of 0.5 at |u| = 3


def _compare(condition):
    """L1 distance over the two times, in cells times total variation: what a shock smeared over n cells costs is about n."""
    fine = _march(boundaries_of(condition, 4)[0], condition(X), TIMES[-1] / STEPS)
    distances = []
    for values, time in zip(fine, TIMES, strict=True):
        exact = jax.jit(burgers_exact)(condition, X, time)
        variation = max(float(jnp.sum(jnp.abs(jnp.diff(exact)))), 1e-3)
        distances.append(float(jnp.sum(jnp.abs(values - exact))) / variation)
    return distances


@pytest.mark.parametrize("name", burgers_exact_cases())
def test_named_conditions(name):
    distances = _compare(burgers_condition(name))
    print(f"{name}: {distances[0]:.3f}, {distances[1]:.3f} cells")
    # A linear continuation breaks down at its own time; the solver then says so with NaN.
    assert np.nanmax(distances) < 2.0


def test_random_conditions():
    conditions = held_out_conditions(12)
    worst = 0.0
    for i in range(jax.tree.leaves(conditions)[0].shape[0]):
        distances = _compare(jax.tree.map(lambda a, i=i: a[i], conditions))
        worst = max(worst, *distances)
        print(f"random {i}: {distances[0]:.3f}, {distances[1]:.3f} cells")
    assert worst < 2.0
