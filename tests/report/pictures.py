"""Whether something is drawn: in a figure, in a file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

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
