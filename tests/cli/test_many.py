"""The commands over many runs: what they print, for people and for machines."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.runs.fakes import make_run
from undertow import cli
from undertow.config import CONTROL_CONFIGS

CartPoleTask = CONTROL_CONFIGS["cartpole"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six runs under `runs`."""
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        make_run(tmp_path / f"runs/cartpole/full-{seed}", CartPoleTask(seed=seed), (4.0, 2.0 + seed))
        make_run(tmp_path / f"runs/cartpole/stop-{seed}", CartPoleTask(seed=seed, gradient="stop"), (4.0, 8.0 + seed))
    return tmp_path


def run(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    assert cli.main(words.split()) == code
    out, err = capsys.readouterr()
    return out, err


def test_runs(here, capsys):
    out, err = run("runs --sort best", capsys)
    assert not err
    rows = [line for line in out.splitlines() if "runs/cartpole" in line]
    assert [row.split("│")[1].strip()[-6:] for row in rows] == [
        "full-0",
        "full-1",
        "full-2",
        "stop-0",
        "stop-1",
        "stop-2",
    ]
    assert "test_loss 2" in rows[0] and "10/1000" in rows[0] and "finished" in rows[0]
    out, _ = run("runs --columns seed,gradient,system.poles --where gradient=stop seed<2 --reverse", capsys)
    assert out.count("stop") == 2 and "path" not in out


def test_runs_for_machines(here, capsys):
    out, err = run("runs --json --where gradient=full --sort seed --reverse --limit 2", capsys)
    found = json.loads(out)
    assert not err and [each["seed"] for each in found] == [2, 1]
    assert found[0]["best"] == {"metric": "test_loss", "value": 4.0, "update": 10}
    assert found[0]["config"]["gradient"] == "full" and found[0]["total"] == 1000
    out, _ = run("runs --json --columns path,start,gradient --sort path --limit 1", capsys)
    (row,) = json.loads(out)
    assert list(row) == ["path", "start", "gradient"] and row["path"] == "runs/cartpole/full-0"


def test_no_runs(here, capsys):
    assert run("runs --since 1h --status failed", capsys) == (
        "",
        "undertow: no runs in runs that meet all conditions\n",
    )
    assert json.loads(run("runs --status failed --json", capsys)[0]) == []
    (here / "empty").mkdir()
    assert run("runs empty", capsys)[1] == "undertow: no runs in empty\n"


def test_a_damaged_run_is_a_warning(here, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own, which pytest's is not
    (here / "runs/cartpole/full-0/run.json").write_text("{")
    out, err = run("runs --json", capsys)
    assert len(json.loads(out)) == 5
    assert err.count("\n") == 1 and err.startswith("undertow: left out: ") and "full-0" in err


def test_diff(here, capsys):
    out, _ = run("diff runs/cartpole/full-0 runs/cartpole/stop-1", capsys)
    assert "│ seed" in out and "│ gradient" in out and out.endswith("2 parameters differ\n")
    assert run("diff runs/cartpole/full-0 runs/cartpole/full-0/config.json", capsys)[0] == "no difference\n"
    out, _ = run("diff cartpole guidance --json", capsys)
    assert json.loads(out)["parameters"]["family"] == {"cartpole": "cartpole", "guidance": "guidance"}


def test_compare(here, capsys):
    out, err = run("compare runs --statistic iqm --out out", capsys)
    assert not err and "gradient=full" in out and "difference of iqm" in out and "out/compare.png" in out
    assert sorted(path.name for path in (here / "out").iterdir()) == ["compare.csv", "compare.json", "compare.png"]
    assert "exists already" in run("compare runs --out out", capsys, 2)[1]
    out, _ = run("compare --groups a=runs/cartpole/full-* a=runs/cartpole/stop-0 b=runs/cartpole/stop-1 --json", capsys)
    told = json.loads(out)
    assert [(each["label"], each["runs"]) for each in told["groups"]] == [("a", 4), ("b", 1)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("runs nowhere", "there is no directory nowhere"),
        ("runs --where seed", "a condition is FIELD=VALUE"),
        ("runs --columns sed", "no run has a field 'sed'; did you mean 'seed'"),
        ("runs --status done", "invalid choice 'done'"),
        ("runs --since noon", "a moment is a date"),
        ("diff cartpole", "at least two"),
        ("diff cartpole nowhere", "'nowhere' is neither a run directory nor a file nor a preset"),
        ("compare", "compare takes runs, or --groups"),
        ("compare runs --groups a=runs", "and not both"),
        ("compare --groups runs", "--groups takes LABEL=RUN"),
        ("compare nowhere", "there is no run directory nowhere"),
    ],
)
def test_errors_are_one_line(here, words, message, capsys):
    out, err = run(words, capsys, 2)
    assert not out and err.startswith("undertow: ") and err.count("\n") == 1 and message in err
