"""Initial conditions: values from their formulas, primitives against quadrature, draws within their ranges."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition, random_condition
from undertow.laws.burgers_exact import burgers_exact_cases
from undertow.laws.conditions import CallableCondition, PiecewisePolynomial

X = np.linspace(0.003, 0.991, 95)  # on none of the jumps
A = 1 / (0.2 * np.pi)


def tanh_wave(x):
    return np.tanh(60 * (x - 0.5))


def accelshock(x):
    return np.where(x > 0.25, 3 * (x - 1), 3.0)


FORMULAS = {
    "smooth_sine": ("periodic", lambda x: A * np.sin(2 * np.pi * x)),
    "smooth_sine_outflow": ("outflow", lambda x: A * np.sin(2 * np.pi * x)),
    "smooth_sine_shift": ("periodic", lambda x: A * np.sin(2 * np.pi * x)),
    "other_sine": ("periodic", lambda x: 2.5 + 0.5 * np.sin(4 * np.pi * x)),
    "gaussian": ("outflow", lambda x: 1 + np.exp(-60 * (x - 0.5) ** 2)),
    "random": ("periodic", lambda x: 3 + 0.5 * np.sin(4 * np.pi * x)),
    "random-many-shocks": ("periodic", lambda x: 0.5 * np.sin(12 * np.pi * x)),
    "smooth_rare": ("outflow", tanh_wave),
    "smooth_rare2": ("outflow", lambda x: 1 + np.tanh(10 * (x - 0.25))),
    "smooth_rare_periodic": ("periodic", tanh_wave),
    "smooth_rare_random": ("outflow", tanh_wave),
    "accelshock": ("outflow", accelshock),
    "accelshock_periodic": ("periodic", accelshock),
    "accelshock_random": ("outflow", accelshock),
    "shock": ("outflow", lambda x: np.where(x > 0.25, 1.0, 3.0)),
    "shock_formation": ("outflow", lambda x: 1 + np.tanh(-10 * (x - 0.25))),
    "sawtooth": ("outflow", lambda x: np.where((x > 0.333) & (x < 0.666), 2 * (x - 0.333) / 0.333, 0.0)),
    "tophat": ("outflow", lambda x: np.where((x > 1 / 3) & (x <= 2 / 3), 1.0, 0.0)),
    "sine": (
        "periodic",
        lambda x: 1 + np.where((x > 0.333) & (x < 0.666), 0.5 * np.sin(2 * np.pi * (x - 0.333) / 0.333), 0.0),
    ),
    "rarefaction": ("outflow", lambda x: np.where(x > 0.5, 2.0, 1.0)),
    "zero": ("periodic", lambda x: 0 * x),
    "flat": ("outflow", lambda x: 2 + 0 * x),
    "line": ("linear", lambda x: 2 - 0.1 * x),
    "para": ("outflow", lambda x: 2 - x**2),
}


@jax.jit
def evaluate(condition, x):
    return condition(x), condition.primitive(x)


def quadrature(function, breaks, x, domain=(0.0, 1.0)):
    """int from the left edge to every x, by Gauss quadrature on short panels between the breaks."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    inside = [b for b in np.asarray(breaks) if domain[0] < b < domain[1]]
    edges = np.unique(np.concatenate([np.linspace(*domain, 60), inside, x]))
    half = np.diff(edges)[:, None] / 2
    values = np.asarray(function((edges[:-1, None] + half + half * nodes).ravel()))
    total = np.concatenate([[0], np.cumsum((half * values.reshape(-1, 12) * weights).sum(1))])
    return total[np.searchsorted(edges, x)]


def test_every_name_is_there():
    assert set(FORMULAS) == set(BURGERS_CONDITIONS) == set(burgers_exact_cases())


