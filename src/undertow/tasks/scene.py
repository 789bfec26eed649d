"""What there is to see of a trajectory, as data: figures, moving pictures, games and pages draw all of them from this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

Bounds = list[list[float]]
"""The ends of both axes of a plane."""
ROOM = 0.2
"""What is left free around all places of a plane, as a share of the longer side."""


@dataclass(frozen=True)
class Shape:
    """Something that moves in a plane.

    - `kind`: a `path` through its points, a `disc` at each of them, or a `mark`;
    - `points`: `"time points 2"`; `label`; `role`: the colour, which `own` leaves to whose trajectory it is;
    - `width` of lines in pixels; `radius` of discs in the unit of the axes, 0 for dots without a size.
    """

    kind: Literal["path", "disc", "mark"]
    points: np.ndarray
    label: str
    role: Literal["own", "learned", "baseline", "exact"] = "own"
    width: float = 2.0
    radius: float = 0.0


@dataclass(frozen=True)
class Profile:
    """A function of place that changes in time: `values`, `"time points"`, at places `x`, between two `ends`; its `label`."""

    label: str
    x: np.ndarray
    values: np.ndarray
    ends: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """A system in motion: shapes in a plane, or a profile.

    - `times`: `"time"`, and their `unit`; `captions`: what is said beside the time, one for each of them, or none at all;
    - `shapes`, with `bounds` of the plane and names of its axes, `x` and `y`; or a `profile`.
    """

    times: np.ndarray
    unit: str = ""
    captions: Sequence[str] = ()
    shapes: Sequence[Shape] = ()
    bounds: Bounds | None = None
    profile: Profile | None = None
    x: str = "x / m"
    y: str = ""


@dataclass(frozen=True)
class Trace:
    """A quantity over time: `title`; `values`, `"time curves"`, from the first time on; `levels` to be marked; whether the axis
    begins at 0."""

    title: str
    values: np.ndarray
    levels: tuple[float, ...] = ()
    from_zero: bool = False


@runtime_checkable
class Drawable(Protocol):
    """An environment of which there is something to see."""

    def scene(self, states: np.ndarray, actions: np.ndarray) -> Scene:
        """The scene of states, `"time ..."`, and the actions between them."""

    def traces(self, states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
        """What to draw over time beside it."""


def times_of(environment: Any, states: np.ndarray) -> np.ndarray:
    """The time of every state."""
    return float(environment.dt) * np.arange(len(states))


def captions(text: str, states: np.ndarray, values: np.ndarray) -> list[str]:
    """A caption for every state of the number that is held until the next; the last one keeps the last."""
    return [text.format(values[min(step, len(values) - 1)]) for step in range(len(states))]


def around(places: np.ndarray, room: float | None = None) -> Bounds:
    """The ends of both axes of a plane with `room` around `places`, `"... 2"` (default: a share of the longer side)."""
    flat = places.reshape(-1, 2)
    flat = flat[np.isfinite(flat).all(axis=1)] if np.isfinite(flat).all(axis=1).any() else np.zeros((1, 2))
    low, high = flat.min(axis=0), flat.max(axis=0)
    room = ROOM * (float((high - low).max()) or float(np.abs(flat).max()) or 1.0) if room is None else room
    return [[float(a - room), float(b + room)] for a, b in zip(low, high, strict=True)]


def together(scenes: Sequence[Scene]) -> Bounds:
    """Bounds that hold several scenes."""
    each = np.array([scene.bounds for scene in scenes])
    return np.stack([each[..., 0].min(axis=0), each[..., 1].max(axis=0)], axis=-1).tolist()
