"""The documentation says what is there: its code runs, its commands are read, its tables are complete."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import get_args, get_type_hints

import pytest

from undertow import cli, experiment
from undertow.cli import export, many, solver, study, sweep
from undertow.config import ObjectiveConfig, config_to_dict
from undertow.core.flow import FLOWS
from undertow.core.gradient import GRADIENTS
from undertow.envs.suites import SUITES
from undertow.games import ACTIONS, GAMES, REWARDS
from undertow.numerics.boundary import BOUNDARIES
from undertow.policies.classical import CLASSICAL, classical
from undertow.presets import PRESETS, preset
from undertow.report import simulation
from undertow.store.rundir import RunDirectory
from undertow.sweeps.space import read_space

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = {path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8") for path in (
    REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")),
)}  # fmt: skip


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


@pytest.mark.documentation  # run by `make docs`, with what is built there
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_code_runs(page, tmp_path, monkeypatch):
    """The blocks of a page, one after the other, as one program."""
    monkeypatch.chdir(tmp_path)
    if "stable_baselines3" in "".join(blocks(page, "python")):
        pytest.importorskip("stable_baselines3", reason="the extra baselines is not installed: make baselines")
    program = ModuleType("__main__")  # where names of one's own are looked for
    monkeypatch.setitem(sys.modules, "__main__", program)
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), vars(program))


COMMANDS = [
    (page, line)
    for page in PAGES
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("undertow ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_commands_are_read(page, line, tmp_path, monkeypatch, capsys):
    """Every option is there and takes what it is given. The work behind the command is not done."""
    monkeypatch.chdir(tmp_path)
    # What a configuration is taken from has to be there.
    config = config_to_dict(preset("burgers").config)
    for name in ("mine", "second"):
        RunDirectory.create(Path("runs") / name, preset="burgers", config=config).close()
    Path("mine.toml").write_text("seed = 1\n")
    law, simulator = blocks("docs/own.md", "python")
    exec(law, {})  # writes traffic.py
    Path("boat.py").write_text(simulator.partition("learned =")[0])
    done = SimpleNamespace(evaluations={}, table=None, path="run", status="finished", exit_code=0, to_dict=dict)
    result = SimpleNamespace(x=None, times=None, values=None, exact=None, metrics=dict, notes=(), to_csv=str)
    monkeypatch.setattr(experiment, "train", lambda config, **options: done)
    monkeypatch.setattr(experiment, "resume", lambda path, **options: done)
    monkeypatch.setattr(experiment, "import_agent", lambda path, config, **options: done)
    monkeypatch.setattr(experiment, "evaluate_run", lambda path, suites, **options: {})
    shown = SimpleNamespace(table="", timed="", results="", figures=[], finished=True)
    monkeypatch.setattr(many, "list_runs", lambda root, **options: [])
    differs = SimpleNamespace(parameters={}, about={}, describe=str, to_dict=dict)
    monkeypatch.setattr(many, "diff_runs", lambda sources, **options: differs)
    compared = SimpleNamespace(pairs=(), notes=(), to_dict=dict)
    monkeypatch.setattr(many, "compare_runs", lambda runs, **options: compared)
    monkeypatch.setattr(many, "comparison_table", lambda comparison: "")
    monkeypatch.setattr(many, "write_comparison", lambda comparison, out: [])
    monkeypatch.setattr(study, "reproduce", lambda task, out, **options: shown)
    swept = SimpleNamespace(summary={"trials": []}, table="", files=[], finished=True, signal=None, exit_code=0)
    monkeypatch.setattr(sweep.sweep, "sweep", lambda config, over, **options: read_space(config, over) and swept)
    for name in ("join", "summary"):
        monkeypatch.setattr(sweep.sweep, name, lambda folder, **options: swept)
    written = {"kind": "", "parameters": 0, "precision": "", "checkpoint": "", "files": {}, "agreement": {}, "path": ""}
    monkeypatch.setattr(export, "export", lambda run, **options: SimpleNamespace(to_dict=lambda: written))
    monkeypatch.setattr(experiment, "plot_run", lambda path, **options: [])
    monkeypatch.setattr(experiment, "report_run", lambda path, out, **options: Path("mine.toml"))
    served = contextlib.nullcontext()
    vars(served).update(url="", serve=lambda: None)
    monkeypatch.setattr(experiment, "ReportServer", lambda path, **options: served)
    monkeypatch.setattr(experiment, "load_policy", lambda where, order=5: classical("weno-js", order))
    monkeypatch.setattr(solver, "simulate", lambda condition, policy, **options: result)
    monkeypatch.setattr(simulation, "draw_simulation", lambda *arguments, **options: None)
    assert cli.main(shlex.split(line, comments=True)[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES)
def test_links_between_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        if not target.startswith("reference/"):  # made by the build, which checks them
            assert (REPOSITORY / page).parent.joinpath(target).exists(), target


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed: make docs")
@pytest.mark.parametrize(("link", "code"), [("index.md", 0), ("no_such_page.md", 1)])
def test_a_dead_link_fails_make_docs(link, code, tmp_path):
    """With the very options of the Makefile: a build that says less than it should fails less, too."""
    told = subprocess.run(["make", "-n", "docs"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    (build,) = [line for line in told.splitlines() if "mkdocs build" in line]
    options = shlex.split(build.partition("mkdocs build")[2])
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"[another page]({link})\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: tiny\n")
    command = [sys.executable, "-m", "mkdocs", "build", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == code, done.stderr.decode()


def choices(field: str) -> tuple[str, ...]:
    return get_args(get_type_hints(ObjectiveConfig)[field])


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("docs/command_line.md", cli.COMMANDS),
        ("docs/configuration.md", PRESETS),
        ("docs/evaluation.md", SUITES),
        ("docs/games.md", [*GAMES, *ACTIONS, *REWARDS]),
        ("docs/gradients.md", GRADIENTS),
        ("docs/gradients.md", [name.upper() for name in FLOWS]),
        ("docs/objectives.md", [*choices("name"), *choices("error"), *choices("combination"), *choices("squash")]),
        ("docs/policies.md", CLASSICAL),
        ("docs/solver.md", BOUNDARIES),
    ],
)
def test_tables_are_complete(page, names):
    missing = [name for name in names if not re.search(rf"[` ]{re.escape(name)}[` ]", PAGES[page])]
    assert not missing, f"{page} does not mention {', '.join(missing)}"
