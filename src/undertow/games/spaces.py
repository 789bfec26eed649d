"""Spaces of the games as Gymnasium's (the extras `gymnasium` and `pettingzoo` bring it)."""

from __future__ import annotations

from typing import Any

import numpy as np

from undertow._checks import UndertowError, unusable
from undertow.games.game import TOLERANCE, Space
from undertow.games.player import dtype_of

try:
    import gymnasium.spaces
    from gymnasium.vector.utils import batch_space
except Exception as error:
    raise unusable("these spaces need Gymnasium", "gymnasium", error) from error


class SimplexBox(gymnasium.spaces.Box):
    """A box of weights that are at least 0 and add up to 1 along the last axis. Samples are uniform on the simplex.

    **Arguments:** `shape`; `dtype`; `seed`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float64, seed: Any = None):
        super().__init__(0.0, 1.0, shape, dtype, seed)

    def sample(self, mask: None = None, probability: None = None) -> np.ndarray:
        """Uniform on the simplex. Masks are not for it, as they are not for a box."""
        if mask is not None or probability is not None:
            raise UndertowError("a simplex is sampled without mask and probability")
        raw = self.np_random.exponential(size=self.shape)
        return (raw / raw.sum(axis=-1, keepdims=True)).astype(self.dtype)

    def contains(self, x: Any) -> bool:
        """Whether `x` is on the simplex, to 1e-6."""
        x = np.asarray(x)
        if x.shape != self.shape or x.dtype.kind not in "iuf":
            return False
        return bool(np.all(x >= -TOLERANCE) and np.all(np.abs(x.sum(axis=-1) - 1) <= TOLERANCE))

    def __repr__(self) -> str:
        return f"SimplexBox({self.shape}, {self.dtype})"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, SimplexBox) and self.shape == other.shape and self.dtype == other.dtype


@batch_space.register(SimplexBox)
def _batched(space: SimplexBox, n: int = 1) -> SimplexBox:
    return SimplexBox((n, *space.shape), space.dtype)


def to_gymnasium(space: Space) -> gymnasium.spaces.Space:
    """Gymnasium's space for one of ours: a `Box`, a `MultiDiscrete` or a `SimplexBox`."""
    if space.categories is not None:
        return gymnasium.spaces.MultiDiscrete(np.full(space.shape, space.categories), dtype=np.int64)
    if space.simplex:
        return SimplexBox(space.shape, dtype_of(space))
    return gymnasium.spaces.Box(space.low, space.high, space.shape, dtype_of(space).type)
