"""The page: sections of blocks, with the style sheet and the scripts inside."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Template
from typing import Any

import numpy as np
from matplotlib import colormaps

from undertow._io import to_json
from undertow.report.html.blocks import Block

# In the order in which they need each other.
_SCRIPTS = ("base.js", "chart.js", "scatter.js", "views.js", "player.js", "page.js")


@dataclass(frozen=True)
class Section:
    """A part of a page: its `name` in links, its `title`, the `blocks` in it, and a `note` above them."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For the page's script."""
        return {"name": self.name, "title": self.title, "note": self.note, "blocks": list(self.blocks)}


def render_page(
    title: str, subtitle: str, sections: Sequence[Section], *, status: str = "", live: Mapping[str, Any] | None = None
) -> str:
    """One HTML document without a link to anything outside of it.

    **Arguments:** `title`, `subtitle`, `status`: shown at the top; `sections` in their order; `live`: settings of a page that is
    served while a run trains (where it asks for `news`, where to `renew` the evaluation and with which `token`, its `version`,
    and after how many `seconds` it asks). None: a page that stands alone.
    """
    data = {
        "title": title,
        "subtitle": subtitle,
        "status": status,
        "live": None if live is None else dict(live),
        "palette": (255 * colormaps["viridis"](np.linspace(0, 1, 64))[:, :3]).round().astype(int),
        "sections": [section.to_dict() for section in sections],
    }
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        style=_asset("style.css"),
        script="\n".join(_asset(name) for name in _SCRIPTS),
        data=_inside_script(to_json(data, indent=None)),
    )


def _asset(name: str) -> str:
    return resources.files("undertow.report.html").joinpath("assets", name).read_text(encoding="utf-8")


def _inside_script(text: str) -> str:
    # "</script" in a case's name would end the element; "<!--" would open a comment in it.
    return text.replace("<", "\\u003c")
