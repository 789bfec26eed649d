"""Figures of solutions: at the end, on the way there, and their errors in space and time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from undertow._checks import lookup, require
from undertow.evaluation.convergence import Convergence
from undertow.evaluation.series import Series
from undertow.laws.exact import has_exact_solution
from undertow.report import style

# Of the largest value of the truth: an error that is nothing but rounding; the least one that an axis reaches down to; and
# where an error of 0 is put on a logarithmic axis, out of sight.
_ROUNDING, _LEAST, _ZERO = 1e-12, 1e-14, 1e-17
_LABELS = {"l1": "L1 error", "l2": "L2 error", "linf": "Linf error", "total_variation": "total variation"}


@style.drawn
def solution_panels(
    series: Series,
    path: Path | str | None = None,
    *,
    policies: Sequence[str] | None = None,
    baseline: str | None = "weno-js",
    columns: int = 3,
) -> Figure:
    """The last state of every case, a panel each: the truth as a line, the policies at the cells. Of a system, the first
    component (the density of a gas, the depth of water).

    **Arguments:** `series` of a few cases; `path`; `policies` to show (default: all), of which one may be the
    `baseline`; panels in so many `columns`.
    """
    names = _chosen(series, policies)
    colour = style.colours(names, style.lead(names, baseline), baseline)
    cases = series.suite.cases
    columns = min(columns, len(cases))
    fig, axes = style.figure(-(-len(cases) // columns), columns, width=4.0, height=2.9)
    x = series.suite.x
    for place, case in enumerate(cases):
        axis = axes.flat[place]
        axis.plot(*_truth(series, place), color=style.EXACT, linewidth=1.0, label="exact")
        for name in reversed(names):  # the learned one on top
            first = name == style.lead(names, baseline)
            look = (
                {"marker": "o", "markersize": 2.8} if first else {"marker": "s", "markersize": 4.6, "fillstyle": "none"}
            )
            look |= {"markeredgewidth": 0.8, "linestyle": "none", "color": colour[name], "label": name}
            axis.plot(x, series.values[name][place, -1, 0], **look)
        axis.set_title(case)
        axis.set_xlabel("x")
        axis.set_ylabel(component(series))
    for axis in axes.flat[len(cases) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    title = f"t = {series.times[-1]:g}, {len(x)} cells"
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9, title=title)
    return style.finished(fig, path)


def component(series: Series) -> str:
    """The name of the component that figures of a series show."""
    return series.suite.problems.environment.scheme.law.component_names[0]


def _truth(series: Series, place: int) -> tuple[np.ndarray, np.ndarray]:
    """The line of a case's truth at the end: points and values, between the cells, too, if it is exact."""
    suite, x = series.suite, series.suite.x
    law, (initial,) = suite.discretised.law, [batch for batch, places in suite.members if place in places]
    if suite.discretised.truth == "fine" or not has_exact_solution(law, initial):
        return x, series.truth[place, -1, 0]
    grid = suite.problems.environment.scheme.grid
    fine = np.linspace(grid.lower[0], grid.upper[0], 1024)
    values = suite.subset([place]).exact(fine, float(series.times[-1]))[0]
    return fine, values if values.ndim == 1 else values[0]


def _chosen(series: Series, policies: Sequence[str] | None) -> list[str]:
    names = list(series.values) if policies is None else list(policies)
    for name in names:
        lookup("policy", name, series.values)
    return names


