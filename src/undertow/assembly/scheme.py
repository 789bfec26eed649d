"""Learned schemes for conservation laws: law, policy, objective, data and measurements from a `SchemeConfig`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import choice, require
from undertow._own import is_own, target_of
from undertow._tree import cast, concatenate
from undertow.assembly import own
from undertow.assembly.experiment import Experiment, Measure, read_policy
from undertow.assembly.judge import SchemeJudge
from undertow.assembly.needs import TrainingNeeds, require_policy, scheme_needs
from undertow.assembly.scheme_checks import check_library, check_scales, check_scheme, check_states
from undertow.config import ObjectiveConfig, SchemeConfig
from undertow.config.baseline import LIBRARY, OFF_POLICY
from undertow.core.flow import FULL
from undertow.core.objective import AbstractObjective, Problem, as_objective
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.envs import rewards, squash
from undertow.envs.collection import Members
from undertow.envs.collection import make_suite as collect
from undertow.envs.combination import AbstractCombination, AdjacentAverage, StencilCombination
from undertow.envs.consistency import ConsistencyHi, ConsistencyLo, FineStep
from undertow.envs.families import draw, training_numbers
from undertow.envs.field_suites import with_constants
from undertow.envs.objectives import LogTrajectoryError, TrajectoryError
from undertow.envs.penalties import ConservationPenalty, TotalVariationPenalty, WeightCloning
from undertow.envs.pools import Discretised, Truth, make_pool
from undertow.envs.truth import batches, common_form
from undertow.evaluation.statistics import geometric_mean, mean
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.laws.cases import Initial, as_field
from undertow.laws.law import constants_of
from undertow.laws.source import random_source
from undertow.numerics.boundary import BOUNDARIES
from undertow.numerics.integrator import INTEGRATORS
from undertow.policies.classical import classical
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.splitting import SPEEDS

# Numbers of random conditions (see `undertow.envs.suites`) between those of the suites, from 0 on, and the trainings'.
_WATCHED_FROM = 500_000
BOUND = 5.0
"""Of the network's outputs, where a method needs one and none is given."""


def make_policy(config: SchemeConfig) -> AbstractPolicy:
    """The policy with its first weights, in the training's precision. They depend on `seed` alone.

    **Raises:** `UndertowError` for a network that does not fit into memory, before any of it is made.
    """
    require_policy(eqx.filter_eval_shape(lambda: _first_policy(config)))
    policy = _first_policy(config)
    return policy if config.policy.start is None else read_policy(config.policy.start, policy)


def _first_policy(config: SchemeConfig) -> AbstractPolicy:
    chosen, order = config.policy, config.grid.order
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    bound = BOUND if chosen.bound is None and config.method in OFF_POLICY else chosen.bound
    shared = {"key": key, "order": order, "hidden": chosen.hidden, "noise": chosen.noise, "bound": bound}
    policy: AbstractPolicy
    if is_own(chosen.name):
        policy = own.own_scheme_policy(chosen.name, order, key)
    elif chosen.name == "paired":
        policy = PairedPolicy(**shared, activation=chosen.activation, first_scale=chosen.first_scale)
    else:
        policy = DirectionalPolicy(
            **shared,
            activation=chosen.activation,
            prior=chosen.prior,
            epsilon=chosen.epsilon,
            threshold=chosen.threshold,
            freedom=chosen.freedom,
        )
    return cast(policy, config.training.precision)


def make_objective(objective: ObjectiveConfig, order: int, every: int, *, viscous: bool = False) -> AbstractObjective:
    """The objective: the distance to the truth or the published reward, plus the penalties that are switched on.

    With `viscous` a finer grid is marched in steps that diffusion bears there.
    """
    comparator = classical(objective.comparator, order)
    kinds: dict[str, Callable[[], AbstractObjective]] = {
        "trajectory": lambda: TrajectoryError(every),
        "log-trajectory": lambda: LogTrajectoryError(every, objective.floor, objective.penalty),
        "reward": lambda: _reward(objective, comparator, viscous),
    }
    chosen = as_objective(target_of(objective.name, "objective.name")) if is_own(objective.name) else None
    total = kinds[objective.name]() if chosen is None else chosen
    if objective.conservation:
        total = total + objective.conservation * ConservationPenalty()
    if objective.total_variation:
        total = total + TotalVariationPenalty(objective.total_variation)
    if objective.cloning:
        total = total + objective.cloning * WeightCloning(comparator)
    return total


