"""Code of one's own by name, `file.py:Name` or `package.module:Name`, and who may have it run.

A configuration is plain data and may be somebody else's. A name in it that is not one of the package's is therefore only text
until it is opened, which imports the code, and nothing is opened that the user has not allowed. Once opened, the name carries
its object, the text of its file and the text's SHA-256, by which a run knows later that the code is still the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from undertow._checks import UndertowError, at_home, calling, nearest, require, shown, told

T = TypeVar("T")

VARIABLE = "UNDERTOW_ALLOW_CODE"
"""The environment variable with the names that may be opened, blanks between them; `*` is all. `allow_code` sets it."""

_NAME = re.compile(r"(?P<place>[^:]+):(?P<name>[^\W\d][\w.<>]*)")
_FILES: dict[tuple[str, str], ModuleType] = {}  # what was imported from files, by path and digest


class OwnName(str):
    """A name of one's own in a configuration, as it was written.

    `target`: what it stands for, None until it is opened; `text`: the file it is in; `sha256`: the digest of that text. The
    latter are None where there is no file, as in a notebook.
    """

    target: Any
    text: str | None
    sha256: str | None

    def __new__(cls, name: str, target: Any = None, text: str | None = None, sha256: str | None = None) -> OwnName:
        self = super().__new__(cls, name)
        self.target, self.text = target, text
        self.sha256 = sha256 if text is None else digest(text)
        return self

    def __deepcopy__(self, memo: Any) -> OwnName:
        return self

    @property
    def file(self) -> str:
        """The name of the file that a copy of its text goes by."""
        place = self.partition(":")[0]
        return Path(place).name if place.endswith(".py") else f"{place.rpartition('.')[2]}.py"


class NotAllowedError(UndertowError):
    """Something needs code from outside the package that nobody has allowed to be imported."""


def digest(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_own(name: object) -> bool:
    """Whether a word of a configuration names something outside of the package."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def target_of(name: str, what: str) -> Any:
    """What an opened name stands for. `what`: the configuration's field, for the message.

    **Raises:** `NotAllowedError` for a name that nobody has allowed to be opened.
    """
    target = getattr(name, "target", None)
    if target is None:
        raise NotAllowedError(
            f"{what} is code from outside undertow, {name}, and is imported only where you allow it: --allow-code on the command "
            "line, `with undertow.allow_code():` in Python"
        )
    return target


def name_of(target: Any) -> OwnName:
    """The name of a class or function of one's own, or of an object that a variable of a module holds, opened. What a program
    defines is named by the program's file.

    **Raises:** `UndertowError` for something without a name.
    """
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if name is None:  # an object knows its class' module only
        module, name = _variable(target)
    require(
        module is not None and name is not None and "<lambda>" not in name,
        f"what is to be found again needs a name: a variable of a module, or that of a class or function; got {shown(target)}",
    )
    home = sys.modules.get(str(module))
    file = getattr(home, "__file__", None)
    if file is None:
        return OwnName(f"{module}:{name}", target)
    place = Path(file).name if module == "__main__" or home in _FILES.values() else module
    return OwnName(f"{place}:{name}", target, _text_of(Path(file)))


def _variable(target: Any) -> tuple[str | None, str | None]:
    """The module and the name of a variable that holds an object; None where there is none."""
    for module, held in sorted(sys.modules.items(), key=lambda each: each[0] != "__main__"):
        if not module.startswith("undertow"):
            for name, value in list(getattr(held, "__dict__", {}).items()):
                if value is target and not name.startswith("_"):
                    return module, name
    return None, None


def names_in(config: Any) -> Iterator[str]:
    """Every name of one's own in a dataclass of plain values, its tables included."""
    values = (getattr(config, field.name) for field in dataclasses.fields(config))
    for value in values:
        if dataclasses.is_dataclass(value):
            yield from names_in(value)
        elif isinstance(value, tuple):
            yield from filter(is_own, value)
        elif is_own(value):
            yield value