@pytest.mark.parametrize("name", FORMULAS)
def test_named_conditions_have_their_values_boundary_and_primitive(name):
    boundary, formula = FORMULAS[name]
    condition = burgers_condition(name)
    assert condition.boundary == boundary
    assert float(condition.periodic) == (boundary == "periodic")
    values, primitive = evaluate(condition, jnp.append(X, 0.0))
    np.testing.assert_allclose(values[:-1], formula(X), rtol=0, atol=2e-14)
    np.testing.assert_allclose(primitive[:-1], quadrature(formula, condition.breakpoints, X), rtol=0, atol=1e-14)
    assert float(primitive[-1]) == 0.0


def test_a_point_on_a_jump_belongs_to_the_left():
    at = jnp.asarray([0.25])
    assert float(burgers_condition("accelshock")(at)[0]) == 3.0
    assert float(burgers_condition("rarefaction", offset=0.25)(at)[0]) == 1.0


def test_smooth_sine_breaks_at_a_tenth():
    slope = jax.vmap(jax.grad(lambda x: burgers_condition("smooth_sine")(x[None])[0]))(jnp.linspace(0, 1, 101))
    assert float(-1 / jnp.min(slope)) == pytest.approx(0.1, abs=1e-14)


def test_parameters_replace_defaults_and_follow_each_other():
    x = jnp.asarray(X)
    np.testing.assert_allclose(burgers_condition("random", b=-0.25, k=6)(x), 3.25 - 0.25 * np.sin(6 * np.pi * X))
    np.testing.assert_allclose(burgers_condition("tophat", u_L=0.5)(x)[-1], 0.5)
    assert burgers_condition("smooth_sine", boundary="outflow").boundary == "outflow"
    wide = burgers_condition("smooth_rare", domain=(-1.0, 2.0), boundary="periodic")
    y = np.linspace(-1, 2, 50)
    np.testing.assert_allclose(wide.primitive(jnp.asarray(y)), quadrature(wide, [], y, (-1.0, 2.0)), atol=1e-13)


@pytest.mark.parametrize("name", BURGERS_CONDITIONS)
def test_conditions_move_and_stretch_with_their_domain(name):
    here, there, s = (
        burgers_condition(name),
        burgers_condition(name, domain=(10.0, 14.0)),
        jnp.linspace(0.013, 0.987, 37),
    )
    np.testing.assert_allclose(there(10 + 4 * s), here(s), atol=1e-13)
    np.testing.assert_allclose(there.primitive(10 + 4 * s), 4 * here.primitive(s), atol=1e-12)
    with pytest.raises(UndertowError, match="positions count from 0 at its start"):
        burgers_condition("shock", offset=10.5, domain=(10.0, 11.0))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: burgers_condition("smoth_sine"), ["smoth_sine", "did you mean 'smooth_sine'"]),
        (lambda: burgers_condition("shock", ofset=0.1), ["shock", "ofset", "offset"]),
        (lambda: burgers_condition("zero", a=1.0), ["zero", "no parameters"]),
        (lambda: burgers_condition("smooth_sine_outflow", boundary="periodic"), ["outflow", "periodic"]),
        (lambda: burgers_condition("tophat", x1=0.7), ["x1", "x2", "0.7"]),
        (lambda: burgers_condition("shock", domain=(1.0, 0.0)), ["domain", "x_min < x_max"]),
        (lambda: CallableCondition(jnp.sin), ["boundary", "periodic"]),
        (lambda: CallableCondition(3.0, "periodic"), ["function", "3.0"]),
        (lambda: CallableCondition(jnp.sum, "periodic"), ["shape (n,)", "()"]),
        (lambda: CallableCondition(lambda x: 1.0, "periodic"), ["shape (n,)", "()"]),
        (lambda: CallableCondition(lambda x: float(x), "periodic"), ["jax.numpy"]),
        (lambda: random_condition(jax.random.key(0), num_jumps=0), ["num_jumps", "0"]),
        (lambda: random_condition(jax.random.key(0), min_width=0.5), ["min_width", "0.5"]),
        (lambda: random_condition(jax.random.key(0), mixture=(0, 0, 0)), ["mixture"]),
    ],
)
def test_bad_input_is_explained(build, words):
    with pytest.raises(UndertowError) as caught:
        build()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# --- a user's own function ------------------------------------------------------------------------------------------


