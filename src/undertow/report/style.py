"""How figures look: one place for colours, sizes and saving. Nothing here touches matplotlib's global state."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatter

from undertow._checks import UndertowError, at_home, printable, require
from undertow._io import atomic_write_bytes
from undertow.report._matplotlib import drawn as drawn  # for those who draw
from undertow.report._matplotlib import own_look

# Okabe and Ito (2008): told apart by everyone, also in the order they come in here.
EXACT = "#222222"
LEARNED = "#D55E00"
BASELINE = "#0072B2"
OTHERS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
GUIDE = "#9A9A9A"
FORMATS = (".png", ".pdf", ".svg")


class OwnFigure(Figure):
    """A figure that looks the same under everybody's settings, and whose texts are what they say: the names of runs and cases in
    it may hold what elsewhere begins a formula."""

    def draw(self, renderer: Any) -> None:
        """Draw it, as matplotlib asks for it."""
        with own_look():
            _plain(self)
            super().draw(renderer)

    def savefig(self, *arguments: Any, **keywords: Any) -> None:
        """Write it, as of matplotlib's own figures."""
        with own_look():
            super().savefig(*arguments, **keywords)


def _plain(fig: Figure) -> None:
    """Take all texts as they are. Only numbers at an axis may be formulas: powers of ten."""
    for text in fig.findobj(Text):
        assert isinstance(text, Text)
        text.set_usetex(False)
        text.set_parse_math(False)
        if (shown := printable(text.get_text())) != text.get_text():
            text.set_text(shown)
    for axes in fig.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _plain_ticks(axis)


def _plain_ticks(axis: Axis) -> None:
    made = axis.get_major_formatter()
    # Names given to `set_ticks` are a function of matplotlib's own, a partial one.
    formulas = isinstance(made, LogFormatter) or (
        isinstance(made, FuncFormatter) and not isinstance(made.func, partial)
    )
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        for label in (tick.label1, tick.label2):
            label.set_usetex(False)
            label.set_parse_math(formulas)


def pixels(fig: Figure, dpi: float) -> np.ndarray:
    """A figure as `(height, width, 3)` bytes."""
    fig.set_dpi(dpi)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


class Figures(dict[str, Figure]):
    """Figures by name, which a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        pictures = {name: base64.b64encode(to_bytes(fig, dpi=100)).decode() for name, fig in self.items()}
        return "".join(f'<img src="data:image/png;base64,{data}" alt="{name}">' for name, data in pictures.items())


@drawn
def figure(
    rows: int = 1, columns: int = 1, *, width: float = 4.2, height: float = 3.2, **keywords: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes, always a 2D array. `width` and `height` are those of one panel, in inches."""
    fig = OwnFigure(figsize=(width * columns, height * rows), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False, **keywords)
    for axis in axes.flat:
        tidy(axis)
    return fig, axes


def tidy(axis: Axes) -> None:
    """Light grid, no box."""
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color("#555555")
    axis.grid(True, which="major", color="#E4E4E4", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", labelsize=8, color="#555555")


def legend(axis: Axes, **keywords: Any) -> None:
    """A small legend without a frame, if there is anything to list."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(**{"fontsize": 8, "frameon": False, **keywords})


def colours(names: Iterable[str], learned: str | None, baseline: str | None) -> dict[str, str]:
    """A colour for every policy: the learned one and the baseline keep theirs in every figure."""
    own = {learned: LEARNED, baseline: BASELINE}
    others = iter(OTHERS * 20)
    return {name: own[name] if name in own else next(others) for name in names}


def lead(names: Sequence[str], baseline: str | None, policy: str | None = None) -> str:
    """The policy that a figure is about: the one asked for, or the first that is not the baseline.

    **Raises:** `UndertowError` for a name that is not there.
    """
    if policy is not None:
        require(policy in names, f"there is no policy {policy!r}; there are {', '.join(names)}")
        return policy
    return next((name for name in names if name != baseline), names[0])


def largest(*arrays: np.ndarray) -> float:
    """The largest finite size of a value, 0 where there is none."""
    return max((float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in arrays), default=0.0)


def span(low: float, high: float, least: float) -> float:
    """What lies between two ends: no less than this share of the larger one, and 1 where both are 0.

    What is drawn has no other unit than its own: a wave of 1e-20 fills a picture as one of 1 does.
    """
    return max(high - low, least * max(abs(low), abs(high))) or 1.0


def log_limits(values: np.ndarray, margin: float = 1.5) -> tuple[float, float]:
    """Limits of a logarithmic axis around the positive finite values."""
    good = values[np.isfinite(values) & (values > 0)]
    return (1e-16, 1.0) if good.size == 0 else (float(good.min()) / margin, float(good.max()) * margin)


def log_scale(axis: Axes, values: np.ndarray) -> None:
    """A logarithmic vertical axis, where any of the values can be shown on one."""
    if (np.isfinite(values) & (values > 0)).any():
        axis.set_yscale("log")


@drawn
def finished(fig: Figure, path: Path | str | None = None) -> Figure:
    """The figure, with titles and labels that fit it; written, too, where a path is given, as `save` does."""
    for axis in fig.axes:
        for text, size in ((axis.title, 10), (axis.xaxis.label, 9), (axis.yaxis.label, 9)):
            text.set_fontsize(min(size, text.get_fontsize()))
    _plain(fig)
    if path is not None:
        save(fig, path)
    return fig


def to_bytes(fig: Figure, kind: str = "png", *, dpi: int = 150) -> bytes:
    """A picture of a figure: what stands in a file of this kind (png, pdf, svg)."""
    data = io.BytesIO()
    with own_look():
        fig.savefig(data, format=kind, dpi=dpi, facecolor="white")
    return data.getvalue()


def save(fig: Figure, path: Path | str, *, dpi: int = 150) -> Path:
    """Write a figure, atomically, as PNG, PDF or SVG by its ending.

    **Raises:** `UndertowError` for another ending, or a file that cannot be written.
    """
    path = at_home(path)
    if path.suffix not in FORMATS:
        raise UndertowError(f"a figure ends in {', '.join(FORMATS)}, got {path.name!r}")
    atomic_write_bytes(path, to_bytes(finished(fig), path.suffix[1:], dpi=dpi))
    return path
