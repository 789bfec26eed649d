"""Kill a command at each change that it makes to the disk, do what a user does then, and compare what is left in the end.

The process that calls these functions imports JAX and never starts it. Every command runs in a fork of it, which saves the
start; programs that one fork has compiled the next ones find in `CACHE`.

A change is a file opened for writing, a write, a rename, a removal, a truncation, a new directory or link. Before each one
the process ends itself with SIGKILL, and in the middle of each write as well. Between two changes the disk stays as it is,
so that these are all the states a kill can leave.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Python tells its audit hooks of these before it does them; a rename has two paths, each with its directory.
_EVENTS = {
    "os.rename": "rename",
    "os.remove": "remove",
    "os.mkdir": "make",
    "os.rmdir": "remove",
    "os.truncate": "truncate",
    "os.symlink": "link",
    "os.link": "link",
}


class Work(NamedTuple):
    """A command that is to be killed.

    - `prepare`: called with a path that does not exist; makes what the command finds. It must not start JAX.
    - `command`: called with that path in a fork; an exit code, or None for 0.
    - `again`: the same after a kill: what a user does to get the result all the same.
    - `essence`: everything that is left at the path, but for what tells of times; compared by its keys.
    """

    prepare: Callable[[Path], object]
    command: Callable[[Path], int | None]
    again: Callable[[Path], int | None]
    essence: Callable[[Path], dict[str, Any]]


class Change(NamedTuple):
    """A change to the disk: what it is, and whether it can be cut in two."""

    what: str
    divisible: bool


def use_cache(folder: Path) -> None:
    """Keep compiled programs in a folder, for all forks."""
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def in_a_fork(work: Callable[[], int | None], watch: Watch | None = None, log: Path | None = None) -> int:
    """The exit code of `work` in a process of its own, minus the signal's number if it was killed."""
    from jax._src import xla_bridge

    assert not xla_bridge._backends, "JAX was started before a fork"
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 70
    try:
        target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(target, 1)
        os.dup2(target, 2)
        if watch is not None:
            watch.start()
        code = work() or 0
        if watch is not None:
            watch.stop()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Watch:
    """Counts the changes below a folder, and ends the process at one of them.

    **Arguments:** `folder`; `at`: the number of the change, from 1 (None: none); `half`: in its middle, not before it;
    `record`: a file for the list of all changes, written by `stop`.
    """

    def __init__(self, folder: Path, *, at: int | None = None, half: bool = False, record: Path | None = None):
        self.folder, self.at, self.half, self.record = os.path.realpath(folder), at, half, record
        self.seen: list[Change] = []
        self._on = False

    def start(self) -> None:
        """From now on."""
        self._on = True
        sys.addaudithook(self._audit)
        self._open, self._write = builtins.open, os.write
        builtins.open = io.open = self._opened  # type: ignore[assignment]
        os.write = self._written

    def stop(self) -> None:
        """No more; write down what was seen."""
        self._on = False
        if self.record is not None:
            with self._open(self.record, "w") as file:
                json.dump(self.seen, file)

    def step(self, what: str, half: Callable[[], object] | None = None) -> None:
        """A change is about to happen; `half` does a part of it."""
        self.seen.append(Change(what, half is not None))
        if len(self.seen) != self.at:
            return
        if self.half and half is not None:
            self._on = False
            half()
        os.kill(os.getpid(), signal.SIGKILL)

    def name(self, path: Any, folder: int = -1) -> str | None:
        """A path relative to the folder; None outside of it, or while nothing is watched."""
        if not self._on:
            return None
        try:
            if isinstance(path, int):
                whole = os.readlink(f"/proc/self/fd/{path}")
            else:
                base = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()
                whole = os.path.join(base, os.fsdecode(path))
        except (OSError, TypeError):
            return None
        whole = os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
        return os.path.relpath(whole, self.folder) if whole.startswith(self.folder + os.sep) else None

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open" and given[2] & _WRITING and (name := self.name(given[0])):
            self.step(f"open {name}")
        elif event in _EVENTS:
            folders = [each for each in given[1:] if isinstance(each, int) and event != "os.mkdir"]
            where = given[-1] if event == "os.mkdir" else (folders or [-1])[0]
            if event == "os.truncate":
                where = -1
            name = self.name(given[1] if event in ("os.symlink", "os.link") else given[0], where)
            if name:
                self.step(f"{_EVENTS[event]} {name}")

    def _opened(self, file: Any, mode: str = "r", *given: Any, **options: Any) -> Any:
        opened = self._open(file, mode, *given, **options)
        name = self.name(file) if set(mode) & set("wax+") else None
        return opened if name is None else _File(opened, name, self)

    def _written(self, descriptor: int, data: Any) -> int:
        name = self.name(descriptor)
        if name:
            data = bytes(data)
            half = (lambda: self._write(descriptor, data[: len(data) // 2])) if len(data) > 1 else None
            self.step(f"write {name}", half)
        return self._write(descriptor, data)


class _File:
    """A file that tells of every write before it is done."""

    def __init__(self, file: Any, name: str, watch: Watch):
        self._file, self._name, self._watch = file, name, watch

    def write(self, data: Any) -> int:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._watch.step(f"write {self._name}", half if len(data) > 1 else None)
        return self._file.write(data)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        self._file.__enter__()
        return self

    def __exit__(self, *given: Any) -> Any:
        return self._file.__exit__(*given)

    def __iter__(self) -> Any:
        return iter(self._file)


def kill_at_each(
    label: str, work: Work, *, only: Sequence[int] | None = None, say: Callable[[str], object] = print
) -> int:
    """Kill a command at each of its changes to the disk in turn.

    **Arguments:** `label`: a word for the lines that are said; `work`; `only`: the numbers of some changes, from 1 (None: all).

    **Returns:** how many of the kills ended otherwise than the undisturbed command.
    """
    with tempfile.TemporaryDirectory(prefix="undertow-kills-") as made:
        # One path for all of them: names of folders stand in titles and messages.
        room, record, log = Path(made, "room"), Path(made, "record"), Path(made, "log")
        place = room / "run"

        def attempt(watch: Watch | None, call: Callable[[Path], int | None]) -> int:
            log.unlink(missing_ok=True)
            return in_a_fork(lambda: call(place), watch, log)

        def begin() -> None:
            shutil.rmtree(room, ignore_errors=True)
            room.mkdir()
            work.prepare(place)

        begin()
        code = attempt(Watch(room, record=record), work.command)
        assert code == 0, f"{label}, undisturbed, ended with {code}: {log.read_text()[-2000:]}"
        changes = [Change(*each) for each in json.loads(record.read_text())]
        expected = _left(room, work.essence(place))
        points = [
            (number, half, change)
            for number, change in enumerate(changes, start=1)
            for half in ((False, True) if change.divisible else (False,))
            if only is None or number in only
        ]
        say(f"{label}: {len(changes)} changes to the disk, {len(points)} kills")
        wrong = 0
        for number, half, change in points:
            begin()
            code = attempt(Watch(room, at=number, half=half), work.command)
            told = [] if code == -signal.SIGKILL else [f"it was not killed, but ended with {code}"]
            code = attempt(None, work.again)
            if code:
                told.append(f"after it the command ended with {code}: {' '.join(log.read_text().split())[-300:]}")
            else:
                found = _left(room, work.essence(place))
                told += [name for name in sorted({*expected, *found}) if expected.get(name) != found.get(name)]
            wrong += bool(told)
            where = f"{'in the middle of' if half else 'before'} {change.what}"
            say(f"{label} {number:4d} {where}: {'differs in ' + ', '.join(told) if told else 'the same'}")
        say(f"{label}: {len(points)} kills, {wrong} ended otherwise")
        return wrong


def _left(room: Path, essence: dict[str, Any]) -> dict[str, Any]:
    """With the names of all files, those beside the place too."""
    return {**essence, "names": sorted(str(each.relative_to(room)) for each in room.rglob("*"))}
