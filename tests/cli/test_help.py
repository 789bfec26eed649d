"""The help of every command: it is shown, it fits, and it names every option with its default."""

from __future__ import annotations

import dataclasses
import re
import typing
from typing import Any, TypeVar

import pytest

from undertow import cli
from undertow.cli import parse
from undertow.presets import PRESETS

WIDE = 88
AFTER = {"train": ("burgers", "cartpole"), "sweep": ("burgers", "quantum"), "reproduce": ("contact",)}
"""What has to follow a command before its options are shown."""
LINES = [f"{name}{word}" for name in cli.COMMANDS for word in ("", *(f" {each}" for each in AFTER.get(name, ())))]
OWN = {"list": ["--json"], "info": ["--json"]}
"""Options of commands that read their few words themselves."""

Asked = list[tuple[Any, Any]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The classes of options that help was asked of, with the defaults that were given."""
    kinds: Asked = []
    made = parse.tyro.cli
    monkeypatch.setattr(
        parse.tyro, "cli", lambda kind, **given: kinds.append((kind, given.get("default"))) or made(kind, **given)
    )
    monkeypatch.setenv("COLUMNS", str(WIDE))
    return kinds


def options(kind: Any, default: Any = None, above: str = "") -> tuple[list[str], int]:
    """The flags of all fields of a class of options, and how many have none and are told by their place."""
    flags, places = [], 0
    plain = typing.get_origin(kind) or kind
    hints = typing.get_type_hints(plain, include_extras=True)
    for name, hint in ((field.name, hints[field.name]) for field in dataclasses.fields(plain)):
        bare = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
        whole = isinstance(bare, TypeVar)  # a configuration, whose fields stand beside the command's own
        inner = type(getattr(default, name)) if whole else bare
        if dataclasses.is_dataclass(inner):
            flags += options(inner, None, above if whole else f"{above}{name.replace('_', '-')}.")[0]
        elif "Positional" in str(hint):
            places += 1
        else:
            flags.append(f"--{above}{name.replace('_', '-')}")
    return flags, places


def entries(shown: str) -> dict[str, str]:
    """What stands beside every flag, and beside everything in capitals that takes its place without one."""
    found: dict[str, str] = {}
    name = ""
    for line in shown.splitlines():  # in a box, or below a line of dashes
        if begins := re.match(r"^(?:│ |  )(--?[a-z][-\w.]*|\[*[A-Z]{2,})", line):
            name = begins[1]
            found[name] = ""
        if name:
            found[name] += f" {line.strip('│ ')}"
    return found


@pytest.mark.parametrize("line", LINES)
def test_help_is_shown_fits_and_names_every_option_with_its_default(
    line: str, asked: Asked, capsys: pytest.CaptureFixture[str]
):
    assert cli.main([*line.split(), "--help"]) == 0
    shown, said = capsys.readouterr()
    assert not said and shown.startswith(f"usage: undertow {line.split()[0]}")
    if not asked:  # a summary of what may follow, or a command of a few words
        assert all(option in shown for option in OWN.get(line, []))
        assert line in OWN or (line in AFTER and "--help` shows" in shown)
        if line == "train":
            assert all(f"  {name} " in shown for name in PRESETS)
        return
    _, about, listed = shown.split("\n\n", 2)
    assert max(map(len, listed.splitlines())) <= WIDE and "\n" not in about  # a terminal breaks the first two itself
    flags, places = options(*asked[0])
    found = entries(listed)
    assert [flag for flag in flags if flag not in found] == []
    for flag in flags:
        assert re.search(r"\((default:|repeatable\))", found[flag]), flag
        assert re.search(r"[a-z]{3,} .*\((default:|repeatable)", found[flag]), f"{flag} is not explained"
    in_place = [text for name, text in found.items() if not name.startswith("-")]
    assert len(in_place) == places and all(re.search(r"\((required|default: )", text) for text in in_place)


def test_every_command_has_a_line_in_the_help_of_all(capsys: pytest.CaptureFixture[str]):
    for words in ([], ["--help"], ["help"]):
        assert cli.main(words) == 0
        shown = capsys.readouterr().out
        for command in cli.COMMANDS.values():
            assert re.search(rf"^  {re.escape(command.usage)} +{re.escape(command.summary)}$", shown, re.MULTILINE)
            assert len(command.summary) < 80 and command.summary[0].islower()


def test_no_help_writes_anything(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in cli.COMMANDS:
        assert cli.main([name, "-h"]) == 0
    assert not list(tmp_path.iterdir())
