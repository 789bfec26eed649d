"""Learned weights: what the two policies see, say and keep whatever their networks say."""

from __future__ import annotations

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import random_like
from tests.states import pieces, shocked, smooth
from undertow._checks import UndertowError
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.policies.normalise import z_score
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.coefficients import substencil_width, weno_coefficients
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import WenoZ

KEY = jax.random.key(0)


def trained(policy, seed=1, scale=1.0):
    """The policy with every parameter random, as training might leave it."""
    arrays, rest = eqx.partition(policy, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda x: scale * x, random_like(arrays, jax.random.key(seed))), rest)


observe = eqx.filter_jit(lambda scheme, u: scheme.stencils(u))
act = eqx.filter_jit(lambda policy, observation, key=None: policy(observation, key=key))


def seen(u, order=5):
    return observe(SemiDiscrete(Burgers(), UniformGrid(u.shape), order=order), jnp.asarray(u)[None])


def paired(**options):
    return PairedPolicy(key=KEY, hidden=(8,), **options)


def directional(**options):
    return DirectionalPolicy(key=KEY, hidden=(8,), **options)


MADE = {
    "paired": paired,
    "directional": directional,
    "directional-free": functools.partial(directional, prior=False),
}
BY_POLICY = pytest.mark.parametrize("name", MADE)


@BY_POLICY
@pytest.mark.parametrize("order", [3, 5, 13])
def test_weights_are_convex_in_every_direction_and_axis(name, order):
    policy = trained(MADE[name](order=order))
    plane = smooth(9 * 12).reshape(9, 12)
    for u, shapes in ((shocked(), [(2, 1, 25)]), (plane, [(2, 1, 10, 12), (2, 1, 9, 13)])):
        weights = act(policy, seen(u, order))
        assert [w.shape for w in weights] == [(*shape, substencil_width(order)) for shape in shapes]
        for w in weights:
            assert np.all(w > 0)
            np.testing.assert_allclose(jnp.sum(w, axis=-1), 1, rtol=1e-13)


@BY_POLICY
def test_every_face_is_its_own_agent(name):
    """What one face decides depends on what it sees alone; components and faces share the network."""
    policy = trained(MADE[name]())
    (observation,) = seen(shocked())
    (weights,) = act(policy, (observation,))
    (some,) = act(policy, (observation[:, :, 3:9],))
    np.testing.assert_allclose(some, weights[:, :, 3:9], rtol=1e-13)
    (twice,) = act(policy, (jnp.concatenate([observation, observation[:, :, ::-1]], axis=1),))
    np.testing.assert_allclose(twice[:, 1, ::-1], weights[:, 0], rtol=1e-13)


def test_the_paired_policy_is_the_published_one():
    policy = trained(PairedPolicy(key=KEY))
    assert policy.network.num_parameters == 18_694
    assert PairedPolicy(key=KEY, order=3).network.num_parameters == 17_924
    (observation,) = seen(shocked())
    (weights,) = act(policy, (observation,))
    face = 7
    z = np.concatenate([z_score(observation[0, 0, face]), z_score(observation[1, 0, face])])
    logits = np.asarray(policy.network(jnp.asarray(z)))
    powers = np.exp(logits - logits.max())
    np.testing.assert_allclose(weights[0, 0, face], powers[:3] / powers[:3].sum(), rtol=1e-12)
    np.testing.assert_allclose(weights[1, 0, face], powers[3:] / powers[3:].sum(), rtol=1e-12)


def test_the_paired_policy_does_not_see_scale_and_offset():
    policy = trained(paired())
    (observation,) = seen(smooth())
    (one,), (other,) = act(policy, (observation,)), act(policy, (40 * observation - 3,))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_directional_policy_is_its_formula():
    policy = trained(directional(epsilon=0.3, threshold=0.2, freedom=0.7))
    stencil = np.asarray(seen(shocked())[0][0, 0, 8])
    sigma = weno_coefficients(5).smoothness
    betas = np.array([stencil[k : k + 3] @ sigma[k] @ stencil[k : k + 3] for k in range(3)])
    tau, omega = betas[0] - betas[2], np.asarray(WenoZ(5)(jnp.asarray(stencil)))
    gate = tau**2 / (tau**2 + 0.2**2 * (betas.sum() + 0.3**2) ** 2)
    z = (stencil - stencil.mean()) / np.sqrt(stencil.var() + 0.3**2)
    powers = (omega + 0.7 * gate) * np.exp(gate * np.asarray(policy.network(jnp.asarray(z))))
    np.testing.assert_allclose(policy.weights(jnp.asarray(stencil)), powers / powers.sum(), rtol=1e-10)


def test_both_directions_are_the_same_agent():
    """The mirrored stencils of mirrored data are the stencils of the data with the directions exchanged."""
    policy = trained(directional())
    u = shocked()
    (one,), (other,) = act(policy, seen(u)), act(policy, seen(-u[::-1]))
    np.testing.assert_allclose(other, one[::-1, :, ::-1], rtol=1e-12)


