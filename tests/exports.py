"""Runs without a training: directories that hold a policy with random weights, to be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tests.helpers import random_like
from undertow._tree import cast, take
from undertow.assembly import build
from undertow.assembly.scheme import make_discretised
from undertow.config import Config, ControlConfig, SchemeConfig, config_to_dict
from undertow.core.flow import closed_loop
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Members
from undertow.envs.families import draw
from undertow.envs.placing import point_values
from undertow.envs.truth import batches, common_form
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.cases import Initial
from undertow.laws.fields import PIECES
from undertow.laws.gas_cases import gas_case
from undertow.store.keeping import BestCheckpoints
from undertow.store.rundir import RunDirectory


class Holder(NamedTuple):
    """What a checkpoint holds of a policy."""

    policy: Any


def random_run(config: Config, path: Path, *, preset: str = "custom", seed: int = 0, size: float = 0.5) -> Path:
    """A finished run whose policy has normal weights of standard deviation `size`: no layer is zero."""
    policy = build(config).policy
    weights = random_like(policy, jax.random.key(seed))
    policy = jax.tree.map(lambda old, new: (size * new).astype(old.dtype), policy, weights)
    with RunDirectory.create(path, preset=preset, config=config_to_dict(config)) as directory:
        best = BestCheckpoints(directory.checkpoints, metric="loss", keep=1)
        best.offer(0.0, 0, Holder(policy), {"run": directory.id, "update": 0})
    return directory.path


SCALAR = ("tophat", "smooth_sine", "rarefaction", "accelshock", "gaussian")
GASES = ("sod", "lax", "double_rarefaction")


class Seen(NamedTuple):
    """What a policy saw in some cases, and what JAX made of it in the solver's own program.

    Of schemes `(2, sites, 2r-1)` and `(2, sites, r)`, of controllers `(samples, *observation)` and `(samples, *action)`.
    """

    observations: np.ndarray
    actions: np.ndarray


def scheme_cases(config: SchemeConfig, *, named: bool = True) -> Members:
    """Ten cases of the kind that a configuration trains on, some of them named ones, in batches of one structure each."""
    cases: list[Any] = []
    if config.law.name == "euler":
        family = "gas"
        cases = [gas_case(name).field().padded(PIECES) for name in GASES if named]
    elif config.grid.dimensions == 2:
        family = "plane"
    else:
        family = "scalar"
        if config.law.name == "burgers" and named:
            cases = [common_form(burgers_condition(name)) for name in SCALAR]
    random = draw(family, range(10 - len(cases)))
    return batches([*cases, *(take(random, number) for number in range(10 - len(cases)))])


def seen_by_scheme(policy: AbstractPolicy, config: SchemeConfig, *, named: bool = True, after: int = 5) -> list[Seen]:
    """The stencils at all faces, in both directions, of ten cases at the start and after some steps; case by case."""
    discretised = make_discretised(config)

    @eqx.filter_jit
    def look(policy: AbstractPolicy, batch: Initial) -> Any:
        def one(condition: Initial) -> Any:
            environment = discretised.environment(condition)
            step = closed_loop(environment, policy)

            def move(state: Any, _: None) -> Any:
                stencils = environment.observe(state)
                return step(state)[0], (stencils, policy(stencils))

            start = environment.initial(point_values(condition, environment.scheme.grid))
            return jax.lax.scan(move, start, length=after + 1)[1]

        return eqx.filter_vmap(one)(batch)

    found = []
    for batch, places in scheme_cases(config, named=named):
        stencils, weights = look(policy, batch)
        for case in range(len(places)):
            # Steps and axes side by side: all of them are sites.
            parts = [(s[case, k], w[case, k]) for s, w in zip(stencils, weights, strict=True) for k in (0, after)]
            flat = [[np.asarray(each).reshape(2, -1, each.shape[-1]) for each in pair] for pair in parts]
            found.append(Seen(*(np.concatenate(each, axis=1) for each in zip(*flat, strict=True))))
    return found


def seen_by_controller(policy: AbstractPolicy, config: ControlConfig, precision: str, *, after: int = 20) -> list[Seen]:
    """What is observed of ten random states at the start and after some steps, in a precision; case by case."""
    system = config.task.system(config.system)
    policy = cast(policy, precision)
    step = closed_loop(system.environment, policy)

    @jax.jit
    def look(state: jax.Array) -> Any:
        later = jax.lax.fori_loop(0, after, lambda _, x: step(x)[0], state)
        seen = jnp.stack([system.environment.observe(each) for each in (state, later)])
        return seen, jax.vmap(lambda each: policy(each))(seen)

    keys = jax.random.split(jax.random.key(1), 10)
    return [Seen(*map(np.asarray, look(system.draw(key).astype(precision)))) for key in keys]
