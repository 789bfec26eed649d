"""Training controllers: one epoch (32 updates of 8 states, two losses of 256) of every published task and gradient."""

from __future__ import annotations

import sys
import time

START = time.perf_counter()

import dataclasses  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402

import equinox as eqx  # noqa: E402
import jax  # noqa: E402

from benchmarks.common import in_fresh_process, matrix_rate, peak_memory_mb, write  # noqa: E402
from undertow._tree import cast  # noqa: E402
from undertow.assembly import build  # noqa: E402
from undertow.core.flow import FULL  # noqa: E402
from undertow.policies.controller import WaveController  # noqa: E402
from undertow.presets import PRESETS  # noqa: E402
from undertow.training.ensemble import Ensemble  # noqa: E402

ORIGINAL = {
    ("cartpole", "full"): (0.39, 0.65),
    ("cartpole", "sign-agreement"): (0.65, 0.81),
    ("guidance", "full"): (1.36, 1.36),
    ("guidance", "sign-agreement"): (2.39, 2.39),
    ("quantum", "full"): (5.55, 5.55),
    ("quantum", "sign-agreement"): (7.07, 7.07),
}
"""Seconds per epoch of the published TensorFlow programs on two such cores, least and most."""
GRADIENTS = ("full", "physics", "stop", "sign-agreement")
UPDATES = 32


def network_products(policy) -> int:
    """Multiplications and additions of one evaluation of a controller."""
    if isinstance(policy, WaveController):
        first = (policy.points - 3) // 2 + 1
        sites = (first, (first - 3) // 2 + 1, 1)
        return 2 * sum(n * kernel.size for n, kernel in zip(sites, policy.kernels, strict=True))
    return 2 * sum(kernel.size for kernel in policy.network.kernels)


def measure(task: str, gradient: str, members: int) -> dict:
    """Seconds of an epoch after the first one, and from the start of the process to the end of the first."""
    config = dataclasses.replace(PRESETS[task].config, gradient=gradient)
    experiment = build(config)
    trainer = experiment.trainer(experiment.make_pool())
    sets = {name: cast(problems, "float32") for name, problems in experiment.make_sets().items()}
    keys = jax.random.split(jax.random.key(1), members)
    if members > 1:
        ensemble = Ensemble(trainer)
        policies = [build(dataclasses.replace(config, seed=seed)).policy for seed in range(members)]
        state, update = ensemble.init(policies, list(keys)), ensemble.update
    else:
        state, update = trainer.init(experiment.policy, keys[0]), trainer.update

    def losses(policy):
        return [experiment.task.losses(policy, FULL, problems).mean() for problems in sets.values()]

    @eqx.filter_jit
    def epoch(state):
        dynamic, static = eqx.partition(state, eqx.is_array)

        def one(carry, _):
            new, metrics = update(eqx.combine(carry, static))
            return eqx.filter(new, eqx.is_array), metrics["loss"]

        dynamic, trained = jax.lax.scan(one, dynamic, length=UPDATES)
        state = eqx.combine(dynamic, static)
        return state, trained, losses(state.policy) if members == 1 else eqx.filter_vmap(losses)(state.policy)

    state, *out = epoch(state)
    jax.block_until_ready(out)
    first = time.perf_counter() - START
    times = []
    for _ in range(7):
        start = time.perf_counter()
        state, *out = epoch(state)
        jax.block_until_ready(out)
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    memory = peak_memory_mb()
    # Forward 1 product, backward 2; two gradients share the forward pass.
    passes = {"sign-agreement": 5}.get(gradient, 3)
    evaluations = members * config.horizon * (UPDATES * config.training.batch * passes + 2 * 256)
    rate = matrix_rate("float32")
    low, high = ORIGINAL.get((task, gradient), (None, None))
    return {
        "task": task,
        "gradient": gradient,
        "members": members,
        "seconds_per_epoch": seconds,
        "first_result_seconds": first,
        "peak_memory_mb": memory,
        "matrix_product_gflops": rate / 1e9,
        "share_of_limit": evaluations * network_products(experiment.policy) / seconds / rate,
        "original_seconds": f"{low}-{high}" if low != high else low,
        "times_faster_than_original": None if low is None else low / seconds * members,
    }


def table() -> None:
    """Seconds per epoch of the three published tasks, by gradient; ten seeds as one program."""
    rows = [
        in_fresh_process("control", task, gradient, "1")
        for task in ("cartpole", "guidance", "quantum")
        for gradient in GRADIENTS
    ]
    rows += [in_fresh_process("control", "cartpole", gradient, "10") for gradient in ("full", "sign-agreement")]
    single = {(row["task"], row["gradient"]): row for row in rows if row["members"] == 1}
    for row in rows:
        full = single[row["task"], "full"]
        if row["members"] == 1:
            row["over_full"] = row["seconds_per_epoch"] / full["seconds_per_epoch"]
        else:
            alone = single[row["task"], row["gradient"]]
            row["over_ten_epochs_alone"] = row["seconds_per_epoch"] / (row["members"] * alone["seconds_per_epoch"])
            row["over_ten_runs_of_25_epochs"] = (row["first_result_seconds"] + 24 * row["seconds_per_epoch"]) / (
                row["members"] * (alone["first_result_seconds"] + 24 * alone["seconds_per_epoch"])
            )
    write("control", rows)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
