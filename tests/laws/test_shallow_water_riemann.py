"""Exact solutions of shallow water against closed forms, the laws across waves, conservation and symmetries."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import assert_derivatives_agree, derivative_mismatches
from tests.laws.riemann import COUNT, PARTS, decimals, padded, points, quadrature
from undertow._checks import UndertowError
from undertow.laws.shallow_water_riemann import (
    shallow_water_riemann,
    shallow_water_riemann_at,
    shallow_water_star_state,
)

G = 9.81
# Left and right depth and velocity.
PROBLEMS = {
    "dam break": ((1, 0), (0.2, 0)),
    "shallow": ((1, 0), (1e-3, 0)),
    "fast": ((1, 2.5), (0.1, 0)),
    "apart": ((1, -5), (1, 5)),
    "collision": ((1, 4), (1, -4)),
    "dry on the right": ((1, 0), (0, 0)),
    "dry on the left": ((0, 0), (1, 0)),
    "falls dry": ((0.1, -3), (0.2, 3)),
    "equal": ((1, 0.3), (1, 0.3)),
}
PLACES = np.concatenate([[-np.inf, -30], np.linspace(-9, 9, PARTS * COUNT - 5), [0.3, 30, np.inf]])


def problem(name: str) -> np.ndarray:
    return np.asarray(PROBLEMS[name], float)


def solve(states, xi, gravity=G) -> np.ndarray:
    return padded(lambda xi: shallow_water_riemann(states[0], states[1], gravity, xi), xi)


def wave_curve(h, state):
    """In terms of depths, as in Toro (2001), chapter 5."""
    start = state[0]
    if h > start:
        return (h - start) * np.sqrt(G / 2 * (h + start) / (h * start))
    return 2 * (np.sqrt(G * h) - np.sqrt(G * start))


def speeds(states) -> np.ndarray:
    """Head and tail of the left wave, contact, tail and head of the right one, in order."""
    h, v = (float(value) for value in shallow_water_star_state(*states, G))
    ends = []
    for sign, state in zip((-1, 1), states, strict=True):
        c, start = np.sqrt(G * state[0]), state[0]
        if start == 0:
            ends.append((v, v))
        elif h > start:
            ends.append((state[1] + sign * np.sqrt(G / 2 * (h + start) * h / start),) * 2)
        else:
            ends.append((state[1] + sign * c, state[1] + sign * (3 * np.sqrt(G * h) - 2 * c)))
    return np.asarray([*ends[0], v, *ends[1][::-1]])


def conserved(w):
    return np.stack([w[0], w[0] * w[1]])


def flux(w):
    return np.stack([w[0] * w[1], w[0] * w[1] ** 2 + G / 2 * w[0] ** 2])


@st.composite
def problems(draw):
    """Collisions, dam breaks, and water pulled apart until the bed is dry."""
    h = np.asarray([10 ** draw(decimals(-4, 2)) for _ in range(2)])
    c = np.sqrt(G * h)
    v = draw(decimals(-2, 2)) * np.max(c)
    return np.stack([h, [v, v + 2 * draw(decimals(-5, 1.2)) * np.sum(c)]], axis=1)


def test_closed_forms():
    """Ritter's dam break over a dry bed, a symmetric collision, and the same parting: a wall that moves."""
    xi = np.linspace(-3.0, 6.2, 41)
    c = np.clip((2 * np.sqrt(G) - xi) / 3, 0, np.sqrt(G))
    wet = xi < 2 * np.sqrt(G)
    h, v = solve(problem("dry on the right"), xi)
    np.testing.assert_allclose(h, c**2 / G, rtol=1e-12)
    np.testing.assert_allclose(v, np.where(wet, 2 * (np.sqrt(G) - c), 0), atol=1e-12)

    for name in ("collision", "apart"):
        states = problem(name)
        h, v = (float(value) for value in shallow_water_star_state(*states, G))
        assert abs(v) < 1e-14
        assert abs(wave_curve(h, states[0]) - states[0, 1]) < 1e-13 * abs(states[0, 1])


@given(problems())
def test_depth_and_velocity_meet_on_both_wave_curves(states):
    h, v = (float(value) for value in shallow_water_star_state(*states, G))
    jumps = [wave_curve(h, state) for state in states]
    size = np.max(np.abs(jumps)) + np.max(np.abs(states[:, 1])) + np.sum(np.sqrt(G * states[:, 0]))
    dry = states[1, 1] - states[0, 1] >= 2 * np.sum(np.sqrt(G * states[:, 0]))
    assert (h == 0) == dry
    if not dry:
        assert abs(states[0, 1] - jumps[0] - v) < 1e-13 * size
        assert abs(states[1, 1] + jumps[1] - v) < 1e-13 * size


@given(problems())
def test_integrals_change_by_what_flows_in_and_out(states):
    xi, weights, low, high = quadrature(speeds(states))
    w = solve(states, xi)
    assert np.all(np.isfinite(w)) and np.all(w[0] >= 0)
    inside = conserved(w) @ weights
    left, right = (conserved(state) for state in states)
    expected = flux(states[0]) - flux(states[1]) - low * left + high * right
    size = (
        np.abs(low * left) + np.abs(high * right) + np.abs(inside) + np.abs(flux(states[0])) + np.abs(flux(states[1]))
    )
    assert np.all(np.abs(inside - expected) < 1e-12 * size)


