"""What is one's own in a configuration, by an opened name: initial conditions and policies, checked once, here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import UndertowError, calling, require, shown
from undertow._own import target_of
from undertow._tree import numbers_as_arrays, take
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.laws.cases import Initial
from undertow.laws.conditions import AbstractCondition
from undertow.laws.fields import AbstractField
from undertow.schemes.coefficients import substencil_width


def draws(name: str) -> bool:
    """Whether an initial condition of one's own is a function of a key, another one for every problem."""
    return not isinstance(target_of(name, "the initial condition"), eqx.Module)


def own_condition(name: str, key: Key) -> Initial:
    """An initial condition of one's own: itself, or what its function makes of a key. Raises `UndertowError`."""
    made = target_of(name, "the initial condition")
    if draws(name):
        require(callable(made), f"{name} has to be a condition, a field or a function of a key, got {shown(made)}")
        with calling(f"{name}(key) fails"):
            made = made(key)
    if not isinstance(made, (AbstractCondition, AbstractField)):
        raise UndertowError(
            f"{name} has to give a condition or a field, such as Field(function, law, boundary), got {shown(made)}"
        )
    return made


def own_conditions(name: str, key: Key, count: int) -> list[Initial]:
    """So many draws of an initial condition of one's own, of one structure; a single one where it is no function of a key."""
    if not draws(name):
        return [numbers_as_arrays(own_condition(name, key))]
    drawn = jax.vmap(lambda each: numbers_as_arrays(own_condition(name, each)))(jax.random.split(key, count))
    return [take(drawn, place) for place in range(count)]


def own_scheme_policy(name: str, order: int, key: Key) -> AbstractPolicy:
    """A policy of one's own that chooses the weights of a scheme. Raises `UndertowError` for one that does not."""
    policy = _made(name, order=order, key=key)
    cells = jax.ShapeDtypeStruct((2, 1, 8, order), jnp.result_type(float))
    _require_action(name, policy, (cells,), ((2, 1, 8, substencil_width(order)),))
    return policy


def own_controller(name: str, observation: tuple[int, ...], action: tuple[int, ...], key: Key) -> AbstractPolicy:
    """A policy of one's own that controls a system. Raises `UndertowError` for one that does not."""
    policy = _made(name, observation=observation, action=action, key=key)
    _require_action(name, policy, jax.ShapeDtypeStruct(observation, jnp.result_type(float)), action)
    return policy


def _made(name: str, **given: Any) -> AbstractPolicy:
    made = target_of(name, "policy.name")
    if not isinstance(made, AbstractPolicy):
        make: Callable[..., Any] = made
        with calling(f"{name}({', '.join(given)}) fails"):
            made = make(**given)
    if not isinstance(made, AbstractPolicy):
        raise UndertowError(f"{name} has to make an AbstractPolicy, got {shown(made)}")
    return made


def _require_action(name: str, policy: AbstractPolicy, observation: Any, action: Any) -> None:
    with calling(f"{name} fails on an observation of shape {jax.tree.map(lambda x: x.shape, observation)}"):
        given = eqx.filter_eval_shape(policy, observation)
    got = jax.tree.map(lambda x: x.shape, given)
    require(got == action, f"{name} has to give an action of shape {action}, got {got}")
