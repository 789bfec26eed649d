"""Training as a pure function of its state."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from undertow._checks import NonFiniteError, is_traced, require, whole_number
from undertow._tree import take, where
from undertow._types import Key, Metrics
from undertow.core.gradient import AbstractGradient, Backprop, as_gradient
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, batch_size
from undertow.training.diagnose import locate


class TrainState(eqx.Module):
    """Everything that an update changes: with the trainer it determines the rest of the run bit for bit."""

    policy: AbstractPolicy
    opt_state: Any
    key: Key
    step: Int[Array, ""]
    skipped: Int[Array, ""]  # updates skipped in all because the loss or its gradient was not finite
    skipped_in_a_row: Int[Array, ""]
    rate: Float[Array, ""]  # factor on every step of the optimiser: its learning rate, as a leaf


class Trainer(eqx.Module):
    r"""Gradient descent through the unrolled task, as pure `init` and `update`.

    An update whose loss or gradient is not finite is skipped (policy and optimiser state stay) and counted.

    **Arguments:**

    - `task`; `gradient` the estimator, its name out of `GRADIENTS`, or a flow (default: backpropagation with the full
        flow); `optimizer` an optax transformation.
    - `problems`: a stacked pool to take batches from; None to draw fresh problems from `task.sample` for every update.
    - `batch`: problems per update. `sampling`: `sample` draws without replacement for every update, `cycle` goes through
        the pool in order and wraps around.
    - `noisy`: pass keys to the policy, which then adds its exploration noise.

    **Raises:** `UndertowError` for a batch larger than the pool or an unknown sampling.
    """

    task: Task
    problems: Problem | None
    gradient: AbstractGradient = eqx.field(converter=as_gradient, default=Backprop())
    optimizer: optax.GradientTransformation = eqx.field(static=True, default=optax.adam(1e-3))
    batch: int = eqx.field(static=True, converter=partial(whole_number, "batch"), default=16)
    sampling: Literal["sample", "cycle"] = eqx.field(static=True, default="sample")
    noisy: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        require(self.sampling in ("sample", "cycle"), f"sampling must be 'sample' or 'cycle', got {self.sampling!r}")
        require(
            self.problems is not None or self.task.sample is not None,
            "a trainer needs a pool of problems, or a task that can sample them",
        )
        if self.problems is not None and not is_traced(jax.tree.leaves(self.problems)[0]):
            size = batch_size(self.problems)
            require(self.batch <= size, f"batch={self.batch} is larger than the pool of {size} problems")

    def init(self, policy: AbstractPolicy, key: Key, rate: float | Float[Array, ""] = 1.0) -> TrainState:
        """The state before the first update. `rate` multiplies the optimiser's steps, as a larger learning rate would."""
        zero = jnp.zeros((), jnp.int32)
        opt_state = self.optimizer.init(eqx.filter(policy, eqx.is_inexact_array))
        return TrainState(policy, opt_state, key, zero, zero, zero, jnp.asarray(rate, float))

    @property
    def _draws(self) -> bool:
        """Whether an update uses random numbers. Where none does the key stays: making new ones takes long to compile."""
        return self.problems is None or self.sampling != "cycle" or self.noisy or self.gradient.draws

    def draw(self, state: TrainState) -> tuple[Problem, Int[Array, " batch"]]:
        """The batch that the next update will use, and the problems' places in the pool (-1 for fresh ones)."""
        key = jax.random.fold_in(state.key, 0)
        if self.problems is None:
            assert self.task.sample is not None
            problems = eqx.filter_vmap(self.task.sample)(jax.random.split(key, self.batch))
            return problems, jnp.full((self.batch,), -1)
        size = batch_size(self.problems)
        if self.sampling == "cycle":
            index = (state.step * self.batch + jnp.arange(self.batch)) % size
        else:
            index = jax.random.choice(key, size, (self.batch,), replace=False)
        return take(self.problems, index), index

    def update(self, state: TrainState) -> tuple[TrainState, Metrics]:
        """One update. Metrics: `loss`, `gradient_norm` (before clipping), `skipped` (so far) and the estimator's own scalars."""
        problems, _ = self.draw(state)
        noise_key = jax.random.fold_in(state.key, 1) if self.noisy else None

        def loss(policy, flow):
            return self.task.loss(policy, flow, problems, key=noise_key)

        value, gradient, metrics = self.gradient(loss, state.policy, key=jax.random.fold_in(state.key, 3))
        norm = optax.tree.norm(gradient)
        good = jnp.isfinite(value) & jnp.isfinite(norm)
        params, static = eqx.partition(state.policy, eqx.is_inexact_array)
        updates, opt_state = self.optimizer.update(gradient, state.opt_state, params)
        updates = jax.tree.map(lambda u: state.rate.astype(u.dtype) * u, updates)
        params = where(good, optax.apply_updates(params, updates), params)
        opt_state = where(good, opt_state, state.opt_state)
        bad = (~good).astype(jnp.int32)
        new = TrainState(
            eqx.combine(params, static),
            opt_state,
            jax.random.fold_in(state.key, 2) if self._draws else state.key,
            state.step + 1,
            state.skipped + bad,
            (state.skipped_in_a_row + 1) * bad,
            state.rate,
        )
        scalars = {name: v for name, v in metrics.items() if jnp.ndim(v) == 0}
        return new, {"loss": value, "gradient_norm": norm, **scalars, "skipped": new.skipped}

    def diagnose(self, state: TrainState) -> NonFiniteError:
        """Where the next update of `state` becomes non-finite: step, sample and cell."""
        problems, _ = eqx.filter_jit(self.draw)(state)
        return locate(self.task, state.policy, problems)
