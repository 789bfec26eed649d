"""Initial data on which derivatives are tested: what is smooth, what has shocks, and what is constant in pieces."""

from __future__ import annotations

import numpy as np

CELLS = 24


def smooth(cells: int = CELLS) -> np.ndarray:
    x = (np.arange(cells) + 0.5) / cells
    return 0.4 + np.sin(2 * np.pi * x) + 0.2 * np.cos(6 * np.pi * x)


def shocked(cells: int = CELLS) -> np.ndarray:
    """Two jumps with smooth data between them."""
    x = (np.arange(cells) + 0.5) / cells
    return np.where(x < 0.3, 1.5, np.where(x < 0.7, -0.5 + np.sin(3 * x), 0.6 - x))


def pieces(cells: int = CELLS) -> np.ndarray:
    """Constants of either sign and 0; the largest speeds are tied, and most stencils constant."""
    return np.repeat([1.0, 0.0, -1.0], cells // 3)


STATES = {"smooth": smooth, "shocked": shocked, "pieces": pieces}
