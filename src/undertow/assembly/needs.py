"""What a training takes at least: memory, disk and time, from its configuration and the sizes of its policy."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._limits import Need, least_seconds, number, real, require_disk, require_memory, require_time, sum_bytes
from undertow._own import is_own
from undertow.assembly.own import draws as draws_own
from undertow.config import Config, ControlConfig, SchemeConfig
from undertow.config.baseline import LIBRARY
from undertow.core.policy import AbstractPolicy
from undertow.envs.needs import float_bytes, parameters_of, problem_memory, problem_seconds, stages
from undertow.envs.pools import Discretised
from undertow.training.optimizer import build_optimizer


@dataclass(frozen=True)
class TrainingNeeds:
    """What trainings of one configuration take at least, as `Need`s: what, how much of it, and which options change it.

    - `problems`: bytes of what the trainings of all seeds share; `each`: bytes of every further seed.
    - `preparing`, `update`: seconds before the training, and of one update of one seed, with `updates` of them in all.
    - `disk`: bytes of what a run directory keeps of one seed.
    """

    problems: tuple[Need, ...]
    each: tuple[Need, ...]
    preparing: tuple[Need, ...]
    update: Need
    updates: int
    disk: tuple[Need, ...]

    def memory(self, seeds: int = 1) -> list[Need]:
        """Bytes, with so many seeds trained side by side."""
        several = f"{number(seeds)} trainings, each with " if seeds > 1 else ""
        more = "seeds or " if seeds > 1 else ""
        return [
            *self.problems,
            *(Need(several + need.what, real(seeds) * need.amount, more + need.change) for need in self.each),
        ]

    def seconds(self, trainings: float = 1, done: int = 0) -> list[Need]:
        """Seconds of so many trainings one after another, each with so many updates behind it."""
        left = max(0, self.updates - done)
        several = f" in each of {number(trainings)} trainings" if trainings > 1 else ""
        return [
            *(Need(need.what, trainings * need.amount, need.change) for need in self.preparing),
            Need(
                f"{number(left)} updates of {self.update.what}{several}",
                real(trainings) * real(left) * self.update.amount,
                f"training.updates{', trials' if trainings > 1 else ''} or {self.update.change}",
            ),
        ]

    def require(
        self,
        *,
        seeds: int = 1,
        trainings: float = 1,
        done: int = 0,
        folder: Path | str | None = None,
        long: bool = False,
    ) -> None:
        """Raise `UndertowError` for what cannot fit, or what takes hours and was not asked for with `long`.

        **Arguments:** `seeds`: trained side by side as one program; `trainings`: one after another on this machine, in all;
        `done`: updates that are behind them; `folder`: where files will be written (None: nowhere).
        """
        require_memory(self.memory(seeds))
        if folder is not None:
            require_disk([need._replace(amount=seeds * need.amount) for need in self.disk], folder)
        require_time(self.seconds(trainings, done), long=long)


def require_several(
    several: Sequence[tuple[TrainingNeeds, int]],
    *,
    seeds: int,
    workers: int = 1,
    folder: Path | str | None = None,
    long: bool = False,
    change: str | None = None,
) -> None:
    """Raise `UndertowError` for trainings, one after another, of which one cannot fit, or which together need more disk than
    there is or, without `long`, hours.

    **Arguments:** `several`: what each takes, and the updates that are behind it; `seeds`: trained side by side in each, in one
    run directory; `workers`: processes that share the trainings; `folder`: where files will be written (None:
    nowhere); `change`: which options to change (default: the configuration's own).
    """

    def told(needs: Iterable[Need]) -> list[Need]:
        return [need if change is None else need._replace(change=change) for need in needs]

    counted = Counter(several)
    for needs, _ in counted:
        require_memory(told(needs.memory(seeds)))
    if folder is not None and counted:
        kept = (
            Need(
                f"{number(count)} run directories of {number(seeds)} trainings",
                count * seeds * sum(need.amount for need in needs.disk),
                "seeds, trials or policy.hidden",
            )
            for (needs, _), count in counted.items()
        )
        require_disk(told(kept), folder)
    seconds = [
        need._replace(amount=need.amount / workers)
        for (needs, done), count in counted.items()
        for need in needs.seconds(count, done)
    ]
    require_time(told(seconds), long=long)


def require_policy(policy: object) -> None:
    """Raise `UndertowError` if a policy, of which only the shapes are looked at, does not fit into memory."""
    what = f"a network of {number(parameters_of(policy))} numbers"
    require_memory([Need(what, 2 * sum_bytes(policy), "policy.hidden")])  # random bits are made into each number


def scheme_needs(config: SchemeConfig, policy: AbstractPolicy, how: Discretised) -> TrainingNeeds:
    """Of a learned scheme. `how`: its training's discretisation."""
    dimensions, training = config.grid.dimensions, config.training
    components = how.law.num_components
    values = components * real(how.num_cells) ** dimensions
    cells = number(real(how.num_cells) ** dimensions)
    grid, parameters = "grid.num_cells", parameters_of(policy)
    pool = _count(config, config.data.conditions, config.data.pool)
    watched = _count(config, config.evaluation.conditions, config.evaluation.cases)
    kept = _kept(how.steps, training.segment)
    hidden = real(sum(config.policy.hidden))  # of every layer what goes in and what comes out
    if config.method in LIBRARY:  # no way back through time
        kept, hidden = 1.0, 0.0
    one = real(training.batch) * values * jnp.dtype(training.precision).itemsize
    each = (
        _state(config, policy),
        Need(
            f"{number(kept)} steps of {number(training.batch)} problems of {cells} cells",
            kept * one,
            _batch("grid.steps", grid),
        ),
        Need(
            f"{number(hidden)} hidden units at every face of {number(training.batch)} problems",
            2 * hidden * one,
            _batch("policy.hidden"),
        ),
    )
    shared = (
        *problem_memory(how, pool, dimensions, f"data.pool or {grid}", grid=grid, finer="data.refinement"),
        *problem_memory(how, watched, dimensions, f"evaluation.cases or {grid}", grid=grid, finer="data.refinement"),
    )
    update = Need(
        f"{number(how.steps)} time steps of {number(training.batch)} problems of {cells} cells",
        least_seconds(
            how.steps * stages(how.integrator),
            training.batch * values,
            parameters,
            training=config.method not in LIBRARY,
        ),
        _batch("grid.steps", grid),
    )
    preparing = (
        *problem_seconds(how, pool, dimensions, f"data.pool, grid.steps or {grid}", finer="data.refinement"),
        *problem_seconds(
            dataclasses.replace(how, steps=how.steps * config.evaluation.horizon, every=None),
            watched,
            dimensions,
            f"evaluation.cases, evaluation.horizon or {grid}",
            finer="data.refinement",
        ),
    )
    return TrainingNeeds(shared, each, preparing, update, training.updates, _disk(config, policy))


def control_needs(config: ControlConfig, policy: AbstractPolicy, state: jax.ShapeDtypeStruct) -> TrainingNeeds:
    """Of a controller; `state`: the description of one state of its system."""
    training, horizon, values = config.training, real(config.horizon), float(state.size)
    kept = _kept(horizon, training.segment)
    data, sizes = config.data, "data.train, data.test or the system's size"
    states, larger = real(data.train + data.test), real(max(data.train, data.test))
    one = real(training.batch) * values * jnp.dtype(training.precision).itemsize
    measured = horizon * larger * values * float_bytes()
    shared = (
        Need(f"{number(states)} states of {number(values)} numbers", states * values * float_bytes(), sizes),
        Need(f"{number(horizon)} steps from {number(larger)} states", measured, f"horizon, {sizes}"),
    )
    each = (
        _state(config, policy),
        Need(f"{number(kept)} steps from {number(training.batch)} states", kept * one, _batch("horizon")),
    )
    seconds = least_seconds(horizon, training.batch, parameters_of(policy), training=True)
    update = Need(f"{number(horizon)} steps from {number(training.batch)} states", seconds, _batch("horizon"))
    return TrainingNeeds(shared, each, (), update, training.updates, _disk(config, policy))


def _kept(steps: float, segment: int | None) -> float:
    """Of how many steps the state is kept for the way back."""
    return real(steps) if segment is None else -(-real(steps) // segment) + min(real(segment), real(steps))


def _batch(*more: str) -> str:
    return f"training.batch, {', '.join(more[:-1])} or {more[-1]}" if len(more) > 1 else f"training.batch or {more[0]}"


def _count(config: SchemeConfig, names: tuple[str, ...], drawn: int) -> int:
    """How many problems there are: named ones, and so many of those that are drawn."""
    if not names:
        return drawn
    random = [name for name in names if (draws_own(name) if is_own(name) else config.problems.case(name).draws)]
    draws = max(1, drawn // len(names)) if names is config.data.conditions else drawn
    return len(names) - len(random) + len(random) * draws


def _sizes(config: Config, policy: AbstractPolicy) -> tuple[float, float]:
    """Bytes of the policy, and of what the optimiser keeps beside it."""
    arrays = eqx.filter(policy, lambda leaf: hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact))
    kept = jax.eval_shape(build_optimizer(config.optimizer, config.training.updates).init, arrays)
    return sum_bytes(arrays), sum_bytes(kept)


def _state(config: Config, policy: AbstractPolicy) -> Need:
    weights, kept = _sizes(config, policy)
    what = f"{number(parameters_of(policy))} weights with their gradient and what the optimiser keeps"
    return Need(what, 2 * weights + kept, "policy.hidden")


def _disk(config: Config, policy: AbstractPolicy) -> tuple[Need, ...]:
    """One checkpoint at every evaluation, and the newest of them kept."""
    weights, kept = _sizes(config, policy)
    portion = max(config.evaluation.every, config.training.dispatch)
    newest = max(1, min(config.checkpoint.keep, config.training.updates // portion))
    return (
        Need(f"{number(newest)} checkpoints", newest * (weights + kept), "checkpoint.keep or policy.hidden"),
        Need("the best policy", weights, "policy.hidden"),
    )
