"""Errors at the door: what was expected, what came, what to do."""

from __future__ import annotations

import contextlib
import difflib
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class UndertowError(ValueError):
    """Bad input, found before any work was done with it.

    The message is one line for people: what was expected, what came, what to do. The command line prints it without a
    traceback and exits with code 2.
    """


class NonFiniteError(UndertowError):
    """A state, loss or gradient became NaN or infinite. Carries where: `step`, `sample` and `cell` (None if unknown)."""

    def __init__(self, message: str, *, step: int | None = None, sample: int | None = None, cell: Any = None):
        super().__init__(message)
        self.step = step
        self.sample = sample
        self.cell = cell


def require(condition: bool, message: str) -> None:
    """Raise `UndertowError(message)` unless `condition` holds."""
    if not condition:
        raise UndertowError(message)


def unusable(need: str, extra: str, error: Exception) -> UndertowError:
    """The error for an optional package that cannot be imported: it is not there, or it is broken, in whichever way.

    **Arguments:** `need`: the sentence so far, such as "a sweep needs Optuna"; the `extra` that brings it; what importing raised.
    """
    if isinstance(error, ModuleNotFoundError):
        return UndertowError(f"{need}: pip install 'undertow[{extra}]'")
    reason = " ".join(str(error).split())[:200]
    told = f"what is installed cannot be used ({type(error).__name__}: {reason})"
    return UndertowError(f"{need}, and {told}; install it anew: pip install --force-reinstall 'undertow[{extra}]'")


def require_positive(name: str, value: float) -> None:
    """Raise unless `value` is a finite number above zero."""
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise UndertowError(f"{name} must be a finite number above 0, got {value!r}")


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or an error that names the nearest match and how to list all of them."""
    if name in table:
        return table[name]
    raise UndertowError(f"unknown {kind} {name!r}{nearest(name, table)}")


def nearest(name: str, options: Iterable[str]) -> str:
    """The tail of an error message: the closest option to a misspelt name, if there is one, and all options."""
    options = sorted(options)
    meant, listed = closest(name, options), f"choose from {', '.join(options)}"
    return f"{meant} ({listed})" if meant else f"; {listed}"


def closest(name: str, options: Iterable[str]) -> str:
    """The tail of an error message where options are too many to list: the closest one, or nothing if none is close."""
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def known(options: Iterable[str], allowed: Iterable[str], what: str) -> None:
    """Raise for the first of some options that `what` does not have, with the nearest one that it has."""
    allowed = tuple(allowed)
    for name in options:
        if name not in allowed:
            tail = nearest(name, allowed) if allowed else "; it has none"
            raise UndertowError(f"{what} has no option {name!r}{tail}")


@contextlib.contextmanager
def drawing(what: object) -> Iterator[None]:
    """Whatever goes wrong while something is drawn becomes an `UndertowError` of one line. Pictures come last: the numbers are
    safe by then."""
    try:
        yield
    except UndertowError:
        raise
    except Exception as error:  # what matplotlib, its fonts and its surroundings may raise has no common name
        reason = " ".join(str(error).split())[:200]
        raise UndertowError(f"could not draw {what} ({type(error).__name__}: {reason})") from error


def printable(text: str) -> str:
    r"""The text with everything escaped that does more on a terminal than stand there: control characters (`\x1b`), those that
    turn the direction of writing or separate lines, and bytes that are no text. Letters of all scripts and line feeds stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(each) if unicodedata.category(each) in _UNSEEN and each != "\n" else each for each in text)


_UNSEEN = {"Cc", "Cs", "Zl", "Zp", "Cf"}
_JOINERS = "\u200c\u200d\u00ad"  # of scripts and emoji


def _escaped(letter: str) -> str:
    return letter if letter in _JOINERS else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
