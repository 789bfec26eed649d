"""Training the cells of a grid, several seeds at once, so that an interruption costs seconds."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx

from undertow._checks import UndertowError, require, whole_number
from undertow._io import atomic_write_text, make_folder, remove_drafts, set_aside, to_json
from undertow._reader import read_json
from undertow._tree import cast
from undertow.assembly import Experiment
from undertow.config import config_to_dict
from undertow.core.flow import FULL
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.progress import Display, StopRequest
from undertow.reproduction.costs import require_cells
from undertow.reproduction.grid import Cell
from undertow.store._lock import Lock
from undertow.store.machine import describe_machine, git_state
from undertow.sweeps.definition import SEEDS
from undertow.sweeps.seeds import Look, begun, rounded, train_seeds
from undertow.training.trainer import TrainState

_logger = logging.getLogger(__name__)


def measured(epoch: int) -> bool:
    """Whether the losses on training and test states are measured after so many epochs: densely at first."""
    return epoch <= 30 or (epoch <= 100 and epoch % 5 == 0) or epoch % 25 == 0


@dataclass(frozen=True)
class Study:
    """A folder of cells: what was trained so far, and everything it needs to go on.

    - `folder`; `name`: of the task; `cells`; `seeds`: their number, 0 to `seeds - 1`.
    """

    folder: Path
    name: str
    cells: Sequence[Cell]
    seeds: int

    def settings(self) -> dict[str, Any]:
        """What has to be the same for a study to be continued."""
        return {
            "study": self.name,
            "seeds": self.seeds,
            "cells": {cell.name: config_to_dict(cell.config) for cell in self.cells},
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
                    f"{self.folder} holds a study with other settings, which is left as it is; choose another --out",
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
        """Whether a directory has nothing but what this study makes: another study's cells have other names, and each
        checkpoint says which training it is of."""
        own = {self.file(cell).name for cell in self.cells} | {"settings.json", "results.json", "figures", ".lock"}
        return all(name in own or ".damaged-" in name or (name[0] == "." and name.endswith(".tmp")) for name in names)

    def file(self, cell: Cell) -> Path:
        """A cell's checkpoint: the state of all seeds, and what was measured so far."""
        return self.folder / f"{cell.name}.safetensors"

    def run(self, *, quiet: bool = False, long: bool = False, stop: StopRequest | None = None) -> bool:
        """Train every cell that is not finished. Returns whether all are; False after Ctrl-C or SIGTERM.

        **Arguments:** `quiet`: no progress bar; `long`: begin also what certainly takes hours; `stop`: what to look at for the
        wish to stop (default: one of its own).

        **Raises:** `UndertowError` for a folder that holds something else or cannot be written, and for cells that cannot fit
        into memory or onto the disk.
        """
        whole_number("seeds", self.seeds, SEEDS)
        names = [cell.name for cell in self.cells]
        require(len(set(names)) == len(names) > 0, "a study needs cells of different names, whose files these are")
        require_cells([(cell, self.file(cell)) for cell in self.cells], self.seeds, self.folder, long=long)
        self.open()
        asked = StopRequest() if stop is None else contextlib.nullcontext(stop)
        with self._alone(), asked as stop, Display(quiet=quiet) as display:
            for index, cell in enumerate(self.cells):
                display.stage(f"{index + 1}/{len(self.cells)} {cell.name}", cell.config.training.updates)
                run_cell(cell, self.seeds, self.file(cell), stop=stop, display=display)
                if stop:
                    return False
        return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        lock = Lock(self.folder, file=False)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def results(self) -> dict[str, Any]:
        """Settings, machine, commit, and every cell's measurements so far; arrays are `"measured seeds"`."""
        cells = {}
        for cell in self.cells:
            found = begun(cell.config, range(self.seeds), self.file(cell), cell.name)
            if found is not None:
                labels = {"panel": cell.panel, "line": cell.line, "clip": cell.clip, "epoch": cell.epoch}
                cells[cell.name] = {**labels, "updates": cell.config.training.updates, **found["history"]}
        machine = describe_machine()
        return {
            "study": self.name,
            "seeds": self.seeds,
            "machine": {key: machine[key] for key in ("platform", "cpu_count", "device", "versions")},
            "git": git_state(),
            "settings": config_to_dict(self.cells[0].config),
            "cells": cells,
        }


def run_cell(
    cell: Cell, seeds: int, file: Path, *, stop: StopRequest | None = None, display: Display | None = None
) -> dict[str, Any]:
    """Train a cell from its checkpoint, or from the start, to its end. Returns its history.

    The history, as of [`train_seeds`][undertow.sweeps.seeds.train_seeds], has lists over the measured epochs: `epochs`,
    and per seed `train_loss` and `test_loss`.
    """
    total = cell.config.training.updates

    def make_look(experiment: Experiment) -> Look:
        precision = cell.config.training.precision
        sets = {name: cast(problems, precision) for name, problems in experiment.make_sets().items()}
        losses = eqx.filter_jit(_losses)

        def look(state: TrainState, done: int) -> dict[str, Any] | None:
            epoch = done // cell.epoch
            if not measured(epoch) and done != total:
                return None
            found = {name: losses(experiment.task, state.policy, problems) for name, problems in sets.items()}
            return {"epochs": epoch, **{f"{name}_loss": rounded(values) for name, values in found.items()}}

        return look

    return train_seeds(
        cell.config, range(seeds), file, make_look, every=cell.epoch, stop=stop, display=display, label=cell.name
    )


def _losses(task: Task, policies: AbstractPolicy, problems: Problem) -> Any:
    def mean(policy: AbstractPolicy) -> Any:
        return task.losses(policy, FULL, problems).mean()

    return eqx.filter_vmap(mean)(policies)
