"""Figures of how gradients travel through an unroll: their size by step, the steps' Jacobians, angles, and rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from undertow._checks import require
from undertow.evaluation.statistics import written
from undertow.instruments.health import PARTS, FlowCosines, StepGradients
from undertow.instruments.jacobians import JacobianNorms
from undertow.instruments.rotation import Rotation
from undertow.report import style

TITLES = {"actions": "what arrives at the action", "states": "what arrives at the state", "parameters": "contribution"}


@style.drawn
def step_gradients_figure(found: StepGradients, path: Path | str | None = None) -> Figure:
    r"""Norms of the gradient over the steps of the unroll, one line per flow, on a logarithmic axis.

    Read from right to left, as the gradient travels. Straight lines grow or shrink by the same factor every step, which
    the legend names ($\times$ growth per step back). Steps at which nothing arrives have no point.
    """
    parts = [part for part in PARTS if getattr(found, part) is not None]
    fig, axes = style.figure(1, len(parts), width=4.2, height=3.2)
    colours = flow_colours(found.flows)
    for axis, part in zip(axes[0], parts, strict=True):
        norms, balance = found.part(part), found.balance(part)
        for name, values in zip(found.flows, norms, strict=True):
            growth = balance[name].growth
            label = f"{name}, ×{growth:.4g} per step" if np.isfinite(growth) else name
            _line(axis, np.arange(len(values)), _log10(values), colours[name], label)
        _decades(axis, _log10(norms))
        axis.set(title=TITLES[part], xlabel="step")
        style.legend(axis)
    axes[0, 0].set_ylabel("norm")
    return style.finished(fig, path)


@style.drawn
def jacobians_figure(found: JacobianNorms, path: Path | str | None = None) -> Figure:
    """Spectral norms of the steps' Jacobians, and of their products from each step to the end: lines are medians over the
    batch, bands reach from the smallest to the largest."""
    fig, axes = style.figure(1, 2, width=4.4, height=3.3)
    colours, growth = flow_colours(found.flows), found.growth()
    for name, steps, products in zip(found.flows, found.steps, found.products, strict=True):
        time = np.arange(steps.shape[1])
        _line(axes[0, 0], time, _log10(np.median(steps, axis=0)), colours[name], name)
        with np.errstate(invalid="ignore"):
            middle = np.median(products, axis=0)
        _line(axes[0, 1], time, middle, colours[name], f"{name}, ×{growth[name]:.4g} per step")
        for axis, values in ((axes[0, 0], _log10(steps)), (axes[0, 1], products)):
            low, high = (np.where(np.isfinite(v), v, np.nan) for v in (values.min(axis=0), values.max(axis=0)))
            axis.fill_between(time, low, high, color=colours[name], alpha=0.15, linewidth=0)
    axes[0, 0].set(title="norm of one step's Jacobian", xlabel="step")
    _decades(axes[0, 0], _log10(found.steps).reshape(len(found.flows), -1))
    _decades(axes[0, 1], found.products.reshape(len(found.flows), -1))
    axes[0, 1].axhline(0, color=style.GUIDE, linewidth=0.9, zorder=1)
    axes[0, 1].set(title="norm of the product to the end", xlabel="from step")
    for axis in axes[0]:
        style.legend(axis)
    return style.finished(fig, path)


@style.drawn
def cosines_figure(found: FlowCosines, path: Path | str | None = None) -> Figure:
    """Cosines between the gradients of all flows, and the shares of parameters whose signs agree, as heat maps."""
    fig, axes = style.figure(1, 2, width=3.6, height=3.4)
    panels = ((found.cosine, "cosine", "RdBu_r", -1.0), (found.agreement, "share of equal signs", "viridis", 0.0))
    for axis, (values, title, colours, low) in zip(axes[0], panels, strict=True):
        axis.grid(False)
        axis.imshow(values, cmap=colours, norm=Normalize(low, 1.0))
        for (row, column), value in np.ndenumerate(values):
            dark = abs(value) > 0.6 if low < 0 else value < 0.6
            text = f"{value:.2f}".replace("-0.00", "0.00")
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        axis.set_xticks(range(len(found.flows)), found.flows)
        axis.set_yticks(range(len(found.flows)), found.flows)
        axis.set_title(title)
    return style.finished(fig, path)


@style.drawn
def agreement_figure(runs: Mapping[str, Mapping[str, np.ndarray]], path: Path | str | None = None) -> Figure:
    """How two flows agreed during training: the cosine of their gradients, and the share of parameters that was zeroed.

    **Arguments:** `runs`: by label, the columns of `metrics.csv` of a training with
    [`SignAgreement`][undertow.core.gradient.SignAgreement], which records `cosine` and `zeroed`; `path`.

    **Raises:** `UndertowError` for a run without the columns.
    """
    require(len(runs) > 0, "a figure of agreement needs at least one run, got none")
    fig, axes = style.figure(1, 2, width=4.2, height=3.1)
    colours = (style.LEARNED, style.BASELINE, *style.OTHERS)
    for (label, metrics), colour in zip(runs.items(), colours * len(runs), strict=False):
        for name in ("update", "cosine", "zeroed"):
            require(
                name in metrics, f"the metrics of {label!r} need a column {name!r}, got {', '.join(metrics) or 'none'}"
            )
        update = np.asarray(metrics["update"], float)
        for axis, name in zip(axes[0], ("cosine", "zeroed"), strict=True):
            values = np.asarray(metrics[name], float)
            good = np.isfinite(values)
            axis.plot(update[good], values[good], color=colour, linewidth=1.2, label=label)
    axes[0, 0].axhline(0, color=style.GUIDE, linewidth=0.9, zorder=1)
    axes[0, 0].set(title="cosine between the flows", xlabel="update", ylim=(-1.05, 1.05))
    axes[0, 1].set(title="share of parameters zeroed", xlabel="update", ylim=(-0.03, 1.03))
    style.legend(axes[0, 0])
    return style.finished(fig, path)


@style.drawn
def rotation_figure(found: Mapping[str, Rotation], path: Path | str | None = None) -> Figure:
    """The antisymmetric share of fields' Jacobians as bars: 0 for a gradient, 1 for a pure rotation."""
    require(len(found) > 0, "a figure of rotation needs at least one field, got none")
    fig, axes = style.figure(1, 1, width=4.2, height=0.9 + 0.38 * len(found))
    axis, places = axes[0, 0], np.arange(len(found))
    values = np.array([one.fraction for one in found.values()])
    axis.barh(places, np.nan_to_num(values), color=style.LEARNED, height=0.6)
    for place, value in zip(places, values, strict=True):
        text = written(value) if np.isfinite(value) else "no derivative"
        axis.annotate(text, (np.nan_to_num(value), place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(places, list(found))
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.12), xlabel="antisymmetric share (0: gradient, 1: rotation)")
    return style.finished(fig, path)


