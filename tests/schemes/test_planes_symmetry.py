"""The solver knows no direction: exchanged axes, mirrors, problems of one dimension laid into the plane, conservation."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import random_like
from undertow.core.policy import AbstractPolicy
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.numerics.grid import UniformGrid
from undertow.policies.classical import classical
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.semidiscrete import SemiDiscrete

CELLS, ORDER, GAMMA = 9, 3, 1.3
KEY = jax.random.key(3)


class Even(AbstractPolicy):
    """Another policy's weights, averaged over both signs of what it sees."""

    policy: AbstractPolicy

    def __call__(self, observation, *, key=None):
        both = self.policy(observation), self.policy(tuple(-stencil for stencil in observation))
        return tuple(0.5 * (a + b) for a, b in zip(*both, strict=True))


class ByAxis(AbstractPolicy):
    """One policy per axis."""

    policies: tuple[AbstractPolicy, ...]

    def __call__(self, observation, *, key=None):
        return tuple(policy((stencil,))[0] for policy, stencil in zip(self.policies, observation, strict=True))


def with_random_network(policy):
    network = jax.tree.map(lambda leaf: 0.5 * leaf, random_like(policy.network, KEY))
    return eqx.tree_at(lambda p: p.network, policy, network)


POLICIES = {
    "weno-js": classical("weno-js", ORDER),
    "directional": with_random_network(DirectionalPolicy(key=KEY, order=ORDER, hidden=(4,))),
    "paired": with_random_network(PairedPolicy(key=KEY, order=ORDER, hidden=(4,))),
}
BY_POLICY = pytest.mark.parametrize("policy", POLICIES)
BY_RECONSTRUCTION = pytest.mark.parametrize("reconstruction", ["component", "characteristic"])


