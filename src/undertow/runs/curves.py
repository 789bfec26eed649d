"""Learning curves of several runs on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from undertow._checks import require

MOST_POINTS = 400
"""Of a bundle: more than a figure shows."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What one run measured, as a step function: a value holds until the next one.

    - `x`: updates or seconds, rising; `y`: the values. NaN before the first finite one: not measured yet; what is not finite
        after it was lost.
    - `ending`: `holds` (the training is over, and its last value stays), `open` (unknown from here on) or `lost` (what comes is
        worse than anything).
    """

    x: Float[np.ndarray, " measured"]
    y: Float[np.ndarray, " measured"]
    ending: Literal["holds", "open", "lost"] = "holds"

    def measured(self) -> Curve:
        """The same from the first value on."""
        there = np.flatnonzero(~np.isnan(self.y))
        first = there[0] if there.size else len(self.y)
        return Curve(self.x[first:], self.y[first:], self.ending)

    def at(self, points: Float[np.ndarray, " points"], worst: float) -> Float[np.ndarray, " points"]:
        """Its values at some points; `worst` wherever the run was lost."""
        if not len(self.x):
            return np.full(len(points), worst)
        place = np.searchsorted(self.x, points, side="right") - 1
        values = np.where(np.isfinite(self.y[place]), self.y[place], worst)
        return np.where(points > self.x[-1], worst, values) if self.ending == "lost" else values


@dataclass(frozen=True, eq=False)
class Bundle:
    """Curves on common points.

    - `x`: the points; `values`: `"runs points"`, infinite where a run was lost; those of a lost run end so in any case.
    - `interpolated`: whether the runs were measured at different points.
    - `ended`: the x at which the range ends before the last measurement of some run, because another run is not there yet; or
        None.
    """

    x: Float[np.ndarray, " points"]
    values: Float[np.ndarray, "runs points"]
    interpolated: bool
    ended: float | None

    @property
    def final(self) -> Float[np.ndarray, " runs"]:
        """The last values."""
        return self.values[:, -1]


def bundle(curves: Sequence[Curve], *, mode: Literal["min", "max"] = "min") -> Bundle:
    """Curves on the points at which any of them was measured, over the range in which all of them have a value.

    A training that is over keeps its last value, one that was lost is worst from there on, and one that is not over ends the
    range.

    **Arguments:** `curves`, one per run; `mode`: "min" if less is better, then the worst is infinity; "max": minus infinity.

    **Raises:** `UndertowError` if no curve has a value, or there is no common range.
    """
    worst = np.inf if mode == "min" else -np.inf
    curves = [curve.measured() for curve in curves]
    known = [curve for curve in curves if len(curve.x)]
    require(bool(known), "no run has measured anything yet")
    start = max(curve.x[0] for curve in known)
    last = max(curve.x[-1] for curve in known)
    end = min([last, *(curve.x[-1] for curve in known if curve.ending == "open")])
    require(start <= end, f"the runs have no range in common: one ends at {end:g}, another begins at {start:g}")
    points = np.unique(np.concatenate([curve.x for curve in known]))
    points = points[(points >= start) & (points <= end)]
    if len(points) > MOST_POINTS:
        points = points[np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))]
    values = np.stack([curve.at(points, worst) for curve in curves])
    values[[curve.ending == "lost" for curve in curves], -1] = worst
    inside = [curve.x[curve.x <= end] for curve in known if curve.ending != "lost"]
    same = all(np.array_equal(each, inside[0]) for each in inside)
    return Bundle(points, values, not same, float(end) if end < last else None)
