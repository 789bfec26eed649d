"""Which checkpoints of a run are kept: the n best by a named metric, and the n newest to go on from."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from undertow._checks import UndertowError, require, whole_number
from undertow._io import write_error
from undertow._reader import check_shape
from undertow.store.checkpoint import SUFFIX, load_checkpoint, read_metadata, save_checkpoint
from undertow.store.metrics import MARK

__all__ = [
    "BestCheckpoints",
    "LastCheckpoints",
    "Ranked",
    "last_first",
    "load_newest",
    "newest_metadata",
    "rank_checkpoints",
]

Tree = TypeVar("Tree")
_UPDATE = re.compile(rf"(best|last)_update_(\d+){re.escape(SUFFIX)}")
_log = logging.getLogger(__name__)

_OF_SEEDS = (float, [float])
_NUMBERS = {...: {"dtype": str, "values": [(float, bool, [(float, bool)])]}}
OF_RUNS = {
    "update": int,
    "?run": (str, None),
    "?preset": str,
    "?config": dict,
    "?seeds": [int],
    "?member": int,
    "metrics": {...: _OF_SEEDS},
    "recorder": {
        "?lost": [bool],
        "begun": (None, {...: _OF_SEEDS}),
        "pending": _NUMBERS,
        "seconds": float,
        "metrics_csv": MARK,
    },
}
"""The shape of the metadata of a run's checkpoints."""
_BEST = {"metric": str, "mode": str, "value": float, "update": int}


class Ranked(NamedTuple):
    """One of the best checkpoints of a run: its file, the metric's value and the number of updates behind it."""

    path: Path
    value: float
    update: int


class BestCheckpoints:
    """Keeps the `keep` best checkpoints by one named metric, as `best_update_000400.safetensors` and so on.

    A better one is written whole before the one it displaces is removed, so at every instant, also after a kill, at
    least the `keep` best are on the disk and complete. Each file carries metric, mode, value and update in its
    metadata, and the ranking is read from the files themselves: there is no index that could disagree with them, and a
    run that is opened again goes on where it was. Of equal values the earlier one ranks first.

    **Arguments**

    - `folder`: the directory, made when first needed.
    - `metric`: the metric's name.
    - `mode`: "min" if less of it is better, "max" if more.
    - `keep`: how many to keep, 1 or more.
    - `run`: the run they are of; others in the directory are named in a warning and left alone. None: all are taken.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        metric: str,
        mode: Literal["min", "max"] = "min",
        keep: int = 3,
        run: str | None = None,
    ):
        require(mode in ("min", "max"), f"mode must be 'min' or 'max', got {mode!r}")
        keep = whole_number("keep", keep)
        self.folder, self.metric, self.mode, self.keep = Path(folder), metric, mode, keep
        self._ranked: list[Ranked] = []
        for ranked, found in _scan(self.folder, run):
            require(
                found == (metric, mode),
                f"{ranked.path} was kept for the {found[1]} of {found[0]!r}, not the {mode} of {metric!r}; "
                f"use another directory",
            )
            self._ranked.append(ranked)
        self._ranked.sort(key=self._key)

    def offer(self, value: Any, update: int, tree: Any, metadata: Mapping[str, Any] | None = None) -> Path | None:
        """Keep `tree` if `value` is among the best so far.

        **Returns** the file it was written to, or None if it was not good enough. A value that is not finite never is.

        **Raises** `UndertowError` if it cannot be written; the best so far are then all still there.
        """
        value, update = float(value), int(update)
        if not math.isfinite(value):
            return None
        new = Ranked(self.folder / f"best_update_{update:06d}{SUFFIX}", value, update)
        candidates = sorted([*(old for old in self._ranked if old.update != update), new], key=self._key)
        if new not in candidates[: self.keep]:
            return None
        try:
            self.folder.mkdir(exist_ok=True)  # but not what it is in: a run that was removed has ended
        except OSError as error:
            raise write_error(self.folder, error) from error
        best = {"metric": self.metric, "mode": self.mode, "value": value, "update": update}
        save_checkpoint(new.path, tree, {**(metadata or {}), "best": best})
        self._ranked = candidates
        self.prune()
        return new.path

    def prune(self) -> None:
        """Remove what has been displaced, and a kill left."""
        for displaced in self._ranked[self.keep :]:
            _remove(displaced.path)
        self._ranked = self._ranked[: self.keep]

    def ranking(self) -> list[Ranked]:
        """The checkpoints kept, best first."""
        return list(self._ranked[: self.keep])

    def _key(self, ranked: Ranked) -> tuple[float, int]:
        return (ranked.value if self.mode == "min" else -ranked.value, ranked.update)


class LastCheckpoints:
    """Keeps the `keep` newest checkpoints, as `last_update_000400.safetensors` and so on.

    A new one is written whole before an older one is removed. Each has all that its run needs to go on.

    **Arguments:** `folder`: the directory, which must exist; `keep`: how many to keep, 1 or more.
    """

    def __init__(self, folder: Path | str, *, keep: int = 2):
        keep = whole_number("keep", keep)
        self.folder, self.keep = Path(folder), keep

    def save(self, update: int, tree: Any, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write `tree` as the newest. **Returns** its file. **Raises** `UndertowError` if it cannot be written."""
        new = self.folder / f"last_update_{update:06d}{SUFFIX}"
        save_checkpoint(new, tree, metadata)
        self.prune(update)
        return new

    def prune(self, update: int) -> None:
        """Of those up to an update remove all but the newest, also what a kill left."""
        older = [path for path, of in last_first(self.folder) if of <= update]
        for path in older[self.keep :]:
            _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # one too many does no harm, and the run is worth more
        path.unlink(missing_ok=True)


