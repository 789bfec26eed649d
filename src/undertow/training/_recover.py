"""What a run directory says of itself, and how it is pieced together again where a file of it is damaged.

Every checkpoint carries the run's name and configuration under a checksum: together with the other files they decide whose
directory it is, and the newest one of that run what these should say.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from undertow._checks import UndertowError, require
from undertow.training._files import atomic_write_text, read_json, set_aside, to_json
from undertow.training._machine import describe_machine
from undertow.training.keeping import newest_metadata

FORMAT_VERSION = 2
_READ = (1, 2)  # 1: no names of runs, no digest, one last checkpoint; otherwise the same
_log = logging.getLogger(__name__)


def config_text(name: str | None, preset: str, config: Mapping[str, Any]) -> str:
    """The text of `config.json`. Its digest tells damage; `train --config` takes a file that was edited all the same."""
    return to_json({"id": name, "preset": preset, "digest": _digest(config), "config": config}) + "\n"


def require_run(path: Path) -> None:
    """Raise `UndertowError` unless `path` is a directory with a `config.json`."""
    require(path.exists(), f"there is no run directory {path}")
    require(path.is_dir(), f"{path} is a file, but a run directory was expected")
    require((path / "config.json").exists(), f"{path} is not a run directory: it has no config.json")


def read_config(path: Path) -> dict[str, Any]:
    """`config.json` of a run. Raises `UndertowError` if it is damaged."""
    file = path / "config.json"
    config = read_table(file)
    require(
        isinstance(config.get("config"), dict) and isinstance(config.get("preset"), str),
        f"{file} is damaged: expected a 'preset' and a 'config'",
    )
    require(
        config.get("digest") in (None, _digest(config["config"])),
        f"{file} is damaged: its digest does not fit its configuration; undertow resume {path} restores it from a "
        f"checkpoint, undertow train --config {file} takes it as it is",
    )
    return config


def read_info(path: Path) -> dict[str, Any]:
    """`run.json` of a run. Raises `UndertowError` if it is damaged or of a later format."""
    file = path / "run.json"
    info = read_table(file, "expected a 'status'")
    require("status" in info, f"{file} is damaged: expected a 'status'")
    require(
        info.get("format") in _READ,
        f"{path} has run format {info.get('format')!r}, this version reads {' and '.join(map(str, _READ))}; "
        f"it was written by undertow {info.get('versions', {}).get('undertow')}",
    )
    require(
        info["status"] in ("running", "finished", "interrupted", "failed"),
        f"{file} is damaged: {info['status']!r} is not a status",
    )
    return info


def read_table(file: Path, expected: str = "expected a table of values") -> dict[str, Any]:
    """A JSON file that holds a dictionary. Raises `UndertowError` for one that does not."""
    table = read_json(file)
    if not isinstance(table, dict):
        raise UndertowError(f"{file} is damaged: {expected}")
    return table


def mend(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`config.json` and `run.json`, restored where they are damaged, missing or of another run.

    **Raises** `UndertowError` if the configuration cannot be restored for want of a checkpoint, or is of a later format.
    """
    config, config_fault = _try(read_config, path)
    info, info_fault = _try(read_info, path)
    if info_fault is not None and "run format" in info_fault:
        raise UndertowError(info_fault)
    if config is not None and info is not None and config.get("id") == info.get("id"):
        return config, info
    checkpoints = [each for each in newest_metadata(path / "checkpoints") if "run" in each and "config" in each]
    names = [each["run"] for each in checkpoints] + [each.get("id") for each in (config, info) if each is not None]
    name = Counter(names).most_common(1)[0][0] if names else None  # a file or two may have been put there by mistake
    about = next((each for each in checkpoints if each["run"] == name), None)
    if config is None or config.get("id") != name:
        fault = config_fault or f"{path / 'config.json'} is of another run"
        if about is None:
            raise UndertowError(f"{fault}; there is no checkpoint to restore it from")
        _restore(path / "config.json", fault, config_text(name, about["preset"], about["config"]), "from a checkpoint")
        config = read_config(path)
    if info is None or info.get("id") != name:
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
        _restore(path / "run.json", fault, to_json(info) + "\n", "without its history")
    return config, info


def _try(read: Callable[[Path], dict[str, Any]], path: Path) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return read(path), None
    except UndertowError as error:
        return None, str(error)


def _restore(file: Path, fault: str, text: str, how: str) -> None:
    kept = f", and the damaged one kept as {set_aside(file).name}" if file.exists() else ""
    atomic_write_text(file, text)
    _log.warning("%s: it is restored %s%s", fault.split("; undertow resume")[0], how, kept)


def _digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(to_json(config, indent=None).encode()).hexdigest()
