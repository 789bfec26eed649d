"""Published comparisons, run again: grids of trainings with many seeds, resumable, with results as one JSON and figures."""

from __future__ import annotations

from undertow.studies.command import Outcome, reproduce
from undertow.studies.grid import Cell, grid
from undertow.studies.runner import Study

__all__ = ["Cell", "Outcome", "Study", "grid", "reproduce"]
