"""Several seeds of one configuration, trained as one program in a run directory: what sweeps and reproductions consist of."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from undertow._checks import UndertowError, Within
from undertow._io import set_aside, to_json
from undertow.assembly import build
from undertow.config import Config, config_to_dict, own_files
from undertow.experiment.loop import prepare
from undertow.experiment.recorder import Due
from undertow.experiment.run import is_whole, train_in, updates_done
from undertow.progress import Display, StopRequest
from undertow.store._lock import AtWorkError
from undertow.store.rundir import RunDirectory
from undertow.training.fit import Callback

SEEDS = Within(at_least=1, at_most=1_000)
"""How many are trained side by side."""
_log = logging.getLogger(__name__)


def train_seeds(
    config: Config,
    seeds: Sequence[int],
    path: Path,
    *,
    preset: str,
    stop: StopRequest,
    display: Display,
    callbacks: Sequence[Callback] = (),
    due: Due | None = None,
) -> RunDirectory:
    """Train seeds in a run directory, from its last checkpoint or from the start, to the end or to a wish to stop.

    Nothing is evaluated on suites or drawn, and what is over already is left as it is. What is in the place of the directory and
    is not this training, or damaged beyond repair, gets another name, with a warning in the log.

    **Arguments:** `config`: with the first of the `seeds`, whose training problems all of them have; `path`: the directory;
    `preset`: a name for the run; `stop`; `display`; `callbacks` and `due` as of
    [`carry_out`][undertow.experiment.loop.carry_out].

    **Returns:** the directory, unlocked. **Raises:** `UndertowError` for a configuration that cannot work, a directory that
    cannot be written, or in which another process is at work.
    """
    several = tuple(seeds) if len(seeds) > 1 else ()
    directory = _existing(path, config, several)
    if directory is not None and is_over(directory):
        directory.close()
        return directory
    plain = config_to_dict(config)
    new = directory is None
    with directory or RunDirectory.create(
        path, preset=preset, config=plain, seeds=several, code=own_files(config)
    ) as directory:
        if not new:
            directory.resumed(updates_done(directory) or 0, plain)
        experiment = build(config)
        experiment.check()
        prepared = prepare(experiment, display, several)
        train_in(directory, prepared, stop, display, callbacks, due=due, judged=False)
    return directory


def is_over(directory: RunDirectory) -> bool:
    """Whether a training has come to its end: finished, or failed in a way that going on does not change."""
    status = directory.info["status"]
    return status in ("finished", "failed") and is_whole(directory) and directory.read_summary()["status"] == status


def _existing(path: Path, config: Config, seeds: tuple[int, ...]) -> RunDirectory | None:
    """The run of this training, locked; None if there is none."""
    if not os.path.lexists(path):
        return None
    try:
        directory = RunDirectory.reopen(path)
        if (to_json(directory.config), directory.seeds) == (to_json(config_to_dict(config)), seeds):
            return directory
        directory.close()
        raise UndertowError(f"{path} is the run of another training")
    except AtWorkError:
        raise
    except UndertowError as error:
        if isinstance(error.__cause__, OSError):
            raise
        _log.warning("%s; it is kept as %s, and the training begins anew", error, set_aside(path).name)
    return None
