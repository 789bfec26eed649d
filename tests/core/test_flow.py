"""Gradient flows: identity on values, closed forms of what travels back."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Heun, Linear, Pendulum, linear_problem
from undertow._checks import UndertowError
from undertow.core.flow import FLOWS, FULL, POLICY, GradientFlow, closed_loop, damp, reattach
from undertow.core.unroll import rollout

T = 6
PER_STEP = GradientFlow(jnp.linspace(0.0, 1.0, T), jnp.asarray([1.0, 0.0, 0.3, 1.0, 0.0, 2.0]))
GATES = {
    **FLOWS,
    "damped": GradientFlow(0.3, 0.8),
    "amplified": GradientFlow(1.2, -0.5),
    "per-step": PER_STEP,
    "window": GradientFlow(jnp.asarray([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 1.0),
    "as-arrays": GradientFlow(jnp.asarray(0.0), jnp.asarray(1.0)),
}
BY_FLOW = pytest.mark.parametrize("flow", GATES.values(), ids=GATES)


def gates(flow, length=T):
    flow = flow.per_step(length)
    return np.asarray(flow.physics), np.asarray(flow.policy)


@BY_FLOW
def test_gradients_of_a_linear_loop_are_the_closed_form(flow):
    """x' = A x + B K x: what travels back from x' to x is p A + q B K, and to K it is B^T lambda x^T."""
    a, b, k, x, w = linear_problem()
    states, n = [x], T
    for _ in range(n):
        states.append((a + b @ k) @ states[-1])
    adjoint, to_gain = w.copy(), np.zeros_like(k)
    for t, (p, q) in reversed(list(enumerate(zip(*gates(flow), strict=True)))):
        to_gain += np.outer(b.T @ adjoint, states[t])
        adjoint = (p * a + q * b @ k).T @ adjoint

    def loss(gain, state):
        final = rollout(Linear(jnp.asarray(a), jnp.asarray(b)), Gain(gain), state, n, flow=flow).final
        return jnp.dot(w, final)

    value, (for_gain, for_state) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(jnp.asarray(k), jnp.asarray(x))
    np.testing.assert_allclose(value, w @ states[-1], rtol=1e-13)
    np.testing.assert_allclose(for_gain, to_gain, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(for_state, adjoint, rtol=1e-11, atol=1e-13)


@BY_FLOW
def test_gradients_through_stages_are_the_closed_form(flow):
    """Two stages: the observation of the second one sees the whole state through the policy's gate, however far the
    physics gate is closed, and the first stage's action too."""
    a, b, k, x, w = linear_problem(1)
    env = Heun(jnp.asarray(a), jnp.asarray(b))
    h, one = env.h, np.eye(3)
    step = one + h * (a + b @ k) + h**2 / 2 * (a + b @ k) @ (a + b @ k)
    states = [x]
    for _ in range(T):
        states.append(step @ states[-1])
    adjoint, to_gain = w.copy(), np.zeros_like(k)
    for t, (p, q) in reversed(list(enumerate(zip(*gates(flow), strict=True)))):
        s = states[t]
        # With the state held: k1 = A x + B c1, c1 = K x; c2 = K (x + h k1), of which h k1 travels through q.
        for i, j in np.ndindex(k.shape):
            unit = np.zeros_like(k)
            unit[i, j] = 1.0
            first = b @ unit @ s
            stage = s + h * (a + b @ k) @ s
            second = a @ (h * first) + b @ (unit @ stage + q * k @ (h * first))
            to_gain[i, j] += adjoint @ (h / 2 * (first + second))
        first = p * a + q * b @ k
        stage = p * one + h * first
        second = a @ stage + q * b @ k @ (one + h * first)
        adjoint = (p * one + h / 2 * (first + second)).T @ adjoint

    def loss(gain, state):
        return jnp.dot(w, rollout(env, Gain(gain), state, T, flow=flow).final)

    for_gain, for_state = jax.jit(jax.grad(loss, argnums=(0, 1)))(jnp.asarray(k), jnp.asarray(x))
    np.testing.assert_allclose(for_gain, to_gain, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(for_state, adjoint, rtol=1e-11, atol=1e-13)


def test_policy_flow_is_not_stop_with_several_stages():
    """Stopping the state on its way into the step would cut the policy's path as well."""
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem(2))
    env = Heun(a, b, 0.5)
    gradient = eqx.filter_jit(lambda f: jax.grad(lambda g: jnp.dot(w, rollout(env, Gain(g), x, 3, flow=f).final))(k))
    full, physics, policy, stop = (np.asarray(gradient(flow)) for flow in FLOWS.values())
    size = np.abs(full).max()
    for one, other in ((policy, stop), (policy, full), (physics, full), (physics, stop), (physics, policy)):
        assert np.abs(one - other).max() > 1e-2 * size


def test_full_is_the_gradient_of_the_loop_written_out():
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem(3))
    env = Heun(a, b)

    def written_out(gain):
        state = x
        for _ in range(4):
            state, _ = env.step(state, lambda s: gain @ s)
        return jnp.dot(w, state)

    looped = jax.jit(jax.grad(lambda gain: jnp.dot(w, rollout(env, Gain(gain), x, 4).final)))
    np.testing.assert_allclose(looped(k), jax.jit(jax.grad(written_out))(k), rtol=1e-12)


STATES = {"angle": jnp.asarray(0.5), "speed": jnp.asarray(-1.0), "count": jnp.asarray(0)}


