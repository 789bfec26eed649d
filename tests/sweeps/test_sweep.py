"""Sweeps: every combination once, whoever is stopped or killed; and what is said of a combination is what it does."""

from __future__ import annotations

import csv
import dataclasses
import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

from tests.runs.fakes import make_run
from tests.traces import differences, essence
from undertow import cli, experiment
from undertow._checks import UndertowError
from undertow._io import write_error
from undertow.assembly import build, training_needs
from undertow.config import (
    CONTROL_CONFIGS,
    ControlDataConfig,
    ControlEvaluationConfig,
    ControllerConfig,
    TrainingConfig,
)
from undertow.experiment import loop
from undertow.experiment import seeds as several
from undertow.experiment.recorder import Recorder
from undertow.report import sweep as pictures
from undertow.runs import compare_runs, list_runs, read_run
from undertow.store.metrics import START
from undertow.store.rundir import RunDirectory
from undertow.sweeps import costs, definition, ledger, liveness, sweep
from undertow.sweeps.definition import define, enter, read
from undertow.sweeps.ledger import MAX_TRIES, Ledger
from undertow.sweeps.space import read_space
from undertow.training.optimizer import OptimizerConfig

CartPoleTask = CONTROL_CONFIGS["cartpole"]

optuna = pytest.importorskip("optuna")

CONFIG = CartPoleTask(
    horizon=3,
    data=ControlDataConfig(train=4, test=3),
    policy=ControllerConfig(hidden=(4,)),
    optimizer=OptimizerConfig("adam", learning_rate=1e-2, convention="keras", clip="norm"),
    training=TrainingConfig(updates=4, batch=2, dispatch=2, sampling="cycle", precision="float32", max_skipped=2),
    evaluation=ControlEvaluationConfig(every=2, keep=1, suites=(), figures=False),
)
GRID = ["gradient=full,stop", "optimizer.learning_rate=0.001,0.01,0.1"]
PAIR = ["gradient=full,stop"]
SEARCH = ["optimizer.learning_rate=1e-4..1e-1:log", "training.batch=1..4", "gradient=full,stop"]


@functools.cache
def cached_define(over, **given):
    return define(CONFIG, read_space(CONFIG, over), **given)


def open_ledger(folder, over=GRID, storage=None, new=True, **changes):
    """A ledger of its own, as another process would have."""
    given = {"preset": "tiny", "seeds": 2, "sampler": None, "trials": None, "metric": None, "statistic": "median"}
    made = cached_define(tuple(over), **{**given, **changes})
    enter(made, folder, storage)
    return Ledger(made, folder, storage, new=new)


def instead_of_training(directory, config, *_, **__):
    """In the place of a training in its run directory: one that ends at once, with losses that say which configuration and seed
    it was."""
    seeds = directory.seeds or (config.seed,)
    directory.rewind_metrics(START)
    for seed in seeds:
        loss = config.optimizer.learning_rate * (1 + seed) + (config.gradient == "stop")
        of = {"seed": seed} if directory.seeds else {}
        directory.append_metrics({"update": config.training.updates, **of, "test_loss": loss})
    directory.write_summary(
        {"status": "finished", "reason": None, "training_seconds": 1.0, "lost": [False] * len(seeds)}
    )
    directory.finish()


@functools.cache
def built(config):
    return build(config)


@functools.cache
def needed(config):
    return training_needs(config)


def without_training(monkeypatch, train=instead_of_training):
    """Nothing is built to be trained, no problems are made, `train` gets the configuration, and there is no picture; what is
    looked at before is looked at once for every configuration."""
    monkeypatch.setattr(definition, "build", built)
    for module in (costs, sweep):
        monkeypatch.setattr(module, "training_needs", needed)
    monkeypatch.setattr(pictures, "sweep_figure", lambda found, path, **_: path)
    monkeypatch.setattr(several, "build", lambda config: types.SimpleNamespace(check=lambda: None, config=config))
    monkeypatch.setattr(several, "prepare", lambda experiment, *_: experiment.config)
    monkeypatch.setattr(several, "train_in", train)


