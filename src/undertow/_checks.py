"""Errors at the door: what was expected, what came, what to do. And the numbers that come in: whole ones and real ones."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import math
import numbers
import shlex
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")

LARGEST_COUNT = 2**31 - 1
"""Of sizes and counters, which JAX and optax hold in 32 bits."""
LARGEST_SEED = 2**32 - 1
"""Seeds go from 0 to this one: the numbers that NumPy's legacy generator, NumPy's new ones, PyTorch and JAX take alike.
In single precision JAX looks at no more than 32 bits, so that larger seeds would repeat smaller ones."""
LARGEST_SIZE, SMALLEST_SIZE = 1e150, 1e-150
"""Absolute values between which squares and products of two numbers neither overflow nor vanish in double precision."""
_SHOWN = 80  # characters of a value in a message
_LISTED = 1000  # characters of a list of names in a message
_COMPARED = 100  # characters of a name that is compared with the known ones


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


def import_extra(need: str, extra: str, *names: str) -> None:
    """Import packages that an `extra` brings. Raises the error that `unusable` makes if one is missing or broken."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken package may raise anything
            raise unusable(need, extra, error) from error


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Code of somebody's own is at work, which may raise anything: it becomes an `UndertowError` of one line, `what` first."""
    try:
        yield
    except UndertowError:
        raise
    except Exception as error:
        raise UndertowError(f"{what}: {told(error)}") from error


def told(error: Exception) -> str:
    """What an error of somebody else's says, in one line of bounded length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


# --- numbers ----------------------------------------------------------------------------------------------------------


def is_traced(value: Any) -> bool:
    """Whether a value is known to JAX's transformations alone, so that it cannot be looked at."""
    return isinstance(value, jax.core.Tracer)


def is_zero(value: Any) -> bool:
    """Whether a value is the plain number 0, so that what it multiplies can be left out of a program: of an array that is not
    known beforehand."""
    return isinstance(value, (int, float)) and value == 0


def plain_number(value: Any) -> Any:
    """The Python number that stands in `value`: a NumPy scalar, or an array of NumPy or JAX without axes. Anything else,
    a traced value among it, as it is."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (numbers.Integral, numbers.Real)):
        try:
            return int(value) if isinstance(value, numbers.Integral) else float(value)
        except OverflowError:  # a fraction beyond all floating-point numbers
            return math.inf if value > 0 else -math.inf  # type: ignore[operator]  # what typeshed's Real lacks
    if isinstance(value, (np.ndarray, jax.Array)) and not is_traced(value) and value.shape == ():
        for kind, convert in ((jnp.bool_, bool), (jnp.integer, int), (jnp.floating, float)):
            if jnp.issubdtype(value.dtype, kind):
                return convert(value)
    return value


@dataclass(frozen=True)
class Within:
    """Which numbers are meant: above, at least, below, at most. None: no such bound. `squared`: of a real number, whether its
    square has to be a number, too."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    squared: bool = True

    def holds(self, value: float) -> bool:
        """Whether a number is one of them."""
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        lower = "" if self.above is None else f"above {self.above}"
        lower = lower if self.at_least is None else f"of {self.at_least} or more"
        upper = "" if self.below is None else f"below {self.below}"
        upper = upper if self.at_most is None else f"at most {self.at_most}"
        return " and ".join(bound for bound in (lower, upper) if bound)


def whole_number(name: str, value: Any, within: Within | None = None, advice: str = "") -> int:
    """`value` as a Python `int`: a whole number of Python, of NumPy, or in an array without axes.

    **Arguments:** `name`: what it is called in the message; `within` (default: above 0). Without an upper bound it is at most
    `LARGEST_COUNT`; `advice`: what to do instead of asking for more than that.

    **Raises:** `UndertowError` for anything else, also for True and for 2.0.
    """
    within = Within(above=0) if within is None else within
    given = plain_number(value)
    if not isinstance(given, int) or isinstance(given, bool) or not within.holds(given):
        more = advice and isinstance(given, int) and within.at_most is not None and given > within.at_most
        tail = f"; {advice}" if more else ""
        raise UndertowError(f"{name} must be {f'a whole number {within}'.rstrip()}, got {shown(value)}{tail}")
    if within.at_most is None and within.below is None and abs(given) > LARGEST_COUNT:
        raise UndertowError(f"{name} must be a whole number up to {LARGEST_COUNT}, got {shown(value)}")
    return given


