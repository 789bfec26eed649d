"""Exact solutions of gas dynamics against the book's table, the laws across waves, conservation and symmetries."""

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
from undertow.laws.euler_riemann import euler_riemann, euler_riemann_at, star_state

# Left and right density, velocity and pressure, gamma = 1.4.
PROBLEMS = {
    "sod": ((1, 0, 1), (0.125, 0, 0.1)),
    "123": ((1, -2, 0.4), (1, 2, 0.4)),
    "left blast": ((1, 0, 1000), (1, 0, 0.01)),
    "right blast": ((1, 0, 0.01), (1, 0, 100)),
    "collision": ((5.99924, 19.5975, 460.894), (5.99242, -6.19633, 46.0950)),
    "leblanc": ((1, 0, 0.2 / 3), (1e-3, 0, 0.2e-9 / 3)),
    "vacuum opens": ((1, -4, 0.4), (2, 5, 0.7)),
    "vacuum on the right": ((1, 0.3, 1), (0, 0, 0)),
    "vacuum on the left": ((0, 0, 0), (0.5, -0.2, 1)),
    "equal": ((1, 0.3, 0.7), (1, 0.3, 0.7)),
    "contact": ((1, 0.3, 0.7), (2, 0.3, 0.7)),
    "equal pressures": ((1, 0.5, 1), (1, -0.5, 1)),
}


def problem(name: str) -> np.ndarray:
    return np.asarray(PROBLEMS[name], float)


def solve(states, gamma, xi) -> np.ndarray:
    return padded(lambda xi: euler_riemann(states[0], states[1], gamma, xi), xi)


# --- the same from the book's formulas, in NumPy and in terms of pressure --------------------------------------------


def sound(state, gamma):
    return np.sqrt(gamma * state[2] / state[0]) if state[0] > 0 else 0.0


def wave_curve(p, state, gamma):
    """Toro (4.6)-(4.8): what a wave to this pressure adds to the velocity."""
    rho, _, start = state
    if p > start:
        return (p - start) * np.sqrt(2 / ((gamma + 1) * rho) / (p + (gamma - 1) / (gamma + 1) * start))
    return 2 * sound(state, gamma) / (gamma - 1) * ((p / start) ** ((gamma - 1) / (2 * gamma)) - 1)


def speeds(states, gamma) -> np.ndarray:
    """Head and tail of the left wave, contact, tail and head of the right one, in order."""
    p, v = (float(value) for value in star_state(*states, gamma))
    outer, inner = [], []
    for sign, state in zip((-1, 1), states, strict=True):
        a = sound(state, gamma)
        if state[0] == 0:
            head = tail = v
        elif p > state[2]:
            head = tail = state[1] + sign * a * np.sqrt(((gamma + 1) * p / state[2] + gamma - 1) / (2 * gamma))
        else:
            rise = (p / state[2]) ** ((gamma - 1) / (2 * gamma))
            # Velocity and sound speed behind it by the Riemann invariant: in vacuum this is the edge.
            head, tail = state[1] + sign * a, state[1] + sign * a * (rise - 2 / (gamma - 1) * (1 - rise))
        outer.append(head)
        inner.append(tail)
    return np.asarray([outer[0], inner[0], v, inner[1], outer[1]])


def conserved(w, gamma):
    rho, v, p = w
    return np.stack([rho, rho * v, p / (gamma - 1) + rho * v**2 / 2])


def flux(w, gamma):
    rho, v, p = w
    return np.stack([rho * v, rho * v**2 + p, (p * gamma / (gamma - 1) + rho * v**2 / 2) * v])


GAMMAS = (1.2, 1.4, 5 / 3, 2.0, 3.0)


