"""Two flows made into one direction: what is handed over, and what it costs."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Heun, linear_problem
from undertow.core.combine import (
    ConflictProjection,
    SignAgreement,
    SoftAgreement,
    TensorAgreement,
    cosine,
    two_flows,
)
from undertow.core.estimator import Backprop
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow, discount, window
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import rollout


class Vector(AbstractPolicy):
    """Parameters alone, of two shapes."""

    x: jax.Array
    y: jax.Array


def as_if(first, second):
    """A loss whose gradient is `first` under PHYSICS and `second` under FULL, at any parameters."""

    def loss(policy, flow):
        value = jnp.asarray(7.0)
        for name in ("x", "y"):
            # The policy gate is 0 under PHYSICS and 1 under FULL.
            slope = jnp.where(jnp.asarray(flow.policy) == 0, getattr(first, name), getattr(second, name))
            parameter = getattr(policy, name)
            value = value + jnp.vdot(slope, parameter - jax.lax.stop_gradient(parameter))
        return value, {"extra": jnp.asarray(3.0)}

    return loss


def vector(x, y):
    return Vector(jnp.asarray(x), jnp.asarray(y))


BASE = vector([1.0, -2.0, 3.0, 0.0, 0.0, 4.0], [-5.0])
REFERENCE = vector([0.5, -9.0, -1.0, 2.0, 0.0, 0.0], [-1e-9])
POLICY_AT = vector(jnp.arange(6.0), [1.0])


def loop_loss(nonlinear=True, length=5, env=Heun, **options):
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem(1))

    def loss(policy, flow):
        trajectory = rollout(env(a, b), policy, x, length, flow=flow, **options)
        return jnp.dot(w, trajectory.final) ** 2, {"final": trajectory.final}

    return loss, Gain(k, saturated=nonlinear)


def test_sign_agreement_is_what_it_says_element_by_element():
    value, gradient, metrics = SignAgreement()(as_if(BASE, REFERENCE), POLICY_AT)
    np.testing.assert_allclose(value, 7.0)
    assert metrics["extra"] == 3.0
    # Kept where signs agree (the base's value), zero where they differ, one of them being 0 included.
    np.testing.assert_array_equal(gradient.x, [1.0, -2.0, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(gradient.y, [-5.0])
    # Two of the seven parameters had a base gradient that was zeroed.
    np.testing.assert_allclose(metrics["zeroed"], 2 / 7)
    base, reference = (np.concatenate([v.x, v.y]) for v in (BASE, REFERENCE))
    expected = base @ reference / np.linalg.norm(base) / np.linalg.norm(reference)
    np.testing.assert_allclose(metrics["cosine"], expected, rtol=1e-12)


PAIRS = [SignAgreement, TensorAgreement, SoftAgreement, ConflictProjection]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("which", ["base", "reference"])
def test_a_nan_of_either_gradient_is_shown(which, pair):
    spoiled = vector([1.0, jnp.nan, 3.0, 0.0, 0.0, 4.0], [-5.0])
    fields = (spoiled, REFERENCE) if which == "base" else (BASE, spoiled)
    _, gradient, metrics = pair()(as_if(*fields), POLICY_AT)
    assert np.isnan(gradient.x[1])
    assert np.isnan(metrics["cosine"])
    if pair in (SignAgreement, SoftAgreement):
        np.testing.assert_array_equal(np.isnan(gradient.x), [False, True, False, False, False, False])


def test_tensor_agreement_keeps_whole_tensors():
    _, gradient, metrics = TensorAgreement()(as_if(BASE, REFERENCE), POLICY_AT)
    np.testing.assert_array_equal(gradient.x, BASE.x)  # 0.5 + 18 - 3 > 0, though the third elements disagree
    np.testing.assert_array_equal(gradient.y, BASE.y)
    assert metrics["zeroed"] == 0
    against = vector(REFERENCE.x.at[1].set(9.0), REFERENCE.y)
    _, gradient, metrics = TensorAgreement()(as_if(BASE, against), POLICY_AT)
    np.testing.assert_array_equal(gradient.x, 0)
    np.testing.assert_array_equal(gradient.y, BASE.y)
    np.testing.assert_allclose(metrics["zeroed"], 4 / 7)
    # An inner product of exactly zero is no agreement, and one that underflows in single precision is not zero.
    orthogonal = vector([2.0, 1.0, 0.0, 0.0, 0.0, 0.0], [0.0])
    np.testing.assert_array_equal(TensorAgreement()(as_if(BASE, orthogonal), POLICY_AT)[1].x, 0)
    tiny = jax.tree.map(lambda x: jnp.asarray(1e-25 * x, jnp.float32), BASE)
    np.testing.assert_array_equal(TensorAgreement().combine(tiny, tiny)[0].x, tiny.x)


def test_soft_agreement_is_its_formula():
    _, gradient, metrics = SoftAgreement()(as_if(BASE, REFERENCE), POLICY_AT)
    np.testing.assert_allclose(gradient.x, [0.8, -2 * 36 / 85, 0, 0, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(gradient.y, [-5 * 2e-9 / 5], rtol=1e-8)
    np.testing.assert_allclose(metrics["zeroed"], 2 / 7)


def test_soft_agreement_fades_where_sign_agreement_jumps(rng):
    weight = jax.jit(lambda b, r: SoftAgreement().combine(b, r)[0] / b)
    b, r = (jnp.asarray(rng.normal(size=200)) for _ in range(2))
    w = weight(b, r)
    assert np.all((w >= 0) & (w <= 1))
    np.testing.assert_array_equal(w == 0, b * r < 0)
    np.testing.assert_array_equal(weight(b, b), 1)
    np.testing.assert_allclose(weight(r, b), w, rtol=1e-13)  # both count alike
    np.testing.assert_allclose(weight(-1e-3 * b, -1e-3 * r), w, rtol=1e-13)  # sizes and signs do not matter
    np.testing.assert_allclose(weight(1.0 * jnp.ones(3), jnp.asarray([1e-6, 0.0, -1e-6])), [2e-6, 0, 0], rtol=1e-9)
    np.testing.assert_allclose(weight(jnp.ones(1), 1 + 1e-3 * jnp.ones(1)), 1, rtol=1e-6)  # 1 to second order
    tiny = jnp.asarray([1e-30], jnp.float32)
    np.testing.assert_allclose(weight(tiny, 2 * tiny), 0.8, rtol=1e-6)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_conflict_projection_takes_away_what_points_against_the_reference():
    against = vector(-REFERENCE.x, REFERENCE.y)
    value, gradient, metrics = ConflictProjection()(as_if(BASE, against), POLICY_AT)
    b, r, g = flat(BASE), flat(against), flat(gradient)
    assert metrics["cosine"] < 0 and value == 7
    np.testing.assert_allclose(g @ r, 0, atol=1e-12)
    np.testing.assert_allclose(g, b - (b @ r) / (r @ r) * r, rtol=1e-12)
    assert g @ b > 0
    np.testing.assert_array_equal(flat(ConflictProjection()(as_if(BASE, REFERENCE), POLICY_AT)[1]), b)
    nothing = jax.tree.map(jnp.zeros_like, BASE)
    np.testing.assert_array_equal(flat(ConflictProjection()(as_if(BASE, nothing), POLICY_AT)[1]), b)
    opposite = jax.tree.map(lambda x: jnp.asarray(-1e-25 * x, jnp.float32), BASE)
    left = ConflictProjection().combine(jax.tree.map(lambda x: -x, opposite), opposite)[0]
    np.testing.assert_allclose(flat(left), 0, atol=1e-31)


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_are_swapped(pair):
    estimator = pair(discount(0.5), STOP).swapped()
    assert type(estimator) is pair
    assert estimator.base == STOP and estimator.reference == discount(0.5)


@pytest.mark.parametrize("pair", PAIRS)
def test_agreeing_with_itself_changes_nothing(pair):
    """Also what points against the reference by no angle is kept whole."""
    gradient, metrics = pair().combine(BASE, BASE)
    np.testing.assert_allclose(flat(gradient), flat(BASE), rtol=1e-15)
    assert metrics.get("zeroed", 0) == 0
    gradient, metrics = pair().combine(BASE, jax.tree.map(lambda x: -x, BASE))
    np.testing.assert_allclose(flat(gradient), 0, atol=1e-14)


def test_the_order_of_the_two_flows_matters():
    loss, policy = loop_loss()
    _, physics, full, _ = eqx.filter_jit(two_flows)(loss, policy, PHYSICS, FULL)
    agree = np.sign(physics.k) == np.sign(full.k)
    assert agree.any()
    for estimator, kept in ((SignAgreement(), physics), (SignAgreement().swapped(), full)):
        combined = eqx.filter_jit(estimator)(loss, policy)[1].k
        np.testing.assert_allclose(combined, np.where(agree, kept.k, 0), rtol=1e-12)


def test_agreement_of_a_flow_with_itself_is_that_flow():
    loss, policy = loop_loss()
    _, gradient, metrics = SignAgreement(FULL, FULL)(loss, policy)
    np.testing.assert_allclose(gradient.k, Backprop(FULL)(loss, policy)[1].k, rtol=1e-12)
    np.testing.assert_allclose(metrics["cosine"], 1, rtol=1e-12)
    assert metrics["zeroed"] == 0


def test_two_flows_are_two_gradients():
    loss, policy = loop_loss()

    @jax.jit
    def alone(physics, policy_gate, credit):
        return jax.grad(lambda k: loss(Gain(k, saturated=True), GradientFlow(physics, policy_gate, credit))[0])(
            policy.k
        )

    value = loss(policy, FULL)[0]
    for flows in ((POLICY, STOP), (window(5, 2), GradientFlow(0.9, 0.3, credit=0.5))):
        found, *gradients, metrics = eqx.filter_jit(two_flows)(loss, policy, *flows)
        for gradient, flow in zip(gradients, flows, strict=True):
            gates = GradientFlow(flow.physics, flow.policy, flow.credit or 1.0).per_step(5)
            np.testing.assert_allclose(gradient.k, alone(gates.physics, gates.policy, gates.credit), rtol=1e-12)
        np.testing.assert_allclose(found, value, rtol=1e-14)
        assert metrics["final"].shape == (3,)


def primitives(jaxpr, name):
    """The shapes of all results of primitive `name`, inner programs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            yield equation.outvars[0].aval.shape
        for inner in inner_programs(equation):
            yield from primitives(inner, name)


