"""Every rule against its formula, written out in numpy; schedules at their ends; clipping; bad input."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from undertow._checks import UndertowError
from undertow.training.optimizer import OptimizerConfig, build_optimizer, build_schedule, scale_by_adam_hat

# Sizes from far below every eps to far above, so that where the eps stands is seen.
GRADIENTS = [np.array([1e-9, -3e-7, 2e-3, 5.0]), np.array([2e-8, 1e-7, -4e-3, 0.0]), np.array([-1e-9, 1e-6, 1.0, -7.0])]
START = np.array([0.3, -0.2, 1.5, -4.0])


def run(config: OptimizerConfig, gradients=GRADIENTS, total_updates: int = 100) -> np.ndarray:
    optimizer = build_optimizer(config, total_updates)
    params = {"w": jnp.asarray(START)}
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = jax.jit(optimizer.update)({"w": jnp.asarray(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params["w"])


def adam_by_hand(rate, b1, b2, eps, hat, weight_decay=0.0):
    p, m, v = START.copy(), 0.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        c1, c2 = 1 - b1**t, 1 - b2**t
        step = np.sqrt(c2) / c1 * m / (np.sqrt(v) + eps) if hat else (m / c1) / (np.sqrt(v / c2) + eps)
        p = p - rate * (step + weight_decay * p)
    return p


@pytest.mark.parametrize(
    ("convention", "eps", "hat"), [("optax", 1e-8, False), ("tf1", 1e-8, True), ("keras", 1e-7, True)]
)
def test_adam_of_each_convention(convention, eps, hat):
    config = OptimizerConfig(name="adam", learning_rate=3e-2, convention=convention)
    np.testing.assert_allclose(run(config), adam_by_hand(3e-2, 0.9, 0.999, eps, hat), rtol=1e-13)
    other = OptimizerConfig(name="adam", learning_rate=3e-2, convention=convention, beta1=0.8, beta2=0.95, eps=1e-4)
    np.testing.assert_allclose(run(other), adam_by_hand(3e-2, 0.8, 0.95, 1e-4, hat), rtol=1e-13)


def test_adam_with_epsilon_hat_is_adam_with_a_scaled_epsilon():
    # One update, so that the correction 1 - beta2^t is known: eps_hat = eps sqrt(1 - beta2) must give the same step.
    plain, hat = optax.scale_by_adam(eps=1e-3), scale_by_adam_hat(eps=1e-3 * np.sqrt(1 - 0.999))
    gradient = jnp.asarray(GRADIENTS[2])
    expected, _ = plain.update(gradient, plain.init(gradient))
    got, _ = hat.update(gradient, hat.init(gradient))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_first_adam_step_in_float32_has_full_precision():
    optimizer = scale_by_adam_hat(eps=1e-30)
    gradient = jnp.asarray([2.0, -0.5], jnp.float32)
    step, _ = optimizer.update(gradient, optimizer.init(gradient))
    assert step.dtype == jnp.float32
    np.testing.assert_allclose(step, [1.0, -1.0], rtol=3e-7)


def test_adam_without_memory_is_the_sign_of_the_gradient():
    config = OptimizerConfig(convention="tf1", beta1=0.0, beta2=0.0, eps=1e-30, learning_rate=0.5)
    np.testing.assert_allclose(run(config, GRADIENTS[:1]), START - 0.5 * np.sign(GRADIENTS[0]), rtol=1e-12)


@pytest.mark.parametrize("convention", ["optax", "tf1", "keras"])
def test_adamw_decays_the_weights_apart_from_the_gradient(convention):
    config = OptimizerConfig(name="adamw", learning_rate=1e-2, weight_decay=0.3, eps=1e-6, convention=convention)
    expected = adam_by_hand(1e-2, 0.9, 0.999, 1e-6, convention != "optax", weight_decay=0.3)
    np.testing.assert_allclose(run(config), expected, rtol=1e-13)
    default = dataclasses.replace(config, weight_decay=None)
    expected = adam_by_hand(1e-2, 0.9, 0.999, 1e-6, convention != "optax", weight_decay=1e-4)
    np.testing.assert_allclose(run(default), expected, rtol=1e-13)


def test_sgd_and_momentum():
    np.testing.assert_allclose(run(OptimizerConfig(name="sgd", learning_rate=0.1)), START - 0.1 * sum(GRADIENTS))
    p, v = START.copy(), 0.0
    for g in GRADIENTS:
        v = 0.9 * v + g
        p = p - 0.1 * v
    np.testing.assert_allclose(run(OptimizerConfig(name="momentum", learning_rate=0.1)), p, rtol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_rmsprop_of_tensorflow_1(momentum):
    # With a falling learning rate: it stands inside the momentum, which a constant one would not show.
    config = OptimizerConfig(
        name="rmsprop", learning_rate=0.1, schedule="exponential", final_fraction=0.5, rmsprop_momentum=momentum
    )
    p, s, v = START.copy(), np.ones(4), 0.0
    for n, g in enumerate(GRADIENTS):
        s = 0.99 * s + 0.01 * g**2
        v = momentum * v + 0.1 * 0.5 ** (n / 100) * g / np.sqrt(s + 1e-5)
        p = p - v
    np.testing.assert_allclose(run(config), p, rtol=1e-13)


def test_adagrad():
    p, s = START.copy(), 0.1
    for g in GRADIENTS:
        s = s + g**2
        p = p - 0.2 * g / np.sqrt(s + 1e-7)
    np.testing.assert_allclose(run(OptimizerConfig(name="adagrad", learning_rate=0.2)), p, rtol=1e-13)


@pytest.mark.parametrize("momentum", [0.8, 0.9, 0.95])
def test_momentum_of_keras_keeps_the_rate_a_step_began_with(momentum):
    config = OptimizerConfig(
        name="momentum",
        momentum=momentum,
        learning_rate=0.1,
        schedule="exponential",
        final_fraction=0.5,
        convention="keras",
    )
    p, v = START.copy(), 0.0
    for n, g in enumerate(GRADIENTS):
        v = momentum * v - 0.1 * 0.5 ** (n / 100) * g
        p = p + v
    np.testing.assert_allclose(run(config), p, rtol=1e-13)
    constant = dataclasses.replace(config, schedule="constant")
    plain = dataclasses.replace(constant, convention="optax")
    np.testing.assert_allclose(run(constant), run(plain), rtol=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_rmsprop_of_keras(momentum):
    """The average starts at zero; eps is outside of the root, but inside where there is momentum."""
    config = OptimizerConfig(name="rmsprop", learning_rate=0.1, rmsprop_momentum=momentum, convention="keras")
    for changed, decay, eps in ((config, 0.9, 1e-7), (dataclasses.replace(config, decay=0.5, eps=1e-3), 0.5, 1e-3)):
        p, s, v = START.copy(), np.zeros(4), 0.0
        for g in GRADIENTS:
            s = decay * s + (1 - decay) * g**2
            v = momentum * v + 0.1 * g / (np.sqrt(s + eps) if momentum else np.sqrt(s) + eps)
            p = p - v
        np.testing.assert_allclose(run(changed), p, rtol=1e-12)


def test_adagrad_is_the_same_in_every_convention():
    results = [run(OptimizerConfig(name="adagrad", convention=c)) for c in ("optax", "tf1", "keras")]
    np.testing.assert_array_equal(results[1:], results[:1] * 2)


@pytest.mark.parametrize(
    ("convention", "decay", "eps"), [("optax", 0.9, 1e-6), ("tf1", 0.95, 1e-8), ("keras", 0.95, 1e-7)]
)
def test_adadelta(convention, decay, eps):
    config = OptimizerConfig(name="adadelta", learning_rate=0.3, convention=convention)
    for changed, rho in ((config, decay), (dataclasses.replace(config, decay=0.6), 0.6)):
        p, s, r = START.copy(), np.zeros(4), np.zeros(4)
        for g in GRADIENTS:
            s = rho * s + (1 - rho) * g**2
            d = g * np.sqrt(r + eps) / np.sqrt(s + eps)
            r = rho * r + (1 - rho) * d**2
            p = p - 0.3 * d
        np.testing.assert_allclose(run(changed), p, rtol=1e-13)


def test_clipping_by_value_is_elementwise():
    config = OptimizerConfig(name="sgd", learning_rate=1.0, clip="value", clip_at=0.25)
    expected = START - sum(np.clip(g, -0.25, 0.25) for g in GRADIENTS)
    np.testing.assert_allclose(run(config), expected, rtol=1e-14)


def test_clipping_by_norm_takes_all_arrays_together_and_leaves_short_gradients_alone():
    optimizer = build_optimizer(OptimizerConfig(name="sgd", learning_rate=1.0, clip="norm", clip_at=2.0), 10)
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}  # norm 5
    updates, _ = optimizer.update(gradient, optimizer.init(gradient))
    np.testing.assert_allclose(updates["a"], [-3.0 * 2 / 5, 0.0], rtol=1e-14)
    np.testing.assert_allclose(updates["b"], [[-4.0 * 2 / 5]], rtol=1e-14)
    short = jax.tree.map(lambda g: g / 10, gradient)
    updates, _ = optimizer.update(short, optimizer.init(short))
    assert all(bool(jnp.all(u == -g)) for u, g in zip(jax.tree.leaves(updates), jax.tree.leaves(short), strict=True))


def test_schedules_at_their_ends_and_between():
    def rates(at, **fields):
        schedule = build_schedule(OptimizerConfig(learning_rate=2.0, **fields), 200)
        return [float(schedule(n)) for n in at]

    assert rates([0, 199, 1000], schedule="constant") == [2.0, 2.0, 2.0]
    f = 0.1
    expected = [2.0 * (f + (1 - f) * (1 + np.cos(np.pi * n / 200)) / 2) for n in (0, 50, 100, 200)]
    assert rates([0, 50, 100, 200], schedule="cosine", final_fraction=f) == pytest.approx(expected, rel=1e-13)
    assert rates([0, 100, 200], schedule="exponential", final_fraction=0.01) == pytest.approx(
        [2.0, 0.2, 0.02], rel=1e-13
    )
    warmup = rates([0, 5, 10, 105, 200], schedule="warmup_cosine")  # w = 10
    assert warmup == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0], rel=1e-13, abs=1e-15)
    steps = rates([0, 99, 100, 149, 150, 199], schedule="piecewise", drop_at=(0.5, 0.75), drop_factor=0.5)
    assert steps == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "exponential", "warmup_cosine", "piecewise"])
def test_schedule_of_a_single_update_is_finite(schedule):
    config = OptimizerConfig(schedule=schedule, final_fraction=0.1, warmup_fraction=0.9)
    assert np.all(np.isfinite(run(config, total_updates=1)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "adamm"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"convention": "tf2"}, "unknown convention 'tf2'"),
        ({"convention": "keros", "name": "sgd"}, "did you mean 'keras'"),
        ({"decay": 1.0, "name": "adadelta"}, "decay must be"),
        ({"clip": "nrom"}, "did you mean 'norm'"),
        ({"learning_rate": -1.0}, "learning_rate must be"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"eps": 0.0}, "eps must be"),
        ({"beta1": 1.0}, "beta1 must be"),
        ({"beta2": -0.1}, "beta2 must be"),
        ({"momentum": float("nan")}, "momentum must be"),
        ({"clip": "norm", "clip_at": 0.0}, "clip_at must be"),
        ({"weight_decay": 0.1}, "choose adamw"),
        ({"name": "adamw", "weight_decay": -0.1}, "weight_decay must be"),
        ({"schedule": "exponential"}, "final_fraction above 0"),
        ({"schedule": "cosine", "final_fraction": 1.5}, "final_fraction must be"),
        ({"schedule": "warmup_cosine", "warmup_fraction": 1.0}, "warmup_fraction must be"),
        ({"schedule": "piecewise", "drop_at": (0.7, 0.2)}, "drop_at must be"),
    ],
)
def test_bad_values_are_one_line_errors(fields, words):
    with pytest.raises(UndertowError, match=words) as caught:
        build_optimizer(OptimizerConfig(**fields), 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("updates", [0, -3, 1.5])
def test_number_of_updates_is_checked(updates):
    with pytest.raises(UndertowError, match="number of updates"):
        build_optimizer(OptimizerConfig(), updates)
