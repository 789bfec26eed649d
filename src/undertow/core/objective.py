r"""Objectives: one number from a whole trajectory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from undertow._checks import UndertowError, calling, require, shown
from undertow._tree import as_pytree
from undertow.core.unroll import Trajectory

Cost = Callable[[Any], Float[Array, ""]]


class Problem(eqx.Module):
    """One sample of a task: where it starts, in which physics, and what its result is compared with.

    `environment` may differ between the samples of a batch in its array leaves (boundaries, constants, steps); `reference` is
    any pytree the objective knows what to do with, or None.
    """

    # Objectives that need to know which environment it is say so in their own annotations.
    environment: Any
    state: Any
    reference: Any = None


def one_number(value: Any, giver: Any, of: str) -> Array:
    """`value` if it is one number, as costs and objectives have to give. Raises `UndertowError`."""
    shape = jnp.shape(value)
    name = getattr(giver, "__name__", type(giver).__name__)
    require(shape == (), f"{name} has to give one number per {of}, got an array of shape {shape}; take a sum or a mean")
    return value


def no_steps(objective: object) -> UndertowError:
    """The error for an objective that does not say what it pays for a step."""
    return UndertowError(
        f"{type(objective).__name__} is no sum over steps; take FinalCost, RunningCost, ActionCost or a sum of them"
    )


class AbstractObjective(eqx.Module):
    """A scalar to be made small, from the trajectory of one problem."""

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """The objective of one sample."""
        raise NotImplementedError

    def terms(self) -> tuple[tuple[float, AbstractObjective], ...]:
        """The objectives of a sum, and of sums in it, with their factors; of anything else itself, once."""
        return ((1.0, self),)

    def step_reward(
        self, state: Any, action: Any, last: Bool[Array, ""], horizon: Float[Array, ""]
    ) -> Float[Array, ""]:
        """What is paid for reaching `state` by `action`, so that the rewards of `horizon` steps add up to minus the objective;
        `last`: whether this is the last one.

        **Raises:** `UndertowError` for an objective that is no sum over steps.
        """
        raise no_steps(self)

    def __add__(self, other: AbstractObjective) -> SumObjective:
        return SumObjective((self, other), (1.0, 1.0))

    def __rmul__(self, factor: float) -> SumObjective:
        return SumObjective((self,), (factor,))


class SumObjective(AbstractObjective):
    r"""$\sum_i \lambda_i O_i$; also written `a + 0.1 * b`."""

    parts: tuple[AbstractObjective, ...]
    factors: tuple[float, ...]

    def terms(self):
        return tuple(
            (factor * inner, term)
            for factor, part in zip(self.factors, self.parts, strict=True)
            for inner, term in part.terms()
        )

    def step_reward(self, state, action, last, horizon):
        """The weighted sum."""
        return sum(
            factor * part.step_reward(state, action, last, horizon)
            for factor, part in zip(self.factors, self.parts, strict=True)
        )

    def __call__(self, trajectory, problem):
        """The weighted sum."""
        return sum(f * part(trajectory, problem) for f, part in zip(self.factors, self.parts, strict=True))


class FinalCost(AbstractObjective):
    r"""$c(x_T)$ for a cost of one state."""

    cost: Cost

    def __call__(self, trajectory, problem):
        """The cost of the last state."""
        return one_number(self.cost(trajectory.final), self.cost, "state")

    def step_reward(self, state, action, last, horizon):
        """Nothing but at the end."""
        return jnp.where(last, -self.cost(state), 0.0)


class RunningCost(AbstractObjective):
    r"""$\frac1T\sum_{t=1}^T c(x_t)$ (`mean`, default) or $\sum_{t=1}^T c(x_t)$ (`sum`)."""

    cost: Cost
    reduction: Literal["mean", "sum"] = eqx.field(static=True, default="mean")

    def __check_init__(self):
        require(self.reduction in ("mean", "sum"), f"reduction must be 'mean' or 'sum', got {self.reduction!r}")

    def __call__(self, trajectory, problem):
        """The accumulated cost of the states that were reached."""
        costs = jax.vmap(lambda state: one_number(self.cost(state), self.cost, "state"))(trajectory.after)
        return jnp.mean(costs) if self.reduction == "mean" else jnp.sum(costs)

    def step_reward(self, state, action, last, horizon):
        """The state's share."""
        reward = -self.cost(state)
        return reward / horizon if self.reduction == "mean" else reward


class ActionCost(AbstractObjective):
    r"""Mean of $c^2$ over time and all entries of the action."""

    def __call__(self, trajectory, problem):
        """The mean square of the actions."""
        leaves = jax.tree.leaves(trajectory.actions)
        return sum(jnp.sum(x**2) for x in leaves) / sum(x.size for x in leaves)

    def step_reward(self, state, action, last, horizon):
        """The action's share."""
        return -jnp.mean(action**2) / horizon


class ReferenceDistance(AbstractObjective):
    r"""$\frac{1}{n}\sum_i |y_i - r_i|^p$ between something selected from the trajectory and the problem's reference.

    **Arguments:** `select`: `trajectory -> array`; `target`: `reference -> array` of the same shape (default: the reference
    itself); `power` $p$ (1 or 2).
    """

    select: Callable[[Trajectory], Array]
    target: Callable[[Any], Array] = eqx.field(static=True, default=lambda reference: reference)
    power: int = eqx.field(static=True, default=1)

    def __call__(self, trajectory, problem):
        """The mean error."""
        error = self.select(trajectory) - self.target(problem.reference)
        return jnp.mean(jnp.abs(error) if self.power == 1 else error**self.power)


class CallableObjective(AbstractObjective):
    """A plain function `(trajectory, problem) -> number` as an objective."""

    function: Callable[[Trajectory, Problem], Array] = eqx.field(converter=as_pytree)

    def __call__(self, trajectory, problem):
        """What the function gives."""
        return self.function(trajectory, problem)


def as_objective(given: Any) -> AbstractObjective:
    """The objective that is meant: itself, what a class of objectives makes without arguments, or a plain function.

    **Raises:** `UndertowError` for anything else.
    """
    if isinstance(given, type):
        with calling(f"{given.__name__}() fails"):
            given = given()
    require(callable(given), f"an objective is a function (trajectory, problem) -> number, got {shown(given)}")
    return given if isinstance(given, AbstractObjective) else CallableObjective(given)
