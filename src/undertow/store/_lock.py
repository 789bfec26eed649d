"""Who is at work: locks on files and directories that the system takes back from a process that dies, however it dies."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from undertow import _flock
from undertow._checks import UndertowError
from undertow._io import write_error
from undertow._reader import is_regular

NAME = ".lock"
_PATIENCE = 0.5  # seconds; `is_held` holds a lock for an instant


class AtWorkError(UndertowError):
    """Another process is at work in a directory."""


Release = Callable[[], None]
"""Gives a lock back; again does nothing."""


def try_lock(file: Path, *, unlocked: bool = False) -> Release | None:
    """Lock a file, made if it is not there, until the function returned is called or this process ends.

    **Arguments:** `file`; `unlocked`: where there are no locks go on without, instead of raising.

    **Returns:** None if another process holds the lock.

    **Raises:** `UndertowError` for a file that cannot be written, or where there are no locks.
    """
    if file.exists() and not is_regular(file):  # to open a pipe is to wait for its other end
        raise UndertowError(f"cannot lock {file}: a file was expected; remove it")
    try:
        handle = open(file, "ab")  # noqa: SIM115  # it stays open as long as the lock is held
    except OSError as error:
        raise write_error(file, error) from error
    try:
        if not _flock.flock(handle.fileno()):
            handle.close()
            return None
    except OSError as error:  # not this system, or not this file system
        if not unlocked:
            handle.close()
            raise UndertowError(f"cannot lock {file}: this system, or its file system, has no locks") from error
    return handle.close


class Lock:
    """The lock of a directory, held from `acquire` to `release`, or to the death of the process.

    Two locks: one on the directory itself, which cannot be removed without it, and one on a file in it, for file systems that
    lock no directories.

    **Arguments:** `folder`: the directory; it may be renamed while the lock is held. `file`: False for the first one alone.
    """

    def __init__(self, folder: Path, *, file: bool = True):
        self.folder = folder
        self._file = file
        self._descriptor: int | None = None
        self._release: Release | None = None

    def acquire(self) -> None:
        """Take it. Raises `UndertowError` if another process has it, or the directory cannot be written."""
        until = time.monotonic() + _PATIENCE
        while not self._try():
            if time.monotonic() > until:
                raise AtWorkError(f"another process is at work in {self.folder}; wait for it, or stop it first")
            time.sleep(0.02)

    def _try(self) -> bool:
        with contextlib.suppress(OSError):  # where directories cannot be opened or locked
            self._descriptor = os.open(self.folder, os.O_RDONLY)
            if not _flock.flock(self._descriptor):
                self.release()
                return False
        if self._file:
            try:
                self._release = try_lock(self.folder / NAME, unlocked=True)
            except BaseException:
                self.release()
                raise
            if self._release is None:
                self.release()
                return False
        return True

    def is_here(self) -> bool:
        """Whether the directory is still the one that was locked, under the name that it had when this was made or moved."""
        if self._descriptor is None:
            return True
        try:
            return os.path.samestat(os.stat(self.folder), os.fstat(self._descriptor))
        except OSError:
            return False

    def release(self) -> None:
        """Give it back, if it is held."""
        release, self._release = self._release, None
        descriptor, self._descriptor = self._descriptor, None
        if release is not None:
            release()
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock of a directory (on this machine, or any that its file system tells of)."""
    if not _flock.available():
        return True
    return any(is_locked(each) for each in (folder, folder / NAME))


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file or directory."""
    if path.name == NAME and not is_regular(path):
        return False
    # On a file system without locks: of a directory the file in it tells more.
    return _flock.is_locked(path, unknown=path.name == NAME)
