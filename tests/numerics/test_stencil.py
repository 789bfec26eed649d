"""The cells around a face."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.numerics.stencil import face_slices, softmax_last, unstack


@pytest.mark.parametrize(("width", "ghost"), [(2, 1), (4, 3), (6, 4), (14, 8)])
def test_every_face_sees_the_cells_half_a_width_to_either_side(width, ghost):
    cells = 9
    # The value of a cell is its index, so that what is seen says where it was.
    padded = jnp.arange(-ghost, cells + ghost, dtype=float)[None]
    seen = np.stack(face_slices(padded, width, ghost, 0), axis=-1)[0]
    assert seen.shape == (cells + 1, width)
    faces = np.arange(cells + 1)[:, None]
    np.testing.assert_array_equal(seen, faces - width // 2 + np.arange(width))


def test_slices_along_one_axis_leave_the_others(rng):
    padded = jnp.asarray(rng.normal(size=(2, 5, 7 + 4)))
    along = face_slices(padded, 4, 2, 1)
    for m, each in enumerate(along):
        assert each.shape == (2, 5, 8)
        np.testing.assert_array_equal(each, padded[:, :, m : m + 8])


def test_unstacking_is_the_inverse_of_stacking(rng):
    x = jnp.asarray(rng.normal(size=(2, 3, 5)))
    parts = unstack(x)
    assert [part.shape for part in parts] == [(2, 3)] * 5
    np.testing.assert_array_equal(jnp.stack(parts, axis=-1), x)


def test_softmax_of_a_list(rng):
    """Against the library's, values and derivatives, and where exponentials overflow or are tied."""
    for logits in (rng.normal(size=(4, 3)), [[1000.0, 999.0, -1000.0]], [[2.0, 2.0, 2.0]], [[-1e4, -1e4, 0.0]]):
        x = jnp.asarray(logits)

        def ours(v):
            return jnp.stack(softmax_last(unstack(v)), axis=-1)

        np.testing.assert_allclose(ours(x), jax.nn.softmax(x), rtol=1e-14)
        np.testing.assert_allclose(jnp.sum(ours(x), axis=-1), 1, rtol=1e-15)
        tangent = jnp.asarray(rng.normal(size=x.shape))
        one, other = (jax.jvp(f, (x,), (tangent,))[1] for f in (ours, jax.nn.softmax))
        np.testing.assert_allclose(one, other, atol=1e-15)
