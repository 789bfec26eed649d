"""Runs without training: directories that tell what a test wants them to tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from undertow.config import CONTROL_CONFIGS, Config, config_to_dict
from undertow.store.rundir import RunDirectory

CartPoleTask = CONTROL_CONFIGS["cartpole"]


def make_run(
    path: Path,
    config: Config | None = None,
    losses: Sequence[float] | None = (2.0, 1.0),
    *,
    preset: str = "cartpole",
    status: str = "finished",
    every: int = 10,
    seconds: float = 1.0,
    summary: dict[str, Any] | None = None,
) -> RunDirectory:
    """A run that measured `losses` every so many updates, at equal distances in time; None: nothing."""
    config = CartPoleTask() if config is None else config
    run = RunDirectory.create(path, preset=preset, config=config_to_dict(config), command=["undertow", "train", preset])
    for place, loss in enumerate(losses or ()):
        row = {"update": place * every, "loss": None if place == 0 else loss, "seconds": place * seconds}
        run.append_metrics({**row, "test_loss": loss})
    if status in ("finished", "failed", "interrupted"):
        found = [loss for loss in losses or () if np.isfinite(loss)]
        best = {"metric": "test_loss", "value": min(found), "update": 10} if found else None
        told = {"status": status, "updates": every * (len(losses or (0,)) - 1), "best": best}
        run.write_summary({**told, "suite": "test", "loss": found[-1] if found else None, **(summary or {})})
        run.finish(status, None if status == "finished" else "as the test wants it")
    elif status == "killed":
        run.close()
    return run
