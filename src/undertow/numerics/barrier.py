"""Walls that the compiler does not fuse across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def materialised(x: Array) -> Array:
    """`x` itself, for whatever is done with it and its derivatives: but worked out once, into memory, before it is used.

    XLA fuses a value into everything that reads it. On CPUs a value that is read at two places (a face's flux by the cells on
    both sides) is then worked out twice, by a function call per number that no vector unit can take. With this wall between
    it is worked out once, and whole vectors at a time. `jax.lax.optimization_barrier` is no help: the compiler drops it before it
    fuses. On other devices nothing is done.
    """
    return _materialised.bind(x)[0]


def gathered(parts: Sequence[Array]) -> list[Array]:
    """Shifted slices of an array, as they are; their cotangents are worked out once, into memory, before they travel on.

    On the way back every cell adds up what came to its slices; without this it would work all of that out again, once per slice.
    """
    return _gathered.bind(*parts)


def _identity(name: str) -> Primitive:
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(lambda *parts: list(parts))
    primitive.def_abstract_eval(lambda *parts: list(parts))
    mlir.register_lowering(primitive, lambda context, *parts: parts)
    ad.deflinear2(primitive, _transpose)
    batching.primitive_batchers[primitive] = lambda parts, dims: (primitive.bind(*parts), dims)
    return primitive


def _transpose(cotangents: Sequence[Any], *parts: Any) -> list[Array]:
    return _materialised.bind(*map(ad.instantiate_zeros, cotangents))


def _walled(*parts: Array) -> list[Array]:
    # A conditional is compiled apart from what surrounds it, and its operands are whole arrays in memory. Both branches are
    # the identity, so it does not matter which one is taken, as long as the compiler cannot know.
    if parts[0].size == 0:
        return list(parts)
    return jax.lax.cond(parts[0].ravel()[0] <= jnp.inf, lambda *v: list(v), lambda *v: [x + 0 for x in v], *parts)


_materialised, _gathered = _identity("materialised"), _identity("gathered")
mlir.register_lowering(_materialised, mlir.lower_fun(_walled, multiple_results=True), platform="cpu")