@st.composite
def problems(draw, vacuum: bool = True):
    """Physical states of any strength: collisions, shock tubes, and gas pulled apart, beyond vacuum if wanted."""
    gamma = draw(st.sampled_from(GAMMAS))
    rho = [10 ** draw(decimals(-3, 3)) for _ in range(2)]
    p = [10 ** draw(decimals(-5, 5)) for _ in range(2)]
    a = np.sqrt(gamma * np.asarray(p) / rho)
    pull = draw(decimals(-5, 1.2 if vacuum else 0.9)) * 2 / (gamma - 1) * np.sum(a)
    v = draw(decimals(-2, 2)) * np.max(a)
    return np.asarray([[rho[0], v, p[0]], [rho[1], v + pull, p[1]]]), gamma


# --- the star state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pressure", "velocity", "densities"),
    [
        ("sod", (0.30313, 5), (0.92745, 5), ((0.42632, 5), (0.26557, 5))),
        ("123", (0.00189, 5), (0.00000, 5), ((0.02185, 5), (0.02185, 5))),
        ("left blast", (460.894, 3), (19.5975, 4), ((0.57506, 5), (5.99924, 5))),
        ("right blast", (46.0950, 4), (-6.19633, 5), ((5.99242, 5), (0.57511, 5))),
        ("collision", (1691.64, 2), (8.68975, 4), ((14.2823, 4), (31.0426, 4))),
    ],
)
def test_the_table_of_the_book(name, pressure, velocity, densities):
    """Toro, table 4.2. Some of its digits are cut off, not rounded, and the last velocity is the one before the last."""
    states = problem(name)
    p, v = star_state(*states, 1.4)
    gap = 1e-6 * max(1, abs(float(v)))
    rho = solve(states, 1.4, np.asarray([v - gap, v + gap]))[0]
    for value, (printed, digits) in zip((p, v, *rho), (pressure, velocity, *densities), strict=True):
        assert abs(value - printed) < 10.0**-digits, (value, printed)


@given(problems(vacuum=False))
def test_pressure_and_velocity_meet_on_both_wave_curves(drawn):
    states, gamma = drawn
    p, v = (float(value) for value in star_state(*states, gamma))
    jumps = [wave_curve(p, state, gamma) for state in states]
    size = np.max(np.abs(jumps)) + np.max(np.abs(states[:, 1])) + sum(sound(state, gamma) for state in states)
    assert abs(jumps[0] + jumps[1] + states[1, 1] - states[0, 1]) < 1e-13 * size
    assert abs(states[0, 1] - jumps[0] - v) < 1e-13 * size
    assert abs(states[1, 1] + jumps[1] - v) < 1e-13 * size


def test_extremes():
    """Two rarefactions have a closed form down to the edge of vacuum, a strong collision the one of a cold gas."""
    for left_over in (1e-1, 1e-4, 1e-8):
        a, pull = np.sqrt(1.4), 5 * (1 - left_over) * np.sqrt(1.4)
        p, v = star_state((1.0, -pull, 1.0), (1.0, pull, 1.0), 1.4)
        assert abs(v) < 1e-14
        np.testing.assert_allclose(p, (1 - pull / (5 * a)) ** 7, rtol=1e-13 / left_over)
    p, _ = star_state((1.0, 1e6, 1.0), (1.0, -1e6, 1.0), 1.4)
    np.testing.assert_allclose(p, 1.2e12, rtol=1e-11)
    # The same without any pressure ahead of the shocks: the planar problem of Noh.
    w = solve(((1.0, 1.0, 0.0), (1.0, -1.0, 0.0)), 1.4, np.asarray([-0.3, -0.1, 0.1, 0.3]))
    np.testing.assert_allclose(w[0], [1, 6, 6, 1], rtol=1e-13)
    np.testing.assert_allclose(w[1], [1, 0, 0, -1], atol=1e-13)
    np.testing.assert_allclose(w[2], [0, 1.2, 1.2, 0], rtol=1e-13)


# --- the whole solution ---------------------------------------------------------------------------------------------


