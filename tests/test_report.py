"""The command `report`: where it writes, what it refuses, and that it takes a run of any state."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.report.test_pages import data_of
from tests.test_control_runs import SYSTEMS
from undertow import cli
from undertow._checks import UndertowError
from undertow.experiment import report_run, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(SYSTEMS["cartpole"], preset="tiny", root=tmp_path_factory.mktemp("runs")).path


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    """The report of a run, by the command line."""
    out = tmp_path_factory.mktemp("out") / "page.html"
    assert cli.main(["report", str(run), "--suite", "test", "--out", str(out)]) == 0
    return out


def test_a_run_is_reported_with_all_its_parts(run, page):
    data = data_of(page.read_text(encoding="utf-8"))
    assert [each["name"] for each in data["sections"]] == [
        "results", "training", "motion", "gradients", "provenance",
    ]  # fmt: skip
    assert data["title"] == f"tiny: {run.name}" and data["status"].startswith("finished · 6 updates")
    assert data["sections"][0]["note"].startswith("Of the checkpoint best_update_")
    gradients = data["sections"][3]["blocks"]
    assert [row[0] for row in gradients[1]["rows"]] == ["full", "physics", "policy", "stop"]
    pairs = dict(data["sections"][4]["blocks"][1]["pairs"])
    assert pairs["horizon"] == "5" and pairs["training.updates"] == "6"


def test_nothing_is_overwritten(run, page, capsys):
    before = page.read_bytes()
    for out, words in (
        (page, "exists already and is left as it is"),
        (page.with_suffix(".txt"), "a report ends in .html"),
        (page.parent / "no" / "page.html", "there is no directory"),
    ):
        assert cli.main(["report", str(run), "--out", str(out)]) == 2
        assert words in capsys.readouterr().err
    assert page.read_bytes() == before and list(page.parent.iterdir()) == [page]
    for options, words in (
        (["--serve", "--out", "a.html"], "takes no --out"),
        (["--serve", "--json"], "takes no --json"),
        (["--port", "1"], "--port is for --serve"),
        (["--suite", "tests"], "unknown suite 'tests'"),
        (["--checkpoint", "other"], "no checkpoint 'other'"),
    ):
        assert cli.main(["report", str(run), *options]) == 2
        assert words in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_a_run_without_a_checkpoint_has_a_page_all_the_same(run, tmp_path, capsys):
    early = tmp_path / "early"
    shutil.copytree(run, early)
    shutil.rmtree(early / "checkpoints")
    for name in ("metrics.csv", "summary.json"):
        (early / name).unlink()
    assert cli.main(["report", str(early), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    page = early / "report.html"
    assert found == {"path": str(page), "bytes": page.stat().st_size}
    data = data_of(page.read_text(encoding="utf-8"))
    assert [each["name"] for each in data["sections"]] == ["results", "training", "provenance"]
    assert "has no checkpoint 'best'" in data["sections"][0]["note"]
    assert "Nothing has been recorded" in data["sections"][1]["note"]
    with pytest.raises(UndertowError, match="there is no run directory"):
        report_run(tmp_path / "none")
