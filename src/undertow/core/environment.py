"""The environment: known, differentiable physics that asks for actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, constant

Leaf = float | Float[Array, ""]
"""A physical constant: a number, or an array that may be differentiated and, with an axis, differ in a batch."""


def leaf(name: str, default: float, **within: float) -> Any:
    """The field of an environment's constant, checked where it is known; `within` as in `Within`."""
    return eqx.field(converter=partial(constant, name, within=Within(**within), batched=True), default=default)


State = TypeVar("State")
Obs = TypeVar("Obs")
Action = TypeVar("Action")


class AbstractEnvironment(eqx.Module, Generic[State, Obs, Action]):
    """Differentiable physics for one sample. Its array leaves (physical constants, boundaries, steps) may be batched.

    The state is a pytree of arrays. `step` receives a *feedback law* instead of an action and calls it whenever it needs
    one: a Runge-Kutta environment at every stage, a zero-order hold once per step.
    """

    def observe(self, state: State) -> Obs:
        """What the policy sees of a state."""
        raise _missing(self, "observe(self, state)")

    def step(self, state: State, feedback: Callable[[State], Action]) -> tuple[State, Action]:
        """One time step. Returns the next state and the action to record (with several stages: the last one's)."""
        raise _missing(self, "step(self, state, feedback)")


class AbstractControlled(AbstractEnvironment[State, Obs, Action]):
    r"""A controlled system under a zero-order hold: $x_{n+1} = S(x_n, c_n)$, with $c_n$ asked for once per step.

    A subclass gives `advance`, which is also the simulator by itself, and `observe`.
    """

    def advance(self, state: State, action: Action) -> State:
        """The state one time step later, with the action held."""
        raise _missing(self, "advance(self, state, action)")

    def step(self, state: State, feedback: Callable[[State], Action]) -> tuple[State, Action]:
        """Ask once, then advance."""
        action = feedback(state)
        return self.advance(state, action), action


def _missing(environment: AbstractEnvironment, method: str) -> UndertowError:
    return UndertowError(f"{type(environment).__name__} has to define {method}")
