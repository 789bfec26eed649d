"""Kill a sweep at each of its changes to the disk, give the command again, and compare what is left with an undisturbed one's.

    python -m validation.sweep_kills                     # a grid, a search, a grid in a database, and a published comparison
    python -m validation.sweep_kills --command search --only 3 4 --quick

With `--quick` a formula takes the place of the trainer: all else is as it is.

All files have to be the same in the end, byte for byte but for times, and none may be left over. The exit code is 1 if not.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot  # noqa: F401  # what a fork need not load again
import numpy as np
import optuna  # noqa: F401
import sqlalchemy  # noqa: F401

import undertow.report.sweep
from undertow.cli import main as undertow
from undertow.config import Config
from undertow.config.fields import changed
from undertow.experiment import seeds
from undertow.experiment.loop import Prepared
from undertow.presets import preset
from undertow.progress import Display
from undertow.reproduction import command
from undertow.reproduction.grid import Trial
from undertow.store import _safetensors
from undertow.store.checkpoint import read_metadata
from undertow.sweeps import definition, ledger, liveness
from undertow.training.fit import Callback, FitResult, Progress, ask
from undertow.training.trainer import TrainState
from validation.killing import Work, kill_at_each, use_cache

FLAGS = """--seeds 2 --quiet --horizon 3 --data.train 2 --data.test 2 --policy.hidden 2 --training.updates 4
    --training.batch 2 --training.dispatch 2 --evaluation.every 2 --json"""
OVER = {
    "grid": "--over gradient=full,stop",
    "search": "--over optimizer.learning_rate=1e-3..1e-1:log gradient=full,stop --trials 3",
    "database": "--over gradient=full,stop --storage sqlite:///{folder}/study.db",
}
_OF_ONE_TIME = (
    "seconds",
    "training_seconds",
    "epoch_seconds",
    "start",
    "end",
    "resumed",
    "id",
    "run",
    "git",
    "metrics_csv",
)
"""Clocks, the names of runs, how often they were at work, and the commit at which they were."""


def sweep(kind: str) -> Callable[[Path], int]:
    """A sweep of a kind."""

    def call(place: Path) -> int:
        # A worker that died counts as dead after two seconds instead of a minute.
        for module in (ledger, liveness):
            module.BEAT, module.SILENCE = 1, 2  # type: ignore[attr-defined]
        over = OVER[kind].format(folder=place.parent)
        return undertow(["sweep", "cartpole", *over.split(), *FLAGS.split(), "--out", str(place)])

    return call


class Formula:
    """In the place of a trainer: numbers out of the configuration and the seeds, dispatch by dispatch."""

    def __init__(self, config: Config, seeds: Sequence[int]):
        self.config, self.rates = config, config.optimizer.learning_rate * (1 + np.array(seeds))

    def init(self) -> TrainState:
        """The state before the first update."""
        return self._state(jnp.zeros(len(self.rates)), 0)

    def fit(self, state: TrainState, updates: int, *, start: int = 0, callbacks: Sequence[Callback] = ()) -> FitResult:
        """The states after every dispatch, each told to the callbacks."""
        every = self.config.training.dispatch
        for done in range(start + every, updates + 1, every):
            state = self._state(state.policy["total"] + jnp.asarray(np.sin(self.rates * done)), done)
            loss = np.asarray(state.policy["total"])[None]
            metrics = {"loss": loss, "skipped": np.zeros_like(loss)}
            if ask(callbacks, Progress(state, done, updates, metrics)):
                return FitResult(state, "finished" if done == updates else "stopped")
        return FitResult(state, "finished")

    def _state(self, total: Any, done: int) -> TrainState:
        zeros = jnp.zeros(len(self.rates), jnp.int32)
        return TrainState({"total": total}, (), jax.random.key(0), zeros + done, zeros, zeros, zeros + 1.0)


def prepare(experiment: Any, display: Display, given: Sequence[int]) -> Prepared:
    """What a training by the formula begins with."""
    trainer = Formula(experiment.config, given)

    def measure(policies: Any) -> dict[str, Any]:
        return {"train_loss": [0.0] * len(given), "test_loss": np.asarray(policies["total"]).tolist()}

    return Prepared(experiment, trainer, trainer.init(), measure, tuple(given))


def build(config: Config) -> Any:
    """As much of an experiment as this needs."""
    return SimpleNamespace(config=config, policy={"total": jnp.zeros(())}, check=lambda: None)


def study(place: Path) -> int:
    """A published comparison of two trainings."""
    base = changed(
        preset("cartpole").config,
        {
            "horizon": 3,
            "data": {"train": 2, "test": 2},
            "policy.hidden": (2,),
            "training": {"updates": 2, "batch": 2, "dispatch": 1},
        },
    )
    flows = {"combined": "sign-agreement", "regular": "full"}
    trials = [Trial("1 pole", name, "norm", changed(base, {"gradient": each}), 1) for name, each in flows.items()]
    command.grid = lambda *_, **__: trials  # type: ignore[assignment]
    return undertow(["reproduce", "cartpole", "--seeds", "2", "--quiet", "--out", str(place)])


def essence(place: Path) -> dict[str, Any]:
    """Every file but for times, and but for the journal and the database, which tell how often it was at work."""
    found: dict[str, Any] = {}
    for each in sorted(place.rglob("*")):
        name = str(each.relative_to(place))
        if each.is_dir() or name == "journal.log" or name.startswith("locks"):
            continue
        if each.suffix == ".json":
            found[name] = _timeless(json.loads(each.read_text()))
        elif each.suffix == ".safetensors":
            tensors = _safetensors.decode(each.read_bytes())[0]
            found[name] = _timeless(read_metadata(each)), {key: array.tobytes() for key, array in tensors.items()}
        elif each.suffix == ".csv":
            rows = list(csv.DictReader(each.read_text().splitlines()))
            found[name] = [{key: value for key, value in row.items() if key not in _OF_ONE_TIME} for row in rows]
        elif each.name not in ("test_loss_time.png",):
            found[name] = each.read_bytes()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in _OF_ONE_TIME}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def main() -> int:
    """The command line."""
    works = {kind: Work(lambda _: None, sweep(kind), sweep(kind), essence) for kind in OVER}
    works["study"] = Work(lambda _: None, study, study, essence)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", nargs="+", choices=tuple(works), default=tuple(works))
    parser.add_argument("--only", nargs="+", type=int, help="the numbers of some changes")
    parser.add_argument("--quick", action="store_true", help="without training")
    given = parser.parse_args()
    if given.quick:
        seeds.build, seeds.prepare = build, prepare  # type: ignore[assignment]
        definition.build = lambda config: config  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="undertow-kills-") as room:
        use_cache(Path(room, "programs"))
        say = lambda line: print(line, flush=True)
        return int(sum(kill_at_each(name, works[name], only=given.only, say=say) for name in given.command) > 0)


if __name__ == "__main__":
    sys.exit(main())
