"""In what runs, configuration files and presets differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undertow._checks import UndertowError, at_home, nearest, require
from undertow.config import config_to_dict, load_config
from undertow.config.fields import flatten
from undertow.presets import PRESETS
from undertow.runs.fields import shown
from undertow.store.rundir import RunDirectory

if TYPE_CHECKING:
    from rich.table import Table

Fields = Mapping[str, Mapping[str, Any]]

_ORIGIN = ("preset", "versions", "git")
_MACHINE = ("platform", "cpu_count", "device", "float64", "command", "status", "reason", "start", "end", "seconds")


@dataclass(frozen=True)
class Difference:
    """What differs between several configurations.

    - `sources`: what was compared, as it was given.
    - `parameters`: by dotted field of the configuration, by source, its value; a source that has no such field is missing.
    - `about`: the same for preset, versions and commit, and for whatever else was asked for, among the runs that say it.
    """

    sources: tuple[str, ...]
    parameters: Fields
    about: Fields

    def table(self) -> Table:
        """A row per field that differs, a column per source."""
        from rich.table import Table  # not at the top: `import undertow` need not draw

        table = Table()
        table.add_column("field", no_wrap=True)
        for source in self.sources:
            table.add_column(source, overflow="fold")
        for fields in (self.parameters, self.about):
            for name, values in fields.items():
                table.add_row(name, *(shown(values[each]) if each in values else "-" for each in self.sources))
            table.add_section()
        return table

    def describe(self) -> str:
        """One line: how many parameters differ."""
        count = len(self.parameters)
        if not count and not self.about:
            return "no difference"
        return "no parameter differs" if not count else f"{count} parameter{'s differ' if count > 1 else ' differs'}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON. A source without the field is not among its values."""
        return {"sources": self.sources, "parameters": self.parameters, "about": self.about}


def diff_runs(sources: Sequence[Path | str], *, everything: bool = False) -> Difference:
    """In what configurations differ.

    **Arguments:** `sources`: two or more of: a run directory, a configuration file (JSON or TOML), a preset's name; fields
    that are missing have their defaults. `everything`: compare machine, command, status and times of runs, too.

    **Raises:** `UndertowError` for fewer than two, or one that is none of these.
    """
    names = tuple(dict.fromkeys(map(str, sources)))
    require(
        len(names) >= 2, f"a difference needs at least two runs, files or presets, got {' and '.join(names) or 'none'}"
    )
    read = {name: _read(name) for name in names}
    parameters = {name: config for name, (config, _) in read.items()}
    kinds = _ORIGIN + _MACHINE if everything else _ORIGIN
    about = {
        name: {field: value for field, value in told.items() if field.split(".")[0] in kinds}
        for name, (_, told) in read.items()
    }
    return Difference(names, _differing(parameters), _differing(about, absent_differs=False))


def _read(source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the configuration, and what else is told."""
    path = at_home(source)
    if source in PRESETS and not (path / "config.json").exists():
        return flatten(config_to_dict(PRESETS[source].config)), {"preset": source}
    if not path.exists():
        raise UndertowError(f"{source!r} is neither a run directory nor a file nor a preset{nearest(source, PRESETS)}")
    named = load_config(path)
    told = flatten(RunDirectory.open(path).info) if path.is_dir() else {}
    return flatten(config_to_dict(named.config)), {**told, "preset": named.preset}


def _differing(fields: Mapping[str, Mapping[str, Any]], absent_differs: bool = True) -> dict[str, dict[str, Any]]:
    found = {}
    for name in dict.fromkeys(name for each in fields.values() for name in each):
        values = {source: each[name] for source, each in fields.items() if name in each}
        first = next(iter(values.values()))
        if any(value != first for value in values.values()) or (absent_differs and len(values) < len(fields)):
            found[name] = values
    return found
