"""Every file of a run directory damaged, one at a time and in nine ways: what is said, and what the run comes to.

`resume` has to end as an undisturbed run does, but for what the damage took, which is kept beside it; every other command
answers, or says in one line what is wrong. About a minute per file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_resume import CONFIG, stopped
from tests.traces import differences, essence
from undertow import cli
from undertow._checks import UndertowError
from undertow.experiment import load_run, resume, train
from undertow.store.keeping import rank_checkpoints

FILES = [
    "config.json",
    "run.json",
    "metrics.csv",
    "summary.json",
    ".lock",
    "checkpoints/last_update_000006.safetensors",
    "checkpoints/last_update_000004.safetensors",
    "checkpoints/last_update_000002.safetensors",
    "checkpoints/best_update_000004.safetensors",
    "checkpoints/best_update_000000.safetensors",
]
FOLDERS = ["checkpoints", "figures"]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes() or b"\0")
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))


def garbage(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 9)


def append(file: Path) -> None:
    with open(file, "ab") as grown:
        grown.write(b"\0more,\n{}")


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "a").write_text("somebody's")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def listening(file: Path) -> None:
    """A socket: nothing that can be opened."""
    file.unlink()
    with contextlib.chdir(file.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(file.name)


def circle(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


WAYS: dict[str, Callable[[Path], None]] = {
    "empty": lambda file: file.write_bytes(b"") and None,
    "cut": cut,
    "one bit": flip,
    "garbage": garbage,
    "more behind it": append,
    "missing": Path.unlink,
    "a directory": folder,
    "a pipe": pipe,
    "a socket": listening,
    "a link to itself": circle,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, a stopped one, and another stopped one of another seed."""
    room = tmp_path_factory.mktemp("made")
    train(CONFIG, preset="tiny", out=room / "whole")
    stopped(CONFIG, 6, room / "run")
    stopped(dataclasses.replace(CONFIG, seed=1), 6, room / "other")
    return room


def damage(name: str, way: str, made: Path, tmp_path: Path, run: str = "run") -> Path:
    copy = Path(shutil.copytree(made / run, tmp_path / "run"))
    if way == "another run's":
        shutil.copy(made / "other" / name, copy / name)
    else:
        WAYS[way](copy / name)
    return copy


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


@pytest.mark.parametrize("way", [*WAYS, "another run's"])
@pytest.mark.parametrize("name", FILES)
def test_going_on(name: str, way: str, made: Path, tmp_path: Path, caplog):
    run = damage(name, way, made, tmp_path)
    damaged = (run / name).read_bytes() if is_file(run / name) else None
    told = "it can be evaluated"
    try:
        load_run(run, "last")
    except UndertowError as error:
        told = str(error)
    print(f"\n{name}, {way}: {told}")
    assert "\n" not in told
    if name == ".lock" and way not in (
        "empty",
        "cut",
        "one bit",
        "garbage",
        "more behind it",
        "missing",
        "another run's",
    ):
        with pytest.raises(UndertowError, match=r"^cannot (lock|write) .*\.lock: .*$"):
            resume(run)
        return
    assert resume(run).status == "finished"
    print(*caplog.messages, sep="\n")
    assert not any("\n" in message for message in caplog.messages)
    aside = [each for each in run.rglob("*.damaged-*") if each.parent.name in ("run", "checkpoints")]
    if damaged is not None:
        assert [each.read_bytes() for each in aside] in ([], [damaged]), "what was damaged is kept"
    for each in aside:
        if not is_file(each):  # the comparison reads files
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    stays = name.startswith("checkpoints/") and damaged is not None and is_file(run / name)
    if stays and (run / name).read_bytes() == damaged:  # where it is, unread; it would not let itself be compared
        (run / name).unlink()
    left = set(differences(essence(run), essence(made / "whole")))
    print(f"differs in the end in {', '.join(sorted(left)) or 'nothing'}")
    if name.startswith("checkpoints/best"):
        # It is lost, and what it kept out is among the best again. The file stays, but where the new best takes its place.
        assert left <= {"files", "summary", *(each for each in left if each.startswith("checkpoints/best"))}
    elif name == "metrics.csv":
        assert left <= {"files", "metrics"}
    else:
        assert left <= {"files", *(str(each.relative_to(run)) for each in aside)}
    # Of the newest checkpoints those are read, and named if they are damaged, that are needed.
    newest = name in ("checkpoints/last_update_000006.safetensors", "checkpoints/best_update_000004.safetensors")
    if name in ("config.json", "run.json") or (newest and damaged is not None):
        assert name.rsplit("/")[-1] in caplog.text


