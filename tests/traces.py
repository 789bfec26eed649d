"""What a run leaves on the disk, to be compared with what another one leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from undertow.store import _safetensors
from undertow.store.checkpoint import read_metadata
from undertow.store.rundir import RunDirectory

_OF_ONE_RUN = ("id", "start", "end", "seconds", "command", "git", "resumed")
"""What `run.json` says of this run alone, and when and how often it was at work."""


def check_whole(path: Path) -> None:
    """Raise if a file of a run directory is half there."""
    for file in path.rglob("*"):
        if file.name.startswith(".") or file.is_dir():
            continue
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".safetensors":
            read_metadata(file)
        elif file.suffix == ".csv":
            RunDirectory.open(path).read_metrics()


def essence(path: Path) -> dict[str, Any]:
    """Everything a run leaves, but for clocks, its name, and where and how often it was at work."""
    run = RunDirectory.open(path)
    found: dict[str, Any] = {"status": run.status, "config": run.config, "summary": run.read_summary()}
    found["summary"].pop("training_seconds")
    found["info"] = {name: value for name, value in run.info.items() if name not in _OF_ONE_RUN}
    found["metrics"] = table_essence(path / "metrics.csv")
    for file in sorted(run.checkpoints.iterdir()):
        found[f"checkpoints/{file.name}"] = checkpoint_essence(file)
    for file in sorted(run.figures.iterdir()):
        found[f"figures/{file.name}"] = file.read_bytes()
    names = [file.relative_to(path) for file in path.rglob("*")]
    found["files"] = sorted(str(name) for name in names if name.parts[0] != "tensorboard")
    return found


def table_essence(file: Path) -> list[list[str]]:
    """The cells of a table as they are written, but for the column of seconds."""
    with open(file, newline="") as text:
        header, *rows = csv.reader(text)
    keep = [place for place, name in enumerate(header) if name != "seconds"]
    return [[row[place] for place in keep] for row in (header, *rows)]


def checkpoint_essence(file: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A checkpoint's metadata, but for clocks and the run's name, and the bytes of its tensors."""
    metadata = read_metadata(file)
    metadata.pop("run")
    metadata["recorder"].pop("seconds")
    metadata["recorder"].pop("metrics_csv")  # which has clocks in it
    if metadata["recorder"]["begun"]:
        metadata["recorder"]["begun"].pop("seconds")
    tensors, _ = _safetensors.decode(file.read_bytes())
    return metadata, {name: array.tobytes() for name, array in tensors.items()}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what differs."""
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