@style.drawn
def time_series(
    series: Series,
    path: Path | str | None = None,
    *,
    quantities: Sequence[str] = ("l2", "total_variation"),
    baseline: str | None = "weno-js",
) -> Figure:
    """Quantities over time, a row each, a column per case: every policy, and the truth's total variation."""
    names = list(series.values)
    colour = style.colours(names, style.lead(names, baseline), baseline)
    cases = series.suite.cases
    fig, axes = style.figure(len(quantities), len(cases), width=2.7, height=2.4, sharex=True)
    for row, quantity in enumerate(quantities):
        is_error = quantity in ("l1", "l2", "linf")
        start = 1 if is_error else 0  # the initial state has no error
        truth = series.quantity(quantity)
        for name in reversed(names):
            values = series.quantity(quantity, name)
            for column in range(len(cases)):
                shown = {"color": colour[name], "label": name, "linewidth": 1.4}
                axes[row, column].plot(series.times[start:], values[column, start:], **shown)
        for column, case in enumerate(cases):
            axis = axes[row, column]
            if is_error:
                style.log_scale(axis, np.stack([series.quantity(quantity, name)[column, start:] for name in names]))
            else:
                axis.plot(series.times, truth[column], color=style.EXACT, linewidth=1, linestyle="--", label="exact")
                _at_least(axis, 0.02)
            if row == 0:
                axis.set_title(case, fontsize=9)
            if row == len(quantities) - 1:
                axis.set_xlabel("t")
        axes[row, 0].set_ylabel(_LABELS.get(quantity, quantity.replace("_", " ")))
    handles, labels = axes[-1, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return style.finished(fig, path)


def _at_least(axis, share: float) -> None:
    """No less than this share of the values on the vertical axis: a change far below it is none to look at."""
    low, high = axis.get_ylim()
    middle, half = (low + high) / 2, style.span(low, high, share) / 2
    axis.set_ylim(middle - half, middle + half)
    axis.ticklabel_format(axis="y", useOffset=False)


@style.drawn
def mean_series(series: Series, path: Path | str | None = None, *, baseline: str | None = "weno-js") -> Figure:
    """L2 error and total variation over time, averaged over all cases of the series."""
    names = list(series.values)
    colour = style.colours(names, style.lead(names, baseline), baseline)
    fig, axes = style.figure(1, 2, width=4.2, height=3.2)
    left, right = axes[0]
    # A case without error, a constant say, would make every geometric mean 0.
    geometric = all((series.quantity("l2", name)[:, 1:] > 0).all() for name in names)
    for name in reversed(names):
        left.plot(series.times[1:], series.mean("l2", name, geometric=geometric)[1:], color=colour[name], label=name)
        right.plot(series.times, series.mean("total_variation", name), color=colour[name], label=name)
    right.plot(series.times, series.mean("total_variation"), "--", color=style.EXACT, linewidth=1, label="exact")
    style.log_scale(left, np.concatenate([series.quantity("l2", name)[:, 1:] for name in names]))
    left.set(xlabel="t", ylabel=f"L2 error, {'geometric' if geometric else 'arithmetic'} mean")
    right.set(xlabel="t", ylabel="total variation, mean")
    left.set_title(f"{len(series.suite)} cases of {series.suite.name}", fontsize=9)
    style.legend(left)
    style.legend(right)
    return style.finished(fig, path)


@style.drawn
def evolution(
    series: Series,
    case: str | int,
    path: Path | str | None = None,
    *,
    baseline: str | None = "weno-js",
    lines: int = 11,
) -> Figure:
    """One case in time: its states as lines from light to dark, and the error of every policy over space and time."""
    place = series.suite.find([case])[0]
    names = list(series.values)
    fig, axes = style.figure(2, max(1, len(names)), width=4.0, height=2.7, sharex=True)
    x, times = series.suite.x, series.times
    steps = np.unique(np.linspace(0, len(times) - 1, min(lines, len(times))).round().astype(int))
    shades = LinearSegmentedColormap.from_list("shades", ["#DDDDDD", style.EXACT])
    errors = {name: np.abs(series.values[name][place, :, 0] - series.truth[place, :, 0]) for name in names}
    top = max(style.largest(*errors.values()), _ROUNDING * style.largest(series.truth[place, :, 0])) or 1.0
    scale = LogNorm(top * 1e-4, top, clip=True)
    image = None
    for column, name in enumerate(names):
        for step in steps:
            shade = shades(step / max(1, len(times) - 1))
            axes[0, column].plot(x, series.values[name][place, step, 0], color=shade, linewidth=1.1)
        axes[0, column].set_title(name)
        shown = np.maximum(errors[name], scale.vmin or 0.0)
        image = axes[1, column].pcolormesh(
            x, times, shown, norm=scale, cmap="magma_r", shading="nearest", rasterized=True
        )
        axes[1, column].grid(False)
        axes[1, column].set_xlabel("x")
    axes[0, 0].set_ylabel(f"{component(series)}, t = 0 to {times[-1]:g}")
    axes[1, 0].set_ylabel("t")
    if image is not None:
        bar = fig.colorbar(image, ax=list(axes[1]), pad=0.01)
        bar.set_label("|error|", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    fig.suptitle(f"{series.suite.cases[place]}, {len(x)} cells", fontsize=10)
    return style.finished(fig, path)


@style.drawn
def error_over_x(study: Convergence, path: Path | str | None = None, *, baseline: str | None = "weno-js") -> Figure:
    """Where the error is, on every grid of a convergence study: a panel per policy, finer grids darker."""
    require(len(study.grids) > 0, "a convergence study without grids has no errors")
    fig, axes = style.figure(1, len(study.policies), width=4.4, height=3.2, sharey=True)
    shades = LinearSegmentedColormap.from_list("shades", ["#F2C14E", style.LEARNED, "#4A1942"])
    top, size = 0.0, style.largest(*(grid.exact for grid in study.grids)) or 1.0
    for column, policy in enumerate(study.policies):
        axis = axes[0, column]
        for index, (cells, grid) in enumerate(zip(study.cells, study.grids, strict=True)):
            error = np.abs(grid.values[policy] - grid.exact)
            top = max(top, style.largest(error))
            shade = shades(index / max(1, len(study.grids) - 1))
            axis.plot(grid.x, np.maximum(error, _ZERO * size), color=shade, linewidth=1, label=f"{cells}")
        axis.set(title=policy, xlabel="x", yscale="log")
    axes[0, 0].set_ylabel("|error|")
    finest = np.concatenate(
        [np.abs(study.grids[-1].values[policy] - study.grids[-1].exact) for policy in study.policies]
    )
    finest = finest[np.isfinite(finest)]
    low = float(np.percentile(finest, 3)) if finest.size else 0.0
    axes[0, 0].set_ylim(max(_LEAST * size, low / 3), top * 3 if top > 0 else size)
    axes[0, -1].legend(title="cells", fontsize=7, title_fontsize=8, frameon=False, ncols=2)
    fig.suptitle(f"{study.case}, t = {study.end_time:g}", fontsize=10)
    return style.finished(fig, path)
