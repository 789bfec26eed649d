"""Arrays as short text inside a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from undertow._types import ArrayLike

LEVELS = 65534
"""Steps between the least and the largest value of a quantised array; one more code stands for what is not finite."""

Packed = dict[str, Any]


def pack(values: ArrayLike) -> Packed:
    """An array in single precision, little-endian, in base64: `{"kind": "f4", "shape": ..., "data": ...}`."""
    with np.errstate(over="ignore"):  # what single precision cannot hold is infinite, and shown as not finite
        array = np.ascontiguousarray(values, "<f4")
    return {"kind": "f4", "shape": list(array.shape), "data": _text(array)}


def quantise(values: ArrayLike, limits: Sequence[float] | None = None) -> Packed:
    r"""An array in 16 bits: $v = v_\text{low} + k\,(v_\text{high} - v_\text{low}) / 65534$, half the size of `pack`.

    **Arguments:** `values`; `limits`: $v_\text{low}$ and $v_\text{high}$, default the least and the largest finite value. What
    lies outside is moved to them; what is not finite gets the code 65535.
    """
    array = np.asarray(values, float)
    finite = np.isfinite(array)
    if limits is None:
        limits = (float(array[finite].min()), float(array[finite].max())) if finite.any() else (0.0, 1.0)
    low, high = map(float, limits)
    span = high - low or 1.0
    codes = np.rint((np.clip(np.where(finite, array, low), low, max(high, low)) - low) / span * LEVELS)
    codes = np.where(finite, codes, LEVELS + 1)
    return {
        "kind": "u2",
        "shape": list(array.shape),
        "low": low,
        "high": low + span,
        "data": _text(codes.astype("<u2")),
    }


def unpack(packed: Packed) -> np.ndarray:
    """The array again, as the page's script reads it."""
    raw = base64.b64decode(packed["data"])
    if packed["kind"] == "f4":
        return np.frombuffer(raw, "<f4").reshape(packed["shape"])
    codes = np.frombuffer(raw, "<u2").astype(float).reshape(packed["shape"])
    values = packed["low"] + codes * (packed["high"] - packed["low"]) / LEVELS
    return np.where(codes > LEVELS, np.nan, values)


def limits_of(*arrays: ArrayLike, margin: float = 0.04) -> list[float]:
    """The least and the largest finite value of all arrays, with room around them."""
    values = [np.asarray(array, float).ravel() for array in arrays]
    flat = np.concatenate(values) if values else np.zeros(0)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return [0.0, 1.0]
    low, high = float(flat.min()), float(flat.max())
    room = margin * (high - low) or 0.05 * abs(high) or 1.0
    return [low - room, high + room]


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
