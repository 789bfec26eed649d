"""Fields of runs, and conditions on them, as people write them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from undertow._checks import UndertowError, closest, require
from undertow.config import config_from_dict, config_to_dict
from undertow.config.fields import flatten, parse_values

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": le,
    ">=": ge,
    "!=": ne,
    "==": eq,
    "=": eq,
    "<": lt,
    ">": gt,
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def config_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of a configuration, dotted; those that are missing have their defaults.

    A configuration of another version, which this one cannot read, is taken as it stands.
    """
    with contextlib.suppress(UndertowError):
        config = config_to_dict(config_from_dict(config))
    return flatten(config)


def shown(value: Any) -> str:
    """A value for people: short numbers, no quotes."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ",".join(shown(each) for each in value) or "()"
    return str(value)


def shorten(names: Iterable[str]) -> dict[str, str]:
    """Dotted names by the shortest of their endings that tells them apart: `optimizer.name` and `policy.name` stay whole."""
    names = list(names)
    short = {}
    for name in names:
        parts = name.split(".")
        endings = [".".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
        short[name] = next(
            (each for each in endings if sum(f".{other}".endswith(f".{each}") for other in names) == 1), name
        )
    return short


def unknown(kind: str, name: str, known: Iterable[str]) -> UndertowError:
    """The error for a name that is not there, with the nearest one; there are too many to list them all."""
    return UndertowError(f"no run has a {kind} {name!r}{closest(name, sorted(known))}")


class Condition(NamedTuple):
    """A condition on a field, such as `optimizer.learning_rate<1e-3`."""

    field: str
    operator: str
    value: Any

    def holds(self, actual: Any) -> bool:
        """Whether a field with this value meets it. A number that is compared with a word does not."""
        compare = _OPERATORS[self.operator]
        if is_number(actual) and is_number(self.value):
            return compare(actual, self.value)
        if self.operator in ("<", "<=", ">", ">="):
            return False
        wanted = (
            [self.value]
            if isinstance(actual, (list, tuple)) and not isinstance(self.value, (list, tuple))
            else self.value
        )
        return compare(_comparable(actual), _comparable(wanted))


def parse_condition(text: str) -> Condition:
    """A condition from its text: FIELD=VALUE, or with `!=`, `<`, `<=`, `>`, `>=`.

    The value is a number, true, false, none, a word, or a list such as `16,16`. **Raises:** `UndertowError` for anything else.
    """
    found = re.fullmatch(r"\s*([^<>=!\s]+)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", text)
    if found is None:
        raise UndertowError(f"a condition is FIELD=VALUE, or has !=, <, <=, > or >= in its middle; got {text!r}")
    field, operator, word = found.groups()
    value, *more = parse_values(word)
    value = [value, *more] if more else value
    ordered = operator not in ("=", "==", "!=")
    require(not ordered or is_number(value), f"{text!r} compares sizes, so its value must be a number, got {word!r}")
    return Condition(field, operator, value)


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """A moment: `2026-01-31`, `2026-01-31T14:25` (local time unless it says otherwise), or so long ago: `30m`, `6h`, `2d`, `1w`.

    **Raises:** `UndertowError` for anything else.
    """
    now = datetime.now().astimezone() if now is None else now
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):  # the latter two: before or after all time
        raise UndertowError(
            f"a moment is a date such as 2026-01-31 or 2026-01-31T14:25, or so long ago, such as 30m, 6h, 2d; got {text!r}"
        ) from None


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _comparable(value: Any) -> Any:
    """Values so that equal ones are those that people mean: true is not 1, a tuple is a list, a path a word."""
    if isinstance(value, (list, tuple)):
        return [_comparable(each) for each in value]
    return str(value) if isinstance(value, (bool, Path)) else value
