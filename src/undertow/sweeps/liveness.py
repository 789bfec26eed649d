"""Telling a worker that is at work from one that was killed.

A journal file knows nothing of its writers, so a worker holds a lock (`flock`) on a file of its trial for as long as it works
on it: the system lets go of it when the process ends, however it ends. A database has no such locks that every machine sees,
so there the worker leaves a heartbeat in it, every few seconds by the database's own clock, as Optuna provides for.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from undertow._io import make_folder
from undertow.store._lock import Release, try_lock

_logger = logging.getLogger(__name__)

BEAT, SILENCE = 15, 60
"""Seconds between two heartbeats, and after which a worker that sent none counts as dead."""


class Liveness(Protocol):
    """Who works on what."""

    def hold(self, job: int, trial_id: int) -> Release | None:
        """Say that this process works on a job now, until the function returned is called; None: another does."""

    def bury(self, running: Sequence[tuple[int, int]], fail: Callable[[int], None]) -> None:
        """Call `fail(trial_id)` for those of the running `(job, trial_id)` whose worker is gone."""


class Locks:
    """A locked file per job, in a folder that all workers see."""

    def __init__(self, folder: Path):
        self.folder = folder

    def hold(self, job: int, trial_id: int) -> Release | None:
        make_folder(self.folder)
        return try_lock(self.folder / f"{job:04d}")

    def bury(self, running: Sequence[tuple[int, int]], fail: Callable[[int], None]) -> None:
        for job, trial_id in running:
            release = self.hold(job, trial_id)
            if release is not None:
                try:
                    fail(trial_id)
                finally:
                    release()


class Heartbeats:
    """Times in a database, by its own clock."""

    def __init__(self, study: Any, storage: Any):
        self.study, self.storage = study, storage

    def hold(self, job: int, trial_id: int) -> Release | None:
        ended = threading.Event()
        # The first one before the trial counts as running: one that runs without any would never be missed.
        self.storage.record_heartbeat(trial_id)

        def beat() -> None:
            while not ended.wait(BEAT):
                try:
                    self.storage.record_heartbeat(trial_id)
                except Exception as error:  # the next one may get through
                    _logger.warning("no heartbeat could be left in the database: %s", type(error).__name__)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()

        def release() -> None:
            ended.set()
            thread.join()

        return release

    def bury(self, running: Sequence[tuple[int, int]], fail: Callable[[int], None]) -> None:
        from optuna.storages import fail_stale_trials

        with warnings.catch_warnings():  # that it is experimental
            warnings.simplefilter("ignore")
            fail_stale_trials(self.study)