@given(problems())
def test_integrals_change_by_what_flows_in_and_out(drawn):
    """Conservation over everything at once: jump conditions, fans, contacts and vacuum."""
    states, gamma = drawn
    xi, weights, low, high = quadrature(speeds(states, gamma))
    inside = conserved(solve(states, gamma, xi), gamma) @ weights
    left, right = (conserved(state, gamma) for state in states)
    expected = flux(states[0], gamma) - flux(states[1], gamma) - low * left + high * right
    size = (np.abs(low * left) + np.abs(high * right) + np.abs(inside)) + np.abs(flux(states[0], gamma))
    np.testing.assert_array_less(np.abs(inside - expected), 1e-11 * (size + np.abs(flux(states[1], gamma))))


@given(problems())
def test_shocks_keep_the_fluxes_and_fans_their_invariants(drawn):
    states, gamma = drawn
    edges = speeds(states, gamma)
    xi = points(edges)
    w = solve(states, gamma, xi)
    assert np.all(np.isfinite(w)) and np.all(w[[0, 2]] >= 0)
    parts, places, wide = w.reshape(3, PARTS, -1), xi.reshape(PARTS, -1), np.diff(edges) > 1e-7 * np.ptp(edges)
    for sign, state, outer, fan, star, k in ((-1, states[0], 0, 1, 2, 0), (1, states[1], 5, 4, 3, 4)):
        np.testing.assert_array_equal(parts[:, outer], np.broadcast_to(state[:, None], parts[:, outer].shape))
        if parts[2, star, 0] > state[2] and wide[star - 1]:
            inner = parts[:, star, 0]
            gone = flux(inner, gamma) - flux(state, gamma)
            carried = edges[k] * (conserved(inner, gamma) - conserved(state, gamma))
            size = np.abs(flux(inner, gamma)) + np.abs(flux(state, gamma)) + np.abs(edges[k] * conserved(inner, gamma))
            np.testing.assert_array_less(np.abs(gone - carried), 1e-11 * size)
        elif wide[fan - 1]:
            rho, v, p = parts[:, fan]
            ratio, a = (p / state[2]) ** ((gamma - 1) / (2 * gamma)), sound(state, gamma)
            size = a + np.max(np.abs(edges))
            np.testing.assert_allclose(rho, state[0] * ratio ** (2 / (gamma - 1)), rtol=1e-12, atol=0)
            np.testing.assert_allclose(v + sign * a * ratio, places[fan], atol=1e-12 * size)
            invariant = v - sign * 2 / (gamma - 1) * a * ratio
            np.testing.assert_allclose(invariant, state[1] - sign * 2 / (gamma - 1) * a, atol=1e-12 * size)


def test_vacuum():
    gamma, (left, right) = 1.4, problem("vacuum opens")
    edges = left[1] + 5 * sound(left, gamma), right[1] - 5 * sound(right, gamma)
    assert edges[0] < edges[1]
    assert [float(x) for x in star_state(left, right, gamma)] == [0.0, pytest.approx(sum(edges) / 2)]
    xi = np.linspace(*edges, 24)[1:-1]
    rho, v, p = solve((left, right), gamma, xi)
    assert np.all(rho == 0) and np.all(p == 0)
    np.testing.assert_array_equal(v, xi)

    gas, nothing = problem("vacuum on the right")
    edge = gas[1] + 5 * sound(gas, gamma)
    assert [float(x) for x in star_state(gas, nothing, gamma)] == [0.0, pytest.approx(edge)]
    w = solve((gas, nothing), gamma, edge + np.asarray([-1e-3, 1e-3, 1.0]))
    assert 0 < w[0, 0] < 1e-15 and np.all(w[:, 1:] == 0)
    np.testing.assert_array_equal(solve(((0, 2, 0), (0, 3, 0)), gamma, np.asarray([2.4, 2.6]))[1], [2, 3])


# --- symmetries -----------------------------------------------------------------------------------------------------


def assert_close(one, other, states, gamma, tolerance=1e-11):
    """Beside the largest density, pressure and velocity there is."""
    size = np.maximum(np.max(np.abs(one), axis=-1), np.max(np.abs(other), axis=-1))
    size[1] += max(sound(state, gamma) for state in states)
    assert np.all(np.abs(one - other) <= tolerance * size[:, None]), np.max(np.abs(one - other), axis=-1) / size


