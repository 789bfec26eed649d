"""MP5: as the linear scheme where data are smooth, extrema included; monotone at jumps."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.monotone import MP5
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import linear, reconstruct

value = quick_jit(MP5().value)


def test_smooth_waves_keep_the_linear_value_at_their_extrema(rng):
    x = (np.arange(64)[:, None] + np.arange(-2, 3)) / 64
    stencils = jnp.asarray(np.sin(2 * np.pi * x + rng.uniform()) - 0.3)
    np.testing.assert_allclose(value(stencils), reconstruct(stencils, linear(5)(stencils)), atol=1e-15)


def test_five_numbers_by_hand():
    """Steps: every d^M4 is 0. q^L = 0.6 with q^UL = q^LC = 1; q^L = 71/60 with q^MD = 1; q^L = 0.4 with q^UL = q^LC = 0.
    A corner of slopes 1 and 3: q^L = 1.2, d^M4 = 0, and q^UL = 4 leaves it."""
    for stencil, expected in (
        ([1.0, 1.0, 1.0, 0.0, 0.0], 1.0),
        ([0.0, 0.0, 1.0, 1.0, 1.0], 1.0),
        ([0.0, 0.0, 0.0, 1.0, 1.0], 0.0),
        ([-2.0, -1.0, 0.0, 3.0, 6.0], (-4 + 13 + 81 - 18) / 60),
    ):
        np.testing.assert_allclose(value(jnp.asarray(stencil)), expected, atol=1e-15)


def test_it_has_no_unit_and_commutes_with_reflections(rng):
    stencils = jnp.asarray(rng.normal(size=(200, 5)))
    np.testing.assert_allclose(value(1e-9 * stencils + 3e-9), 1e-9 * value(stencils) + 3e-9, rtol=1e-9, atol=1e-23)
    np.testing.assert_allclose(value(-stencils), -value(stencils), rtol=1e-13)


def test_it_lies_within_bounds_of_the_cells_around_monotone_data(rng):
    stencils = jnp.sort(jnp.asarray(rng.normal(size=(500, 5)) ** 3), axis=1)
    found = value(stencils)
    slack = 1e-12
    assert np.all(found >= stencils[:, 2] - slack) and np.all(found <= stencils[:, 3] + slack)


def test_a_top_hat_stays_monotone():
    """To round-off, where the linear scheme overshoots by a tenth."""
    scheme = SemiDiscrete(LinearAdvection(1.0), UniformGrid(50))
    x = scheme.grid.centers()
    u0 = jnp.asarray((np.abs(x - 0.5) < 0.2).astype(float))[None]
    runs = [
        quick_jit(lambda u, agent=agent: solve(scheme, agent, u, steps=100, time_step=FixedStep(0.2 / 50)).values[-1])(
            u0
        )
        for agent in (MP5(), linear(5))
    ]
    assert float(jnp.min(runs[0])) > -1e-3 and float(jnp.max(runs[0])) < 1 + 1e-3
    assert float(jnp.max(runs[1])) > 1.05


def test_a_shock_through_solve():
    scheme = SemiDiscrete(Burgers(), UniformGrid(64), "outflow")
    x = scheme.grid.centers()
    out = solve(scheme, MP5(), jnp.asarray(np.where(x < 0.25, 2.0, 0.5))[None], end_time=0.2, time_step=CFLStep(0.2))
    assert (float(jnp.mean(out.values[-1])) - 0.5) / 1.5 == pytest.approx(0.25 + 1.25 * 0.2, abs=1e-9)
    assert float(jnp.min(out.values[-1])) > 0.5 - 1e-3 and float(jnp.max(out.values[-1])) < 2 + 1e-3


def test_a_small_alpha_is_refused():
    with pytest.raises(UndertowError, match="alpha must be at least 2, got 1.0"):
        MP5(alpha=1.0)