@pytest.fixture
def no_training(monkeypatch):
    without_training(monkeypatch)


# --- who does what ----------------------------------------------------------------------------------------------------


def states(book):
    return [trial.state.name for trial in book.study.get_trials(deepcopy=False)]


@pytest.mark.parametrize("over", [GRID, SEARCH])
def test_many_workers_do_every_trial_once(tmp_path, over):
    """Four workers that all begin at once: nothing is done twice, nothing is left, nothing is tried that nobody asked for."""
    trials = None if over is GRID else 6
    books = [open_ledger(tmp_path, over, trials=trials) for _ in range(4)]
    done = []

    def work(book):
        while not book.finished():
            book.tidy()
            job = book.take()
            if job is not None and book.complete(job, float(job.number), {"seeds": [1.0, 2.0]}):
                done.append((job.number, tuple(job.values.items())))

    threads = [threading.Thread(target=work, args=(book,)) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in done) == list(range(6))
    assert states(books[0]) == ["COMPLETE"] * 6
    if over is GRID:
        assert len({values for _, values in done}) == 6


def test_what_was_enqueued_twice_counts_once(tmp_path):
    """As machines may do that have a database in common and no directory."""
    book = open_ledger(tmp_path, PAIR)
    book.tidy()
    book.study.enqueue_trial({"gradient": "full"}, user_attrs={"job": 0})
    first, second = book.take(), book.take()
    assert (first.number, second.number) == (0, 1) and book.take() is None
    for job in (first, second):
        assert book.complete(job, 1.0, {"seeds": [1.0, 1.0]})
    book.tidy()
    assert book.take() is None and states(book) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert [entry.died for entry in book.entries()] == [0, 0]


def test_a_dead_workers_trial_is_done_by_another(tmp_path):
    """With the same number, directory and values. A worker that lives keeps its own."""
    dying, living = open_ledger(tmp_path, SEARCH, trials=2), open_ledger(tmp_path, SEARCH, trials=2, new=False)
    dying.tidy()
    first, other = dying.take(), living.take()
    living.tidy()
    assert states(living) == ["RUNNING", "RUNNING"] and living.take() is None
    first.release()  # as the system does when a process ends
    living.tidy()
    again = living.take()
    assert (again.number, again.values) == (first.number, first.values)
    assert not dying.complete(first, 0.0, {"seeds": [0.0, 0.0]})  # what is dead does not come back
    for job in (again, other):
        assert living.complete(job, 1.0, {"seeds": [1.0, 1.0]})
    assert living.finished() and sorted(states(living)) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert [entry.died for entry in living.entries()] == [1, 0]


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path):
    book = open_ledger(tmp_path, ["gradient=full"])
    for _ in range(MAX_TRIES):
        book.tidy()
        book.take().release()
    book.tidy()
    assert book.take() is None and book.finished()
    (entry,) = book.entries()
    assert (entry.status, entry.died, entry.result) == ("lost", MAX_TRIES, None)
    result = sweep.summary(tmp_path)
    assert result.summary["trials"][0]["error"] == "3 workers died of it" and result.exit_code == 1


def test_a_trial_given_back_waits_with_its_values(tmp_path):
    book = open_ledger(tmp_path, SEARCH, trials=1)
    book.tidy()
    job = book.take()
    book.give_back(job)
    assert states(book) == ["WAITING"]
    again = open_ledger(tmp_path, SEARCH, trials=1).take()
    assert again.values == job.values and again.number == 0
    again.release()


