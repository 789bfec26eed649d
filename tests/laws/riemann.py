"""What tests of exact Riemann solutions share: points in every part of a solution, and integrals over all of it."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

COUNT = 12  # points in each part, everywhere: one shape, one compiled program
PARTS = 6  # left state, left wave, left of the contact, right of it, right wave, right state


def decimals(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers with two decimals: none so small that it gets lost beside others, and 0 not rare."""
    return st.integers(round(100 * low), round(100 * high)).map(lambda n: n / 100)


def points(speeds, count: int = COUNT, margin: float = 1e-6) -> np.ndarray:
    """`(PARTS * count)` points between and beyond five speeds in order, none of them on one of these."""
    edges = _edges(speeds)
    inner = margin + (1 - 2 * margin) * (np.arange(count) + 0.5) / count
    # Parts too narrow for points of their own have those of the first one.
    starts, widths = edges[:-1], np.diff(edges)
    wide = widths > 1e-7 * (edges[-1] - edges[0])
    starts, widths = np.where(wide, starts, starts[0]), np.where(wide, widths, widths[0])
    return (starts[:, None] + widths[:, None] * inner).reshape(-1)


def padded(solve, xi) -> np.ndarray:
    """`solve(xi)` with the shape that all tests share."""
    xi = np.asarray(xi, float)
    return np.asarray(solve(np.resize(xi, PARTS * COUNT)))[:, : len(xi)]


def quadrature(speeds, nodes: int = COUNT) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Gauss points and weights on every part, with the first and the last end of them."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = _edges(speeds)
    widths = np.diff(edges)
    at = edges[:-1, None] + widths[:, None] * (x + 1) / 2
    return at.reshape(-1), (widths[:, None] * w / 2).reshape(-1), edges[0], edges[-1]


def _edges(speeds) -> np.ndarray:
    speeds = np.asarray(speeds, float)
    assert np.all(np.diff(speeds) >= -1e-9 * np.ptp(speeds)), speeds
    reach = 0.3 * max(np.ptp(speeds), 1e-3)
    return np.concatenate([[speeds[0] - reach], np.maximum.accumulate(speeds), [speeds[-1] + reach]])
