"""Configurations as plain values, to JSON and back, with checks."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from undertow._checks import UndertowError, lookup, nearest, require
from undertow.config.base import Config
from undertow.config.control import CartPoleTask, ContactTask, GuidanceTask, QuantumTask
from undertow.config.scheme import SchemeConfig

C = TypeVar("C", bound=Config)

FAMILIES: dict[str, type[Config]] = {
    each.family: each for each in (SchemeConfig, CartPoleTask, GuidanceTask, QuantumTask, ContactTask)
}
"""The configuration class of every family, by the name that stands in `config.json`."""


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as nested dictionaries of plain values, with its family's name under `family`."""
    return {"family": config.family, **_plain(dataclasses.asdict(config))}


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """The configuration that `config_to_dict` made `values` from. A field that is missing takes its default.

    **Raises:** `UndertowError` for an unknown family, field or choice (with the nearest match) or a wrong type.
    """
    rest = dict(values)
    family = str(rest.pop("family", SchemeConfig.family))
    return _read(lookup("family", family, FAMILIES), rest, "")


def validate_config(config: C) -> C:
    """The same configuration, if every field holds a value of its type and one of its choices.

    The command line cannot give others, but Python and JSON can. **Raises:** `UndertowError` naming the field.
    """
    return _read(type(config), config, "")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


@cache
def type_hints(kind: type) -> dict[str, Any]:
    """The type of every field of a configuration class, by name."""
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _read(hint: Any, value: Any, where: str) -> Any:
    """`value` as a value of type `hint`; `where` is the field's dotted name."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        if isinstance(value, hint):
            value = {f.name: getattr(value, f.name) for f in dataclasses.fields(hint)}
        if not isinstance(value, Mapping):
            raise UndertowError(f"{where or 'the configuration'} must be a table of fields, got {value!r}")
        hints = type_hints(hint)
        for name in value:
            if name not in hints:  # not `require`: the nearest match takes longer than all the rest
                raise UndertowError(f"unknown configuration field {_join(where, name)!r}{nearest(name, hints)}")
        return hint(**{name: _read(hints[name], item, _join(where, name)) for name, item in value.items()})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (each for each in arguments if each is not type(None))  # every union here is `X | None`
        return _read(hint, value, where)
    if origin is Literal:
        if isinstance(value, str):
            lookup(where, value, {str(each): each for each in arguments})
        require(value in arguments, f"{where} must be one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UndertowError(f"{where} must be a list, got {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        require(len(kinds) == len(value), f"{where} must have {len(kinds)} entries, got {value!r}")
        return tuple(_read(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    return _read_plain(hint, value, where)


def _read_plain(hint: type, value: Any, where: str) -> Any:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", Path: "a path"}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is Path and isinstance(value, str):
        value = Path(value)
    fits = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    require(fits, f"{where} must be {names[hint]}, got {value!r}")
    if hint is float:
        require(math.isfinite(value), f"{where} must be a finite number, got {value!r}")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
