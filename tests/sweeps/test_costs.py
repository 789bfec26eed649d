"""Sweeps and studies that this machine cannot bear are refused before anything of them is written."""

from __future__ import annotations

import dataclasses

import pytest

from tests.runs.fakes import make_run
from undertow import _limits, cli
from undertow._checks import UndertowError
from undertow.assembly import require_several, training_needs
from undertow.config.fields import with_fields
from undertow.presets import preset
from undertow.sweeps import costs, sweep
from undertow.sweeps.definition import define, trial_folder
from undertow.sweeps.space import read_space

pytest.importorskip("optuna")

GB = 1e9
CARTPOLE = preset("cartpole").config


@pytest.fixture
def four_gigabytes(monkeypatch):
    monkeypatch.setattr(_limits, "free_memory", lambda: 4 * GB)


def made(over, **given):
    rest = {"preset": "cartpole", "seeds": 2, "sampler": None, "trials": None, "metric": None, "statistic": "median"}
    return define(CARTPOLE, read_space(CARTPOLE, over), **{**rest, **given})


def finish(path):
    """A run directory that says that it is finished."""
    make_run(path, CARTPOLE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sweep cartpole --over gradient=full,stop --training.updates 1000000000", "trials"),
        ("sweep cartpole --over training.updates=100,1000000000", "--long"),
        ("sweep cartpole --over training.updates=1000000000..2000000000 --trials 2", "--long"),
        ("sweep cartpole --over horizon=10,100000000", "of memory"),
        ("sweep cartpole --over gradient=full,stop --seeds 1000 --policy.hidden 2000 2000", "seeds"),
        ("sweep cartpole --over gradient=full,stop --training.updates 1000000000 --workers 2", "--long"),
        ("reproduce cartpole --epochs 1000000", "epochs"),
        ("reproduce quantum --seeds 1000 --epochs 1000000", "epochs"),
    ],
)
def test_commands_are_refused_in_one_line(line, said, four_gigabytes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("undertow: this ") and told.count("\n") == 1 and "at least" in told and said in told
    assert not list(tmp_path.iterdir())


def test_long_means_it(tmp_path):
    both = made(["gradient=full,stop"])
    slow = dataclasses.replace(both, config=with_fields(CARTPOLE, {"training.updates": 10**9}))
    with pytest.raises(UndertowError, match=r"in each of 2 trainings: .*trials or .*--long"):
        costs.require_sweep(slow, tmp_path, workers=1, long=False)
    costs.require_sweep(slow, tmp_path, workers=1, long=True)


def test_what_is_done_does_not_count(tmp_path):
    """Of a grid whose long trial is done, the short one is left; of a search with every trial done, nothing."""
    pair = made(["training.updates=1000000000,100"])
    with pytest.raises(UndertowError, match="--long"):
        costs.require_sweep(pair, tmp_path, workers=1, long=False)
    finish(trial_folder(tmp_path, 0))
    costs.require_sweep(pair, tmp_path, workers=1, long=False)


def test_a_search_counts_what_is_certain(tmp_path):
    """The cheapest trial that it may draw: no range that begins with little is refused."""
    costs.require_sweep(made(["training.updates=1..2000000000"], trials=9), tmp_path, workers=1, long=False)
    listed = ["training.updates=1000000000,50", "optimizer.learning_rate=1e-3..1e-2"]
    costs.require_sweep(made(listed, trials=9), tmp_path, workers=1, long=False)
    slow = made(["training.updates=1000000000..2000000000", *listed[1:]], trials=9)
    with pytest.raises(UndertowError, match="--long"):
        costs.require_sweep(slow, tmp_path, workers=1, long=False)


def test_time_is_shared_by_workers_and_the_disk_by_nobody(monkeypatch):
    needs = training_needs(CARTPOLE)
    alone = sum(need.amount for need in needs.seconds())
    many = [(needs, 0)] * int(1.5 * _limits.PATIENCE / alone)
    require_several(many, seeds=1, workers=2)
    with pytest.raises(UndertowError, match="--long"):
        require_several(many, seeds=1, workers=1)
    require_several([(needs, needs.updates)] * len(many), seeds=1)  # all behind them
    monkeypatch.setattr(
        _limits, "free_disk", lambda folder: 1.5 * sum(need.amount for need in needs.disk) / _limits.SHARE
    )
    require_several([(needs, 0)], seeds=1, folder=".")
    for count, seeds in ((2, 1), (1, 2)):
        with pytest.raises(_limits.NoRoomError, match=f"{count} run directories of {seeds} trainings"):
            require_several([(needs, 0)] * count, seeds=seeds, folder=".")


def test_a_trial_without_room_is_no_result(tmp_path, monkeypatch, caplog):
    """It is tried again by the next command, when there may be more room."""

    def full(*_, **__):
        raise _limits.NoRoomError("this needs at least 9 GB of memory")

    tiny = with_fields(
        CARTPOLE, {"training.updates": 2, "data.train": 8, "data.test": 4, "horizon": 2, "evaluation.every": 2}
    )
    monkeypatch.setattr(sweep, "train_seeds", full)
    result = sweep.sweep(tiny, ["gradient=full,stop"], seeds=1, out=tmp_path / "sweep", quiet=True)
    assert "9 GB of memory" in caplog.text
    assert not list((tmp_path / "sweep").glob("trials/*/summary.json"))
    monkeypatch.undo()
    result = sweep.sweep(tiny, ["gradient=full,stop"], seeds=1, out=tmp_path / "sweep", quiet=True)
    assert result.finished and result.exit_code == 0


def test_a_base_that_cannot_work_alone_is_none_of_the_sweep():
    """A batch of 300 needs more than the preset's 256 states, which every combination has."""
    base = with_fields(CARTPOLE, {"training.batch": 300})
    pair = dataclasses.replace(made(["data.train=512,1024"]), config=base)
    assert costs.least_memory(pair) > 0
    search = dataclasses.replace(pair, sampler="random", trials=3)
    assert costs.least_memory(search) > 0
    assert costs.least_memory(dataclasses.replace(pair, config=with_fields(base, {"training.batch": 3000}))) == 0
