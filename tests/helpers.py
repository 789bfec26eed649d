"""What tests of several rooms share: orders of convergence, derivatives in random directions, counting of traces."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def observed_orders(sizes, errors) -> np.ndarray:
    """The slopes of log error over log cell size between neighbouring grids of `sizes` cells."""
    sizes, errors = np.asarray(sizes, float), np.asarray(errors, float)
    return np.log(errors[:-1] / errors[1:]) / np.log(sizes[1:] / sizes[:-1])


def burgers_before_breaking(initial, derivative, x, time: float) -> np.ndarray:
    """The solution of u = u0(x - u t) at the points x by Newton's method, for times before characteristics cross."""
    foot = x - initial(x) * time
    for _ in range(60):
        foot = foot - (foot + initial(foot) * time - x) / (1 + derivative(foot) * time)
    np.testing.assert_allclose(foot + initial(foot) * time, x, atol=1e-14)
    return initial(foot)


def random_like(tree: Any, key: jax.Array) -> Any:
    """Standard normal numbers in the shape of every floating-point leaf."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        structure, [jax.random.normal(k, jnp.shape(x), jnp.result_type(x)) for k, x in zip(keys, leaves, strict=True)]
    )


def inner(a: Any, b: Any) -> jax.Array:
    """The sum of the products of all entries."""
    return sum(jnp.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def derivative_mismatches(function: Callable[[Any], jax.Array], step: float = 2e-6) -> Callable[..., tuple]:
    r"""How far the derivatives of `function` at a point, in a random direction $v$, are from each other.

    The default `step` is small beside 1e-3, on which weights change at constant states, and far above round-off.

    Returns a jitted `(point, key) -> (adjoint, difference, size)`: the relative mismatch of $\langle w, Jv\rangle$ from
    forward mode and $\langle J^T w, v\rangle$ from reverse mode; the one of $Jv$ and the fourth-order central difference

    $$\frac{8\,(f(x+hv) - f(x-hv)) - (f(x+2hv) - f(x-2hv))}{12 h},$$

    in the maximum norm; and the maximum norm of $Jv$, which a test wants to be above 0.
    """

    def mismatches(point, key):
        key_v, key_w = jax.random.split(key)
        v = random_like(point, key_v)

        def along(h):
            return jax.jvp(function, (jax.tree.map(lambda x, d: x + h * d, point, v),), (v,))

        # One program for every point of the line; the first is `point`.
        at, slopes = jax.lax.map(along, step * jnp.asarray([0.0, 1.0, -1.0, 2.0, -2.0]))
        forward = slopes[0]
        w = jax.random.normal(key_w, forward.shape, forward.dtype)
        (backward,) = jax.vjp(function, point)[1](w)
        one, other = inner(w, forward), inner(backward, v)
        # Of the largest term of the sum, not of the sum, which may be small by accident.
        adjoint = jnp.abs(one - other) / jnp.max(jnp.abs(w * forward))
        numerical = (8 * (at[1] - at[2]) - (at[3] - at[4])) / (12 * step)
        size = jnp.max(jnp.abs(forward))
        return adjoint, jnp.max(jnp.abs(numerical - forward)) / size, size

    return quick_jit(mismatches)


def assert_derivatives_agree(
    mismatches: Callable[..., tuple], point: Any, *, directions: int = 2, label: str = ""
) -> None:
    """Reverse and forward mode to 1e-11, and both and finite differences to 1e-6, in a few random directions."""
    for seed in range(directions):
        adjoint, difference, size = (float(x) for x in mismatches(point, jax.random.key(seed)))
        assert size > 1e-3, (label, seed, size)
        assert adjoint < 1e-11, (label, seed, adjoint)
        assert difference < 1e-6, (label, seed, difference)


def quick_jit(function: Callable, **options) -> Callable:
    """`jax.jit` for programs that run a few times, so that what counts is that they compile fast, if anything does."""
    if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") is None:
        options["compiler_options"] = {"xla_backend_optimization_level": 0}
    return jax.jit(function, **options)


class Counted:
    """A function that counts how often Python runs it: under `jit`, how often it is traced."""

    def __init__(self, function: Callable):
        self.function = function
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.function(*args, **kwargs)
