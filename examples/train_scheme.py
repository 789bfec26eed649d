"""The flagship's training from Python, with a configuration changed in code and a callback.

Run it with: python examples/train_scheme.py
"""

from dataclasses import replace

import jax

import undertow as ut


def main(updates=200, cells=64, steps=40, pool=512, cases=32, integrator="ssp_rk3", out=None):
    """The run."""
    preset = ut.preset("burgers").config
    config = replace(
        preset,
        grid=replace(preset.grid, num_cells=cells, steps=steps, integrator=integrator),
        data=replace(preset.data, pool=pool),
        policy=replace(preset.policy, hidden=(8, 8)),
        training=replace(preset.training, updates=updates, batch=min(16, pool), dispatch=max(1, updates // 4)),
        evaluation=replace(preset.evaluation, every=max(1, updates // 4), cases=cases, suites=(), figures=False),
    )

    def watch(progress):
        print(f"{progress.done:5} of {progress.total} updates, loss {progress.metrics['loss'].mean():.3f}")

    run = ut.train(config, preset="example", out=out, callbacks=(watch,), quiet=True)
    print(f"best ratio to WENO5 on conditions it was not trained on: {run.summary['best']['value']:.3f}")
    print(f"run directory: {run.path}")

    test = ut.suite("held-out", n=cases, cells=cells)
    print(ut.evaluate({"learned": ut.load_policy(run.path), "weno-z": ut.classical("weno-z")}, test).text())
    return run


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
