"""Design orders up to 13, through the whole solver."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import burgers_before_breaking, observed_orders
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import RK4, AbstractIntegrator
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import FixedSpeed
from undertow.schemes.weights import WenoJS, WenoZ, linear


def taylor(stages: int) -> AbstractIntegrator:
    """The explicit method whose stability polynomial is the exponential's first terms: of order `stages` for rates that
    are linear in u and do not depend on time. Stage s is u + dt/(p-s) L(stage s-1)."""
    a = tuple(((0.0,) * (s - 1) + (1 / (stages - s + 1),)) if s else () for s in range(stages))
    namespace = {"a": a, "b": (0.0,) * (stages - 1) + (1.0,), "order": stages, "__doc__": "A Taylor polynomial."}
    return type("Taylor", (AbstractIntegrator,), namespace)()


@eqx.filter_jit
def march(scheme, weights, u0, dt, steps, integrator):
    return solve(scheme, weights, u0, steps=steps, time_step=FixedStep(dt), integrator=integrator).values[-1, 0]


def mean_square(error) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


ADVECTION = {3: (96, 128), 5: (64, 96), 7: (56, 72), 9: (48, 64), 11: (48, 60), 13: (42, 50)}


@pytest.mark.parametrize("order", ADVECTION)
def test_linear_weights_on_advection_with_a_matching_integrator(order):
    def error(n):
        x = UniformGrid(n).centers()
        scheme = SemiDiscrete(LinearAdvection(), UniformGrid(n), order=order)
        steps = round(0.3 * n / 0.4)
        out = march(scheme, linear(order), jnp.asarray(np.sin(4 * np.pi * x))[None], 0.3 / steps, steps, taylor(order))
        return mean_square(out - np.sin(4 * np.pi * (x - 0.3)))

    sizes = ADVECTION[order]
    np.testing.assert_allclose(observed_orders(sizes, [error(n) for n in sizes]), order, atol=0.1)


# Time and grids: late enough for an error above round-off, early and fine enough for its leading term to dominate. The
# steeper the wave has become, the finer the grid has to be for that, and at order 13 double precision leaves little room.
BURGERS = {
    3: (0.15, (96, 128)),
    5: (0.15, (96, 128)),
    7: (0.15, (96, 128)),
    9: (0.08, (56, 64)),
    11: (0.07, (56, 72)),
    13: (0.05, (52, 64)),
}


@pytest.mark.parametrize("order", BURGERS)
def test_linear_weights_on_burgers_before_it_breaks(order):
    """With time steps so small that the fourth order of RK4 leaves nothing to see."""

    def initial(x):
        return 1 + 0.3 * np.sin(2 * np.pi * x)

    def slope(x):
        return 0.6 * np.pi * np.cos(2 * np.pi * x)

    time, sizes = BURGERS[order]
    steps = 2000

    def error(n):
        x = UniformGrid(n).centers()
        scheme = SemiDiscrete(Burgers(), UniformGrid(n), order=order, speed=FixedSpeed(1.3))
        out = march(scheme, linear(order), jnp.asarray(initial(x))[None], time / steps, steps, RK4())
        return mean_square(out - burgers_before_breaking(initial, slope, x, time))

    errors = [error(n) for n in sizes]
    assert errors[-1] > 1e-14, errors
    np.testing.assert_allclose(observed_orders(sizes, errors), order, atol=0.1)


@pytest.mark.parametrize("order", [5, 7])
@pytest.mark.parametrize("make", [WenoJS, WenoZ])
def test_nonlinear_weights_away_from_critical_points(make, order):
    """As in the tests, on finer grids; the amplitude keeps epsilon small beside the smoothness."""
    amplitude = 100.0

    def initial(x):
        return amplitude * (1.5 + np.tanh(4 * (x - 0.45)))

    def slope(x):
        return amplitude * 4 / np.cosh(4 * (x - 0.45)) ** 2

    def error(n):
        x, time = UniformGrid(n).centers(), 0.1 / amplitude
        scheme = SemiDiscrete(Burgers(), UniformGrid(n), "linear", order=order, speed=FixedSpeed(4.0 * amplitude))
        out = march(scheme, make(order), jnp.asarray(initial(x))[None], time / 400, 400, RK4())
        exact = burgers_before_breaking(initial, slope, x, time)
        return np.abs(out - exact)[(x > 0.4) & (x < 0.7)].max() / amplitude

    sizes = {5: (160, 200), 7: (96, 128)}[order]
    np.testing.assert_allclose(observed_orders(sizes, [error(n) for n in sizes]), order, atol=0.1)
