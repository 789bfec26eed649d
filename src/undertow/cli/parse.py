"""What all commands share: reading arguments, saying things."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import tyro

from undertow._checks import UndertowError, at_home, printable
from undertow._fields import read, stated_types
from undertow._io import require_free, to_json
from undertow.cli import streams
from undertow.config import Config, validate_config
from undertow.presets import PRESETS
from undertow.progress import terminal

A = TypeVar("A")
_WIDEST = 1000  # table in a file or a pipe
_LONGEST = 500  # word in a message


def say(message: object) -> None:
    """One line to standard error. A word that is longer than any name or path is cut short."""
    line = re.sub(r"\s*\n\s*", " ", str(message)).strip()
    streams.write_error("undertow: " + re.sub(rf"\S{{{_LONGEST + 1},}}", _cut, line))


def _cut(word: re.Match[str]) -> str:
    return f"{word[0][:60]}... ({len(word[0])} characters)"


def fail(message: object, code: int) -> int:
    """One line to standard error; returns the exit code."""
    say(message)
    return code


def parse(kind: Callable[..., A], arguments: list[str], prog: str, description: str, default: A | None = None) -> A:
    """What tyro makes of the arguments. Its error box becomes one line."""
    box = io.StringIO()
    shown = streams.Shown(sys.stdout or io.StringIO())  # a default may come out of a run of somebody else's
    wide = streams.columns(40 if {"-h", "--help"} & set(arguments) else 80)
    try:
        with contextlib.redirect_stderr(box), contextlib.redirect_stdout(cast(TextIO, shown)), wide:
            given = {} if default is None else {"default": default}
            parsed = tyro.cli(
                kind, args=arguments, prog=f"undertow {prog}", description=printable(description), **given
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UndertowError(f"{one_line(box.getvalue())} (see undertow {prog} --help)") from None
    return _within_range(_at_home(parsed))


def _within_range(parsed: A) -> A:
    """The same arguments, if every number lies in the range that its field states. Raises `UndertowError`."""
    checked: dict[str, Any] = {}
    for name, hint in stated_types(type(parsed)).items():
        value = getattr(parsed, name)
        if isinstance(value, Config):
            checked[name] = validate_config(value)
        else:
            checked[name] = read(hint, value, "--" + name.replace("_", "-"))
    return dataclasses.replace(parsed, **checked)  # type: ignore[type-var]


def _at_home(given: Any) -> Any:
    """The same arguments with `~` in paths as the home directory: a shell leaves it in `--out=~/run`."""
    if isinstance(given, Path):
        return at_home(given)
    if isinstance(given, tuple):
        return tuple(map(_at_home, given)) if any(isinstance(each, Path) for each in given) else given
    if not dataclasses.is_dataclass(given) or isinstance(given, type):
        return given
    before = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    after = {name: _at_home(value) for name, value in before.items()}
    same = all(after[name] is before[name] or after[name] == before[name] for name in before)
    return given if same else dataclasses.replace(given, **after)


def one_line(box: str) -> str:
    """The first paragraph of one of tyro's boxes, and the first option it suggests.

    A box is a title and sections between rules, drawn with lines, or on a terminal without them with dashes.
    """
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if text and not text.strip("─-"):
            sections.append([])
        elif not text.startswith(("╭", "╰")):
            sections[-1].append(text)
    if "╭" not in box:
        sections = sections[1:]  # the title stands above the first rule
    paragraph = "\n".join(sections[0] if sections else []).strip().split("\n\n")[0]
    said = " ".join(paragraph.split()).rstrip(".")
    if len(said) > _LONGEST:  # a long argument, repeated in lines of the box's width
        said = f"{said[:_LONGEST]}..."
    for section in sections[1:]:
        options = [word for line in section for word in line.split() if word.startswith("--")]
        if section and section[0].startswith("Perhaps you meant") and options:
            return f"{said}; did you mean {options[0].rstrip(',')}?"
    return said or "the arguments could not be read"


def show(*things: Any) -> None:
    """To standard output; wide enough for a table where it is not a terminal."""
    console = terminal()
    if not console.is_terminal:
        options = console.options.update(max_width=_WIDEST)
        width = max(console.measure(thing, options=options).maximum for thing in things)
        console = terminal(width=max(110, width))
    console.print(*things, highlight=False, soft_wrap=all(isinstance(thing, str) for thing in things), markup=False)


def show_json(value: Any) -> None:
    """One JSON document to standard output, for machines; what is not finite becomes "nan", "inf" or "-inf"."""
    print(to_json(value))


def presets_listed() -> str:
    """Every preset and a word about it, a line each, for the usage of a command that takes one."""
    return "presets:\n" + "\n".join(f"  {name:16}{each.description}" for name, each in PRESETS.items())


def require_new(path: Path | None) -> None:
    """Raise `UndertowError` if something is there already."""
    if path is not None:
        require_free(path)