def map_names(config: T, change: Callable[[str], str]) -> T:
    """The same dataclass of plain values with every name of one's own changed."""

    def changed(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return map_names(value, change)
        if isinstance(value, tuple):
            return tuple(changed(each) for each in value)
        return change(value) if is_own(value) else value

    if not any(True for _ in names_in(config)):
        return config
    fields = dataclasses.fields(config)  # type: ignore[arg-type]
    return dataclasses.replace(config, **{f.name: changed(getattr(config, f.name)) for f in fields})  # type: ignore[type-var]


def opened(config: T, copies: Path | None = None) -> T:
    """The same configuration with its names of one's own opened: those that are allowed, and those that the program or the
    notebook that is running has defined itself. The others stay text.

    **Arguments:** `copies`: a folder with files as they were when the names were opened first.

    **Raises:** `UndertowError` for a name that cannot be imported, or whose file is not the one that was recorded.
    """
    return map_names(config, lambda name: open_name(name, copies))


@contextlib.contextmanager
def allow_code(*names: str) -> Iterator[None]:
    """Let runs and configuration files import the code from outside the package that they name, for as long as this lasts, in
    this process and in those that it starts: `with allow_code(): resume("runs/traffic")`.

    Importing is running: allow what you have written or read. What you name yourself, as `learn("burgers", law=Traffic())` or
    `undertow train burgers --law.name traffic.py:Traffic` do, needs no leave.

    **Arguments:** `names`: these alone, such as `traffic.py:Traffic`; none: all.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = " ".join(sorted({*(before or "").split(), *(names or "*")}))
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def typed(arguments: Iterable[str]) -> set[str]:
    """The names of one's own among the words of a command: whoever types a name wants it opened."""
    return {word for argument in arguments for word in re.split(r"[=,\s]", argument) if is_own(word)}


def open_name(name: str, copies: Path | None = None, *, allowed: bool = False) -> str:
    """One name, opened if that is `allowed` here or by `allow_code`; see `opened`."""
    if getattr(name, "target", None) is not None:
        return name
    recorded = getattr(name, "sha256", None)
    mine = _of_this_program(name)
    if mine is not None and recorded in (None, mine.sha256):
        return mine
    if not (allowed or {"*", str(name)} & {*os.environ.get(VARIABLE, "").split()}):
        return name
    place, _, inner = name.partition(":")
    if place.endswith(".py"):
        text, path = _recorded(name, recorded, copies)
        return OwnName(name, _attribute(_import_file(path, text), inner, name), text)
    with calling(f"cannot import {name}"):
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError:
            copy = _copy(recorded, copies)
            if copy is None:
                raise
            module = _import_file(copy, _text_of(copy))
    file = getattr(module, "__file__", None)
    found = OwnName(name, _attribute(module, inner, name), None if file is None else _text_of(Path(file)))
    require(
        recorded in (None, found.sha256),
        f"{name} is not the code that was recorded: {file} has changed since; bring that version back, or begin anew",
    )
    return found


def _of_this_program(name: str) -> OwnName | None:
    """What the program or notebook that is running has defined under this name: to use it runs no code that is not running."""
    place, _, inner = name.partition(":")
    main = sys.modules.get("__main__")
    target: Any = main
    for part in inner.split("."):
        target = getattr(target, part, None)
    if getattr(target, "__module__", None) != "__main__" or target is None:
        return None
    own = name_of(target)
    return OwnName(name, target, own.text) if own.partition(":")[0] in (place, Path(place).name) else None


def _recorded(name: str, recorded: str | None, copies: Path | None) -> tuple[str, Path]:
    """The text of the file of a name, from the copies where one of them is the recorded one; and where it is or was."""
    path = at_home(name.partition(":")[0]).absolute()
    copy = _copy(recorded, copies)
    if copy is not None:
        return _text_of(copy), path if path.exists() else copy
    require(path.is_file(), f"there is no file {path} for {name}")
    text = _text_of(path)
    require(
        recorded in (None, digest(text)),
        f"{path} is not the file that was recorded for {name}: it has changed since; bring that version back, or begin anew",
    )
    return text, path


def _copy(recorded: str | None, copies: Path | None) -> Path | None:
    """The copy with the recorded digest, if there is one."""
    files = [] if recorded is None or copies is None else sorted(copies.glob("*.py"))
    return next((file for file in files if digest(_text_of(file)) == recorded), None)


def _text_of(path: Path) -> str:
    with calling(f"cannot read {path}"):
        return path.read_text(encoding="utf-8")


def _import_file(path: Path, text: str) -> ModuleType:
    """The module that a text is, as if it were imported from `path`; the same module for the same text."""
    known = _FILES.get((str(path), digest(text)))
    if known is not None:
        return known
    module = ModuleType(f"{path.stem}_{digest(text)[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look for the names in their annotations
    sys.path.insert(0, str(path.parent))  # what lies beside it, as for a program
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[module.__name__]
        lines = [frame for frame in inspect.getinnerframes(error.__traceback__) if frame.filename == str(path)]  # type: ignore[arg-type]
        where = f"{path}, line {lines[-1].lineno}" if lines else str(path)
        raise UndertowError(f"{where}: {told(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    _FILES[str(path), digest(text)] = module
    return module


def _attribute(module: ModuleType, inner: str, name: str) -> Any:
    target: Any = module
    for part in inner.split("."):
        public = [each for each in vars(target) if not each.startswith("_")] if hasattr(target, "__dict__") else []
        target = getattr(target, part, None)
        if target is None:
            raise UndertowError(f"there is no {inner} in {name.partition(':')[0]}{nearest(part, public)}")
    return target


def with_digests(config: T, recorded: Mapping[str, str]) -> T:
    """The same configuration, whose names know what their files have to be like."""
    return map_names(config, lambda name: OwnName(name, sha256=recorded.get(name)))
