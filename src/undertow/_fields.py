"""Dataclasses of plain values, read and checked field by field: type, range, choice.

A field states its range in its type, once: `Annotated[int, Within(above=0)]`, or one of the names below. What checks it,
here, does so whether or not the field is used.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from undertow._checks import (
    SEEDS,
    UndertowError,
    Within,
    choice,
    nearest,
    plain_number,
    real_number,
    require,
    shown,
    whole_number,
)
from undertow._own import is_own, name_of

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Names:
    """What a field of words takes: one of these, or something of one's own, by its name (`file.py:Name`) or itself."""

    options: tuple[str, ...]

    def read(self, value: Any, where: str) -> Any:
        """The name. Raises `UndertowError` for another word, and for something that has no name."""
        if not isinstance(value, str):
            return name_of(value)
        if not is_own(value):
            choice(where, value, self.options)
        return value


Count = Annotated[int, Within(above=0)]
Seed = Annotated[int, SEEDS]
Positive = Annotated[float, Within(above=0)]
NotNegative = Annotated[float, Within(at_least=0)]
Share = Annotated[float, Within(at_least=0, at_most=1)]
"""0 and 1 included."""
Decay = Annotated[float, Within(at_least=0, below=1)]
"""Of what a running average keeps: 0 included, 1 not."""


@cache
def type_hints(kind: type) -> dict[str, Any]:
    """The bare type of every field of a dataclass, by name."""
    return {name: _bare(hint) for name, hint in stated_types(kind).items()}


@cache
def stated_types(kind: type) -> dict[str, Any]:
    """The type of every field of a dataclass with what is stated about its range, by name."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def check_fields(value: T) -> T:
    """The same dataclass, if every field holds a value of its type, in its range, one of its choices.

    What comes back holds Python's own numbers, tuples and paths. **Raises:** `UndertowError` naming the field.
    """
    return read(type(value), value, "")


def read(hint: Any, value: Any, where: str) -> Any:
    """`value` as a value of type `hint`; `where` is the field's dotted name."""
    within = None
    if typing.get_origin(hint) is Annotated:
        hint, *marks = typing.get_args(hint)
        within = next((mark for mark in marks if isinstance(mark, Within)), None)
        for names in (mark for mark in marks if isinstance(mark, Names)):
            return names.read(value, where)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _read_table(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (each for each in arguments if each is not type(None))  # every union here is `X | None`
        return read(hint, value, where)
    if origin is Literal:
        value = plain_number(value)
        if isinstance(value, str):
            choice(where, value, arguments)
        fits = any(value == each and type(value) is type(each) for each in arguments)
        require(fits, f"{where} must be one of {', '.join(map(str, arguments))}, got {shown(value)}")
        return value
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UndertowError(f"{where} must be a table of names and values, got {shown(value)}")
        return {str(name): read(arguments[1], item, _join(where, str(name))) for name, item in value.items()}
    if origin is tuple:
        if hasattr(value, "tolist"):  # an array
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            raise UndertowError(f"{where} must be a list, got {shown(value)}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        require(len(kinds) == len(value), f"{where} must have {len(kinds)} entries, got {shown(value)}")
        return tuple(read(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    return _read_plain(hint, value, where, within)


def _read_table(kind: type, value: Any, where: str) -> Any:
    hints = stated_types(kind)
    if isinstance(value, kind):
        value = {name: getattr(value, name) for name in hints}
    if not isinstance(value, Mapping):
        raise UndertowError(f"{where or 'the configuration'} must be a table of fields, got {shown(value)}")
    for name in value:
        if name not in hints:  # not `require`: the nearest match takes longer than all the rest
            raise UndertowError(f"unknown configuration field {shown(_join(where, name))}{nearest(name, hints)}")
    return kind(**{name: read(hints[name], item, _join(where, name)) for name, item in value.items()})


def _read_plain(hint: type, value: Any, where: str, within: Within | None) -> Any:
    if hint is int:
        return whole_number(where, value, Within() if within is None else within)
    if hint is float:
        return real_number(where, value, within)
    if hint is Path and isinstance(value, str):
        value = Path(value)
    if hint is bool:
        value = plain_number(value)
    names = {bool: "true or false", str: "a word", Path: "a path"}
    require(isinstance(value, hint), f"{where} must be {names[hint]}, got {shown(value)}")
    return value


def _bare(hint: Any) -> Any:
    """A type without what is stated about ranges."""
    if typing.get_origin(hint) is Annotated:
        return _bare(typing.get_args(hint)[0])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_bare(each) for each in arguments)]  # noqa: UP007  # of a list
    if origin is tuple:
        return tuple[tuple(each if each is Ellipsis else _bare(each) for each in arguments)]  # type: ignore[misc]
    return hint


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
