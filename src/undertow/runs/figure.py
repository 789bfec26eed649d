"""The figure of a comparison of runs: curves with bands, and what was reached at their end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from undertow._checks import require
from undertow.report import style
from undertow.runs.curves import Bundle
from undertow.runs.groups import Statistic, spread

_COLOURS = (style.BASELINE, style.LEARNED, *style.OTHERS)
_DASHES = ("-", "--", ":", "-.")
_RANGE = 8  # largest over smallest value from which on an axis is logarithmic
_LETTERS = 36  # of labels side by side under the right panel
_LABELLED = 300  # and up to which 2 and 5 of every decade have labels


@style.drawn
def comparison_figure(
    curves: Mapping[str, Bundle | None],
    finals: Mapping[str, np.ndarray],
    path: Path | str,
    *,
    metric: str,
    axis: str = "updates",
    statistic: Statistic = "median",
) -> Path:
    """Left, a metric over updates or seconds: the statistic over the runs of every group as a line, their quartiles as a band.
    Right, what every run reached: a dot each, the statistic as a bar; lost runs are crosses at the bad end.

    **Arguments:** `curves` and `finals` by group, `finals` infinite for lost runs; a group without curves has dots only;
    `path`; what to call `metric`, `axis` and `statistic`.

    **Raises:** `UndertowError` without groups.
    """
    require(len(finals) > 0, "a comparison needs at least one group, got none")
    drawn = {label: each for label, each in curves.items() if each is not None}
    panels: dict[str, Any] = {"columns": 2, "width_ratios": (1.7, 1)} if drawn else {}
    fig, axes = style.figure(width=4.2, height=3.4, sharey=True, **panels)
    looks = {label: (_COLOURS[at % len(_COLOURS)], _DASHES[at // len(_COLOURS) % 4]) for at, label in enumerate(finals)}
    together = np.concatenate([*(each.values.ravel() for each in drawn.values()), *finals.values()])
    far = 1e6 * style.largest(together) or 1.0
    for label, each in drawn.items():
        colour, dashes = looks[label]
        line, low, high = (_shown(part, far) for part in spread(each.values, statistic))
        step = "post" if each.interpolated else None
        drawstyle = "steps-post" if each.interpolated else "default"
        if len(each.values) > 1:
            axes[0, 0].fill_between(each.x, low, high, color=colour, alpha=0.18, linewidth=0, step=step)
        lost = int(np.sum(~np.isfinite(each.final)))
        runs = f"{len(each.values)} run{'s' if len(each.values) > 1 else ''}{f', {lost} lost' if lost else ''}"
        axes[0, 0].plot(
            each.x, line, dashes, color=colour, drawstyle=drawstyle, linewidth=1.5, label=f"{label} ({runs})"
        )
    good = together[np.isfinite(together)]
    if good.size and (good > 0).all() and good.max() / good.min() > _RANGE:
        axes[0, 0].set_yscale("log")
        if good.max() / good.min() < _LABELLED:
            axes[0, 0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes[0, 0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _limit(axes[0, 0], good)
    _draw_finals(axes[0, -1], finals, looks, statistic)
    axes[0, 0].set_ylabel(metric.replace("_", " "))
    if drawn:
        axes[0, 0].set(title=f"{statistic} and middle half of the runs", xlabel=axis)
        style.legend(axes[0, 0])
    return style.save(fig, path)


def _draw_finals(
    axis: Axes, finals: Mapping[str, np.ndarray], looks: Mapping[str, tuple[str, str]], statistic: Statistic
) -> None:
    for place, (label, values) in enumerate(finals.items()):
        colour, _ = looks[label]
        lost = ~np.isfinite(values)
        # Side by side, so that equal ones are all seen.
        beside = place + (np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(1))
        axis.plot(
            beside[~lost], values[~lost], "o", color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.6
        )
        bad = 0.97 if (values[lost] > 0).all() else 0.03
        axis.plot(
            beside[lost],
            np.full(lost.sum(), bad),
            "x",
            color=colour,
            markersize=6,
            transform=axis.get_xaxis_transform(),
        )
        line, low, high = (float(part) for part in spread(values, statistic))
        if np.isfinite(line):
            axis.plot([place - 0.3, place + 0.3], [line, line], color=colour, linewidth=1.5)
        if np.isfinite(low) and np.isfinite(high) and len(values) > 1:
            axis.fill_between([place - 0.3, place + 0.3], low, high, color=colour, alpha=0.18, linewidth=0)
    labels = [label.replace(", ", "\n") for label in finals]
    fits = len(labels) * max(len(line) for label in labels for line in label.split("\n")) <= _LETTERS
    slanted: dict[str, Any] = {} if fits else {"rotation": 25, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(finals)), labels, fontsize=8, **slanted)
    axis.set_xlim(-0.6, len(finals) - 0.4)
    axis.set_title("at the end, every run")
    axis.grid(False, axis="x")


def _shown(values: np.ndarray, far: float) -> np.ndarray:
    """What is infinite goes `far` off the figure's edge in a band, and breaks a line."""
    return np.where(np.isfinite(values), values, np.sign(values) * far)


def _limit(axis: Axes, good: np.ndarray) -> None:
    if not good.size:
        return
    if axis.get_yscale() == "log":
        axis.set_ylim(*style.log_limits(good, 1.25))
    else:
        low, high = float(good.min()), float(good.max())
        margin = 0.06 * style.span(low, high, 1e-6)
        axis.set_ylim(low - margin, high + margin)
