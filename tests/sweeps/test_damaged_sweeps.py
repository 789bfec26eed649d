"""Every file of a sweep damaged in every way: it is recovered from, or told in a line that helps; nothing is lost, and no
number comes out that was not measured."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweeps.test_sweep import CONFIG, PAIR, SEARCH, open_ledger, without_training
from undertow._checks import LARGEST_SEED, UndertowError
from undertow.experiment.seeds import SEEDS
from undertow.runs import list_runs
from undertow.sweeps import definition, sweep
from undertow.sweeps.definition import TRIALS
from undertow.sweeps.ledger import Ledger

optuna = pytest.importorskip("optuna")

GIVEN = {"config": CONFIG, "over": PAIR, "seeds": 2, "quiet": True}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No training, no building of combinations, no pictures: of the files none of them is the matter."""
    without_training(monkeypatch)
    monkeypatch.setattr(definition, "build", lambda config: config)

    def figure(found, file, **_):
        file.write_bytes(b"a picture")
        return file

    monkeypatch.setattr("undertow.report.sweep.sweep_figure", figure)


def flip(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 8]) + data[len(data) // 2 + 1 :]


WAYS = {
    "gone": None,
    "a directory": None,
    "a pipe": None,
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-20],
    "a zero byte": lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :],
    "a bit": flip,
    "twice": lambda data: data + data,
    "a text": lambda data: b"what is this?\n",
    "another table": lambda data: b'{"a": [1, null]}\n',
    "a list": lambda data: b"[1]\n",
    "deep": lambda data: b"[" * 100_000,
    "no letters": lambda data: b"\xff\xfe" + data,
}
FILES = [
    *("sweep.json", "journal.log", "summary.json", "summary.csv", "figures", "trials", "locks"),
    *(f"trials/0000/{name}" for name in ("config.json", "run.json", "metrics.csv", "summary.json")),
]


def damage(file, way):
    data = file.read_bytes() if file.is_file() else b"x" * 50
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    if way == "a directory":
        file.mkdir()
    elif way == "a pipe":
        os.mkfifo(file)
    elif way != "gone":
        file.write_bytes(WAYS[way](data))


def summary_of(out):
    return sweep.summary(out).summary["trials"]


FEW = {
    "sweep.json": ("gone", "half", "a list"),
    "journal.log": ("gone", "without its end", "a bit"),
    "trials": ("gone", "a text"),
    "trials/0000/config.json": ("half", "deep"),
    "trials/0000/metrics.csv": ("gone", "half"),
}
"""What is tried whenever the tests run. All ways are in `validation/test_sweep.py`."""


@pytest.mark.parametrize("name", FEW)
def test_a_damaged_file_of_a_sweep(tmp_path, name, capfd):
    check_damage(tmp_path, name, FEW[name])
    assert "Traceback" not in capfd.readouterr().err


