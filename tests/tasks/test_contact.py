"""The pusher against closed forms: flight, sliding, collisions, their conserved quantities, and their gradients."""

from __future__ import annotations

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.core.flow import FULL, STOP, GradientFlow
from undertow.core.unroll import rollout
from undertow.policies.controller import Controller
from undertow.tasks.contact import Pusher, RestAtTarget, random_pusher

STIFFNESSES = (100.0, 500.0, 3000.0)
STEPS = 60


@eqx.filter_jit
def run(env, state, action):
    """States under a constant force, the first one included."""
    _, states = jax.lax.scan(lambda s, _: (env.advance(s, action),) * 2, state, length=STEPS)
    return jnp.concatenate([state[None], states])


@eqx.filter_jit
def run_many(env, states):
    """Free trajectories of a batch, and what `energy` says of their states."""
    paths = jax.vmap(lambda s: run(env, s, jnp.zeros(s.shape[2:])))(states)
    return paths, jax.vmap(jax.vmap(env.energy))(paths)


def make(substeps=4, **constants):
    """A pusher whose constants are arrays, so that all of them share what is compiled for one."""
    return jax.tree.map(jnp.asarray, Pusher(substeps, **constants))


def frictionless(**constants):
    return make(friction=0.0, **constants)


def head_on(gap, speed, slide=0.0, dimensions=1):
    """The pusher at the origin, the puck to its right."""
    state = np.zeros((2, 2, dimensions))
    state[:, 0, 0], state[:, 1, 0] = (0.0, 0.3 + gap), (speed, slide)
    return jnp.asarray(state)


def meetings(seed=0, count=200, dimensions=1):
    rng = np.random.default_rng(seed)
    states = np.stack([head_on(0.0, 0.0, dimensions=dimensions)] * count)
    states[:, 1, 0, 0] += rng.uniform(0.0, 0.1, count)
    if dimensions == 2:
        states[:, 1, 0, 1] += rng.uniform(-0.2, 0.2, count)
    states[:, 0, 1, 0] = rng.uniform(0.2, 3.0, count)
    states[:, 1, 1, 0] = rng.uniform(-2.0, 0.1, count)
    return jnp.asarray(states)


def test_free_flight_is_exact():
    """Semi-implicit Euler under a constant force: x = x_0 + v_0 t + (f/M) tau^2 N(N+1)/2 after N sub-steps."""
    env = make(pusher_mass=2.0)
    state = head_on(5.0, -1.0, dimensions=2)
    force = jnp.array([-3.0, 0.5])
    final = run(env, state, force)[-1]
    tau, n = env.dt / env.substeps, STEPS * env.substeps
    speed = np.array([-1.0, 0.0]) + np.asarray(force) / 2 * n * tau
    place = np.array([-1.0, 0.0]) * n * tau + np.asarray(force) / 2 * tau**2 * n * (n + 1) / 2
    np.testing.assert_allclose(final[0], [place, speed], rtol=1e-12)
    np.testing.assert_array_equal(final[1], state[1])


def test_friction_stops_the_puck_after_its_closed_form():
    r"""From speed w: the integral of sqrt(v^2 + eps^2)/a over v in [0, w], to first order in the time step."""
    w, a, eps = 1.5, 2.0, 0.05
    exact = (w * math.hypot(w, eps) + eps**2 * math.asinh(w / eps)) / (2 * a)
    errors = []
    for substeps in (4, 8):
        path = run(make(substeps), head_on(1.0, 0.0, slide=w), jnp.zeros(1))
        assert abs(path[-1, 1, 1, 0]) < 1e-3 * w
        errors.append(float(path[-1, 1, 0, 0] - path[0, 1, 0, 0]) - exact)
    assert abs(errors[1]) < 5e-3
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_momentum_is_exchanged_equal_and_opposite(dimensions):
    """Without friction, momentum is conserved to rounding, and on a plane angular momentum, too: the force is central."""
    env = frictionless(stiffness=3000.0)
    paths = np.asarray(run_many(env, meetings(dimensions=dimensions))[0])
    masses = np.array([env.pusher_mass, env.puck_mass])
    momentum = np.einsum("b,ntbd->ntd", masses, paths[:, :, :, 1])
    np.testing.assert_allclose(momentum, momentum[:, :1] + 0 * momentum, atol=1e-12)
    assert np.abs(np.diff(paths[:, :, 0, 1, 0], axis=1)).max() > 1  # they did hit
    if dimensions == 2:
        (x, y), (u, v) = np.moveaxis(paths, (3, 4), (0, 1))
        spin = np.sum(masses * (x * v - y * u), axis=-1)
        np.testing.assert_allclose(spin, spin[:, :1] + 0 * spin, atol=1e-12)