def real_number(name: str, value: Any, within: Within | None = None) -> float:
    """`value` as a Python `float`: a finite number of Python, of NumPy, or in an array without axes.

    **Arguments:** `name`: what it is called in the message; `within` (default: any). Apart from 0, and unless `within` says
    otherwise, its absolute value lies between `SMALLEST_SIZE` and `LARGEST_SIZE`.

    **Raises:** `UndertowError` for anything else, also for True.
    """
    within = Within() if within is None else within
    given = plain_number(value)
    given = _as_float(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(given, float):
        raise UndertowError(f"{name} must be {f'a number {within}'.rstrip()}, got {shown(value)}")
    if not math.isfinite(given) or not within.holds(given):
        raise UndertowError(f"{name} must be {f'a finite number {within}'.rstrip()}, got {shown(value)}")
    if within.squared and given != 0 and not SMALLEST_SIZE <= abs(given) <= LARGEST_SIZE:
        raise UndertowError(
            f"{name} must be between {SMALLEST_SIZE:g} and {LARGEST_SIZE:g} in size, so that it can be squared, "
            f"got {shown(value)}"
        )
    return given


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def require_positive(name: str, value: Any) -> float:
    """`value` as a finite Python `float` above zero, or `UndertowError`."""
    return real_number(name, value, Within(above=0))


def constant(name: str, value: Any, within: Within | None = None, *, batched: bool = False) -> Any:
    """A constant of a law or a system: a Python number where it is one, and an array of JAX as it is.

    An array is looked at where it can be; a traced one cannot. `batched`: it may have axes, one value per sample.

    **Raises:** `UndertowError` for a number out of its range, an array with axes that is no batch, or anything else.
    """
    if batched and isinstance(value, np.ndarray) and value.shape != ():
        value = jnp.asarray(value)
    if not isinstance(value, jax.Array):
        return real_number(name, value, within)
    require(batched or value.shape == (), f"{name} must be one number, got an array of shape {value.shape}")
    if not is_traced(value):
        for each in np.unique(np.asarray(value)):
            real_number(name, each, within)
    return value


def check_seed(value: Any, name: str = "seed") -> int:
    """`value` as a Python `int` from 0 to `LARGEST_SEED`, or `UndertowError`."""
    return whole_number(name, value, SEEDS)


SEEDS = Within(at_least=0, at_most=LARGEST_SEED)
"""The seeds that every method, command and game takes."""


# --- words ------------------------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value in a message: on one line, and not all of it where it is long."""
    given = plain_number(value)
    if isinstance(given, int) and given.bit_length() > 200:  # Python refuses to print the longest ones
        return f"{'-' if given < 0 else ''}about 10^{int(given.bit_length() * math.log10(2))}"
    text = " ".join(repr(given).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]}... ({len(text)} characters)"


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or an error that names the nearest match and how to list all of them."""
    if isinstance(name, str) and name in table:
        return table[name]
    raise UndertowError(f"unknown {kind} {shown(name)}{nearest(name, table)}")


def choice(kind: str, name: Any, options: Iterable[T]) -> T:
    """The option called `name`, or an error that names the nearest one and lists all of them."""
    return lookup(kind, name, {str(each): each for each in options})


def nearest(name: str, options: Iterable[str]) -> str:
    """The tail of an error message: the closest option to a misspelt name, if there is one, and all options, or
    the first of very many."""
    options = sorted(options)
    names = ", ".join(options)
    if len(names) > _LISTED:  # hundreds of names are no help
        names = f"{names[:_LISTED].rpartition(', ')[0]}, ... ({len(options)} in all)"
    meant, listed = closest(name, options), f"choose from {names}"
    return f"{meant} ({listed})" if meant else f"; {listed}"


def closest(name: str, options: Iterable[str]) -> str:
    """The tail of an error message where options are too many to list: the closest one, or nothing if none is close."""
    if not isinstance(name, str) or len(name) > _COMPARED:
        return ""
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def quoted(path: object) -> str:
    """A path as it can be pasted into a shell, also with spaces in it."""
    return shlex.quote(str(path))


def at_home(path: Path | str) -> Path:
    """A path with `~` at its beginning as the home directory; as it is where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def refuse_unknown(options: Iterable[str], allowed: Iterable[str], what: str) -> None:
    """Raise for the first of some options that `what` does not have, with the nearest one that it has."""
    allowed = tuple(allowed)
    for name in options:
        if name not in allowed:
            tail = nearest(name, allowed) if allowed else "; it has none"
            raise UndertowError(f"{what} has no option {shown(name)}{tail}")


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
