"""`metrics.csv`: a table that grows by a line at a time, is whole at every instant, and can be taken back to an earlier one."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from undertow._checks import UndertowError, nearest, require
from undertow.training._files import atomic_write_bytes, read_error, set_aside, write_error


class Mark(TypedDict):
    """A moment in the table's life: its length then, and the SHA-256 of it."""

    bytes: int
    sha256: str


START: Mark = {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}
"""Before the first row."""


class MetricsTable:
    """The table of one run. Nothing is read or made before it is needed.

    **Arguments:** `path`: the file, `metrics.csv` of a run directory.
    """

    def __init__(self, path: Path):
        self.path = path
        self._columns: list[str] | None = None
        self._hash: Any = None
        self._size = 0

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one row, in one write, so that a reader sees it whole.

        The first row's names, in their order, become the header: give None for a column that has no value yet. Later
        rows may leave columns out, but not add any.

        **Raises** `UndertowError` for a name that the header lacks, a value that is not one number, or a file that
        cannot be written; a row that got only half onto a full disk is taken back.
        """
        cells = {str(name): _number(str(name), value) for name, value in row.items()}
        lines = []
        self._open()
        if self._columns is None:
            require(bool(cells), "the first row of metrics names the columns, and it is empty")
            lines.append(list(cells))
        columns = self._columns or list(cells)
        for name in cells:
            require(name in columns, f"metric {name!r} is not a column of {self.path}{nearest(name, columns)}")
        lines.append([cells.get(name, "") for name in columns])
        data = _to_csv(lines)
        _append(self.path, data)
        self._hash.update(data)
        self._size += len(data)
        self._columns = columns

    def read(self) -> dict[str, np.ndarray]:
        """One float64 array per column, NaN where a row has no value.

        A last line without its line end (the run was killed while writing it) is left out. **Raises** `UndertowError`
        if the file is missing, empty or damaged, naming the line.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
            rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
        except OSError as error:
            raise read_error(self.path, error) from error
        except (ValueError, csv.Error) as error:
            raise UndertowError(f"{self.path} is damaged: it is not a text table") from error
        require(bool(rows) and bool(rows[0]), f"{self.path} is empty")
        values = []
        for number, row in enumerate(rows[1:], start=2):
            try:
                values.append(_values(row, len(rows[0])))
            except ValueError as error:
                raise UndertowError(f"{self.path}, line {number} is damaged: {error}") from error
        table = np.array(values, np.float64).reshape(len(values), len(rows[0]))
        return {name: table[:, column] for column, name in enumerate(rows[0])}

    def mark(self) -> Mark:
        """This moment, for `rewind`. Raises `UndertowError` if the file cannot be read."""
        self._open()
        return {"bytes": self._size, "sha256": self._hash.hexdigest()}

    def rewind(self, mark: Mark) -> str | None:
        """Take the table back to an earlier moment, byte for byte.

        Where that cannot be, because the file is missing or damaged, the rows up to that moment that can still be read are
        kept, and the damaged file stays beside it. **Returns** what was wrong, or None. **Raises** `UndertowError` if the
        file cannot be read or written.
        """
        data = self._bytes()
        self._hash = None
        self._columns = None
        if len(data) >= mark["bytes"] and hashlib.sha256(data[: mark["bytes"]]).hexdigest() == mark["sha256"]:
            if mark["bytes"] == 0:
                self.path.unlink(missing_ok=True)
            elif len(data) > mark["bytes"]:
                os.truncate(self.path, mark["bytes"])
            return None
        if not data:
            self.path.unlink(missing_ok=True)
            return f"{self.path} is missing or empty; it begins anew"
        rows, lost = _salvage(data[: mark["bytes"]])
        aside = set_aside(self.path)
        if len(rows) > 1:
            atomic_write_bytes(self.path, _to_csv(rows))
        kept, name = max(len(rows) - 1, 0), aside.name
        return f"{self.path} was damaged, and is kept as {name}; {kept} of its rows go on, {lost} could not be read"

    def _open(self) -> None:
        """Read what is there, once. A last line that a kill cut short is taken off."""
        if self._hash is not None:
            return
        data = self._bytes()
        whole = data.rfind(b"\n") + 1
        try:
            if whole < len(data):
                os.truncate(self.path, whole)
            self._columns = next(csv.reader(io.StringIO(data[:whole].decode("utf-8"))), None)
        except OSError as error:
            raise write_error(self.path, error) from error
        except (ValueError, csv.Error) as error:
            raise UndertowError(f"{self.path} is damaged: it is not a text table") from error
        self._hash, self._size = hashlib.sha256(data[:whole]), whole

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise read_error(self.path, error) from error


def _salvage(data: bytes) -> tuple[list[list[str]], int]:
    """The header and the rows that are numbers, and how many lines are not."""
    lines = data[: data.rfind(b"\n") + 1].decode("utf-8", errors="replace").splitlines()
    rows = [row for line in lines for row in csv.reader([line])]
    header, *rest = rows or [[]]
    if "update" not in header:
        return [], len(rows)
    good = []
    for row in rest:
        try:
            _values(row, len(header))
            good.append(row)
        except ValueError:
            continue
    return [header, *good], len(rest) - len(good)


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
