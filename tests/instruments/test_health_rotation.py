"""Rotation of fields whose Jacobians are known: gradients have none, turning fields have nothing else."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Linear, linear_problem
from undertow._checks import UndertowError
from undertow.core.flow import FULL, PHYSICS
from undertow.core.gradient import Backprop
from undertow.core.objective import FinalCost, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, stack_problems
from undertow.instruments.rotation import rotation, update_field
from undertow.policies.controller import ZeroAction

KEY = jax.random.key(0)
BY_DERIVATIVE = pytest.mark.parametrize("derivative", ["differences", "autodiff"])


class Point(AbstractPolicy):
    theta: jax.Array
    label: str = "kept"


def linear(matrix):
    return lambda policy: Point(jnp.asarray(matrix) @ policy.theta)


def share(matrix):
    odd, even = matrix - matrix.T, matrix + matrix.T
    return np.sum(odd**2) / (np.sum(odd**2) + np.sum(even**2))


@BY_DERIVATIVE
@pytest.mark.parametrize("probes", [12, 4], ids=["exact", "probed"])
def test_gradients_do_not_turn_and_rotations_do_nothing_else(rng, derivative, probes):
    m = rng.normal(size=(6, 6))
    point = Point(jnp.asarray(rng.normal(size=6)))
    for matrix, expected in ((m + m.T, 0.0), (m - m.T, 1.0)):
        found = rotation(linear(matrix), point, KEY, probes=probes, derivative=derivative)
        np.testing.assert_allclose(found.fraction, expected, atol=1e-15)
        assert found.exact == (probes == 12) and found.probes == min(probes, 6)


@BY_DERIVATIVE
def test_shares_in_between(rng, derivative):
    """g = 2 theta + 2 kappa R theta has kappa^2 / (1 + kappa^2); random probes come near the share of any matrix."""
    kappa = 1.95
    turning = 2 * np.array([[1.0, kappa], [-kappa, 1.0]])
    found = rotation(linear(turning), Point(jnp.ones(2)), KEY, derivative=derivative)
    np.testing.assert_allclose(found.fraction, kappa**2 / (1 + kappa**2), rtol=1e-8)
    np.testing.assert_allclose(found.size, np.linalg.norm(turning), rtol=1e-8)
    assert found.metrics() == {"rotation": found.fraction, "jacobian": found.size}
    m = rng.normal(size=(60, 60)) + 0.5 * (lambda s: s - s.T)(rng.normal(size=(60, 60)))
    found = rotation(linear(m), Point(jnp.zeros(60)), KEY, probes=40, derivative=derivative)
    np.testing.assert_allclose(found.fraction, share(m), atol=0.06)
    np.testing.assert_allclose(found.size, np.linalg.norm(m), rtol=0.1)


def test_fields_under_gates_are_differentiated_as_functions_of_the_parameters():
    """The field of PHYSICS on a linear loop, written out as a function; its Jacobian is what differences see, and not
    what automatic differentiation of the gated loop gives: the gates act on the second derivative, too."""
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem(1, size=2, controls=1))
    steps = 3
    task = Task(FinalCost(lambda state: 0.5 * jnp.dot(w, state) ** 2), steps)
    problems = stack_problems([Problem(Linear(a, b), x)])

    def written_out(gain):
        states = [x]
        for _ in range(steps):
            states.append((a + b @ gain) @ states[-1])
        adjoint, total = w * jnp.dot(w, states[-1]), 0
        for t in reversed(range(steps)):
            total += jnp.outer(b.T @ adjoint, states[t])
            adjoint = a.T @ adjoint
        return total

    field = update_field(task, Backprop(PHYSICS), problems)
    np.testing.assert_allclose(jax.jit(lambda: field(Gain(k)).k)(), jax.jit(written_out)(k), rtol=1e-12)
    exact = share(np.asarray(jax.jit(jax.jacfwd(written_out))(k)).reshape(k.size, k.size))
    assert 0.01 < exact < 0.99
    np.testing.assert_allclose(rotation(field, Gain(k), KEY).fraction, exact, rtol=1e-6)
    assert abs(rotation(field, Gain(k), KEY, derivative="autodiff").fraction - exact) > 0.01
    for derivative in ("differences", "autodiff"):
        found = rotation(update_field(task, Backprop(FULL), problems), Gain(k), KEY, derivative=derivative)
        assert found.fraction < 1e-15


def test_a_field_that_does_not_change_has_no_share():
    assert np.isnan(rotation(lambda p: Point(jnp.ones(3)), Point(jnp.zeros(3)), KEY).fraction)


def test_bad_input_is_refused():
    field, point = linear(np.eye(2)), Point(jnp.ones(2))
    with pytest.raises(UndertowError, match="at least 2 probes"):
        rotation(field, point, KEY, probes=1)
    with pytest.raises(UndertowError, match="derivative must be"):
        rotation(field, point, KEY, derivative="exact")
    with pytest.raises(UndertowError, match="step must be above 0"):
        rotation(field, point, KEY, step=0.0)
    with pytest.raises(UndertowError, match="no parameters"):
        rotation(field, ZeroAction((1,)), KEY)