@pytest.mark.parametrize("way", ["missing", "a file", "a link to itself"])
@pytest.mark.parametrize("name", FOLDERS)
def test_going_on_without_a_folder(name: str, way: str, made: Path, tmp_path: Path):
    run = Path(shutil.copytree(made / "run", tmp_path / "run"))
    shutil.rmtree(run / name)
    if way == "a file":
        (run / name).write_text("somebody's")
    elif way == "a link to itself":
        (run / name).symlink_to(name)
    assert resume(run).status == "finished"
    for each in run.glob(f"{name}.damaged-*"):
        each.unlink()
    assert set(differences(essence(run), essence(made / "whole"))) <= {"files", "metrics"}


COMMANDS = {
    "runs": ["runs", "ROOM", "--columns", "path,status,best,seconds,updates"],
    "runs --json": ["runs", "ROOM", "--json", "--since", "2001-01-01"],
    "compare": ["compare", "ROOM", "--resamples", "10", "--json"],
    "diff": ["diff", "RUN", "ROOM/good", "--all", "--json"],
    "evaluate": [
        "evaluate",
        "RUN",
        "--suite",
        "held-out",
        "--cases",
        "2",
        "--cells",
        "16",
        "--steps",
        "4",
        "--json",
        "--quiet",
    ],
    "report": ["report", "RUN", "--quiet", "--suite", "held-out", "--out", "ROOM/report.html"],
    "export": ["export", "RUN", "--no-programs", "--json", "--out", "ROOM/export"],
}
OF_WHOLE = {"best": "best_update_*", "last": "last_update_*"}


@pytest.mark.parametrize("name", [*FILES[:5], *OF_WHOLE])
def test_every_other_command(name: str, made: Path, tmp_path: Path):
    """An answer with exit code 0, or one line with exit code 2 and nothing written; other runs are listed all the same."""
    shutil.copytree(made / "whole", tmp_path / "good")
    if name in OF_WHOLE:
        best = rank_checkpoints(made / "whole" / "checkpoints")[0].path
        name = f"checkpoints/{best.name if name == 'best' else 'last_update_000010.safetensors'}"
    for way in (*WAYS, "another run's"):
        run = Path(shutil.copytree(made / "whole", tmp_path / "run"))
        if way != "another run's":
            WAYS[way](run / name)
        else:
            shutil.copy(next((made / "other").glob(f"{name.split('_')[0]}*")), run / name)
        before = tree(tmp_path)
        for command, words in COMMANDS.items():
            out, err = io.StringIO(), io.StringIO()
            given = [word.replace("ROOM", str(tmp_path)).replace("RUN", str(run)) for word in words]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = cli.main(given)
            said = [line for line in err.getvalue().splitlines() if line]
            print(f"{name}, {way}, {command}: exit {code}; {said[-1] if code else 'answered'}")
            assert code in (0, 2) and "Traceback" not in err.getvalue()
            if code:
                assert said[-1].startswith("undertow: "), err.getvalue()
                assert tree(tmp_path) == before, "a refused command writes nothing"
            if command == "runs --json":
                assert str(tmp_path / "good") in {each["path"] for each in json.loads(out.getvalue())}
            shutil.rmtree(tmp_path / "export", ignore_errors=True)
            (tmp_path / "report.html").unlink(missing_ok=True)
        shutil.rmtree(run)


def tree(folder: Path) -> list[str]:
    return sorted(str(each) for each in folder.rglob("*"))
