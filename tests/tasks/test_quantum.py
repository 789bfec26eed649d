"""A particle in a box: unitary steps, exact phases, convergence to the exact propagator."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.tasks.quantum import Infidelity, QuantumBox, eigenstate, published_waves, random_wave


def as_complex(state):
    return np.asarray(state[..., 0]) + 1j * np.asarray(state[..., 1])


def as_real(wave):
    return jnp.stack([jnp.real(wave), jnp.imag(wave)], axis=-1)


def hamiltonian(points, slope, length=2.0):
    dx = length / (points + 1)
    kinetic = 2 * np.eye(points) - np.eye(points, k=1) - np.eye(points, k=-1)
    return kinetic / dx**2 + slope * np.diag(dx * np.arange(1, points + 1))


@pytest.mark.parametrize("points", [2, 7, 32, 65])
def test_eigenstates_turn_by_the_phase_of_crank_nicolson(points):
    env = QuantumBox()
    for level in (1, points // 2 + 1):
        energy = (2 - 2 * np.cos(np.pi * level / (points + 1))) / (2 / (points + 1)) ** 2
        phase = (1 - 0.5j * env.dt * energy) / (1 + 0.5j * env.dt * energy)
        state = as_real(jnp.asarray(eigenstate(level, points) + 0j))
        moved = env.advance(state, jnp.zeros(1))
        np.testing.assert_allclose(as_complex(moved), phase * eigenstate(level, points), atol=1e-12)
        np.testing.assert_allclose(Infidelity(level)(moved), 0, atol=1e-12)


def test_steps_are_unitary_for_any_slope(rng):
    state = as_real(jnp.asarray(rng.normal(size=32) + 1j * rng.normal(size=32)))
    other = as_real(jnp.asarray(rng.normal(size=32) + 1j * rng.normal(size=32)))
    for slope in (0.0, 3.0, -800.0, 1e4):
        action = jnp.array([slope])
        a, b = (as_complex(QuantumBox().advance(each, action)) for each in (state, other))
        np.testing.assert_allclose(np.vdot(a, b), np.vdot(as_complex(state), as_complex(other)), rtol=1e-11)


def test_second_order_to_the_exact_propagator(rng):
    slope, end, points = 5.0, 0.02, 12
    energies, vectors = np.linalg.eigh(hamiltonian(points, slope))
    start = np.asarray(random_wave(jax.random.key(0), points))
    exact = vectors @ (np.exp(-1j * energies * end) * (vectors.T @ as_complex(start)))
    errors = []
    for steps in (8, 16, 32):
        env = QuantumBox(dt=end / steps)
        out = jax.lax.scan(
            lambda s, _, env=env: (env.advance(s, jnp.array([slope])), None), jnp.asarray(start), length=steps
        )[0]
        errors.append(np.abs(as_complex(out) - exact).max())
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2, atol=0.05)


def test_backwards_in_time(rng):
    """The conjugate of the result, stepped on, is the conjugate of the start."""
    state, action = random_wave(jax.random.key(2)), jnp.array([7.0])
    flip = jnp.array([1.0, -1.0])
    back = QuantumBox().advance(QuantumBox().advance(state, action) * flip, action) * flip
    np.testing.assert_allclose(back, state, atol=1e-12)


def test_infidelity_ignores_the_phase(rng):
    state = random_wave(jax.random.key(3))
    turned = as_real(jnp.asarray(np.exp(0.8j) * as_complex(state)))
    cost = Infidelity(2)
    np.testing.assert_allclose(cost(turned), cost(state), atol=1e-14)
    np.testing.assert_allclose(cost(state) + Infidelity(1)(state), 1, atol=1e-12)  # two levels, nothing else
    np.testing.assert_allclose(Infidelity(5)(state), 1, atol=1e-12)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: jax.vmap(lambda k: random_wave(k, weights=(15.0, 1.0)))(jax.random.split(jax.random.key(0), 300)),
        lambda: published_waves(300, weights=(15.0, 1.0)),
    ],
)
def test_weights_of_the_initial_states(draw):
    waves = draw()
    assert waves.shape == (300, 32, 2)
    np.testing.assert_allclose(np.sum(np.asarray(waves) ** 2, axis=(1, 2)), 1, atol=1e-12)
    ground = 1 - np.asarray(jax.vmap(Infidelity(1))(waves))
    # P(|f1| > |f2|) = 1 - 2 atan(w2 / w1) / pi for two independent normal numbers.
    assert abs((ground > 0.5).mean() - (1 - 2 / np.pi * np.arctan(1 / 15))) < 0.03


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: QuantumBox().advance(jnp.zeros((3, 32, 2)), jnp.zeros(1)), r"shape \(points, 2\).*got \(3, 32, 2\)"),
        (lambda: QuantumBox().advance(jnp.zeros((32, 2)), jnp.zeros(())), r"one slope of shape \(1,\), got \(\)"),
        (lambda: eigenstate(0), "level must be a whole number above 0, got 0"),
        (lambda: eigenstate(33), "got 33"),
        (lambda: Infidelity(0), "level must be a whole number above 0"),
        (lambda: Infidelity(9)(jnp.zeros((8, 2))), "got 9"),
        (lambda: random_wave(jax.random.key(0), weights=(0.0, 0.0)), "one of them positive"),
        (lambda: random_wave(jax.random.key(0), points=1), "points must be a whole number of 2 or more"),
        (lambda: published_waves(8, points=1), "points must be a whole number of 2 or more"),
        (lambda: published_waves(0), "count must be a whole number above 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call()
