"""Configurations in files: those of runs, and those that people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from undertow._checks import UndertowError, at_home, require
from undertow._reader import read_json, read_toml
from undertow.config.base import Config
from undertow.config.plain import config_from_dict
from undertow.store.rundir import RunDirectory


class NamedConfig(NamedTuple):
    """A configuration, and the preset's name that its runs go by."""

    preset: str
    config: Config


def load_config(path: Path | str) -> NamedConfig:
    """The configuration in a file, or of a run.

    **Arguments:** `path`: a run directory; its `config.json`, also edited; or a file of your own, JSON or TOML (by its
    ending), with the fields of a configuration: `{"family": "scheme", "seed": 1, "grid": {"num_cells": 64}}`. Fields that are
    missing take their defaults, `family` the one of learned schemes.

    **Returns:** the configuration and the preset's name, `custom` where the file names none.

    **Raises:** `UndertowError` for a file that cannot be read, or holds an unknown field (with the nearest match), a wrong
    type or an unknown choice.
    """
    path = at_home(path)
    if path.is_dir():
        run = RunDirectory.open(path)
        return NamedConfig(run.preset, run_config(run))
    values: Any = read_toml(path) if path.suffix == ".toml" else read_json(path)
    if not isinstance(values, dict):
        raise UndertowError(f"{path} must hold a table of configuration fields, got a {type(values).__name__}")
    preset = values.get("preset", "custom")
    inner = values.get("config", values)
    require(isinstance(preset, str) and isinstance(inner, dict), f"{path}: expected a 'preset' and a 'config'")
    fields = {name: value for name, value in inner.items() if name != "preset"}
    try:
        return NamedConfig(preset, config_from_dict(fields))
    except UndertowError as error:
        raise UndertowError(f"{path}: {error}") from None


def run_config(run: RunDirectory) -> Config:
    """The configuration of a run, with the copies it has of the code that it names."""
    return config_from_dict(run.config, run.code)
