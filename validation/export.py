"""Exported policies, evaluated by numpy alone, beside JAX: every kind that a preset or an imported agent can give.

    python -m validation.export [RUN ...]

prints a row per policy: the largest difference of an action over ten initial conditions (all faces, both directions, at the
start and after some steps; of a controller ten initial states). The runs given are exported as they are; without any, every
preset's policy with random weights is, and the published agents where their folder is there. Columns:

- numpy: `portable.load(folder)(observations)` in float64, against JAX in float64 in the program that marches the solver;
- float32: both in float32 (controllers);
- StableHLO: `policy.stablehlo`, read back, against JAX, in the precision that it was trained in;
- JAX: JAX's own program of the policy alone against that which marches the solver. It is what rounding may do: the published
  scaling divides by a standard deviation, so where a stencil is constant up to rounding, sums in another order show.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.exports import Seen, random_run, seen_by_controller, seen_by_scheme
from undertow.config import ControlConfig, SchemeConfig, config_from_dict
from undertow.experiment import import_agent, load_policy
from undertow.export import export, portable
from undertow.presets import PRESETS
from undertow.training.rundir import RunDirectory

REFERENCE = Path(os.environ.get("UNDERTOW_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "reference"))
HEAD = f"{'policy':28}{'kind':18}{'cases':>6}{'sites':>9}{'numpy':>10}{'float32':>10}{'StableHLO':>11}{'JAX':>10}"


def runs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every preset with random weights, one without a prior, and the published agents."""
    for name, each in PRESETS.items():
        size = 0.1 if isinstance(each.config, ControlConfig) else 0.3
        yield name, random_run(each.config, folder / name, preset=name, size=size)
    agents = REFERENCE / "rl_pde" / "agents"
    for file in sorted(agents.glob("*.zip")) if agents.is_dir() else ():
        config: Any = PRESETS["euler-sod-paper"].config
        yield file.stem, import_agent(file, config, out=folder / file.stem).path


def largest(seen: list[Seen], act: Any) -> float:
    """The largest difference of any action from JAX's; NaN where one is not finite."""
    return float(max(np.max(np.abs(act(each.observations) - each.actions)) for each in seen))


def row(name: str, run: Path, folder: Path) -> str:
    """One line of the table."""
    artefact = export(run, out=folder / f"{name}-exported").path
    config = config_from_dict(RunDirectory.open(run).config)
    policy, loaded = load_policy(run), portable.load(artefact)
    program = jax.export.deserialize(bytearray(portable.read(artefact, "policy.stablehlo")))
    single = None
    if isinstance(config, SchemeConfig):
        seen = seen_by_scheme(policy, config)
        alone = jax.jit(lambda stencils: policy((stencils,))[0])
        trained = seen
        sites = sum(2 * each.observations.shape[1] for each in seen)
    else:
        seen = seen_by_controller(policy, config, "float64")
        alone = jax.jit(jax.vmap(lambda observation: policy(observation)))
        trained = seen_by_controller(policy, config, "float32")
        single = largest(trained, loaded)
        sites = sum(len(each.observations) for each in seen)
    differences = [
        largest(seen, loaded),
        single,
        largest(trained, lambda x: np.asarray(program.call(jnp.asarray(x, config.training.precision)))),
        largest(seen, lambda x: np.asarray(alone(jnp.asarray(x)))),
    ]
    texts = ["" if each is None else f"{each:.1e}" for each in differences]
    return f"{name:28}{loaded.kind:18}{len(seen):6d}{sites:9,d}{texts[0]:>10}{texts[1]:>10}{texts[2]:>11}{texts[3]:>10}"


def main(given: list[str]) -> None:
    """Print the table."""
    jax.config.update("jax_enable_x64", True)
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as place:
        chosen = [(Path(path).resolve().name, Path(path)) for path in given] if given else runs(Path(place))
        for name, run in chosen:
            print(row(name, run, Path(place)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
