"""One training update at the published Burgers settings: 3 conditions, 128 cells, 250 forward Euler steps, 10-128-128-6."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import time

import equinox as eqx
import jax

from benchmarks.common import in_fresh_process, matrix_rate, median_seconds, peak_memory_mb, write
from undertow.assembly import build
from undertow.presets import PRESETS

ORIGINAL_SECONDS, ORIGINAL_MEMORY_MB, ORIGINAL_FIRST_RESULT = 1.29, 1100, 18.0
"""The published TensorFlow code on two such cores."""


def network_operations(rows: int, sizes: tuple[int, ...]) -> int:
    """Multiplications and additions of forward and backward pass of the network alone: 3 matrix products per layer."""
    return 3 * 2 * rows * sum(m * n for m, n in itertools.pairwise(sizes))


def measure(precision: str) -> dict:
    """Compile and run time of one update, as a share of the machine's own matrix-product rate."""
    config = PRESETS["burgers-paper"].config
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, precision=precision))
    experiment = build(config)
    trainer = experiment.trainer(experiment.make_pool())
    state = trainer.init(experiment.policy, jax.random.key(1))
    update = eqx.filter_jit(trainer.update)
    start = time.perf_counter()
    lowered = update.lower(state)
    traced = time.perf_counter() - start
    lowered.compile()
    compiled = time.perf_counter() - start - traced
    seconds = median_seconds(lambda: update(state)[1]["loss"])
    rate = matrix_rate(jax.numpy.dtype(precision))
    operations = network_operations(3 * 129 * 250, (10, 128, 128, 6))
    return {
        "precision": precision,
        "seconds_per_update": seconds,
        "trace_seconds": traced,
        "compile_seconds": compiled,
        "peak_memory_mb": peak_memory_mb(),
        "matrix_product_gflops": rate / 1e9,
        "share_of_limit": operations / seconds / rate,
        "times_faster_than_original": ORIGINAL_SECONDS / seconds,
    }


def table() -> None:
    """Seconds per update at the paper's settings, against the machine's own matrix-product rate."""
    write("update", [in_fresh_process("update", precision) for precision in ("float64", "float32")])


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print(json.dumps(measure(sys.argv[1])))
