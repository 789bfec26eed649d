"""Training the trials of a grid, several seeds at once, each in a run directory, so that an interruption costs seconds."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from undertow._checks import UndertowError, require, whole_number
from undertow._io import atomic_write_text, make_folder, remove_drafts, set_aside, to_json
from undertow._reader import read_json
from undertow.assembly import require_several, training_needs
from undertow.config import config_to_dict
from undertow.experiment.seeds import SEEDS, train_seeds
from undertow.progress import Display, StopRequest
from undertow.reproduction.grid import Trial
from undertow.store._lock import Lock
from undertow.store.keeping import newest_metadata
from undertow.store.machine import describe_machine, git_state
from undertow.store.rundir import RunDirectory
from undertow.training.fit import Progress

_logger = logging.getLogger(__name__)

TRAINED = ("train_loss", "loss", "gradient_norm", "cosine", "zeroed")
"""What is taken over from the runs beside the test loss: means over the updates since the last measurement, where the estimator
has them."""


def measured(epoch: int) -> bool:
    """Whether the losses on training and test states are measured after so many epochs: densely at first."""
    return epoch <= 30 or (epoch <= 100 and epoch % 5 == 0) or epoch % 25 == 0


@dataclass(frozen=True)
class Study:
    """A folder of trials: what was trained so far, and everything it needs to go on.

    - `folder`; `name`: of the task; `trials`; `seeds`: their number, 0 to `seeds - 1`.
    """

    folder: Path
    name: str
    trials: Sequence[Trial]
    seeds: int

    def settings(self) -> dict[str, Any]:
        """What has to be the same for a study to be continued."""
        return {
            "study": self.name,
            "seeds": self.seeds,
            "runs": {trial.name: config_to_dict(trial.config) for trial in self.trials},
        }

    def open(self) -> None:
        """Make the folder, or check that it holds this very study. Raises `UndertowError`."""
        file = self.folder / "settings.json"
        settings = self.settings()
        names = {each.name for each in self.folder.iterdir()} if self.folder.is_dir() else set()
        if file.name in names:
            try:
                before = read_json(file, dict)
            except UndertowError as error:
                require(self._is_ours(names), f"{error}; choose another --out")
                _logger.warning("%s; it is put aside and written again", error)
                set_aside(file)
            else:
                require(
                    to_json(before) == to_json(settings),
                    f"{self.folder} holds a study with other settings, or of another version, which is left as it is; "
                    "choose another --out",
                )
                return
        require(
            (not self.folder.exists() or self.folder.is_dir()) and self._is_ours(names),
            f"{self.folder} exists already and is no study, or not this one; choose another --out",
        )
        make_folder(self.folder)
        remove_drafts(self.folder)
        atomic_write_text(file, to_json(settings) + "\n")

    def _is_ours(self, names: set[str]) -> bool:
        """Whether a directory has nothing but what this study makes: another study's trials have other names, and each run says
        which training it is of."""
        own = {trial.name for trial in self.trials} | {"settings.json", "results.json", "figures", ".lock"}
        return all(name in own or ".damaged-" in name or (name[0] == "." and name.endswith(".tmp")) for name in names)

    def run(self, *, quiet: bool = False, long: bool = False, stop: StopRequest | None = None) -> bool:
        """Train every trial that is not finished. Returns whether all are; False after Ctrl-C or SIGTERM.

        **Arguments:** `quiet`: no progress bar; `long`: begin also what certainly takes hours; `stop`: what to look at for the
        wish to stop (default: one of its own).

        **Raises:** `UndertowError` for a folder that holds something else or cannot be written, and for trials that cannot fit
        into memory or onto the disk.
        """
        whole_number("seeds", self.seeds, SEEDS)
        names = [trial.name for trial in self.trials]
        require(len(set(names)) == len(names) > 0, "a study needs trials of different names, whose files these are")
        change = "the number of epochs, panels, flows, clips or seeds"
        several = [(training_needs(trial.config), self._done(trial)) for trial in self.trials]
        require_several(several, seeds=self.seeds, folder=self.folder, long=long, change=change)
        self.open()
        asked = StopRequest() if stop is None else contextlib.nullcontext(stop)
        with self._alone(), asked as stop, Display(quiet=quiet) as display:
            for index, trial in enumerate(self.trials):
                display.label = f"{index + 1}/{len(self.trials)} {trial.name}: "
                self._train(trial, stop, display)
                if stop:
                    return False
        return True

    def _done(self, trial: Trial) -> int:
        """Updates that are behind a trial, as far as its checkpoints can be read."""
        return next((each["update"] for each in newest_metadata(self.folder / trial.name / "checkpoints")), 0)

    def _train(self, trial: Trial, stop: StopRequest, display: Display) -> None:
        def due(before: int, done: int, total: int) -> bool:
            return done == total or measured(done // trial.epoch)

        train_seeds(
            trial.config,
            range(self.seeds),
            self.folder / trial.name,
            preset=self.name,
            stop=stop,
            display=display,
            callbacks=(_time_epoch,),
            due=due,
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        lock = Lock(self.folder, file=False)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def results(self) -> dict[str, Any]:
        """Settings, machine, commit, and every trial's measurements so far; arrays are `"measured seeds"`."""
        histories = {trial.name: self._history(trial) for trial in self.trials}
        machine = describe_machine()
        return {
            "study": self.name,
            "seeds": self.seeds,
            "machine": {key: machine[key] for key in ("platform", "cpu_count", "device", "versions")},
            "git": git_state(),
            "settings": config_to_dict(self.trials[0].config),
            "cells": {name: history for name, history in histories.items() if history},
        }

    def _history(self, trial: Trial) -> dict[str, Any]:
        """What was measured of a trial, from its first epoch on; nothing where it has not come so far."""
        if not (self.folder / trial.name / "metrics.csv").is_file():
            return {}
        run = RunDirectory.open(self.folder / trial.name)
        table = {name: column[1:] for name, column in run.read_seeds().items()}
        summary = run.read_summary()
        found = {
            "panel": trial.panel,
            "line": trial.line,
            "clip": trial.clip,
            "epoch": trial.epoch,
            "updates": trial.config.training.updates,
            "seconds": table["epoch_seconds"][:, 0].tolist(),
            "skipped": summary.get("skipped", [summary["skipped_updates"]]),
            "lost": summary.get("lost", [summary["status"] == "failed"]),
            "training_seconds": summary["training_seconds"],
            "epochs": (table["update"] // trial.epoch).astype(int).tolist(),
            "test_loss": rounded(table[trial.config.evaluation.keep_by]),
            **{name: rounded(table[name]) for name in TRAINED if name in table},
        }
        return found | ({"failed": summary["reason"]} if summary["status"] == "failed" else {})


def _time_epoch(progress: Progress) -> None:
    """Note what the updates of an epoch took, beside the other metrics of it."""
    progress.metrics["epoch_seconds"] = np.array([progress.seconds])


def rounded(values: np.ndarray) -> list[list[float]]:
    """Five digits are enough for a figure, and keep the committed results small."""
    return [[float(f"{value:.5g}") for value in row] for row in values]
