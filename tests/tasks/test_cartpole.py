"""Cart and poles: mechanics known on paper."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.core.flow import FULL
from undertow.core.objective import FinalCost
from undertow.core.task import Problem, Task, stack_problems
from undertow.policies.controller import ZeroAction
from undertow.tasks.cartpole import CartPole, Upright, published_cartpoles, random_cartpole


def run(env, state, steps):
    return jax.lax.scan(lambda s, _: (env.advance(s, jnp.zeros(1)), None), state, length=steps)[0]


def test_without_force_energy_is_conserved_to_first_order_in_the_step():
    start = jnp.array([[0.2, -0.5], [2.5, 0.7]])
    drift = []
    for halvings in range(3):
        env = CartPole(dt=0.01 / 2**halvings)
        end = jax.jit(lambda s, env=env, n=50 * 2**halvings: run(env, s, n))(start)
        drift.append(float(env.energy(end) - env.energy(start)))
    ratios = np.array(drift[:-1]) / np.array(drift[1:])
    np.testing.assert_allclose(ratios, 2, rtol=0.1)
    with pytest.raises(UndertowError, match="only one pole"):
        CartPole().energy(jnp.zeros((3, 2)))


def test_small_oscillations_about_hanging_have_the_frequency_on_paper():
    """omega^2 = g / (l (4/3 - m / M)) for a rod on a free cart."""
    env = CartPole(dt=1e-4)
    omega = np.sqrt(9.8 / (0.5 * (4 / 3 - 0.1 / 1.1)))
    start = jnp.array([[0.0, 0.0], [np.pi + 1e-4, 0.0]])
    quarter = round(np.pi / 2 / omega / 1e-4)
    end = jax.jit(lambda s: run(env, s, quarter))(start)
    # Semi-implicit Euler is early by half a step: omega dt / 2 = 2.8e-4 of the amplitude.
    np.testing.assert_allclose(float(end[1, 0]) - np.pi, -1e-4 * omega * 1e-4 / 2, atol=1e-8)
    np.testing.assert_allclose(float(end[1, 1]), -1e-4 * omega, rtol=1e-3)


def test_upright_at_rest_is_an_equilibrium_and_equal_poles_stay_equal():
    env = CartPole()
    rest = jnp.zeros((3, 2))
    np.testing.assert_array_equal(env.advance(rest, jnp.zeros(1)), rest)
    twins = jnp.array([[0.1, 0.2], [3.0, 0.4], [3.0, 0.4]])
    moved = env.advance(twins, jnp.array([2.0]))
    np.testing.assert_array_equal(moved[1], moved[2])


def test_mirror_image():
    """Everything negated, force included, moves as the negative of the original."""
    env, state = CartPole(), random_cartpole(jax.random.key(0), 3)
    force = jnp.array([3.0])
    np.testing.assert_allclose(env.advance(-state, -force), -env.advance(state, force), atol=1e-15)


def test_constants_are_differentiable_and_may_differ_in_a_batch():
    policy, task = ZeroAction((1,)), Task(FinalCost(Upright()), 20)
    state = random_cartpole(jax.random.key(1))
    problems = stack_problems([Problem(CartPole(gravity=g), state) for g in (9.8, 1.6)])
    earth, moon = task.losses(policy, FULL, problems)
    assert abs(earth - moon) > 1e-3
    loss = jax.jit(lambda g: task.objective(task.run(policy, Problem(CartPole(gravity=g), state)), None))
    slope = jax.jit(jax.grad(loss))(9.8)
    np.testing.assert_allclose(slope, (loss(9.8 + 1e-5) - loss(9.8 - 1e-5)) / 2e-5, rtol=1e-6)


def test_cost():
    assert float(Upright()(jnp.array([[5.0, 1.0], [0.0, 3.0]]))) == 0
    np.testing.assert_allclose(Upright()(jnp.array([[0.0, 0.0], [0.0, 0.0], [np.pi, 0.0]])), 1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: jax.vmap(lambda k: random_cartpole(k, 2))(jax.random.split(jax.random.key(0), 500)),
        lambda: published_cartpoles(500, 2),
    ],
)
def test_initial_states_hang_nearly_at_rest(draw):
    states = np.asarray(draw())
    angles = states[:, 1:, 0] - np.pi
    assert states.shape == (500, 3, 2) and np.abs(angles).max() <= np.pi / 6 and angles.std() > 0.28
    others = np.delete(states.reshape(500, 6), [2, 4], axis=1)
    assert np.abs(others).max() <= 1 and abs(others.std() - 1 / np.sqrt(3)) < 0.02


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: CartPole().advance(jnp.zeros((4, 2, 2)), jnp.zeros(1)),
            r"shape \(1 \+ poles, 2\), got \(4, 2, 2\); batches",
        ),
        (lambda: CartPole().advance(jnp.zeros((1, 2)), jnp.zeros(1)), "shape"),
        (lambda: CartPole().advance(jnp.zeros((2, 2)), jnp.zeros(2)), r"one force of shape \(1,\), got \(2,\)"),
        (lambda: random_cartpole(jax.random.key(0), 0), "poles must be a whole number above 0, got 0"),
        (lambda: published_cartpoles(0), "count must be a whole number above 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call()
