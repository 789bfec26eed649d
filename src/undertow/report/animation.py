"""Moving pictures of solutions."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg

from undertow._checks import require
from undertow.evaluation.series import Series
from undertow.report import style
from undertow.training._files import atomic_write_bytes


def animate(
    series: Series, case: str | int, path: Path | str, *, baseline: str | None = "weno-js", fps: int = 12
) -> Path:
    """A GIF of one case: the truth and every policy in time.

    **Arguments:** `series`, with as many saved times as there shall be pictures; `case`, by name or place; `path`,
    ending in `.gif`; `fps`: pictures per second.
    """
    path = Path(path)
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
    low, high = series.truth[place].min(), series.truth[place].max()
    room = 0.12 * (high - low) + 1e-6
    axis.set(xlabel="x", ylabel="u", ylim=(low - room, high + room))
    style.legend(axis, loc="upper right")

    def draw(index: int):
        truth.set_ydata(series.truth[place, index, 0])
        for name, line in dots.items():
            line.set_ydata(series.values[name][place, index, 0])
        axis.set_title(f"{series.suite.cases[place]}, t = {series.times[index]:.3f}")
        return (truth, *dots.values())

    moving = FuncAnimation(fig, draw, frames=len(series.times), blit=False)
    return write_gif(moving, path, fps)


def write_gif(moving: FuncAnimation, path: Path, fps: int) -> Path:
    """Write a moving picture atomically; returns its path."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "animation.gif"
        moving.save(file, writer=PillowWriter(fps=fps), dpi=110)
        data = io.BytesIO(file.read_bytes())
    atomic_write_bytes(path, data.getvalue())
    return path