def check_damage(tmp_path, name, ways):
    """Damage a file in some ways, each in a copy of a whole sweep."""
    whole = tmp_path / "whole"
    expected = sweep.sweep(**GIVEN, out=whole).summary["trials"]
    for way in ways:
        if way == "a directory" and (whole / name).is_dir():
            continue
        out = tmp_path / "sweep"
        shutil.copytree(whole, out)
        damage(out / name, way)
        before = {each: each.read_bytes() for each in out.rglob("*") if each.is_file()}
        for look in (summary_of, list_runs):
            try:
                found = look(out)
                assert look is list_runs or all(row in expected for row in found), (name, way)
            except UndertowError as error:
                assert "\n" not in str(error) and str(out) in str(error), (name, way)
        try:
            again = sweep.sweep(**GIVEN, out=out)
            assert again.finished and again.summary["trials"] == expected, (name, way)
        except UndertowError as error:
            assert "\n" not in str(error) and str(out) in str(error), (name, way)
            assert ("move it away" in str(error)) or (out / name).is_dir() or not (out / name).is_file(), (
                name,
                way,
                error,
            )
            lost = [each for each in before if not each.is_file() or each.read_bytes() != before[each]]
            assert {each.name for each in lost} <= {"summary.json", "summary.csv", "sweep.png"}, (name, way)
            (out / name).rename(tmp_path / "away")  # what it says helps
            again = sweep.sweep(**GIVEN, out=out)
            assert again.finished and again.summary["trials"] == expected, (name, way)
            moved = tmp_path / "away"
            shutil.rmtree(moved) if moved.is_dir() else moved.unlink()
        shutil.rmtree(out)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_wrong_values_in_sweep_json(tmp_path_factory, data):
    """Any value of another type anywhere in it: told in one line by those who only read it."""
    odd = st.sampled_from([None, True, 0, -1, 1.5, 10**400, "nan", "x", [], {}, [[]], {"a": 1}, 10**12])
    out = tmp_path_factory.mktemp("odd") / "sweep"
    over = data.draw(st.sampled_from([PAIR, SEARCH]))
    given = {"preset": "tiny", "seeds": 2, "sampler": None, "metric": None, "statistic": "median"}
    made = definition.define(CONFIG, definition_space(over), trials=3 if over is SEARCH else None, **given)
    out.mkdir()
    table = {**json.loads(definition.to_json(made.settings())), "storage": None}
    place, key = table, data.draw(st.sampled_from(sorted(table)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    value = data.draw(odd)
    if data.draw(st.booleans()):
        place[key] = value
    else:
        del place[key]
    (out / "sweep.json").write_text(json.dumps(table))
    try:
        found, storage = definition.read(out)
    except UndertowError as error:
        assert "\n" not in str(error) and "sweep.json" in str(error)
    else:  # as good a sweep as any
        assert found.config_of({}) == found.config and (storage is None or isinstance(storage, str))
        assert (
            TRIALS.holds(found.trials) and SEEDS.holds(found.seeds) and len(found.seeds_of(found.config)) == found.seeds
        )


def definition_space(over):
    return sweep.read_space(CONFIG, over)


def test_a_directory_of_another_sweep_is_never_taken_over(tmp_path):
    """Not by a lost `sweep.json` either: its trials say what they are."""
    out = tmp_path / "sweep"
    sweep.sweep(**GIVEN, out=out)
    for text in (None, "{"):
        (out / "sweep.json").unlink()
        if text:
            (out / "sweep.json").write_text(text)
        with pytest.raises(UndertowError, match="choose another --out"):
            sweep.sweep(**{**GIVEN, "over": ["gradient=full,physics"]}, out=out)
        assert (out / "sweep.json").exists() == bool(text)
        sweep.sweep(**GIVEN, out=out)
    (tmp_path / "mine" / "trials").mkdir(parents=True)
    with pytest.raises(UndertowError, match="is no sweep"):
        sweep.sweep(**GIVEN, out=tmp_path / "mine")


# --- seeds and sizes --------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=5)
@given(st.integers(0, LARGEST_SEED - 2))
def test_every_seed_draws(tmp_path_factory, seed):
    """A search takes each, and what it draws is its own, as it always has been."""
    book = open_ledger_of(tmp_path_factory.mktemp("seed"), seed)
    other = open_ledger_of(tmp_path_factory.mktemp("seed"), seed ^ 1)
    drawn = [values_of(each)["optimizer.learning_rate"] for each in (book, other)]
    assert drawn[0] != drawn[1]
    state = np.random.SeedSequence([seed, 0]).generate_state(1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=int(state[0])))
    assert study.ask().suggest_float("optimizer.learning_rate", 1e-4, 1e-1, log=True) == drawn[0]


def values_of(book):
    job = book.take()
    job.release()
    return job.values


def open_ledger_of(folder, seed):
    config = definition.with_fields(CONFIG, {"seed": seed})
    space = sweep.read_space(config, ["optimizer.learning_rate=1e-4..1e-1:log"])
    given = {"preset": "tiny", "seeds": 2, "sampler": "random", "trials": 1, "metric": None, "statistic": "median"}
    made = definition.define(config, space, **given)
    definition.enter(made, folder / "sweep", None)
    book = Ledger(made, folder / "sweep", None, new=True)
    book.tidy()
    return book


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seeds": 10**9}, "seeds must be a whole number from 1 to 1000, got 1000000000; give other --seed"),
        ({"seeds": 2.5}, "seeds must be a whole number"),
        ({"seeds": True}, "seeds must be a whole number"),
        ({"trials": 10**9, "over": SEARCH}, "trials must be a whole number from 1 to 10000"),
        ({"over": {"seed": list(range(0, 3000, 2))}}, "at most 1000 values"),
        (
            {"over": [f"training.{name}=" + ",".join(map(str, range(1, 102))) for name in ("batch", "updates")]},
            "10201 combinations",
        ),
        ({"over": ["seed=1,2"]}, "seed=1,2 with 2 seeds each trains some of them twice; .* --seed 1 --seeds 3"),
        ({"over": ["seed=1..9"]}, "seed: a range"),
        ({"config": definition.with_fields(CONFIG, {"seed": LARGEST_SEED})}, "seeds are whole numbers from"),
        ({"over": ["training.updates=1..100000000000000000000"]}, "between -2\\*\\*53 and 2\\*\\*53"),
        (
            {"over": ["optimizer.learning_rate=-1e308..1e308"]},
            "an end of a range must be|no longer than the largest number",
        ),
    ],
)
def test_too_much_is_refused_before_anything_is_made(tmp_path, change, message):
    with pytest.raises(UndertowError, match=message) as told:
        sweep.sweep(**{**GIVEN, **change}, out=tmp_path / "sweep")
    assert "\n" not in str(told.value) and len(str(told.value)) < 500 and not list(tmp_path.iterdir())


