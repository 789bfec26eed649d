"""Figures of systems in one dimension: profiles of several policies beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undertow._checks import require
from undertow.evaluation.comparison import Comparison
from undertow.report import style

_TRUTH = {True: "-", False: (0, (1, 0.7))}  # exact, or on a finer grid
_MANY = 120  # cells beyond which markers hide each other
_DECADES = 500.0  # values that span more are shown on a logarithmic axis


@style.drawn
def gas_profiles(
    comparisons: Comparison | Sequence[Comparison],
    path: Path | str | None = None,
    *,
    saved: int = -1,
    baseline: str | None = "weno-js",
    shown: Sequence[str] | None = None,
    errors: bool | None = None,
) -> Figure:
    r"""Profiles along x of what there is to look at in a state: of a gas density, velocity, pressure and internal energy.

    One problem fills a square of panels, several fill a row each. The truth is a line: exact where the case has an exact
    solution, else the reference that the comparison holds. Where values span several decades the axis is logarithmic.

    **Arguments:** `comparisons`, in one dimension; `path`; `saved`: which state, default the last; `baseline`: drawn under the
    others in its own colour; `shown`: names of quantities, default all; `errors`: one more panel with the distance of the
    first of them to the truth, default where there are several problems.

    **Raises:** `UndertowError` without anything to show, or for two dimensions.
    """
    rows = [comparisons] if isinstance(comparisons, Comparison) else list(comparisons)
    require(len(rows) > 0, "a figure of profiles needs at least one comparison, got none")
    for row in rows:
        require(row.grid.num_axes == 1, f"profiles are of one dimension; for {row.title} draw maps")
    names = list(rows[0].quantities(saved)) if shown is None else list(shown)
    count = len(names) + (len(rows) > 1 if errors is None else errors)
    columns = count if len(rows) > 1 or count < 3 else 2 if count < 5 else 3
    height = 2.7 if len(rows) == 1 else 2.2
    fig, axes = style.figure(-(-len(rows) * count // columns), columns, width=3.7, height=height)
    handles: dict[str, Artist] = {}
    for place, row in enumerate(rows):
        own = axes.ravel()[place * count : (place + 1) * count]
        _draw_row(own, row, names, saved, baseline)
        for axis in own:
            drawn, labels = axis.get_legend_handles_labels()
            handles |= dict(zip(labels, drawn, strict=True))
        if len(rows) > 1:
            own[0].set_title(_title(row, names[0], saved), loc="left")
    for axis in axes.ravel()[len(rows) * count :]:
        axis.set_visible(False)
    handles = {name: handles[name] for name in sorted(handles, key=lambda name: name in rows[0].simulations)}
    title = _title(rows[0], names[0], saved) if len(rows) == 1 else None
    fig.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        title=title,
    )
    return style.finished(fig, path)


def _title(row: Comparison, quantity: str, saved: int) -> str:
    lost = [name for name, values in row.quantities(saved)[quantity].items() if not np.isfinite(values).all()]
    return row.describe(saved) + (f"; not finite: {', '.join(lost)}" if lost else "")


def _draw_row(axes: np.ndarray, row: Comparison, names: Sequence[str], saved: int, baseline: str | None) -> None:
    policies = list(row.simulations)
    colour = style.colours(policies, style.lead(policies, baseline), baseline)
    states = row.quantities(saved)
    label, x, truth = row.truth(saved)
    for axis, quantity in zip(axes, names, strict=False):
        if truth is not None:
            axis.plot(
                x, truth[quantity], color=style.EXACT, linewidth=1.0, linestyle=_TRUTH[label == "exact"], label=label
            )
        for name in reversed(policies):  # the learned one on top
            values = states[quantity][name]
            look = line_style(name == baseline, len(values))
            axis.plot(row.simulations[name].x, values, color=colour[name], label=name, **look)
        fit(axis, list(states[quantity].values()), None if truth is None else truth[quantity])
        axis.set(xlabel="x", ylabel=quantity)
    if len(axes) > len(names):
        _draw_errors(axes[-1], row, names[0], saved, colour)


def _draw_errors(axis: Axes, row: Comparison, quantity: str, saved: int, colour: Mapping[str, str]) -> None:
    found = {name: row.error(name, quantity, saved) for name in row.simulations}
    errors = {name: error for name, error in found.items() if error is not None}
    top = style.largest(*errors.values())
    for name in reversed(list(errors)):
        # A zero has no place on a logarithmic axis: it goes below the edge.
        axis.plot(row.simulations[name].x, np.maximum(errors[name], top * 1e-6), color=colour[name], linewidth=1.0)
    axis.set(xlabel="x", ylabel=f"|error| of {quantity}")
    if top > 0:
        axis.set(yscale="log", ylim=(top * 1e-5, top * 2))


def line_style(baseline: bool, cells: int) -> dict[str, object]:
    """How the values of a policy are drawn: as markers, on many cells as lines."""
    if cells > _MANY:
        return {"linewidth": 1.1, "linestyle": (0, (4, 1.5)) if baseline else "-"}
    marker = {"marker": "s", "markersize": 4.2, "fillstyle": "none"} if baseline else {"marker": "o", "markersize": 2.6}
    return {**marker, "markeredgewidth": 0.8, "linestyle": "none"}


def fit(axis: Axes, values: Sequence[np.ndarray], truth: np.ndarray | None) -> None:
    """Limits that show the truth and what is not too far from it; logarithmic where it spans several decades."""
    finite = [each[np.isfinite(each)] for each in values]
    known = np.concatenate(finite) if truth is None else truth[np.isfinite(truth)]
    if known.size == 0:
        return
    low, high = float(known.min()), float(known.max())
    if truth is not None and low > 0 and high > _DECADES * low:
        axis.set(yscale="log", ylim=(low / 3, high * 3))
        return
    seen = np.concatenate([known, *finite])
    room = style.span(low, high, 1e-3)
    # A scheme that is off by more than the truth's own range would make all else flat.
    bottom, top = max(float(seen.min()), low - 0.6 * room), min(float(seen.max()), high + 0.6 * room)
    axis.set_ylim(bottom - 0.06 * room, top + 0.06 * room)
