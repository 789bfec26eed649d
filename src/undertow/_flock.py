"""Locks on open files that the system takes back from a process that dies, however it dies."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing is locked there, and nobody is known to be at work
    fcntl = None  # type: ignore[assignment]


def available() -> bool:
    """Whether this system has such locks; its file system may lack them all the same."""
    return fcntl is not None


def flock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed.

    **Arguments:** `descriptor`; `shared`: together with others that want no more.

    **Returns:** False if another holds it. **Raises:** `OSError` if this file cannot be locked.
    """
    if fcntl is None:
        raise OSError("this system has no locks")
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path | str, *, unknown: bool) -> bool:
    """Whether a process holds the lock of a file or directory.

    **Arguments:** `path`; `unknown`: the answer where its file system has no locks.

    **Returns:** True also for one that cannot be opened; False if there is none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not flock(descriptor, shared=True)
    except OSError:
        return unknown
    finally:
        os.close(descriptor)
