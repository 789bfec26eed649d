"""Trials of sweeps among the runs: they have a configuration and a result, and are no runs that could be gone on with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from undertow._reader import read_json
from undertow.config.fields import flatten
from undertow.runs.fields import config_fields
from undertow.store._lock import is_locked

_SUMMARY = {
    "trial": int,
    "preset": str,
    "metric": str,
    "value": float,
    "lost": int,
    "seeds": [float],
    "training_seconds": float,
}
_HISTORY = {"?updates": [int], "?failed": str}
_SWEEP = {"preset": str}


def trial_values(path: Path, sweep: Path) -> dict[str, Any]:
    """What is known of a trial, by the names of `RunInfo`; its value is that of all its seeds together.

    **Raises:** `UndertowError` for a damaged file.
    """
    config = read_json(path / "config.json", dict)
    summary = _read(path / "summary.json", _SUMMARY)
    history = _read(path / "history.json", _HISTORY)
    fields = config_fields(config)
    updates = (history.get("updates") or [None])[-1]
    if summary:
        status = "failed" if summary["lost"] == len(summary["seeds"]) else "finished"
    elif updates is not None and updates == fields.get("training.updates"):  # of an earlier version
        status = "finished"
    else:
        status = "running" if is_locked(sweep / "locks" / path.resolve().name) else "interrupted"
    value = None if not summary else float(summary["value"])
    return {
        "path": path,
        "preset": summary.get("preset") or _read(sweep / "sweep.json", _SWEEP).get("preset", "custom"),
        "status": status,
        "reason": summary.get("error") or history.get("failed"),
        "start": datetime.fromtimestamp((path / "config.json").stat().st_mtime, UTC),
        "seconds": None if not summary else float(summary["training_seconds"]),
        "updates": updates,
        "total": fields.get("training.updates"),
        "seed": fields.get("seed"),
        "best_metric": summary.get("metric"),
        "best": value,
        "best_update": updates if summary else None,
        "suite": f"trial of {sweep}",
        "result": value,
        "config": fields,
        "summary": flatten(summary),
        "about": {"sweep": str(sweep), "trial": path.resolve().name},
        "metrics": {},
    }


def _read(file: Path, shape: Any) -> dict[str, Any]:
    return read_json(file, shape) if file.exists() else {}
