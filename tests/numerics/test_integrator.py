"""Runge-Kutta methods against exact solutions, stability polynomials and each other's forms."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted, observed_orders
from undertow.numerics.integrator import INTEGRATORS, SSPRK3

METHODS = sorted(INTEGRATORS)


def exact(t):
    return 1 / (1.5 + np.sin(2 * t))


def tendency(u, t):
    """u' = -2 cos(2t) u^2, nonlinear and dependent on time; u = 1 / (1.5 + sin 2t)."""
    return -2 * jnp.cos(2 * t) * u**2


@pytest.mark.parametrize("name", METHODS)
def test_order_of_convergence_on_a_nonlinear_time_dependent_equation(name):
    method = INTEGRATORS[name]

    def error(n):
        times = np.arange(n) / n

        def body(u, t):
            u = method.step(tendency, u, t, 1 / n)
            return u, u

        u = jax.lax.scan(body, jnp.asarray(exact(0.0)), times)[1]
        return np.abs(u - exact(times + 1 / n)).max()

    sizes = [80, 160, 320]
    np.testing.assert_allclose(observed_orders(sizes, [error(n) for n in sizes]), method.order, atol=0.1)


@pytest.mark.parametrize("name", METHODS)
def test_stability_polynomial_is_the_truncated_exponential(name):
    method = INTEGRATORS[name]
    z = np.array([-2.0, -0.3, 0.7, 1.5j, -1 + 1j])
    out = method.step(lambda u, t: jnp.asarray(z) * u, jnp.ones(5, complex), jnp.zeros(()), jnp.ones(()))
    np.testing.assert_allclose(out, sum(z**k / math.factorial(k) for k in range(method.order + 1)), rtol=1e-14)


@pytest.mark.parametrize("name", METHODS)
def test_tableau_is_consistent_and_asked_in_order_of_stages(name):
    method = INTEGRATORS[name]
    assert sum(method.b) == pytest.approx(1.0, abs=1e-15)
    assert [len(row) for row in method.a] == list(range(method.num_stages))
    times = []

    def record(u, t):
        times.append(float(t))
        return jnp.ones_like(u)

    out = Counted(record)
    u = method.step(out, jnp.zeros(3), jnp.asarray(2.0), jnp.asarray(0.5))
    assert out.calls == method.num_stages
    assert times[0] == 2.0
    np.testing.assert_allclose(times, [2.0 + 0.5 * sum(row) for row in method.a], rtol=1e-15)
    np.testing.assert_allclose(u, 0.5, rtol=1e-15)


def test_ssp_rk3_is_a_convex_combination_of_euler_steps(rng):
    """Shu and Osher (1988), eq. 2.18, is what keeps the strong stability of forward Euler."""
    matrix = jnp.asarray(rng.normal(size=(4, 4)))
    u, dt, t = jnp.asarray(rng.normal(size=4)), 0.1, jnp.asarray(0.3)

    def rate(v, time):
        return jnp.sin(matrix @ v) + jnp.cos(time)

    def euler(v, time):
        return v + dt * rate(v, time)

    first = euler(u, t)
    second = 0.75 * u + 0.25 * euler(first, t + dt)
    expected = u / 3 + 2 / 3 * euler(second, t + dt / 2)
    np.testing.assert_allclose(SSPRK3().step(rate, u, t, dt), expected, rtol=1e-14)


@pytest.mark.parametrize("name", METHODS)
def test_a_step_of_length_zero_changes_nothing(name):
    u = jnp.asarray([1.0, -2.0, 3e-7])
    np.testing.assert_array_equal(
        INTEGRATORS[name].step(lambda v, t: v**2 + 1, u, jnp.asarray(1.0), jnp.asarray(0.0)), u
    )