def test_numbers_out_of_arrays(tmp_path):
    over = {"optimizer.learning_rate": np.logspace(-3, -1, 3), "training.batch": [np.int64(2), 4]}
    result = sweep.sweep(CONFIG, over, seeds=np.int64(2), workers=np.int32(1), out=tmp_path / "sweep", quiet=True)
    assert result.finished and len(result.summary["trials"]) == 6
    given = {"seeds": 2, "trials": np.int64(2), "out": tmp_path / "search", "quiet": True}
    over = {"optimizer.learning_rate": sweep.read_space(CONFIG, SEARCH)["optimizer.learning_rate"]}
    assert sweep.sweep(CONFIG, over, **given).finished
    text = (tmp_path / "sweep" / "sweep.json").read_text()
    assert "np." not in text and "0.001" in text
    assert sweep.sweep(CONFIG, ["seed=1,3"], seeds=2, out=tmp_path / "apart", quiet=True).finished


def test_a_new_command_forgets_who_died(tmp_path):
    """A sweep that was killed as a whole, again and again, is no combination that kills its workers."""
    book = open_ledger(tmp_path / "sweep", ["gradient=full"], preset="custom")
    for _ in range(3):
        book.tidy()
        book.take().release()
    book.tidy()
    assert sweep.summary(tmp_path / "sweep").summary["lost"] == 1
    again = sweep.sweep(**{**GIVEN, "over": ["gradient=full"]}, out=tmp_path / "sweep")
    assert (again.summary["lost"], again.summary["complete"]) == (0, 1)


def test_what_was_not_drawn_in_full_is_drawn_as_it_would_have_been(tmp_path):
    """Its worker was killed between the first value and the second."""
    whole = open_ledger(tmp_path / "whole", SEARCH, sampler="random", trials=1)
    whole.tidy()
    expected = values_of(whole)
    book = open_ledger(tmp_path / "sweep", SEARCH, sampler="random", trials=1)
    book.tidy()
    book._suggest = lambda trial: trial.suggest_float("optimizer.learning_rate", 1e-4, 1e-1, log=True)
    book.take().release()
    again = open_ledger(tmp_path / "sweep", SEARCH, sampler="random", trials=1)
    again.tidy()
    assert values_of(again) == expected
