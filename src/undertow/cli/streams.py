"""What a process of the command line finds around it and makes sure of: streams that are there, take every letter, and obey
nothing."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

from undertow._checks import printable

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def secure() -> None:
    """For a process of its own, as it begins.

    - Standard streams that were closed lead nowhere: a file would take their number, and get what others write to it.
    - A letter that the terminal's encoding lacks is written as its code, and is no reason to stop.
    - Warnings and tracebacks, which may quote anything, are shown and not obeyed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _show_error
    warnings.showwarning = _show_warning


def flushed(code: int) -> int:
    """The exit code, after what was printed has gone out; 2 if it could not. Nobody reading on is no failure."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _abandon_output()
    except (OSError, ValueError) as error:
        _abandon_output()
        write_error(f"undertow: cannot write to standard output: {getattr(error, 'strerror', None) or error}")
        return code or 2
    return code


def _abandon_output() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # Python flushes it at exit


def write_error(text: str) -> None:
    """Text to standard error, shown and not obeyed. Where that is closed or full there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def _show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    write_error("".join(traceback.format_exception(kind, error, trace)).rstrip())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    write_error(f"undertow: {category.__name__}: {' '.join(str(message).split())} ({filename}:{lineno})")


class Shown:
    """A stream through which colours go as they are, and everything else as it can be shown."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, its control characters escaped."""
        parts = _COLOUR.split(text)
        parts[::2] = [printable(part) for part in parts[::2]]
        self._stream.write("".join(parts))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def columns(least: int) -> Iterator[None]:
    """A terminal that is at least so wide, for a library that breaks its lines by it."""
    before = os.environ.get("COLUMNS")
    with contextlib.suppress(OSError, ValueError):
        wide = int(before) if before else os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
        least = max(least, wide)
    os.environ["COLUMNS"] = str(least)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
