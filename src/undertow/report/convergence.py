"""Figures of grid convergence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from undertow._checks import require
from undertow.evaluation.convergence import Convergence, Norm
from undertow.report import style


@style.drawn
def convergence_figure(
    studies: Sequence[Convergence] | Convergence,
    path: Path | str | None = None,
    *,
    norm: Norm = "l2",
    guides: Sequence[int] = (1, 3, 5),
    baseline: str | None = "weno-js",
) -> Figure:
    r"""Error against the number of cells on logarithmic axes, a panel per study, with slopes to compare with.

    **Arguments:** `studies`: one or several; `path`; `norm`; `guides`: orders $p$ whose slopes $N^{-p}$ are drawn where
    they fit into the panel; `baseline`: the policy that has the baseline's colour.
    """
    studies = [studies] if isinstance(studies, Convergence) else list(studies)
    require(len(studies) > 0, "a figure of convergence needs at least one study, got none")
    fig, axes = style.figure(1, len(studies), width=4.4, height=4.0)
    for axis, study in zip(axes[0], studies, strict=True):
        names = list(study.policies)
        colour = style.colours(names, style.lead(names, baseline), baseline)
        cells = np.asarray(study.cells, float)
        errors = {name: study.errors(name, norm) for name in names}
        low, high = style.log_limits(np.concatenate(list(errors.values())), margin=2.5)
        _draw_guides(axis, cells, guides, low, high)
        for name in reversed(names):
            axis.plot(cells, errors[name], "o-", color=colour[name], label=name, markersize=4, linewidth=1.5)
        for name in names:
            if not np.isfinite(errors[name]).all():
                axis.plot([], [], " ", label=f"{name} is not finite on {int((~np.isfinite(errors[name])).sum())} grids")
        axis.set(
            xscale="log", yscale="log", ylim=(low, high), xlabel="cells", title=f"{study.case}, t = {study.end_time:g}"
        )
        axis.set_xlim(cells[0] / 1.08, cells[-1] * (cells[-1] / cells[0]) ** 0.24)  # room for the names of the slopes
        spread = np.log(cells[-1] / cells[0]) / 8
        kept = [cells[0]]
        for count in cells[1:]:
            if np.log(count / kept[-1]) >= spread:
                kept.append(count)
        axis.set_xticks(kept, [f"{count:g}" for count in kept])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_minor_formatter(NullFormatter())
        style.legend(axis, loc="lower left")
    axes[0, 0].set_ylabel(f"{ {'l1': 'L1', 'l2': 'L2', 'linf': 'Linf'}[norm] } error")
    return style.finished(fig, path)


def _draw_guides(axis, cells: np.ndarray, guides: Sequence[int], low: float, high: float) -> None:
    """Slopes from the upper right corner of the data, each with its order at its lower end."""
    start = high / 1.6
    for order in guides:
        line = start * (cells / cells[0]) ** -float(order)
        inside = line > low * 1.15
        if inside.sum() < 2:
            continue
        axis.plot(cells[inside], line[inside], color=style.GUIDE, linewidth=0.9, linestyle="--")
        where = {"xytext": (4, -3), "textcoords": "offset points", "fontsize": 8, "color": "#777777"}
        end = np.flatnonzero(inside)[-1]
        axis.annotate(f"order {order}", (cells[end], line[end]), **where)
