"""Pictures of one solver run, still and moving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from undertow.evaluation.comparison import Comparison
from undertow.evaluation.simulation import Simulation, quantities
from undertow.report import style
from undertow.report.animation import animate_comparison
from undertow.report.gas import fit
from undertow.report.maps import time_maps


def draw_simulation(simulation: Simulation, path: Path | str, *, title: str = "") -> Path:
    """Draw what a solver run found.

    In one dimension a panel per quantity (of a gas density, velocity, pressure, internal energy), with the saved states from
    light to dark and the exact solution behind the last one; in two dimensions maps of the saved states.

    **Arguments:** `simulation`; `path`, ending in `.png` (or `.pdf`, `.svg`), or in `.gif` for a moving picture, for which
    there should be as many saved states as it shall have pictures; `title`.

    **Returns:** `path`. **Raises:** `UndertowError` for another ending, or if it cannot be written.
    """
    comparison = Comparison(title or "simulation", {"values": simulation})
    if Path(path).suffix == ".gif":
        return animate_comparison(comparison, path)
    fig = time_maps(simulation, title=title) if simulation.grid.num_axes > 1 else _lines(comparison, title)
    return style.save(fig, path)


@style.drawn
def _lines(comparison: Comparison, title: str) -> Figure:
    simulation = comparison.first
    x, times = simulation.x, simulation.times
    states = [quantities(simulation.law, u) for u in simulation.values]
    label, line, truth = comparison.truth()
    names = list(states[0])
    columns = min(2, len(names))
    size = {"width": 7.0, "height": 4.2} if columns == 1 else {"width": 4.4, "height": 3.0}
    fig, axes = style.figure(-(-len(names) // columns), columns, **size)
    shades = np.linspace(0.8, 0.45, max(0, len(times) - 1))
    marked = {"marker": ".", "markersize": 3.5} if len(x) <= 200 else {}
    for axis, name in zip(axes.flat, names, strict=False):
        for time, state, shade in zip(times[:-1], states[:-1], shades, strict=True):
            axis.plot(x, state[name], color=str(shade), linewidth=1.0, label=f"t = {time:.3g}")
        if truth is not None:
            axis.plot(line, truth[name], color=style.EXACT, linewidth=1.1, label=f"{label}, t = {times[-1]:.3g}")
        axis.plot(x, states[-1][name], color=style.BASELINE, linewidth=0.8, label=f"t = {times[-1]:.3g}", **marked)
        fit(axis, [state[name] for state in states], None)
        axis.set(xlabel="x", ylabel=name)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    if len(labels) > 8:  # the first, the last and the truth say which is which
        kept = [0, len(times) - 2, *range(len(times) - 1, len(labels))]
        handles, labels = [handles[i] for i in kept], [labels[i] for i in kept]
    cells = f"{len(x)} cells"
    fig.suptitle(f"{title}, {cells}" if title else cells, fontsize=10)
    if columns == 1:
        style.legend(axes.flat[0], handles=handles, labels=labels)
    else:
        fig.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False, fontsize=8)
    return fig
