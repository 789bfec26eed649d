"""Files that are either there and whole, or not there: atomic writes, and JSON that any reader accepts."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from undertow._checks import UndertowError

# What fsync answers on file systems that cannot flush a directory. A real input/output error is not among them.
_CANNOT_FLUSH_A_DIRECTORY = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


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


def read_error(path: Path, error: OSError) -> UndertowError:
    """The one-line error for a file that could not be read: which file, and the system's reason."""
    return UndertowError(f"cannot read {path}: {_reason(error)}")


def atomic_write_bytes(path: Path | str, data: bytes) -> None:
    """Put `data` at `path` so that every reader, at every instant, sees the old file whole or the new file whole.

    The bytes go to a temporary file in the same directory (a rename is atomic only within one file system) and are
    flushed to the disk *before* the rename: otherwise the new name could reach the disk ahead of its contents. The
    directory is flushed after it, so that the rename itself survives a power cut.

    **Raises** `UndertowError` with the system's reason (disk full, read-only, no such directory). The file that was
    there before is then untouched and the temporary file is gone. It is gone after an interrupt, too.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
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


def atomic_write_text(path: Path | str, text: str) -> None:
    """`atomic_write_bytes` of `text` in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def make_draft(wanted: Path) -> Path:
    """A directory next to the one wanted, under a name that nobody looks at: what is in it appears at once or never."""
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        draft = wanted.with_name(f".{wanted.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        draft.mkdir()
    except OSError as error:
        raise write_error(wanted, error) from error
    return draft


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
    """The error for a directory that is there already."""
    return UndertowError(f"{path} exists already and is left as it is; choose another directory")


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, next to its own, so that nothing of it is lost. Returns the new path."""
    for number in range(1, 1000):
        aside = path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")
        if not aside.exists():
            try:
                os.replace(path, aside)
            except OSError as error:
                raise write_error(path, error) from error
            return aside
    raise UndertowError(f"{path} has been damaged a thousand times; remove its {path.stem}.damaged-* first")


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed writer left. Only for whoever holds the directory's lock."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def to_json(value: Any, *, indent: int | None = 2) -> str:
    r"""`value` as JSON that every reader accepts.

    Tuples become lists, paths and other keys strings, numpy and jax scalars numbers, arrays nested lists. JSON has no
    word for what is not finite, so these are written as the strings "nan", "inf" and "-inf", which `float` reads back.

    **Raises** `UndertowError` for anything else, naming where it stands.
    """
    return json.dumps(_plain(value, "value"), indent=indent, allow_nan=False)


def read_json(path: Path) -> Any:
    """What a JSON file holds; one-line errors for a missing, unreadable or damaged file."""
    return _read(path, json.loads, "JSON")


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds; errors as `read_json`."""
    return _read(path, tomllib.loads, "TOML")


def _read(path: Path, parse: Callable[[str], Any], kind: str) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UndertowError(f"{path} is missing") from None
    except OSError as error:
        raise read_error(path, error) from error
    except ValueError as error:  # not UTF-8, not of this kind, or a number too long to be read
        raise UndertowError(f"{path} is damaged: it is not valid {kind} ({error})") from error
    except RecursionError:
        raise UndertowError(f"{path} is damaged: its lists and tables stand too deep in each other") from None


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