def _reward(objective: ObjectiveConfig, comparator: AbstractPolicy, viscous: bool) -> AbstractObjective:
    full = rewards.FullError(None if objective.against == "truth" else comparator)
    # Two fine steps per step: the finer grid is then marched at the Courant number of the coarse one; four for its diffusion.
    fine = FineStep(comparator, substeps=4 if viscous else 2)
    errors = {
        "one-step": rewards.OneStepError(comparator),
        "full": full,
        "change": rewards.ChangeError(full),
        "consistency-lo": ConsistencyLo(fine),
        "consistency-hi": ConsistencyHi(fine),
    }
    error = errors[objective.error]
    if objective.clipped:
        error = rewards.ClippedError(error)
    combination: AbstractCombination = AdjacentAverage()
    if objective.combination != "adjacent":
        combination = StencilCombination(objective.combination.removeprefix("stencil-"))
    squashes = {
        "arctan": squash.ArctanSquash(objective.scale),
        "log": squash.LogSquash(),
        "none": squash.NoSquash(),
    }
    return rewards.Reward(error, combination, squashes[objective.squash], components=objective.components)


def make_discretised(
    config: SchemeConfig, *, times: int = 1, every: int | None = None, truth: Truth | None = None
) -> Discretised:
    """How conditions become problems, over `times` times the training's horizon; with another `truth` than the training's."""
    whole = config.grid.complete()
    steps = times * whole.steps
    return Discretised(
        config.law.make(),
        whole.num_cells,
        steps,
        times * whole.end_time,
        order=config.grid.order,
        integrator=INTEGRATORS[config.grid.integrator],
        speed=SPEEDS[config.grid.speed],
        truth=config.data.truth if truth is None else truth,
        refinement=config.data.refinement,
        every=every,
        reconstruction=config.grid.reconstruction,
        limiter=PositivityLimiter() if config.grid.positivity else None,
    )


def compared_every(config: SchemeConfig, steps: int) -> int:
    """After how many steps the training compares with the truth."""
    if config.objective.name == "reward" and config.objective.against == "truth":
        return 1  # a reward after every step
    every = steps if config.data.every is None else config.data.every
    require(
        1 <= every <= steps and steps % every == 0,
        f"data.every must divide the number of steps, {steps}, so that the end is compared too; got {every}",
    )
    return every


def named_conditions(names: tuple[str, ...], boundary: str | None, seed: int, draws: int) -> list[Initial]:
    """The named conditions, in one structure where possible; of each random family `draws` samples."""
    if boundary is not None:
        choice("boundary", boundary, BOUNDARIES)
    conditions: list[Initial] = []
    for index, name in enumerate(names):
        key = jax.random.fold_in(jax.random.key(seed), 1 + index)
        if is_own(name):
            conditions += own.own_conditions(name, key, draws)
            continue
        burgers_condition(name, boundary=boundary)  # an unknown name or a forced boundary is told from here
        keys = jax.random.split(key, 1 if BURGERS_CONDITIONS[name].draw is None else draws)
        conditions += [common_form(burgers_condition(name, key=k, boundary=boundary)) for k in keys]
    return conditions


def training_data(config: SchemeConfig) -> Members:
    """The initial conditions to train on, as batches of one structure each with their places in the pool."""
    data = config.data
    if data.conditions:
        draws = max(1, data.pool // len(data.conditions))
        return _named(config, data.conditions, config.seed, draws)
    return _random(config, training_numbers(config.seed, data.pool))


def watched_data(config: SchemeConfig) -> Members:
    """The initial conditions to measure on while training: never the training's own random ones, never a suite's."""
    watched = config.evaluation
    if watched.conditions:
        return _named(config, watched.conditions, _WATCHED_FROM, watched.cases)
    return _random(config, _WATCHED_FROM + np.arange(watched.cases))


def _named(config: SchemeConfig, names: tuple[str, ...], seed: int, draws: int) -> Members:
    problems = config.problems
    if problems.brings_law and not any(map(is_own, names)):
        # On their own domains and to the time that the configuration says, with nothing rescaled.
        return batches([as_field(problems.case(name).field()).shared_form() for name in names])
    return batches(named_conditions(names, config.data.boundary, seed, draws))


def _random(config: SchemeConfig, numbers: np.ndarray) -> Members:
    problems, law = config.problems, config.law
    drawn = draw(problems.family, numbers)
    if problems.brings_law:
        names = [name for name in constants_of(law.entry.law) if name != "viscosity"]
        drawn = with_constants(as_field(drawn), law.constants_among(names))
    return [(drawn, range(len(numbers)))]


def count_members(members: Members) -> int:
    """How many conditions there are."""
    return sum(len(places) for _, places in members)


def make_problems(config: SchemeConfig, discretised: Discretised, members: Members) -> Problem:
    """Problems with their truth and WENO-JS's error; those whose exact solution does not hold to the end are left out.

    With a source every problem has a random one of its own.
    """
    if config.law.source > 0:
        pools = []
        for index, (conditions, places) in enumerate(members):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), 2), index)
            keys = jax.random.split(key, len(places))
            sources = jax.vmap(lambda k: random_source(k, config.law.source))(keys)
            pools.append(make_pool(discretised, conditions, sources))
        return concatenate(pools)
    cases = [str(place) for place in range(count_members(members))]
    collection = collect("problems", "", discretised, members, cases)
    names = config.data.conditions or config.evaluation.conditions
    require(
        not (collection.left_out and len(cases) == len(names)),
        f"the exact solution of some of {', '.join(names)} does not hold until t = {discretised.end_time:g}: waves "
        "come back through an open end; shorten the time or take --data.truth fine",
    )
    problems = collection.problems
    every = discretised.every
    if every is None or every == discretised.steps:
        return problems
    truth = jnp.asarray(collection.truth_every(every))
    return eqx.tree_at(lambda p: p.reference.values, problems, truth)


