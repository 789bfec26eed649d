"""Against arrays recorded from another program: every intermediate quantity of a step, and trajectories."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.recorded import ORIGINAL, compare_lines, planes
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import reconstruct

CONDITIONS = ("smooth_sine", "rarefaction", "accelshock", "gaussian", "other_sine", "sine")


@pytest.fixture(scope="module")
def steps(reference_dir):
    return np.load(reference_dir / "rl_pde" / "burgers1d_step_N128_order3.npz")


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_part_of_a_step(name, steps):
    def recorded(key):
        return steps[f"{name}/{key}"]

    scheme = SemiDiscrete(Burgers(), UniformGrid(128), str(recorded("boundary")))
    dt = float(steps["dt"])
    u = jnp.asarray(recorded("u_full")[:, 4:-4])
    padded = scheme.domain.boundary[0].pad(u, 0, (-1.0,))
    np.testing.assert_array_equal(padded, recorded("u_full"))
    np.testing.assert_array_equal(scheme.speed(scheme.law, padded, 0, 4), recorded("alpha")[0])
    (stencil,) = scheme.stencils(u)
    np.testing.assert_array_equal(stencil[0, 0], recorded("plus_stencils"))
    np.testing.assert_array_equal(stencil[1, 0], recorded("minus_stencils"))

    # With the recorded weights everything after them agrees to round-off ...
    weights = jnp.asarray(np.stack([recorded("plus_weights"), recorded("minus_weights")]))[:, None]
    np.testing.assert_allclose(reconstruct(stencil, weights)[0, 0], recorded("plus_reconstructed"), rtol=1e-14)
    np.testing.assert_allclose(reconstruct(stencil, weights)[1, 0], recorded("minus_reconstructed"), rtol=1e-14)
    np.testing.assert_allclose(scheme.fluxes((stencil,), (weights,))[0][0], recorded("flux_reconstructed"), rtol=1e-13)
    np.testing.assert_allclose(scheme.tendency((stencil,), (weights,))[0], recorded("rhs"), atol=1e-11)
    action = jnp.asarray(np.moveaxis(recorded("random_action"), 1, 0))[:, None]
    moved = u + dt * scheme.tendency((stencil,), (action,))
    np.testing.assert_allclose(moved, recorded("random_next_real"), atol=1e-14)

    # ... while the weights themselves suffer from how the recording computes its smoothness (see tests.recorded).
    np.testing.assert_allclose(ORIGINAL(stencil), weights, atol=1e-6)
    moved = u + dt * scheme.tendency((stencil,), (ORIGINAL(stencil),))
    np.testing.assert_allclose(moved, recorded("weno_next_real"), atol=1e-12)


# Where the difference is dominated by the recording's own round-off. There it must not exceed what round-off explains.
SENSITIVE = {"rarefaction", "accelshock_periodic"}


def test_trajectories_of_every_condition(reference_dir):
    compared = compare_lines(reference_dir, "euler", 250)
    assert len(compared.names) == 18
    for name, deviation, round_off in zip(*compared, strict=True):
        assert deviation < (5 * round_off if name in SENSITIVE else 1e-11), (name, deviation, round_off)
        assert deviation < 3e-10


@eqx.filter_jit
def march(scheme, u0, dt):
    options = {"time_step": FixedStep(dt), "integrator": ForwardEuler(), "save_every": 1}
    return solve(scheme, ORIGINAL, u0, steps=50, **options).values[:, 0]


def test_trajectories_in_two_dimensions(reference_dir):
    names = []
    for name, scheme, recorded in planes(reference_dir):
        names.append(name)
        out = march(scheme, jnp.asarray(recorded["u"][:1]), jnp.asarray(float(recorded["dt"])))
        kept = recorded["steps"] <= 50
        np.testing.assert_allclose(out[recorded["steps"][kept]], recorded["u"][kept], atol=1e-11, err_msg=name)
    assert len(names) == 5


def test_stencils_and_tendencies_in_two_dimensions(reference_dir):
    for name, scheme, recorded in planes(reference_dir):
        u = jnp.asarray(recorded["step_u_full"][:, 4:-4, 4:-4])
        stencils = scheme.stencils(u)
        for axis, letter in enumerate("xy"):
            # Recorded as (left-going, right-going) on the second last axis.
            expected = np.moveaxis(recorded[f"rl_state_{letter}"], 2, 0)[::-1]
            np.testing.assert_allclose(stencils[axis][:, 0], expected, rtol=1e-14, atol=1e-15, err_msg=name)

        def action(key, recorded=recorded):
            return tuple(jnp.asarray(np.moveaxis(recorded[f"{key}_{a}"], 2, 0)[::-1].copy())[:, None] for a in "xy")

        rate = scheme.tendency(stencils, action("weno_weights"))
        np.testing.assert_allclose(rate, recorded["weno_rhs"], atol=1e-11, err_msg=name)
        moved = u + float(recorded["dt"]) * scheme.tendency(stencils, action("random_action"))
        np.testing.assert_allclose(moved, recorded["random_next_real"], atol=1e-14, err_msg=name)
