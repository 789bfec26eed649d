"""From a configuration to the experiment of a system to be controlled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from undertow._checks import UndertowError, lookup, require
from undertow._limits import Need, number, real, require_memory
from undertow._tree import cast
from undertow._types import Key
from undertow.assembly.control_judge import ControlJudge
from undertow.assembly.experiment import Experiment, Measure, read_policy, run_once
from undertow.assembly.needs import TrainingNeeds, control_needs, require_policy
from undertow.config import CartPoleTask, ContactTask, ControlConfig, GuidanceTask, QuantumTask
from undertow.core.environment import AbstractControlled
from undertow.core.flow import FULL
from undertow.core.objective import AbstractObjective, ActionCost, Cost, FinalCost, Problem, RunningCost
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.core.unroll import Rematerialise
from undertow.envs.cartpole import CartPole, Upright, published_cartpoles, random_cartpole
from undertow.envs.contact import Pusher, RestAtTarget, random_pusher
from undertow.envs.guidance import DistanceToTarget, Guidance, published_guidance, random_guidance
from undertow.envs.quantum import Infidelity, QuantumBox, eigenstate, published_waves, random_wave
from undertow.evaluation.statistics import mean
from undertow.policies.controller import Controller, WaveController


@dataclass(frozen=True)
class System:
    """A system, the cost of its states, how initial states are drawn, and the shape of its actions.

    `sets`: `(count, seed) -> states`, where the training's and the test's states come from, one after the other.
    """

    environment: AbstractControlled
    cost: Cost
    draw: Callable[[Key], Array]
    sets: Callable[[int, int], Array]
    action_shape: tuple[int, ...]


def make_system(config: ControlConfig) -> System:
    """The system of a configuration. Raises `UndertowError` for numbers it cannot have."""
    if isinstance(config, CartPoleTask):
        cart = config.system
        _require_state(cart.poles, "system.poles")
        require(
            cart.pole_mass < cart.total_mass,
            f"system.total_mass holds the cart and its poles, and must be above system.pole_mass={cart.pole_mass}, "
            f"got {cart.total_mass}",
        )
        return System(
            CartPole(cart.gravity, cart.pole_mass, cart.total_mass, cart.half_length, cart.dt),
            Upright(),
            lambda key: random_cartpole(key, cart.poles),
            lambda count, seed: published_cartpoles(count, cart.poles, seed),
            (1,),
        )
    if isinstance(config, GuidanceTask):
        herd = config.system
        _require_state(herd.drivers + herd.evaders, "system.drivers or system.evaders")

        def place(key: Key) -> Array:
            return random_guidance(key, herd.drivers, herd.evaders)

        return System(
            Guidance(herd.drivers, herd.corrected, dt=herd.dt),
            DistanceToTarget(herd.drivers, herd.target),
            place,
            lambda count, seed: published_guidance(count, herd.drivers, herd.evaders, seed),
            (herd.drivers, 2),
        )
    if isinstance(config, QuantumTask):
        box = config.system
        _require_state(box.points, "system.points")
        eigenstate(box.level, box.points)  # a level that the box does not have is told from here

        def wave(key: Key) -> Array:
            return random_wave(key, box.points, box.weights)

        def waves(count: int, seed: int) -> Array:
            return published_waves(count, box.points, box.weights, seed)

        return System(QuantumBox(box.length, box.dt), Infidelity(box.level), wave, waves, (1,))
    if isinstance(config, ContactTask):
        contact = config.system
        pusher = Pusher(
            contact.substeps, contact.stiffness, contact.damping_ratio, friction=contact.friction, dt=contact.dt
        )

        def approach(key: Key) -> Array:
            return random_pusher(key, contact.dimensions)

        return System(pusher, RestAtTarget(), approach, _drawn(approach), (contact.dimensions,))
    raise UndertowError(f"there is no system for a {type(config).__name__}")


def _require_state(parts: int, change: str) -> None:
    """Raise `UndertowError` if one state of so many parts does not fit: two numbers of each, and what they are drawn with."""
    require_memory([Need(f"a state of {number(parts)} parts", 32 * real(parts), change)], host=True)


def _drawn(draw: Callable[[Key], Array]) -> Callable[[int, int], Array]:
    return lambda count, seed: run_once(lambda key: jax.vmap(draw)(jax.random.split(key, count)), jax.random.key(seed))


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
    else:
        make = partial(Controller, math.prod(seen.shape), system.action_shape, hidden=chosen.hidden, **shared)

    def first(key: Key) -> AbstractPolicy:
        return cast(make(key=jax.random.fold_in(key, 0)), config.training.precision)

    return first


def needs_of_control(config: ControlConfig) -> TrainingNeeds:
    """What its training takes at least; nothing large is made for it. Raises `UndertowError` for what cannot work."""
    check_control(config)
    system = make_system(config)
    policy = eqx.filter_eval_shape(_first_controller(config, system), jax.random.key(0))
    return control_needs(config, policy, jax.eval_shape(system.draw, jax.random.key(0)))


def make_control_objective(config: ControlConfig, cost: Cost) -> AbstractObjective:
    """The cost of the last state or of all, plus the action's."""
    chosen = config.objective
    kinds: dict[str, Callable[[], AbstractObjective]] = {
        "final": lambda: FinalCost(cost),
        "running": lambda: RunningCost(cost, chosen.reduction),
    }
    objective = lookup("objective", chosen.name, kinds)()
    return objective + chosen.action_cost * ActionCost() if chosen.action_cost else objective


def control_sets(config: ControlConfig, system: System) -> tuple[Problem, Problem]:
    """Training and test problems, in default precision."""
    data = config.data
    states = system.sets(data.train + data.test, data.seed)
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
    system = make_system(config)
    task = Task(
        make_control_objective(config, system.cost),
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
