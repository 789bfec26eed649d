"""A serial pendulum on a cart: mechanics known on paper, and from Lagrange's equations by differentiation."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import eigh

from undertow._checks import UndertowError
from undertow.presets import preset
from undertow.tasks import TASKS
from undertow.tasks.cartpole import CartPole, random_cartpole
from undertow.tasks.pendulum import PendulumSettings, SerialPendulum

MASSES, LENGTHS = (0.1, 0.3, 0.2, 0.05), (0.5, 0.7, 0.2, 0.9)
CHAIN = SerialPendulum(MASSES, LENGTHS, cart_mass=0.8)


def states(links: int, count: int = 4) -> jax.Array:
    """Anything: large angles, fast turning."""
    return jnp.asarray(np.random.default_rng(links).normal(0, 3, (count, 1 + links, 2)))


def lagrangian(place, speed):
    """Kinetic minus potential energy of the cart and of the rods, from where their centres are and how they turn."""

    def centres(q):
        along = jnp.asarray(LENGTHS)[:, None] * jnp.stack([jnp.sin(q[1:]), jnp.cos(q[1:])], axis=1)
        ends = jnp.stack([q[0], 0.0]) + jnp.cumsum(along, axis=0)
        return ends - along / 2

    mass = jnp.asarray(MASSES)
    moved = jax.jvp(centres, (place,), (speed,))[1]
    turning = mass * jnp.asarray(LENGTHS) ** 2 / 12 * speed[1:] ** 2
    kinetic = 0.8 * speed[0] ** 2 + jnp.sum(mass[:, None] * moved**2) + jnp.sum(turning)
    return kinetic / 2 - 9.8 * jnp.sum(mass * centres(place)[:, 1])


def test_the_acceleration_is_that_of_lagranges_equations():
    """d/dt dL/dq' - dL/dq = (f, 0, ..., 0), all derivatives of L by differentiation."""
    force = jnp.asarray(2.5)

    @jax.jit
    @jax.vmap
    def residual(state):
        place, speed = state.T
        acceleration = CHAIN.acceleration(state, force)
        momentum = jax.grad(lagrangian, argnums=1)
        rate = jax.jvp(momentum, (place, speed), (speed, acceleration))[1]
        return rate - jax.grad(lagrangian)(place, speed)

    expected = np.zeros((4, 5))
    expected[:, 0] = force
    np.testing.assert_allclose(residual(states(4)), expected, atol=1e-11)


def test_energy_is_that_of_the_lagrangian():
    @jax.jit
    @jax.vmap
    def both(state):
        place, speed = state.T
        momentum = jax.grad(lagrangian, argnums=1)(place, speed)
        return momentum @ speed - lagrangian(place, speed), CHAIN.energy(state)

    expected, energy = both(states(4))
    np.testing.assert_allclose(energy, expected, rtol=1e-12)


