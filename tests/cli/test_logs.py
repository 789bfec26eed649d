"""What of the log is shown, and progress that is only shown to people."""

from __future__ import annotations

import logging

import pytest

from undertow import cli
from undertow._checks import UndertowError
from undertow.cli.logs import VARIABLE, take_level


@pytest.mark.parametrize(
    ("words", "variable", "rest", "level"),
    [
        ("info", "", "info", logging.WARNING),
        ("-v train burgers --seed 1", "", "train burgers --seed 1", logging.INFO),
        ("train burgers -v --seed 1", "", "train burgers --seed 1", logging.INFO),
        ("-v info --verbose", "", "info", logging.DEBUG),
        ("info -vv", "", "info", logging.DEBUG),
        ("--log-level ERROR info", "info", "info", logging.ERROR),
        ("info --log-level=debug -v", "", "info", logging.DEBUG),
        ("info", "Info", "info", logging.INFO),
        ("info -vv", "error", "info", logging.DEBUG),
    ],
)
def test_levels(words, variable, rest, level):
    assert take_level(words.split(), {VARIABLE: variable}) == (rest.split(), level)


@pytest.mark.parametrize(
    ("words", "variable", "message"),
    [
        ("info --log-level loud", "", "unknown log level 'loud'"),
        ("info --log-level", "", "--log-level needs one of debug, info"),
        ("info", "chatty", f"unknown level in {VARIABLE} 'chatty'"),
    ],
)
def test_unknown_levels(words, variable, message):
    with pytest.raises(UndertowError, match=message):
        take_level(words.split(), {VARIABLE: variable})


def test_the_log_is_on_standard_error(capsys, monkeypatch):
    """Results alone are on standard output, whatever is logged."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own, which pytest's is not
    words = ["simulate", "flat", "--cells", "16", "--steps", "2", "--order", "3", "--integrator", "euler"]
    said = {}
    for level in ((), ("-v",), ("--log-level", "error")):
        assert cli.main([*words, *level]) == 0
        out, said[level] = capsys.readouterr()
        assert "steps            2" in out
    assert said[()] == said["--log-level", "error"] == ""
    assert said["-v",].startswith("undertow: ") and "2 steps on (16,) cells" in said["-v",]
    monkeypatch.setenv(VARIABLE, "loud")
    assert cli.main(["info"]) == 2
    assert f"level in {VARIABLE}" in capsys.readouterr().err


def test_help_tells_codes_and_levels(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert VARIABLE in shown and "--log-level" in shown and "130, 143" in shown
