"""Event files for TensorBoard, through tensorboardX (the extra `tensorboard`)."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertow._checks import UndertowError, import_extra

_log = logging.getLogger(__name__)
_MODULES = (
    "tensorboardX",
    *(f"tensorboardX.{each}" for each in ("event_file_writer", "proto.event_pb2", "proto.summary_pb2")),
)


def open_events(wanted: bool | None) -> bool:
    """Whether to write event files: as wanted, or, for None, if tensorboardX is installed and works.

    **Raises:** `UndertowError` if they are wanted and it does not.
    """
    if wanted is False:
        return False
    try:
        import_extra("event files need tensorboardX", "tensorboard", *_MODULES)
    except UndertowError as error:
        if wanted:
            raise
        if importlib.util.find_spec("tensorboardX") is not None:  # there, and broken
            _log.warning("no event files for TensorBoard: %s", error)
        return False
    return True


def _library() -> tuple[Any, Any, Any, Any]:
    # Not its SummaryWriter: that writes in a thread of its own, and waits for it for ever once the disk is full.
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary

    return EventsWriter, Event, SessionLog, Summary


class EventLog:
    """The rows of `metrics.csv` as scalars of TensorBoard.

    They are a copy for looking at: where they cannot be written a warning says so, once, and the run goes on without.

    **Arguments:** `folder`: made when first needed; `after`: TensorBoard forgets what an earlier session, since killed, wrote
    of later updates.
    """

    def __init__(self, folder: Path, *, after: int = 0):
        self.folder, self._after = folder, after
        self._writer: Any = None
        self._failed = False

    def write(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of a row that has its place in time under `update`. What is not finite has no place in a plot; it
        stands in `metrics.csv`."""
        if self._failed:
            return
        try:
            self._write(row)
        except Exception as error:  # a full disk; or whatever a broken package may raise
            self._failed = True
            reason = getattr(error, "strerror", None) or error
            _log.warning("no more event files for TensorBoard in %s: %s", self.folder, reason)

    def _write(self, row: Mapping[str, Any]) -> None:
        EventsWriter, Event, SessionLog, Summary = _library()
        step = int(row["update"])
        if self._writer is None:
            self.folder.mkdir(exist_ok=True)
            # Two sessions may begin in the same second, which is all that the name has of its own.
            self._writer = EventsWriter(str(self.folder / "events"), f".{secrets.token_hex(4)}")
            if self._after:
                start = SessionLog(status=SessionLog.START)
                self._writer.write_event(Event(wall_time=time.time(), step=self._after + 1, session_log=start))
        values = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in row.items()
            if name != "update" and value is not None and math.isfinite(value)
        ]
        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.flush()
            with contextlib.suppress(Exception):
                self._writer._py_recordio_writer.close()  # its own `close` flushes first, and on a full disk goes no further
