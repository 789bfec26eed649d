"""How long until something happens: import time and the first compilation."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.common import write

STATEMENTS = {"import jax": "import jax", "import undertow": "import undertow", "undertow --help": None}


def _seconds(statement: str | None) -> float:
    command = [sys.executable, "-m", "undertow", "--help"] if statement is None else [sys.executable, "-c", statement]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def table() -> None:
    """Wall time of a fresh interpreter: median of five, the interpreter's own start included."""
    rows = []
    for name, statement in STATEMENTS.items():
        _seconds(statement)  # fill the file cache
        rows.append({"what": name, "seconds": statistics.median(_seconds(statement) for _ in range(5))})
    write("start", rows)
