"""What a sweep is: everything that has to be the same for it to be gone on with."""

from __future__ import annotations

import hashlib
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from undertow._checks import UndertowError, lookup, require, require_positive
from undertow.build import build
from undertow.config import Config, config_from_dict, config_to_dict
from undertow.config.fields import with_fields
from undertow.evaluation.statistics import mean, quartiles
from undertow.studies.space import Choices, Space, combinations, space_from_plain, to_word
from undertow.training._files import atomic_write_text, read_json, to_json, write_error

Statistic = Literal["median", "mean", "worst"]
STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "median": lambda values: float(quartiles(values).mean),
    "mean": lambda values: float(mean(values)),
    "worst": lambda values: float(np.max(values)),
}
"""From the seeds' values, infinity for one that was lost, to the number that trainings are compared by."""

SAMPLERS = {
    "grid": "every combination of the values, once",
    "random": "drawn at random",
    "tpe": "a model of what was good so far (tree-structured Parzen estimator)",
}
"""How combinations are chosen, by name."""

SEARCH_TRIALS = 20
"""Trials of a search that does not say how many."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep trains, and what it compares by.

    - `config`, with values out of `space` in some of its fields; `preset`: a name for it.
    - `seeds` trainings of every combination, of seeds `config.seed`, `config.seed + 1`, ...
    - `sampler` out of `SAMPLERS`; `trials`: combinations in all.
    - `metric`, less is better, at the end of the training; `statistic` of the seeds out of `STATISTICS`.
    """

    config: Config
    preset: str
    space: Space
    seeds: int
    sampler: str
    trials: int
    metric: str
    statistic: str

    def settings(self) -> dict[str, Any]:
        """As plain values, for `sweep.json`."""
        return {
            "preset": self.preset,
            "over": {name: values.plain() for name, values in self.space.items()},
            "seeds": self.seeds,
            "sampler": self.sampler,
            "trials": self.trials,
            "metric": self.metric,
            "statistic": self.statistic,
            "config": config_to_dict(self.config),
        }

    @property
    def name(self) -> str:
        """A word that no other sweep has, for the study in a database; another number of trials keeps it."""
        settings = {key: value for key, value in self.settings().items() if key != "trials"}
        return f"undertow-{self.preset}-{hashlib.sha256(to_json(settings).encode()).hexdigest()[:12]}"

    @property
    def grid(self) -> list[dict[str, Any]] | None:
        """Every combination in its order; None for a search, which does not know them beforehand."""
        return list(combinations(self.space)) if self.sampler == "grid" else None

    def config_of(self, values: Mapping[str, Any]) -> Config:
        """The configuration of one combination."""
        return with_fields(self.config, values)

    @property
    def seed_numbers(self) -> range:
        """The seeds of every combination."""
        return range(self.config.seed, self.config.seed + self.seeds)


def define(
    config: Config,
    space: Space,
    *,
    preset: str,
    seeds: int,
    sampler: str | None,
    trials: int | None,
    metric: str | None,
    statistic: str,
) -> Sweep:
    """A sweep, if it can work: names that are there, and for a grid every combination built once.

    **Raises:** `UndertowError`.
    """
    require_positive("seeds", seeds)
    lookup("statistic", statistic, STATISTICS)
    ranges = [name for name, values in space.items() if not isinstance(values, Choices)]
    sampler = ("tpe" if ranges else "grid") if sampler is None else sampler
    lookup("sampler", sampler, SAMPLERS)
    known = typing.get_args(typing.get_type_hints(type(config.evaluation))["keep_by"])
    if metric is None:
        require("evaluation.keep_by" not in space, "a sweep over evaluation.keep_by needs one --metric to compare by")
        metric = config.evaluation.keep_by
    if known:
        lookup("metric", metric, dict.fromkeys(known))
    if sampler == "grid":
        require(not ranges, f"a grid has no end over the range of {', '.join(ranges)}; list values, or take a sampler")
        count = math.prod(len(values.values) for values in space.values() if isinstance(values, Choices))
        require(trials in (None, count), f"this grid has {count} combinations, and --trials is for searches")
        sweep = Sweep(config, preset, space, seeds, sampler, count, metric, statistic)
        for values in combinations(space):
            _check(sweep.config_of(values), values)
        return sweep
    trials = SEARCH_TRIALS if trials is None else trials
    require_positive("trials", trials)
    return Sweep(config, preset, space, seeds, sampler, trials, metric, statistic)


def _check(config: Config, values: Mapping[str, Any]) -> None:
    try:
        build(config)
    except UndertowError as error:
        said = " ".join(f"{name}={to_word(value)}" for name, value in values.items())
        raise UndertowError(f"{said} cannot work: {error}") from error


# --- its directory ----------------------------------------------------------------------------------------------------

FILE = "sweep.json"


def enter(sweep: Sweep, folder: Path, storage: str | None) -> None:
    """Make the directory, or check that it holds this very sweep. A search may be given more trials than before.

    **Raises:** `UndertowError` saying what differs, or for a directory of something else.
    """
    file = folder / FILE
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    if FILE in names:
        before, kept = read(folder)
        given, had = sweep.settings(), before.settings()
        if sweep.sampler != "grid" and sweep.trials > before.trials:
            had["trials"] = sweep.trials
        different = differences(had, given)
        require(
            not different,
            f"{folder} holds another sweep, which is left as it is; choose another --out. Different: {'; '.join(different)}",
        )
        same = (None if storage is None else without_password(storage)) == kept
        require(same, f"{folder} keeps its study in {kept or 'its own journal'}; give the same --storage again")
        if before == sweep:
            return
    else:
        foreign = [name for name in names if not name.startswith(f".{FILE}.")]
        require(not foreign and not folder.is_file(), f"{folder} exists already and is no sweep; choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    kept = None if storage is None else without_password(storage)
    atomic_write_text(file, to_json({**sweep.settings(), "storage": kept}) + "\n")


def read(folder: Path) -> tuple[Sweep, str | None]:
    """The sweep of a directory, and where its study is (None: in the directory's journal). Raises `UndertowError`."""
    require((folder / FILE).is_file(), f"{folder} is no sweep: it has no {FILE}")
    given = read_json(folder / FILE)
    try:
        config = config_from_dict(given["config"])
        space = space_from_plain(config, given["over"])
        rest = {key: given[key] for key in ("preset", "seeds", "sampler", "trials", "metric", "statistic")}
        return Sweep(config, space=space, **rest), given["storage"]
    except (KeyError, TypeError) as error:
        raise UndertowError(f"{folder / FILE} is damaged: {error}") from error


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Where two nested dictionaries differ, as `field (this, now that)`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys: Sequence[str] = list(dict.fromkeys([*before, *now]))
        found = [differences(before.get(key), now.get(key), f"{where}.{key}" if where else key) for key in keys]
        return [each for part in found for each in part]
    return [] if before == now else [f"{where} ({to_json(before, indent=None)}, now {to_json(now, indent=None)})"]


def without_password(url: str) -> str:
    """A database's address as it may stand in a file."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, login = head.partition("://")
    return f"{scheme}{slashes}{login.partition(':')[0]}@{tail}" if at and slashes else url
