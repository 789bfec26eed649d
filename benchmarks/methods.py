"""How fast policies learn by which method: `python -m benchmarks methods`, or `python -m benchmarks.methods --help`.

Every method trains the same network from the same first weights on the same pool of problems, for the same wall time, with
several seeds; each training is a process of its own. Measured on conditions that none trains on: the geometric mean of the L1
error over WENO5-JS's, after so many time steps of the solver and after so many seconds. What measuring takes is part of the
seconds of all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.common import RESULTS
from undertow.store.machine import describe_machine

METHODS: dict[str, dict[str, Any]] = {
    "bptt": {},
    "ppo": {"baseline.learning_rate": 1e-3},
    "policy-gradient": {"baseline.learning_rate": 3e-3},
    "sac": {"baseline.learning_rate": 1e-3},
    "td3": {"baseline.learning_rate": 3e-4},
    "ddpg": {"baseline.learning_rate": 3e-4},
    "cloning": {},
}
"""The methods, and where they differ from the configuration's defaults."""
SETUPS: dict[str, dict[str, Any]] = {
    "burgers": {"data.pool": 256, "training.updates": 1200, "evaluation.every": 10},
    "burgers-paper": {"training.updates": 10_000, "evaluation.every": 5, "evaluation.horizon": 1},
}
"""Presets, and what is asked of them here."""
QUIET = {"evaluation.suites": (), "evaluation.figures": False, "training.dispatch": 5}


