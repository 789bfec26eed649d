"""Pictures of games."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from undertow.games.fields import FieldGame
from undertow.games.game import AbstractGame
from undertow.report import style
from undertow.report.control import moment_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)
_DPI = 100


def frame(game: AbstractGame, params: Any, history: list[tuple[Any, Any]]) -> np.ndarray:
    """The moment that a history of states and actions ends with, as `(height, width, 3)` bytes."""
    return style.pixels(_field(game, history) if isinstance(game, FieldGame) else _system(params, history), _DPI)


@style.drawn
def _field(game: FieldGame, history: list[tuple[Any, Any]]) -> Figure:
    first, last = history[0][0], history[-1][0]
    u, law = np.asarray(last.field.u), game.how.law
    names = last.condition.law.component_names if hasattr(last.condition, "law") else law.component_names
    if game.grid.num_axes == 1:
        fig, axes = style.figure(1, len(u), width=4.2 if len(u) == 1 else 3.0)
        x = game.grid.centers()
        for axis, start, now, name in zip(axes[0], np.asarray(first.field.u), u, names, strict=True):
            axis.plot(x, start, color=style.GUIDE, linewidth=1)
            axis.plot(x, now, color=style.LEARNED, linewidth=1.5)
            axis.set(xlabel="x", ylabel=name)
    else:
        fig, axes = style.figure(width=4.2, height=3.6)
        extent = (game.grid.lower[0], game.grid.upper[0], game.grid.lower[1], game.grid.upper[1])
        image = axes[0, 0].imshow(u[0].T, origin="lower", extent=extent, cmap="viridis")
        axes[0, 0].grid(False)
        axes[0, 0].set(xlabel="x", ylabel="y")
        fig.colorbar(image, ax=axes[0, 0], label=names[0])
    axes[0, 0].set_title(f"t = {float(last.field.time):.4g}")
    return fig


@style.drawn
def _system(params: Any, history: list[tuple[Any, Any]]) -> Figure:
    states = np.stack([np.asarray(state.system) for state, _ in history])
    actions = np.stack([np.asarray(action) for _, action in history[1:]]) if len(history) > 1 else None
    return moment_figure(params.environment, states, actions)


def show(picture: np.ndarray, window: Any = None) -> Any:
    """Show a picture in a window, a new one or one that was opened before, and return it.

    Without a display nothing appears, and a warning is logged once.
    """
    import matplotlib.pyplot as plt

    if window is None:
        size = (picture.shape[1] / _DPI, picture.shape[0] / _DPI)
        window = plt.figure(figsize=size, dpi=_DPI)
        image = window.figimage(picture)
        if hasattr(window.canvas.manager, "show") and plt.get_backend().lower() != "agg":
            window.show()
        else:
            _log.warning("there is no display for render_mode='human'; take 'rgb_array' to get the pictures")
        window.undertow_image = image
    else:
        window.undertow_image.set_data(picture)
    window.canvas.draw_idle()
    window.canvas.flush_events()
    return window


def close(window: Any) -> None:
    """Close a window."""
    import matplotlib.pyplot as plt

    plt.close(window)
