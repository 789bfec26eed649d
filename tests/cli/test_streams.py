"""What reaches the terminal: letters of all scripts, and nothing that a terminal obeys but the colours of its own tables."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import sys
import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress
from rich.table import Table

from tests.runs.fakes import make_run
from undertow import cli
from undertow._checks import printable
from undertow.cli import logs, parse, streams
from undertow.progress import terminal

RED = "\x1b[31mRED"
TITLE = "\x1b]0;owned\x07"
HARM = f"{RED}{TITLE}\x9b2J\r\x08\x7f\u202e"
SAFE = r"\x1b[31mRED\x1b]0;owned\x07\x9b2J\r\x08\x7f\u202e"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def obeyed(text: str) -> list[str]:
    """What in a text a terminal would do something at, colours apart."""
    return [each for each in COLOUR.sub("", text) if unicodedata.category(each) in ("Cc", "Cs") and each != "\n"]


@given(st.text(st.characters(codec=None, categories=None)))
def test_whatever_comes_can_be_shown(text):
    shown = printable(text)
    assert obeyed(shown) == [] and printable(shown) == shown
    shown.encode("utf-8")
    assert [each for each in text if each.isalnum()] == [each for each in shown if each in text and each.isalnum()] or (
        shown != text  # the letters of an escape are more
    )


@pytest.mark.parametrize("text", ["Größe ρ·u² → 日本語 שלום", "किताब नमस्‍ते", "👩‍🔬 a\nb", r"a$_$b \x1b"])
def test_letters_of_all_scripts_stay(text):
    assert printable(text) == text


def test_harm_is_shown():
    assert printable(HARM) == SAFE


def drawn(*things, **options) -> str:
    file = io.StringIO()
    terminal(file=file, force_terminal=True, width=150, color_system="standard", **options).print(*things)
    return file.getvalue()


def test_tables_and_lines():
    table = Table(title=HARM, caption=HARM)
    table.add_column(f"[bold]name[/]{HARM}", style="red", footer=HARM)
    table.add_row(f"cell {HARM}")
    for thing in (table, f"line {HARM}", f"[red]{HARM}[/red]"):
        text = drawn(thing)
        assert obeyed(text) == [] and SAFE in COLOUR.sub("", text)
    lines = COLOUR.sub("", drawn(table)).splitlines()
    assert len({len(line) for line in lines if "│" in line}) == 1  # measured as it is shown


def test_progress():
    file = io.StringIO()
    with Progress(console=terminal(file=file, force_terminal=True, width=200), transient=True) as bar:
        bar.add_task(f"evaluating {HARM}", total=1)
        bar.refresh()
    text = re.sub(r"\x1b\[(\d+[AK]|2K|\?25[lh])", "", file.getvalue()).replace("\r", "")  # what the bar itself moves
    assert obeyed(text) == [] and r"evaluating \x1b[31mRED" in COLOUR.sub("", text)


def test_lines_to_standard_error(capsys, monkeypatch):
    parse.say(f"runs/a  b is\n  no {HARM}")
    assert capsys.readouterr().err == f"undertow: runs/a  b is no {SAFE}\n"  # a path keeps its spaces
    logs._StandardError().emit(logging.LogRecord("undertow", logging.WARNING, "", 0, "a %s", (HARM,), None))
    assert capsys.readouterr().err == f"undertow: a {SAFE}\n"
    streams._show_warning(UserWarning(HARM), UserWarning, "file.py", 3)
    assert capsys.readouterr().err == f"undertow: UserWarning: {printable(' '.join(HARM.split()))} (file.py:3)\n"
    try:
        raise ValueError(HARM)
    except ValueError:
        streams._show_error(*sys.exc_info())
    assert obeyed(told := capsys.readouterr().err) == [] and SAFE in told


@pytest.fixture
def foreign(tmp_path):
    """A run directory that somebody else has filled, and one of one's own."""
    make_run(tmp_path / "own")
    run = make_run(tmp_path / f"no{RED}", preset="odd", status="failed", summary={"suite": HARM, HARM: 1.0})
    for name in ("run.json", "config.json", "summary.json"):
        document = json.loads((run.path / name).read_text())
        text = (
            json.dumps(document)
            .replace('"odd"', json.dumps(HARM))
            .replace("as the test wants it", json.dumps(HARM)[1:-1])
        )
        (run.path / name).write_text(text)
    table = (run.path / "metrics.csv").read_text()
    (run.path / "metrics.csv").write_text(table.replace("test_loss", f"test_loss{RED}"))
    return run.path


@pytest.mark.parametrize(
    "words",
    [
        "runs ROOT",
        f"runs ROOT --columns path,preset,reason,suite,{RED}",
        "runs ROOT --json",
        "diff OWN RUN --all",
        f"diff OWN RUN{RED}",
        "compare OWN RUN",
        "resume nothing\x1b]0;owned\x07",
        "plot RUN",
        f"train {RED}",
        f"train cartpole --seed {RED}",
        f"train cartpole --{RED} 1",
        "train --repeat RUN --help",
        f"simulate {HARM}",
        f"simulate sod --out {RED}.txt",
        f"list {TITLE}",
        TITLE,
    ],
)
def test_commands_print_nothing_that_is_obeyed(foreign, words, capsys):
    names = {"ROOT": foreign.parent, "OWN": foreign.parent / "own", "RUN": foreign}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cli.main([re.sub("ROOT|OWN|RUN", lambda found: str(names[found[0]]), word) for word in words.split(" ")])
    except Exception:  # what a damaged run leads to is tested elsewhere; here, what would be said of it
        streams._show_error(*sys.exc_info())
    out, err = capsys.readouterr()
    assert (out or err) and obeyed(out) == obeyed(err) == []
    assert "\x1b[31m" not in out + err or "--help" in words  # whose colours go as they are


class Stuck(io.StringIO):
    """Standard output that nothing goes through any more."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),  # as in `undertow list | head -1`
        (OSError(errno.ENOSPC, "No space left on device"), 2, "standard output: No space left on device"),
        (ValueError("I/O operation on closed file"), 2, "standard output: I/O operation on closed file"),
    ],
)
def test_output_that_does_not_go_out(error, code, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Stuck(error))
    assert cli.main(["list", "boundaries"]) == code
    sys.stdout.close()  # flushes, as Python does when it ends
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == bool(said)


def test_no_streams_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["list", "boundaries"]) == 0
    assert cli.main(["list", "nothing"]) == 2
    assert cli.main(["simulate", "--help"]) == 0


@pytest.mark.parametrize("width", ["1", "0", "many", "-5", "33"])
def test_errors_of_arguments_do_not_depend_on_the_width(width, monkeypatch, capsys):
    told = []
    for columns in ("200", width):
        monkeypatch.setenv("COLUMNS", columns)
        assert cli.main(["simulate", "sod", "--cels", "12"]) == 2
        assert os.environ["COLUMNS"] == columns
        told.append(capsys.readouterr().err)
    assert told[0] == told[1] and "--cels" in told[0] and told[0].count("\n") == 1