def draw_field(
    axis: Axes,
    x: np.ndarray,
    y: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    *,
    limits: tuple[float, float] | None = None,
    arrows: int = 21,
):
    r"""A field over a plane on an axis: $\log_{10}$ of its length as colour, its direction as arrows of one length.

    **Arguments:** `x`, `y`: coordinates of the columns and rows; `u`, `v`: components, `"rows columns"`; `limits` of the
    colour (default: the longest one's, and six decades below it); `arrows`: about how many along a side.

    **Returns:** the coloured image, for a colour bar. No arrow stands where the field is 0 or not finite.
    """
    length = np.hypot(u, v)
    with np.errstate(divide="ignore", invalid="ignore"):
        colour, eastward, northward = np.log10(length), u / length, v / length
    if limits is None:
        top = float(np.max(colour, initial=-np.inf, where=np.isfinite(colour)))
        limits = (top - 6.0, top) if np.isfinite(top) else (-6.0, 0.0)
    axis.grid(False)
    spacing = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    extent = (x[0] - spacing[0], x[-1] + spacing[0], y[0] - spacing[1], y[-1] + spacing[1])
    image = axis.imshow(
        np.clip(colour, *limits), origin="lower", extent=extent, aspect="auto", cmap="viridis", norm=Normalize(*limits)
    )
    thin = max(1, len(x) // arrows)
    rows, columns = (slice(thin // 2, None, thin) for _ in range(2))
    good = np.isfinite(eastward) & np.isfinite(northward)
    eastward, northward = np.where(good, eastward, 0), np.where(good, northward, 0)
    some = np.s_[rows, columns]
    shown = good[some]
    across, up = (grid[some][shown] for grid in np.meshgrid(x, y))
    axis.quiver(
        across, up, eastward[some][shown], northward[some][shown], color="white", pivot="mid", scale=32, width=0.0035
    )
    return image


def flow_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for every flow: the named ones keep theirs in every figure."""
    own = {"full": style.BASELINE, "physics": style.LEARNED, "policy": style.OTHERS[0], "stop": style.OTHERS[4]}
    others = iter((style.OTHERS[1], style.OTHERS[2], style.OTHERS[3], style.EXACT) * (len(names) + 1))
    return {name: own[name] if name in own else next(others) for name in names}


def _line(axis: Axes, x: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    shown = np.where(np.isfinite(values), values, np.nan)
    lonely = "." if np.isfinite(shown).sum() < 3 else "-"
    axis.plot(x, shown, lonely, color=colour, linewidth=1.5, label=label)


def _log10(values: np.ndarray) -> np.ndarray:
    """Logarithms of what is above 0 and finite; the rest is NaN."""
    return np.log10(np.where((values > 0) & np.isfinite(values), values, np.nan))


def _decades(axis: Axes, logs: np.ndarray) -> None:
    """Label an axis of logarithms, one row per flow, as a logarithmic one: matplotlib's own overflows beyond 1e308.

    Each flow keeps its ten highest decades; the tail of a vanishing one is cut.
    """
    axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], min_n_ticks=3))
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"$10^{{{x:.0f}}}$" if float(x).is_integer() else f"{10.0**x:.3g}")
    )
    tops = [row[np.isfinite(row)].max() for row in logs if np.isfinite(row).any()]
    if tops:
        lowest = float(logs[np.isfinite(logs)].min())
        margin = 0.05 * (max(tops) - lowest) + 0.01
        axis.set_ylim(bottom=max(min(tops) - 10, lowest - margin))
