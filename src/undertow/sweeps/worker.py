"""A process that works on a sweep, started by another one: `python -m undertow.sweeps.worker FOLDER INDEX WORKERS PARENT`.

After these, `pipe` says that the parent holds the other end of standard input.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from undertow._checks import UndertowError
from undertow.sweeps.workers import follow


def main(arguments: list[str]) -> int:
    """Work on a sweep until it is complete, on one share of the processors. Returns the exit code."""
    folder, index, workers, parent = arguments[0], *map(int, arguments[1:4])
    follow(parent, pipe=arguments[4:] == ["pipe"])
    if hasattr(os, "sched_setaffinity"):  # before XLA starts as many threads as it may use processors
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, processors[index::workers] or [processors[index % len(processors)]])
    logging.basicConfig(level=logging.WARNING, format="undertow: %(message)s")

    from undertow.sweeps.sweep import serve

    try:
        return serve(Path(folder), os.environ.get("UNDERTOW_SWEEP_STORAGE"))
    except UndertowError as error:
        logging.error("%s", error)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