@pytest.mark.parametrize("stiffness", STIFFNESSES)
def test_energy_never_grows_without_work(stiffness):
    """Head-on and without friction from step to step (that is how the scheme was chosen); in general from one time
    without contact to any later one."""
    env = frictionless(stiffness=stiffness)
    _, energy = run_many(env, meetings(1))
    assert np.diff(energy, axis=1).max() < 1e-13
    assert (energy[:, -1] < 0.95 * energy[:, 0]).any()

    env = make(stiffness=stiffness)
    paths, energy = run_many(env, meetings(2, dimensions=2))
    apart = np.linalg.norm(paths[:, :, 1, 0] - paths[:, :, 0, 0], axis=-1) > env.reach
    for free, values in zip(apart, np.asarray(energy), strict=True):
        assert np.diff(values[free]).max() < 1e-13


def test_the_coefficient_of_restitution_is_that_of_the_spring_and_dashpot():
    r"""A dashpot that cannot pull: $e = \exp(-\frac{\zeta}{\sqrt{1-\zeta^2}}(\pi - \arctan\frac{2\zeta\sqrt{1-\zeta^2}}
    {1-2\zeta^2}))$, whatever stiffness, masses and speed (Schwager and Poeschel 2007, arXiv 0707.1434)."""
    for zeta, stiffness, speed in ((0.25, 500.0, 1.0), (0.25, 3000.0, 0.3), (0.5, 500.0, 2.0)):
        root = math.sqrt(1 - zeta**2)
        exact = math.exp(-zeta / root * (math.pi - math.atan2(2 * zeta * root, 1 - 2 * zeta**2)))
        env = frictionless(dt=0.0025, stiffness=stiffness, damping_ratio=zeta)
        path = run(env, head_on(0.01, speed), jnp.zeros(1))
        parting = float(path[-1, 1, 1, 0] - path[-1, 0, 1, 0])
        assert parting / speed == pytest.approx(exact, rel=0.04)


def test_a_line_is_a_plane_seen_from_the_side_and_no_direction_is_special():
    env = make()
    line = run(env, head_on(0.05, 1.0), jnp.array([2.0]))
    angle = 0.7
    turn = jnp.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    plane = run(env, head_on(0.05, 1.0, dimensions=2) @ turn.T, jnp.array([2.0, 0.0]) @ turn.T)
    np.testing.assert_allclose(plane @ turn, np.pad(line, [(0, 0)] * 3 + [(0, 1)]), atol=1e-11)


PRESSED = jnp.array([[[0.0, 0.0], [1.0, 0.2]], [[0.27, 0.05], [0.1, -0.1]]])


@eqx.filter_jit
def jacobian(env, state):
    """Of one step's new state, flattened, with respect to the old one's."""
    force = jnp.full(state.shape[2:], 0.5)
    return jax.jacfwd(lambda s: env.advance(s.reshape(state.shape), force).reshape(-1))(state.reshape(-1))


def test_gradients_are_those_of_finite_differences_within_contact():
    """In states, force and every constant at once, along random directions."""

    @jax.jit
    def advance(inputs):
        env, state, force = inputs
        return env.advance(state, force)

    tangent = jax.jit(lambda inputs, direction: jax.jvp(advance, (inputs,), (direction,))[1])
    for stiffness in (100.0, 500.0):
        inputs = (make(stiffness=stiffness), PRESSED, jnp.array([2.0, -1.0]))
        leaves, structure = jax.tree.flatten(inputs)
        rng = np.random.default_rng(3)
        direction = [np.sqrt(np.abs(x)) * rng.normal(size=x.shape) / 100 for x in leaves]

        def along(h, leaves=leaves, structure=structure, direction=direction):
            return advance(structure.unflatten([x + h * d for x, d in zip(leaves, direction, strict=True)]))

        differences = [(along(h) - along(-h)) / (2 * h) for h in (1e-2, 5e-3)]
        slope = tangent(inputs, structure.unflatten([jnp.asarray(d) for d in direction]))
        np.testing.assert_allclose((4 * differences[1] - differences[0]) / 3, slope, rtol=1e-6, atol=1e-10)


def test_every_constant_has_a_gradient():
    env = make(1)
    state = head_on(0.02, 1.0, dimensions=2).at[1, 0, 1].set(0.05)
    slopes = jax.jit(jax.grad(lambda env: RestAtTarget()(run(env, state, jnp.array([1.0, 0.0]))[-1])))(env)
    for field in dataclasses.fields(Pusher):
        if field.name != "substeps":
            slope = getattr(slopes, field.name)
            assert jnp.isfinite(slope)
            assert slope != 0, field.name


