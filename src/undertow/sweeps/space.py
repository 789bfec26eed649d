"""Which fields of a configuration a sweep goes over, and with which values."""

from __future__ import annotations

import functools
import itertools
import math
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undertow._checks import UndertowError, plain_number, real_number, require
from undertow.config import Config, validate_config
from undertow.config.fields import find_field, parse_values, to_word, with_fields

MAX_VALUES = 1_000
"""The longest list of values."""


@dataclass(frozen=True)
class Choices:
    """Values of a field, one after the other.

    **Raises:** `UndertowError` for none, or the same value twice.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        require(len(self.values) > 0, "a field needs at least one value, got none")
        require(
            len(self.values) <= MAX_VALUES,
            f"a field takes at most {MAX_VALUES} values, got {len(self.values)}; give fewer, or a range such as 1..100",
        )
        names = self.names
        twice = next((name for name, times in Counter(names).items() if times > 1), None)
        require(twice is None, f"the value {twice} stands twice in {','.join(names[:20])}")

    @property
    def names(self) -> list[str]:
        """The values as words, as the command line takes them."""
        return [to_word(value) for value in self.values]

    def plain(self) -> Any:
        """For JSON."""
        return {"choices": self.names}


@dataclass(frozen=True)
class Range:
    """Every number from `low` to `high`, both included; `log`: drawn evenly in the logarithm.

    **Raises:** `UndertowError` for ends that are not finite or not in order, or not above 0 with `log`.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        said = f"{self.low!r}..{self.high!r}"
        whole = isinstance(self.low, int)
        require(
            not whole or max(abs(self.low), abs(self.high)) <= 2**53,
            "a range of whole numbers lies between -2**53 and 2**53",
        )
        require(math.isfinite(self.low) and math.isfinite(self.high), f"a range has finite ends, got {said}")
        require(self.low < self.high, f"a range goes from less to more, got {said}")
        require(math.isfinite(self.high - self.low), f"a range is no longer than the largest number, got {said}")
        require(not self.log or self.low > 0, f"a logarithmic range lies above 0, got {said}")

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int)

    def plain(self) -> Any:
        """For JSON."""
        return {"low": self.low, "high": self.high, "log": self.log}


Values = Choices | Range
Space = dict[str, Values]
"""The values of every field, by its dotted name."""


def read_space(config: Config, over: Sequence[str] | Mapping[str, Any]) -> Space:
    """What a sweep of `config` goes over.

    **Arguments:** `config`; `over`: words such as `gradient=full,stop`, `optimizer.learning_rate=1e-4..1e-2:log` or
    `policy.hidden=[16,16],[32,32]`; or a mapping from fields to the right-hand side of such a word, to a sequence of values,
    or to a `Range`.

    **Raises:** `UndertowError` for no field, one that is not there (with the nearest match) or named twice, values that are
    not of its type, an empty list.
    """
    config = validate_config(config)
    pairs = list(over.items()) if isinstance(over, Mapping) else [_split(word) for word in over]
    require(len(pairs) > 0, "a sweep needs something to go over, such as --over gradient=full,stop")
    space: Space = {}
    for given, values in pairs:
        name, hint = find_field(config, given)
        require(name not in space, f"{name} is swept over twice; put all of its values into one list")
        try:
            space[name] = _values(hint, values)
        except UndertowError as error:
            raise UndertowError(f"{name}: {error}") from None
        space[name] = _checked(config, name, space[name])
    return space


def space_from_plain(config: Config, plain: Mapping[str, Any]) -> Space:
    """The space that `plain()` of its values was written from."""
    space: Space = {}
    for name, values in plain.items():
        hint = find_field(config, name)[1]
        if "choices" in values:
            space[name] = Choices(tuple(value for word in values["choices"] for value in parse_values(str(word))))
        else:
            space[name] = _range(hint, values["low"], values["high"], values["log"])
        space[name] = _checked(config, name, space[name])
    return space


def combinations(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination of a space of choices, the last field running fastest."""
    lists = [values.values for values in space.values() if isinstance(values, Choices)]
    for chosen in itertools.product(*lists):
        yield dict(zip(space, chosen, strict=True))


# --- reading ----------------------------------------------------------------------------------------------------------


def _split(word: str) -> tuple[str, str]:
    name, equals, values = word.partition("=")
    require(bool(equals), f"say what to go over as FIELD=VALUES, such as gradient=full,stop; got {word!r}")
    return name, values


def _checked(config: Config, name: str, values: Values) -> Values:
    """The same values as the configuration holds them: a whole number of a field of numbers is one."""

    def held(value: Any) -> Any:
        return functools.reduce(getattr, name.split("."), validate_config(with_fields(config, {name: value})))

    if isinstance(values, Choices):
        return Choices(tuple(held(value) for value in values.values))
    return Range(held(values.low), held(values.high), values.log)


def _values(hint: Any, given: Any) -> Values:
    if isinstance(given, Range):
        return _range(hint, given.low, given.high, given.log)
    if hasattr(given, "tolist"):  # an array of NumPy or JAX
        given = given.tolist()
    if not isinstance(given, str):
        require(isinstance(given, Sequence), f"give a list of values, a Range or a word, got {given!r}")
        return Choices(tuple(_tupled(value) for value in given))
    text = given.strip()
    require(text != "", "a field needs at least one value, got none")
    if _bare(hint) in (int, float) and ".." in text:
        low, _, high = text.partition("..")
        high, colon, scale = high.partition(":")
        require(not colon or scale == "log", f"a range is LOW..HIGH or LOW..HIGH:log, got {text!r}")
        (low, *more), (high, *others) = parse_values(low), parse_values(high)
        require(not (more or others), f"a range has two ends, got {text!r}")
        return _range(hint, low, high, scale == "log")
    return Choices(tuple(parse_values(text)))


def _range(hint: Any, low: Any, high: Any, log: bool) -> Range:
    kind = _bare(hint)
    require(kind in (int, float), "a range is for fields that hold one number; list the values instead")
    low, high = _tupled(low), _tupled(high)
    for end in (low, high):
        whole = isinstance(end, int) and not isinstance(end, bool)
        numbers = "numbers" if kind is float else "whole numbers"
        require(whole or (kind is float and isinstance(end, float)), f"a range of {numbers} has no end {end!r}")
    return Range(_as(kind, low), _as(kind, high), log)


def _as(kind: Any, end: int | float) -> Any:
    return real_number("an end of a range", end) if kind is float else kind(end)


def _bare(hint: Any) -> Any:
    """The type itself of `X | None`, which every union here is."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(each for each in typing.get_args(hint) if each is not type(None))
    return hint


def _tupled(value: Any) -> Any:
    """Lists as tuples, numbers and arrays of NumPy and JAX as Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(_tupled(item) for item in value) if isinstance(value, (list, tuple)) else plain_number(value)
