"""Whether something is drawn: in a figure, in a file; and what is: the data and names of lines, dots and maps."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.image import imread

from undertow.report import style


def is_picture(drawn: Figure | Path) -> bool:
    data = style.to_bytes(drawn) if isinstance(drawn, Figure) else drawn.read_bytes()
    pixels = imread(io.BytesIO(data))
    return len(data) > 3000 and pixels.std() > 0.01 and min(pixels.shape[:2]) > 150


def is_moving(path: Path) -> bool:
    data = path.read_bytes()
    return data[:6] == b"GIF89a" and min(struct.unpack("<HH", data[6:10])) > 200


def named(axis: Axes) -> dict[str, np.ndarray]:
    """The data of the lines that have a name, `"points 2"`."""
    return {line.get_label(): line.get_xydata() for line in axis.lines if not line.get_label().startswith("_")}


def dots(axis: Axes) -> np.ndarray:
    """The places of all dots of scatters, `"dots 2"`, from left to right."""
    places = np.concatenate([c.get_offsets() for c in axis.collections if isinstance(c, PathCollection)])
    return places[np.argsort(places[:, 0])]


def texts(axis: Axes) -> list[str]:
    """What a legend of the axes lists."""
    return axis.get_legend_handles_labels()[1]


def ticks(axis) -> list[str]:
    """The words at the ticks of an `axes.xaxis` or `axes.yaxis`."""
    return [label.get_text() for label in axis.get_ticklabels()]
