"""Exact solutions by law: translation for advection, and an error for what has none. Burgers has tests of its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.conditions import CallableCondition
from undertow.laws.exact import exact_solution, has_exact_solution
from undertow.numerics.grid import UniformGrid

X = jnp.asarray(UniformGrid(32).centers())


@pytest.mark.parametrize("cells", [1, -5, 32, 40])
def test_a_periodic_profile_moves_by_whole_cells(cells: int):
    condition = burgers_condition("smooth_sine_shift", phi=0.7)
    u = exact_solution(LinearAdvection(2.0), condition, X, 0.0)
    moved = exact_solution(LinearAdvection(0.5 * np.sign(cells)), condition, X, abs(cells) / 32 / 0.5)
    np.testing.assert_allclose(moved, np.roll(u, cells), atol=1e-13)


def test_an_open_profile_is_followed_by_its_edge_values():
    condition = CallableCondition(lambda x: 1 + x**2, "outflow")
    u = np.asarray(exact_solution(LinearAdvection(1.0), condition, X, 0.5))
    np.testing.assert_array_equal(u[:16], 1.0)
    np.testing.assert_allclose(u[16:], 1 + (np.asarray(X[16:]) - 0.5) ** 2, atol=1e-14)
    back = np.asarray(exact_solution(LinearAdvection(-1.0), condition, X, 0.5))
    np.testing.assert_array_equal(back[16:], 2.0)


def test_it_solves_the_equation():
    """u_t + a u_x = 0, by automatic differentiation, on a domain of its own."""
    condition = CallableCondition(lambda x: jnp.sin(jnp.pi * x), "periodic", domain=(-1.0, 1.0))

    def u(x, t):
        return exact_solution(LinearAdvection(0.3), condition, x[None], t)[0]

    for x, t in ((0.2, 0.4), (-0.9, 1.7)):
        u_x, u_t = jax.grad(u, (0, 1))(jnp.asarray(x), jnp.asarray(t))
        assert abs(u_t + 0.3 * u_x) < 1e-12 and abs(u_x) > 0.1


def test_what_has_no_exact_solution_says_so():
    assert has_exact_solution(Burgers()) and not has_exact_solution(Burgers(1e-3))
    with pytest.raises(UndertowError, match="Burgers with viscosity 0.001 has no exact solution here; .* finer grid"):
        exact_solution(Burgers(1e-3), burgers_condition("shock"), X, 0.1)
    with pytest.raises(UndertowError, match="periodic or outflow condition, got 'linear'"):
        exact_solution(LinearAdvection(), burgers_condition("line"), X, 0.1)
