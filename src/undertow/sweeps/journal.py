"""The journal of a sweep: one line of JSON for everything that happened, written by any number of processes.

Optuna's `JournalStorage` replays the lines, so each has to be there, whole and in order. Every line carries a check sum over
itself and all lines before it. A process that is killed, or a full disk, may leave half a line at the end. Nobody has counted
it yet, so the next writer cuts it off. Any other damage is an error that names the line.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from undertow import _flock
from undertow._checks import UndertowError, require
from undertow._io import write_error
from undertow._reader import is_regular, read_error

_logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds after which a process that waits for the journal's lock says so."""

ADVICE = "give the sweep's own command again, which goes on from the trials' checkpoints"
"""What helps where a record of the trials is lost."""

_SEALED = re.compile(rb'(\{.*),"sum":(\d{1,10})\}')


class Journal:
    """What Optuna's `JournalStorage` reads its records from and appends them to (its `BaseJournalBackend`).

    **Arguments:** `file`: the journal; `new`: whether it may be made.

    **Raises:** `UndertowError` for a file that is missing, is no file, or cannot be read or written.
    """

    def __init__(self, file: Path, *, new: bool = False):
        self.file = file
        # Where each line known so far ends, and the check sum up to there.
        self._ends, self._sums = [0], [0]
        require(
            not file.exists() or is_regular(file), f"{file} is no file; move it away and give the same command again"
        )
        if new:
            try:
                file.open("ab").close()
            except OSError as error:
                raise write_error(file, error) from error

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Every record from this number on."""
        with self._opened("rb") as file:
            self._look(file)
            require(log_number_from < len(self._ends), f"{self.file} is shorter than it was; move it away and {ADVICE}")
            file.seek(self._ends[log_number_from])
            lines = file.read(self._ends[-1] - self._ends[log_number_from]).split(b"\n")[:-1]
        return [self._record(line, log_number_from + index + 1) for index, line in enumerate(lines)]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records at the end, whole or not at all, in the place of half a line that a killed writer left there."""
        with self._opened("r+b") as file:
            self._look(file)
            end = self._ends[-1]
            text = _sealed(logs, self._sums[-1])
            try:
                if file.seek(0, os.SEEK_END) > end:
                    _logger.warning("%s ended in half a line, which is cut off", self.file)
                    file.truncate(end)
                try:
                    file.seek(end)
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.ftruncate(file.fileno(), end)
                    raise
            except OSError as error:
                raise write_error(self.file, error) from error

    def _look(self, file: BinaryIO) -> None:
        """Take note of the lines that were added since the last look."""
        try:
            size = file.seek(0, os.SEEK_END)
            require(size >= self._ends[-1], f"{self.file} is shorter than it was; move it away and {ADVICE}")
            file.seek(self._ends[-1])
            for line in file.read().split(b"\n")[:-1]:
                self._note(line)
        except OSError as error:
            raise read_error(self.file, error) from error

    def _note(self, line: bytes) -> None:
        number = len(self._ends)
        sealed = _SEALED.fullmatch(line)
        body = sealed[1] + b"}" if sealed else line
        total = zlib.crc32(body, self._sums[-1])
        if sealed and int(sealed[2]) != total:
            raise self._damaged(number)
        self._record(line, number)
        self._ends.append(self._ends[-1] + len(line) + 1)
        self._sums.append(total)

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise self._damaged(number) from None
        if not (isinstance(record, dict) and isinstance(record.get("op_code"), int) and "worker_id" in record):
            raise self._damaged(number)
        record.pop("sum", None)
        return record

    def _damaged(self, number: int) -> UndertowError:
        return UndertowError(f"{self.file} is damaged in line {number}; move it away and {ADVICE}")

    @contextlib.contextmanager
    def _opened(self, mode: str) -> Iterator[BinaryIO]:
        """The file, locked: by one that writes, or by any number that read."""
        try:
            file: Any = open(self.file, mode)  # noqa: SIM115  # closed below, which gives the lock back
        except FileNotFoundError:
            raise UndertowError(f"{self.file} is missing; {ADVICE}") from None
        except OSError as error:
            raise (read_error if mode == "rb" else write_error)(self.file, error) from error
        with file:
            self._lock(file, shared=mode == "rb")
            yield file

    def _lock(self, file: BinaryIO, *, shared: bool) -> None:
        """A worker needs locks for its trials anyway, see `Locks`; without them only `--summary` comes so far."""
        began, told = time.monotonic(), False
        with contextlib.suppress(OSError):
            while not _flock.flock(file.fileno(), shared=shared):
                if not told and time.monotonic() - began > PATIENCE:
                    _logger.warning("waiting for another process, which holds the lock of %s", self.file)
                    told = True
                time.sleep(0.002)


def _sealed(logs: Sequence[dict[str, Any]], total: int) -> bytes:
    """Records as lines, each with the check sum up to it."""
    lines = []
    for log in logs:
        body = json.dumps(log, separators=(",", ":")).encode()
        total = zlib.crc32(body, total)
        lines.append(b'%b,"sum":%d}\n' % (body[:-1], total))
    return b"".join(lines)
