"""Run directories: everything a training run leaves behind, in one place that no other run ever writes to.

    runs/burgers/20260131-142501/
        config.json     the preset's name and the full configuration: enough to run it again
        run.json        versions, machine, git state, command line, start, end, status
        metrics.csv     one row per evaluation, appended and flushed
        summary.json    the results, written at the end
        checkpoints/    best_update_*.safetensors, last.safetensors
        figures/

All but `metrics.csv` are written atomically.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from undertow._checks import UndertowError, nearest, require
from undertow.training._files import atomic_write_text, read_error, read_json, to_json, write_error
from undertow.training._machine import describe_machine, git_state, without_home
from undertow.training.checkpoint import SUFFIX, rank_checkpoints

__all__ = ["RunDirectory"]

Status = Literal["running", "finished", "interrupted", "failed"]
FORMAT_VERSION = 1
_log = logging.getLogger(__name__)


class RunDirectory:
    """A directory that belongs to one run. Make one with `RunDirectory.create`, read one with `RunDirectory.open`.

    As a context manager it notes how the run ended: finished, interrupted by the user, or failed with the reason.
    """

    def __init__(self, path: Path, preset: str, config: dict[str, Any], info: dict[str, Any]):
        self.path = path
        self.preset = preset
        self.config = config
        self.info = info
        self._columns: list[str] | None = None
        self._started = time.monotonic()

    @classmethod
    def create(
        cls,
        path: Path | str | None = None,
        *,
        preset: str,
        config: Mapping[str, Any],
        command: Sequence[str] | None = None,
        root: Path | str = "runs",
    ) -> Self:
        """Make a new directory and write `config.json` and `run.json` into it.

        **Arguments**

        - `path`: where, which must not exist yet; None makes `<root>/<preset>/<time>`, with -2, -3 ... behind it
            if another run began in the same second.
        - `preset`: the preset's name.
        - `config`: the full configuration, of JSON's types (tuples, paths and numpy scalars are converted).
        - `command`: the command line, to be noted down; None for a run started from Python.
        - `root`: the parent of all default paths.

        **Raises** `UndertowError` if the path exists or cannot be made; nothing is touched then.
        """
        require(
            preset not in ("", ".", "..") and not set(preset) & set("/\\"),
            f"a preset's name is part of a path and must be a plain word, got {preset!r}",
        )
        config = {str(key): value for key, value in config.items()}
        config_text = to_json({"preset": preset, "config": config}) + "\n"  # before anything is made on the disk
        path = _make_default(Path(root) / preset) if path is None else _make(Path(path))
        try:
            info = {
                "format": FORMAT_VERSION,
                "preset": preset,
                "status": "running",
                "reason": None,
                "start": _now(),
                "end": None,
                "seconds": None,
                "command": without_home(command),
                "git": git_state(),
                **describe_machine(),
            }
            run = cls(path, preset, config, info)
            run._make_folder(run.checkpoints)
            run._make_folder(run.figures)
            atomic_write_text(path / "config.json", config_text)
            run._write_info()
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # made above, for this run alone, and empty so far
            raise
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Read a run directory that exists. Raises `UndertowError` naming what is missing or damaged."""
        path = Path(path)
        require(path.exists(), f"there is no run directory {path}")
        require(path.is_dir(), f"{path} is a file, but a run directory was expected")
        require((path / "config.json").exists(), f"{path} is not a run directory: it has no config.json")
        config, info = read_json(path / "config.json"), read_json(path / "run.json")
        require(
            isinstance(config, dict)
            and isinstance(config.get("config"), dict)
            and isinstance(config.get("preset"), str),
            f"{path / 'config.json'} is damaged: expected a 'preset' and a 'config'",
        )
        require(isinstance(info, dict) and "status" in info, f"{path / 'run.json'} is damaged: expected a 'status'")
        require(
            info.get("format") == FORMAT_VERSION,
            f"{path} has run format {info.get('format')!r}, this version reads {FORMAT_VERSION}",
        )
        return cls(path, config["preset"], config["config"], info)

    @property
    def checkpoints(self) -> Path:
        """The directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        """The directory of the figures."""
        return self.path / "figures"

    @property
    def last_checkpoint(self) -> Path:
        """The file of the last checkpoint, whether it exists or not."""
        return self.checkpoints / f"last{SUFFIX}"

    @property
    def status(self) -> Status:
        """running, finished, interrupted or failed."""
        return self.info["status"]

    def checkpoint(self, which: str = "best") -> Path:
        """The file of a checkpoint: "best", "last", or a file's name in `checkpoints/`.

        **Raises** `UndertowError` if there is none, saying what there is.
        """
        if which == "best":
            ranking = rank_checkpoints(self.checkpoints)
            if ranking:
                return ranking[0].path
        else:
            path = self.last_checkpoint if which == "last" else self.checkpoints / which
            if path.is_file():
                return path
        there = sorted(path.stem for path in self.checkpoints.glob(f"*{SUFFIX}"))
        raise UndertowError(f"{self.path} has no checkpoint {which!r}; it has {', '.join(there) or 'none at all'}")

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Append one row to `metrics.csv`, in one write, so that a reader sees it whole.

        The first row's names, in their order, become the header: give None for a column that has no value yet. Later
        rows may leave columns out, but not add any.

        **Raises** `UndertowError` for a name that the header lacks, a value that is not one number, or a file that
        cannot be written; a row that got only half onto a full disk is taken back.
        """
        path = self.path / "metrics.csv"
        cells = {str(name): _number(str(name), value) for name, value in row.items()}
        lines = []
        if self._columns is None:
            self._columns = _mend(path)
        if self._columns is None:
            require(bool(cells), "the first row of metrics names the columns, and it is empty")
            lines.append(list(cells))
        columns = self._columns or list(cells)
        for name in cells:
            require(name in columns, f"metric {name!r} is not a column of {path}{nearest(name, columns)}")
        lines.append([cells.get(name, "") for name in columns])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        _append(path, text.getvalue().encode("utf-8"))
        self._columns = columns

    def read_metrics(self) -> dict[str, np.ndarray]:
        """`metrics.csv` as one float64 array per column, NaN where a row has no value.

        A last line without its line end (the run was killed while writing it) is left out. **Raises** `UndertowError`
        if the file is missing, empty or damaged, naming the line.
        """
        path = self.path / "metrics.csv"
        require(path.exists(), f"{self.path} has no metrics.csv: the run ended before its first evaluation")
        try:
            text = path.read_text(encoding="utf-8")
            rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
        except OSError as error:
            raise read_error(path, error) from error
        except (ValueError, csv.Error) as error:
            raise UndertowError(f"{path} is damaged: it is not a text table") from error
        require(bool(rows) and bool(rows[0]), f"{path} is empty")
        values = []
        for number, row in enumerate(rows[1:], start=2):
            try:
                require(len(row) == len(rows[0]), f"expected {len(rows[0])} values, got {len(row)}")
                values.append([float(cell) if cell else np.nan for cell in row])
            except ValueError as error:
                raise UndertowError(f"{path}, line {number} is damaged: {error}") from error
        table = np.array(values, np.float64).reshape(len(values), len(rows[0]))
        return {name: table[:, column] for column, name in enumerate(rows[0])}

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write `summary.json`, atomically. What is not finite becomes the string "nan", "inf" or "-inf"."""
        atomic_write_text(self.path / "summary.json", to_json(summary) + "\n")

    def read_summary(self) -> dict[str, Any]:
        """What `summary.json` holds. Raises `UndertowError` if it is missing or damaged."""
        path = self.path / "summary.json"
        require(path.exists(), f"{self.path} has no summary.json: the run is {self.status}, it was not evaluated")
        return read_json(path)

    def finish(self, status: Status = "finished", reason: str | None = None) -> None:
        """Note in `run.json` how the run ended, when, and after how many seconds."""
        require(status in ("finished", "interrupted", "failed"), f"a run cannot end as {status!r}")
        seconds = round(time.monotonic() - self._started, 3)
        self.info = {**self.info, "status": status, "reason": reason, "end": _now(), "seconds": seconds}
        self._write_info()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None:
            if self.status == "running":
                self.finish()
            return
        try:
            if isinstance(error, KeyboardInterrupt):
                self.finish("interrupted", "stopped by the user")
            else:
                text = " ".join(str(error).split())
                self.finish("failed", text if isinstance(error, UndertowError) else f"{type(error).__name__}: {text}")
        except UndertowError as second:  # the disk is full, say: the first error is the one to tell
            _log.warning("the end of the run could not be noted: %s", second)

    def _write_info(self) -> None:
        atomic_write_text(self.path / "run.json", to_json(self.info) + "\n")

    @staticmethod
    def _make_folder(folder: Path) -> None:
        try:
            folder.mkdir()
        except OSError as error:
            raise write_error(folder, error) from error


def _make(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from error
    try:
        path.mkdir()  # of two processes that come here at once, one makes it and the other one is told
    except FileExistsError:
        raise UndertowError(f"{path} exists already and is left as it is; choose another directory") from None
    except OSError as error:
        raise write_error(path, error) from error
    return path


def _make_default(parent: Path) -> Path:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        for attempt in range(1, 1000):
            path = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise write_error(parent, error) from error
    raise UndertowError(f"{parent} already holds a thousand runs of this second; choose a directory for the run")


def _mend(path: Path) -> list[str] | None:
    """The header of a metrics file, None if there is none. A last line that a kill cut short is taken off."""
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        rows = csv.reader(io.StringIO(data[:whole].decode("utf-8")))
        return next(rows, None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise write_error(path, error) from error
    except (ValueError, csv.Error) as error:
        raise UndertowError(f"{path} is damaged: it is not a text table") from error


def _append(path: Path, data: bytes) -> None:
    try:
        with open(path, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
    except OSError as error:
        raise write_error(path, error) from error


def _number(name: str, value: Any) -> str:
    if value is None:
        return ""
    array = np.asarray(value)
    require(
        array.size == 1 and (array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"),
        f"metric {name!r} must be one number, got {type(value).__name__} of shape {array.shape}",
    )
    item = array.item()
    return repr(int(item)) if isinstance(item, (bool, int)) else repr(float(item))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
