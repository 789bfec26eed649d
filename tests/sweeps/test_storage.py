"""Sweeps in a database: shared by processes, locked, lost, deleted, foreign; and addresses whose passwords nobody is shown."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.sweeps.test_sweep import (
    CONFIG,
    GRID,
    PAIR,
    SEARCH,
    instead_of_training,
    no_training,
    open_ledger,
    states,
    without_training,
)
from undertow._checks import UndertowError
from undertow.sweeps import storage, sweep
from undertow.sweeps.storage import has_secret, scrubbed, without_password

optuna = pytest.importorskip("optuna")
_ = no_training  # a fixture

GIVEN = {"config": CONFIG, "over": PAIR, "seeds": 2, "quiet": True}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def one_line(error):
    return "\n" not in str(error.value) and str(error.value)


@pytest.mark.parametrize("over", [GRID, SEARCH])
def test_what_one_process_enqueued_another_does(tmp_path, url, over):
    """Each sees a database through a cache of its own."""
    trials = None if over is GRID else 6
    maker = open_ledger(tmp_path / "sweep", over, storage=url, trials=trials)
    maker.tidy()
    for number in range(6):
        worker = open_ledger(tmp_path / "sweep", over, storage=url, trials=trials, new=False)
        job = worker.take()
        assert job.number == number
        assert worker.complete(job, 1.0, {"seeds": [1.0, 2.0]})
    assert maker.finished() and states(maker) == ["COMPLETE"] * 6
    assert len({tuple(entry.values.items()) for entry in maker.entries()}) == 6


PROCESS = """
import sys
import pytest
from undertow.sweeps import sweep
from tests.sweeps.test_sweep import CONFIG, GRID, without_training
without_training(pytest.MonkeyPatch())
print("ready", flush=True)
sys.stdin.readline()
found = sweep.sweep(CONFIG, GRID, seeds=2, out=sys.argv[1], storage=sys.argv[2], quiet=True)
assert found.finished and found.exit_code == 0 and len(found.summary["trials"]) == 6
"""


def test_two_processes_share_a_new_database(tmp_path, url, no_training):
    """Both begin at once, and make its tables at once; what they find is what one finds with a journal."""
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "sweep"), url]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with other:
        assert other.stdout.readline() == "ready\n", other.stderr.read()
        other.stdin.write("begin\n")
        other.stdin.flush()
        here = sweep.sweep(CONFIG, GRID, seeds=2, out=tmp_path / "sweep", storage=url, quiet=True)
        said = other.communicate(timeout=300)[1]
    assert other.returncode == 0, said
    assert here.finished and here.exit_code == 0 and len(here.summary["trials"]) == 6
    alone = sweep.sweep(CONFIG, GRID, seeds=2, out=tmp_path / "alone", quiet=True)
    assert sweep.summary(tmp_path / "sweep").summary["trials"] == alone.summary["trials"]


def test_a_locked_database_is_told_and_gone_on_with(tmp_path, url, monkeypatch):
    """Locked while a trial is trained: one line, and the next command has the trial's result without training it again."""
    monkeypatch.setattr(storage, "PATIENCE", 0.2)
    locks = []

    def training(*given, **options):
        lock = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        locks.append(lock)
        instead_of_training(*given, **options)

    with monkeypatch.context() as patch:
        without_training(patch, training)
        with pytest.raises(
            UndertowError, match="database is locked by another process; the same command goes on"
        ) as told:
            sweep.sweep(**GIVEN, out=tmp_path / "sweep", storage=url)
        assert one_line(told) and len(locks) == 1
        with pytest.raises(UndertowError, match="locked"):
            sweep.summary(tmp_path / "sweep")
    locks[0].close()
    assert sweep.summary(tmp_path / "sweep").summary["total"] == 2


def test_a_study_that_was_deleted_is_told_and_begun_again(tmp_path, url, monkeypatch):
    def losing_its_journal(*given, **options):
        (tmp_path / "journal" / "journal.log").unlink()
        instead_of_training(*given, **options)

    def losing_its_study(*given, **options):
        for each in optuna.get_all_study_names(url):
            optuna.delete_study(study_name=each, storage=url)
        instead_of_training(*given, **options)

    for address, out in ((url, "base"), (None, "journal")):
        with monkeypatch.context() as patch:
            without_training(patch, losing_its_journal if address is None else losing_its_study)
            with pytest.raises(UndertowError, match=r"no longer in the database|is missing") as told:
                sweep.sweep(**GIVEN, out=tmp_path / out, storage=address)
        assert "give the sweep's own command again" in one_line(told)
        without_training(monkeypatch)
        with pytest.raises(UndertowError, match="sweep's own command"):
            sweep.summary(tmp_path / out)
        assert sweep.sweep(**GIVEN, out=tmp_path / out, storage=address).finished


def test_a_search_whose_study_was_lost_tries_the_same_again(tmp_path, no_training):
    """Its trials' directories still know."""
    given = {**GIVEN, "over": SEARCH, "trials": 4, "out": tmp_path / "sweep"}
    before = sweep.sweep(**given)
    (tmp_path / "sweep" / "journal.log").unlink()
    # What the sampler would draw now must not matter.
    given["trials"] = 5
    after = sweep.sweep(**given)
    rows = {row["trial"]: row for row in after.summary["trials"]}
    assert len(rows) == 5 and all(rows[row["trial"]] == row for row in before.summary["trials"])


