"""The one way in which files are read: regular files of bounded size, checked for their shape, in errors of one line.

What a shape looks like:

    str, int, bool, dict, list, object   a value of that type; `object` takes anything
    float                                a number, also one of the words nan, inf, -inf; True and False are none
    None                                 null
    (str, None)                          one of several
    [float]                              a list of them
    {"name": str, "?start": str}         a table with these names, of which `start` may be missing; it may have others
    {...: [int]}                         a table whose values all are such
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from undertow._checks import UndertowError

LARGEST_TEXT = 1 << 28
"""Bytes of a text, JSON or TOML file or a table that are read at most."""
DEEPEST = 60
"""Lists and tables within each other that are read at most: what walks through them calls itself for each."""
_LONGEST = 60  # characters of a value in an error

Shape = Any
_NAMES = {
    str: "a word",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table of values",
    list: "a list",
    object: "a value",
    None: "null",
}
_WORDS = ("nan", "inf", "-inf")


def read_bytes(path: Path, *, limit: int | None = None, only: int = -1) -> bytes:
    """The bytes of a file, or `only` so many of its first.

    **Raises** `UndertowError` if there is none, it cannot be read, is no regular file (a pipe would be waited for, a device has
    no end), or has more than `limit` bytes.
    """
    try:
        # Looked at before it is opened: to open some devices does something.
        _require_regular(path, os.stat(path).st_mode)
        with open(path, "rb", opener=_without_waiting) as file:
            about = os.fstat(file.fileno())
            _require_regular(path, about.st_mode)
            if limit is not None and about.st_size > limit:
                raise UndertowError(f"{path} is damaged: it has {about.st_size} bytes, at most {limit} were expected")
            # The limit again: a file of the system's own may claim to be empty and have no end.
            return file.read(min((each for each in (only, limit or -1) if each >= 0), default=-1))
    except FileNotFoundError:
        raise UndertowError(f"{path} is missing") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        if isinstance(error, UndertowError):
            raise
        raise read_error(path, error) from error
    except MemoryError:
        raise UndertowError(f"{path} is larger than the memory of this machine") from None


def read_text(path: Path, *, limit: int = LARGEST_TEXT) -> str:
    """The text of a file in UTF-8. Raises as `read_bytes`, and for other text."""
    try:
        return read_bytes(path, limit=limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UndertowError(f"{path} is damaged: it is not a text in UTF-8 ({error})") from error


def read_json(path: Path, shape: Shape = object) -> Any:
    """What a JSON file holds. Raises as `read_text`, and for what is no JSON, or of another shape."""
    return _parsed(path, json.loads, "JSON", shape)


def read_toml(path: Path, shape: Shape = dict) -> dict[str, Any]:
    """What a TOML file holds. Raises as `read_json`."""
    return _parsed(path, tomllib.loads, "TOML", shape)


def parse_json(path: Path, text: str | bytes, shape: Shape = object) -> Any:
    """JSON out of a part of a file, with errors that name the file."""
    return _checked(path, lambda: json.loads(text), "JSON", shape)


def read_rows(path: Path) -> list[list[str]]:
    """The rows of a CSV file; a last line without its end is left out. Raises as `read_text`, and for what is no table."""
    text = read_text(path)
    return parse_rows(path, text[: text.rfind("\n") + 1])


def parse_rows(path: Path, text: str) -> list[list[str]]:
    """The rows of a text in CSV, with errors that name the file."""
    try:
        return list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise UndertowError(f"{path} is damaged: it is not a text table ({error})") from error


def check_shape(value: Any, shape: Shape, path: Path | str) -> None:
    """Raise `UndertowError` for the first part of a value that has not the shape expected, saying where it is."""
    wrong = _wrong(value, shape, "")
    if wrong is not None:
        where, expected, got = wrong
        place = f" as {where!r}" if where else ""
        raise UndertowError(f"{path} is damaged: expected {expected}{place}, got {_short(got)}")


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value has a shape."""
    return _wrong(value, shape, "") is None


def read_error(path: Path, error: Exception) -> UndertowError:
    """The one-line error for a file that could not be read: which file, and the system's reason."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return UndertowError(f"cannot read {path}: {reason}")


def is_regular(path: Path) -> bool:
    """Whether a path is a file that can be read to its end, or a link to one."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    raise UndertowError(f"{path} is {kinds.get(stat.S_IFMT(mode), 'a device')}, but a file was expected")


def _parsed(path: Path, parse: Callable[[str], Any], kind: str, shape: Shape) -> Any:
    text = read_text(path)
    return _checked(path, lambda: parse(text), kind, shape)


def _checked(path: Path, parse: Callable[[], Any], kind: str, shape: Shape) -> Any:
    try:
        value = parse()
    except RecursionError:
        raise UndertowError(_too_deep(path)) from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UndertowError(f"{path} is damaged: it is not valid {kind} ({reason[:120]})") from error
    depth, huge = _look_through(value)
    if depth > DEEPEST:
        raise UndertowError(_too_deep(path))
    if huge:
        raise UndertowError(f"{path} is damaged: a whole number in it has too many digits")
    check_shape(value, shape, path)
    return value


def _too_deep(path: Path) -> str:
    return f"{path} is damaged: its lists and tables are more than {DEEPEST} deep"


def _look_through(value: Any) -> tuple[int, bool]:
    """How many lists and tables are within each other, and whether a number is beyond all floats."""
    depth, huge, level = 0, False, [value]
    while level and depth <= DEEPEST:  # level by level, instead of a call for each
        huge = huge or any(isinstance(each, int) and not _can_be_float(each) for each in level)
        level = [each for each in level if isinstance(each, (dict, list))]
        depth += bool(level)
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth, huge


def _wrong(value: Any, shape: Shape, where: str) -> tuple[str, str, Any] | None:
    """Where a value is not of the shape, what was expected there and what is."""
    if isinstance(shape, tuple):
        found = [_wrong(value, each, where) for each in shape]
        if None in found:
            return None
        inner = [each for each in found if each is not None and each[0] != where]
        # The one that fits further in tells more.
        return inner[0] if inner else (where, " or ".join(dict.fromkeys(each[1] for each in found if each)), value)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return where, _NAMES[list], value
        return _first(_wrong(each, shape[0], f"{where}[{index}]") for index, each in enumerate(value))
    if isinstance(shape, Mapping):
        return _wrong_table(value, shape, where)
    good = value is None if shape is None else _is(value, shape)
    return None if good else (where, _NAMES[shape], value)


def _wrong_table(value: Any, shape: Mapping[Any, Shape], where: str) -> tuple[str, str, Any] | None:
    if not isinstance(value, dict):
        return where, _NAMES[dict], value
    for name, inner in shape.items():
        if name is ...:
            wrong = _first(_wrong(each, inner, _within(where, key)) for key, each in value.items())
        else:
            key = name.removeprefix("?")
            if key not in value:
                if name != key:
                    continue
                return where, f"a table with {key!r}", value
            wrong = _wrong(value[key], inner, _within(where, key))
        if wrong is not None:
            return wrong
    return None


def _first(found: Any) -> Any:
    return next((each for each in found if each is not None), None)


def _within(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        if isinstance(value, str):
            return value in _WORDS
        return isinstance(value, (int, float)) and not isinstance(value, bool) and _can_be_float(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and _can_be_float(value)
    return isinstance(value, kind)


def _can_be_float(value: float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _short(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and not _can_be_float(value):
        return "a number with too many digits"
    text = "null" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
