"""What a run directory says of itself, and how it is pieced together again where a file of it is damaged.

Every checkpoint carries the run's name and configuration under a checksum: together with the other files they decide whose
directory it is, and the newest one of that run what these should say.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from undertow._checks import UndertowError, quoted, require
from undertow._io import atomic_write_text, set_aside, to_json
from undertow._reader import check_shape, read_error, read_json
from undertow.store.keeping import newest_metadata
from undertow.store.machine import describe_machine

FORMAT_VERSION = 2
_log = logging.getLogger(__name__)

_SESSION = {"?start": (str, None), "?update": (int, None)}
INFO = {
    "status": str,
    "?format": int,
    "id": str,
    "?preset": (str, None),
    "?reason": (str, None),
    "?start": (str, None),
    "?end": (str, None),
    "?seconds": (float, None),
    "?command": ([str], None),
    "?git": ({"?of": str, "?commit": str, "?dirty": (bool, None)}, None),
    "?versions": ({...: (str, None)}, None),
    "?platform": (str, None),
    "?cpu_count": (int, None),
    "?device": ({"?platform": str, "?kind": str, "?count": int}, None),
    "?float64": (bool, None),
    "?resumed": [_SESSION],
}
"""The shape of `run.json`."""
SUMMARY = {
    "?preset": (str, None),
    "?status": (str, None),
    "?reason": (str, None),
    "?updates": int,
    "?training_seconds": float,
    "?skipped_updates": int,
    "?parameters": int,
    "?best": ({"metric": str, "value": float, "update": int}, None),
    "?suite": (str, None),
    "?seeds": [int],
    "?lost": [bool],
    "?reached": {"metric": str, "values": [float], "median": float},
}
"""The shape of `summary.json`, but for what the judges add to it."""


def describe_config(name: str, preset: str, config: Mapping[str, Any], seeds: Sequence[int] = ()) -> dict[str, Any]:
    """What `config.json` holds. Its digest tells damage; `train --config` takes a file that was edited all the same."""
    several = {"seeds": list(seeds)} if seeds else {}
    return {"id": name, "preset": preset, "digest": _digest(config, **several), **several, "config": config}


def require_run(path: Path) -> None:
    """Raise `UndertowError` unless `path` is a directory with a `config.json`."""
    require_directory(path)
    require(os.path.lexists(path / "config.json"), f"{path} is not a run directory: it has no config.json")


def require_directory(path: Path) -> None:
    """Raise `UndertowError` unless `path` is a directory."""
    try:
        there, folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:  # not to be looked at; a name with a NUL in it
        raise read_error(path, error) from error
    require(there, f"there is no run directory {path}")
    require(folder, f"{path} is a file, but a run directory was expected")


def read_config(path: Path) -> dict[str, Any]:
    """`config.json` of a run. Raises `UndertowError` if it is damaged."""
    file = path / "config.json"
    config = read_json(file, {"preset": str, "id": str, "digest": str, "?seeds": [int], "config": dict})
    several = {"seeds": config["seeds"]} if "seeds" in config else {}
    require(
        config["digest"] == _digest(config["config"], **several),
        f"{file} is damaged: its digest does not fit its configuration; undertow resume {quoted(path)} restores it from a "
        f"checkpoint, undertow train --config {quoted(file)} takes it as it is",
    )
    return config


def read_info(path: Path) -> dict[str, Any]:
    """`run.json` of a run. Raises `UndertowError` if it is damaged or of a later format."""
    file = path / "run.json"
    info = read_json(file, {"status": str, "?format": object, "?versions": (None, {...: (str, None)})})
    written = (info.get("versions") or {}).get("undertow")
    require(
        info.get("format") == FORMAT_VERSION,
        f"{path} has run format {info.get('format')!r}, this version reads {FORMAT_VERSION}; "
        f"it was written by undertow {written}",
    )
    check_shape(info, INFO, file)
    require(
        info["status"] in ("running", "finished", "interrupted", "failed"),
        f"{file} is damaged: {info['status']!r} is not a status",
    )
    return info


def read_summary(path: Path) -> dict[str, Any]:
    """`summary.json` of a run. Raises `UndertowError` if it is damaged."""
    return read_json(path / "summary.json", SUMMARY)


def mend(path: Path) -> tuple[dict[str, Any], dict[str, Any], list[Callable[[], None]]]:
    """`config.json` and `run.json`, as they are to be restored where they are damaged, missing or of another run; and what
    restores them, in this order. Nothing is changed before that.

    **Raises** `UndertowError` if the configuration cannot be restored for want of a checkpoint, or is of a later format.
    """
    config, config_fault = _try(read_config, path)
    info, info_fault = _try(read_info, path)
    if info_fault is not None and "run format" in info_fault:
        raise UndertowError(info_fault)
    if config is not None and info is not None and config["id"] == info["id"]:
        return config, info, []
    repairs: list[Callable[[], None]] = []
    checkpoints = [each for each in newest_metadata(path / "checkpoints") if each.keys() >= {"run", "preset", "config"}]
    names = [each["run"] for each in checkpoints] + [each["id"] for each in (config, info) if each is not None]
    name = Counter(names).most_common(1)[0][0] if names else None  # a file or two may have been put there by mistake
    about = next((each for each in checkpoints if each["run"] == name), None)
    if config is None or config["id"] != name:
        fault = config_fault or f"{path / 'config.json'} is of another run"
        if about is None:
            raise UndertowError(f"{fault}; there is no checkpoint to restore it from")
        config = describe_config(about["run"], about["preset"], about["config"], about.get("seeds", ()))
        repairs.append(partial(_restore, path / "config.json", fault, to_json(config) + "\n", "from a checkpoint"))
    if info is None or info["id"] != name:
        fault = info_fault or f"{path / 'run.json'} is of another run"
        info = {
            "format": FORMAT_VERSION,
            "id": name,
            "preset": config["preset"],
            "status": "interrupted",
            "reason": "run.json was damaged",
            **dict.fromkeys(("start", "end", "seconds", "command", "git")),
            **describe_machine(),
            "resumed": [],
        }
        repairs.append(partial(_restore, path / "run.json", fault, to_json(info) + "\n", "without its history"))
    return config, info, repairs


def _try(read: Callable[[Path], dict[str, Any]], path: Path) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return read(path), None
    except UndertowError as error:
        return None, str(error)


def _restore(file: Path, fault: str, text: str, how: str) -> None:
    kept = f", and the damaged one kept as {set_aside(file).name}" if os.path.lexists(file) else ""
    atomic_write_text(file, text)
    _log.warning("%s: it is restored %s%s", fault.split("; undertow resume")[0], how, kept)


def _digest(config: Mapping[str, Any], **several: Sequence[int]) -> str:
    return hashlib.sha256(to_json({**config, **several}, indent=None).encode()).hexdigest()