@pytest.mark.parametrize("state", [smooth, shocked, pieces])
def test_the_scheme_is_symmetric_under_reflection_whatever_the_network_says(state):
    policy = trained(directional(prior=False))
    scheme = SemiDiscrete(Burgers(), UniformGrid(24))

    rate = jax.jit(lambda u: scheme.rate(u[None], jnp.zeros(()), lambda _, s: policy(s))[0])
    np.testing.assert_allclose(rate(-state()[::-1]), -rate(state())[::-1], atol=1e-11)


def test_before_training_the_network_is_silent():
    one, other = (DirectionalPolicy(key=jax.random.key(seed), hidden=(8,)) for seed in (0, 1))
    assert not np.any(one.network.kernels[0] == other.network.kernels[0])
    np.testing.assert_array_equal(act(one, seen(shocked()))[0], act(other, seen(shocked()))[0])
    # Without the prior, nothing is known: equal weights up to a random network.
    free, another = (DirectionalPolicy(key=jax.random.key(seed), prior=False) for seed in (0, 1))
    assert np.any(act(free, seen(shocked()))[0] != act(another, seen(shocked()))[0])


@pytest.mark.parametrize("order", [3, 5, 7])
def test_constant_data_have_linear_weights_whatever_the_network_says(order):
    (weights,) = act(trained(directional(order=order), scale=5.0), seen(np.full(24, 0.7), order))
    expected = np.broadcast_to(weno_coefficients(order).linear_weights, weights.shape)
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


def test_smooth_data_are_left_to_weno_z_with_order_six_whatever_the_network_says():
    """The gate is O(dx^6) at order 5 away from critical points: less than the error of the reconstruction."""
    policy = trained(directional(), scale=3.0)

    def distance(dx):
        # Cell averages of 100 exp(x) around x = 0, far above epsilon.
        stencil = jnp.asarray(100 * np.diff(np.exp(dx * np.arange(-3, 3))) / dx)
        return np.abs(policy.weights(stencil) - WenoZ(5)(stencil)).max()

    orders = np.log2([distance(0.1) / distance(0.05), distance(0.05) / distance(0.025)])
    np.testing.assert_allclose(orders, 6, atol=0.3)


def test_at_a_jump_the_network_decides():
    stencil = jnp.asarray([0.0, 0.0, 1.0, 1.0, 1.0])
    weights = [trained(directional(), seed=seed, scale=3.0).weights(stencil) for seed in range(8)]
    assert np.ptp(np.stack(weights), axis=0).max() > 0.5


@BY_POLICY
def test_a_bound_keeps_the_outputs_within_it(name):
    policy, bounded = trained(MADE[name](), scale=3.0), trained(MADE[name](bound=0.7), scale=3.0)
    observation = seen(shocked())
    outputs = policy.network(policy.features(observation[0]))
    assert np.abs(outputs).max() > 5
    expected = policy.weighted(observation[0], 0.7 * jnp.tanh(outputs / 0.7))
    np.testing.assert_allclose(act(bounded, observation)[0], expected, rtol=1e-12)
    huge = trained(MADE[name](bound=1e9), scale=3.0)
    np.testing.assert_allclose(act(huge, observation)[0], act(policy, observation)[0], rtol=1e-6)


@BY_POLICY
def test_noise_is_added_for_a_key_alone(name):
    policy, noisy = trained(MADE[name]()), trained(MADE[name](noise=0.5))
    observation = seen(shocked())
    (plain,) = act(policy, observation)
    np.testing.assert_array_equal(act(noisy, observation)[0], plain)
    np.testing.assert_allclose(act(policy, observation, jax.random.key(3))[0], plain, rtol=1e-13)
    one, same, other = (act(noisy, observation, jax.random.key(seed))[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)
    np.testing.assert_allclose(jnp.sum(one, axis=-1), 1, rtol=1e-13)
    along_x, along_y = act(noisy, (observation[0], observation[0]), jax.random.key(3))
    assert np.any(along_x != along_y)  # every axis draws its own


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairedPolicy(key=KEY, order=6), "order must be one of"),
        (lambda: DirectionalPolicy(key=KEY, order=2), "order must be one of"),
        (lambda: PairedPolicy(key=KEY, noise=-1.0), "noise must be a finite number of 0 or more"),
        (lambda: directional(noise=-1.0), "noise must be a finite number of 0 or more"),
        (lambda: directional(bound=0.0), "bound must be a finite number above 0"),
        (lambda: directional(epsilon=0.0), "epsilon must be a finite number above 0"),
        (lambda: directional(threshold=-0.1), "threshold must be a finite number above 0"),
        (lambda: directional(freedom=0.0), "freedom must be a finite number above 0"),
        (lambda: PairedPolicy(key=KEY, activation="silo"), "did you mean 'silu'"),
        (
            lambda: PairedPolicy(key=KEY, hidden=(0,)),
            "layer sizes, input and output included, must be a whole number above 0",
        ),
    ],
)
def test_bad_policies_are_refused(make, message):
    with pytest.raises(UndertowError, match=message):
        make()
