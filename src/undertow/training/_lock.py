"""Who is at work: locks on files that the system takes back from a process that dies, however it dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from undertow._checks import UndertowError
from undertow.training._files import write_error

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing is locked there, and nobody is known to be at work
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
_PATIENCE = 0.5  # seconds; `is_held` holds a lock for an instant

Release = Callable[[], None]
"""Gives a lock back; again does nothing."""


def try_lock(file: Path, *, unlocked: bool = False) -> Release | None:
    """Lock a file, made if it is not there, until the function returned is called or this process ends.

    **Arguments:** `file`; `unlocked`: where there are no locks go on without, instead of raising.

    **Returns:** None if another process holds the lock.

    **Raises:** `UndertowError` for a file that cannot be written, or where there are no locks.
    """
    try:
        handle = open(file, "ab")  # noqa: SIM115  # it stays open as long as the lock is held
    except OSError as error:
        raise write_error(file, error) from error
    try:
        if fcntl is None:
            raise OSError
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    except OSError as error:  # not this system, or not this file system
        if not unlocked:
            handle.close()
            raise UndertowError(f"cannot lock {file}: this system, or its file system, has no locks") from error
    return handle.close


class Lock:
    """The lock of a directory, held from `acquire` to `release`, or to the death of the process.

    **Arguments:** `folder`: the directory; it may be renamed while the lock is held.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._release: Release | None = None

    def acquire(self) -> None:
        """Take it. Raises `UndertowError` if another process has it, or the directory cannot be written."""
        until = time.monotonic() + _PATIENCE
        while (taken := try_lock(self.folder / NAME, unlocked=True)) is None:
            if time.monotonic() > until:
                raise UndertowError(f"another process is at work in {self.folder}; wait for it, or stop it first")
            time.sleep(0.02)
        self._release = taken

    def release(self) -> None:
        """Give it back, if it is held."""
        if self._release is not None:
            self._release()
            self._release = None

    def __del__(self) -> None:
        self.release()


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock of a directory (on this machine, or any that its file system tells of)."""
    if fcntl is None:
        return True
    try:
        with open(folder / NAME, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError:  # cannot be known
        return True
    return False