@given(problems())
def test_fans_keep_their_invariants(states):
    edges = speeds(states)
    xi = points(edges)
    w, places = solve(states, xi).reshape(2, PARTS, -1), xi.reshape(PARTS, -1)
    for sign, state, part, ends in ((-1, states[0], 1, edges[:2]), (1, states[1], 4, edges[3:])):
        if ends[1] - ends[0] > 1e-6 * np.ptp(edges):
            h, v = w[:, part]
            size = np.max(np.abs(edges))
            np.testing.assert_allclose(v + sign * np.sqrt(G * h), places[part], atol=1e-12 * size)
            kept = state[1] - sign * 2 * np.sqrt(G * state[0])
            np.testing.assert_allclose(v - sign * 2 * np.sqrt(G * h), kept, atol=1e-12 * size)


def close(one, other, states, tolerance=1e-11):
    size = np.maximum(np.max(np.abs(one), axis=-1), np.max(np.abs(other), axis=-1))
    size[1] += np.sqrt(G * np.max(states[:, 0]))
    return np.all(np.abs(one - other) <= tolerance * size[:, None])


@given(problems(), decimals(-3, 3), decimals(-2, 2))
def test_mirror_moving_frame_and_units(states, shift, log_depth):
    xi = points(speeds(states), margin=1e-3)
    w = solve(states, xi)
    flip = np.asarray([1.0, -1.0])
    assert close(solve(states[::-1] * flip, -xi) * flip[:, None], w, states)
    moving = np.asarray([0.0, shift * np.sqrt(G * np.max(states[:, 0]))])
    assert close(solve(states + moving, xi + moving[1]) - moving[:, None], w, states, 1e-9)
    assert close(solve(states * [10**log_depth, 1.0], xi, G / 10**log_depth) / [[10**log_depth], [1.0]], w, states)


def test_dry_beds_tangential_velocities_and_time_zero():
    left, right = problem("falls dry")
    edges = left[1] + 2 * np.sqrt(G * left[0]), right[1] - 2 * np.sqrt(G * right[0])
    xi = np.linspace(*edges, 9)[1:-1]
    np.testing.assert_array_equal(solve((left, right), xi), [np.zeros(7), xi])
    four = np.asarray([[1.0, 0.0, 0.25], [0.2, 0.0, -0.75]])
    w = np.asarray(shallow_water_riemann(four[0], four[1], G, PLACES))
    np.testing.assert_array_equal(w[:2], solve(four[:, :2], PLACES))
    contact = shallow_water_star_state(four[0], four[1], G)[1]
    np.testing.assert_array_equal(w[2], np.where(contact >= PLACES, 0.25, -0.75))
    x = np.asarray([0.2, 0.3, 0.30001, 0.9])
    at = padded(lambda x: shallow_water_riemann_at(left, right, G, x, 0.3, 0.0), x)
    np.testing.assert_array_equal(at, np.stack([left, left, right, right], axis=1))


ALL = np.asarray([problem(name) for name in PROBLEMS])


def test_batches_and_finite_derivatives_everywhere():
    weights = np.random.default_rng(0).normal(size=(2, len(PLACES)))

    def total(states, gravity, xi):
        w = shallow_water_riemann(states[0], states[1], gravity, xi)
        return jnp.sum(weights * w), w

    slopes = jax.jit(jax.vmap(jax.value_and_grad(total, (0, 1, 2), has_aux=True), (0, None, None)))
    states = np.concatenate([ALL, np.zeros_like(ALL[:1])])
    (_, batch), found = slopes(states, G, PLACES)
    for one, w in zip(states, batch, strict=True):
        np.testing.assert_allclose(solve(one, PLACES), w, rtol=1e-13, atol=1e-14)
    for slope in (*found, *slopes(states, G, np.where(np.isfinite(PLACES), PLACES, 0.0))[1]):
        assert np.all(np.isfinite(slope)) and np.any(slope != 0)


@pytest.fixture(scope="module")
def mismatches():
    def at(point):
        log_depth, velocity, gravity, xi = point
        left, right = jnp.stack([jnp.exp(log_depth), velocity], axis=1)
        return shallow_water_riemann(left, right, gravity, xi)

    return derivative_mismatches(at)


@pytest.mark.parametrize("name", PROBLEMS)
def test_derivatives_are_those_of_finite_differences(name, mismatches):
    states = problem(name)
    xi = points(speeds(states), margin=1e-2)
    with np.errstate(divide="ignore"):
        point = np.log(states[:, 0]), states[:, 1], G, xi
    assert_derivatives_agree(mismatches, jax.tree.map(jnp.asarray, point), label=name)


def test_single_precision():
    for states in ALL:
        xi = points(speeds(states), margin=1e-2)
        half = states.astype(np.float32)
        w = shallow_water_riemann(half[0], half[1], G, xi.astype(np.float32))
        assert w.dtype == jnp.float32
        assert close(np.asarray(w, float), solve(states, xi), states, 3e-5)


def test_bad_states_say_so():
    left, right = problem("dam break")
    with pytest.raises(UndertowError, match=r"depth must be at least 0 \(a dry bed\), got"):
        shallow_water_riemann((-1.0, 0.0), right, G, PLACES)
    with pytest.raises(UndertowError, match="gravity must be a single number above 0, got 0"):
        shallow_water_star_state(left, right, 0.0)
    with pytest.raises(UndertowError, match=r"at least 2 entries, got shapes \(1,\) and \(2,\)"):
        shallow_water_riemann((1.0,), right, G, PLACES)
