"""What a sweep is: everything that has to be the same for it to be gone on with."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from undertow._checks import LARGEST_SEED, UndertowError, Within, choice, lookup, require, whole_number
from undertow._io import atomic_write_text, make_folder, remove_drafts, set_aside, to_json
from undertow._reader import check_shape, read_json
from undertow.assembly import build
from undertow.config import Config, config_from_dict, config_to_dict
from undertow.config.fields import to_word, with_fields
from undertow.evaluation.statistics import mean, quartiles
from undertow.experiment.seeds import SEEDS
from undertow.store.recover import read_config
from undertow.sweeps.space import Choices, Space, combinations, space_from_plain
from undertow.sweeps.storage import without_password

_logger = logging.getLogger(__name__)

Statistic = Literal["median", "mean", "worst"]
STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "median": lambda values: float(quartiles(values).mean),
    "mean": lambda values: float(mean(values)),
    "worst": lambda values: float(np.max(values)),
}
"""From the seeds' values, infinity for one that was lost, to the number that trainings are compared by."""

Sampler = Literal["grid", "random", "tpe"]
SAMPLERS = {
    "grid": "every combination of the values, once",
    "random": "drawn at random",
    "tpe": "a model of what was good so far (tree-structured Parzen estimator)",
}
"""How combinations are chosen, by name."""

SEARCH_TRIALS = 20
"""Trials of a search that does not say how many."""

MAX_GRID = 2_000
"""Combinations of a grid: each is built at the door."""
TRIALS = Within(at_least=1, at_most=10_000)
"""Of a search: every trial is a training of minutes."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep trains, and what it compares by.

    - `config`, with values out of `space` in some of its fields; `preset`: a name for it.
    - `seeds` trainings of every combination, of its seed and those after it.
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

    def seeds_of(self, config: Config) -> range:
        """The seeds of a combination."""
        return range(config.seed, config.seed + self.seeds)


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
    seeds = whole_number("seeds", seeds, SEEDS, "give other --seed in further sweeps for more")
    _check_seeds(config, space, seeds)
    lookup("statistic", statistic, STATISTICS)
    ranges = [name for name, values in space.items() if not isinstance(values, Choices)]
    sampler = ("tpe" if ranges else "grid") if sampler is None else sampler
    lookup("sampler", sampler, SAMPLERS)
    known = typing.get_args(typing.get_type_hints(type(config.evaluation))["keep_by"])
    if metric is None:
        require("evaluation.keep_by" not in space, "a sweep over evaluation.keep_by needs one --metric to compare by")
        metric = config.evaluation.keep_by
    if known:
        choice("metric", metric, known)
    if sampler == "grid":
        require(not ranges, f"a grid has no end over the range of {', '.join(ranges)}; list values, or take a sampler")
        size = grid_size(space)
        assert size is not None  # no ranges
        require(
            size <= MAX_GRID,
            f"this grid has {size} combinations, and at most {MAX_GRID} are taken; list fewer values, "
            "or draw some of them: --sampler random --trials 100",
        )
        require(trials in (None, size), f"this grid has {size} combinations, and --trials is for searches")
        sweep = Sweep(config, preset, space, seeds, sampler, size, metric, statistic)
        for values in combinations(space):
            _check(sweep.config_of(values), values)
        return sweep
    trials = SEARCH_TRIALS if trials is None else whole_number("trials", trials, TRIALS)
    return Sweep(config, preset, space, seeds, sampler, trials, metric, statistic)


def grid_size(space: Space) -> int | None:
    """How many combinations there are; None if there is no end to them."""
    sizes = [len(values.values) if isinstance(values, Choices) else None for values in space.values()]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _check_seeds(config: Config, space: Space, seeds: int) -> None:
    """That every seed is one, and no combination trains one of another's."""
    over = space.get("seed", Choices((config.seed,)))
    require(
        isinstance(over, Choices),
        "seed: a range would draw the same seeds again and again; --seeds says how many there are",
    )
    assert isinstance(over, Choices)
    firsts = sorted(over.values)
    require(
        firsts[-1] <= LARGEST_SEED - seeds + 1,
        f"seeds are whole numbers from 0 to {LARGEST_SEED}, and {seeds} of them begin at {firsts[-1]}",
    )
    near = next((pair for pair in itertools.pairwise(firsts) if pair[1] - pair[0] < seeds), None)
    require(
        near is None,
        f"seed={','.join(over.names)} with {seeds} seeds each trains some of them twice; leave seed out and give --seed "
        f"{firsts[0]} --seeds {firsts[-1] - firsts[0] + seeds}, or --seeds 1",
    )


def _check(config: Config, values: Mapping[str, Any]) -> None:
    try:
        build(config)
    except UndertowError as error:
        said = " ".join(f"{name}={to_word(value)}" for name, value in values.items())
        raise UndertowError(f"{said} cannot work: {error}") from error


# --- its directory ----------------------------------------------------------------------------------------------------

FILE = "sweep.json"
_OWN = {"journal.log", "locks", "trials", "figures", "summary.json", "summary.csv"}


def enter(sweep: Sweep, folder: Path, storage: str | None) -> None:
    """Make the directory, or check that it holds this very sweep: `examine`, then `settle`."""
    if examine(sweep, folder, storage):
        settle(sweep, folder, storage)


