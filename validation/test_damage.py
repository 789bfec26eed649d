"""Every file of a run directory damaged, one at a time and in every way: what is said, and what the run comes to."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_resume import CONFIG, cut, empty, flip, stopped
from tests.traces import differences, essence
from undertow._checks import UndertowError
from undertow.experiment import load_run, resume, train

FILES = [
    "config.json",
    "run.json",
    "metrics.csv",
    "summary.json",
    ".lock",
    "checkpoints/last_update_000006.safetensors",
    "checkpoints/last_update_000004.safetensors",
    "checkpoints/best_update_000004.safetensors",
    "checkpoints/best_update_000000.safetensors",
]


WAYS: dict[str, Callable[[Path], None]] = {"cut": cut, "flip": flip, "empty": empty, "remove": Path.unlink}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, a stopped one, and another stopped one of another seed."""
    folder = tmp_path_factory.mktemp("made")
    train(CONFIG, preset="tiny", out=folder / "whole")
    stopped(CONFIG, 6, folder / "run")
    stopped(dataclasses.replace(CONFIG, seed=1), 6, folder / "other")
    return folder


@pytest.mark.parametrize("way", [*WAYS, "swap"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file(name: str, way: str, made: Path, tmp_path: Path, caplog):
    run = Path(shutil.copytree(made / "run", tmp_path / "run"))
    if way == "swap":
        shutil.copy(made / "other" / name, run / name)
    elif name == ".lock" and way in ("cut", "flip"):
        pytest.skip("it is empty")
    else:
        WAYS[way](run / name)
    damaged = (run / name).read_bytes() if (run / name).exists() else None
    told = "it can be evaluated"
    try:
        load_run(run, "last")
    except UndertowError as error:
        told = str(error)
    print(f"\n{name}, {way}: {told}")
    assert "\n" not in told
    assert resume(run).status == "finished"
    print(*caplog.messages, sep="\n")
    stays = name.startswith("checkpoints/best") and damaged is not None and (run / name).exists()
    if stays and (run / name).read_bytes() == damaged:  # where it is, unread; it would not let itself be compared
        (run / name).unlink()
    left = set(differences(essence(run), essence(made / "whole")))
    print(f"differs in the end in {', '.join(sorted(left)) or 'nothing'}")
    aside = list(run.rglob("*.damaged-*"))
    assert [each.read_bytes() for each in aside] in ([], [damaged]), "what was damaged is kept"
    if name.startswith("checkpoints/best"):
        # It is lost, and what it kept out is among the best again. The file stays, but where the new best takes its place.
        assert left <= {"files", "summary", *(each for each in left if each.startswith("checkpoints/best"))}
    elif name == "metrics.csv":
        assert left <= {"files", "metrics"}
    else:
        assert left <= ({"files"} if aside else set())
    # Of the newest checkpoints those are read, and named if they are damaged, that are needed.
    newest = name.startswith("checkpoints") and "last_update_000004" not in name
    if name in ("config.json", "run.json") or (newest and damaged is not None):
        assert name.rsplit("/")[-1] in caplog.text
