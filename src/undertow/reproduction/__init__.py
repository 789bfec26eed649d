"""Published comparisons, run again: grids of trainings with many seeds, resumable, with results as one JSON and figures."""

from __future__ import annotations

from undertow.reproduction.command import Outcome, reproduce
from undertow.reproduction.grid import Trial, grid
from undertow.reproduction.runner import Study

__all__ = ["Outcome", "Study", "Trial", "grid", "reproduce"]
