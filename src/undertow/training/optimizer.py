"""Optimisers: one dataclass of plain numbers, made into an optax transformation.

Three programs that all say "Adam" take three different steps; so do two that say "RMSprop". Results are compared with
published ones here, so the convention is an option and each is written down in `OptimizerConfig`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from undertow._checks import Within, lookup, require, whole_number
from undertow._fields import Decay, NotNegative, Positive, Share, check_fields

__all__ = ["OptimizerConfig", "build_optimizer", "build_schedule", "scale_by_adam_hat"]

Name = Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "adagrad", "adadelta"]
Schedule = Literal["constant", "cosine", "exponential", "warmup_cosine", "piecewise"]
Convention = Literal["optax", "tf1", "keras"]
Clip = Literal["none", "value", "norm"]

# What `eps = None` stands for: the value each rule's own authors chose.
_ADAM_EPS = {"optax": 1e-8, "tf1": 1e-8, "keras": 1e-7}
_RMSPROP_EPS = {"optax": 1e-5, "tf1": 1e-5, "keras": 1e-7}
_ADAGRAD_EPS = 1e-7
_ADADELTA_EPS = {"optax": 1e-6, "tf1": 1e-8, "keras": 1e-7}

# What `decay = None` stands for.
_RMSPROP_DECAY = {"optax": 0.99, "tf1": 0.99, "keras": 0.9}
_ADADELTA_DECAY = {"optax": 0.9, "tf1": 0.95, "keras": 0.95}


@dataclass(frozen=True)
class OptimizerConfig:
    """Which optimiser, with which numbers. g is the gradient (after clipping), t counts updates from 1, a is the rate.

        sgd        p -= a g
        momentum
            optax, tf1  v = momentum v + g;                              p -= a v
            keras       v = momentum v - a g;                            p += v
        rmsprop    s = decay s + (1 - decay) g^2;                        p -= v
            optax, tf1  s_0 = 1;  v = rmsprop_momentum v + a g / sqrt(s + eps)
            keras       s_0 = 0;  v = a g / (sqrt(s) + eps), or with momentum as above
        adagrad    s = s + g^2, s_0 = 0.1;                               p -= a g / sqrt(s + eps)
        adadelta   s = decay s + (1 - decay) g^2;  d = g sqrt(r + eps) / sqrt(s + eps);  r = decay r + (1 - decay) d^2;
                   s_0 = r_0 = 0;                                        p -= a d
        adam       m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  c1 = 1 - beta1^t;  c2 = 1 - beta2^t
            optax       p -= a (m / c1) / (sqrt(v / c2) + eps)
            tf1, keras  p -= a (sqrt(c2) / c1) m / (sqrt(v) + eps)
        adamw      the same, and p -= a weight_decay p

    The two forms of momentum differ only while the rate changes: in the second one, steps already under way keep the rate
    they began with. rmsprop is TensorFlow 1's (eps inside the root, the average starts at one) or that of Keras in
    TensorFlow 2 up to 2.10, where eps stands outside of the root unless there is momentum (later versions: always inside).
    adagrad is Keras's in all three; adadelta (Zeiler 2012, arXiv 1212.5701) is one formula with three sets of numbers, and
    the paper's own rate is a = 1, Keras's 1e-3. The second form of
    Adam is the one "just before section 2.1" of Kingma and Ba (2015), with their epsilon-hat: it is optax's with
    eps / sqrt(c2) for eps, 32 times as much at the first update. TensorFlow 1 and Keras use it with their own eps.
    """

    name: Name = "adam"
    """the update rule"""
    learning_rate: Annotated[float, Within(above=0, squared=False)] = 1e-3
    """learning rate a, the largest that the schedule reaches"""
    schedule: Schedule = "constant"
    """how the learning rate changes over the training"""
    final_fraction: Share = 0.0
    """cosine, warmup_cosine, exponential: the learning rate at the end, as a share of the largest"""
    warmup_fraction: Decay = 0.05
    """warmup_cosine: the share of the updates over which the learning rate rises from zero"""
    drop_at: tuple[Annotated[float, Within(above=0, below=1)], ...] = (0.5, 0.75)
    """piecewise: where the learning rate drops, as shares of the updates, rising"""
    drop_factor: Positive = 0.1
    """piecewise: what the learning rate is multiplied by at each drop"""
    momentum: Decay = 0.9
    """momentum: the share of the last step that is kept"""
    beta1: Decay = 0.9
    """adam, adamw: decay of the gradient's average"""
    beta2: Decay = 0.999
    """adam, adamw: decay of the squared gradient's average"""
    decay: Decay | None = None
    """rmsprop, adadelta: decay of the squares' averages; None: 0.99 (keras 0.9), adadelta 0.9 (tf1, keras 0.95)"""
    rmsprop_momentum: Decay = 0.0
    """rmsprop: the share of the last step that is kept"""
    eps: Positive | None = None
    """keeps the denominator from zero; None: adam 1e-8, rmsprop 1e-5, adadelta 1e-6 (tf1 1e-8), adagrad and keras 1e-7"""
    convention: Convention = "optax"
    """whose formula and default numbers, where programs differ"""
    weight_decay: NotNegative | None = None
    """adamw: share of the weights removed per update and unit of learning rate; None: 1e-4"""
    clip: Clip = "none"
    """clip the gradient by value (every element) or by the norm of all of it together"""
    clip_at: Positive = 1.0
    """the largest absolute value, or the largest norm, that passes unclipped"""


