"""Figures of a study: curves of many seeds, panel by panel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from undertow._checks import require
from undertow._io import make_folder
from undertow.evaluation.statistics import quartiles
from undertow.report import style

COLOURS = {
    "regular": style.BASELINE,
    "modified": style.OTHERS[0],
    "combined": style.LEARNED,
    "one-step": style.OTHERS[4],
    "policy-only": style.OTHERS[1],
}
_DASHES = {"norm": "-", "none": ":", "value": "--"}
QUANTITIES = {
    "test_loss": "test loss",
    "gradient_norm": "gradient norm before clipping",
    "cosine": "cosine of the two gradients",
    "zeroed": "fraction zeroed",
}


def draw_study(results: Mapping[str, Any], folder: Path | str) -> list[Path]:
    """Every figure of a study's results: one per quantity that was measured.

    **Raises:** `UndertowError` for results without cells, or a folder that cannot be made.
    """
    folder = make_folder(folder)
    cells = results["cells"].values()
    return [
        study_figure(results, folder / f"{quantity}.png", quantity=quantity)
        for quantity in QUANTITIES
        if any(cell.get(quantity) for cell in cells)
    ]


@style.drawn
def study_figure(
    results: Mapping[str, Any], path: Path | str, *, quantity: str = "test_loss", clips: tuple[str, ...] | None = None
) -> Path:
    """A quantity over the epochs: median and middle half of the seeds, a panel per setting, a line per flow.

    **Arguments:** `results` of a study; `path`; `quantity` out of `QUANTITIES`; `clips`: which clippings to draw (None:
    all; `norm` is a full line, `value` dashed, `none` dotted).

    **Raises:** `UndertowError` if nothing was measured.
    """
    cells = [
        cell for cell in results["cells"].values() if cell.get(quantity) and (clips is None or cell["clip"] in clips)
    ]
    require(len(cells) > 0, f"nothing was measured of {quantity!r}")
    panels = list(dict.fromkeys(cell["panel"] for cell in cells))
    fig, axes = style.figure(1, len(panels), width=3.9, height=3.3, sharey=True)
    drawn = []
    others = iter(style.OTHERS * 9)
    colours = {line: COLOURS.get(line) or next(others) for line in dict.fromkeys(cell["line"] for cell in cells)}
    for axis, panel in zip(axes[0], panels, strict=True):
        shown = [cell for cell in cells if cell["panel"] == panel]
        for cell in shown:
            values = np.asarray(cell[quantity], float)
            epochs = np.asarray(cell["epochs"])[-len(values) :]
            middle, low, high = quartiles(values.T)
            colour, clip = colours[cell["line"]], cell["clip"]
            only = clip == "norm" or len({each["clip"] for each in shown}) == 1
            label = cell["line"] if only else f"{cell['line']}, clip {clip}"
            good = np.isfinite(middle)
            if only:
                axis.fill_between(
                    epochs[good], low[good], np.minimum(high, 1e30)[good], color=colour, alpha=0.18, linewidth=0
                )
            axis.plot(epochs[good], middle[good], _DASHES.get(clip, "-"), color=colour, linewidth=1.4, label=label)
            drawn.append(middle[good])
        axis.set(title=panel, xlabel="epoch")
    together = np.concatenate(drawn)
    if quantity in ("test_loss", "gradient_norm") and (together > 0).all():
        axes[0, 0].set_yscale("log")
        axes[0, 0].set_ylim(*style.log_limits(together))
    axes[0, 0].set_ylabel(QUANTITIES.get(quantity, quantity))
    style.legend(axes[0, -1])
    return style.save(fig, path)