@pytest.mark.parametrize("name", ["linear", "heun", "pendulum"])
def test_values_are_the_same_bits_under_every_flow(name, optimised):
    a, b, k, x, _ = (jnp.asarray(v) for v in linear_problem(4))
    if name == "pendulum":
        env, state, policy = Pendulum(), STATES, Gain(k[:1], saturated=True)
    else:
        env, state, policy = (Linear if name == "linear" else Heun)(a, b), x, Gain(k, saturated=True)
    run = eqx.filter_jit(lambda flow: rollout(env, policy, state, T, flow=flow))
    plain = run(FULL)
    for flow in GATES.values():
        assert eqx.tree_equal(run(flow), plain), flow


def test_only_floating_point_leaves_are_touched():
    tree = {"x": jnp.ones(3), "n": jnp.arange(3), "flag": jnp.asarray(True), "none": None}
    for gate in (1.0, 0.0, 0.5, jnp.asarray(0.5)):
        assert eqx.tree_equal(damp(tree, gate), tree)
        assert eqx.tree_equal(reattach(tree, tree, gate), tree)


@pytest.mark.parametrize("gate", [0, 0.0, 1, 1.0, 0.25, -2.0, jnp.asarray(0.0), jnp.asarray(0.25)], ids=str)
def test_damping_multiplies_tangents_and_cotangents_by_the_gate(gate, rng):
    x, v = (jnp.asarray(rng.normal(size=4)) for _ in range(2))
    value, tangent = jax.jvp(lambda s: damp(s, gate), (x,), (v,))
    np.testing.assert_array_equal(value, x)
    np.testing.assert_array_equal(tangent, float(gate) * v)
    np.testing.assert_array_equal(jax.vjp(lambda s: damp(s, gate), x)[1](v)[0], float(gate) * v)


@pytest.mark.parametrize("gate", [0, 0.0, 1.0, 0.25, jnp.asarray(0.0), jnp.asarray(0.25)], ids=str)
def test_reattaching_gives_to_the_origin_without_changing_the_value(gate, rng):
    x, y, v = (jnp.asarray(rng.normal(size=4)) for _ in range(3))
    np.testing.assert_array_equal(reattach(x, y, gate), x)
    to_tree, to_origin = jax.vjp(lambda s, o: reattach(s, o, gate), x, y)[1](v)
    np.testing.assert_array_equal(to_tree, v)
    np.testing.assert_array_equal(to_origin, float(gate) * v)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("gate", [0.0, jnp.asarray(0.0)], ids=["number", "array"])
def test_a_closed_gate_stops_what_is_not_finite(gate, bad):
    cotangent = jnp.asarray([1.0, bad])
    np.testing.assert_array_equal(jax.vjp(lambda s: damp(s, gate), jnp.ones(2))[1](cotangent)[0], 0)
    to_origin = jax.vjp(lambda o: reattach(jnp.ones(2), o, gate), jnp.ones(2))[1](cotangent)[0]
    np.testing.assert_array_equal(to_origin, 0)
    # Half open, it passes on what it gets: nothing is hidden.
    assert not jnp.isfinite(jax.vjp(lambda s: damp(s, gate + 0.5), jnp.ones(2))[1](cotangent)[0][1])


def test_gates_are_leaves_and_can_be_batched():
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem(5))

    def gradient(flow):
        return jax.grad(lambda g: jnp.dot(w, rollout(Linear(a, b), Gain(g), x, 3, flow=flow).final))(k)

    together = jax.jit(jax.vmap(gradient))(GradientFlow(jnp.asarray([1.0, 0.0]), jnp.asarray([0.5, 1.0])))
    for one, flow in zip(together, (GradientFlow(1.0, 0.5), POLICY), strict=True):
        np.testing.assert_allclose(one, jax.jit(gradient)(flow), rtol=1e-12)


def test_gates_of_another_length_are_refused():
    flow = GradientFlow(jnp.ones(4), 1.0)
    with pytest.raises(UndertowError, match=r"the physics gate has shape \(4,\); give a number or one per step \(6,\)"):
        flow.per_step(6)
    with pytest.raises(UndertowError, match="the policy gate"):
        GradientFlow(1.0, jnp.ones((2, 6))).per_step(6)
    a, b, k, x, _ = (jnp.asarray(v) for v in linear_problem())
    with pytest.raises(UndertowError, match="one per step"):
        rollout(Linear(a, b), Gain(k), x, 6, flow=flow)


def test_what_a_flow_says_of_itself():
    assert FULL.is_static
    assert not FULL.varies_in_time
    assert not GradientFlow(jnp.asarray(1.0), 1.0).is_static
    assert PER_STEP.varies_in_time
    assert not GradientFlow(jnp.asarray(1.0), 1.0).varies_in_time


def test_stages_and_steps_draw_their_own_noise():
    a, b, k, x, _ = (jnp.asarray(v) for v in linear_problem(6))
    seen = []

    class Recording(Gain):
        def __call__(self, observation, *, key=None):
            seen.append(jax.random.key_data(key))
            return super().__call__(observation, key=key)

    closed_loop(Heun(a, b), Recording(k), key=jax.random.key(0))(x)
    assert len(seen) == 2
    assert not np.array_equal(*seen)

    noisy = Gain(jnp.zeros_like(k), noise=1.0)
    run = jax.jit(lambda key: rollout(Linear(a, b), noisy, x, T, key=key).actions)
    one, same, other = (run(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.any(one == other)
    assert len(np.unique(one)) == one.size
    np.testing.assert_array_equal(rollout(Linear(a, b), noisy, x, T).actions, 0)
