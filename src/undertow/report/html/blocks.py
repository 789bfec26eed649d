"""What a page is made of: tables, charts, scatters and players, as plain dictionaries for the page's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from undertow._types import ArrayLike
from undertow.report.html.encode import limits_of, pack
from undertow.report.style import log_limits

Block = dict[str, Any]
Role = Literal["learned", "baseline", "exact", "other-0", "other-1", "other-2", "other-3", "guide"]
OTHERS: tuple[Role, ...] = ("other-0", "other-1", "other-2", "other-3")
"""Colours by meaning: the page's style sheet has a light and a dark one for each."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> Block:
    """A table; numbers are written with four digits."""
    return {"kind": "table", "columns": list(columns), "rows": [[_cell(x) for x in row] for row in rows], "note": note}


def facts(pairs: Mapping[str, Any], *, summary: str = "") -> Block:
    """Names and values, folded away under `summary` if one is given."""
    return {"kind": "facts", "pairs": [[name, _cell(value)] for name, value in pairs.items()], "summary": summary}


def line(
    label: str, x: ArrayLike, y: ArrayLike, role: Role = "learned", *, look: Literal["line", "dots", "dashed"] = "line"
) -> dict[str, Any]:
    """One line of a chart. `y` may have a leading axis of frames where the chart is part of a player."""
    return {"label": label, "x": pack(x), "y": pack(y), "role": role, "look": look}


def chart(
    title: str,
    lines: Sequence[dict[str, Any]],
    *,
    x: str = "",
    y: str = "",
    limits: Sequence[float] | None = None,
    log: bool = False,
    level: tuple[float, str] | None = None,
) -> Block:
    """Lines over one axis, with a read-out under the pointer.

    **Arguments:** `title`; `lines`; names of the axes `x` and `y`; `limits` of the vertical one, default those of the data;
    `log`: a logarithmic vertical axis; `level`: a horizontal guide and its label.
    """
    return {
        "kind": "chart",
        "title": title,
        "lines": list(lines),
        "x": x,
        "y": y,
        "limits": None if limits is None else [float(each) for each in limits],
        "log": bool(log),
        "level": None if level is None else [float(level[0]), level[1]],
    }


def scatter(
    title: str,
    x: ArrayLike,
    y: ArrayLike,
    labels: Sequence[str],
    *,
    names: tuple[str, str],
    groups: Sequence[str] = (),
    log: bool = True,
    diagonal: bool = False,
    level: tuple[float, str] | None = None,
) -> Block:
    """A dot per case, which the pointer names. `groups` colours them; `diagonal` draws where both are equal."""
    kinds = list(dict.fromkeys(groups))
    if len(kinds) > len(OTHERS):  # one group per case: colours would say nothing
        kinds, groups = [], ()
    return {
        "kind": "scatter",
        "title": title,
        "x": pack(x),
        "y": pack(y),
        "labels": list(labels),
        "names": list(names),
        "kinds": kinds,
        "groups": [kinds.index(group) for group in groups],
        "log": bool(log),
        "diagonal": bool(diagonal),
        "level": None if level is None else [float(level[0]), level[1]],
    }


def player(items: Sequence[Mapping[str, Any]], *, choose: str) -> Block:
    """Something in motion, to be scrubbed through.

    **Arguments:** `items`: each with `name`, `times` (a list), and `views`: charts whose lines have a leading axis of frames,
    maps or scenes; `choose`: what the items are ("case", "start").
    """
    return {"kind": "player", "items": [dict(item) for item in items], "choose": choose}


def moving_scene(
    title: str, shapes: Sequence[dict[str, Any]], *, bounds: Sequence[Sequence[float]], x: str = "", y: str = ""
) -> Block:
    """Things that move in a plane, drawn with equal axes.

    **Arguments:** `shapes`: `{"kind": "path" | "disc" | "mark", "role", "points": "frames points 2", "width" or "radius"}`;
    `bounds`: of both axes.
    """
    return {
        "kind": "scene",
        "title": title,
        "shapes": list(shapes),
        "bounds": np.asarray(bounds, float).tolist(),
        "x": x,
        "y": y,
    }


def shape(
    kind: Literal["path", "disc", "mark"], points: ArrayLike, role: Role, label: str = "", **size: float
) -> Block:
    """A shape of a scene: points by frame, `"frames points 2"`; `width` of a path in pixels, `radius` of discs in the units of
    the axes."""
    return {"kind": kind, "role": role, "label": label, "points": pack(points), **size}


def common_limits(*arrays: ArrayLike, positive: bool = False) -> list[float]:
    """Limits of an axis that stays the same in every frame."""
    if not positive:
        return limits_of(*arrays)
    return list(log_limits(np.concatenate([np.asarray(array, float).ravel() for array in arrays])))


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_) or value is None:
        return {True: "yes", False: "no", None: "-"}[value if value is None else bool(value)]
    if isinstance(value, int | np.integer):
        return f"{value:,}" if abs(int(value)) >= 10000 else str(value)
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each) for each in value) or "-"
    return str(value)
