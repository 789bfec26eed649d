"""The cells around a face."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from undertow.numerics.stencil import face_slices


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
