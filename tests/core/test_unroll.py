"""Unrolling: what is kept, and that recomputing changes neither values nor gradients."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted
from tests.toys import Gain, Heun, Pendulum, linear_problem
from undertow._checks import UndertowError
from undertow.core.flow import GradientFlow
from undertow.core.unroll import rollout, unroll

MODES = ("step", "cheap", "nothing")


def doubling(x):
    return 2 * x, -x


def test_a_trajectory_holds_every_state_and_action():
    out = unroll(doubling, jnp.asarray([1.0, 3.0]), 4)
    np.testing.assert_array_equal(out.states[:, 0], [1, 2, 4, 8, 16])
    np.testing.assert_array_equal(out.actions[:, 1], [-3, -6, -12, -24])
    np.testing.assert_array_equal(out.initial, [1, 3])
    np.testing.assert_array_equal(out.final, [16, 48])
    np.testing.assert_array_equal(out.before, out.states[:-1])
    np.testing.assert_array_equal(out.after, out.states[1:])


@pytest.mark.parametrize("segment", [None, 1, 2, 3, 5, 7, 8, 100])
@pytest.mark.parametrize("length", [1, 7])
def test_segments_of_any_length_keep_everything(length, segment):
    inputs = {"push": jnp.arange(float(length)), "none": None}

    def step(state, given):
        return {"x": state["x"] + given["push"], "n": state["n"] + 1}, (state["n"], given["push"])

    out = unroll(step, {"x": jnp.asarray(1.0), "n": jnp.asarray(0)}, length, inputs=inputs, segment=segment)
    np.testing.assert_array_equal(out.states["n"], np.arange(length + 1))
    np.testing.assert_array_equal(out.states["x"], 1 + np.cumsum([0.0, *range(length)]))
    np.testing.assert_array_equal(out.actions[0], np.arange(length))
    np.testing.assert_array_equal(out.actions[1], np.arange(length))


def test_recomputing_changes_neither_values_nor_gradients():
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem())

    def loss(gain, state, segment, mode):
        out = rollout(Heun(a, b), Gain(gain, saturated=True), state, 7, segment=segment, rematerialise=mode)
        return jnp.dot(w, out.final) + jnp.sum(out.states**2) + jnp.sum(out.actions), out

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True), static_argnums=(2, 3))
    (value, plain), gradients = run(k, x, None, "nothing")
    for mode in MODES:
        for segment in (None, 3) if mode == "cheap" else (None, 1, 3):  # 7 is None, as above
            (other, out), others = run(k, x, segment, mode)
            # Bit for bit is more than a compiler promises for programs of different shape.
            np.testing.assert_allclose(other, value, rtol=1e-14)
            assert eqx.tree_equal(out, plain, rtol=1e-14, atol=1e-14)
            for one, expected in zip(others, gradients, strict=True):
                np.testing.assert_allclose(one, expected, rtol=1e-12, atol=1e-14)


def saved_floats(mode, segment=None, length=16):
    """How many numbers a backward pass through `length` steps keeps beside its inputs."""
    width = 64

    def step(x):
        for _ in range(5):
            x = jnp.sin(x)
        return x, None

    def loss(x):
        return jnp.sum(unroll(step, x, length, segment=segment, rematerialise=mode).final)

    _, back = jax.vjp(loss, jnp.ones(width))
    return sum(leaf.size for leaf in jax.tree.leaves(back)) / width


def test_recomputing_saves_memory():
    """Without it every inner value is kept (5 per step); with it, the states; with segments, fewer of them."""
    length = 16
    everything, states, segments = saved_floats("nothing"), saved_floats("step"), saved_floats("step", segment=4)
    assert everything >= 5 * length
    assert states <= 2 * length + 2
    assert segments < states


def test_gates_and_keys_travel_with_the_segments():
    a, b, k, x, w = (jnp.asarray(v) for v in linear_problem(1))
    flow = GradientFlow(jnp.linspace(0, 1, 7), jnp.linspace(1, 0, 7))

    def loss(gain, segment):
        out = rollout(Heun(a, b), Gain(gain, noise=0.1), x, 7, flow=flow, key=jax.random.key(0), segment=segment)
        return jnp.dot(w, out.final)

    run = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    value, gradient = run(k, None)
    for segment in (2, 3):
        other, others = run(k, segment)
        np.testing.assert_allclose(other, value, rtol=1e-14)
        np.testing.assert_allclose(others, gradient, rtol=1e-12)


def test_a_step_is_traced_once_however_long_the_unroll():
    step = Counted(doubling)
    unroll(step, jnp.ones(2), 3)
    short = step.calls
    unroll(step, jnp.ones(2), 300)
    assert step.calls <= 2 * short


def test_equal_problems_made_anew_are_not_compiled_again():
    """Closures, environments and flows that are built in every call must not be part of what decides on compiling."""
    a, b, k, x, _ = (jnp.asarray(v) for v in linear_problem(1))
    body = Counted(lambda env, policy, state, flow: rollout(env, policy, state, 4, flow=flow).final)
    run = eqx.filter_jit(body)
    for i in range(4):
        run(Heun(a * i, b), Gain(k + i), x - i, GradientFlow(1.0, 0.0))
        run(Heun(a, b * i), Gain(k, saturated=False), x, GradientFlow(1.0, 0.0))
    assert body.calls == 1
    # Gates given as arrays may change freely.
    for i in range(4):
        run(Heun(a, b), Gain(k), x, GradientFlow(jnp.asarray(0.1 * i), jnp.asarray(1.0)))
    assert body.calls == 2


def test_states_of_several_parts_and_kinds():
    state = {"angle": jnp.asarray(0.1), "speed": jnp.asarray(0.0), "count": jnp.asarray(0)}
    out = rollout(Pendulum(), Gain(jnp.zeros((1, 3))), state, 5)
    np.testing.assert_array_equal(out.states["count"], np.arange(6))
    assert out.states["angle"].shape == (6,)
    assert out.actions.shape == (5, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length must be a whole number above 0, got 0"),
        ({"length": -3}, "length must be a whole number above 0"),
        ({"length": 3, "segment": 0}, "segment must be a whole number above 0, got 0"),
        ({"length": 3, "rematerialise": "all"}, "rematerialise must be 'step', 'cheap' or 'nothing', got 'all'"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(UndertowError, match=message):
        unroll(doubling, jnp.ones(2), **arguments)
