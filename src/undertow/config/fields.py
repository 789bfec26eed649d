"""Fields of nested tables by their dotted names: `grid.order` is the order of the grid."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from undertow._checks import UndertowError, closest, require, shown
from undertow._fields import type_hints
from undertow._own import is_own, open_name
from undertow.config.base import Config
from undertow.config.plain import validate_config
from undertow.config.scheme import LawConfig
from undertow.laws.law import AbstractConservationLaw

C = TypeVar("C", bound=Config)

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""What is not finite, as JSON files have it."""


def flatten(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names: `{"grid": {"order": 5}}` is `{"grid.order": 5}`."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        dotted = f"{above}{name}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{dotted}.")
        else:
            flat[dotted] = NOT_FINITE.get(value, value) if isinstance(value, str) else value
    return flat


def parse_values(text: str) -> list[Any]:
    """What a word of the command line lists, separated by commas: numbers, true, false, none, words, or lists in brackets.

    **Raises:** `UndertowError` for brackets that do not match.
    """
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(letter, 0)
        require(depth >= 0, f"a bracket closes that was not opened, in {text!r}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    require(depth == 0, f"a bracket is not closed, in {text!r}")
    return [_parse_value(part.strip()) for part in parts]


def _parse_value(word: str) -> Any:
    if word[:1] in ("[", "("):
        require(word[-1:] in ("]", ")"), f"a list of values stands in brackets, such as [16,16]; got {word!r}")
        return tuple(parse_values(word[1:-1])) if word[1:-1].strip() else ()
    plain = {"none": None, "null": None, "true": True, "false": False, **NOT_FINITE}
    if word.lower() in plain:
        return plain[word.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    return word


def to_word(value: Any) -> str:
    """A value as `parse_values` reads it: `[16,16]`, `none`, `true`, `0.001`."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(to_word(item) for item in value)}]"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def find_field(config: Config, name: str) -> tuple[str, Any]:
    """The dotted name and the type of a field of numbers or words; `learning-rate` is `learning_rate`, as on the command line.

    **Raises:** `UndertowError` for one that is not there, with the nearest match, or a whole table of fields.
    """
    fields = dict(_types(type(config)))
    wanted = name.strip().lstrip("-").replace("-", "_")
    if wanted in fields:
        return wanted, fields[wanted]
    for name, hint in fields.items():  # an open table of names and values
        if typing.get_origin(hint) is dict and wanted.startswith(name + "."):
            return wanted, typing.get_args(hint)[1]
    inside = [each for each in fields if each.startswith(wanted + ".")]
    require(not (wanted and inside), f"{wanted} is a table of fields; choose among {', '.join(inside)}")
    # Every field of a configuration is too long a list for one line.
    flags = "; every flag of the preset is a field (undertow train PRESET --help)"
    raise UndertowError(f"unknown configuration field {wanted!r}{closest(wanted, fields) or flags}")


def with_fields(config: C, values: Mapping[str, Any]) -> C:
    """The configuration with other values in some of its fields, by dotted name."""
    for name, value in values.items():
        config = _replaced(config, name.split("."), value)
    return config


def changed(config: C, tables: Mapping[str, Any]) -> C:
    """The configuration with other values in some of its fields, given as nested tables, dotted names or both:
    `{"seed": 1, "training": {"updates": 100}, "policy.hidden": (8,)}`.

    **Raises:** `UndertowError` for a field that is not there (with the nearest match), a wrong type or an unknown choice.
    """
    tables = {name: _table(name, value) for name, value in tables.items()}
    values = {find_field(config, name)[0]: _opened(value) for name, value in flatten(tables).items()}
    return validate_config(with_fields(config, values))


def _table(name: str, value: Any) -> Any:
    """A law, itself or its class, as the table of fields that makes it."""
    if name != "law" or isinstance(value, Mapping):
        return value
    value = value() if isinstance(value, type) else value
    if not isinstance(value, AbstractConservationLaw):
        raise UndertowError(f"law must be a conservation law or a table of fields, got {shown(value)}")
    return dataclasses.asdict(LawConfig.of(value))


def _opened(value: Any) -> Any:
    """The names of one's own in a value that somebody has written into a program, opened."""
    if isinstance(value, (list, tuple)):
        return tuple(_opened(each) for each in value)
    return open_name(value, allowed=True) if is_own(value) else value


def _types(kind: type, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, hint in type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            yield from _types(hint, f"{before}{name}.")
        else:
            yield before + name, hint


def _replaced(part: Any, path: Sequence[str], value: Any) -> Any:
    first, *rest = path
    if isinstance(part, Mapping):
        return {**part, first: value}
    return dataclasses.replace(part, **{first: _replaced(getattr(part, first), rest, value) if rest else value})