@pytest.mark.parametrize(
    "made", [None, b"", b"no database, but a text\n" * 50, "table", "direction", "in memory", "no folder"]
)
def test_a_database_that_is_none_of_a_sweeps(tmp_path, url, made, no_training):
    """Refused in a line, and no directory is left that would stand in the way of the right command. A look never makes one."""
    file, out = tmp_path / "study.db", tmp_path / "sweep"
    if made is None or made == b"":
        assert sweep.sweep(**GIVEN, out=out, storage=url).finished
        file.unlink()
        if made == b"":
            file.touch()
        for look in (sweep.summary, sweep.join):
            with pytest.raises(UndertowError, match=r"there is no database|cannot be used: no such table") as told:
                look(out)
            assert one_line(told) and (file.exists(), file.exists() and file.stat().st_size) == (made == b"", 0)
        assert sweep.sweep(**GIVEN, out=out, storage=url).finished
        return
    if isinstance(made, bytes):
        file.write_bytes(made)
    elif made == "table":
        with sqlite3.connect(file) as base:
            base.execute("CREATE TABLE studies (name TEXT)")
        base.close()
    elif made == "direction":
        name = open_ledger(tmp_path / "other", preset="custom").study.study_name
        optuna.create_study(storage=url, study_name=name, direction="maximize")
    address = {"in memory": "sqlite://", "no folder": f"sqlite:///{tmp_path}/none/study.db"}.get(str(made), url)
    with pytest.raises(UndertowError) as told:
        sweep.sweep(CONFIG, GRID, seeds=2, out=out, storage=address, quiet=True)
    assert one_line(told) and not out.exists()
    assert sweep.sweep(**GIVEN, out=out).finished


@pytest.mark.parametrize(
    "result", [None, 5, {"seeds": "x"}, {"seeds": [1.0]}, {"seeds": [1.0, "nan"]}, {"seeds": [1, 2], "seconds": []}]
)
def test_a_result_that_is_none_is_told(tmp_path, url, no_training, result):
    sweep.sweep(**GIVEN, out=tmp_path / "sweep", storage=url)
    with sqlite3.connect(tmp_path / "study.db") as base:
        base.execute(
            "UPDATE trial_user_attributes SET value_json=? WHERE key='result' AND trial_id=1", [json.dumps(result)]
        )
    base.close()
    with pytest.raises(UndertowError, match="trial 0 of the study .* was changed by something else") as told:
        sweep.summary(tmp_path / "sweep")
    assert one_line(told)


# --- addresses --------------------------------------------------------------------------------------------------------

SECRET = "Zq9xW"
words = st.text("abcXYZ019_-", min_size=1, max_size=6)
secrets = st.builds(lambda a, b: f"{a}{SECRET}{b}", *[st.text("ab1:@/?&=%+# ;", max_size=3)] * 2)
keys = st.sampled_from(
    ["password", "passwd", "Password", "pwd", "sslpassword", "auth", "odbc_connect", "options", "sslkey"]
)


@given(words, secrets, keys, st.booleans(), st.booleans())
@example("host", SECRET, "password", False, True)
def test_no_password_is_written_down(host, secret, key, quoted, within):
    from urllib.parse import quote

    written = quote(secret, safe="") if quoted else secret
    if within and not quoted and set(secret) & set("&=#+%;?"):
        written = quote(secret, safe="")  # no such letters in a value
    address = f"postgresql://{host}/db?user=me&{key}={written}" if within else f"postgresql://me:{written}@{host}/db"
    try:
        plain = without_password(address)
    except UndertowError as error:  # where `@` and `/` in it make no address at all
        assert SECRET not in str(error)
        return
    assert SECRET not in plain and has_secret(plain)
    for message in (f"cannot reach {address}", f'password "{secret}" is wrong', f"dsn {written!r}"):
        assert SECRET not in scrubbed(message, address)


def test_a_harmless_address_stays_as_it_is():
    for address in (
        "sqlite:///runs/a@b.db",
        "postgresql://host:5432/db?user=me&sslmode=require",
        "sqlite:////x.db?timeout=3",
    ):
        assert without_password(address) == address and not has_secret(address)
    assert without_password("postgresql://me:word@host/db") == "postgresql://me@host/db"


@pytest.mark.parametrize(
    "address", [f"postgresql://host/db?user=me&password={SECRET}", f"nonsense://me:{SECRET}@host/db"]
)
def test_no_password_in_files_or_messages(tmp_path, caplog, address):
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "sweep"
    with pytest.raises(UndertowError, match="cannot be used") as told:
        sweep.sweep(**GIVEN, out=out, storage=address)
    assert SECRET not in str(told.value) + caplog.text and not out.exists()


def test_a_storage_without_its_password_is_asked_for(tmp_path, url, no_training, caplog):
    """What stands in `sweep.json` has no secret; a file of an earlier version that has one loses it."""
    out, secret = tmp_path / "sweep", f"{url}?password={SECRET}"
    sweep.sweep(**GIVEN, out=out, storage=url)
    settings = json.loads((out / "sweep.json").read_text())
    (out / "sweep.json").write_text(json.dumps({**settings, "storage": secret}))
    with pytest.raises(UndertowError, match="keeps its study in") as told:
        sweep.sweep(**GIVEN, out=out, storage=url)
    assert SECRET not in str(told.value)
    (out / "sweep.json").write_text(json.dumps({**settings, "storage": without_password(secret)}))
    with pytest.raises(UndertowError, match="give --storage again") as told:
        sweep.summary(out)
    assert SECRET not in str(told.value) + caplog.text


def test_what_is_not_there_leaves_nothing(tmp_path, monkeypatch):
    """Without Optuna, or with another module of that name."""
    for module, message in ((None, r"pip install 'undertow\[sweep\]'"), (os, "something else of that name; rename it")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "optuna", module)
            for address in (None, "sqlite:///x.db"):
                with pytest.raises(UndertowError, match=message):
                    sweep.sweep(**GIVEN, out=tmp_path / "sweep", storage=address)
    assert not list(tmp_path.iterdir())
