"""What a run ran on: versions, platform, devices, git state, command line; nothing that names its user."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp


def describe_machine() -> dict[str, Any]:
    """Versions, platform and devices, as they stand in `run.json`."""
    devices = jax.devices()
    affinity = getattr(os, "sched_getaffinity", None)
    names = ("undertow", "jax", "jaxlib", "numpy", "equinox", "optax")
    return {
        "versions": {"python": platform.python_version(), **{name: package_version(name) for name in names}},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": len(affinity(0)) if affinity else os.cpu_count(),
        "device": {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)},
        "float64": jnp.result_type(float) == jnp.float64,
    }


def info() -> dict[str, Any]:
    """Versions, platform and devices, and under `git` the commit of what is running; None where there is no repository."""
    return {**describe_machine(), "git": git_state()}


def package_version(package: str) -> str | None:
    """The installed version, None for a source tree that was never installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def without_home(command: Sequence[str] | None) -> list[str] | None:
    """The command line without what names its user: the program's folder, and the home directory as ~."""
    if command is None:
        return None
    home = os.path.expanduser("~").rstrip(os.sep)
    words = [str(word).replace(home, "~") if len(home) > 1 else str(word) for word in command]
    return [os.path.basename(words[0]), *words[1:]] if words else []


def git_state() -> dict[str, Any] | None:
    """Commit, and whether tracked files differ from it, in the package's repository or else the working directory's."""
    try:
        folders = {"package": Path(__file__).resolve().parent, "working directory": Path.cwd()}
    except OSError:  # the working directory was removed
        return None
    for of, folder in folders.items():
        # An environment may lie in a repository that knows nothing of this package.
        if of == "package" and _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
            continue
        commit = _git(folder, "rev-parse", "HEAD")
        if commit:
            changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
            return {"of": of, "commit": commit, "dirty": None if changes is None else bool(changes)}
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]  # reads only, also while another git works
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