@given(problems(), decimals(-3, 3), decimals(-2, 2), decimals(-2, 2))
def test_mirror_moving_frame_and_units(drawn, shift, log_density, log_velocity):
    states, gamma = drawn
    xi = points(speeds(states, gamma), margin=1e-3)
    w = solve(states, gamma, xi)
    flip = np.asarray([1.0, -1.0, 1.0])
    assert_close(solve(states[::-1] * flip, gamma, -xi) * flip[:, None], w, states, gamma)

    speed = shift * max(sound(state, gamma) for state in states)
    moving = np.asarray([0.0, speed, 0.0])
    assert_close(solve(states + moving, gamma, xi + speed) - moving[:, None], w, states, gamma, 1e-9)

    units = np.asarray([10**log_density, 10**log_velocity, 10 ** (log_density + 2 * log_velocity)])
    assert_close(solve(states * units, gamma, xi * units[1]) / units[:, None], w, states, gamma)


def test_tangential_velocities_jump_at_the_contact():
    for name in ("sod", "vacuum opens", "vacuum on the right"):
        states = problem(name)
        four = np.insert(states, 2, [0.25, -0.75], axis=1)
        xi = points(speeds(states, 1.4))
        w = np.asarray(euler_riemann(four[0], four[1], 1.4, xi))
        np.testing.assert_array_equal(w[[0, 1, 3]], solve(states, 1.4, xi))
        np.testing.assert_array_equal(w[2], np.where(xi <= star_state(*states, 1.4)[1], 0.25, -0.75))


def test_points_on_jumps_belong_to_the_left():
    states = problem("sod")
    _, _, contact, _, shock = (float(s) for s in speeds(states, 1.4))
    w = solve(states, 1.4, np.asarray([contact, np.nextafter(contact, 2)]))
    np.testing.assert_allclose(w[0], [0.42632, 0.26557], atol=1e-5)
    gaps = solve(((2.0, 1.0, 1.0), (1.0, 1.0, 1.0)), 1.4, np.asarray([1.0, 1.0 + 1e-15]))
    np.testing.assert_array_equal(gaps[0], [2.0, 1.0])
    around = solve(states, 1.4, shock + np.asarray([-1e-14, 1e-14]))
    np.testing.assert_allclose(around[0], [0.26557, 0.125], atol=1e-5)


def test_time_zero_is_the_data():
    left, right = problem("sod")
    x = np.asarray([0.2, 0.3, 0.30001, 0.9])

    def at(t):
        return padded(lambda x: euler_riemann_at(left, right, 1.4, x, 0.3, t), x)

    np.testing.assert_array_equal(at(0.0), np.stack([left, left, right, right], axis=1))
    np.testing.assert_array_equal(at(1e-320), at(0.0))
    np.testing.assert_array_equal(solve((left, right), 1.4, [-np.inf, np.inf]), np.stack([left, right], axis=1))
    np.testing.assert_allclose(at(0.25), solve((left, right), 1.4, (x - 0.3) / 0.25), rtol=1e-14)


# --- as a JAX function ----------------------------------------------------------------------------------------------

ALL = np.asarray([problem(name) for name in PROBLEMS])
# In front of, in and behind all waves, some points on jumps, and the ends of the line.
PLACES = np.concatenate([[-np.inf, -30], np.linspace(-6, 6, PARTS * COUNT - 5), [0.3, 30, np.inf]])


def test_a_batch_is_a_loop():
    gammas = np.linspace(1.1, 2, len(ALL))
    batch = jax.jit(jax.vmap(euler_riemann))(ALL[:, 0], ALL[:, 1], gammas, np.tile(PLACES, (len(ALL), 1)))
    for states, gamma, w in zip(ALL, gammas, batch, strict=True):
        np.testing.assert_allclose(solve(states, gamma, PLACES), w, rtol=1e-13, atol=1e-15)
    shaped = euler_riemann(*problem("sod"), 1.4, PLACES.reshape(2, -1))
    np.testing.assert_array_equal(shaped.reshape(3, -1), solve(problem("sod"), 1.4, PLACES))