def scale_by_adam_hat(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> optax.GradientTransformation:
    r"""Adam with the "epsilon hat": the bias corrections go into the step size, and eps stays outside of them.

    $$m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2, \quad
      \Delta_t = \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t} \, \frac{m_t}{\sqrt{v_t} + \hat\epsilon}$$

    **Arguments**: decays beta1 and beta2 in [0, 1), eps above 0.

    **Returns** an optax transformation; the learning rate and its sign come after it.

    Reference: Kingma and Ba, Adam, ICLR 2015 (arXiv 1412.6980), the form given before section 2.1.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(jnp.zeros([], jnp.int32), zeros, zeros)

    def update(
        updates: optax.Updates, state: optax.ScaleByAdamState, params: Any = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        count = optax.safe_increment(state.count)
        mu = jax.tree.map(lambda g, m: beta1 * m + (1 - beta1) * g, updates, state.mu)
        nu = jax.tree.map(lambda g, v: beta2 * v + (1 - beta2) * g * g, updates, state.nu)
        rate = jnp.sqrt(_one_minus_power(beta2, count)) / _one_minus_power(beta1, count)
        scaled = jax.tree.map(lambda m, v: rate.astype(m.dtype) * m / (jnp.sqrt(v) + eps), mu, nu)
        return scaled, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def build_schedule(config: OptimizerConfig, total_updates: int) -> optax.Schedule:
    r"""The learning rate as a function of the number of updates made before, n = 0 .. N-1.

        constant       a
        cosine         a (f + (1 - f) (1 + cos(pi n / N)) / 2)
        exponential    a f^(n / N)
        warmup_cosine  a n / w up to n = w = warmup_fraction N, then the cosine over the N - w updates that are left
        piecewise      a drop_factor^k after k drops; a drop at the share s of the updates happens at n = round(s N)

    with a = `learning_rate`, f = `final_fraction` (reached at n = N).

    **Raises** `UndertowError` for values the formula cannot take.
    """
    config = check_fields(config)
    total_updates = whole_number("the number of updates", total_updates)
    drops = list(config.drop_at)
    require(drops == sorted(set(drops)), f"drop_at must be rising shares of the updates, got {config.drop_at!r}")
    peak, final = config.learning_rate, config.final_fraction

    def constant() -> optax.Schedule:
        return optax.constant_schedule(peak)

    def cosine() -> optax.Schedule:
        return optax.cosine_decay_schedule(peak, total_updates, alpha=final)

    def exponential() -> optax.Schedule:
        require(final > 0, f"the exponential schedule needs final_fraction above 0, got {final!r}")
        return optax.exponential_decay(peak, total_updates, final)

    def warmup_cosine() -> optax.Schedule:
        warmup = min(round(config.warmup_fraction * total_updates), total_updates - 1)
        decay = optax.cosine_decay_schedule(peak, total_updates - warmup, alpha=final)
        if warmup == 0:
            return decay
        return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), decay], [warmup])

    def piecewise() -> optax.Schedule:
        boundaries = [round(share * total_updates) for share in drops]
        levels = [optax.constant_schedule(peak * config.drop_factor**k) for k in range(len(drops) + 1)]
        return optax.join_schedules(levels, boundaries)

    table = {
        "constant": constant,
        "cosine": cosine,
        "exponential": exponential,
        "warmup_cosine": warmup_cosine,
        "piecewise": piecewise,
    }
    rate = lookup("learning rate schedule", config.schedule, table)()
    # optax counts in int32, whose quotients are float32 also where the training is float64.
    return lambda count: rate(jnp.asarray(count, float))


def build_optimizer(config: OptimizerConfig, total_updates: int) -> optax.GradientTransformation:
    """Clipping, then the update rule, then the learning rate of the schedule, as one optax transformation.

    **Arguments**

    - `config`: the formulas stand in `OptimizerConfig`.
    - `total_updates`: over how many updates the schedule runs, 1 or more.

    **Returns** a transformation with `init(params)` and `update(gradient, state, params)`; what `update` returns is
    *added* to the parameters (`optax.apply_updates`).

    **Raises** `UndertowError` for an unknown name or a value out of its range, for `weight_decay` where the rule has
    none, and as `build_schedule` does.
    """
    config = check_fields(config)
    schedule = build_schedule(config, total_updates)
    # A schedule counts updates; a constant needs no count, so its state stays that much smaller.
    rate = optax.scale_by_learning_rate(config.learning_rate if config.schedule == "constant" else schedule)
    if config.weight_decay is not None:
        require(
            config.name == "adamw" or config.weight_decay == 0,
            f"weight_decay is for adamw, but the optimiser is {config.name!r}; choose adamw or leave it out",
        )

    adam_eps = lookup("optimizer convention", config.convention, _ADAM_EPS)
    keras = config.convention == "keras"

    def momentum() -> list[optax.GradientTransformation]:
        parts = [optax.trace(config.momentum), rate]
        return parts[::-1] if keras else parts

    def adam() -> list[optax.GradientTransformation]:
        eps = adam_eps if config.eps is None else config.eps
        by_adam = optax.scale_by_adam if config.convention == "optax" else scale_by_adam_hat
        return [by_adam(config.beta1, config.beta2, eps), rate]

    def adamw() -> list[optax.GradientTransformation]:
        weight_decay = 1e-4 if config.weight_decay is None else config.weight_decay
        return [adam()[0], optax.add_decayed_weights(weight_decay), rate]

    def rmsprop() -> list[optax.GradientTransformation]:
        eps = _RMSPROP_EPS[config.convention] if config.eps is None else config.eps
        decay = _RMSPROP_DECAY[config.convention] if config.decay is None else config.decay
        inside = not keras or config.rmsprop_momentum > 0
        parts = [optax.scale_by_rms(decay, eps, initial_scale=0.0 if keras else 1.0, eps_in_sqrt=inside), rate]
        # The learning rate is inside the momentum: steps already under way keep the rate they began with.
        return [*parts, optax.trace(config.rmsprop_momentum)] if config.rmsprop_momentum else parts

    def adagrad() -> list[optax.GradientTransformation]:
        eps = _ADAGRAD_EPS if config.eps is None else config.eps
        return [optax.scale_by_rss(initial_accumulator_value=0.1, eps=eps), rate]

    def adadelta() -> list[optax.GradientTransformation]:
        eps = _ADADELTA_EPS[config.convention] if config.eps is None else config.eps
        decay = _ADADELTA_DECAY[config.convention] if config.decay is None else config.decay
        return [optax.scale_by_adadelta(decay, eps), rate]

    rules = {
        "sgd": lambda: [rate],
        "momentum": momentum,
        "rmsprop": rmsprop,
        "adam": adam,
        "adamw": adamw,
        "adagrad": adagrad,
        "adadelta": adadelta,
    }
    clips = {
        "none": lambda at: [],
        "value": lambda at: [optax.clip(at)],
        "norm": lambda at: [optax.clip_by_global_norm(at)],
    }
    clip = lookup("gradient clipping", config.clip, clips)
    return optax.chain(*clip(config.clip_at), *lookup("optimizer", config.name, rules)())


def _one_minus_power(base: float, count: jax.Array) -> jax.Array:
    """1 - base^count without the cancellation that costs float32 four digits at base = 0.999, count = 1."""
    return -jnp.expm1(count * (math.log(base) if base > 0 else -math.inf))
