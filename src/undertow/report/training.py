"""Figures of a training: what was recorded while it ran, of one run or of several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from undertow._checks import require
from undertow.evaluation.statistics import Kind, band
from undertow.report import style

Metrics = Mapping[str, np.ndarray]


@style.drawn
def training_figure(metrics: Metrics, path: Path | str | None = None, *, baseline: str = "weno-js") -> Figure:
    """The training's loss, the metrics of the evaluations, and the size of the gradient over the updates.

    **Arguments:** `metrics`: the columns of `metrics.csv`; those that are missing are left out; `path`; `baseline`:
    what `ratio` and `worst` are relative to.

    **Raises:** `UndertowError` without an `update` column or anything to draw.
    """
    present = training_panels(metrics, baseline=baseline)
    update = np.asarray(metrics["update"], float)
    fig, axes = style.figure(1, len(present), width=4.0, height=3.1)
    for axis, panel in zip(axes[0], present, strict=True):
        for (column, label), colour in zip(panel.columns.items(), (style.LEARNED, style.OTHERS[4]), strict=False):
            values = np.asarray(metrics[column], float)
            good = np.isfinite(values)
            few = "." if good.sum() < 30 else ""
            axis.plot(update[good], values[good], few + "-", color=colour, linewidth=1.4, label=label)
        if panel.level is not None:
            axis.axhline(panel.level, color=style.BASELINE, linewidth=1, label=baseline)
        if panel.log:
            axis.set_yscale("log")
        axis.set(title=panel.title, xlabel="update")
        if len(panel.columns) > 1 or panel.level is not None:
            style.legend(axis)
    return style.finished(fig, path)


class Panel(NamedTuple):
    """One picture of a training: its title, the label of every column of `metrics.csv` in it, a level to compare with, and
    whether its values span so much that their logarithm is to be shown."""

    title: str
    columns: dict[str, str]
    level: float | None
    log: bool


def training_panels(metrics: Metrics, *, baseline: str = "weno-js") -> list[Panel]:
    """What there is to draw of a training: its loss, the metrics of the evaluations, the size of the gradient and how two
    gradients lie to each other.

    **Arguments:** as of [`training_figure`][undertow.report.training.training_figure], with the same errors raised.
    """
    require("update" in metrics, f"metrics need a column 'update', got {', '.join(metrics) or 'none'}")
    known: list[tuple[str, dict[str, str], float | None]] = [
        ("loss in training", {"loss": "loss"}, None),
        (f"evaluation: L1 error / {baseline}", {"ratio": "geometric mean", "worst": "worst case"}, 1.0),
        ("evaluation: mean loss", {"test_loss": "test states", "train_loss": "training states"}, None),
        ("gradient norm", {"gradient_norm": "before clipping"}, None),
        ("two gradients", {"cosine": "cosine", "zeroed": "fraction zeroed"}, None),
    ]
    found = []
    for title, columns, level in known:
        present = {column: label for column, label in columns.items() if _has(metrics, column)}
        if present:
            values = np.concatenate([np.asarray(metrics[column], float) for column in present])
            smallest, largest = np.nanmin(values), np.nanmax(values)
            found.append(Panel(title, present, level, bool(smallest > 0 and largest / smallest > 8)))
    require(len(found) > 0, f"metrics hold nothing to draw: expected loss or ratio, got {', '.join(metrics)}")
    return found


def _has(metrics: Metrics, column: str) -> bool:
    return column in metrics and bool(np.isfinite(np.asarray(metrics[column], float)).any())


@style.drawn
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
