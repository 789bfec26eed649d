"""Moving pictures of solutions."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from undertow._checks import at_home, lookup, require
from undertow._io import atomic_write_bytes
from undertow.evaluation.comparison import Comparison
from undertow.evaluation.series import Series
from undertow.evaluation.simulation import Simulation
from undertow.report import maps, style
from undertow.report.gas import fit, line_style
from undertow.report.solutions import component


@style.drawn
def animate(
    series: Series, case: str | int, path: Path | str, *, baseline: str | None = "weno-js", fps: int = 12
) -> Path:
    """A GIF of one case: the truth and every policy in time.

    **Arguments:** `series`, with as many saved times as there shall be pictures; `case`, by name or place; `path`,
    ending in `.gif`; `fps`: pictures per second.
    """
    path = at_home(path)
    require(path.suffix == ".gif", f"an animation ends in .gif, got {path.name!r}")
    place = series.suite.find([case])[0]
    names = list(series.values)
    colour = style.colours(names, style.lead(names, baseline), baseline)
    fig, axes = style.figure(width=5.2, height=3.6)
    FigureCanvasAgg(fig)
    axis, x = axes[0, 0], series.suite.x
    (truth,) = axis.plot(x, series.truth[place, 0, 0], color=style.EXACT, linewidth=1, label="exact")
    dots = {
        name: axis.plot(x, series.values[name][place, 0, 0], "o", markersize=3, color=colour[name], label=name)[0]
        for name in reversed(names)
    }
    shown = series.truth[place, :, 0]
    shown = shown[np.isfinite(shown)] if np.isfinite(shown).any() else np.zeros(1)
    low, high = float(shown.min()), float(shown.max())
    room = 0.12 * style.span(low, high, 1e-3)
    axis.set(xlabel="x", ylabel=component(series), ylim=(low - room, high + room))
    style.legend(axis, loc="upper right")

    def draw(index: int):
        truth.set_ydata(series.truth[place, index, 0])
        for name, line in dots.items():
            line.set_ydata(series.values[name][place, index, 0])
        axis.set_title(f"{series.suite.cases[place]}, t = {series.times[index]:.4g}")
        return (truth, *dots.values())

    moving = FuncAnimation(fig, draw, frames=len(series.times), blit=False)
    return write_gif(moving, path, fps)


@style.drawn
def animate_comparison(
    comparison: Comparison,
    path: Path | str,
    *,
    baseline: str | None = "weno-js",
    quantities: Sequence[str] | None = None,
    fps: int = 12,
) -> Path:
    """A GIF of solver runs, a picture per saved state.

    In one dimension a panel per quantity, with the truth as a line; in two dimensions a column per policy, its map above
    its schlieren picture, with one scale for all times.

    **Arguments:** `comparison`, with as many saved states as there shall be pictures; `path`, ending in `.gif`; `baseline`: who
    keeps its colour; `quantities` to show by name, default all in one dimension and the first in two; `fps`: pictures per second.

    **Raises:** `UndertowError` for another ending, or an unknown quantity.
    """
    path = at_home(path)
    require(path.suffix == ".gif", f"an animation ends in .gif, got {path.name!r}")
    known = comparison.first.quantities()
    for name in quantities or ():
        lookup("quantity", name, known)
    if comparison.grid.num_axes == 1:
        moving = _moving_lines(comparison, list(quantities or known), baseline)
    else:
        moving = _moving_maps(comparison, next(iter(quantities or known)))
    return write_gif(moving, path, fps)


@style.drawn
def _moving_lines(comparison: Comparison, names: Sequence[str], baseline: str | None) -> FuncAnimation:
    runs, saved = comparison.simulations, range(len(comparison.times))
    colour = style.colours(runs, style.lead(list(runs), baseline), baseline)
    columns = min(2, len(names))
    fig, axes = style.figure(-(-len(names) // columns), columns, width=3.9 if columns > 1 else 5.2, height=2.7)
    FigureCanvasAgg(fig)
    states = {name: [run.quantities(index) for index in saved] for name, run in runs.items()}
    truths = [comparison.truth(index) for index in saved]
    label, x, first = truths[0]
    lines: list[tuple[Line2D, list[np.ndarray]]] = []
    for axis, quantity in zip(axes.flat, names, strict=False):
        every = []
        if first is not None:
            every = [values[quantity] for *_, values in truths if values is not None]
            lines.append((axis.plot(x, every[0], color=style.EXACT, linewidth=1, label=label)[0], every))
        for name in reversed(list(runs)):
            own = [state[quantity] for state in states[name]]
            look = line_style(name == baseline, len(own[0]))
            lines.append((axis.plot(runs[name].x, own[0], color=colour[name], label=name, **look)[0], own))
        values = [state[quantity] for name in runs for state in states[name]]
        fit(axis, values, np.concatenate(every) if every else None)
        axis.set(xlabel="x", ylabel=quantity)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    if len(runs) > 1 or first is not None:
        handles, labels = axes.flat[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    title = fig.suptitle(comparison.describe(0), fontsize=10)

    def draw(index: int):
        for line, values in lines:
            line.set_ydata(values[index])
        title.set_text(comparison.describe(index))
        return [line for line, _ in lines]

    return FuncAnimation(fig, draw, frames=len(saved), blit=False)


@style.drawn
def _moving_maps(comparison: Comparison, quantity: str) -> FuncAnimation:
    runs, saved = comparison.simulations, range(len(comparison.times))
    fields = {name: [maps.pick(run, index, quantity) for index in saved] for name, run in runs.items()}
    # The last states say what is steep: at the start a jump is as steep as the grid lets it be. Those may be constant.
    steepest = next((top for own in (np.s_[-1:], np.s_[:]) if (top := _steepest(runs, fields, own)) > 0), 0.0)
    scale = maps.scale_of([field for own in fields.values() for field in own])
    fig, axes = maps.map_axes(len(runs), comparison.first, width=3.2)
    FigureCanvasAgg(fig)
    images: list[tuple[AxesImage, list[np.ndarray]]] = []
    for column, (name, run) in enumerate(runs.items()):
        greys = [maps.schlieren(field, run.grid.spacing, largest=steepest) for field in fields[name]]
        for row, (pictures, cmap, norm) in enumerate(
            [(fields[name], "viridis", scale), (greys, "gray", Normalize(0, 1))]
        ):
            images.append((maps.show_map(axes[row, column], run, pictures[0], cmap=cmap, norm=norm), pictures))
        if len(runs) > 1:
            axes[0, column].set_title(name)
    bar = fig.colorbar(images[0][0], ax=list(axes[0]), pad=0.01)
    bar.set_label(quantity, fontsize=9)
    title = fig.suptitle(comparison.describe(0), fontsize=10)

    def draw(index: int):
        for image, pictures in images:
            image.set_data(pictures[index].T)
        title.set_text(comparison.describe(index))
        return [image for image, _ in images]

    return FuncAnimation(fig, draw, frames=len(saved), blit=False)


def _steepest(runs: Mapping[str, Simulation], fields: Mapping[str, list[np.ndarray]], which: slice) -> float:
    slopes = [maps.gradient_size(each, runs[name].grid.spacing) for name, own in fields.items() for each in own[which]]
    return style.largest(*slopes)


def write_gif(moving: FuncAnimation, path: Path, fps: int) -> Path:
    """Write a moving picture atomically; returns its path."""
    writer = _InMemory(fps=fps)
    moving.save(path, writer=writer, dpi=110)
    atomic_write_bytes(path, writer.data.getvalue())
    return path


class _InMemory(PillowWriter):
    """Keeps the picture instead of writing it: there may be no folder for what is temporary, and a file is whole or absent."""

    def finish(self) -> None:
        self.data = io.BytesIO()
        frames: Any = self._frames  # type: ignore[attr-defined]
        first, *others = frames
        pause = int(1000 / self.fps)
        first.save(self.data, format="GIF", save_all=True, append_images=others, duration=pause, loop=0)
