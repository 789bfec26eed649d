"""`metrics.csv`: a table that grows by a line at a time, is whole at every instant, and can be taken back to an earlier one."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from undertow._checks import UndertowError, nearest, require
from undertow._io import atomic_write_bytes, keep_copy, set_aside, write_error
from undertow._reader import is_regular, parse_rows, read_bytes, read_rows


class Mark(TypedDict):
    """A moment in the table's life: its length then, the SHA-256 of it, the line of its header, and a short digest of every
    line, by which a row is known as one of this table's."""

    bytes: int
    sha256: str
    header: str
    lines: list[str]


START: Mark = {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest(), "header": "", "lines": []}
"""Before the first row."""
MARK = {"bytes": int, "sha256": str, "header": str, "lines": [str]}
"""The shape of a `Mark`."""


class MetricsTable:
    """The table of one run. Nothing is read or made before it is needed.

    **Arguments:** `path`: the file, `metrics.csv` of a run directory.
    """

    def __init__(self, path: Path):
        self.path = path
        self._columns: list[str] | None = None
        self._hash: Any = None
        self._size = 0
        self._header = ""
        self._lines: list[str] = []

    def append(self, *rows: Mapping[str, Any]) -> None:
        """Append rows, in one write, so that a reader sees them whole.

        The first row's names, in their order, become the header: give None for a column that has no value yet. Later
        rows may leave columns out, but not add any.

        **Raises** `UndertowError` for a name that the header lacks, a value that is not one number, or a file that
        cannot be written; a row that got only half onto a full disk is taken back.
        """
        table = [{str(name): _number(str(name), value) for name, value in row.items()} for row in rows]
        self._open()
        columns = list(table[0]) if self._columns is None else self._columns
        require(bool(columns), "the first row of metrics names the columns, and it is empty")
        for name in (name for cells in table for name in cells):
            require(name in columns, f"metric {name!r} is not a column of {self.path}{nearest(name, columns)}")
        lines = [[cells.get(name, "") for name in columns] for cells in table]
        data = _to_csv(lines if self._columns is not None else [columns, *lines])
        _append(self.path, data)
        self._note(data)
        self._columns = columns

    def read(self) -> dict[str, np.ndarray]:
        """One float64 array per column, NaN where a row has no value.

        A last line without its line end (the run was killed while writing it) is left out. **Raises** `UndertowError`
        if the file is missing, empty or damaged, naming the line.
        """
        rows = read_rows(self.path)
        require(bool(rows) and bool(rows[0]), f"{self.path} is empty")
        twice = [name for name, count in Counter(rows[0]).items() if count > 1]
        require(not twice, f"{self.path} is damaged: it has two columns {', '.join(map(repr, twice))}")
        values = []
        for number, row in enumerate(rows[1:], start=2):
            try:
                values.append(_values(row, len(rows[0])))
            except ValueError as error:
                raise UndertowError(f"{self.path}, line {number} is damaged: {error}") from error
        table = np.array(values, np.float64).reshape(len(values), len(rows[0]))
        return {name: table[:, column] for column, name in enumerate(rows[0])}

    def read_seeds(self, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The columns of a run's table: `update`, and all else as `"measured seeds"`.

        `seeds`: of a run of several, whose table has a row for each of them; a last measurement that was cut short is left out.
        Raises as `read`, and for a table of something else.
        """
        table, count = self.read(), max(len(seeds), 1)
        whole = len(next(iter(table.values()))) // count
        rows = {name: column[: whole * count].reshape(whole, count) for name, column in table.items()}
        updates = rows.get("update", np.full((1, 1), np.nan))
        require(
            bool(np.all(np.isfinite(updates) & (updates >= 0) & (updates == np.floor(updates)))),
            f"{self.path} is damaged: expected a column 'update' of whole numbers",
        )
        require(bool(np.all(np.diff(updates[:, 0]) > 0)), f"{self.path} is damaged: its updates do not grow")
        if seeds:
            good = "seed" in rows and (rows.pop("seed") == np.array(seeds)).all() and (updates == updates[:, :1]).all()
            require(
                bool(good), f"{self.path} is damaged: expected a row for each of the seeds {', '.join(map(str, seeds))}"
            )
        return {**rows, "update": updates[:, 0]}

    def mark(self) -> Mark:
        """This moment, for `rewind`. Raises `UndertowError` if the file cannot be read."""
        self._open()
        return {
            "bytes": self._size,
            "sha256": self._hash.hexdigest(),
            "header": self._header,
            "lines": list(self._lines),
        }

    def rewind(self, mark: Mark) -> str | None:
        """Take the table back to an earlier moment, byte for byte.

        Where that cannot be, because the file is missing or damaged, those rows are kept that were in the table at that moment,
        and the damaged file stays beside it. **Returns** what was wrong, or None. **Raises** `UndertowError` if the file
        cannot be read or written.
        """
        self._hash = None
        self._columns = None
        if os.path.lexists(self.path) and not is_regular(self.path):
            aside = set_aside(self.path)
            return f"{self.path} was no file, and is kept as {aside.name}; it begins anew"
        data = self._bytes()
        if len(data) >= mark["bytes"] and hashlib.sha256(data[: mark["bytes"]]).hexdigest() == mark["sha256"]:
            if mark["bytes"] == 0:
                self.path.unlink(missing_ok=True)
            elif len(data) > mark["bytes"]:
                os.truncate(self.path, mark["bytes"])
            return None
        if not data:
            self.path.unlink(missing_ok=True)
            return f"{self.path} is missing or empty; it begins anew"
        # Copied before it is replaced: a kill in between loses nothing.
        aside = keep_copy(self.path, data)
        kept = _of_this_table(data, mark)
        if kept:
            atomic_write_bytes(self.path, mark["header"].encode("utf-8") + b"".join(kept))
        else:
            self.path.unlink()
        lost = max(len(mark["lines"]) - 1 - len(kept), 0)
        return (
            f"{self.path} was damaged or of another run, and is kept as {aside.name}; "
            f"{len(kept)} of its rows go on, {lost} are lost"
        )

    def _open(self) -> None:
        """Read what is there, once. A last line that a kill cut short is taken off."""
        if self._hash is not None:
            return
        data = self._bytes()
        whole = data.rfind(b"\n") + 1
        try:
            if whole < len(data):
                os.truncate(self.path, whole)
        except OSError as error:
            raise write_error(self.path, error) from error
        try:
            self._columns = next(iter(parse_rows(self.path, data[:whole].decode("utf-8"))), None)
        except UnicodeDecodeError as error:
            raise UndertowError(f"{self.path} is damaged: it is not a text table") from error
        self._hash, self._size, self._header, self._lines = hashlib.sha256(), 0, "", []
        self._note(data[:whole])

    def _note(self, data: bytes) -> None:
        """The file has grown by these lines."""
        lines = data.splitlines(keepends=True)
        if lines and not self._lines:
            self._header = lines[0].decode("utf-8")
        self._lines += map(_digest, lines)
        self._hash.update(data)
        self._size += len(data)

    def _bytes(self) -> bytes:
        return read_bytes(self.path) if os.path.lexists(self.path) else b""


def medians(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of `read_seeds` with the median of the seeds, where there are several."""

    def middle(values: np.ndarray) -> np.ndarray:
        found = np.median(np.where(np.isfinite(values), values, np.inf), axis=1)
        return np.where(np.isnan(values).all(axis=1), np.nan, found)

    flat = {name: values if values.ndim == 1 else values[:, 0] for name, values in table.items()}
    several = {name: middle(values) for name, values in table.items() if values.ndim > 1 and values.shape[1] > 1}
    return flat | several


def _of_this_table(data: bytes, mark: Mark) -> list[bytes]:
    """The rows that the table had at a moment, and that are still there, in their order."""
    found = {_digest(line): line for line in data.splitlines(keepends=True)}
    return [found[digest] for digest in mark["lines"][1:] if digest in found]


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:12]


def _values(row: list[str], count: int) -> list[float]:
    require(len(row) == count, f"expected {count} values, got {len(row)}")
    return [float(cell) if cell else np.nan for cell in row]


def _to_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


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