def test_own_function_is_integrated_between_its_jumps():
    own = CallableCondition(lambda x: jnp.where(x > 0.3, jnp.exp(x), -1.0), "outflow", jumps=[0.3])
    x = jnp.asarray(X)
    expected = np.where(X > 0.3, np.exp(X) - np.exp(0.3) - 0.3, -X)
    np.testing.assert_allclose(evaluate(own, x)[1], expected, rtol=0, atol=1e-14)


def test_own_function_agrees_with_the_closed_form():
    closed = burgers_condition("gaussian")
    own = CallableCondition(lambda x: 1 + jnp.exp(-60 * (x - 0.5) ** 2), "outflow")
    np.testing.assert_allclose(evaluate(own, X)[1], evaluate(closed, X)[1], rtol=0, atol=1e-14)


# --- random families ------------------------------------------------------------------------------------------------

RANDOM_NAMES = [name for name, family in BURGERS_CONDITIONS.items() if family.draw is not None]
RANGES = {
    "random": {"amplitude": (-1, 1), "mean": (2.5, 3.3), "frequency": (2 * np.pi, 8 * np.pi)},
    "random-many-shocks": {"amplitude": (-1, 1), "mean": (-2, 2), "frequency": (10 * np.pi, 14 * np.pi)},
    "smooth_rare_random": {"amplitude": (0.25, 1.5), "mean": (-1, 1), "steepness": (20, 100)},
    "accelshock_random": {"positions": (0, 0.5), "coefficients": (-5, 5)},
    "smooth_sine_shift": {"phase": (0, 2 * np.pi), "amplitude": (A, A)},
}


def draw(name, continuous, n=256):
    keys = jax.random.split(jax.random.key(0), n)
    return jax.jit(jax.vmap(lambda key: burgers_condition(name, key=key, continuous=continuous)))(keys)


def test_which_families_are_random():
    assert set(RANDOM_NAMES) == set(RANGES)


@pytest.mark.parametrize("name", RANGES)
def test_random_families_fill_their_ranges(name):
    batch, grid = draw(name, True), draw(name, False)
    for field, (low, high) in RANGES[name].items():
        for sample in (batch, grid):
            values = np.asarray(getattr(sample, field))
            assert values.min() >= low - 1e-12
            assert values.max() <= high + 1e-12
            assert values.max() - values.min() >= 0.9 * (high - low)
    field = next(iter(RANGES[name]))
    assert len(np.unique(getattr(batch, field))) == 256
    assert len(np.unique(np.round(getattr(grid, field), 12))) <= 23


def test_many_shocks_keeps_whole_waves_and_random_its_sum():
    many, plain = draw("random-many-shocks", True), draw("random", False)
    assert set(np.unique(np.round(many.frequency / np.pi, 12))) == {10, 12, 14}
    np.testing.assert_allclose(plain.mean + np.abs(plain.amplitude), 3.5)
    assert set(np.unique(np.round(np.abs(plain.amplitude), 12))) == set(np.round(np.linspace(0.2, 1, 9), 12))


def test_a_given_parameter_wins_over_a_drawn_one_and_a_key_leaves_fixed_ones_alone():
    key = jax.random.key(3)
    assert float(burgers_condition("smooth_rare_random", key=key, A=-1.0).amplitude) == -1.0
    assert float(burgers_condition("shock", key=key).positions[0]) == 0.25


@pytest.fixture(scope="module")
def batch():
    return jax.jit(jax.vmap(random_condition))(jax.random.split(jax.random.key(7), 512))


