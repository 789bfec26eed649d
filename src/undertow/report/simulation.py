"""A picture of one solver run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from undertow.training._files import atomic_write_bytes


def draw_simulation(
    x: np.ndarray, times: np.ndarray, values: np.ndarray, exact: np.ndarray | None, path: Path | str, *, title: str = ""
) -> Path:
    """Draw saved states over x, the exact solution as a line behind the last one, into a PNG file.

    **Arguments:** `x`: `"cells"`; `times`: `"saved"`; `values`, `exact`: `"saved cells"`; `path`; `title`.

    **Returns:** `path`. **Raises:** `UndertowError` if it cannot be written.
    """
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    shades = np.linspace(0.75, 0.35, max(0, len(times) - 1))
    for time, u, shade in zip(times[:-1], values[:-1], shades, strict=True):
        axes.plot(x, u, color=str(shade), linewidth=1.0, label=f"t = {time:.3g}")
    if exact is not None:
        axes.plot(x, exact[-1], color="black", linewidth=1.2, label=f"exact, t = {times[-1]:.3g}")
    axes.plot(x, values[-1], ".-", color="tab:blue", linewidth=0.8, markersize=4.0, label=f"t = {times[-1]:.3g}")
    axes.set(xlabel="x", ylabel="u", title=title)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize="small")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    path = Path(path)
    atomic_write_bytes(path, data.getvalue())
    return path
