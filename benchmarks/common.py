"""What every table shares: medians, a fresh process for memory and compile time, and a result file that says where it is from."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from undertow.store.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
PEER = os.environ.get("UNDERTOW_PEER_PYTHON", sys.executable)
"""The interpreter that has what is measured beside this library: pip install pyro-hydro scipy controlgym."""


def median_seconds(call: Callable[[], Any], repeats: int = 7) -> float:
    """Median wall time of a call that has been warmed up, waiting for its result."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matrix_rate(dtype: Any = jnp.float64, size: int = 2048) -> float:
    """Floating-point operations per second of this machine's own product of two square matrices: the limit that
    network time is compared with."""
    a = jnp.ones((size, size), dtype)
    product = jax.jit(lambda x: x @ x)
    return 2 * size**3 / median_seconds(lambda: product(a), 5)


def peak_memory_mb() -> float:
    """The largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_fresh_process(table: str, *arguments: str) -> dict:
    """Run one measurement in a process of its own (for its peak memory, import and compile time); it prints JSON."""
    command = [sys.executable, "-m", f"benchmarks.{table}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def write(table: str, rows: list[dict]) -> Path:
    """Print the rows and write them, with machine, versions and commit, to `benchmarks/results/<table>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{table}.json"
    path.write_text(json.dumps({"table": table, "measured_on": describe_machine(), "rows": rows}, indent=2) + "\n")
    for row in rows:
        print("  " + ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    print(f"  -> benchmarks/results/{path.name}")
    return path
