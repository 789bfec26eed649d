"""A sweep's trials on the disk: each has a directory `trials/NNNN`, which says by itself what it is and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from undertow._io import atomic_write_text, make_folder, remove_drafts, to_json
from undertow.config import Config, config_to_dict
from undertow.sweeps.definition import STATISTICS, Sweep


def begin(folder: Path, config: Config) -> None:
    """Make a trial's directory, without what a killed worker left half written, and note its configuration there."""
    make_folder(folder)
    remove_drafts(folder)
    atomic_write_text(folder / "config.json", to_json(config_to_dict(config)) + "\n")


def value_of(made: Sweep, result: Mapping[str, Any]) -> float:
    """The number that a result's seeds are compared by."""
    return STATISTICS[made.statistic](np.asarray(result["seeds"], float))


def note_result(folder: Path, made: Sweep, job: int, result: Mapping[str, Any]) -> None:
    """Write a finished trial's `summary.json`."""
    seeds = np.asarray(result["seeds"], float)
    about = {
        "trial": job,
        "preset": made.preset,
        "metric": made.metric,
        "statistic": made.statistic,
        "value": value_of(made, result),
        "lost": int(np.sum(~np.isfinite(seeds))),
        "training_seconds": result["seconds"],
        "seeds": seeds.tolist(),
        "error": result.get("error"),
    }
    atomic_write_text(folder / "summary.json", to_json(about) + "\n")