def test_a_database_knows_the_dead_by_their_silence(tmp_path, monkeypatch):
    for module in (ledger, liveness):
        monkeypatch.setattr(module, "BEAT", 1)
        monkeypatch.setattr(module, "SILENCE", 2)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    book = open_ledger(tmp_path / "sweep", PAIR, storage=url)
    book.tidy()
    dead, alive = book.take(), book.take()
    dead.release()
    deadline = time.monotonic() + 30
    while book.take() is None and time.monotonic() < deadline:  # takes the job again and keeps it
        time.sleep(0.2)
        book.tidy()
    assert sorted(states(book)) == ["FAIL", "RUNNING", "RUNNING"]
    assert [entry.died for entry in book.entries()] == [1, 0]
    alive.release()
    assert "password" not in definition.without_password("postgresql://me:password@host/sweeps")


def test_a_search_does_not_depend_on_who_asks(tmp_path, no_training):
    """Stopped after every trial and gone on with by another process, it tries what it tries in one go."""
    whole = sweep.sweep(CONFIG, SEARCH, trials=13, out=tmp_path / "whole", seeds=1, quiet=True)
    book = open_ledger(tmp_path / "parts", SEARCH, trials=13, seeds=1)
    while not book.finished():
        book = open_ledger(tmp_path / "parts", SEARCH, trials=13, seeds=1)
        book.tidy()
        job = book.take()
        value = job.values["optimizer.learning_rate"] + (job.values["gradient"] == "stop")
        assert book.complete(job, value, {"seeds": [value], "seconds": 0})
    in_parts = {entry.number: entry.values for entry in book.entries()}
    assert {row["trial"]: row["values"] for row in whole.summary["trials"]} == in_parts
    assert len({values["optimizer.learning_rate"] for values in in_parts.values()}) == 13
    assert sum(whole.summary["importances"].values()) == pytest.approx(1)


# --- what is measured -------------------------------------------------------------------------------------------------


