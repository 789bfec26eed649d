"""Configurations as plain values, to JSON and back, with checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from undertow._checks import UndertowError, lookup, shown
from undertow._fields import check_fields, read
from undertow.config.base import Config
from undertow.config.control import CONTROL_CONFIGS
from undertow.config.scheme import SchemeConfig

C = TypeVar("C", bound=Config)

FAMILIES: dict[str, type[Config]] = {SchemeConfig.family: SchemeConfig, **CONTROL_CONFIGS}
"""The configuration class of every family, by the name that stands in `config.json`."""


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as nested dictionaries of plain values, with its family's name under `family`."""
    return {"family": config.family, **_plain(dataclasses.asdict(config))}


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """The configuration that `config_to_dict` made `values` from. A field that is missing takes its default.

    **Raises:** `UndertowError` for an unknown family, field or choice (with the nearest match), a wrong type, or a number out of
    its range.
    """
    rest = dict(values)
    family = str(rest.pop("family", SchemeConfig.family))
    return read(lookup("family", family, FAMILIES), rest, "")


def validate_config(config: C) -> C:
    """The same configuration, if every field holds a value of its type, in its range and one of its choices, used or not.

    What comes back holds Python's own numbers, also where NumPy's were given. **Raises:** `UndertowError` naming the field,
    or saying what came instead of a configuration.
    """
    if not isinstance(config, Config):
        raise UndertowError(f"expected a configuration, such as preset('burgers').config, got {shown(config)}")
    return check_fields(config)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