def test_derivatives_are_finite_everywhere():
    """On jumps, in vacuum, at the ends of the line and for cold gas. One that is not would spoil all the others."""
    cold = np.asarray(
        [((1, 0, 0), (2, 0, 0)), ((1, -1, 0), (1, 1, 0)), ((0, 1, 0), (0, 2, 0)), ((1, 0, 0), (1, 0, 1.0))]
    )
    weights = np.random.default_rng(0).normal(size=(3, len(PLACES)))

    def total(states, gamma, xi):
        return jnp.sum(weights * euler_riemann(states[0], states[1], gamma, xi))

    slopes = jax.jit(jax.vmap(jax.grad(total, (0, 1, 2)), (0, None, None)))
    finite = np.isfinite(PLACES)
    for states in (ALL, np.tile(cold, (3, 1, 1))):
        for slope in slopes(states, 1.4, np.where(finite, PLACES, 0.0)):
            assert np.all(np.isfinite(slope)) and np.any(slope != 0)
        for slope in slopes(states, 1.4, PLACES):
            assert np.all(np.isfinite(slope))


@pytest.fixture(scope="module")
def mismatches():
    def at(point):
        # Logarithms: finite differences see relative steps, and nothing (-inf) stays nothing.
        log_density, velocity, log_pressure, gamma, xi = point
        left, right = jnp.stack([jnp.exp(log_density), velocity, jnp.exp(log_pressure)], axis=1)
        return euler_riemann(left, right, gamma, xi)

    return derivative_mismatches(at)


@pytest.mark.parametrize("name", PROBLEMS)
def test_derivatives_are_those_of_finite_differences(name, mismatches):
    states = problem(name)
    xi = points(speeds(states, 1.4), margin=1e-2)
    with np.errstate(divide="ignore"):
        point = np.log(states[:, 0]), states[:, 1], np.log(states[:, 2]), 1.4, xi
    assert_derivatives_agree(mismatches, jax.tree.map(jnp.asarray, point), label=name)


def test_single_precision():
    for states in ALL:
        xi = points(speeds(states, 1.4), margin=1e-2)
        half = states.astype(np.float32)
        w = euler_riemann(half[0], half[1], 1.4, xi.astype(np.float32))
        assert w.dtype == jnp.float32
        assert_close(np.asarray(w, float), solve(states, 1.4, xi), states, 1.4, 3e-5)


def test_bad_states_say_so():
    left, right = problem("sod")
    for bad, message in (
        ((-1.0, 0.0, 1.0), r"density must be at least 0 \(vacuum\), got"),
        ((1.0, 0.0, -1.0), "pressure must be at least 0"),
        ((1.0, np.nan, 1.0), "must be finite"),
        ((1.0, 1.0), r"one shape with at least 3 entries, got shapes \(2,\) and \(3,\)"),
    ):
        with pytest.raises(UndertowError, match=message):
            euler_riemann(bad, right, 1.4, PLACES)
    with pytest.raises(UndertowError, match="gamma must be a single number above 1, got 1"):
        star_state(left, right, 1.0)
    with pytest.raises(UndertowError, match="time must be at least 0, got -1"):
        euler_riemann_at(left, right, 1.4, PLACES, 0.0, -1.0)
    with pytest.raises(UndertowError, match=r"single time, got shape \(2,\)"):
        euler_riemann_at(left, right, 1.4, PLACES, 0.0, jnp.ones(2))
    for star in jax.vmap(lambda p: star_state(left, jnp.stack([1.0, 0.0, p]), 1.4))(jnp.asarray([-1.0, 1.0])):
        assert np.isnan(star[0]) and np.isfinite(star[1])
