"""Training the cells of a grid, several seeds at once, so that an interruption costs seconds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from undertow._checks import require, require_positive
from undertow.build import Experiment, build, cast
from undertow.config import config_to_dict
from undertow.core.flow import FULL
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.progress import Display, StopRequest
from undertow.studies.grid import Cell
from undertow.training._files import atomic_write_text, read_json, to_json, write_error
from undertow.training._machine import describe_machine, git_state
from undertow.training.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from undertow.training.ensemble import Ensemble
from undertow.training.fit import Progress, fit
from undertow.training.trainer import TrainState

SAVE_EVERY = 20.0
"""Seconds between two checkpoints of a cell."""

SCALARS = ("loss", "gradient_norm", "cosine", "zeroed")
"""What is averaged over the updates of an epoch, where the estimator has it."""


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
        if file.exists():
            before = read_json(file)
            same = isinstance(before, dict) and to_json(before) == to_json(settings)
            require(
                same,
                f"{self.folder} holds a study with other settings, which is left as it is; choose another --out",
            )
            return
        require(
            not self.folder.exists() or not any(self.folder.iterdir()),
            f"{self.folder} exists already and is no study; choose another --out",
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.folder, error) from error
        atomic_write_text(file, to_json(settings) + "\n")

    def file(self, cell: Cell) -> Path:
        """A cell's checkpoint: the state of all seeds, and what was measured so far."""
        return self.folder / f"{cell.name}.safetensors"

    def run(self, *, quiet: bool = False) -> bool:
        """Train every cell that is not finished. Returns whether all are; False after Ctrl-C or SIGTERM.

        **Raises:** `UndertowError` for a folder that holds something else or cannot be written.
        """
        require_positive("seeds", self.seeds)
        names = [cell.name for cell in self.cells]
        require(len(set(names)) == len(names) > 0, "a study needs cells of different names, whose files these are")
        self.open()
        with StopRequest() as stop, Display(quiet=quiet) as display:
            for index, cell in enumerate(self.cells):
                display.stage(f"{index + 1}/{len(self.cells)} {cell.name}", cell.config.training.updates)
                run_cell(cell, self.seeds, self.file(cell), stop=stop, display=display)
                if stop:
                    return False
        return True

    def results(self) -> dict[str, Any]:
        """Settings, machine, commit, and every cell's measurements so far; arrays are `"measured seeds"`."""
        cells = {}
        for cell in self.cells:
            if self.file(cell).exists():
                metadata = read_metadata(self.file(cell))
                labels = {"panel": cell.panel, "line": cell.line, "clip": cell.clip, "epoch": cell.epoch}
                cells[cell.name] = {**labels, "updates": cell.config.training.updates, **metadata["history"]}
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

    The history has lists over the measured epochs: `epochs`, `seconds` per epoch, and per seed `train_loss`, `test_loss`,
    and the means over the epoch's updates of `loss`, `gradient_norm`, `cosine` and `zeroed`.
    """
    total = cell.config.training.updates
    history: dict[str, Any] = {"epochs": [], "seconds": [], "skipped": []}
    if file.exists():
        history = read_metadata(file)["history"]
        if "failed" in history or history["epochs"][-1:] == [total // cell.epoch]:
            return history
    experiment, ensemble, state = _start(cell, seeds)
    if file.exists():
        state, _ = load_checkpoint(file, state)
    done = int(np.max(np.asarray(state.step)))
    precision = cell.config.training.precision
    sets = {name: cast(problems, precision) for name, problems in experiment.make_sets().items()}
    losses = eqx.filter_jit(_losses)
    clock = {"epoch": time.perf_counter(), "saved": time.perf_counter()}

    def record(state: TrainState, epoch: int, metrics: dict[str, np.ndarray], seconds: float) -> None:
        history["epochs"].append(epoch)
        history["seconds"].append(seconds)
        for name, problems in sets.items():
            history.setdefault(f"{name}_loss", []).append(_rounded(losses(experiment.task, state.policy, problems)))
        for name in SCALARS:
            if name in metrics:
                history.setdefault(name, []).append(_rounded(np.nanmean(metrics[name], axis=0)))
        history["skipped"] = np.asarray(state.skipped).tolist()

    def after(progress: Progress) -> bool:
        seconds = time.perf_counter() - clock["epoch"]
        now = done + progress.done
        epoch = now // cell.epoch
        if measured(epoch) or now == total:
            record(progress.state, epoch, progress.metrics, seconds)
        ends = now == total or bool(stop)
        if ends or time.perf_counter() - clock["saved"] > SAVE_EVERY:
            save_checkpoint(file, progress.state, {"cell": cell.name, "history": history})
            clock["saved"] = time.perf_counter()
        if display is not None:
            display.advance(now, {"loss": float(np.nanmedian(progress.metrics["loss"][-1]))})
        clock["epoch"] = time.perf_counter()
        return bool(stop)

    result = fit(
        ensemble,
        state,
        total - done,
        every=cell.epoch,
        callbacks=(after,),
        max_skipped=cell.config.training.max_skipped,
    )
    if result.status == "failed":  # every seed has become non-finite, which is a result, too
        history["failed"] = str(result.error)
        save_checkpoint(file, result.state, {"cell": cell.name, "history": history})
    return history


def _start(cell: Cell, seeds: int) -> tuple[Experiment, Ensemble, TrainState]:
    experiment = build(cell.config)
    policies = [build(_with_seed(cell, seed)).policy for seed in range(seeds)]
    ensemble = Ensemble(experiment.trainer(experiment.make_pool()))
    keys = [jax.random.fold_in(jax.random.key(seed), 1) for seed in range(seeds)]
    return experiment, ensemble, ensemble.init(policies, keys)


def _with_seed(cell: Cell, seed: int) -> Any:
    return dataclasses.replace(cell.config, seed=seed)


def _losses(task: Task, policies: AbstractPolicy, problems: Problem) -> Any:
    def mean(policy: AbstractPolicy) -> Any:
        return task.losses(policy, FULL, problems).mean()

    return eqx.filter_vmap(mean)(policies)


def _rounded(values: Any) -> list[float]:
    """Five digits are enough for a figure, and keep the committed results small."""
    return [float(f"{value:.5g}") for value in np.asarray(values, float)]
