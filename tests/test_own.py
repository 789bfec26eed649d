"""Names of one's own: nothing runs that nobody has allowed, and what runs is what was recorded."""

from __future__ import annotations

import copy
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from undertow import _own
from undertow._checks import UndertowError
from undertow._own import NotAllowedError, OwnName, allow_code, digest, name_of, open_name, opened, target_of

TEXT = """
from pathlib import Path

Path(__file__).with_suffix(".ran").touch()


class Traffic:
    speed = 1.0


def brake(state, action):
    return state - action
"""


@dataclass(frozen=True)
class Inner:
    name: str = "burgers"
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    count: int = 1


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "traffic.py"
    path.write_text(TEXT)
    return path


def ran(file: Path) -> bool:
    return file.with_suffix(".ran").exists()


def test_nothing_is_imported_without_leave(file):
    config = Outer(Inner("traffic.py:Traffic", ("sod", "traffic.py:brake")))
    with allow_code("other.py:Traffic"):
        same = opened(config)
    assert same == config == opened(config) and not ran(file)
    with pytest.raises(NotAllowedError, match=r"law.name is code from outside undertow.*--allow-code"):
        target_of(same.inner.name, "law.name")


def test_what_is_allowed_is_opened_and_the_rest_is_not(file):
    config = Outer(Inner("traffic.py:Traffic", ("sod", "traffic.py:brake")))
    with allow_code("traffic.py:Traffic"):
        config = opened(config)
    assert ran(file) and _own.VARIABLE not in os.environ
    assert target_of(config.inner.name, "law.name").speed == 1.0
    with pytest.raises(UndertowError, match="only where you allow it"):
        target_of(config.inner.names[1], "data.conditions")
    with allow_code():
        config = opened(config)
    assert target_of(config.inner.names[1], "data.conditions")(3, 1) == 2
    assert list(_own.names_in(config)) == ["traffic.py:Traffic", "traffic.py:brake"]
    # One file is one module: its classes are one, however often they are named.
    assert sys.modules[target_of(config.inner.name, "").__module__].brake is config.inner.names[1].target


def test_the_words_of_a_command_that_are_names():
    words = ["train", "--law.name", "traffic.py:Traffic", "--data.conditions=a.b:One,c.py:two", "host:80", "x=1"]
    assert _own.typed(words) == {"traffic.py:Traffic", "a.b:One", "c.py:two"}


def test_a_name_stays_a_word(file):
    name = open_name("traffic.py:Traffic", allowed=True)
    assert name == "traffic.py:Traffic" and isinstance(name, OwnName)
    assert (name.file, name.text, name.sha256) == ("traffic.py", TEXT, digest(TEXT))
    assert copy.deepcopy(name).target is name.target


def test_a_changed_file_is_not_what_was_recorded(file, tmp_path):
    recorded = {"traffic.py:Traffic": digest(TEXT)}
    again = _own.with_digests(Outer(Inner("traffic.py:Traffic")), recorded)
    copies = tmp_path / "code"
    copies.mkdir()
    with allow_code():
        first = opened(again)
        assert opened(again).inner.name.target is target_of(first.inner.name, "")
        file.write_text(TEXT + "\n# more\n")
        with pytest.raises(UndertowError, match="is not the file that was recorded for traffic.py:Traffic"):
            opened(again)
        (copies / "traffic.py").write_text(TEXT)
        assert opened(again, copies).inner.name.text == TEXT
        file.unlink()
        assert opened(again, copies).inner.name.text == TEXT
        (copies / "traffic.py").write_text(TEXT + "\n# something else\n")
        with pytest.raises(UndertowError, match="there is no file"):
            opened(again, copies)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("traffic.py:Trafic", None, r"there is no Trafic in traffic.py; did you mean 'Traffic'\?"),
        ("nowhere.py:Traffic", None, "there is no file .*nowhere.py for nowhere.py:Traffic"),
        ("traffic.py:Traffic", "x = 1\nraise RuntimeError('no\\nroad')\n", "traffic.py, line 2: RuntimeError: no road"),
        ("traffic.py:Traffic", "class Traffic\n", "traffic.py: SyntaxError: .*line 1"),
        ("no_such_module:Traffic", None, "cannot import no_such_module:Traffic: ModuleNotFoundError"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(file, name, text, said):
    if text is not None:
        file.write_text(text)
    with pytest.raises(UndertowError, match=said) as told:
        open_name(name, allowed=True)
    assert "\n" not in str(told.value)


def test_a_module_is_found_as_python_finds_it(file, monkeypatch):
    monkeypatch.syspath_prepend(str(file.parent))
    name = open_name("traffic:Traffic", allowed=True)
    assert name.target.speed == 1.0 and name.sha256 == digest(TEXT) and name.file == "traffic.py"
    monkeypatch.delitem(sys.modules, "traffic")


def test_an_object_has_a_name_and_a_program_names_its_file(file, monkeypatch):
    target = open_name("traffic.py:Traffic", allowed=True).target
    assert name_of(target) == "traffic.py:Traffic"
    assert name_of(Outer) == f"{__name__}:Outer"
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", str(file), raising=False)
    monkeypatch.setattr(main, "Traffic", target, raising=False)
    monkeypatch.setattr(target, "__module__", "__main__")
    name = name_of(target)
    assert name == "traffic.py:Traffic" and name.text == TEXT
    # What is running already needs no leave; what is recorded differently does.
    assert open_name("traffic.py:Traffic").target is target
    assert open_name("other.py:Traffic") == "other.py:Traffic"
    assert open_name(OwnName("traffic.py:Traffic", sha256="0")).target is None
    with pytest.raises(UndertowError, match="needs a name"):
        name_of(lambda x: x)
