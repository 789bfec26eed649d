"""Drivers and evaders: forces one by one, symmetries, and what happens where two of them meet."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.tasks.guidance import DistanceToTarget, Guidance, published_guidance, random_guidance


def by_loops(state, action, drivers, corrected=False, dt=4 / 60):
    """The forces agent by agent."""
    x, v = state[:, 0], state[:, 1]
    evaders = range(drivers, len(x))
    centre = sum(x[e] for e in evaders) / (len(evaders) if corrected else 1)
    force = np.zeros_like(x)

    def distance(r):
        return 0.1 + np.sqrt(r @ r)

    for d in range(drivers):
        r = x[d] - centre
        force[d] = action[d, 0] * r + action[d, 1] * np.array([-r[1], r[0]]) - v[d]
        for i in range(drivers):
            if i != d:
                force[d] += 0.2 * (x[d] - x[i]) / distance(x[d] - x[i]) ** 2
    for e in evaders:
        force[e] = -4 * v[e]
        for d in range(drivers):
            force[e] -= 15 * (x[d] - x[e]) / distance(x[d] - x[e]) ** 2
        for i in evaders:
            if i != e:
                near = distance(x[i] - x[e])
                force[e] += (-1 if corrected else 1) * 0.2 * (0.5 / near - 1) / near * (x[i] - x[e])
    return np.stack([x + dt * v, v + dt * force], axis=1)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("drivers, evaders", [(1, 1), (2, 4), (3, 2)])
def test_forces(rng, drivers, evaders, corrected):
    state = rng.normal(size=(drivers + evaders, 2, 2))
    action = rng.normal(size=(drivers, 2))
    moved = Guidance(drivers, corrected).advance(jnp.asarray(state), jnp.asarray(action))
    np.testing.assert_allclose(moved, by_loops(state, action, drivers, corrected), atol=1e-12)


@pytest.mark.parametrize("corrected", [False, True])
def test_rotations_and_reflections(rng, corrected):
    """Turned about the origin nothing changes; in a mirror the action around the herd changes its sign."""
    env = Guidance(2, corrected)
    state, action = jnp.asarray(rng.normal(size=(5, 2, 2))), jnp.asarray(rng.normal(size=(2, 2)))
    c, s = np.cos(0.7), np.sin(0.7)
    turn, mirror = jnp.array([[c, s], [-s, c]]), jnp.diag(jnp.array([1.0, -1.0]))
    np.testing.assert_allclose(env.advance(state @ turn, action), env.advance(state, action) @ turn, atol=1e-12)
    flipped = action * jnp.array([1.0, -1.0])
    np.testing.assert_allclose(env.advance(state @ mirror, flipped), env.advance(state, action) @ mirror, atol=1e-12)


def test_evaders_are_alike_and_push_each_other_equally(rng):
    state, action = jnp.asarray(rng.normal(size=(6, 2, 2))), jnp.asarray(rng.normal(size=(2, 2)))
    order = jnp.array([0, 1, 5, 3, 2, 4])
    moved = Guidance().advance(state, action)
    np.testing.assert_allclose(Guidance().advance(state[order], action), moved[order], atol=1e-13)
    # Without fear and friction the evaders' total momentum does not change.
    alone = Guidance(evade=0.0, evader_friction=0.0).advance(state, action)
    np.testing.assert_allclose(alone[2:, 1].sum(axis=0), state[2:, 1].sum(axis=0), atol=1e-12)


@pytest.mark.parametrize("corrected, nearer", [(False, False), (True, True)])
def test_the_corrected_herd_holds_together(corrected, nearer):
    """Two evaders 2 m apart come nearer with the corrected sign, and part with the published one."""
    state = jnp.zeros((3, 2, 2)).at[0, 0].set(jnp.array([50.0, 0])).at[1, 0, 1].set(1).at[2, 0, 1].set(-1)
    env = Guidance(1, corrected, evade=0.0)
    end = jax.lax.scan(lambda s, _: (env.advance(s, jnp.zeros((1, 2))), None), state, length=60)[0]
    assert (float(end[1, 0, 1] - end[2, 0, 1]) < 2) == nearer


def test_gradients_are_finite_where_agents_coincide():
    state = jnp.zeros((5, 2, 2))
    gradient = jax.jit(jax.grad(lambda s: jnp.sum(Guidance().advance(s, jnp.ones((2, 2))) ** 3)))(state)
    assert np.isfinite(np.asarray(gradient)).all()


def test_the_target_counts():
    state = jnp.zeros((4, 2, 2)).at[2:, 0].set(jnp.array([3.0, 4.0]))
    np.testing.assert_allclose(DistanceToTarget(2)(state), 12.5)
    np.testing.assert_allclose(DistanceToTarget(2, (3.0, 4.0))(state), 0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: jax.vmap(lambda k: random_guidance(k, 3, 5))(jax.random.split(jax.random.key(0), 400)),
        lambda: published_guidance(400, 3, 5),
    ],
)
def test_initial_states_lie_on_their_annuli(draw):
    states = np.asarray(draw())
    assert states.shape == (400, 8, 2, 2)
    radius = np.linalg.norm(states[:, :3, 0], axis=-1)
    assert (states[:, :, 1] == 0).all() and radius.min() >= 3 and radius.max() <= 4
    assert abs(radius.mean() - 3.5) < 0.02  # uniform in the radius, not in the area
    spread = states[:, 3:, 0].max(axis=1) - states[:, 3:, 0].min(axis=1)
    assert spread.max() <= 1
    assert np.linalg.norm(states[:, 3:, 0].mean(axis=1), axis=-1).min() > 0.4


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Guidance(0), "drivers must be a whole number above 0, got 0"),
        (
            lambda: Guidance(2).advance(jnp.zeros((2, 2, 2)), jnp.zeros((2, 2))),
            r"\(drivers \+ evaders, 2, 2\), got \(2, 2, 2\)",
        ),
        (lambda: Guidance(2).advance(jnp.zeros((5, 2, 2)), jnp.zeros((1, 2))), r"\(2, 2\), got \(1, 2\)"),
        (lambda: DistanceToTarget(2, (np.nan, 0.0)), "target must be a finite number"),
        (lambda: random_guidance(jax.random.key(0), 2, 0), "evaders must be a whole number above 0"),
        (lambda: published_guidance(0), "count must be a whole number above 0"),
        (lambda: published_guidance(8, 0), "drivers must be a whole number above 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UndertowError, match=message):
        call()
