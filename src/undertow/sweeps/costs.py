"""Whether this machine can bear a sweep, before anything of it is written."""

from __future__ import annotations

from pathlib import Path

from undertow._checks import UndertowError
from undertow._limits import cores
from undertow.assembly import require_several, training_needs
from undertow.config import Config
from undertow.config.fields import with_fields
from undertow.experiment.seeds import is_over
from undertow.store.rundir import RunDirectory
from undertow.sweeps.definition import Sweep, trial_folder
from undertow.sweeps.space import Choices


def require_sweep(made: Sweep, folder: Path, *, workers: int, long: bool) -> None:
    """Raise `UndertowError` for what is left of a sweep, if a trial cannot fit, or all of them take hours and `long` does not
    say that this is meant.

    What a search will draw is not known: each of its trials counts as the cheapest one.
    """
    left = [job for job in range(made.trials) if not _is_over(trial_folder(folder, job))]
    grid = made.grid
    if grid is not None:
        several = [training_needs(made.config_of(grid[job])) for job in left]
    else:
        try:
            several = [training_needs(_cheapest(made))] * len(left)
        except UndertowError:  # two values that do not go together: of each trial it is told by itself
            return
    require_several(
        [(needs, 0) for needs in several],
        seeds=made.seeds,
        workers=max(1, min(workers, cores())),
        folder=folder,
        long=long,
    )


def least_memory(made: Sweep) -> float:
    """Bytes that a trial of a sweep takes at least, all its seeds together: of a grid the first one, of a search the cheapest;
    0 where that cannot be said."""
    try:
        needs = training_needs(_cheapest(made) if made.grid is None else made.config_of(made.grid[0]))
    except UndertowError:
        return 0.0
    return sum(need.amount for need in needs.memory(made.seeds))


def _cheapest(made: Sweep) -> Config:
    """The configuration with the value of every field that makes its training shortest, one field after the other."""
    config = made.config
    for name, values in made.space.items():
        options = values.values if isinstance(values, Choices) else (values.low, values.high)
        config = min((with_fields(config, {name: value}) for value in options), key=_amounts)
    return config


def _amounts(config: Config) -> tuple[float, float]:
    """Seconds and bytes; infinity for what cannot work."""
    try:
        needs = training_needs(config)
    except UndertowError:
        return float("inf"), float("inf")
    return sum(need.amount for need in needs.seconds()), sum(need.amount for need in needs.memory())


def _is_over(run: Path) -> bool:
    try:
        return is_over(RunDirectory.open(run))
    except UndertowError:
        return False
