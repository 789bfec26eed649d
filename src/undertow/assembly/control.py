"""From a configuration to the experiment of a system to be controlled."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import numpy as np

from undertow._checks import lookup, require
from undertow._own import is_own
from undertow._tree import cast
from undertow._types import Key
from undertow.assembly.control_judge import ControlJudge
from undertow.assembly.experiment import Experiment, Measure, read_policy, run_once
from undertow.assembly.needs import TrainingNeeds, control_needs, require_policy
from undertow.assembly.own import own_controller
from undertow.config import ControlConfig
from undertow.core.flow import FULL
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.core.unroll import Rematerialise
from undertow.evaluation.statistics import mean
from undertow.policies.controller import Controller, WaveController
from undertow.tasks.task import System


def make_controller(config: ControlConfig, system: System, seed: int | None = None) -> AbstractPolicy:
    """The controller with its first weights, in the training's precision. They depend on `seed` alone (default: the
    configuration's)."""
    first, key = _first_controller(config, system), jax.random.key(config.seed if seed is None else seed)
    require_policy(eqx.filter_eval_shape(first, key))
    policy = run_once(first, key)
    return policy if config.policy.start is None else read_policy(config.policy.start, policy)


def _first_controller(config: ControlConfig, system: System) -> Callable[[Key], AbstractPolicy]:
    chosen = config.policy
    state = jax.eval_shape(system.draw, jax.random.key(0))
    seen = jax.eval_shape(system.environment.observe, state)
    shared: dict[str, Any] = {"activation": chosen.activation, "zero_last": chosen.zero_last}
    if chosen.name == "cnn":
        require(
            len(seen.shape) == 2 and seen.shape[1] == 2 and system.action_shape == (1,),
            f"the cnn sees waves, (points, 2), and gives one number; {config.family} has observations of shape "
            f"{seen.shape} and actions of shape {system.action_shape}; take --policy.name mlp",
        )
        make: Callable[..., AbstractPolicy] = partial(WaveController, seen.shape[0], channels=chosen.channels, **shared)
    elif is_own(chosen.name):
        make = partial(own_controller, chosen.name, seen.shape, system.action_shape)
    else:
        make = partial(Controller, math.prod(seen.shape), system.action_shape, hidden=chosen.hidden, **shared)

    def first(key: Key) -> AbstractPolicy:
        return cast(make(key=jax.random.fold_in(key, 0)), config.training.precision)

    return first


def needs_of_control(config: ControlConfig) -> TrainingNeeds:
    """What its training takes at least; nothing large is made for it. Raises `UndertowError` for what cannot work."""
    check_control(config)
    system = config.task.system(config.system)
    policy = eqx.filter_eval_shape(_first_controller(config, system), jax.random.key(0))
    return control_needs(config, policy, jax.eval_shape(system.draw, jax.random.key(0)))


def control_sets(config: ControlConfig, system: System) -> tuple[Problem, Problem]:
    """Training and test problems, in default precision."""
    data = config.data
    count = data.train + data.test
    if system.published is None:
        draw = jax.vmap(system.draw)
        states = run_once(lambda key: draw(jax.random.split(key, count)), jax.random.key(data.seed))
    else:
        states = system.published(count, data.seed)
    return Problem(system.environment, states[: data.train]), Problem(system.environment, states[data.train :])


def check_control(config: ControlConfig) -> None:
    """What the configuration alone tells. Raises `UndertowError`."""
    batch = config.training.batch
    require(
        batch <= config.data.train,
        f"training.batch={batch} is larger than the pool of {config.data.train} states",
    )


def build_control(config: ControlConfig) -> Experiment:
    """The experiment of a controlled system. Raises `UndertowError` for what cannot work."""
    check_control(config)
    training = config.training
    system = config.task.system(config.system)
    task = Task(
        config.objective.of(system.cost),
        config.horizon,
        segment=training.segment,
        rematerialise=_rematerialised(config),
    )
    # Drawn once: for the check, the training, what is measured and the judge.
    sets = cache(lambda: control_sets(config, system))
    judge = ControlJudge(
        config,
        system.environment,
        system.cost,
        task,
        system.draw,
        system.action_shape,
        sets,
    )
    for name in judge.suites:
        lookup("suite", name, judge.known)

    def make_pool() -> Problem:
        return cast(sets()[0], training.precision)

    return Experiment(
        config=config,
        task=task,
        policy=make_controller(config, system),
        make_policy=lambda seed: make_controller(config, system, seed),
        noisy=False,
        make_pool=make_pool,
        make_measure=lambda: make_control_measure(task, sets()),
        make_sets=lambda: dict(zip(("train", "test"), sets(), strict=True)),
        check=lambda: _check_states(sets()),
        judge=judge,
    )


def _rematerialised(config: ControlConfig) -> Rematerialise:
    """As configured; but segments, and steps' contributions one by one, need the step-by-step way back."""
    training = config.training
    alone = training.segment is None and config.gradient != "norm-balanced"
    return training.rematerialise if alone or training.rematerialise != "adjoint" else "step"


def _check_states(sets: tuple[Problem, Problem]) -> None:
    for name, problems in zip(("training", "test"), sets, strict=True):
        bad = ~np.isfinite(np.asarray(problems.state)).reshape(len(problems.state), -1).all(axis=1)
        require(not bad.any(), f"{name} state {int(np.argmax(bad))} is not finite; check the system's numbers")


def make_control_measure(task: Task, sets: tuple[Problem, Problem]) -> Measure:
    """Mean losses on the training and the test states, of a policy in default precision."""
    losses = eqx.filter_jit(lambda policy, problems: task.losses(policy, FULL, problems))

    def measure(policy: AbstractPolicy) -> dict[str, float]:
        train, test = (np.asarray(losses(policy, problems)) for problems in sets)
        bad = int(np.sum(~np.isfinite(train)) + np.sum(~np.isfinite(test)))
        return {"train_loss": float(mean(train)), "test_loss": float(mean(test)), "non_finite": bad}

    return measure