def examine(sweep: Sweep, folder: Path, storage: str | None) -> bool:
    """Whether the directory, which is new or of this very sweep, has to be told what it is. Nothing is written.

    A search may be given more trials than before. A `sweep.json` that is damaged or lost is written again, if the trials in
    the directory are of this sweep.

    **Raises:** `UndertowError` saying what differs, or for a directory of something else.
    """
    require(not folder.exists() or folder.is_dir(), f"{folder} is a file, and no directory; choose another --out")
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if FILE not in names:
        left = {name for name in names if not name.startswith(f".{FILE}.")}
        own = all(name in _OWN or name.startswith(("sweep.damaged-", "journal")) or _is_draft(name) for name in left)
        require(
            not left or (own and bool(left & {"journal.log", "locks"}) and not _strangers(sweep, folder)),
            f"{folder} exists already and is no sweep, or not this one; choose another --out",
        )
        return True
    try:
        before, kept = read(folder)
    except UndertowError as error:
        strangers = _strangers(sweep, folder)
        require(not strangers, f"{error}; and its trials are not of this sweep, so choose another --out")
        _logger.warning("%s is damaged; it is put aside and written again", folder / FILE)
        return True
    given, had = sweep.settings(), before.settings()
    if sweep.sampler != "grid" and sweep.trials > before.trials:
        had["trials"] = sweep.trials
    different = differences(had, given)
    require(
        not different,
        f"{folder} holds another sweep, which is left as it is; choose another --out. Different: {'; '.join(different)}",
    )
    plain, there = (None if each is None else without_password(each) for each in (storage, kept))
    require(plain == there, f"{folder} keeps its study in {there or 'its own journal'}; give the same --storage again")
    return before != sweep or plain != kept


def settle(sweep: Sweep, folder: Path, storage: str | None) -> None:
    """Make the directory and say in it what it is. Raises `UndertowError`."""
    file = folder / FILE
    kept = None if storage is None else without_password(storage)
    make_folder(folder)
    remove_drafts(folder)
    if file.exists():
        try:
            read(folder)
        except UndertowError:
            set_aside(file)
    atomic_write_text(file, to_json({**sweep.settings(), "storage": kept}) + "\n")


def _is_draft(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _strangers(sweep: Sweep, folder: Path) -> bool:
    """Whether a trial in the directory is one of another sweep."""
    for trial in sorted(folder.glob("trials/*")):
        with contextlib.suppress(UndertowError):
            if trial.name.isdecimal() and values_of(sweep, read_config(trial)) is None:
                return True
    return False


def trial_folder(folder: Path, job: int) -> Path:
    """Where a sweep's trial is."""
    return folder / "trials" / f"{job:04d}"


def values_of(sweep: Sweep, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values of a trial whose `config.json` holds this; None if it is of another sweep."""
    try:
        config = config_from_dict(about["config"])
        values: dict[str, Any] = {name: functools.reduce(getattr, name.split("."), config) for name in sweep.space}
        seeds = list(sweep.seeds_of(config)) if sweep.seeds > 1 else []
        same = with_fields(sweep.config, values) == config and about.get("seeds", []) == seeds
        inside = (
            value in given.values if isinstance(given, Choices) else given.low <= value <= given.high
            for value, given in zip(values.values(), sweep.space.values(), strict=True)
        )
        return values if same and all(inside) else None
    except (UndertowError, AttributeError, TypeError):
        return None


def read(folder: Path) -> tuple[Sweep, str | None]:
    """The sweep of a directory, and where its study is (None: in the directory's journal). Raises `UndertowError`."""
    file = folder / FILE
    require(file.is_file(), f"{folder} is no sweep: it has no {FILE}")
    try:
        return _from_plain(read_json(file), file)
    except (UndertowError, TypeError) as error:
        if isinstance(error.__cause__, OSError):
            raise
        said = str(error) if str(file) in str(error) else f"{file} is damaged: {error}"
        raise UndertowError(f"{said}; give the sweep's own command again, which writes it anew") from error


_SHAPE = {
    **dict.fromkeys(("preset", "sampler", "metric", "statistic"), str),
    **dict.fromkeys(("seeds", "trials"), int),
    "over": {...: ({"choices": [object]}, {"low": float, "high": float, "log": bool})},
    "config": dict,
    "storage": (str, None),
}


def _from_plain(given: Any, file: Path) -> tuple[Sweep, str | None]:
    check_shape(given, _SHAPE, file)
    config = config_from_dict(given["config"])
    space = space_from_plain(config, given["over"])
    lookup("sampler", given["sampler"], SAMPLERS)
    lookup("statistic", given["statistic"], STATISTICS)
    seeds, trials = whole_number("seeds", given["seeds"], SEEDS), whole_number("trials", given["trials"], TRIALS)
    _check_seeds(config, space, seeds)
    made = Sweep(config, given["preset"], space, seeds, given["sampler"], trials, given["metric"], given["statistic"])
    good = len(space) > 0 and (made.sampler != "grid" or grid_size(space) == trials)
    require(good, "its number of trials is not that of its grid")
    return made, given["storage"]


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Where two nested dictionaries differ, as `field (this, now that)`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys: Sequence[str] = list(dict.fromkeys([*before, *now]))
        found = [differences(before.get(key), now.get(key), f"{where}.{key}" if where else key) for key in keys]
        return [each for part in found for each in part]
    return [] if before == now else [f"{where} ({to_json(before, indent=None)}, now {to_json(now, indent=None)})"]
