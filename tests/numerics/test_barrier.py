"""Walls for the compiler: the identity, whatever is done with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.numerics.barrier import gathered, materialised
from undertow.numerics.reciprocal import reciprocal
from undertow.numerics.stencil import both_directions, directions, unstack

VALUES = {
    "usual": [1.5, -2.0, 0.0, 3.0],
    "not finite": [np.nan, np.inf, -np.inf, 1.0],
    "one": [2.0],
    "none": [],
}


@pytest.mark.parametrize("x", VALUES.values(), ids=list(VALUES))
def test_values_pass_to_the_last_bit(x):
    x = jnp.asarray(x)
    for function in (materialised, lambda v: gathered([v])[0]):
        for form in (function, jax.jit(function), jax.vmap(function), jax.jit(jax.vmap(function))):
            np.testing.assert_array_equal(np.asarray(form(x)).view(np.uint8), np.asarray(x).view(np.uint8))


def test_scalars_pass():
    assert jax.jit(materialised)(jnp.asarray(3.0)) == 3.0


def squares(wall):
    """Neighbouring differences of cubes: every inner value is read twice."""

    def function(x):
        faces = wall(x**3)
        return jnp.sum((faces[1:] - faces[:-1]) ** 2)

    return function


@pytest.mark.parametrize("wall", [materialised, lambda x: gathered([x])[0]], ids=["materialised", "gathered"])
def test_derivatives_are_those_without_a_wall(wall, rng):
    x, v = jnp.asarray(rng.normal(size=(2, 7)))
    walled, plain = squares(wall), squares(lambda x: x)
    for transform in (jax.grad, jax.jacfwd, jax.hessian):
        np.testing.assert_allclose(jax.jit(transform(walled))(x), transform(plain)(x), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(
        jax.jvp(jax.grad(walled), (x,), (v,))[1], jax.jvp(jax.grad(plain), (x,), (v,))[1], rtol=1e-13, atol=1e-12
    )


def test_one_wall_serves_batched_and_unbatched_parts():
    def function(a, b):
        one, other = gathered([a * a, b * b])
        return one.sum() + 2 * other.sum()  # the cotangents come back together

    a, b = jnp.arange(6.0).reshape(3, 2), jnp.asarray([3.0, 4.0])
    found = jax.jit(jax.vmap(jax.grad(function, (0, 1)), (0, None)))(a, b)
    np.testing.assert_array_equal(found[0], 2 * a)
    np.testing.assert_array_equal(found[1], np.tile(4 * b, (3, 1)))


def test_parts_nobody_read_have_zero_cotangents():
    grads = jax.grad(lambda a, b: gathered([a, b])[0].sum(), (0, 1))(jnp.ones(2), jnp.ones(3))
    np.testing.assert_array_equal(grads[0], np.ones(2))
    np.testing.assert_array_equal(grads[1], np.zeros(3))


def test_a_wall_is_compiled_where_processors_need_it():
    """What it is for: without it the compiler works every face out twice."""
    text = jax.jit(squares(materialised)).lower(jnp.ones(8)).compile().as_text()
    assert ("conditional" in text) == (jax.default_backend() == "cpu")
    assert "conditional" not in jax.jit(squares(lambda x: x)).lower(jnp.ones(8)).compile().as_text()


def test_directions_are_taken_apart_and_put_together(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 4, 5)))
    plus, minus = directions(x)
    np.testing.assert_array_equal(plus, x[0])
    np.testing.assert_array_equal(minus, x[1])
    np.testing.assert_array_equal(both_directions(plus, minus), x)
    for axis in (0, 2, -1):
        np.testing.assert_array_equal(jnp.stack(unstack(x, axis), axis), x)


def test_reciprocal_and_its_derivatives(rng):
    x = jnp.asarray(rng.uniform(0.5, 4.0, 9) * rng.choice([-1, 1], 9))
    np.testing.assert_array_equal(reciprocal(x), 1 / x)
    first = jax.vmap(jax.grad(reciprocal))
    np.testing.assert_allclose(first(x), -1 / x**2, rtol=1e-15)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(reciprocal)))(x), 2 / x**3, rtol=1e-14)
