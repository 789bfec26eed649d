"""Who is at work in a directory: a lock that the system takes back from a process that dies, however it dies."""

from __future__ import annotations

import os
import time
from pathlib import Path

from undertow._checks import UndertowError
from undertow.training._files import write_error

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing is locked there, and nobody is known to be at work
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
_PATIENCE = 0.5  # seconds; `is_held` holds a lock for an instant


class Lock:
    """The lock of a directory, held from `acquire` to `release`, or to the death of the process.

    **Arguments:** `folder`: the directory; it may be renamed while the lock is held.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: int | None = None

    def acquire(self) -> None:
        """Take it. Raises `UndertowError` if another process has it, or the directory cannot be written."""
        try:
            file = os.open(self.folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise write_error(self.folder / NAME, error) from error
        until = time.monotonic() + _PATIENCE
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(file)
                    raise UndertowError(
                        f"another process is at work in {self.folder}; wait for it, or stop it first"
                    ) from None
                time.sleep(0.02)
            except OSError:  # a file system without locks
                break
        self._file = file

    def release(self) -> None:
        """Give it back, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

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
