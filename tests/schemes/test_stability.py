"""What a time step may be: limits against the literature, and steps of all kinds against von Neumann's analysis."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS, RK4, SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep
from undertow.schemes.reference import fine_reference
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import check_step, solve
from undertow.schemes.stability import (
    amplification,
    check_cfl,
    check_courant_number,
    check_diffusion_number,
    courant_limit,
    upwind_symbol,
)
from undertow.schemes.weights import WenoJS

METHODS = st.sampled_from(sorted(INTEGRATORS))
SIZES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=3)


def test_the_ends_of_the_real_axis():
    """Hairer and Wanner (1996), section IV.2: 2, 2.51 and 2.79."""
    found = [method.real_axis for method in (ForwardEuler(), SSPRK3(), RK4())]
    np.testing.assert_allclose(found, [2.0, 2.512745327, 2.785293563], rtol=1e-9)


def test_a_step_multiplies_by_the_factor(rng):
    z = jnp.asarray(rng.normal(size=5) - 1)
    for method in INTEGRATORS.values():
        after = method.step(lambda u, t: z * u, jnp.ones(5), jnp.zeros(()), jnp.asarray(1.0))
        np.testing.assert_allclose(after, method.factor(z), rtol=1e-13)


def test_courant_limits():
    """Wang and Spiteri (2007): 1.43 for WENO5 with SSP-RK3. No number for forward Euler, so it has one of its own."""
    assert courant_limit(SSPRK3(), 5) == pytest.approx(1.43, abs=0.01)
    assert courant_limit(RK4(), 5) == pytest.approx(1.73, abs=0.01)
    assert amplification(SSPRK3(), 5, 1.42) <= 1 + 1e-9 < amplification(SSPRK3(), 5, 1.45)
    assert courant_limit(ForwardEuler(), 5) == 0.25 and amplification(ForwardEuler(), 5, 0.1) > 1.003


@given(METHODS, SIZES, st.floats(1e-9, 1e3), st.floats(0, 1e4), st.floats(0.05, 0.9), st.sampled_from([3, 5, 9]))
def test_steps_of_the_courant_number_bear_diffusion(name, spacing, viscosity, speed, cfl, order):
    """In any number of dimensions and with any cells: waves of all lengths, with the upwind difference that carries them."""
    method = INTEGRATORS[name]
    cfl = min(cfl, courant_limit(method, order))
    decay = 4 * viscosity * sum(1 / dx**2 for dx in spacing)
    dt = float(CFLStep(cfl, np.inf)(jnp.asarray(speed), jnp.asarray(0.0), decay / method.real_axis))
    assert decay * dt <= 0.8 * method.real_axis * (1 + 1e-12) and speed * dt <= cfl * (1 + 1e-12)
    angles = np.linspace(0, np.pi, 721)
    for courant in (0.0, speed * dt):  # waves at rest, and the fastest
        z = -courant * upwind_symbol(order) - decay * dt * np.sin(angles / 2) ** 2
        growth = np.abs(method.factor(z)).max()
        assert growth <= (1 + 1e-9 if name != "euler" else amplification(method, order, courant) + 1e-9)
    check_diffusion_number(viscosity, dt, tuple(spacing), method, courant=speed * dt, order=order)


@given(METHODS, SIZES, st.floats(1e-6, 1e3), st.floats(1.001, 100))
def test_what_is_refused_is_unstable_and_the_step_that_is_named_is_not(name, spacing, viscosity, factor):
    method, inverse = INTEGRATORS[name], sum(1 / dx**2 for dx in spacing)
    dt = factor * method.real_axis / (4 * viscosity * inverse)
    assert abs(method.factor(-4 * viscosity * inverse * dt)) > 1
    with pytest.raises(UndertowError, match="take dt <= ") as caught:
        check_diffusion_number(viscosity, dt, tuple(spacing), method)
    named = float(str(caught.value).split("take dt <= ")[1].split()[0])
    assert dt / factor * 0.98 < named <= dt / factor * (1 + 1e-9)
    check_diffusion_number(viscosity, named, tuple(spacing), method)


def test_an_unstable_courant_number_needs_a_short_run():
    check_courant_number(0.5, 0.1, integrator=ForwardEuler(), steps=10)
    with pytest.raises(
        UndertowError, match="unstable: forward Euler bears 0.25 .* take dt <= 0.05 or the integrator ssp_rk3"
    ):
        check_courant_number(0.5, 0.1, integrator=ForwardEuler(), steps=100)
    with pytest.raises(UndertowError, match="cfl=1.6 is unstable: SSP-RK3 bears 1.43"):
        check_cfl(1.6, SSPRK3(), 5)
    with pytest.raises(UndertowError, match="cfl must be a finite number above 0"):
        check_cfl(-0.1, SSPRK3(), 5)


def heat(viscosity, cells, lengths):
    return SemiDiscrete(Burgers(viscosity), UniformGrid(cells, 0.0, lengths), order=3)


@pytest.mark.parametrize("method", [ForwardEuler(), SSPRK3(), RK4()], ids=["euler", "ssp_rk3", "rk4"])
def test_noise_that_is_at_rest_dies_out_in_unequal_cells(method, rng):
    """Advection is next to nothing: without diffusion steps would be a million times longer. The viscosity is traced."""
    scheme_of = lambda nu: heat(nu, (6, 5), (1.0, 3.0))
    u0 = jnp.asarray(1e-6 * rng.normal(size=(1, 6, 5)))

    @quick_jit
    def run(nu):
        return solve(
            scheme_of(nu), WenoJS(3), u0, steps=60, time_step=CFLStep(0.2, np.inf), integrator=method, save_every=1
        )

    out = run(jnp.asarray(0.3))
    sizes = np.abs(np.asarray(out.values) - float(u0.mean())).max(axis=(1, 2, 3))
    assert sizes[-1] < 0.2 * sizes[0] and np.all(sizes[1:] <= sizes[:-1] * 1.01)
    dt = float(out.times[1])
    check_step(scheme_of(0.3), u0, dt, method)
    with pytest.raises(UndertowError, match="viscosity 0.3 with dt"):
        check_step(scheme_of(0.3), u0, 1.3 * dt, method)


@pytest.mark.parametrize("traced", [False, True])
def test_a_fine_reference_takes_the_steps_that_its_diffusion_bears(traced):
    """On nine times finer cells a ninth of the step is nine times too long: 0.5 here would be 4.5 there."""
    nu, cells, steps = 0.05, 8, 12
    dt = 0.5 / cells**2 / nu

    def run(nu):
        wave = lambda x: 1e-8 * jnp.sin(2 * jnp.pi * x)
        return fine_reference(
            heat(nu, cells, 1.0), WenoJS(3), wave, factor=9, steps=steps, dt=dt, save_every=steps
        ).values

    out = quick_jit(run)(jnp.asarray(nu)) if traced else run(nu)
    x = UniformGrid(cells).centers()
    exact = 1e-8 * np.exp(-4 * np.pi**2 * nu * steps * dt) * np.sin(2 * np.pi * x)
    np.testing.assert_allclose(out[-1, 0], exact, atol=5e-3 * np.abs(exact).max())


def test_a_fine_reference_without_diffusion_has_gradients_in_the_step():
    """The number of fine steps does not depend on `dt` then, also where that is traced."""
    scheme = SemiDiscrete(Burgers(), UniformGrid(8))

    def total(dt):
        made = fine_reference(scheme, WenoJS(), lambda x: jnp.sin(2 * jnp.pi * x), factor=3, steps=2, dt=dt)
        return made.values[-1, 0, 1]

    slope, expected = float(jax.jit(jax.grad(total))(0.01)), float(total(0.0101) - total(0.0099)) / 2e-4
    assert abs(slope) > 0.1 and slope == pytest.approx(expected, rel=1e-3)
