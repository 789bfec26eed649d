"""Exported policies, evaluated by numpy alone, beside JAX: every kind that a preset or an imported agent can give.

    python -m validation.export [RUN ...]

prints a row per policy: the largest difference of an action over ten initial conditions (all faces, both directions, at the
start and after some steps; of a controller ten initial states). The runs given are exported as they are; without any, every
preset's policy with random weights is, and the published agents where their folder is there. Columns:

- numpy: `portable.load(folder)(observations)` in float64, against JAX in float64 in the program that marches the solver;
- float32: both in float32 (controllers);
- StableHLO: `policy.stablehlo`, read back, against JAX's program of the policy alone, in the precision of the training;
- step: `step.stablehlo`, read back, against one step of JAX's loop, in the same precision;
- JAX: JAX's program of the policy alone against the one that marches the solver. It is what rounding may do: the published
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
from undertow._tree import cast
from undertow.config import Config, ControlConfig, SchemeConfig, config_from_dict
from undertow.experiment import import_agent, load_policy
from undertow.export import export, portable
from undertow.export.surroundings import Surroundings, surroundings
from undertow.presets import PRESETS
from undertow.store.rundir import RunDirectory

REFERENCE = Path(os.environ.get("UNDERTOW_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "reference"))
HEAD = f"{'policy':28}{'kind':18}{'cases':>6}{'sites':>9}{'numpy':>10}{'float32':>10}{'StableHLO':>11}{'step':>10}{'JAX':>10}"


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
    return max(difference(act(each.observations), each.actions) for each in seen)


def difference(one: Any, other: Any) -> float:
    """The largest difference of two arrays; NaN where one is not finite."""
    return float(np.max(np.abs(np.asarray(one) - np.asarray(other))))


def read_back(artefact: Path, name: str) -> Any:
    """A program of an artefact, as a function."""
    return jax.export.deserialize(bytearray(portable.read(artefact, f"{name}.stablehlo"))).call


def examples(config: Config, around: Surroundings) -> list[np.ndarray]:
    """Ten states and a time step, as `step.stablehlo` takes them: ripples, of a gas around one at rest."""
    ripples = 0.1 * np.random.default_rng(0).normal(size=(10, *next(iter(around.inputs.values()))))
    if not isinstance(config, SchemeConfig):
        return [ripples + 0.1]
    rest = np.array([1.0, 0.0, 2.5] if config.law.name == "euler" else [0.5])
    return [ripples + rest.reshape(-1, *[1] * config.grid.dimensions), np.asarray(config.grid.complete().dt)]


def row(name: str, run: Path, folder: Path) -> str:
    """One line of the table."""
    artefact = export(run, out=folder / f"{name}-exported").path
    config = config_from_dict(RunDirectory.open(run).config)
    precision = config.training.precision
    policy, loaded = load_policy(run), portable.load(artefact)
    trained, single = cast(policy, precision), None
    if isinstance(config, SchemeConfig):
        seen = seen_by_scheme(policy, config)
        act = lambda policy: lambda stencils: policy((stencils,))[0]
        sites = sum(2 * each.observations.shape[1] for each in seen)
    else:
        seen = seen_by_controller(policy, config, "float64")
        single = largest(seen_by_controller(policy, config, "float32"), loaded)
        act = lambda policy: jax.vmap(lambda observation: policy(observation))
        sites = sum(len(each.observations) for each in seen)
    alone, program = jax.jit(act(trained)), read_back(artefact, "policy")
    given = [jnp.asarray(each.observations, precision) for each in seen]
    around = surroundings(config.untrained(), cells=None, boundary=None)
    states = [jnp.asarray(each, precision) for each in examples(config, around)]
    step = jax.jit(jax.vmap(around.step(trained), in_axes=(0, None)[: len(states)]))
    differences = [
        largest(seen, loaded),
        single,
        max(difference(program(each), alone(each)) for each in given),
        max(map(difference, jax.tree.leaves(read_back(artefact, "step")(*states)), jax.tree.leaves(step(*states)))),
        largest(seen, jax.jit(act(policy))),
    ]
    texts = ["" if each is None else f"{each:.1e}" for each in differences]
    start = f"{name:28}{loaded.kind:18}{len(seen):6d}{sites:9,d}"
    return f"{start}{texts[0]:>10}{texts[1]:>10}{texts[2]:>11}{texts[3]:>10}{texts[4]:>10}"


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
