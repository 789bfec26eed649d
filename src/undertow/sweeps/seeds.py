"""Training one configuration with several seeds as one program, so that an interruption costs seconds."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from undertow._checks import UndertowError, require
from undertow._io import set_aside, to_json
from undertow._reader import check_shape
from undertow.assembly import Experiment, build
from undertow.config import Config, config_to_dict
from undertow.evaluation.statistics import finite_mean
from undertow.progress import Display, StopRequest
from undertow.store.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from undertow.training.ensemble import Ensemble
from undertow.training.fit import Progress, fit
from undertow.training.trainer import TrainState

_logger = logging.getLogger(__name__)

SAVE_EVERY = 20.0
"""Seconds between two checkpoints."""

SCALARS = ("loss", "gradient_norm", "cosine", "zeroed")
"""What is averaged over the updates of a dispatch, where the estimator has it."""

Look = Callable[[TrainState, int], dict[str, Any] | None]
"""From the state of all seeds and the updates done to what is to be noted; None: nothing now."""


def train_seeds(
    config: Config,
    seeds: Sequence[int],
    file: Path,
    make_look: Callable[[Experiment], Look],
    *,
    every: int,
    stop: StopRequest | None = None,
    display: Display | None = None,
    label: str = "",
) -> dict[str, Any]:
    """Train all seeds from their checkpoint, or from the start, to the end. Returns their history.

    Seeds differ in the policy's first weights and in the batches; the training problems are those of `config.seed`.

    **Arguments:** `config`; `seeds`; `file`: the checkpoint, with the state of all seeds and the history so far;
    `make_look`: from the experiment to what is noted after a dispatch; `every`: updates in one dispatch; `stop` is looked at
    after every dispatch; `display`; `label`: what the checkpoint calls itself.

    **Returns:** the history: a list for every name that was noted, `seconds` of the dispatches noted, and per seed the means
    of `loss`, `gradient_norm`, `cosine` and `zeroed` over their finite updates; `skipped`: updates so far, per seed; `lost`: per
    seed, whether `training.max_skipped` updates in a row were not finite, where a run by itself ends as failed;
    `training_seconds` in all; `failed`: why, if no seed was left.
    """
    total = config.training.updates
    history: dict[str, Any] = {"seconds": [], "skipped": [], "lost": [False] * len(seeds), "training_seconds": 0.0}
    found = begun(config, seeds, file, label)
    if found is not None and ("failed" in found["history"] or found["done"] == total):
        return history | found["history"]
    experiment, ensemble, state = _start(config, seeds)
    if found is not None:
        with _set_aside_if_damaged(file):
            state, _ = load_checkpoint(file, state)
            history |= found["history"]
    done = int(np.max(np.asarray(state.step)))
    if done >= total:
        return history
    look = make_look(experiment)
    clock = {"dispatch": time.perf_counter(), "saved": time.perf_counter()}

    def save(state: TrainState, now: int) -> None:
        save_checkpoint(file, state, {"cell": label, "of": _identity(config, seeds), "done": now, "history": history})
        clock["saved"] = time.perf_counter()

    def after(progress: Progress) -> bool:
        seconds = time.perf_counter() - clock["dispatch"]
        history["training_seconds"] += seconds
        now, state = progress.done, progress.state
        gone = np.asarray(state.skipped_in_a_row) >= config.training.max_skipped
        history["lost"] = (np.asarray(history["lost"]) | gone).tolist()
        noted = look(state, now)
        if noted is not None:
            means = {name: rounded(finite_mean(progress.metrics[name])) for name in SCALARS if name in progress.metrics}
            for name, value in {**noted, "seconds": seconds, **means}.items():
                history.setdefault(name, []).append(value)
            history["skipped"] = np.asarray(state.skipped).tolist()
        if now == total or bool(stop) or time.perf_counter() - clock["saved"] > SAVE_EVERY:
            save(state, now)
        if display is not None:
            last = progress.metrics["loss"][-1]
            display.advance(now, {"loss": float(np.median(np.where(np.isfinite(last), last, np.inf)))})
        clock["dispatch"] = time.perf_counter()
        return bool(stop)

    skipped = config.training.max_skipped
    result = fit(ensemble, state, total, start=done, every=every, callbacks=(after,), max_skipped=skipped)
    if result.status == "failed":  # every seed has become non-finite, which is a result, too
        history["failed"] = str(result.error)
        save(result.state, int(np.max(np.asarray(result.state.step))))
    return history


def _identity(config: Config, seeds: Sequence[int]) -> str:
    """What a checkpoint has to be of, to be gone on with."""
    text = to_json({"config": config_to_dict(config), "seeds": list(seeds)}, indent=None)
    return hashlib.sha256(text.encode()).hexdigest()


_SHAPE = {"done": int, "history": {"seconds": [float], "lost": [object], "skipped": [float], "training_seconds": float}}


def begun(config: Config, seeds: Sequence[int], file: Path, label: str) -> dict[str, Any] | None:
    """What the checkpoint of this very training says: updates `done` and `history`; None if there is none.

    A file in its place that is damaged, or of another training, is put aside with a warning.
    """
    if not file.exists():
        return None
    with _set_aside_if_damaged(file):
        found = read_metadata(file)
        identity = _identity(config, seeds)
        # Those of earlier versions have no `of`.
        same = found.get("of", identity) == identity and found.get("cell") == label
        require(same, f"{file} is the checkpoint of another training")
        check_shape(found, _SHAPE, file)
        require(len(found["history"]["lost"]) == len(seeds), f"{file} is the checkpoint of other seeds")
        return found
    return None


@contextlib.contextmanager
def _set_aside_if_damaged(file: Path) -> Iterator[None]:
    """A checkpoint that cannot be gone on with gets another name, and its training begins anew."""
    try:
        yield
    except UndertowError as error:
        if isinstance(error.__cause__, OSError):
            raise
        _logger.warning("%s; it is kept as %s, and the training begins anew", error, set_aside(file).name)


def _start(config: Config, seeds: Sequence[int]) -> tuple[Experiment, Ensemble, TrainState]:
    experiment = build(config)
    policies = [build(dataclasses.replace(config, seed=seed)).policy for seed in seeds]
    ensemble = Ensemble(experiment.trainer(experiment.make_pool()))
    keys = [jax.random.fold_in(jax.random.key(seed), 1) for seed in seeds]
    return experiment, ensemble, ensemble.init(policies, keys)


def rounded(values: Any) -> list[float]:
    """Five digits are enough for a figure, and keep the committed results small."""
    return [float(f"{value:.5g}") for value in np.asarray(values, float)]