def train(setup: str, method: str, seed: int, seconds: float, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """One training: what was measured after how many time steps and seconds."""
    import undertow as ut

    fields = {**SETUPS[setup], **QUIET, **METHODS[method], "method": method, "seed": seed, **(fields or {})}
    if method not in ("bptt", "cloning"):
        fields["training.updates"] = 100_000
    begun: list[float] = []

    def is_over(progress: Any) -> bool:
        begun.append(time.perf_counter())
        return begun[-1] - begun[0] > seconds

    learned = ut.learn(setup, callbacks=[is_over], **fields)
    config: Any = learned.config
    per_update = config.training.batch * config.grid.complete().steps
    rows = learned.metrics or {name: np.zeros(0) for name in ("update", "seconds", "ratio")}
    return {
        "setup": setup,
        "method": method,
        "seed": seed,
        "status": learned.status if learned.status != "interrupted" else "time is up",
        "time_steps": [int(update) * per_update for update in rows["update"]],
        "seconds": [round(float(x), 3) for x in rows["seconds"] - min(rows["seconds"], default=0.0)],
        "ratio": [float(f"{x:.5g}") for x in rows["ratio"]],
    }


def in_process(asked: tuple[str, str, int, float, list[int], dict[str, Any]]) -> dict[str, Any]:
    """One training in a process of its own, on the given cores."""
    setup, method, seed, seconds, cores, fields = asked
    job = json.dumps([setup, method, seed, seconds, cores, fields])
    command = [sys.executable, "-m", "benchmarks.methods", "--one", job]
    environment = {**os.environ, "OMP_NUM_THREADS": str(len(cores))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"setup": setup, "method": method, "seed": seed, "status": f"failed: {last}", "time_steps": []}
    return json.loads(done.stdout.splitlines()[-1])


def measure(jobs: list[tuple[str, str, int, float, dict[str, Any]]], cores_each: int) -> list[dict[str, Any]]:
    """All trainings, as many side by side as there are cores for. A line for each that is over."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    slots = [cores[i : i + cores_each] for i in range(0, len(cores) - cores_each + 1, cores_each)] or [cores]
    free = list(slots)

    def run(job: tuple[str, str, int, float, dict[str, Any]]) -> dict[str, Any]:
        slot = free.pop()
        try:
            row = in_process((*job[:4], slot, job[4]))
            print(
                f"  {job[0]}, {job[1]}, seed {job[2]}: {row['status']}, {min(row.get('ratio') or [np.nan]):.4f}",
                flush=True,
            )
            return row
        finally:
            free.append(slot)

    with ThreadPoolExecutor(len(slots)) as pool:
        return list(pool.map(run, jobs))


def table(seconds: float = 120.0, seeds: int = 5, setups: tuple[str, ...] = ("burgers",), cores: int = 1) -> Path:
    """Error over WENO5's by method, after equal time steps and equal wall time (minutes per method and seed)."""
    jobs = [(setup, method, seed, seconds, {}) for setup in setups for seed in range(seeds) for method in METHODS]
    rows: list[dict[str, Any]] = []
    for some in range(0, len(jobs), len(METHODS)):  # after every seed what there is is written: it may take an hour
        rows += measure(jobs[some : some + len(METHODS)], cores_each=cores)
        path = RESULTS / "methods.json"
        path.write_text(json.dumps({"table": "methods", "measured_on": describe_machine(), "rows": rows}) + "\n")
    for line in summary(rows, seconds):
        print("  " + line)
    return path


def at(row: dict[str, Any], axis: str, place: float) -> float:
    """The best ratio that a training had measured by then; NaN where it had not come that far."""
    where = np.asarray(row["time_steps"] if axis == "time_steps" else row["seconds"], float)
    if not len(where) or (axis == "time_steps" and where[-1] < place and row["status"] != "finished"):
        return float("nan")
    return float(np.min(np.asarray(row["ratio"])[where <= place]))


def quantiles(values: list[float]) -> str:
    """Median and range of those that are there."""
    there = [value for value in values if np.isfinite(value)]
    if not there:
        return "-"
    return f"{np.median(there):.3f} ({min(there):.3f} to {max(there):.3f})"


def summary(rows: list[dict[str, Any]], seconds: float) -> list[str]:
    """A table in Markdown: median and range over the seeds."""
    lines = []
    for setup in dict.fromkeys(row["setup"] for row in rows):
        mine = [row for row in rows if row["setup"] == setup and row["time_steps"]]
        least = min(max(row["time_steps"]) for row in mine)
        lines += [
            f"| {setup}: method | {least} time steps | {seconds:g} s | time steps by then |",
            "|---|---|---|---:|",
        ]
        for method in dict.fromkeys(row["method"] for row in mine):
            each = [row for row in mine if row["method"] == method]
            steps = [max(n for n, s in zip(r["time_steps"], r["seconds"], strict=True) if s <= seconds) for r in each]
            lines.append(
                f"| {method} | {quantiles([at(row, 'time_steps', least) for row in each])} "
                f"| {quantiles([at(row, 'seconds', seconds) for row in each])} | {int(np.median(steps))} |"
            )
    return lines


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """The best ratio so far over time steps and over seconds: medians of the seeds, and their range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    setups = list(dict.fromkeys(row["setup"] for row in rows))
    figure, axes = plt.subplots(len(setups), 2, figsize=(10, 4 * len(setups)), sharey="row", squeeze=False)
    for pair, setup in zip(axes, setups, strict=True):
        for ax, axis, label in zip(
            pair, ("time_steps", "seconds"), ("time steps of the solver", "seconds"), strict=True
        ):
            for method in METHODS:
                each = [row for row in rows if row["setup"] == setup and row["method"] == method and row["time_steps"]]
                if not each:
                    continue
                longest = min(row[axis][-1] for row in each)
                shortest = max(next(x for x in row[axis] if x > 0) for row in each)
                if longest <= shortest:
                    continue
                places = np.geomspace(shortest, longest, 120)
                curves = np.array(
                    [[np.min(np.asarray(row["ratio"])[np.asarray(row[axis]) <= x]) for x in places] for row in each]
                )
                (line,) = ax.plot(places, np.median(curves, axis=0), label=method)
                ax.fill_between(
                    places, curves.min(axis=0), curves.max(axis=0), color=line.get_color(), alpha=0.15, lw=0
                )
            ax.axhline(1, color="0.5", lw=0.8, ls="--")
            ax.set(xscale="log", yscale="log", xlabel=label)
            ax.set_title(setup, loc="left", fontsize=10)
            for each in (ax.yaxis, *([ax.xaxis] if axis == "seconds" else [])):
                each.set_major_formatter("{x:g}")
                each.set_minor_formatter("{x:g}")
        pair[0].set_ylabel("L1 error over WENO5-JS's, best so far")
        pair[1].legend(fontsize=8, ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument(
        "--cores", type=int, default=1, help="of every training; as many run side by side as there are for"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--setups", nargs="+", default=["burgers"], choices=SETUPS)
    parser.add_argument("--draw", type=Path, help="draw what was measured, and print its table, instead of measuring")
    parser.add_argument(
        "--try", dest="tried", help="measure these [method, fields] pairs (JSON), one core and seed each"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        setup, method, seed, seconds, cores, fields = json.loads(given.one)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)  # before JAX counts them
        print(json.dumps(train(setup, method, seed, seconds, fields)))
    elif given.tried:
        pairs = json.loads(given.tried)
        jobs = [(setup, method, 0, given.seconds, fields) for setup in given.setups for method, fields in pairs]
        for job, row in zip(jobs, measure(jobs, 1), strict=True):
            last = [
                (row["time_steps"][i], row["seconds"][i], row["ratio"][i]) for i in range(0, len(row["time_steps"]), 5)
            ]
            print(job[0], job[1], job[4], row["status"], last[:: max(1, len(last) // 6)], min(row.get("ratio") or [9]))
    elif given.draw:
        found = json.loads((RESULTS / "methods.json").read_text())["rows"]
        draw(found, given.draw)
        print("\n".join(summary(found, given.seconds)))
    else:
        table(given.seconds, given.seeds, tuple(given.setups), given.cores)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