RATE = ["optimizer.learning_rate=0.02"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep of one combination, in one go."""
    return sweep.sweep(CONFIG, RATE, out=tmp_path_factory.mktemp("whole") / "sweep", seeds=2, quiet=True)


def test_a_sweep_says_what_a_training_says(whole, tmp_path):
    """A combination's seed is the training of that configuration and seed, up to the order of sums in float32."""
    assert whole.finished and whole.exit_code == 0
    (row,) = whole.summary["trials"]
    single = dataclasses.replace(CONFIG, optimizer=dataclasses.replace(CONFIG.optimizer, learning_rate=0.02))
    run = experiment.train(single, out=tmp_path / "run", quiet=True)
    *_, last = csv.DictReader((run.path / "metrics.csv").read_text().splitlines())
    assert row["seeds"][0] == pytest.approx(float(last["test_loss"]), rel=1e-5)
    assert row["seeds"][1] != row["seeds"][0] and row["median"] == np.median(row["seeds"])
    trial = RunDirectory.open(whole.path / "trials" / "0000")
    assert trial.config["optimizer"]["learning_rate"] == 0.02 and trial.seeds == (0, 1)
    table = trial.read_seeds()
    assert table["update"].tolist() == [0, 2, 4] and table["test_loss"][-1].tolist() == row["seeds"]
    assert {path.name for path in whole.files} == {"summary.json", "summary.csv", "sweep.png"}


def test_a_stopped_trial_goes_on_from_its_checkpoint(whole, tmp_path, monkeypatch):
    """And ends with the same files, bit for bit, whether the sweep goes on with it or `resume`."""

    def interrupted(experiment, seeds, *rest):
        recorder = Recorder(experiment, seeds, *rest)
        due = lambda *given: signal.raise_signal(signal.SIGTERM) or recorder._usually(*given)
        monkeypatch.setattr(recorder, "_due", due)
        return recorder

    given = {"config": CONFIG, "over": RATE, "out": tmp_path / "sweep", "seeds": 2, "quiet": True}
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Recorder", interrupted)
        stopped = sweep.sweep(**given)
    assert (stopped.finished, stopped.exit_code, stopped.summary["waiting"]) == (False, 143, 1)
    trial = tmp_path / "sweep" / "trials" / "0000"
    assert RunDirectory.open(trial).status == "interrupted" and read_run(trial).updates == 2
    alone = Path(shutil.copytree(trial, tmp_path / "alone"))
    assert experiment.resume(alone, quiet=True, tensorboard=False).status == "finished"
    resumed = sweep.sweep(**given)
    assert resumed.summary["trials"][0]["seeds"] == whole.summary["trials"][0]["seeds"]
    for each in (trial, alone):
        assert differences(essence(each), essence(whole.path / "trials" / "0000")) == []


def test_trials_are_runs(whole, tmp_path):
    """Listed, compared seed by seed, reported; their best seed's policy is found."""
    trial = whole.path / "trials" / "0000"
    (listed,) = list_runs(whole.path)
    (row,) = whole.summary["trials"]
    assert (listed.path, listed.status, listed.seeds, listed.updates) == (trial, "finished", (0, 1), 4)
    assert (listed.result, listed.suite) == (row["median"], "2 seeds")
    (group,) = compare_runs([whole.path], resamples=20).groups
    assert group.final.tolist() == row["seeds"] and [run.seed for run in group.group.runs] == [0, 1]
    _, again, policy = experiment.load_run(trial)
    losses = again.make_measure()(policy)
    assert losses["test_loss"] == pytest.approx(min(row["seeds"]), rel=1e-6)
    page = experiment.report_run(trial, tmp_path / "page.html").read_text()
    assert "Medians of 2 seeds." in page and f"of its seeds {int(np.argmin(row['seeds']))}." in page


def test_a_listing_holds_runs_and_the_trials_of_a_sweep(tmp_path, no_training, capsys):
    """Beside each other, chosen by the same fields, and none of them is called damaged."""
    make_run(tmp_path / "runs" / "alone")
    sweep.sweep(CONFIG, PAIR, out=tmp_path / "runs" / "sweep", seeds=2, quiet=True)
    trials = [tmp_path / "runs" / "sweep" / "trials" / name for name in ("0000", "0001")]
    for more, paths in (
        ([], [tmp_path / "runs" / "alone", *trials]),
        (["--where", "gradient=stop"], trials[1:]),
        (["--where", "horizon=3", "--status", "finished"], trials),
    ):
        assert cli.main(["runs", str(tmp_path / "runs"), "--sort", "path", "--json", *more]) == 0
        shown, said = capsys.readouterr()
        listed = json.loads(shown)
        assert said == "" and [Path(row["path"]) for row in listed] == paths
        assert {row["status"] for row in listed} == {"finished"}
    assert cli.main(["runs", str(tmp_path / "runs")]) == 0
    shown, said = capsys.readouterr()
    assert said == "" and all(f"{each.parent.name}/{each.name}" in shown for each in trials) and "alone" in shown


def test_one_seed_is_the_run_that_train_makes(tmp_path):
    """The same files, bit for bit."""
    result = sweep.sweep(CONFIG, RATE, out=tmp_path / "sweep", seeds=1, quiet=True)
    single = dataclasses.replace(CONFIG, optimizer=dataclasses.replace(CONFIG.optimizer, learning_rate=0.02))
    run = experiment.train(single, out=tmp_path / "run", quiet=True, tensorboard=False, preset="custom")
    assert differences(essence(result.path / "trials" / "0000"), essence(run.path)) == []


def test_a_sweep_over_the_seed_trains_its_seeds(tmp_path, monkeypatch):
    trained = []

    def train(directory, config, *_, **__):
        trained.append(directory.seeds)
        instead_of_training(directory, config)

    without_training(monkeypatch, train)
    sweep.sweep(CONFIG, ["seed=1,3"], seeds=2, out=tmp_path / "sweep", quiet=True)
    assert trained == [(1, 2), (3, 4)]


def test_a_trial_of_an_older_layout_begins_anew(tmp_path, no_training, caplog):
    """Its configuration stood alone in `config.json`, its seeds in one checkpoint."""
    old = tmp_path / "sweep" / "trials" / "0000"
    old.mkdir(parents=True)
    for name, text in (("config.json", "{}"), ("history.json", "{}"), ("last.safetensors", "")):
        (old / name).write_text(text)
    (tmp_path / "sweep" / "locks").mkdir()
    assert sweep.sweep(CONFIG, PAIR, out=tmp_path / "sweep", seeds=2, quiet=True).finished
    assert "the training begins anew" in caplog.text
    assert (old.parent / "0000.damaged-1" / "history.json").exists() and RunDirectory.open(old).status == "finished"


def test_lost_seeds_are_infinitely_bad_and_said(tmp_path, capsys):
    """Steps so large that weights overflow: every seed is lost, which the exit code says; nothing is left out."""
    flags = """--horizon 3 --data.train 4 --data.test 3 --policy.hidden 4 --training.updates 4 --training.batch 2
        --training.dispatch 2 --training.max-skipped 2 --evaluation.every 2"""
    given = ["sweep", "cartpole", "--over", "optimizer.learning_rate=1e38", "--seeds", "2", "--quiet"]
    assert cli.main([*given, *flags.split(), "--out", str(tmp_path / "s"), "--json"]) == 1
    (bad,) = json.loads(capsys.readouterr().out)["trials"]
    assert (bad["lost"], bad["seeds"], bad["value"], bad["median"]) == (2, ["inf", "inf"], "inf", "inf")
    assert cli.main(["sweep", "--summary", str(tmp_path / "s")]) == 0
    assert "1e+38" in capsys.readouterr().out
    (row,) = csv.DictReader((tmp_path / "s" / "summary.csv").read_text().splitlines())
    assert (row["lost"], row["seed_1"]) == ("2", "inf")


def test_statistics_never_mask_a_lost_seed():
    values = np.array([1.0, 2.0, np.inf])
    assert {name: of(values) for name, of in definition.STATISTICS.items()} == {
        "median": 2.0,
        "mean": np.inf,
        "worst": np.inf,
    }


def test_a_combination_that_cannot_work_is_told_apart(tmp_path, monkeypatch):
    """At the door for a grid; in a search it is a trial of its own, infinitely bad, and the search goes on."""
    with pytest.raises(UndertowError, match="window must be a whole number above 0"):
        sweep.sweep(dataclasses.replace(CONFIG, gradient="full"), ["window=1,0"], out=tmp_path / "grid")
    assert not (tmp_path / "grid").exists()

    def refusing(directory, config, *_, **__):
        if config.gradient == "stop":
            raise UndertowError("not this one")
        instead_of_training(directory, config)

    without_training(monkeypatch, refusing)
    over = ["optimizer.learning_rate=1e-3..1e-2", "gradient=full,stop"]
    result = sweep.sweep(CONFIG, over, sampler="random", trials=6, out=tmp_path / "search", quiet=True)
    refused = [row for row in result.summary["trials"] if row["values"]["gradient"] == "stop"]
    assert result.finished and result.exit_code == 1 and 0 < len(refused) < 6
    assert {(row["error"], row["value"]) for row in refused} == {("not this one", np.inf)}


def test_a_full_disk_says_nothing_of_a_combination(tmp_path, monkeypatch):
    def full(*_, **__):
        error = OSError(errno.ENOSPC, "No space left on device")
        raise write_error(tmp_path, error) from error

    with monkeypatch.context() as patch:
        without_training(patch, full)
        with pytest.raises(UndertowError, match="free some space"):
            sweep.sweep(CONFIG, PAIR, out=tmp_path / "sweep", quiet=True)
    assert sweep.summary(tmp_path / "sweep").summary["waiting"] == 2


# --- directories ------------------------------------------------------------------------------------------------------


def test_another_sweep_is_refused_and_said_how_it_differs(tmp_path, no_training):
    out = tmp_path / "sweep"
    sweep.sweep(CONFIG, PAIR, out=out, seeds=2, quiet=True)
    before = (out / "sweep.json").read_bytes()
    for change, message in (
        ({"seeds": 3}, r"seeds \(2, now 3\)"),
        ({"over": ["gradient=full"]}, "over.gradient.choices"),
        ({"config": dataclasses.replace(CONFIG, horizon=4)}, r"config.horizon \(3, now 4\)"),
        ({"storage": "sqlite:///x.db"}, "its own journal"),
    ):
        with pytest.raises(UndertowError, match=message):
            sweep.sweep(**{"config": CONFIG, "over": PAIR, "out": out, "seeds": 2, **change})
    assert (out / "sweep.json").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UndertowError, match="is no sweep"):
        sweep.sweep(CONFIG, PAIR, out=tmp_path / "mine")
    with pytest.raises(UndertowError, match="is no sweep"):
        sweep.join(tmp_path / "mine")


