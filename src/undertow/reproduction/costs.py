"""Whether this machine can bear a study, before anything of it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from undertow._checks import UndertowError
from undertow.assembly import require_several, training_needs
from undertow.reproduction.grid import Cell
from undertow.store.checkpoint import read_metadata


def require_cells(cells: Sequence[tuple[Cell, Path]], seeds: int, folder: Path, *, long: bool) -> None:
    """Raise `UndertowError` for what is left of a study's cells, if one cannot fit, or all of them take hours and
    `long` does not say that this is meant.

    **Arguments:** `cells`, each with the file of its checkpoint; `seeds` of each; `folder` of the study; `long`.
    """
    several = [(training_needs(cell.config), _done(file)) for cell, file in cells]
    change = "the number of epochs, panels, flows, clips or seeds"
    require_several(several, seeds=seeds, folder=folder, long=long, change=change)


def _done(file: Path) -> int:
    """Updates that are behind a cell, as far as its checkpoint can be read."""
    try:
        done = read_metadata(file).get("done")
    except UndertowError:
        return 0
    return done if isinstance(done, int) else 0