def exchanged(policy: PairedPolicy) -> PairedPolicy:
    """The paired policy whose network finds the left-going flux where the other one finds the right-going one."""
    kernels, biases = policy.network.kernels, policy.network.biases
    halves = lambda x, axis: jnp.asarray(np.roll(x, x.shape[axis] // 2, axis=axis))
    return eqx.tree_at(
        lambda p: (p.network.kernels[0], p.network.kernels[-1], p.network.biases[-1]),
        policy,
        (halves(kernels[0], 0), halves(kernels[-1], 1), halves(biases[-1], 0)),
    )


@eqx.filter_jit
def _compiled(scheme, policy, u):
    return scheme.rate(u, jnp.zeros(()), lambda _, stencils: policy(stencils)), scheme.stencils(u)


def rate(scheme, policy, u):
    return np.asarray(_compiled(scheme, policy, u)[0])


def stencils(scheme, policy, u):
    """What the policy is shown; the same program as `rate`."""
    return [np.asarray(each) for each in _compiled(scheme, policy, u)[1]]


def gas(kinds, reconstruction, dimensions=2):
    grid = UniformGrid((CELLS,) * dimensions)
    return SemiDiscrete(Euler(GAMMA, dimensions), grid, kinds, order=ORDER, reconstruction=reconstruction)


def states(rng, dimensions=2):
    """Gas that differs by factors from cell to cell."""
    cells = (CELLS,) * dimensions
    density, pressure = np.exp(0.5 * rng.normal(size=(2, *cells)))
    velocity = rng.normal(size=(dimensions, *cells))
    energy = pressure / (GAMMA - 1) + density * (velocity**2).sum(0) / 2
    return np.stack([density, *(density * velocity), energy])


def ends(policy):
    """Boundaries that differ from end to end. The published z-score has no say on stencils of one value, which outflow makes:
    it divides their rounding by 1e-10."""
    return ("reflective", "reflective" if policy == "paired" else "outflow")


def same(one, other):
    np.testing.assert_allclose(one, other, atol=2e-13 * np.abs(other).max(), rtol=0)


@BY_RECONSTRUCTION
@BY_POLICY
def test_exchanging_the_axes_exchanges_the_result(policy, reconstruction, rng):
    """Boundaries that differ from axis to axis are exchanged with them."""
    u, kinds = states(rng), (ends(policy), "periodic")
    turn = lambda w: w[[0, 2, 1, 3]].swapaxes(1, 2)
    out = rate(gas(kinds, reconstruction), POLICIES[policy], u)
    same(rate(gas(kinds[::-1], reconstruction), POLICIES[policy], turn(u)), turn(out))


@BY_RECONSTRUCTION
@BY_POLICY
def test_a_mirror_shows_the_mirrored_result(policy, reconstruction, rng):
    """For policies that do not look at the sign of a stencil: a mirror turns the flux of a density around. One that sees both
    directions at a time has them exchanged along the mirrored axis."""
    own, turned = POLICIES[policy], POLICIES[policy]
    if policy == "paired":
        turned = exchanged(own)
    if policy != "weno-js":
        own, turned = Even(own), Even(turned)
    u = states(rng)
    for axis in (0, 1):
        own_pair, other_pair = ByAxis((own, own)), ByAxis((own, turned)[:: 1 if axis else -1])
        here, there = (
            tuple(kind if a == axis else "periodic" for a in (0, 1)) for kind in (ends(policy), ends(policy)[::-1])
        )
        sign = np.asarray(Euler(dimensions=2).parity(axis))[:, None, None]
        mirror = lambda w, axis=axis, sign=sign: sign * np.flip(w, 1 + axis)
        out = rate(gas(here, reconstruction), own_pair, u)
        same(rate(gas(there, reconstruction), other_pair, mirror(u)), mirror(out))


def test_the_sign_of_a_stencil_tells_left_from_right_in_a_gas(rng):
    """Burgers' velocity changes sign in the mirror and its flux does not; with a gas's density it is the other way round."""
    u, policy = states(rng), POLICIES["directional"]
    mirror = lambda w: np.flip(w, 1) * np.asarray([1, -1, 1, 1])[:, None, None]
    scheme = gas("outflow", "component")
    (one, _), (other, _) = stencils(scheme, policy, u), stencils(scheme, policy, mirror(u))
    for component, sign in enumerate((-1, 1, -1, -1)):
        np.testing.assert_allclose(other[0, component], sign * one[1, component, ::-1], atol=1e-13)
    assert np.abs(rate(scheme, policy, mirror(u)) - mirror(rate(scheme, policy, u))).max() > 1e-3

    w = rng.normal(size=(1, CELLS, CELLS))
    scheme = SemiDiscrete(Burgers(0.01), UniformGrid((CELLS, CELLS)), "outflow", order=ORDER)
    flip = lambda w: -np.flip(w, (1, 2))
    same(rate(scheme, policy, flip(w)), flip(rate(scheme, policy, w)))


def in_rows(values, axis):
    """The rows along an axis of the plane, the row across second to last."""
    return np.moveaxis(values, axis, -1)


@BY_RECONSTRUCTION
@BY_POLICY
def test_a_gas_of_one_dimension_laid_into_the_plane_is_the_same_in_every_row(policy, reconstruction, rng):
    """Agents see the same there: both directions in the same order, mirrored alike, and nothing in the fields across."""
    line, own = states(rng, 1), POLICIES[policy]
    single = gas((ends(policy),), reconstruction, 1)
    expected, (seen,) = rate(single, own, line), stencils(single, own, line)
    for axis in (0, 1):
        kinds = [ends(policy), "periodic"][:: 1 if axis == 0 else -1]
        scheme = gas(tuple(kinds), reconstruction)
        laid = [0, 1 + axis, 3]
        u = np.zeros((4, CELLS, CELLS))
        u[laid] = np.expand_dims(line, 2 - axis)
        out = in_rows(rate(scheme, own, u), 1 + axis)
        same(out[laid], np.broadcast_to(expected[:, None], out[laid].shape))
        assert np.abs(out[2 - axis]).max() < 1e-12 * np.abs(expected).max()
        fields = [0, 1, 3] if reconstruction == "characteristic" else laid
        shown = np.moveaxis(stencils(scheme, own, u)[axis], 2 + axis, -2)
        same(shown[:, fields], np.broadcast_to(seen[:, :, None], shown[:, fields].shape))
        np.testing.assert_array_equal(np.delete(shown, fields, axis=1), 0)


@pytest.mark.parametrize("policy", ["directional", "paired"])
def test_burgers_laid_into_the_plane_is_the_same_in_every_row(policy, rng):
    line, own = rng.normal(size=(1, CELLS)), POLICIES[policy]
    single = SemiDiscrete(Burgers(0.01), UniformGrid(CELLS), "periodic", order=ORDER)
    expected, (seen,) = rate(single, own, line), stencils(single, own, line)
    plane = SemiDiscrete(Burgers(0.01), UniformGrid((CELLS, CELLS)), "periodic", order=ORDER)
    for axis in (0, 1):
        u = np.broadcast_to(np.expand_dims(line, 2 - axis), (1, CELLS, CELLS))
        out = in_rows(rate(plane, own, u), 1 + axis)
        same(out, np.broadcast_to(expected[:, None], out.shape))
        shown = np.moveaxis(stencils(plane, own, u)[axis], 2 + axis, -2)
        same(shown, np.broadcast_to(seen[:, :, None], shown.shape))


@BY_RECONSTRUCTION
def test_nothing_is_lost_in_a_periodic_plane(reconstruction, rng):
    """Any weights conserve: mass, momentum and energy to rounding, over fifty steps of random gas."""
    scheme, u = gas("periodic", reconstruction), states(rng)
    out = u
    for _ in range(50):
        out = out + 1e-3 * rate(scheme, POLICIES["paired"], out)
    assert np.abs(out - u).max() > 0.1
    np.testing.assert_allclose(out.sum((1, 2)), u.sum((1, 2)), atol=1e-13 * np.abs(u).sum())
