"""Configurations as plain values, to JSON and back, with checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from undertow._checks import UndertowError, lookup, require, shown
from undertow._fields import check_fields, read
from undertow._own import OwnName, digest, is_own, names_in, open_name, opened, with_digests
from undertow.config.base import Config
from undertow.config.control import CONTROL_CONFIGS, control_config
from undertow.config.scheme import SchemeConfig

C = TypeVar("C", bound=Config)

FAMILIES: dict[str, type[Config]] = {SchemeConfig.family: SchemeConfig, **CONTROL_CONFIGS}
"""The configuration class of every family, by the name that stands in `config.json`."""


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as nested dictionaries of plain values, with its family's name under `family`. Under `code` are the
    digests of the files behind names of one's own; it is not there where there are none."""
    recorded = {str(name): name.sha256 for name in _own_names(config) if name.sha256 is not None}
    return {
        "family": str(config.family),
        **_plain(dataclasses.asdict(config)),
        **({"code": recorded} if recorded else {}),
    }


def config_from_dict(values: Mapping[str, Any], copies: Path | None = None) -> Config:
    """The configuration that `config_to_dict` made `values` from. A field that is missing takes its default.

    Code from outside the package that it names is imported where [`allow_code`][undertow.allow_code] lets it be; where not,
    whatever is built of the configuration says so.

    **Arguments:** `values`; `copies`: a folder with copies of the files of such code, which stand in for what is not there.

    **Raises:** `UndertowError` for an unknown family, field or choice (with the nearest match), a wrong type, a number out of
    its range, or code that is not what was recorded.
    """
    rest = dict(values)
    recorded = rest.pop("code", {})
    require(isinstance(recorded, Mapping), f"code must be a table of digests, got {shown(recorded)}")
    family = str(rest.pop("family", SchemeConfig.family))
    kind: type[Config]
    if is_own(family):
        kind = control_config(open_name(OwnName(family, sha256=recorded.get(family)), copies))
    else:
        kind = lookup("family", family, FAMILIES)
    return opened(with_digests(read(kind, rest, ""), recorded), copies)


def own_files(config: Config) -> dict[str, str]:
    """The files behind the names of one's own in a configuration, each once: a name for a copy, and the text."""
    files: dict[str, str] = {}
    for name in _own_names(config):
        if name.text is not None and name.text not in files.values():
            files[name.file if name.file not in files else f"{digest(name.text)[:12]}_{name.file}"] = name.text
    return files


def _own_names(config: Config) -> list[OwnName]:
    names = [*([config.family] if is_own(config.family) else []), *names_in(config)]
    return [name if isinstance(name, OwnName) else OwnName(name) for name in names]


def validate_config(config: C) -> C:
    """The same configuration, if every field holds a value of its type, in its range and one of its choices, used or not. Names
    of one's own are opened where that is allowed.

    What comes back holds Python's own numbers, also where NumPy's were given. **Raises:** `UndertowError` naming the field,
    or saying what came instead of a configuration.
    """
    if not isinstance(config, Config):
        raise UndertowError(f"expected a configuration, such as preset('burgers').config, got {shown(config)}")
    return opened(check_fields(config))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path | OwnName) else value
