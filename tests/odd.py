"""Values that nobody expects, at every place of a nested value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2.5, float("nan"), float("inf"), 10**18, 10**400, 1e308, "", "nan", "word", "a\nb\x1b[31m",
    "\ud800", [], [1], [None], {}, {"metric": 1}, {"a": {"b": []}},
)  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of everything in a nested value, itself too."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from leaves(inner, (*path, name))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The same with something else at a place; `...` removes what is there."""
    if not path:
        return {} if new is ... else new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy
