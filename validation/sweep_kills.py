"""Kill a sweep at each of its changes to the disk, give the command again, and compare what is left with an undisturbed one's.

    python -m validation.sweep_kills                     # a grid, a search, a grid in a database, and a published comparison
    python -m validation.sweep_kills --command search --only 3 4 --quick

With `--quick` a formula takes the place of the training: it writes the same files at the same moments, in milliseconds.

All files have to be the same in the end, byte for byte but for times, and none may be left over. The exit code is 1 if not.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401  # what a fork need not load again
import numpy as np
import optuna  # noqa: F401
import sqlalchemy  # noqa: F401

import undertow.report.sweep
from undertow.cli import main as undertow
from undertow.config.fields import changed
from undertow.presets import preset
from undertow.reproduction import command
from undertow.reproduction.grid import Cell
from undertow.store import _safetensors
from undertow.store.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from undertow.sweeps import definition, ledger, liveness
from undertow.sweeps import seeds as seeds_of
from undertow.sweeps import sweep as sweeps
from undertow.sweeps.seeds import begun
from validation.killing import Work, kill_at_each, use_cache

FLAGS = """--seeds 2 --quiet --horizon 3 --data.train 2 --data.test 2 --policy.hidden 2 --training.updates 4
    --training.batch 2 --training.dispatch 2 --evaluation.every 2 --json"""
OVER = {
    "grid": "--over gradient=full,stop",
    "search": "--over optimizer.learning_rate=1e-3..1e-1:log gradient=full,stop --trials 3",
    "database": "--over gradient=full,stop --storage sqlite:///{folder}/study.db",
}
_TIMES = ("seconds", "training_seconds")


def sweep(kind: str) -> Callable[[Path], int]:
    """A sweep of a kind."""

    def call(place: Path) -> int:
        # A worker that died counts as dead after two seconds instead of a minute.
        for module in (ledger, liveness):
            module.BEAT, module.SILENCE = 1, 2  # type: ignore[attr-defined]
        over = OVER[kind].format(folder=place.parent)
        return undertow(["sweep", "cartpole", *over.split(), *FLAGS.split(), "--out", str(place)])

    return call


def formula(config: Any, seeds: Any, file: Path, make_look: Any, **options: Any) -> dict[str, Any]:
    """In the place of a training: numbers out of the configuration and the seed, with a checkpoint after every dispatch."""
    found = begun(config, seeds, file, options["label"])
    state = {"total": np.zeros(len(seeds))}
    history: dict[str, Any] = {"updates": [], "test_loss": [], "seconds": [], "skipped": [0] * len(seeds)}
    history |= {"lost": [False] * len(seeds), "training_seconds": 0.0}
    done = 0
    if found is not None:
        state, history, done = load_checkpoint(file, state)[0], found["history"], found["done"]
    while done < config.training.updates:
        done += config.training.dispatch
        state["total"] = state["total"] + np.sin(np.arange(1, len(seeds) + 1) * config.optimizer.learning_rate * done)
        history["updates"].append(done)
        history["test_loss"].append(state["total"].tolist())
        about = {"cell": options["label"], "of": seeds_of._identity(config, seeds), "done": done, "history": history}
        save_checkpoint(file, state, about)
    return history


def study(place: Path) -> int:
    """A published comparison of two cells."""
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
    cells = [Cell("1 pole", name, "norm", changed(base, {"gradient": each}), 1) for name, each in flows.items()]
    command.grid = lambda *_, **__: cells  # type: ignore[assignment]
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
            found[name] = [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]
        elif each.name not in ("test_loss_time.png",):
            found[name] = each.read_bytes()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in _TIMES}
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
        sweeps.train_seeds = formula  # type: ignore[assignment]
        definition.build = lambda config: config  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="undertow-kills-") as room:
        use_cache(Path(room, "programs"))
        say = lambda line: print(line, flush=True)
        return int(sum(kill_at_each(name, works[name], only=given.only, say=say) for name in given.command) > 0)


if __name__ == "__main__":
    sys.exit(main())
