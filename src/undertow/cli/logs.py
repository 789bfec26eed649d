"""What of the library's log is shown, on standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from undertow._checks import lookup, printable, require

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
VARIABLE = "UNDERTOW_LOG"


class _Line(logging.Formatter):
    """What is logged may come out of anybody's files: a terminal shows it and does not obey it."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _StandardError(logging.StreamHandler):
    """Writes to what standard error is at that moment: a progress bar takes its place while it is shown."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(_Line("undertow: %(message)s"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr


def set_up(level: int) -> None:
    """Show the library's log from this level on, of all others warnings."""
    logging.basicConfig(level=logging.WARNING, handlers=[_StandardError()])
    logging.getLogger("undertow").setLevel(level)


def take_level(arguments: list[str], environment: Mapping[str, str] = os.environ) -> tuple[list[str], int]:
    """The arguments without `-v`, `-vv`, `--verbose` and `--log-level LEVEL`, wherever they stand, and the level that they
    ask for; else the one of the environment variable UNDERTOW_LOG, else warning.

    **Raises:** `UndertowError` for an unknown level.
    """
    rest: list[str] = []
    verbose, named = 0, None
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if word in ("-v", "--verbose"):
            verbose += 1
        elif word == "-vv":
            verbose += 2
        elif flag in ("--log-level", "--log_level"):
            named = value if equals else next(words, "")
            require(bool(named), f"--log-level needs one of {', '.join(LEVELS)}")
        else:
            rest.append(word)
    if named is not None:
        return rest, lookup("log level", named.lower(), LEVELS)
    if verbose:
        return rest, LEVELS["info" if verbose == 1 else "debug"]
    given = environment.get(VARIABLE, "")
    return rest, lookup(f"level in {VARIABLE}", given.lower(), LEVELS) if given else logging.WARNING
