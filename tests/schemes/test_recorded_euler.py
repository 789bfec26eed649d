"""Gas dynamics against arrays recorded from another program: every intermediate quantity of a step, and trajectories."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from tests.recorded import ORIGINAL, AsWritten, compare_gases
from undertow.laws.euler import Euler
from undertow.numerics.grid import UniformGrid
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import reconstruct

SCHEME = SemiDiscrete(Euler(), UniformGrid(128, -0.5, 0.5), "outflow")


@pytest.fixture(scope="module")
def steps(reference_dir):
    return np.load(reference_dir / "rl_pde" / "euler1d_step_N128_order3_comp.npz")


@pytest.mark.parametrize("name", ["sod", "shock_tube"])
def test_every_part_of_a_step(name, steps):
    def recorded(key):
        """Arrays over faces have (component, face, direction, ...) there, the direction first here."""
        array = steps[f"{name}/{key}"]
        return np.moveaxis(array, 2, 0) if array.shape[:2] == (3, 129) and array.ndim > 2 else array

    def same(found, key, size=1.0, digits=1e-14):
        np.testing.assert_allclose(found, recorded(key), rtol=digits, atol=digits * size, err_msg=key)

    dt = float(steps[f"{name}/env_dt"])
    u = jnp.asarray(recorded("u_full")[:, 4:-4])
    padded = SCHEME.domain.boundary[0].pad(u, 0, SCHEME.law.parity(0))
    np.testing.assert_array_equal(padded, recorded("u_full"))
    alpha, flux = SCHEME.speed(SCHEME.law, padded, 0, 4), SCHEME.law.flux(padded, 0)
    same(alpha[0], "alpha")
    same(flux, "flux", 10)
    same((flux + alpha * padded) / 2, "fp", 10)
    same((flux - alpha * padded) / 2, "fm", 10)
    (stencil,) = SCHEME.stencils(u)
    same(stencil, "rl_state", 10)

    # With the recorded weights everything after them agrees to round-off ...
    for k, one in enumerate(jnp.eye(3)):
        found = reconstruct(stencil, jnp.broadcast_to(one, (*stencil.shape[:-1], 3)))
        np.testing.assert_allclose(found, recorded("sub_stencils")[..., k], rtol=1e-13, atol=1e-13)
    weights = jnp.asarray(recorded("weno_weights"))
    same(reconstruct(stencil, weights), "reconstructed_pm", 10)
    same(SCHEME.tendency((stencil,), (weights,)), "weno_rhs", 1e4)
    same(u + dt * SCHEME.tendency((stencil,), (weights,)), "weno_next_real")
    moved = u + dt * SCHEME.tendency((stencil,), (jnp.asarray(recorded("random_action")),))
    same(moved, "random_next_real")
    same(moved, "tf_random_next_real")

    # ... while the weights themselves suffer from how the recording computes its smoothness (see tests.recorded).
    one, other = AsWritten()(stencil), AsWritten(backwards=True)(stencil)
    round_off = np.abs(one - other).max()
    assert np.abs(ORIGINAL(stencil) - recorded("weno_weights")).max() < 5 * round_off < 1e-5
    same(u + dt * SCHEME.tendency((stencil,), (ORIGINAL(stencil),)), "weno_next_real", digits=1e-11)


# Small or few jumps: to the digit. In the others, what round-off alone does to the same formula is the measure.
EXACT = {"sod", "sod2", "double_rarefaction"}


def test_trajectories_of_every_gas(reference_dir):
    compared = compare_gases(reference_dir, 50)
    assert len(compared.names) == 7
    for name, deviation, round_off in zip(*compared, strict=True):
        assert deviation < (1e-11 if name in EXACT else max(1e-11, 5 * round_off)), (name, deviation, round_off)
        assert deviation < 1e-7
