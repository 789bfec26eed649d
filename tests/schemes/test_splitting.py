"""Lax-Friedrichs splitting speeds: bounds, and which of them have a derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.shallow_water import ShallowWater
from undertow.schemes.splitting import SPEEDS, FixedSpeed, GlobalSpeed, LocalSpeed, SmoothSpeed

LAW = Burgers()
GHOST = 2


def test_the_global_speed_is_the_largest_of_the_line_with_its_ghosts():
    padded = jnp.asarray([[-9.0, 1.0, 2.0, -3.0, 1.0, 4.0]])
    np.testing.assert_array_equal(GlobalSpeed()(LAW, padded, 0, GHOST), [9.0])


def test_in_two_dimensions_every_line_has_its_own_speed(rng):
    padded = jnp.asarray(rng.normal(size=(1, 8, 5)))
    for axis in (0, 1):
        alpha = GlobalSpeed()(LAW, padded, axis, GHOST)
        np.testing.assert_array_equal(alpha, np.abs(padded[0]).max(axis=axis, keepdims=True))


def test_the_local_speed_is_the_larger_one_beside_the_face(rng):
    padded = jnp.asarray(rng.normal(size=(1, 10)))
    speed = np.abs(padded[0, GHOST - 1 : -GHOST + 1])
    np.testing.assert_array_equal(LocalSpeed()(LAW, padded, 0, GHOST), np.maximum(speed[:-1], speed[1:]))
    # On three axes, one value for every face along the axis in question.
    cube = jnp.asarray(rng.normal(size=(1, 5, 6, 7)))
    assert LocalSpeed()(LAW, cube, 1, GHOST).shape == (5, 6 - 2 * GHOST + 1, 7)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_smooth_speed_bounds_the_global_one_from_above_and_closely(scale, rng):
    padded = scale * jnp.asarray(rng.normal(size=(1, 136)))
    largest = float(jnp.max(jnp.abs(padded)))
    alpha = float(SmoothSpeed()(LAW, padded, 0, 4)[0])
    assert largest < alpha <= 136 ** (1 / 64) * np.hypot(largest, 1e-3) * (1 + 1e-14)


def test_the_smooth_speed_of_tied_cells_is_what_the_docstring_says():
    alpha = SmoothSpeed(delta=1e-9)(LAW, jnp.full((1, 128), 2.0), 0, 4)
    np.testing.assert_allclose(alpha, 2 * 128 ** (1 / 64), rtol=1e-14)
    assert 1.07 < float(alpha[0]) / 2 < 1.08


def test_the_smooth_speed_has_a_derivative_at_ties_and_at_rest(rng):
    def smooth(u):
        return SmoothSpeed()(LAW, u, 0, GHOST)[0]

    for u in (jnp.full((1, 12), -1.5), jnp.zeros((1, 12)), jnp.asarray([[2.0, -2.0] * 6])):
        gradient = jax.grad(smooth)(u)
        v = jnp.asarray(rng.normal(size=u.shape))
        h = 1e-6
        numerical = (smooth(u + h * v) - smooth(u - h * v)) / (2 * h)
        np.testing.assert_allclose(numerical, jnp.vdot(gradient, v), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("law", [Euler(dimensions=2), ShallowWater(dimensions=2)], ids=["gas", "water"])
def test_the_smooth_speed_of_waves_bounds_theirs_and_has_a_derivative_at_rest(law, rng):
    """|v| + c has its corner where v is 0, however large c is."""
    density, pressure = np.exp(rng.normal(size=(2, 40)))
    velocity = rng.normal(size=(2, 40)) * (np.arange(40) % 3 > 0)
    u = law.conserved(jnp.asarray(np.stack([density, *velocity, pressure])[: law.num_components]))
    rest = law.conserved(law.primitive(u).at[1:3].set(0.0))
    direction = jnp.asarray(rng.normal(size=u.shape))
    for axis, delta in ((0, 1e-3), (1, 1e-1)):
        smooth, sharp = jnp.sqrt(law.smooth_speed_squared(u, axis, delta)), law.max_speed(u, axis)
        assert np.all(smooth > sharp)
        assert np.all(smooth <= sharp + delta * law.max_speed(rest, axis) * (1 + 1e-12))

        def along(h, axis=axis, delta=delta):
            return law.smooth_speed_squared(rest + h * direction, axis, delta)

        value, slope = jax.jvp(along, (0.0,), (1.0,))
        h = 1e-3 * delta
        np.testing.assert_allclose((along(h) - along(-h)) / (2 * h), slope, atol=1e-4 * float(jnp.max(value)))


def test_the_global_speed_splits_the_gradient_of_a_tie_equally():
    """What its docstring says: a subgradient, not a derivative."""
    u = jnp.asarray([[1.0, 3.0, -3.0, 2.0, 3.0, 0.0]])
    gradient = jax.grad(lambda v: GlobalSpeed()(LAW, v, 0, 1)[0])(u)
    np.testing.assert_allclose(gradient, [[0, 1 / 3, -1 / 3, 0, 1 / 3, 0]], rtol=1e-15)


def test_the_local_speed_splits_the_gradient_of_a_tie_equally():
    gradient = jax.grad(lambda v: LocalSpeed()(LAW, v, 0, 1)[1])(jnp.asarray([[5.0, 2.0, 2.0, 5.0]]))
    np.testing.assert_allclose(gradient, [[0, 0.5, 0.5, 0]], rtol=1e-15)


def test_a_fixed_speed_is_a_leaf_that_can_be_batched_and_differentiated():
    padded = jnp.ones((1, 8))
    np.testing.assert_array_equal(FixedSpeed(2.5)(LAW, padded, 0, GHOST), [2.5])
    values = jnp.asarray([1.0, 2.0])
    np.testing.assert_array_equal(jax.vmap(lambda a: FixedSpeed(a)(LAW, padded, 0, GHOST))(values)[:, 0], values)
    assert jax.grad(lambda a: FixedSpeed(a)(LAW, padded, 0, GHOST)[0])(1.0) == 1.0


@pytest.mark.parametrize("name", SPEEDS)
def test_split_fluxes_are_monotone(name, rng):
    """What the splitting is for: f+ never falls and f- never rises with u, anywhere in the range of the data."""
    speed = SPEEDS[name]
    u = jnp.asarray(np.sort(rng.uniform(-2, 1.5, size=(1, 30))))
    for law in (LAW, LinearAdvection(-0.7)):
        alpha = np.broadcast_to(speed(law, u, 0, 1), (29,))  # faces between the 30 cells
        flux = np.asarray(law.flux(u, 0))[0]
        slopes = np.diff(flux) / np.diff(u[0])
        assert np.all(slopes + alpha > -1e-12)
        assert np.all(slopes - alpha < 1e-12)


@pytest.mark.parametrize(("arguments", "message"), [((0,), "power"), ((-2.0,), "power"), ((64, 0.0), "delta")])
def test_bad_smooth_speeds_are_refused(arguments, message):
    with pytest.raises(UndertowError, match=f"{message} must be a finite number above 0"):
        SmoothSpeed(*arguments)
