"""Windows, discounts, mixed flows, credit and balance, against closed forms on linear loops."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.toys import Gain, Heun, Linear, linear_problem
from undertow._checks import UndertowError
from undertow.core.flow import FLOWS, FULL, PHYSICS, POLICY, STOP, GradientFlow, discount, magnitude, mixed, window
from undertow.core.unroll import rollout

T = 6
A, B, K, X, W = linear_problem(7)
WEIGHTS = np.random.default_rng(8).normal(size=(T, 3))


def loss(gain, state, flow):
    """A weighted sum of all states reached: the cost of every step is felt."""
    run = rollout(Linear(jnp.asarray(A), jnp.asarray(B)), Gain(gain), state, T, flow=flow)
    return jnp.sum(WEIGHTS * run.after)


@pytest.fixture(scope="module")
def derivatives():
    """To gain and initial state, from reverse mode. One program for all flows: every gate is an array over time."""

    @jax.jit
    def compiled(physics, policy, credit):
        flow = GradientFlow(physics, policy, credit)
        return jax.grad(loss, argnums=(0, 1))(jnp.asarray(K), jnp.asarray(X), flow)

    def of(flow):
        gates = GradientFlow(flow.physics, flow.policy, 1.0 if flow.credit is None else flow.credit).per_step(T)
        return [np.asarray(g) for g in compiled(gates.physics, gates.policy, gates.credit)]

    return of


def by_hand(p, q):
    states = [X]
    for _ in range(T):
        states.append((A + B @ K) @ states[-1])
    adjoint, parts = np.zeros(3), []
    for t in reversed(range(T)):
        adjoint = adjoint + WEIGHTS[t]
        parts.append(np.outer(B.T @ adjoint, states[t]))
        adjoint = (p[t] * A + q[t] * B @ K).T @ adjoint
    return np.array(parts[::-1]), adjoint


@pytest.mark.parametrize("every", [1, 2, 4, T, 100])
def test_a_window_is_a_sum_of_short_unrolls(derivatives, every):
    """Each window by itself, started where the run before it arrived, has the same gradient for the policy."""
    states, expected = [X], np.zeros_like(K)
    for _ in range(T):
        states.append((A + B @ K) @ states[-1])
    for start in range(0, T, every):
        inside = range(start, min(start + every, T))
        for t in inside:
            for later in inside:
                if later >= t:
                    back = np.linalg.matrix_power(A + B @ K, later - t).T @ WEIGHTS[later]
                    expected += np.outer(B.T @ back, states[t])
    np.testing.assert_allclose(derivatives(window(T, every))[0], expected, rtol=1e-11, atol=1e-13)


def test_windows_at_their_ends(derivatives):
    for wide, same in ((window(T, T), FULL), (window(T, T, PHYSICS), PHYSICS), (window(T, 1), STOP)):
        np.testing.assert_allclose(derivatives(wide)[0], derivatives(same)[0], rtol=1e-12)
    # The initial state is not cut off from its own window.
    np.testing.assert_allclose(derivatives(window(T, 1))[1], (A + B @ K).T @ WEIGHTS[0], rtol=1e-12)
    assert np.asarray(window(5, 2).physics).tolist() == [1, 1, 0, 1, 0]


@pytest.mark.parametrize("gamma", [0.0, 0.7, 1.0])
def test_a_discount_is_a_power_of_the_distance_in_time(derivatives, gamma):
    expected, state = np.zeros_like(K), X
    for t in range(T):
        for later in range(t, T):
            back = np.linalg.matrix_power(A + B @ K, later - t).T @ WEIGHTS[later]
            expected += gamma ** (later - t) * np.outer(B.T @ back, state)
        state = (A + B @ K) @ state
    np.testing.assert_allclose(derivatives(discount(gamma))[0], expected, rtol=1e-11, atol=1e-13)


def test_a_discount_of_one_path(derivatives):
    got = derivatives(discount(0.5, PHYSICS))[0]
    np.testing.assert_allclose(got, by_hand(np.full(T, 0.5), np.zeros(T))[0].sum(0), rtol=1e-12)


def test_mixed_flows_step_by_step(derivatives):
    names = ["full", "physics", POLICY, "stop", GradientFlow(0.3, 1.5), "full"]
    flow = mixed(names)
    p, q = np.array([1, 1, 0, 0, 0.3, 1]), np.array([1, 0, 1, 0, 1.5, 1])
    np.testing.assert_array_equal(flow.physics, p)
    np.testing.assert_array_equal(flow.policy, q)
    assert flow.credit is None and flow.balance is None
    parts, to_state = by_hand(p, q)
    np.testing.assert_allclose(derivatives(flow)[0], parts.sum(0), rtol=1e-11)
    np.testing.assert_allclose(derivatives(flow)[1], to_state, rtol=1e-11)
    for name, flow in FLOWS.items():
        np.testing.assert_allclose(derivatives(mixed([name] * T))[0], derivatives(flow)[0], rtol=1e-12)
    credits = mixed([FULL, GradientFlow(credit=0.0)]).credit
    np.testing.assert_array_equal(credits, [1, 0])


def test_credit_is_a_factor_on_the_contribution_of_a_step_and_on_nothing_else(derivatives):
    plain, to_state = by_hand(np.ones(T), np.ones(T))
    for credit in (np.eye(T)[2], np.linspace(-1, 2, T)):
        got = derivatives(GradientFlow(credit=jnp.asarray(credit)))
        np.testing.assert_allclose(got[0], np.tensordot(credit, plain, 1), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(got[1], to_state, rtol=1e-11)


def test_credit_counts_all_stages_of_a_step_and_leaves_values_alone():
    env, x = Heun(jnp.asarray(A), jnp.asarray(B)), jnp.asarray(X)

    @eqx.filter_jit
    def final(gain, flow):
        return rollout(env, Gain(gain, saturated=True), x, T, flow=flow).final

    gradient = eqx.filter_jit(lambda flow: jax.grad(lambda gain: W @ final(gain, flow))(jnp.asarray(K)))
    flows = [GradientFlow(credit=jnp.asarray(row)) for row in np.eye(T)]
    np.testing.assert_allclose(sum(gradient(flow) for flow in flows), gradient(FULL), rtol=1e-11)
    # The contribution of the first step, by finite differences of the gain used in that step alone.
    rest = jax.jit(lambda s: rollout(env, Gain(jnp.asarray(K), saturated=True), s, T - 1).final)
    h = 1e-5
    for i in np.ndindex(K.shape):
        ends = []
        for sign in (1, -1):
            moved = K.copy()
            moved[i] += sign * h
            first = env.step(x, Gain(jnp.asarray(moved), saturated=True))[0]
            ends.append(W @ np.asarray(rest(first)))
        np.testing.assert_allclose(gradient(flows[0])[i], (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-9)
    for flow in (GradientFlow(credit=0.3), GradientFlow(balance=1.0), GradientFlow(0.0, 1.0, 0.5, 0.5), *flows[:1]):
        np.testing.assert_array_equal(final(jnp.asarray(K), flow), final(jnp.asarray(K), FULL))


def test_balance_brings_the_contributions_of_steps_to_one_size():
    parts, to_state = by_hand(np.ones(T), np.ones(T))
    sizes = np.linalg.norm(parts, axis=(1, 2))
    assert sizes.max() > 2 * sizes.min()
    gradient = jax.jit(
        lambda credit, balance: jax.grad(loss, argnums=(0, 1))(
            jnp.asarray(K), jnp.asarray(X), GradientFlow(credit=credit, balance=balance)
        )
    )
    for balance in (1.0, 0.5, 0.0):
        credit = np.linspace(1, 2, T)
        got = gradient(jnp.asarray(credit), jnp.asarray(balance))
        np.testing.assert_allclose(got[0], np.tensordot(credit * sizes**-balance, parts, 1), rtol=1e-11)
        np.testing.assert_allclose(got[1], to_state, rtol=1e-11)


def test_flows_say_what_is_wrong():
    for bad in (lambda: window(6, 0), lambda: window(0, 3)):
        with pytest.raises(UndertowError, match="must be a whole number above 0"):
            bad()
    with pytest.raises(UndertowError, match="did you mean 'physics'"):
        mixed(["full", "phisics"])
    with pytest.raises(UndertowError, match="got none"):
        mixed([])
    with pytest.raises(UndertowError, match="one number per gate"):
        mixed([window(2, 1), "full"])
    with pytest.raises(UndertowError, match=r"the credit gate has shape \(3,\)"):
        GradientFlow(credit=jnp.ones(3)).per_step(4)
    assert GradientFlow(credit=0.5).is_static
    assert GradientFlow(credit=jnp.ones(3)).varies_in_time
    assert not GradientFlow(balance=jnp.ones(())).is_static


def test_the_magnitude_neither_underflows_nor_hides():
    small = {"a": jnp.asarray([3e-30], jnp.float32), "b": jnp.asarray([[4e-30]], jnp.float32), "n": jnp.arange(3)}
    np.testing.assert_allclose(magnitude(small), 5e-30, rtol=1e-6)
    np.testing.assert_allclose(magnitude(jax.tree.map(lambda x: x * 1e60, small["b"].astype(float))), 4e30, rtol=1e-6)
    assert magnitude({"a": jnp.zeros(3)}) == 0
    assert magnitude({"n": jnp.arange(3)}) == 0
    assert np.isnan(magnitude([jnp.asarray([1.0, jnp.nan])]))
