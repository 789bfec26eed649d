"""A task: problems, a horizon and an objective."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require, whole_number
from undertow._tree import numbers_as_arrays, stack
from undertow._types import Key, Metrics
from undertow.core.deferred import deferred
from undertow.core.flow import FULL, GradientFlow
from undertow.core.objective import AbstractObjective, Problem, one_number
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Rematerialise, Trajectory, rollout, with_first

Tree = TypeVar("Tree")


class Task(eqx.Module):
    r"""What is to be learned: unroll a problem for `horizon` steps under a policy and make `objective` small.

    **Arguments:** `objective`; `horizon` in steps; `sample`: `key -> Problem`, the distribution of problems (None if problems
    are always given); `segment` and `rematerialise` as in [`unroll`][undertow.core.unroll.unroll].
    """

    objective: AbstractObjective
    horizon: int = eqx.field(static=True, converter=partial(whole_number, "horizon"))
    sample: Callable[[Key], Problem] | None = None
    segment: int | None = eqx.field(static=True, default=None)
    rematerialise: Rematerialise = eqx.field(static=True, default="step")

    def run(
        self,
        policy: AbstractPolicy,
        problem: Problem,
        flow: GradientFlow = FULL,
        *,
        key: Key | None = None,
        nudges: Any = None,
    ) -> Trajectory:
        """The trajectory of one problem; `key` and `nudges` as in [`rollout`][undertow.core.unroll.rollout]."""
        return rollout(
            problem.environment,
            policy,
            problem.state,
            self.horizon,
            flow=flow,
            key=key,
            nudges=nudges,
            segment=self.segment,
            rematerialise=self.rematerialise,
        )

    def losses(
        self, policy: AbstractPolicy, flow: GradientFlow, problems: Problem, *, key: Key | None = None
    ) -> Float[Array, " batch"]:
        """The objective of every problem of a batch (every array leaf of `problems` has a leading batch axis)."""
        if self.rematerialise == "adjoint":
            return self._deferred_losses(policy, flow, problems, key)

        def one(problem, sample_key):
            return self._valued(self.run(policy, problem, flow, key=sample_key), problem)

        keys = None if key is None else jax.random.split(key, batch_size(problems))
        return eqx.filter_vmap(one, in_axes=(eqx.if_array(0), None if keys is None else 0))(problems, keys)

    def _deferred_losses(
        self, policy: AbstractPolicy, flow: GradientFlow, problems: Problem, key: Key | None
    ) -> Float[Array, " batch"]:
        keys = None
        if key is not None:  # the keys that `run` would draw sample by sample
            samples = jax.random.split(key, batch_size(problems))
            keys = jax.vmap(lambda k: jax.random.split(k, self.horizon), out_axes=1)(samples)
        env, state = problems.environment, problems.state
        require(self.segment is None, "rematerialise='adjoint' stores every state; segments need 'step'")
        reached, actions = deferred(env, policy, state, flow, keys, None, self.horizon, batched=True)

        def one(problem: Problem, reached: Any, actions: Any) -> Float[Array, ""]:
            return self._valued(Trajectory(with_first(problem.state, reached), actions), problem)

        return eqx.filter_vmap(one, in_axes=(eqx.if_array(0), 1, 1))(problems, reached, actions)

    def _valued(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        return one_number(self.objective(trajectory, problem), self.objective, "sample")

    def loss(
        self, policy: AbstractPolicy, flow: GradientFlow, problems: Problem, *, key: Key | None = None
    ) -> tuple[Float[Array, ""], Metrics]:
        """Batch mean of the objective, and metrics: every sample's loss under `losses`."""
        losses = self.losses(policy, flow, problems, key=key)
        return jnp.mean(losses), {"losses": losses}


def batch_size(problems: Problem) -> int:
    """The length of the leading axis of a stacked batch. Raises `UndertowError` if the leaves do not share one."""
    sizes = {x.shape[0] if x.ndim else None for x in jax.tree.leaves(eqx.filter(problems, eqx.is_array))}
    require(
        len(sizes) == 1 and None not in sizes,
        f"a batch needs one common leading axis on every array, got leading sizes {sorted(map(str, sizes))}",
    )
    (size,) = sizes
    assert size is not None
    return size


def stack_problems(problems: list[Problem]) -> Problem:
    """One batch from single problems of the same structure (every array leaf gains a leading axis).

    Plain numbers in the problems are turned into arrays, so that they may differ. **Raises:** `UndertowError` for an empty
    list or problems whose structure differs (other grids, orders, flags, shapes).
    """
    require(len(problems) > 0, "cannot stack an empty list of problems")
    arrays = [numbers_as_arrays(problem) for problem in problems]
    structures = {jax.tree.structure(p) for p in arrays}
    require(len(structures) == 1, "problems of one batch must share grid, order and flags; these differ")
    for first, *others in zip(*(jax.tree.leaves(eqx.filter(p, eqx.is_array)) for p in arrays), strict=True):
        for other in others:
            require(
                first.shape == other.shape,
                f"problems of one batch must hold arrays of the same shapes, got {first.shape} and {other.shape}",
            )
    return stack(arrays)
