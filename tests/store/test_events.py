"""Event files say what metrics.csv says, in TensorBoard's own format, and never stop a run."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
from pathlib import Path

import pytest

from undertow._checks import UndertowError
from undertow.store.events import EventLog, open_events


def events(file: Path) -> list:
    """The records of an event file: length, checksum, data, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def test_rows_come_back(tmp_path: Path):
    with contextlib.closing(EventLog(tmp_path / "tensorboard")) as log:
        log.write({"update": 0, "loss": None, "ratio": 0.5})
        log.write({"update": 50, "loss": float("nan"), "ratio": 0.25, "skipped": 3})
    (file,) = (tmp_path / "tensorboard").iterdir()
    first, *rows = events(file)
    assert first.file_version == "brain.Event:2"
    assert [(row.step, {value.tag: value.simple_value for value in row.summary.value}) for row in rows] == [
        (0, {"ratio": 0.5}),
        (50, {"ratio": 0.25, "skipped": 3.0}),
    ]


def test_a_later_session_takes_back_what_came_after_its_checkpoint(tmp_path: Path):
    """By TensorBoard's rule: a session that starts at a step makes it forget that step and all after it."""
    for after in (0, 50):
        with contextlib.closing(EventLog(tmp_path, after=after)) as log:
            log.write({"update": after + 10, "loss": 1.0})
    sessions = [[event for event in events(file) if event.HasField("session_log")] for file in tmp_path.iterdir()]
    assert sorted(map(len, sessions)) == [0, 1]
    assert [event.step for (event,) in (each for each in sessions if each)] == [51]


def test_a_full_disk_is_said_once_and_stops_nothing(tmp_path: Path, monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with contextlib.closing(EventLog(tmp_path)) as log:
        log.write({"update": 0, "loss": 1.0})
        monkeypatch.setattr(os, "fsync", fail)
        for update in (1, 2):
            log.write({"update": update, "loss": 1.0})
    assert [message for message in caplog.messages if "No space left" in message] == caplog.messages[:1]


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert open_events(None) is False and open_events(False) is False
    with pytest.raises(UndertowError, match=r"pip install 'undertow\[tensorboard\]'"):
        open_events(True)
