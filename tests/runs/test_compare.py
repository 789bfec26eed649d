"""Which runs are better: groups by themselves or as asked for, curves, lost runs, what is said about all that."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.runs.fakes import make_run
from undertow._checks import UndertowError
from undertow.config import CONTROL_CONFIGS, CheckpointConfig
from undertow.config.control import ControlEvaluationConfig
from undertow.runs import compare_runs
from undertow.runs.tables import comparison_table, pairs_table, write_comparison
from undertow.tasks.cartpole import CartPoleSettings

CartPoleTask = CONTROL_CONFIGS["cartpole"]

NAN = float("nan")


def task(seed: int, gradient: str = "full", **changes) -> CartPoleTask:
    return CartPoleTask(seed=seed, gradient=gradient, **changes)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in range(4):
        make_run(tmp_path / f"full-{seed}", task(seed), (4.0, 3.0, 2.0 + seed))
        make_run(tmp_path / f"stop-{seed}", task(seed, "stop"), (4.0, 6.0, 8.0 + seed), seconds=2.0)
    return tmp_path


def said(comparison, word: str) -> list[str]:
    return [note for note in comparison.notes if word in note]


def test_seeds_are_groups(root):
    found = compare_runs([root])
    assert [group.label for group in found.groups] == ["gradient=full", "gradient=stop"]
    assert [group.group.seeds for group in found.groups] == [4, 4]
    np.testing.assert_array_equal([group.final for group in found.groups], [[2, 3, 4, 5], [8, 9, 10, 11]])
    assert found.metric == "test_loss" and found.groups[0].summary.median == 3.5 and found.groups[0].summary.iqm == 3.5
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.probability) == ("gradient=full", "gradient=stop", 1)
    assert pair.difference == -6 and pair.difference_low <= -6 <= pair.difference_high
    assert compare_runs([root]).to_dict() == found.to_dict()
    (pair,) = compare_runs([root], mode="max").pairs  # the better one comes first
    assert (pair.first, pair.probability, pair.difference) == ("gradient=stop", 1, 6)


def test_what_no_result_depends_on_makes_no_group(tmp_path):
    make_run(tmp_path / "a", task(0))
    make_run(
        tmp_path / "b", task(1, checkpoint=CheckpointConfig(keep=7), evaluation=ControlEvaluationConfig(figures=False))
    )
    (group,) = compare_runs([tmp_path]).groups
    assert group.label == "cartpole" and group.group.mixed == ()


def test_labels_are_what_differs(tmp_path):
    for poles in (10, 2):
        for gradient in ("full", "stop"):
            make_run(tmp_path / f"{poles}{gradient}", task(0, gradient, system=CartPoleSettings(poles=poles)))
    found = compare_runs([tmp_path])
    assert [each.label for each in found.groups] == [
        "gradient=full, poles=2", "gradient=full, poles=10", "gradient=stop, poles=2", "gradient=stop, poles=10",
    ]  # fmt: skip
    assert said(found, "fewer than 3 runs, no intervals") and not found.pairs


def test_groups_by_a_field_have_tasks(tmp_path):
    """Runs on an easy and a hard task: full is better on both, stop's easy ones are better than full's hard ones."""
    for seed in range(3):
        for poles, factor in ((1, 1.0), (2, 10.0)):
            system = CartPoleSettings(poles=poles)
            make_run(tmp_path / f"full{seed}{poles}", task(seed, system=system), (50.0, 1 * factor))
            make_run(tmp_path / f"stop{seed}{poles}", task(seed, "stop", system=system), (50.0, 2 * factor))
    found = compare_runs([tmp_path], by=["gradient"])
    assert [each.label for each in found.groups] == ["gradient=full", "gradient=stop"]
    assert len(said(found, "differ in system.poles, too: 2 tasks")) == 2
    assert found.pairs[0].probability == 1
    assert found.groups[0].group.seeds == 6 and not said(found, "not independent")
    assert found.groups[0].summary.iqm_low == found.groups[0].summary.iqm_high  # equal runs on every task


def test_groups_as_given(root):
    found = compare_runs(groups={"new": [root / "full-0", root / "full-1"], "old": [str(root / "stop-*")]})
    assert [(each.label, each.summary.runs) for each in found.groups] == [("new", 2), ("old", 4)]
    with pytest.raises(UndertowError, match="either runs or groups"):
        compare_runs([root], groups={"new": [root]})
    with pytest.raises(UndertowError, match="either runs or groups"):
        compare_runs()


def test_lost_runs_count_as_the_worst(root):
    make_run(root / "full-4", task(4), (4.0, 3.0), status="failed")
    make_run(root / "full-5", task(5), (4.0, NAN, NAN))
    make_run(root / "full-6", task(6), None, status="failed")
    group = compare_runs([root]).groups[0]
    assert group.summary.runs == 7 and group.summary.lost == 3
    np.testing.assert_array_equal(group.final, [2, 3, 4, 5, np.inf, np.inf, np.inf])
    assert (
        group.summary.median == 5 and group.summary.upper_quartile == np.inf and group.summary.geometric_mean == np.inf
    )
    (note,) = said(compare_runs([root]), "3 of 7 runs were lost and count as the worst")
    assert all(f"full-{seed}" in note for seed in (4, 5, 6))
    assert compare_runs([root], mode="max").groups[0].summary.worst == -np.inf


def test_runs_that_never_had_a_value(root):
    """Finished, with NaN alone: lost like all others, also where a whole group is."""
    make_run(root / "full-4", task(4), (NAN, NAN))
    for seed in range(3):
        make_run(root / f"physics-{seed}", task(seed, "physics"), (NAN, NAN, NAN))
    found = {each.label: each for each in compare_runs([root]).groups}
    np.testing.assert_array_equal(found["gradient=full"].final, [2, 3, 4, 5, np.inf])
    assert found["gradient=physics"].summary.lost == 3 and found["gradient=physics"].curves is None
    pairs = {(pair.first, pair.second): pair for pair in compare_runs([root]).pairs}
    assert pairs["gradient=stop", "gradient=physics"].probability == 1


def test_runs_that_are_not_over_end_the_curves(root):
    make_run(root / "full-4", task(4), (4.0, 3.5), status="interrupted")
    found = compare_runs([root])
    assert found.groups[0].curves is not None and found.groups[0].curves.x[-1] == 10
    np.testing.assert_array_equal(found.groups[0].final, [3, 3, 3, 3, 3.5])
    assert said(found, "gradient=full: up to 10 updates")
    assert said(found, "groups end at different updates: gradient=full at 10, gradient=stop at 20")


def test_runs_that_cannot_be_used_are_named(root):
    make_run(root / "early", task(7), None, status="killed")
    make_run(root / "broken", task(8)).path.joinpath("config.json").write_text("{")
    found = compare_runs([root])
    assert sum(group.summary.runs for group in found.groups) == 8
    assert any("early is killed and has no value" in note for note in said(found, "left out"))
    assert any("broken" in note for note in said(found, "left out"))


def test_equal_seeds_are_said(root):
    make_run(root / "again", task(3), (4.0, 3.0, 5.0))
    assert said(compare_runs([root]), "gradient=full: 5 runs, but 4 different seeds")


def test_curves_over_time(root):
    found = compare_runs([root], axis="seconds")
    assert [float(group.curves.x[-1]) for group in found.groups if group.curves] == [2, 4]
    assert not said(found, "end at different")
    make_run(root / "full-4", task(4), (4.0, 3.0, 6.0), seconds=0.25)
    late = compare_runs([root], axis="seconds")
    assert said(late, "measured at different seconds: every value holds until the next one")
    assert late.groups[0].curves is not None
    np.testing.assert_array_equal(late.groups[0].curves.x, [0, 0.25, 0.5, 1, 2])
    np.testing.assert_array_equal(late.groups[0].curves.values[0], [4, 4, 4, 3, 2])


def test_metrics_of_the_summary(tmp_path):
    for seed, value in enumerate((1.0, 2.0, "nan")):
        make_run(tmp_path / str(seed), task(seed), summary={"suites": {"fresh": {"loss": value}}, "loss": -7.0})
    make_run(tmp_path / "3", task(3), status="failed")
    make_run(tmp_path / "4", task(4), status="killed")
    found = compare_runs([tmp_path], metric="suites.fresh.loss")
    np.testing.assert_array_equal(found.groups[0].final, [1, 2, np.inf, np.inf])
    assert found.groups[0].curves is None and said(found, "4 is killed and has no value")
    assert compare_runs([tmp_path], metric="loss").groups[0].final[0] == 1.0  # the column of the table
    assert compare_runs([tmp_path / "0"], metric="summary.loss").groups[0].final[0] == -7.0


def test_what_cannot_be_compared(root):
    for options, message in (
        ({"metric": "test_los"}, "no run has a metric 'test_los'; did you mean 'test_loss'"),
        ({"by": ["gradent"]}, "no run has a field 'gradent'; did you mean 'gradient'"),
        ({"statistic": "average"}, "unknown statistic"),
        ({"axis": "epochs"}, "unknown axis"),
        ({"mode": "less"}, "unknown mode"),
        ({"resamples": 0}, "resamples must be"),
    ):
        with pytest.raises(UndertowError, match=message):
            compare_runs([root], **options)
    kept = ControlEvaluationConfig(keep_by="train_loss")
    make_run(root / "other", task(0, evaluation=kept))
    with pytest.raises(UndertowError, match="by test_loss and train_loss; choose one with --metric"):
        compare_runs([root])
    make_run(root / "below", task(0, "physics"), (1.0, -1.0))
    with pytest.raises(UndertowError, match="negative values, which have no geometric mean"):
        compare_runs([root], metric="test_loss", statistic="geometric-mean")


def test_many_groups_are_compared_with_the_best(tmp_path):
    for place, horizon in enumerate((10, 20, 30, 40, 50, 60, 70)):
        for seed in range(3):
            make_run(tmp_path / f"{horizon}-{seed}", task(seed, horizon=horizon), (9.0, 5.0 - (place == 2)))
    found = compare_runs([tmp_path])
    assert len(found.pairs) == 6 and {pair.first for pair in found.pairs} == {"horizon=30"}
    assert said(found, "each is compared with horizon=30")


def test_files_and_tables(root, tmp_path):
    make_run(root / "full-4", replace(task(4), evaluation=ControlEvaluationConfig()), (4.0, 3.0), status="failed")
    found = compare_runs([root], statistic="iqm")
    files = write_comparison(found, tmp_path / "out")
    assert [file.name for file in files] == ["compare.png", "compare.csv", "compare.json"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(files[1].read_text().splitlines()))
    assert len(rows) == 2 * 3 and [row["lost"] for row in rows] == ["0", "0", "1", "0", "0", "0"]
    last = rows[2]
    assert (last["group"], float(last["updates"])) == ("gradient=full", 20)
    assert (
        float(last["iqm"])
        == pytest.approx(found.groups[0].summary.iqm)
        == pytest.approx((0.75 * 3 + 4 + 0.75 * 5) / 2.5)
    )
    told = json.loads(files[2].read_text())
    assert [member["value"] for member in told["groups"][0]["members"]] == [2, 3, 4, 5, "inf"]
    assert told["groups"][0]["fields"] == {"gradient": "full"} and told["groups"][0]["lost"] == 1
    with pytest.raises(UndertowError, match="exists"):
        write_comparison(found, tmp_path / "out")
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(comparison_table(found), pairs_table(found))
    text = console.export_text()
    assert "gradient=full" in text and "difference of iqm" in text