def last_first(folder: Path) -> list[tuple[Path, int]]:
    """The files of `LastCheckpoints` and the updates behind them, newest first."""
    return _by_update(folder, "last_update_*")


def load_newest(folder: Path, like: Tree, run: str | None = None) -> tuple[Tree, dict[str, Any], Path] | None:
    """The newest checkpoint that is whole and of this run, whichever it was kept for.

    **Arguments:** `folder`; `like` as in [`load_checkpoint`][undertow.store.checkpoint.load_checkpoint]; `run`: its name
    in their metadata (None: any). **Returns** the tree, its metadata and its file; None if there is none. One that is damaged
    or foreign is named in a warning of the log.
    """
    for path in _to_go_on_from(folder):
        try:
            tree, metadata = load_checkpoint(path, like)
            check_shape(metadata, OF_RUNS, path)
            _check_run(path, metadata, run)
        except UndertowError as error:
            _log.warning("skipped: %s", error)
            continue
        return tree, metadata, path
    return None


def newest_metadata(folder: Path) -> list[dict[str, Any]]:
    """The metadata of every checkpoint that is whole and can be gone on from, newest first."""
    found = []
    for path in _to_go_on_from(folder):
        with contextlib.suppress(UndertowError):
            metadata = read_metadata(path)
            check_shape(metadata, OF_RUNS, path)
            found.append(metadata)
    return found


def _to_go_on_from(folder: Path) -> list[Path]:
    """All checkpoints, newest first."""
    return [path for path, _ in _by_update(folder, "*_update_*")]


def _by_update(folder: Path, pattern: str) -> list[tuple[Path, int]]:
    """Of equal updates the one to go on from comes first, which is `last`: written after `best`."""
    matches = [(path, _UPDATE.fullmatch(path.name)) for path in folder.glob(pattern + SUFFIX)]
    found = [(path, int(match[2])) for path, match in matches if match]
    return sorted(found, key=lambda each: (each[1], each[0].name), reverse=True)


def _check_run(path: Path, metadata: Mapping[str, Any], run: str | None) -> None:
    require(
        run in (None, metadata.get("run")),
        f"{path} is a checkpoint of another run, {metadata.get('run')}, and this one is {run}",
    )


def rank_checkpoints(folder: Path | str) -> list[Ranked]:
    """The best checkpoints in a directory, best first, by the metric and mode that the files themselves name.

    A damaged or foreign file is named in a warning of the log and left out. Raises `UndertowError` if the files were
    kept for different metrics.
    """
    entries = _scan(Path(folder))
    kinds = {kind for _, kind in entries}
    require(len(kinds) <= 1, f"{folder} holds best checkpoints of different metrics: {sorted(kinds)}")
    sign = -1.0 if any(mode == "max" for _, mode in kinds) else 1.0
    return sorted((ranked for ranked, _ in entries), key=lambda ranked: (sign * ranked.value, ranked.update))


def _scan(folder: Path, run: str | None = None) -> list[tuple[Ranked, tuple[str, str]]]:
    entries = []
    for path in sorted(folder.glob(f"best_update_*{SUFFIX}")):
        try:
            metadata = read_metadata(path)
            _check_run(path, metadata, run)
            best: Any = metadata.get("best")
            require(best is not None, f"{path} does not say which metric it was kept for")
            check_shape(best, _BEST, path)
            ranked = Ranked(path, float(best["value"]), best["update"])
            require(math.isfinite(ranked.value), f"{path} is damaged: its metric is {best['value']}")
            entries.append((ranked, (best["metric"], best["mode"])))
        except UndertowError as error:
            _log.warning("skipped: %s", error)
    return entries
