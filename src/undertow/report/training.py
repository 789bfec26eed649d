"""Figures of a training: what was recorded while it ran, of one run or of several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from undertow._checks import require
from undertow.evaluation.statistics import Kind, band
from undertow.report import style

Metrics = Mapping[str, np.ndarray]


def training_figure(metrics: Metrics, path: Path | str | None = None, *, baseline: str = "weno-js") -> Figure:
    """The training's loss, the metrics of the evaluations, and the size of the gradient over the updates.

    **Arguments:** `metrics`: the columns of `metrics.csv`; those that are missing are left out; `path`; `baseline`:
    what `ratio` and `worst` are relative to.

    **Raises:** `UndertowError` without an `update` column or anything to draw.
    """
    require("update" in metrics, f"metrics need a column 'update', got {', '.join(metrics) or 'none'}")
    update = np.asarray(metrics["update"], float)
    panels = [
        ("loss in training", {"loss": "loss"}, None),
        (f"evaluation: L1 error / {baseline}", {"ratio": "geometric mean", "worst": "worst case"}, 1.0),
        ("evaluation: mean loss", {"test_loss": "test states", "train_loss": "training states"}, None),
        ("gradient norm", {"gradient_norm": "before clipping"}, None),
        ("two gradients", {"cosine": "cosine", "zeroed": "fraction zeroed"}, None),
    ]
    present = [(title, {c: n for c, n in columns.items() if _has(metrics, c)}, line) for title, columns, line in panels]
    present = [panel for panel in present if panel[1]]
    require(len(present) > 0, f"metrics hold nothing to draw: expected loss or ratio, got {', '.join(metrics)}")
    fig, axes = style.figure(1, len(present), width=4.0, height=3.1)
    for axis, (title, columns, line) in zip(axes[0], present, strict=True):
        for (column, label), colour in zip(columns.items(), (style.LEARNED, style.OTHERS[4]), strict=False):
            values = np.asarray(metrics[column], float)
            good = np.isfinite(values)
            few = "." if good.sum() < 30 else ""
            axis.plot(update[good], values[good], few + "-", color=colour, linewidth=1.4, label=label)
        if line is not None:
            axis.axhline(line, color=style.BASELINE, linewidth=1, label=baseline)
        positive = all(np.nanmin(np.asarray(metrics[column], float)) > 0 for column in columns)
        largest = max(np.nanmax(np.asarray(metrics[column], float)) for column in columns)
        smallest = min(np.nanmin(np.asarray(metrics[column], float)) for column in columns)
        if positive and largest / smallest > 8:
            axis.set_yscale("log")
        axis.set(title=title, xlabel="update")
        if len(columns) > 1 or line is not None:
            style.legend(axis)
    return style.finished(fig, path)


def _has(metrics: Metrics, column: str) -> bool:
    return column in metrics and bool(np.isfinite(np.asarray(metrics[column], float)).any())


def seeds_figure(
    runs: Mapping[str, Sequence[Metrics]],
    path: Path | str | None = None,
    *,
    columns: Sequence[str] = ("loss", "ratio"),
    kind: Kind = "range",
    amount: float | None = None,
    geometric: bool = True,
) -> Figure:
    """Metrics of several seeds: their mean as a line, and a band around it.

    **Arguments:** `runs`: by label, the metrics of its seeds, recorded at the same updates; `columns` to draw; `kind`,
    `amount` and `geometric` of the band, see [`band`][undertow.evaluation.statistics.band].

    **Raises:** `UndertowError` for seeds that were not recorded at the same updates.
    """
    require(len(runs) > 0, "a figure of seeds needs at least one run, got none")
    fig, axes = style.figure(1, len(columns), width=4.2, height=3.2)
    colours = (style.LEARNED, style.BASELINE, *style.OTHERS)
    for axis, column in zip(axes[0], columns, strict=True):
        for (label, seeds), colour in zip(runs.items(), colours, strict=False):
            first = np.asarray(seeds[0]["update"])
            same = all(np.array_equal(first, np.asarray(seed["update"])) for seed in seeds)
            require(same, f"the seeds of {label!r} were not recorded at the same updates")
            values = np.stack([np.asarray(seed[column], float) for seed in seeds])
            good = np.isfinite(values).all(axis=0)
            mean, low, high = band(values[:, good], kind, amount=amount, geometric=geometric)
            axis.fill_between(first[good], low, high, color=colour, alpha=0.22, linewidth=0)
            axis.plot(first[good], mean, color=colour, linewidth=1.5, label=f"{label}, {len(seeds)} seeds")
        axis.set(title=column, xlabel="update")
        if geometric:
            axis.set_yscale("log")
        style.legend(axis)
    return style.finished(fig, path)
