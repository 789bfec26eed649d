"""Pytrees with a leading axis of members: batches of problems, policies of an ensemble, the states of an unroll."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import require
from undertow._types import Array

Tree = TypeVar("Tree")


def take(stacked: Tree, index: Any) -> Tree:
    """What stands at `index` (an integer, a slice or an array of integers) along the leading axis of every array."""
    return jax.tree.map(lambda x: x[index] if eqx.is_array(x) else x, stacked)


def stack(members: Sequence[Tree]) -> Tree:
    """One tree whose arrays have a leading axis of members; what is no array is the first one's.

    **Raises:** `UndertowError` if their structures differ.
    """
    require(
        len({jax.tree.structure(each) for each in members}) == 1,
        "members of one batch must have the same structure: layers, activations, flags",
    )
    return jax.tree.map(lambda *xs: jnp.stack(xs) if eqx.is_array(xs[0]) else xs[0], *members)


def concatenate(batches: Sequence[Tree]) -> Tree:
    """One batch out of several, along the leading axis of every array; what is no array is the first one's."""
    return jax.tree.map(lambda *xs: jnp.concatenate(xs) if eqx.is_array(xs[0]) else xs[0], *batches)


def where(condition: Array, one: Tree, other: Tree) -> Tree:
    """`one` where the condition holds, else `other`: two trees of one structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b) if eqx.is_array(a) else a, one, other)


def cast(tree: Tree, precision: str | None = None) -> Tree:
    """The same tree with every floating-point array in `precision` (default: JAX's default float)."""
    dtype = jnp.result_type(float) if precision is None else jnp.dtype(precision)
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, tree)


def numbers_as_arrays(tree: Tree, dtype: Any = None) -> Tree:
    """The same with plain numbers as arrays, so that they may be batched and differentiated."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype) if isinstance(x, (int, float)) else x, tree)


def as_pytree(function: Callable) -> Callable:
    """A plain function as a pytree without leaves, so that a condition holding it passes through `jax.jit`."""
    is_pytree = isinstance(function, (eqx.Module, jax.tree_util.Partial))
    return function if is_pytree or not callable(function) else jax.tree_util.Partial(function)