def inner_programs(equation):
    for value in equation.params.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(one, "jaxpr"):
                one = one.jaxpr
            if hasattr(one, "eqns"):
                yield one


@pytest.mark.parametrize("rematerialise", ["step", "nothing"])
def test_two_flows_share_one_forward_pass(rematerialise):
    """What depends on the state alone is computed once: no tanh of the policy is batched over the two flows."""
    loss, policy = loop_loss(rematerialise=rematerialise)
    single = eqx.filter_make_jaxpr(lambda p: Backprop(FULL)(loss, p))(policy)[0]
    double = eqx.filter_make_jaxpr(lambda p: two_flows(loss, p, PHYSICS, FULL))(policy)[0]
    counts = [sorted(primitives(closed.jaxpr, "tanh")) for closed in (single, double)]
    assert len(counts[0]) >= 2  # the two stages
    assert counts[1] == counts[0]
    # The way back is doubled: matrix products with the gain carry a batch of two.
    assert any(shape[:1] == (2,) for shape in primitives(double.jaxpr, "dot_general"))


def test_cosines():
    a, b = (
        {"x": jnp.asarray([3.0, 0.0]), "y": jnp.asarray([[4.0]])},
        {"x": jnp.asarray([0.0, 1.0]), "y": jnp.asarray([[1.0]])},
    )
    np.testing.assert_allclose(cosine(a, b), 4 / 5 / np.sqrt(2), rtol=1e-14)
    np.testing.assert_allclose(cosine(a, jax.tree.map(lambda x: -3 * x, a)), -1, rtol=1e-14)
    assert cosine(a, jax.tree.map(jnp.zeros_like, a)) == 0
    small = jax.tree.map(lambda x: jnp.asarray(1e-15 * x, jnp.float32), a)
    np.testing.assert_allclose(cosine(small, small), 1, rtol=1e-6)
