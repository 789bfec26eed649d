"""Files that are either there and whole, or not there: atomic writes, and JSON that any reader accepts. Read by `_reader`."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from undertow import _flock
from undertow._checks import UndertowError, at_home
from undertow._reader import is_regular, read_bytes

# What fsync answers on file systems that cannot flush a directory. A real input/output error is not among them.
_CANNOT_FLUSH_A_DIRECTORY = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}

_DRAFT = re.compile(r"\.(.+)\.(\d+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
_OURS: set[str] = set()
"""The drafts that this very process is at."""


def write_error(path: Path, error: OSError) -> UndertowError:
    """The one-line error for a file that could not be written: which file, and the system's reason."""
    hints = {
        errno.ENOSPC: "; free some space and start again",
        errno.EDQUOT: "; free some of your quota and start again",
        errno.EROFS: "; choose a directory that can be written",
        errno.EACCES: "; choose a directory that you may write to",
        errno.EPERM: "; choose a directory that you may write to",
    }
    return UndertowError(f"cannot write {path}: {_reason(error)}{hints.get(error.errno or 0, '')}")


def atomic_write_bytes(path: Path | str, data: bytes) -> None:
    """Put `data` at `path` so that every reader, at every instant, sees the old file whole or the new file whole.

    The bytes go to a temporary file in the same directory (a rename is atomic only within one file system) and are
    flushed to the disk *before* the rename: otherwise the new name could reach the disk ahead of its contents. The
    directory is flushed after it, so that the rename itself survives a power cut.

    **Raises** `UndertowError` with the system's reason (disk full, read-only, no such directory). The file that was
    there before is then untouched and the temporary file is gone. It is gone after an interrupt, too.
    """
    path = at_home(path)
    remove_drafts(path.parent, path.name)
    temporary = draft_name(path)
    try:
        try:
            with open(temporary, "xb") as file:
                with contextlib.suppress(OSError):  # others see by it that its writer lives
                    _flock.flock(file.fileno())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _flush_directory(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        _OURS.discard(temporary.name)


def atomic_write_text(path: Path | str, text: str) -> None:
    """`atomic_write_bytes` of `text` in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def draft_name(path: Path) -> Path:
    """A name next to a path, for what is to get that name when it is whole."""
    name = f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    _OURS.add(name)
    return path.with_name(name)


def remove_drafts(folder: Path, name: str | None = None) -> None:
    """Remove the drafts, files, links and directories, that dead processes left in a folder.

    **Arguments:** `folder`; `name`: of the file or directory that they were to become; None: whichever.
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = _DRAFT.fullmatch(entry.name)
            if match and name in (None, match[1]) and not _is_alive(entry, int(match[2])):
                with contextlib.suppress(OSError):  # what cannot be removed does no harm
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def _is_alive(entry: os.DirEntry[str], pid: int) -> bool:
    """Whether a draft may have a writer: this process, another one here, or one elsewhere, which its lock tells."""
    if not _flock.available() or entry.name in _OURS:
        return True
    if pid != os.getpid():  # in a container every program may have the same number
        try:
            os.kill(pid, 0)
            return True
        except ProcessLookupError:
            pass
        except OSError:
            return True
    if entry.is_symlink():
        return False
    paths = [entry.path] + ([os.path.join(entry.path, ".lock")] if entry.is_dir() else [])
    return any(_flock.is_locked(path, unknown=False) for path in paths)


def make_folder(folder: Path | str) -> Path:
    """Make a directory, if it is not there. Returns its path. Raises `UndertowError` if it cannot be made."""
    folder = at_home(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def make_draft(wanted: Path, *, all_names: bool = False) -> Path:
    """A directory next to the one wanted, under a name that nobody looks at: what is in it appears at once or never.

    Drafts of dead processes are removed, those of the same name or `all_names`.
    """
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(wanted.parent, None if all_names else wanted.name)
        draft = draft_name(wanted)
        draft.mkdir()
    except OSError as error:
        raise write_error(wanted, error) from error
    return draft


@contextlib.contextmanager
def new_folder(wanted: Path) -> Iterator[Path]:
    """A draft of a directory that gets its name when all went well, and is removed when not.

    **Raises** `UndertowError` if the directory exists, or cannot be made.
    """
    wanted = require_free(wanted)
    draft = make_draft(wanted)
    descriptor = None
    try:
        with contextlib.suppress(OSError):
            descriptor = os.open(draft, os.O_RDONLY)
            _flock.flock(descriptor)
        yield draft
        if not place(draft, wanted):
            raise taken(wanted)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # made above, for this alone
        raise
    finally:
        _OURS.discard(draft.name)
        if descriptor is not None:
            os.close(descriptor)


def place(draft: Path, path: Path) -> bool:
    """Give a draft its name; False if that is taken. Of two processes that come here at once one gets it: a directory cannot
    take the place of one that is not empty."""
    if os.path.lexists(path):
        return False
    try:
        os.rename(draft, path)
    except (FileExistsError, NotADirectoryError):
        return False
    except OSError as error:
        if path.exists():  # "directory not empty", under whichever number the system has for it
            return False
        raise write_error(path, error) from error
    return True


def taken(path: Path) -> UndertowError:
    """The error for a file or directory that is there already."""
    return UndertowError(f"{path} exists already and is left as it is; choose another --out")


def require_free(path: Path | str) -> Path:
    """The path that something new is to have. Raises `UndertowError` if anything is there already, be it a link that leads
    nowhere."""
    path = at_home(path)
    if os.path.lexists(path):
        raise taken(path)
    return path


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, next to its own, so that nothing of it is lost. Returns the new path."""
    for number in range(1, 1000):
        aside = _aside(path, number)
        if not os.path.lexists(aside):
            try:
                os.replace(path, aside)
            except OSError as error:
                raise write_error(path, error) from error
            return aside
    raise _too_often(path)


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")


def _too_often(path: Path) -> UndertowError:
    return UndertowError(f"{path} has been damaged a thousand times; remove its {path.stem}.damaged-* first")


def keep_copy(path: Path, data: bytes) -> Path:
    """Write down what a damaged file held, next to it, unless that was done before. Returns the copy's path."""
    for number in range(1, 1000):
        copy = _aside(path, number)
        if not os.path.lexists(copy):
            atomic_write_bytes(copy, data)
            return copy
        if is_regular(copy) and read_bytes(copy) == data:
            return copy
    raise _too_often(path)


def to_json(value: Any, *, indent: int | None = 2) -> str:
    r"""`value` as JSON that every reader accepts.

    Tuples become lists, paths and other keys strings, numpy and jax scalars numbers, arrays nested lists. JSON has no
    word for what is not finite, so these are written as the strings "nan", "inf" and "-inf", which `float` reads back.

    **Raises** `UndertowError` for anything else, naming where it stands.
    """
    return json.dumps(_plain(value, "value"), indent=indent, allow_nan=False)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _flush_directory(folder: Path) -> None:
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_A_DIRECTORY:
            raise
    finally:
        os.close(descriptor)


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__jax_array__") or hasattr(value, "devices"):
        return _plain(np.asarray(value).tolist(), where)
    raise UndertowError(
        f"{where} cannot be written as JSON: expected numbers, strings, lists and dictionaries, "
        f"got {type(value).__name__}"
    )
