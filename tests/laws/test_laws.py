"""Laws: speeds are the flux's derivatives, parities are what walls need, sources integrate to what is known on paper."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.source import SineSource, random_source

LAWS = {
    "burgers": Burgers(),
    "advection": LinearAdvection(-1.5),
    "advection-2d": LinearAdvection(jnp.asarray([0.5, -2.0])),
}
BY_LAW = pytest.mark.parametrize("name", LAWS)


@BY_LAW
@pytest.mark.parametrize("axis", [0, 1])
def test_the_speed_is_the_size_of_the_derivative_of_the_flux(name, axis, rng):
    law = LAWS[name]
    u = jnp.asarray(rng.normal(size=(1, 6, 5)))
    _, slope = jax.jvp(lambda v: law.flux(v, axis), (u,), (jnp.ones_like(u),))
    np.testing.assert_allclose(law.max_speed(u, axis), np.abs(slope[0]), rtol=1e-15)


@BY_LAW
def test_flux_and_speed_act_cell_by_cell(name, rng):
    law = LAWS[name]
    u = jnp.asarray(rng.normal(size=(1, 7)))
    for function in (law.flux, law.max_speed):
        np.testing.assert_array_equal(function(u[:, ::-1], 0), function(u, 0)[..., ::-1])


@BY_LAW
def test_precision_is_kept(name):
    law = LAWS[name]
    u = jnp.ones((1, 4), jnp.float32)
    assert law.flux(u, 0).dtype == law.max_speed(u, 0).dtype == jnp.float32


def test_burgers_flux_is_half_the_square():
    np.testing.assert_array_equal(Burgers().flux(jnp.asarray([[-2.0, 0.0, 3.0]]), 0), [[2.0, 0.0, 4.5]])


def test_parity_is_the_one_under_which_a_wall_lets_nothing_through():
    """With the odd continuation of a velocity the flux of Burgers is even, that of advection with the even one too."""
    u = jnp.asarray([[0.3, 1.2]])
    for law in LAWS.values():
        (sign,) = law.parity(0)
        np.testing.assert_array_equal(law.flux(sign * u, 0), law.flux(u, 0))
    assert Burgers().parity(1) == (-1.0,)
    assert LinearAdvection().parity(0) == (1.0,)


def test_constants_are_leaves():
    laws = jax.vmap(lambda a, nu: LinearAdvection(a, nu).flux(jnp.ones((1, 3)), 0))(jnp.arange(3.0), jnp.zeros(3))
    np.testing.assert_array_equal(laws[:, 0, 0], [0.0, 1.0, 2.0])
    assert jax.tree.leaves(Burgers(0.1)) == [0.1]
    assert (LinearAdvection(2.0).velocity, LinearAdvection(2.0).viscosity) == (2.0, 0.0)


def test_a_source_is_the_sum_of_its_sines():
    source = SineSource(*(jnp.asarray(a) for a in ([2.0, -0.5], [3.0, 0.0], [1.0, -4.0], [0.1, 1.0])), length=2.0)
    x, t = np.linspace(0, 2, 7), 0.3
    expected = 2 * np.sin(3 * t + np.pi * x + 0.1) - 0.5 * np.sin(-4 * np.pi * x + 1.0)
    np.testing.assert_allclose(source(jnp.asarray(x), jnp.asarray(t)), expected, rtol=1e-13)


def test_random_sources_have_the_published_distribution():
    draw = jax.jit(jax.vmap(lambda k: random_source(k, 2.0, num_terms=50, length=4.0)))
    sources = draw(jax.random.split(jax.random.key(0), 40))
    a, w, k, p = (np.asarray(x) for x in (sources.amplitudes, sources.frequencies, sources.wavenumbers, sources.phases))
    for values, low, high in ((a, -1, 1), (w, -10, 10), (p, 0, 2 * np.pi)):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high >= values.max() > high - 0.02 * (high - low)
        np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.03 * (high - low))
    assert set(k.ravel()) == {-6, -5, -4, -3, 3, 4, 5, 6}
    np.testing.assert_allclose(k.mean(), 0, atol=0.3)


def test_a_random_source_adds_no_mass_and_is_periodic():
    source = random_source(jax.random.key(1), 3.0, length=2.0)
    x = jnp.asarray((np.arange(64) + 0.5) / 32)
    for t in (0.0, 0.7):
        np.testing.assert_allclose(jnp.sum(source(x, jnp.asarray(t))), 0, atol=1e-11)
        np.testing.assert_allclose(source(x, jnp.asarray(t)), source(x + 2.0, jnp.asarray(t)), atol=1e-11)


def test_random_sources_follow_their_key():
    one, same, other = (random_source(jax.random.key(k), 1.0) for k in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True))
    assert not np.array_equal(one.amplitudes, other.amplitudes)
    assert one.amplitudes.shape == (20,)