def test_there_is_no_gradient_without_contact():
    """Out of contact the puck knows nothing of pusher and force, exactly; the pusher flies, with Jacobian [[1, dt], [0, 1]]."""
    env, state = make(stiffness=3000.0), head_on(0.2, 1.0, slide=0.3, dimensions=2)
    found = jacobian(env, state).reshape(2, 2, 2, 2, 2, 2)
    assert not found[1, :, :, 0].any()
    assert not found[0, :, :, 1].any()
    one = np.eye(2)
    np.testing.assert_allclose(
        found[0, :, :, 0], np.einsum("kl,ij->kilj", [[1, env.dt], [0, 1]], one), rtol=1e-12, atol=1e-14
    )
    by_force = jax.jit(jax.jacfwd(lambda f: env.advance(state, f)))(jnp.zeros(2))
    assert not by_force[1].any()
    assert by_force[0].any()


def test_the_gradient_in_contact_is_as_stiff_as_the_contact():
    """Head-on in one step: d slide'/dx = k tau / m (1 + c tau/2 mu), which the spectral norm of the Jacobian exceeds."""
    for stiffness in STIFFNESSES:
        env = frictionless(substeps=1, stiffness=stiffness, dt=0.005)
        reduced = 1 / 3
        damping = 2 * 0.25 * math.sqrt(stiffness * reduced)
        expected = stiffness * 0.005 / (0.5 * (1 + damping * 0.005 / (2 * reduced)))
        found = jacobian(env, head_on(-0.02, 0.5))
        assert found[3, 0] == pytest.approx(expected, rel=1e-12)
        assert np.linalg.norm(found, 2) >= expected
    # Between, as many sub-steps as the stiffest needs: far above what steps out of contact have, which is about 1.
    norms = [np.linalg.norm(jacobian(make(stiffness=k), head_on(-0.02, 0.5)), 2) for k in STIFFNESSES]
    assert norms[0] > 4
    assert norms == sorted(norms)
    assert norms[2] > 30
    assert np.linalg.norm(jacobian(make(), head_on(0.2, 0.5)), 2) < 1.1


def test_where_bodies_coincide_gradients_are_finite():
    assert jnp.all(jnp.isfinite(jacobian(make(), jnp.zeros((2, 2, 2)))))


def test_no_flow_changes_a_value():
    env, state = make(stiffness=3000.0), random_pusher(jax.random.key(1))
    policy = Controller(8, (2,), key=jax.random.key(0), hidden=(8,), zero_last=False)
    gated = jax.jit(lambda gates: rollout(env, policy, state, STEPS, flow=GradientFlow(*gates)))
    paths = [jax.jit(lambda s, f=f: rollout(env, policy, s, STEPS, flow=f))(state) for f in (FULL, STOP)]
    paths += [gated(jnp.array(gates)) for gates in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.3, 0.7))]
    assert np.asarray(jax.vmap(env.contact)(paths[0].states)).any()
    for path in paths[1:]:
        np.testing.assert_array_equal(path.states, paths[0].states)
        np.testing.assert_array_equal(path.actions, paths[0].actions)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_random_states_meet_by_themselves(dimensions):
    states = np.asarray(jax.vmap(lambda k: random_pusher(k, dimensions))(jax.random.split(jax.random.key(0), 256)))
    pusher, puck = states[:, 0], states[:, 1]
    distance = np.linalg.norm(puck[:, 0], axis=-1)
    assert distance.min() >= 0.6
    assert distance.max() <= 1.2
    behind = np.linalg.norm(pusher[:, 0] - puck[:, 0], axis=-1)
    assert behind.min() >= 0.35
    assert behind.max() <= 0.5
    assert not puck[:, 1].any()
    assert np.ptp(np.arctan2(states[:, 1, 0, -1], -puck[:, 0, 0])) <= np.pi / 3 + 1e-9 or dimensions == 1
    paths = np.asarray(run_many(make(), jnp.asarray(states))[0])
    moved = np.linalg.norm(paths[:, -1, 1, 0] - paths[:, 0, 1, 0], axis=-1)
    assert moved.min() > 0.01


def test_the_cost_is_the_way_to_rest_at_the_target():
    state = jnp.array([[[9.0, 9.0], [9.0, 9.0]], [[1.0, 0.5], [2.0, -1.0]]])
    assert RestAtTarget(0.5, settling=0.1)(state) == pytest.approx(0.5**2 + 0.01 * 5)
    assert RestAtTarget()(state.at[1].set(0)) == 0


def test_what_cannot_be_is_told():
    with pytest.raises(UndertowError, match=r"shape \(2, 2, dimensions\).*got \(2, 2, 3\).*vmap"):
        Pusher().advance(jnp.zeros((2, 2, 3)), jnp.zeros(3))
    with pytest.raises(UndertowError, match=r"one force of shape \(2,\), got \(1,\)"):
        Pusher().advance(jnp.zeros((2, 2, 2)), jnp.zeros(1))
    with pytest.raises(UndertowError, match="substeps must be a whole number above 0, got 0"):
        Pusher(0)
    with pytest.raises(UndertowError, match="1 or 2 dimensions, got 3"):
        random_pusher(jax.random.key(0), 3)
