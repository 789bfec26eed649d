"""Arrays as short text inside a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from undertow._types import ArrayLike

LEVELS = 65534
"""Steps between the least and the largest value of a quantised array; one more code stands for what is not finite."""

SHOWN = 1e-6
"""The least range of values, as a share of the largest, that a chart of single-precision numbers can show."""

_SINGLE = 240
"""Powers of two that single precision has for its normal numbers, but for a few at both ends."""
Packed = dict[str, Any]


def pack(values: ArrayLike) -> Packed:
    """An array in single precision, little-endian, in base64: `{"kind": "f4", "shape": ..., "unit": ..., "data": ...}`.

    The data are in a `unit`, a power of two in the middle of their sizes: single precision reaches from 1e-38 to 1e38 only. An
    array that spans more is in double precision, of kind `f8`.
    """
    array = np.ascontiguousarray(values, float)
    exponents = np.frexp(array[np.isfinite(array) & (array != 0)])[1] - 1
    low, high = (int(exponents.min()), int(exponents.max())) if exponents.size else (0, 0)
    kind, unit = "f8", 1.0
    if high - low < _SINGLE:
        middle = (low + high) // 2
        kind, unit, array = "f4", float(np.ldexp(1.0, middle)), np.ldexp(array, -middle)
    return {"kind": kind, "shape": list(array.shape), "unit": unit, "data": _text(array.astype(f"<{kind}"))}


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
    room = high - low or 1.0
    codes = np.rint((np.clip(np.where(finite, array, low), low, max(high, low)) - low) / room * LEVELS)
    codes = np.where(finite, codes, LEVELS + 1)
    return {
        "kind": "u2",
        "shape": list(array.shape),
        "low": low,
        "high": low + room,
        "data": _text(codes.astype("<u2")),
    }


def unpack(packed: Packed) -> np.ndarray:
    """The array again, as the page's script reads it."""
    raw = base64.b64decode(packed["data"])
    if packed["kind"] != "u2":
        return packed["unit"] * np.frombuffer(raw, f"<{packed['kind']}").reshape(packed["shape"]).astype(float)
    codes = np.frombuffer(raw, "<u2").astype(float).reshape(packed["shape"])
    values = packed["low"] + codes * (packed["high"] - packed["low"]) / LEVELS
    return np.where(codes > LEVELS, np.nan, values)


def limits_of(*arrays: ArrayLike, margin: float = 0.04) -> list[float]:
    """The least and the largest finite value of all arrays, with room around them.

    Values that differ by less than single precision tells apart are drawn as equal ones.
    """
    values = [np.asarray(array, float).ravel() for array in arrays]
    flat = np.concatenate(values) if values else np.zeros(0)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return [0.0, 1.0]
    low, high = float(flat.min()), float(flat.max())
    size = max(abs(low), abs(high))
    room = margin * (high - low) if high - low > SHOWN * size else 0.05 * size or 1.0
    return [low - room, high + room]


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
