"""Orders of convergence. States are point values at cell centres: compared with cell averages the order would be 2."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import burgers_before_breaking, observed_orders
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS, RK4
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import FixedSpeed
from undertow.schemes.weights import WenoJS, WenoZ, linear

# Grids fine enough for the leading term of the error and coarse enough to keep it above round-off.
GRIDS = {3: (96, 128), 5: (64, 96), 7: (56, 72), 9: (48, 64), 11: (48, 60), 13: (42, 50)}


@eqx.filter_jit
def march(scheme, weights, u0, dt, steps, integrator):
    return solve(scheme, weights, u0, steps=steps, time_step=FixedStep(dt), integrator=integrator).values[-1]


def run(scheme, weights, u0, time, steps, integrator):
    return np.asarray(march(scheme, weights, jnp.asarray(u0)[None], jnp.asarray(time / steps), steps, integrator))[0]


def mean_square(error) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


@pytest.mark.parametrize("order", GRIDS)
def test_linear_weights_have_the_design_order_with_exact_integration_in_time(order):
    """Advection of a sine. A shift-invariant linear rate is a product in Fourier space, and its
    evolution in time an exponential: an integrator that matches every order."""

    def error(n):
        scheme = SemiDiscrete(LinearAdvection(), UniformGrid(n), order=order)
        impulse = jnp.zeros((1, n)).at[0, 0].set(1.0)
        column = eqx.filter_jit(lambda u: scheme.tendency(s := scheme.stencils(u), (linear(order)(s[0]),)))(impulse)[0]
        x = scheme.grid.centers()
        spectrum = np.fft.fft(np.sin(4 * np.pi * x)) * np.exp(0.3 * np.fft.fft(column))
        return mean_square(np.fft.ifft(spectrum).real - np.sin(4 * np.pi * (x - 0.3)))

    sizes = GRIDS[order]
    np.testing.assert_allclose(observed_orders(sizes, [error(n) for n in sizes]), order, atol=0.1)


@pytest.mark.parametrize(("order", "name"), [(3, "ssp_rk3"), (5, "rk4")])
def test_linear_weights_have_the_design_order_with_a_matching_integrator(order, name):
    """The time step shrinks with dx^(order of space / order of time)."""
    integrator = INTEGRATORS[name]

    def error(n):
        steps = round(12 * (n / 32) ** (order / integrator.order))
        x = UniformGrid(n).centers()
        scheme = SemiDiscrete(LinearAdvection(), UniformGrid(n), order=order)
        out = run(scheme, linear(order), np.sin(2 * np.pi * x), 0.2, steps, integrator)
        return mean_square(out - np.sin(2 * np.pi * (x - 0.2)))

    np.testing.assert_allclose(observed_orders((32, 64), [error(n) for n in (32, 64)]), order, atol=0.1)


@pytest.mark.parametrize("order", [3, 5])
def test_linear_weights_have_the_design_order_on_burgers_before_it_breaks(order):
    def initial(x):
        return 1 + 0.3 * np.sin(2 * np.pi * x)

    def slope(x):
        return 0.6 * np.pi * np.cos(2 * np.pi * x)

    def error(n):
        x = UniformGrid(n).centers()
        scheme = SemiDiscrete(Burgers(), UniformGrid(n), order=order)
        out = run(scheme, linear(order), initial(x), 0.15, 150, RK4())
        return mean_square(out - burgers_before_breaking(initial, slope, x, 0.15))

    np.testing.assert_allclose(observed_orders((64, 96), [error(n) for n in (64, 96)]), order, atol=0.1)


@pytest.mark.parametrize("weights", [WenoJS(5), WenoZ(5)], ids=["js", "z"])
def test_nonlinear_weights_have_order_five_away_from_critical_points(weights):
    """A rising tanh under Burgers. The split flux has no critical point either with a speed above the largest |u|, and the
    ends, with their extrapolation of low order, are out of reach of the window."""

    def initial(x):
        return 1.5 + np.tanh(4 * (x - 0.45))

    def slope(x):
        return 4 / np.cosh(4 * (x - 0.45)) ** 2

    def error(n):
        x = UniformGrid(n).centers()
        scheme = SemiDiscrete(Burgers(), UniformGrid(n), "linear", speed=FixedSpeed(4.0))
        out = run(scheme, weights, initial(x), 0.1, 100, RK4())
        exact = burgers_before_breaking(initial, slope, x, 0.1)
        return np.abs(out - exact)[(x > 0.4) & (x < 0.7)].max()

    np.testing.assert_allclose(observed_orders((96, 128), [error(n) for n in (96, 128)]), 5, atol=0.1)


def test_the_order_is_lost_against_cell_averages():
    """Averages and point values of a smooth function differ by O(dx^2), which is what a wrong comparison measures."""

    def error(n):
        x, dx = UniformGrid(n).centers(), 1 / n
        scheme = SemiDiscrete(LinearAdvection(), UniformGrid(n))
        out = run(scheme, linear(5), np.sin(2 * np.pi * x), 0.2, 60, RK4())
        faces = 2 * np.pi * (np.stack([x - dx / 2, x + dx / 2]) - 0.2)
        return mean_square(out + np.diff(np.cos(faces), axis=0)[0] / (2 * np.pi * dx))

    np.testing.assert_allclose(observed_orders((32, 64), [error(n) for n in (32, 64)]), 2, atol=0.1)
