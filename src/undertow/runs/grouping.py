"""Which runs are the same but for their seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undertow._checks import require
from undertow.runs.fields import is_number, shorten, shown
from undertow.runs.listing import RunInfo, check_name


@dataclass(frozen=True, eq=False)
class RunGroup:
    """Runs that count as one setting.

    - `label`; `fields`: the parameters by which the groups are told apart.
    - `runs`; `tasks`: for every run the place of its configuration among those of the group that differ in more than the seed.
    - `mixed`: the fields, beside the seed, in which its runs differ.
    """

    label: str
    fields: Mapping[str, Any]
    runs: tuple[RunInfo, ...]
    tasks: tuple[int, ...]
    mixed: tuple[str, ...]

    @property
    def seeds(self) -> int:
        """How many different ones there are."""
        return len({(task, run.seed) for task, run in zip(self.tasks, self.runs, strict=True)})


def group_runs(runs: Sequence[RunInfo], by: Sequence[str] = ()) -> list[RunGroup]:
    """Runs by their configuration without the seed, and without what no result depends on (when checkpoints are written,
    how many are kept, whether figures are drawn).

    **Arguments:** `runs`; `by`: group by these fields alone, or by what else
    [`RunInfo.value`][undertow.runs.listing.RunInfo.value] knows.

    **Raises:** `UndertowError` for a field that no run has.
    """
    for name in by:
        check_name(runs, name)
    keyed: dict[str, list[RunInfo]] = {}
    fields: dict[str, dict[str, Any]] = {}
    for run in runs:
        own = {name: run.value(name) if run.has(name) else None for name in by} if by else _matters(run)
        key = _key(own)
        keyed.setdefault(key, []).append(run)
        fields[key] = own
    names = list(by) if by else _differing(list(fields.values()))
    short = shorten(names)
    ordered = sorted(keyed, key=lambda key: [_rank(fields[key].get(name)) for name in names])
    groups = []
    for key in ordered:
        own = {name: fields[key][name] for name in names if name in fields[key]}
        label = ", ".join(f"{short[name]}={shown(value)}" for name, value in own.items())
        groups.append(make_group(label or keyed[key][0].preset, keyed[key], own))
    return groups


def make_group(label: str, runs: Sequence[RunInfo], fields: Mapping[str, Any] | None = None) -> RunGroup:
    """Runs as one group, whatever they differ in."""
    require(len(runs) > 0, f"the group {label} has no runs")
    configs = [_matters(run) for run in runs]
    places: dict[str, int] = {}
    tasks = tuple(places.setdefault(_key(config), len(places)) for config in configs)
    return RunGroup(label, fields or {}, tuple(runs), tasks, tuple(_differing(configs)))


def _matters(run: RunInfo) -> dict[str, Any]:
    """The fields that a result depends on, but for the seed."""
    kept = {"seed", "evaluation.figures", "evaluation.keep"}
    return {
        name: value for name, value in run.config.items() if name not in kept and not name.startswith("checkpoint.")
    }


def _key(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, default=str)


def _differing(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names that are not in all of them, or not with one value."""
    names = dict.fromkeys(name for each in fields for name in each)
    return [name for name in names if any(name not in each or each[name] != fields[0].get(name) for each in fields)]


def _rank(value: Any) -> tuple[int, Any]:
    return (0, float(value)) if is_number(value) else (1, str(value))