def test_a_search_may_be_given_more_trials(tmp_path, no_training):
    given = {"out": tmp_path / "sweep", "seeds": 1, "quiet": True}
    few = sweep.sweep(CONFIG, SEARCH, trials=3, **given)
    more = sweep.sweep(CONFIG, SEARCH, trials=5, **given)
    kept = {row["trial"]: row for row in more.summary["trials"]}
    assert len(kept) == 5 and all(kept[row["trial"]] == row for row in few.summary["trials"])
    assert read(tmp_path / "sweep")[0].trials == 5
    with pytest.raises(UndertowError, match=r"trials \(5, now 4\)"):
        sweep.sweep(CONFIG, SEARCH, trials=4, **given)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"metric": "tst_loss"}, "did you mean 'test_loss'"),
        ({"statistic": "mode"}, "unknown statistic"),
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"trials": 3}, "this grid has 6 combinations"),
        ({"seeds": 0}, "seeds must be"),
        ({"workers": 0}, "workers must be"),
        ({"over": ["optimizer.learning_rate=1..2"], "sampler": "grid"}, "no end over the range"),
        ({"over": ["evaluation.keep_by=test_loss,train_loss"]}, "needs one --metric"),
        ({"storage": "study.db"}, "is a database's address"),
        ({"storage": "nonsense://host"}, "cannot be used"),
    ],
)
def test_bad_input_at_the_door(tmp_path, change, message):
    with pytest.raises(UndertowError, match=message):
        sweep.sweep(**{"config": CONFIG, "over": GRID, "out": tmp_path / "sweep", **change})


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UndertowError, match=r"pip install 'undertow\[sweep\]'"):
        sweep.sweep(CONFIG, GRID, out=tmp_path / "sweep")


