"""The figure of a sweep: combinations beside each other, or a search's way to the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from undertow._checks import require
from undertow.report import style

MANY = 24
"""Combinations that a figure names one by one."""


def sweep_figure(found: Mapping[str, Any], path: Path | str, *, ranges: Mapping[str, bool] | None = None) -> Path:
    """A sweep's combinations: medians over the seeds, quartiles, and every seed.

    A grid over one field, or over more than two, is a row of points, the best first; over two fields a map of medians. A
    search is drawn trial by trial, and once more over each of its fields.

    **Arguments:** `found`: as in `summary.json`, and of every trial its values as `words`; `path`; `ranges`: fields that are
    numbers in a range, and whether their axis is logarithmic.

    **Raises:** `UndertowError` if no combination kept a seed.
    """
    kept = [row for row in found["trials"] if np.isfinite(row["median"])]
    require(len(kept) > 0, "no combination of this sweep has kept half of its seeds; there is nothing to draw")
    ranges = ranges or {}
    fields = list(found["over"])
    label = f"{found['metric']}, median of {found['seeds']} seeds" if found["seeds"] > 1 else found["metric"]
    if found["sampler"] != "grid":
        return _search(found, kept, path, ranges, label)
    words = {name: found["over"][name]["choices"] for name in fields}
    several = [name for name in fields if len(words[name]) > 1]
    if len(several) == 2:
        return _map(found["trials"], several, words, path, label)
    return _points(found["trials"], several or fields, path, label)


@style.drawn
def _points(rows: Sequence[Mapping[str, Any]], fields: Sequence[str], path: Path | str, label: str) -> Path:
    shown = rows[:MANY]
    fig, axes = style.figure(width=5.6, height=1.1 + 0.34 * len(shown))
    axis = axes[0, 0]
    for place, row in enumerate(shown):
        seeds = np.asarray(row["seeds"], float)
        seeds = seeds[np.isfinite(seeds)]
        colour = style.LEARNED if place == 0 else style.BASELINE
        axis.plot(seeds, np.full(len(seeds), place), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
        if np.isfinite(row["median"]):
            _interval(axis, row, place, colour, across=True)
    names = [", ".join(row["words"].get(name, "?") for name in fields) for row in shown]
    lost = [f" ({row['lost']} lost)" if row["lost"] else "" for row in shown]
    axis.set_yticks(range(len(shown)), [name + more for name, more in zip(names, lost, strict=True)])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    best = f"; the best {MANY} of {len(rows)}" if len(rows) > MANY else ""
    axis.set(xlabel=label + best, ylabel=", ".join(map(_last, fields)))
    if _wide(shown):
        axis.set_xscale("log")
    return style.save(fig, path)


@style.drawn
def _map(
    rows: Sequence[Mapping[str, Any]],
    fields: Sequence[str],
    words: Mapping[str, Sequence[str]],
    path: Path | str,
    label: str,
) -> Path:
    from matplotlib.colors import LogNorm

    up, along = fields
    values = np.full((len(words[up]), len(words[along])), np.nan)  # what is not there yet
    for row in rows:
        values[words[up].index(row["words"][up]), words[along].index(row["words"][along])] = row["median"]
    fig, axes = style.figure(width=1.9 + 0.85 * values.shape[1], height=1.3 + 0.5 * values.shape[0])
    axis = axes[0, 0]
    axis.grid(False)
    logarithmic = _wide(rows)
    shown = np.where(np.isfinite(values), values, np.nan)
    image = axis.imshow(shown, cmap="viridis_r", aspect="auto", norm=LogNorm() if logarithmic else None)
    for (i, j), value in np.ndenumerate(values):
        dark = np.isfinite(value) and image.norm(value) > 0.5
        text = f"{value:.3g}" if np.isfinite(value) else "" if np.isnan(value) else "lost"
        axis.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else style.EXACT)
    axis.set_xticks(range(len(words[along])), words[along])
    axis.set_yticks(range(len(words[up])), words[up])
    axis.set(xlabel=_last(along), ylabel=_last(up))
    bar = fig.colorbar(image, ax=axis)
    bar.set_label(label)
    bar.ax.tick_params(labelsize=8)
    return style.save(fig, path)


@style.drawn
def _search(
    found: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    path: Path | str,
    ranges: Mapping[str, bool],
    label: str,
) -> Path:
    fields = list(found["over"])
    fig, axes = style.figure(1, 1 + len(fields), width=3.3, height=3.0, sharey=True)
    first, others = axes[0, 0], axes[0, 1:]
    in_order = sorted(rows, key=lambda row: row["trial"])
    numbers = [row["trial"] for row in in_order]
    for row in in_order:
        _interval(first, row, row["trial"], style.BASELINE, across=False)
    lowest = np.minimum.accumulate([row["median"] for row in in_order])
    first.step(numbers, lowest, where="post", color=style.LEARNED, linewidth=1.4, label="best so far")
    first.set(xlabel="trial", ylabel=label)
    style.legend(first)
    for axis, name in zip(others, fields, strict=True):
        words = found["over"][name].get("choices")
        for place, row in enumerate(rows):
            at = row["values"][name] if words is None else words.index(row["words"][name])
            _interval(axis, row, at, style.LEARNED if place == 0 else style.BASELINE, across=False)
        if words is not None:
            axis.set_xticks(range(len(words)), words, rotation=0 if len(words) < 4 else 45)
            axis.set_xlim(-0.5, len(words) - 0.5)
        elif ranges.get(name):
            axis.set_xscale("log")
        axis.set_xlabel(_last(name))
    if _wide(rows):
        first.set_yscale("log")
    return style.save(fig, path)


def _interval(axis: Axes, row: Mapping[str, Any], at: float, colour: str, *, across: bool) -> None:
    """A median and its quartiles; where the upper one is lost, the line ends at the median."""
    middle, low = row["median"], row["low"]
    high = row["high"] if np.isfinite(row["high"]) else middle
    line = ([low, high], [at, at]) if across else ([at, at], [low, high])
    axis.plot(*line, color=colour, linewidth=1.6, alpha=0.8)
    axis.plot(*((middle, at) if across else (at, middle)), "o", color=colour, markersize=5)


def _wide(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether medians and quartiles ask for a logarithmic axis."""
    values = np.array([row[key] for row in rows for key in ("median", "low", "high")], float)
    values = values[np.isfinite(values)]
    return bool(values.min() > 0 and values.max() / values.min() > 8)


def _last(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ")