def test_random_conditions_are_bounded_sorted_and_of_all_kinds(batch):
    u0 = np.asarray(jax.vmap(lambda c: c(jnp.linspace(0, 1, 301)))(batch))
    assert np.all(np.abs(u0) <= 3)
    assert 0.4 < np.mean(batch.periodic) < 0.6
    assert np.all(np.diff(batch.positions, axis=1) >= 0)
    assert np.all((np.asarray(batch.positions) > 0) & (np.asarray(batch.positions) <= 1))
    gaps = np.diff(batch.positions, axis=1)
    gaps = gaps[np.asarray(batch.positions)[:, 1:] < 1]  # between breaks, not from the last one to the edge
    assert gaps.min() >= 0.08 - 1e-12
    waves = np.any(np.asarray(batch.amplitudes) != 0, axis=1)
    pieces = np.any(np.asarray(batch.coefficients) != 0, axis=(1, 2))
    shares = [np.mean(waves & ~pieces), np.mean(pieces & ~waves), np.mean(waves & pieces)]
    np.testing.assert_allclose(shares, (0.3, 0.4, 0.3), atol=0.08)
    # Sonic points, where the two directions of upwinding meet, are in more than a third of the samples.
    assert np.mean((u0.min(1) < 0) & (u0.max(1) > 0)) > 1 / 3


def test_periodic_samples_have_no_jump_where_the_circle_is_cut(batch):
    ends = np.asarray(jax.vmap(lambda c: c(jnp.asarray([0.0, 1.0])))(batch))
    jump = np.abs(ends[:, 1] - ends[:, 0])
    periodic = np.asarray(batch.periodic) > 0
    np.testing.assert_allclose(jump[periodic], 0, atol=1e-12)
    assert np.mean(jump[~periodic] > 0.01) > 0.5


def test_random_primitive_against_quadrature(batch):
    for index in range(0, 512, 37):
        one = jax.tree.map(lambda leaf, i=index: np.asarray(leaf)[i], batch)
        phases = 2 * np.pi * np.arange(1, 7)[:, None], one.phases[:, None]

        def formula(x, one=one, waves=phases):
            c = one.coefficients[np.sum(x[:, None] > one.positions, axis=1)]
            return one.mean + one.amplitudes @ np.sin(waves[0] * x + waves[1]) + c[:, 0] + c[:, 1] * x

        values, primitive = evaluate(one, jnp.append(X, 0.0))
        np.testing.assert_allclose(values[:-1], formula(X), rtol=0, atol=1e-13)
        np.testing.assert_allclose(primitive[:-1], quadrature(formula, one.positions, X), rtol=0, atol=1e-13)


def test_random_condition_moves_with_its_domain():
    key = jax.random.key(11)
    here, there = random_condition(key), random_condition(key, domain=(2.0, 5.0))
    x = jnp.asarray(X)
    (moved, large), (values, small) = evaluate(there, 2 + 3 * x), evaluate(here, x)
    np.testing.assert_allclose(moved, values, atol=1e-12)
    np.testing.assert_allclose(large, 3 * small, atol=1e-12)


def test_a_mixture_can_be_reduced_to_one_kind():
    keys = jax.random.split(jax.random.key(1), 16)
    waves = jax.vmap(lambda k: random_condition(k, mixture=(1, 0, 0), num_modes=3, periodic_probability=1.0))(keys)
    assert waves.amplitudes.shape == (16, 3)
    assert not np.any(waves.coefficients)
    np.testing.assert_array_equal(waves.periodic, 1.0)
    pieces = jax.vmap(lambda k: random_condition(k, mixture=(0, 1, 0), num_jumps=1, ramp_probability=0.0))(keys)
    assert not np.any(pieces.amplitudes)
    assert pieces.coefficients.shape == (16, 2, 2)


def test_pieces_outside_the_domain_count_as_its_edges():
    condition = PiecewisePolynomial([-0.5, 0.5, 1.5], [[7.0], [1.0], [2.0], [9.0]], boundary="outflow")
    np.testing.assert_allclose(condition.primitive(jnp.asarray([0.0, 0.5, 1.0])), [0.0, 0.5, 1.5])
