"""The preset `euler-sod-paper`, trained for some seeds: how far its trajectory on Sod's tube ends up from WENO's.

    python -m validation.sod_paper 1 2 3 4 5

prints, every 100 updates and at the end, sqrt(dx * sum((u - u_weno)^2)) over all components at t = 0.1, where `u_weno` is
the published WENO5 (`weno-js-original`) under the same forward Euler steps. A seed takes as long on one core as on two
(about 35 minutes), so start two processes side by side. The original's six seeds end at 1.0e-3 to 1.8e-3 after 10,000 updates.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import equinox as eqx
import jax
import numpy as np

from undertow._tree import take
from undertow.assembly import build
from undertow.core.policy import AbstractPolicy
from undertow.policies.classical import classical
from undertow.presets import PRESETS
from undertow.training.fit import Progress, fit


def train(seed: int, updates: int | None = None) -> float:
    """Train one seed, print its way, return its last distance to WENO."""
    config = replace(PRESETS["euler-sod-paper"].config, seed=seed)
    experiment = build(config)
    pool = experiment.make_pool()
    trainer = experiment.trainer(pool)
    tube = take(pool, 0)
    end = eqx.filter_jit(lambda policy: experiment.task.run(policy, tube).states.u[-1])
    weno = np.asarray(end(classical("weno-js-original", 5)))
    start = time.perf_counter()

    def distance(policy: AbstractPolicy) -> float:
        return float(np.sqrt(np.sum((np.asarray(end(policy)) - weno) ** 2) / config.grid.num_cells))

    def note(progress: Progress) -> None:
        if progress.done % 100 == 0 or progress.done == progress.total:
            print(
                f"seed {seed}: {progress.done:5d} updates {time.perf_counter() - start:6.0f} s"
                f"  L2 to WENO {distance(progress.state.policy):.3e}  loss {progress.metrics['loss'][-1]:.4g}"
                f"  skipped {int(progress.state.skipped)}",
                flush=True,
            )

    state = trainer.init(experiment.policy, jax.random.fold_in(jax.random.key(seed), 1))
    training = config.training
    result = fit(
        trainer,
        state,
        updates or training.updates,
        every=training.dispatch,
        callbacks=(note,),
        max_skipped=training.max_skipped,
    )
    if result.error is not None:
        print(f"seed {seed} failed: {result.error}", flush=True)
    return distance(result.state.policy)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+", help="the seeds to train, one after another")
    parser.add_argument("--updates", type=int, default=None, help="how many (default: the preset's)")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    for seed in given.seeds:
        print(f"seed {seed} ends at {train(seed, given.updates):.3e}", flush=True)


if __name__ == "__main__":
    main()