def needs_of_scheme(config: SchemeConfig) -> TrainingNeeds:
    """What its training takes at least; nothing large is made for it. Raises `UndertowError` for what cannot work."""
    check_scheme(config)
    every = compared_every(config, config.grid.complete().steps)
    policy = eqx.filter_eval_shape(lambda: _first_policy(config))
    return scheme_needs(config, policy, make_discretised(config, every=every))


def build_scheme(config: SchemeConfig) -> Experiment:
    """The experiment of a learned scheme. Raises `UndertowError` for what cannot work."""
    check_scheme(config)
    whole = config.grid.complete()
    every = compared_every(config, whole.steps)
    objective = make_objective(config.objective, config.grid.order, every, viscous=config.law.viscosity > 0)
    if config.method == "cloning":
        objective = WeightCloning(classical(config.objective.comparator, config.grid.order), held=True)
    task = Task(
        objective,
        whole.steps,
        segment=config.training.segment,
        rematerialise=config.training.rematerialise,
    )
    # The distance to the truth is a reward once it is known after every step.
    stepwise = config.method in LIBRARY and config.objective.name != "reward"
    discretised = make_discretised(config, every=1 if stepwise else every)
    members = cache(lambda: training_data(config))

    def check() -> None:
        check_library(config.method)
        size = count_members(members())
        require(
            config.training.batch <= size,
            f"training.batch={config.training.batch} is larger than the pool of {size} problems",
        )
        check_states(discretised, members(), whole.dt)

    def make_training_pool() -> Problem:
        pool = make_problems(config, discretised, members())
        if config.objective.name != "reward":
            check_scales(pool, config.data.conditions)
        return cast(pool, config.training.precision)

    return Experiment(
        config=config,
        task=task,
        policy=make_policy(config),
        make_policy=lambda seed: make_policy(replace(config, seed=seed)),
        noisy=config.policy.noise > 0,
        make_pool=make_training_pool,
        make_measure=lambda: _make_measure(config, task, every),
        make_sets=lambda: {
            "test": make_problems(config, replace(discretised, truth=_watched_truth(config)), watched_data(config))
        },
        check=check,
        judge=SchemeJudge(config, config.law.make()),
    )


def _watched_truth(config: SchemeConfig) -> Truth:
    """The training's truth. Where it is exact for named systems or planes, of the random ones that are watched it is the best."""
    drawn = config.problems.brings_law and not config.evaluation.conditions
    return "best" if drawn and config.data.truth == "exact" else config.data.truth


def _make_measure(config: SchemeConfig, task: Task, every: int) -> Measure:
    """The metrics of `EvaluationConfig`, of a policy in default precision on the watched conditions."""
    truth = _watched_truth(config)
    discretised = make_discretised(config, times=config.evaluation.horizon, truth=truth)
    members = watched_data(config)
    problems = make_problems(config, discretised, members)
    check_scales(problems, config.evaluation.conditions)
    scales = np.asarray(problems.reference.scale)
    ending = Task(TrajectoryError(discretised.steps), discretised.steps)
    losses = eqx.filter_jit(lambda task, policy, problems: task.losses(policy, FULL, problems))
    trained_on = None
    if config.objective.name == "reward" or config.evaluation.keep_by == "objective":
        trained_on = make_problems(config, make_discretised(config, every=every, truth=truth), members)

    def measure(policy: AbstractPolicy) -> dict[str, float]:
        ratios = np.asarray(losses(ending, policy, problems))
        metrics = {
            "ratio": float(geometric_mean(ratios)),
            "worst": float(np.max(ratios)),
            "l1": float(mean(ratios * scales)),
            "non_finite": int(np.sum(~np.isfinite(ratios))),
        }
        if trained_on is not None:
            metrics["objective"] = float(mean(np.asarray(losses(task, policy, trained_on))))
        return metrics

    return measure