# --- a worker killed --------------------------------------------------------------------------------------------------


def test_a_sweep_outlives_a_killed_process(tmp_path):
    """Two processes share a sweep. One is frozen in the middle of a trial, which nobody takes from it, and then killed
    (SIGKILL): the other does that trial too, and every trial counts once."""
    out = tmp_path / "sweep"
    book = open_ledger(out, PAIR)
    book.tidy()
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-m", "undertow.sweeps.worker", str(out), "0", "1", str(os.getpid())]
    workers = []

    def start():
        workers.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))

    def wait_for(condition):
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline and workers[-1].poll() is None, "the worker did not get so far"
            time.sleep(0.02)

    try:
        start()
        wait_for(lambda: (out / "trials" / "0000" / "config.json").exists())
        workers[0].send_signal(signal.SIGSTOP)
        start()
        wait_for(lambda: [entry.status for entry in book.entries()][1:] == ["complete"])
        assert states(book) == ["RUNNING", "COMPLETE"]
        workers[0].kill()
        said = workers[1].communicate(timeout=120)[1]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert workers[0].returncode == -signal.SIGKILL and workers[1].returncode == 0, said
    assert "trial 0000 lost its worker and is tried again" in said
    assert states(book) == ["FAIL", "COMPLETE", "COMPLETE"]
    result = sweep.summary(out)
    assert result.finished and sorted(row["trial"] for row in result.summary["trials"]) == [0, 1]
    assert all(len(row["seeds"]) == 2 and row["lost"] == 0 for row in result.summary["trials"])
