"""The environment: known, differentiable physics that asks for actions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, constant, require

Leaf = float | Float[Array, ""]
"""A physical constant: a number, or an array that may be differentiated and, with an axis, differ in a batch."""


def leaf(name: str, default: float, *, above: float | None = None, at_least: float | None = None) -> Any:
    """The field of an environment's constant, checked where it is known."""
    within = Within(above=above, at_least=at_least)
    return eqx.field(converter=partial(constant, name, within=within, batched=True), default=default)


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


def check_kept(step: Callable, state: Any, given: Any, *, exact: bool = True) -> None:
    """Raise `UndertowError` if a step hands on a state of another structure, shape or (where it is to be `exact`) type than it
    was given."""
    new = jax.eval_shape(lambda s, x: step(s, x)[0], state, given)
    had = jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), state)
    forms: Any = jax.tree.structure(had), jax.tree.structure(new)
    require(forms[0] == forms[1], f"a step has to hand on a state of the form it was given, {forms[0]}, got {forms[1]}")
    for before, after in zip(jax.tree.leaves(had), jax.tree.leaves(new), strict=True):
        require(
            before.shape == after.shape and (before.dtype == after.dtype or not exact),
            f"a step has to hand on a state like the one it was given, {_form(before)}, got {_form(after)}"
            + ("; begin with floating-point numbers" if jnp.issubdtype(before.dtype, jnp.integer) else ""),
        )


def _form(leaf: Any) -> str:
    return f"{leaf.dtype} of shape {leaf.shape}"
