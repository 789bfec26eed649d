"""Run directories: everything a training run leaves behind, in one place that no other run ever writes to.

    runs/last           a link to the newest of them
    runs/burgers/20260131-142501/
        config.json     the preset's name and the full configuration: enough to run it again
        run.json        versions, machine, git state, command line, start, end, status, every time it was resumed
        metrics.csv     one row per evaluation (and seed, of a run of several), appended and flushed
        summary.json    the results, written at the end
        checkpoints/    best_update_*.safetensors, last_update_*.safetensors
        figures/
        .lock           held by the process at work

All but `metrics.csv` are written atomically, and so is the directory itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from undertow._checks import UndertowError, at_home, require
from undertow._io import (
    atomic_write_text,
    draft_name,
    make_draft,
    make_folder,
    place,
    remove_drafts,
    require_free,
    set_aside,
    taken,
    to_json,
    write_error,
)
from undertow._reader import is_regular
from undertow.store import recover as _recover
from undertow.store._lock import Lock, is_held
from undertow.store.checkpoint import SUFFIX
from undertow.store.keeping import last_first, rank_checkpoints
from undertow.store.machine import describe_machine, git_state, without_home
from undertow.store.metrics import Mark, MetricsTable, medians
from undertow.store.recover import FORMAT_VERSION

__all__ = ["RunDirectory", "Status"]

Status = Literal["running", "finished", "interrupted", "failed", "killed"]
"""`killed`: it says that it is running, but no process is at work in it."""
_log = logging.getLogger(__name__)


class RunDirectory:
    """A directory that belongs to one run. Make one with `RunDirectory.create`, read one with `RunDirectory.open`, go on with
    one with `RunDirectory.reopen`.

    As a context manager it notes how the run ended: finished, interrupted by the user, or failed with the reason.
    `seeds` are those of a run that trains several side by side; without any it has the one of its configuration.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], info: dict[str, Any], lock: Lock | None = None):
        self.path = path
        self.preset: str = about["preset"]
        self.config: dict[str, Any] = about["config"]
        self.seeds = tuple(about.get("seeds", ()))
        self.info = info
        self.metrics = MetricsTable(path / "metrics.csv")
        self._lock = lock
        self._repairs: list[Callable[[], None]] = []
        self._removed = False
        self._made: tuple[Path, ...] = ()  # folders above it that were made for it, the innermost first
        self._unlink: Callable[[], None] = lambda: None
        self._started = time.monotonic()
        self._seconds = info.get("seconds") or 0.0  # of earlier sessions

    @classmethod
    def create(
        cls,
        path: Path | str | None = None,
        *,
        preset: str,
        config: Mapping[str, Any],
        seeds: Sequence[int] = (),
        command: Sequence[str] | None = None,
        root: Path | str = "runs",
        code: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a new directory with `config.json` and `run.json` in it. It appears whole, and locked by this process.

        **Arguments**

        - `path`: where, which must not exist yet; None makes `<root>/<preset>/<time>`, with -2, -3 ... behind it
            if another run began in the same second, and links `<root>/last` to it.
        - `preset`: the preset's name.
        - `config`: the full configuration, of JSON's types (tuples, paths and numpy scalars are converted).
        - `seeds`: of a run that trains several side by side.
        - `command`: the command line, to be noted down; None for a run started from Python.
        - `root`: the parent of all default paths.
        - `code`: files of code from outside the package that the run needs, copied into it: a name and the text of each.

        **Raises** `UndertowError` if the path exists or cannot be made; nothing is touched then.
        """
        require(
            preset not in ("", ".", "..", "last") and not set(preset) & set("/\\"),
            f"a preset's name is part of a path and must be a plain word other than 'last', got {preset!r}",
        )
        name = uuid.uuid4().hex
        about = _recover.describe_config(name, preset, {str(key): value for key, value in config.items()}, seeds)
        config_text = to_json(about) + "\n"  # before anything is made on the disk
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        root = at_home(root)
        wanted = root / preset / stamp if path is None else require_free(path)
        made = tuple(folder for folder in wanted.parents if not folder.exists())
        draft = make_draft(wanted, all_names=path is None)
        lock = Lock(draft)
        try:
            lock.acquire()
            info = {
                "format": FORMAT_VERSION,
                "id": name,
                "preset": preset,
                "status": "running",
                "reason": None,
                "start": _now(),
                "end": None,
                "seconds": None,
                "command": without_home(command),
                "git": git_state(),
                **describe_machine(),
                "resumed": [],
            }
            for folder in ("checkpoints", "figures", *(["code"] if code else [])):
                make_folder(draft / folder)
            for file, text in (code or {}).items():
                atomic_write_text(draft / "code" / file, text)
            atomic_write_text(draft / "config.json", config_text)
            atomic_write_text(draft / "run.json", to_json(info) + "\n")
            lock.folder = found = _place(draft, wanted, numbered=path is None)
        except BaseException:
            lock.release()
            shutil.rmtree(draft, ignore_errors=True)  # made above, for this run alone
            raise
        directory = cls(found, about, info, lock)
        directory._made = made
        if path is None:
            directory._unlink = _link(root / "last", found)
        return directory

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Read a run directory that exists. Raises `UndertowError` naming what is missing or damaged."""
        path = at_home(path)
        _recover.require_run(path)
        return cls(path, _recover.read_config(path), _recover.read_info(path))

    @classmethod
    def reopen(cls, path: Path | str) -> Self:
        """Open a run to go on with it, locked by this process. Nothing is changed before `mend`.

        A `config.json` or `run.json` that is damaged, missing or of another run is read from the newest checkpoint.

        **Raises** `UndertowError` if another process is at work in it, or if it cannot be mended.
        """
        path = at_home(path)
        _recover.require_directory(path)
        require(
            any(os.path.lexists(path / each) for each in ("config.json", "run.json", "checkpoints")),
            f"{path} is not a run directory: it has neither config.json nor checkpoints",
        )
        _recover.mend(path)  # what cannot be mended is not even locked, which would make a file in it
        lock = Lock(path)
        lock.acquire()
        try:
            config, info, repairs = _recover.mend(path)
        except BaseException:
            lock.release()
            raise
        directory = cls(path, config, info, lock)
        directory._repairs = repairs
        return directory

    def mend(self) -> None:
        """Remove what a killed process left half done, and restore what `reopen` found damaged, with a warning in the log."""
        try:
            for folder in (self.path, self.checkpoints, self.figures):
                if os.path.lexists(folder) and not folder.is_dir():
                    _log.warning("%s was no directory, and is kept as %s", folder, set_aside(folder).name)
                folder.mkdir(exist_ok=True)
                remove_drafts(folder)
            ours = [self.path / name for name in ("metrics.csv", "summary.json")]
            for file in (*ours, *self.checkpoints.glob(f"*{SUFFIX}")):
                if os.path.lexists(file) and not is_regular(file):
                    _log.warning("%s was no file, and is kept as %s", file, set_aside(file).name)
        except OSError as error:
            raise write_error(self.path, error) from error
        for repair in self._repairs:
            repair()
        self._repairs = []

    def require_here(self) -> None:
        """Raise `UndertowError` if the directory has been removed or renamed since it was opened, or is another one now."""
        require(
            self._lock is None or self._lock.is_here(),
            f"{self.path} was removed or renamed while the run was at work in it; nothing more is written",
        )

    def resumed(self, update: int, config: Mapping[str, Any], command: Sequence[str] | None = None) -> None:
        """Note that the run goes on: after how many updates, with which configuration (its number of updates may have grown),
        by which command, on which machine. It is `running` again."""
        self.mend()
        self.config = {str(key): value for key, value in config.items()}
        about = _recover.describe_config(self.id, self.preset, self.config, self.seeds)
        atomic_write_text(self.path / "config.json", to_json(about) + "\n")
        session = {"start": _now(), "update": update, "command": without_home(command), "git": git_state()}
        sessions = [*self.info.get("resumed", []), {**session, **describe_machine()}]
        self.info = {**self.info, "status": "running", "reason": None, "end": None, "resumed": sessions}
        self._write_info()

    @property
    def id(self) -> str:
        """What tells this run's files from another's."""
        return self.info["id"]

    @property
    def checkpoints(self) -> Path:
        """The directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def code(self) -> Path:
        """The directory of copies of code from outside the package; there is none where the run needs none."""
        return self.path / "code"

    @property
    def figures(self) -> Path:
        """The directory of the figures."""
        return self.path / "figures"

    @property
    def status(self) -> Status:
        """running, finished, interrupted, failed or killed."""
        if self.info["status"] == "running" and not is_held(self.path):
            return "killed"
        return self.info["status"]

    def checkpoint(self, which: str = "best") -> Path:
        """The file of a checkpoint: "best", "last", or a file's name in `checkpoints/`.

        **Raises** `UndertowError` if there is none, saying what there is.
        """
        if which == "best":
            files = [ranked.path for ranked in rank_checkpoints(self.checkpoints)]
        elif which == "last":
            files = [path for path, _ in last_first(self.checkpoints)]
        else:
            files = [self.checkpoints / which]
        for path in files:
            if path.is_file():
                return path
        there = sorted(path.stem for path in self.checkpoints.glob(f"*{SUFFIX}"))
        raise UndertowError(f"{self.path} has no checkpoint {which!r}; it has {', '.join(there) or 'none at all'}")

    def append_metrics(self, *rows: Mapping[str, Any]) -> None:
        """Append rows to `metrics.csv`; see [`MetricsTable.append`][undertow.store.metrics.MetricsTable.append]."""
        self.require_here()
        self.metrics.append(*rows)

    def mark_metrics(self) -> Mark:
        """This moment of `metrics.csv`."""
        return self.metrics.mark()

    def rewind_metrics(self, mark: Mark) -> None:
        """Take `metrics.csv` back to a moment; what was wrong with it is a warning in the log."""
        wrong = self.metrics.rewind(mark)
        if wrong is not None:
            _log.warning("%s", wrong)

    def read_metrics(self) -> dict[str, np.ndarray]:
        """`metrics.csv` by column; see [`MetricsTable.read`][undertow.store.metrics.MetricsTable.read].

        Of several seeds it has the medians, in which one that is not finite counts as infinite; NaN where none has a value."""
        return medians(self.read_seeds())

    def read_seeds(self) -> dict[str, np.ndarray]:
        """`metrics.csv` by column: `update`, and all else as `"measured seeds"`."""
        there = os.path.lexists(self.path / "metrics.csv")
        require(there, f"{self.path} has no metrics.csv: the run ended before its first evaluation")
        return self.metrics.read_seeds(self.seeds)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`, atomically. What is not finite becomes the string "nan", "inf" or "-inf"."""
        self.require_here()
        atomic_write_text(self.path / "summary.json", to_json(summary) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """What `summary.json` holds. Raises `UndertowError` if it is missing or damaged."""
        there = os.path.lexists(self.path / "summary.json")
        require(there, f"{self.path} has no summary.json: the run is {self.status}, it was not evaluated")
        return _recover.read_summary(self.path)

    def finish(self, status: Status = "finished", reason: str | None = None) -> None:
        """Note in `run.json` how the run ended, when, and after how many seconds of all its sessions. Unlocks it."""
        require(status in ("finished", "interrupted", "failed"), f"a run cannot end as {status!r}")
        seconds = round(self._seconds + time.monotonic() - self._started, 3)
        self.info = {**self.info, "status": status, "reason": reason, "end": _now(), "seconds": seconds}
        self._write_info()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            if self._removed:
                pass
            elif error is None:
                if self.info["status"] == "running":
                    self.finish()
            elif isinstance(error, KeyboardInterrupt):
                self.finish("interrupted", "stopped by the user")
            else:
                text = " ".join(str(error).split())
                self.finish("failed", text if isinstance(error, UndertowError) else f"{type(error).__name__}: {text}")
        except UndertowError as second:  # the disk is full, say: the first error is the one to tell
            if error is None:
                raise
            _log.warning("the end of the run could not be noted: %s", second)
        finally:
            self.close()

    def _write_info(self) -> None:
        self.require_here()
        atomic_write_text(self.path / "run.json", to_json(self.info) + "\n")

    def remove(self) -> None:
        """Remove the directory, and the link to it: of a run that has come to nothing."""
        if self._lock is not None and self._lock.is_here():
            shutil.rmtree(self.path, ignore_errors=True)
            self._removed = True
            self._unlink()
            for folder in self._made:
                with contextlib.suppress(OSError):  # something else is in it by now
                    folder.rmdir()

    def close(self) -> None:
        """Unlock it, whatever it says of its status."""
        if self._lock is not None:
            self._lock.release()


def _place(draft: Path, wanted: Path, *, numbered: bool) -> Path:
    """Give the draft its name, or the next that is free."""
    for attempt in range(1, 1000 if numbered else 2):
        path = wanted if attempt == 1 else wanted.with_name(f"{wanted.name}-{attempt}")
        if place(draft, path):
            return path
    if not numbered:
        raise taken(wanted)
    raise UndertowError(f"{wanted.parent} already holds a thousand runs of this second; choose a directory for the run")


def _link(link: Path, target: Path) -> Callable[[], None]:
    """Point `link` at a run. A file or directory of that name is left alone; a run does not fail for want of a link.

    Returns what takes it back.
    """
    if link.exists() and not link.is_symlink():
        _log.warning("%s is not a link and is left as it is", link)
        return lambda: None
    before = os.readlink(link) if link.is_symlink() else None
    now = os.path.relpath(target, link.parent)
    _point(link, now)

    def back() -> None:
        with contextlib.suppress(OSError):
            if os.readlink(link) == now:  # else another run has begun meanwhile
                link.unlink() if before is None else _point(link, before)

    return back


def _point(link: Path, target: str) -> None:
    remove_drafts(link.parent, link.name)
    draft = draft_name(link)
    with contextlib.suppress(OSError):
        draft.symlink_to(target, target_is_directory=True)
        os.replace(draft, link)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
