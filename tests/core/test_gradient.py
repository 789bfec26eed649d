"""Gradient estimators: what they hand over, and what it costs."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Heun, Linear, linear_problem
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow
from undertow.core.gradient import GRADIENTS, Backprop, SignAgreement, cosine, two_flows
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


@pytest.mark.parametrize("which", ["base", "reference"])
def test_sign_agreement_shows_a_nan_of_either_gradient(which):
    spoiled = vector([1.0, jnp.nan, 3.0, 0.0, 0.0, 4.0], [-5.0])
    fields = (spoiled, REFERENCE) if which == "base" else (BASE, spoiled)
    _, gradient, metrics = SignAgreement()(as_if(*fields), POLICY_AT)
    np.testing.assert_array_equal(np.isnan(gradient.x), [False, True, False, False, False, False])
    assert np.isnan(metrics["cosine"])


def test_the_order_of_the_two_flows_matters():
    loss, policy = loop_loss()
    flows = {"full": FULL, "physics": PHYSICS}
    plain = {name: Backprop(flow)(loss, policy)[1].k for name, flow in flows.items()}
    combined = SignAgreement(PHYSICS, FULL)(loss, policy)[1].k
    agree = np.sign(plain["physics"]) == np.sign(plain["full"])
    assert agree.any()
    np.testing.assert_allclose(combined, np.where(agree, plain["physics"], 0), rtol=1e-12)
    swapped = SignAgreement(FULL, PHYSICS)(loss, policy)[1].k
    np.testing.assert_allclose(swapped, np.where(agree, plain["full"], 0), rtol=1e-12)


def test_agreement_of_a_flow_with_itself_is_that_flow():
    loss, policy = loop_loss()
    _, gradient, metrics = SignAgreement(FULL, FULL)(loss, policy)
    np.testing.assert_allclose(gradient.k, Backprop(FULL)(loss, policy)[1].k, rtol=1e-12)
    np.testing.assert_allclose(metrics["cosine"], 1, rtol=1e-12)
    assert metrics["zeroed"] == 0


@pytest.mark.parametrize("env", [Linear, Heun])
def test_values_do_not_depend_on_the_estimator(env):
    loss, policy = loop_loss(env=env)
    run = eqx.filter_jit(lambda estimator: estimator(loss, policy))
    value = run(Backprop(FULL))[0]
    for name, estimator in GRADIENTS.items():
        other, gradient, metrics = run(estimator)
        assert other == value, name
        assert eqx.tree_equal(jax.tree.structure(gradient), jax.tree.structure(eqx.filter(policy, eqx.is_array)))
        assert metrics["final"].shape == (3,)


def test_two_flows_are_two_gradients():
    loss, policy = loop_loss()
    gates = GradientFlow(jnp.linspace(0, 1, 5), 0.5)
    for first, second in ((FULL, PHYSICS), (POLICY, STOP), (gates, FULL)):
        value, one, other, metrics = eqx.filter_jit(two_flows)(loss, policy, first, second)
        np.testing.assert_allclose(one.k, Backprop(first)(loss, policy)[1].k, rtol=1e-12)
        np.testing.assert_allclose(other.k, Backprop(second)(loss, policy)[1].k, rtol=1e-12)
        np.testing.assert_allclose(value, loss(policy, FULL)[0], rtol=1e-14)
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


def test_the_named_estimators():
    assert set(GRADIENTS) == {"full", "physics", "policy", "stop", "sign-agreement"}
    for name, flow in (("full", FULL), ("physics", PHYSICS), ("policy", POLICY), ("stop", STOP)):
        assert GRADIENTS[name] == Backprop(flow)
