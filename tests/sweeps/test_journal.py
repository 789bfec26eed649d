"""A sweep's journal: half a line at its end heals, every other damage is one line that says what to do, and nothing is counted
that was not written."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undertow._checks import UndertowError
from undertow.sweeps.journal import Journal

RECORDS = [
    {"op_code": index % 10, "worker_id": f"w{index}", "value": index / 7, "text": 'a"}\n\r,"sum":1}'}
    for index in range(8)
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("journal") / "whole.log"
    journal = Journal(file, new=True)
    for record in RECORDS[:6]:
        journal.append_logs([record])
    journal.append_logs(RECORDS[6:])
    return file.read_bytes()


def test_what_is_written_is_read(tmp_path, whole):
    file = tmp_path / "journal.log"
    file.write_bytes(whole)
    journal = Journal(file)
    assert journal.read_logs(0) == RECORDS and journal.read_logs(5) == RECORDS[5:] and journal.read_logs(8) == []
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [{key: each[key] for key in RECORDS[0]} for each in lines] == RECORDS


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_half_a_line_heals(tmp_path_factory, whole, data):
    """Cut anywhere, with zeros of a power cut after it or not: the whole lines are there, and more can be written."""
    cut = data.draw(st.integers(0, len(whole) - 1))
    torn = whole[:cut]
    if not torn.endswith(b"\n"):
        torn += b"\0" * data.draw(st.integers(0, 9))
    file = tmp_path_factory.mktemp("torn") / "journal.log"
    file.write_bytes(torn)
    kept = RECORDS[: torn.count(b"\n")]
    one, other = Journal(file), Journal(file)
    assert one.read_logs(0) == other.read_logs(0) == kept
    one.append_logs([RECORDS[0]])
    other.append_logs([RECORDS[1]])
    for journal in (one, other, Journal(file)):
        assert journal.read_logs(0) == [*kept, RECORDS[0], RECORDS[1]]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_other_damage_is_one_line(tmp_path_factory, whole, data):
    """A byte changed, put in or taken out; a line lost, doubled or moved: it is told before a single record is used."""
    lines = whole.splitlines(keepends=True)
    kind = data.draw(st.sampled_from(["byte", "insert", "delete", "lose", "double", "swap", "foreign"]))
    # The last line may be lost without a trace, and is the last of what is known then.
    place = data.draw(st.integers(0, len(lines) - (2 if kind in ("lose", "swap") else 1)))
    if kind == "lose":
        lines.pop(place)
    elif kind == "double":
        lines.insert(place, lines[place])
    elif kind == "swap":
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    elif kind == "foreign":
        lines.insert(
            place, data.draw(st.sampled_from([b"[]\n", b"5\n", b"{}\n", b"\n", b"[" * 10**5 + b"\n", b"\xff\n"]))
        )
    else:
        at = data.draw(st.integers(0, len(lines[place]) - 2))
        before, after = lines[place][:at], lines[place][at + (kind != "insert") :]
        byte = b"" if kind == "delete" else bytes([data.draw(st.integers(0, 255).filter(lambda b: b != 10))])
        lines[place] = before + byte + after
    if (text := b"".join(lines)) == whole:
        return
    file = tmp_path_factory.mktemp("damaged") / "journal.log"
    file.write_bytes(text)
    for use in (lambda: Journal(file).read_logs(0), lambda: Journal(file).append_logs([RECORDS[0]])):
        with pytest.raises(
            UndertowError, match=r"is damaged in line \d+; move it away and give the sweep's own command"
        ) as caught:
            use()
        assert "\n" not in str(caught.value)
    assert file.read_bytes() == text


def test_lines_of_an_earlier_version_count(tmp_path):
    """They have no check sums; those that follow have."""
    file = tmp_path / "journal.log"
    file.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    journal = Journal(file)
    journal.append_logs([RECORDS[3]])
    assert Journal(file).read_logs(0) == [*RECORDS, RECORDS[3]]
    file.write_bytes(file.read_bytes().replace(b"w2", b"w9"))
    with pytest.raises(UndertowError, match="damaged in line 9"):
        Journal(file).read_logs(0)


def test_a_journal_that_is_gone_or_shorter_is_told(tmp_path, whole):
    file = tmp_path / "journal.log"
    with pytest.raises(UndertowError, match="is missing; give the sweep's own command again"):
        Journal(file).read_logs(0)
    file.write_bytes(whole)
    journal = Journal(file)
    journal.read_logs(0)
    file.write_bytes(whole[:40])
    for use in (lambda: journal.read_logs(0), lambda: journal.append_logs([RECORDS[0]])):
        with pytest.raises(UndertowError, match="is shorter than it was"):
            use()
    file.unlink()
    file.mkdir()
    with pytest.raises(UndertowError, match="is no file"):
        Journal(file, new=True)


def test_a_full_disk_leaves_no_half_line(tmp_path, whole, monkeypatch):
    file = tmp_path / "journal.log"
    file.write_bytes(whole)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    journal = Journal(file)
    with monkeypatch.context() as patch:
        patch.setattr("undertow.sweeps.journal.os.fsync", full)
        with pytest.raises(UndertowError, match="free some space"):
            journal.append_logs([RECORDS[0]])
    assert file.read_bytes() == whole
    journal.append_logs([RECORDS[0]])
    assert Journal(file).read_logs(8) == [RECORDS[0]]


def test_many_writers(tmp_path, whole):
    """Each with a view of its own, on a file that ends in half a line."""
    file = tmp_path / "journal.log"
    file.write_bytes(whole[:-9])

    def write(name):
        journal = Journal(file)
        for index in range(20):
            journal.append_logs([{"op_code": 0, "worker_id": name, "index": index}])
            journal.read_logs(0)

    threads = [threading.Thread(target=write, args=(str(each),)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Journal(file).read_logs(0)
    assert found[:7] == RECORDS[:7] and len(found) == 7 + 80
    for name in map(str, range(4)):
        assert [each["index"] for each in found[7:] if each["worker_id"] == name] == list(range(20))