def test_one_link_is_the_published_cart_with_one_pole():
    """The same equations, found in another way; the cart-pole steps by semi-implicit Euler, whose first half tells them."""
    pole = CartPole(pole_mass=0.3, total_mass=1.1, half_length=0.35)
    link = SerialPendulum((0.3,), (0.7,), cart_mass=0.8)
    for state in states(1):
        told = (pole.advance(state, jnp.array([3.0])) - state)[:, 1] / 0.01
        np.testing.assert_allclose(link.acceleration(state, jnp.asarray(3.0)), told, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(link.energy(state), pole.energy(state), rtol=1e-12)


def run(env, state, steps):
    return jax.lax.scan(lambda s, _: (env.advance(s, jnp.zeros(1)), None), state, length=steps)[0]


@pytest.mark.parametrize("links", [2, 4])
def test_without_force_energy_is_conserved_to_high_order_in_the_step(links):
    """Runge-Kutta's leading error of order 4 turns the phase; energy is lost with the fifth power of the step."""
    start = random_cartpole(jax.random.key(1), links)
    drift = []
    for halvings in range(4):
        env = SerialPendulum(dt=0.02 / 2**halvings)
        end = jax.jit(partial(run, env, steps=50 * 2**halvings))(start)
        drift.append(abs(float(env.energy(end) - env.energy(start))))
    ratios = np.array(drift[:-1]) / np.array(drift[1:])
    assert (ratios > 2**4).all() and (ratios < 2**6).all()
    assert drift[0] < 1e-3


def test_steps_converge_with_order_4():
    start, force = random_cartpole(jax.random.key(2), 3), jnp.array([4.0])

    def end(halvings):
        env = SerialPendulum(dt=0.005 / 2**halvings)
        push = lambda s, _: (env.advance(s, force), None)
        return jax.jit(lambda s: jax.lax.scan(push, s, length=20 * 2**halvings)[0])(start)

    found = [np.asarray(end(halvings)) for halvings in range(4)]
    changes = [np.abs(one - other).max() for one, other in itertools.pairwise(found)]
    orders = np.log2(np.array(changes[:-1]) / np.array(changes[1:]))
    np.testing.assert_allclose(orders, 4, atol=0.3)


@pytest.mark.parametrize("masses, lengths", [((0.1,), (0.5,)), (MASSES, LENGTHS)], ids=["alike", "unlike"])
def test_small_oscillations_about_hanging_have_the_frequencies_of_the_linear_system(masses, lengths):
    """K v = omega^2 A v with the mass matrix A and the stiffness K = diag(0, g c); a free cart adds the frequency 0, twice."""
    links, dt = 4, 1e-3
    env = SerialPendulum(masses, lengths, dt=dt)
    m, size = np.broadcast_to(masses, links), np.broadcast_to(lengths, links)
    arms = np.tril(np.tile(size, (links, 1)), -1) + np.diag(size / 2)  # of rod i's centre about hinge j
    shape = np.vstack([np.ones(links), -arms.T])  # hanging, a rod that turns moves to the other side
    mass = (shape * m) @ shape.T + np.diag([1.0, *(m * size**2 / 12)])
    stiffness = np.diag([0.0, *(9.8 * (m @ arms))])
    squares = eigh(stiffness, mass, eigvals_only=True)
    rest = jnp.zeros((1 + links, 2)).at[1:, 0].set(jnp.pi)
    step = jax.jit(jax.jacfwd(lambda s: env.advance(s, jnp.zeros(1))))(rest).reshape(2 * links + 2, 2 * links + 2)
    angles = np.sort(np.abs(np.angle(np.linalg.eigvals(np.asarray(step)))))
    np.testing.assert_allclose(angles[2:] / dt, np.repeat(np.sqrt(squares[1:]), 2), rtol=1e-6)
    assert abs(squares[0]) < 1e-12 and angles[1] < 1e-6


def test_upright_at_rest_is_an_equilibrium_and_hanging_too():
    for angle in (0.0, np.pi):
        rest = jnp.zeros((4, 2)).at[1:, 0].set(angle)
        np.testing.assert_allclose(SerialPendulum().advance(rest, jnp.zeros(1)), rest, atol=1e-15)


def test_mirror_image():
    """Everything negated, force included, moves as the negative of the original."""
    force = jnp.array([3.0])
    for state in states(4):
        np.testing.assert_allclose(CHAIN.advance(-state, -force), -CHAIN.advance(state, force), rtol=1e-13, atol=1e-14)


def test_a_moving_observer_sees_the_same():
    """The cart's place and a constant speed change no acceleration."""
    state = states(4)[0]
    moved = state.at[0].add(jnp.array([7.0, -3.0]))
    args = jnp.asarray(1.0)
    np.testing.assert_allclose(CHAIN.acceleration(moved, args), CHAIN.acceleration(state, args), rtol=1e-12)


def test_gradients_are_those_of_finite_differences():
    """Of ten steps by every constant and by the force."""
    start = random_cartpole(jax.random.key(3), 4)

    @jax.jit
    def end(values):
        masses, lengths, (cart, gravity, dt, force) = values[:4], values[4:8], values[8:]
        env = SerialPendulum(tuple(masses), tuple(lengths), cart, gravity, dt)
        push = lambda s, _: (env.advance(s, force[None]), None)
        return jnp.sum(jnp.cos(jax.lax.scan(push, start, length=10)[0]))

    at = jnp.array([*MASSES, *LENGTHS, 1.0, 9.8, 0.02, 2.0])
    slope = jax.jit(jax.grad(end))(at)
    assert (np.abs(slope) > 1e-8).all()
    for place, size in enumerate(at):
        steps = [jnp.zeros(12).at[place].set(h * size) for h in (1e-3, 5e-4)]
        rough, fine = [(end(at + h) - end(at - h)) / (2 * h[place]) for h in steps]
        np.testing.assert_allclose((4 * fine - rough) / 3, slope[place], rtol=1e-6, atol=1e-9)


def test_one_number_holds_for_all_links():
    state, force = states(3)[0], jnp.asarray(1.0)
    shared, each = SerialPendulum((0.2,), (0.4,)), SerialPendulum((0.2,) * 3, (0.4,) * 3)
    np.testing.assert_array_equal(shared.acceleration(state, force), each.acceleration(state, force))
    assert SerialPendulum().advance(state.astype("float32"), jnp.ones(1, "float32")).dtype == "float32"


def test_the_picture_is_a_chain_of_the_links_lengths():
    path = np.asarray(states(4, 5))
    cart, chain = CHAIN.scene(path, np.zeros((4, 1))).shapes
    np.testing.assert_allclose(np.linalg.norm(np.diff(chain.points, axis=1), axis=-1), np.tile(LENGTHS, (5, 1)))
    np.testing.assert_allclose(chain.points[:, 0], cart.points.mean(axis=1), atol=1e-15)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: CHAIN.advance(jnp.zeros((4, 5, 2)), jnp.zeros(1)), r"\(1 \+ links, 2\), got \(4, 5, 2\); batches"),
        (lambda: CHAIN.advance(jnp.zeros((5, 2)), jnp.zeros(2)), r"one force of shape \(1,\), got \(2,\)"),
        (lambda: CHAIN.advance(jnp.zeros((3, 2)), jnp.zeros(1)), "masses holds one number .* each of the 2, got 4"),
        (lambda: SerialPendulum(masses=(0.1, -1.0)), "masses must be .* above 0, got -1"),
        (lambda: TASKS["pendulum"].system(PendulumSettings(masses=(1.0, 2.0, 3.0))), "system.masses .* got 3"),
        (lambda: TASKS["pendulum"].system(PendulumSettings(links=10**9)), "system.links"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call()


def test_the_preset_is_that_of_the_other_carts():
    """So that the comparisons differ by the system alone."""
    chain, poles = preset("pendulum").config, preset("cartpole").config
    for part in ("training", "optimizer", "gradient", "objective", "policy", "data", "horizon"):
        assert getattr(chain, part) == getattr(poles, part)
