"""A file's lock is held by one, given back once, and done without only where that was said."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from undertow import _flock
from undertow._checks import UndertowError
from undertow.store import _lock
from undertow.store._lock import Lock, is_held, try_lock


def test_one_holds_it(tmp_path: Path):
    file = tmp_path / "job"
    release = try_lock(file)
    assert release is not None and try_lock(file) is None
    release()
    again = try_lock(file)
    release()  # which takes nothing from whoever has it now
    assert again is not None and try_lock(file) is None
    again()


def test_the_lock_of_a_directory_is_such_a_one(tmp_path: Path):
    lock = Lock(tmp_path)
    assert not is_held(tmp_path)
    lock.acquire()
    assert is_held(tmp_path) and try_lock(tmp_path / _lock.NAME) is None
    with pytest.raises(UndertowError, match="another process is at work in"):
        Lock(tmp_path).acquire()
    lock.release()
    assert not is_held(tmp_path)


@pytest.mark.parametrize("where", ["system", "file system"])
def test_without_locks(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def flock(handle, kind):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if where == "system":
        monkeypatch.setattr(_flock, "fcntl", None)
    else:
        monkeypatch.setattr(_flock.fcntl, "flock", flock)
    with pytest.raises(UndertowError, match="has no locks"):
        try_lock(tmp_path / "job")
    release = try_lock(tmp_path / "job", unlocked=True)
    assert release is not None
    release()


def test_a_file_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(UndertowError, match="cannot write"):
        try_lock(tmp_path / "nowhere" / "job")
