"""What can be wrong with a `SchemeConfig` or its data, found before the long work."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from undertow._checks import UndertowError, choice, import_extra, lookup, require
from undertow._own import is_own
from undertow._tree import take
from undertow.assembly.own import own_condition
from undertow.config import SchemeConfig
from undertow.config.baseline import LIBRARY
from undertow.core.objective import Problem
from undertow.envs.collection import Members
from undertow.envs.placing import point_values
from undertow.envs.pools import Discretised
from undertow.envs.suites import SUITES
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.cases import Initial, Problems, as_field
from undertow.laws.exact import has_exact_solution
from undertow.laws.fields import AbstractField
from undertow.laws.speeds import check_own
from undertow.numerics.boundary import BOUNDARIES
from undertow.numerics.integrator import INTEGRATORS
from undertow.schemes.positivity import check_limited
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import check_finite, check_step


def check_scheme(config: SchemeConfig) -> None:
    """What the configuration alone tells. Raises `UndertowError`."""
    require(
        config.training.rematerialise != "adjoint",
        "training.rematerialise adjoint is for controllers, which are asked once per step; take step",
    )
    require(config.data.refinement % 2 == 1, f"data.refinement must be odd, got {config.data.refinement}")
    problems, law = config.problems, config.law.make()
    for name in config.evaluation.suites:
        lookup("suite", name, SUITES).check_law(law)
    if config.data.boundary is not None:
        choice("boundary", config.data.boundary, BOUNDARIES)
        require(
            bool(config.data.conditions + config.evaluation.conditions),
            "data.boundary is for named conditions, and random ones have their own; name some with data.conditions or "
            "leave it out",
        )
    if config.grid.positivity:
        check_limited(INTEGRATORS[config.grid.integrator])
    _check_method(config)
    if config.data.truth == "exact" and not (problems.brings_law and config.data.conditions):
        require(
            has_exact_solution(law) and config.law.source == 0 and not problems.brings_law,
            f"{config.law.name} with viscosity, a source, random systems or planes has no exact solution; take --data.truth fine",
        )
    names = config.data.conditions + config.evaluation.conditions
    own = [name for name in names if is_own(name)]
    _check_own(config, own)
    names = tuple(name for name in names if name not in own)
    if problems.brings_law:
        _check_fields(config, problems, names)
        return
    for name in names:
        condition = burgers_condition(name, boundary=config.data.boundary)
        require(
            config.data.truth != "exact" or has_exact_solution(law, condition),
            f"condition {name!r} has a {condition.boundary} boundary, with which {config.law.name} has no exact solution; "
            "choose another with --data.boundary, or take --data.truth fine",
        )


def _check_own(config: SchemeConfig, names: list[str]) -> None:
    """Initial conditions of one's own: fields are of the law, and what counts as the truth is there."""
    kind, law = config.law.entry.law, config.law.make()
    for name in names:
        condition = own_condition(name, jax.random.key(0))
        if isinstance(condition, AbstractField):
            require(
                isinstance(condition.law, kind),
                f"condition {name!r} belongs to {type(condition.law).__name__}, not to {config.law.name}; name another law",
            )
            axes = len(condition.lower)
            require(axes == config.grid.dimensions, f"{name} has {axes} axes; set grid.dimensions to it")
        require(
            config.data.truth != "exact" or has_exact_solution(law, condition),
            f"condition {name!r} has no exact solution; take --data.truth fine",
        )


def _check_method(config: SchemeConfig) -> None:
    if config.method == "bptt":
        return
    plain = config.gradient == "full" and config.gates is None and config.window is None
    require(
        plain, f"method {config.method} takes no gradient through time; leave gradient, gates and window as they are"
    )
    if config.method in LIBRARY:
        require(config.policy.noise == 0, f"method {config.method} explores by itself; set policy.noise to 0")
        objective = config.objective
        extra = objective.conservation or objective.total_variation or objective.cloning or config.data.every
        require(
            objective.name == "reward" or not extra,
            f"method {config.method} makes rewards of the distance to the truth at the end alone: leave data.every and the "
            "objective's conservation, total_variation and cloning out, or take --objective.name reward",
        )


def check_library(method: str) -> None:
    """Raise `UndertowError` where a method's library is not installed, or broken."""
    if method in LIBRARY:
        import_extra(f"method {method} needs Stable-Baselines3", "baselines", "stable_baselines3", "torch")


def _check_fields(config: SchemeConfig, problems: Problems, names: tuple[str, ...]) -> None:
    """Of systems and planes, which bring their law, boundaries and domain."""
    require(
        config.law.viscosity == 0 and config.law.source == 0,
        f"problems of {config.law.name} in {config.grid.dimensions} dimensions have neither viscosity nor source; set "
        "law.viscosity and law.source to 0",
    )
    require(config.data.boundary is None, "these problems have their own boundaries; leave data.boundary out")
    kind = config.law.entry.law
    fields = {name: as_field(problems.case(name).field()) for name in names}
    for name, field in fields.items():
        require(
            isinstance(field.law, kind),
            f"condition {name!r} belongs to {type(field.law).__name__}, not to {config.law.name}; name another",
        )
        require(
            field.solvable or config.data.truth != "exact",
            f"condition {name!r} has no exact solution; take --data.truth fine",
        )
    domains = {name: (field.lower, field.upper) for name, field in fields.items()}
    require(
        len(set(domains.values())) <= 1,
        f"problems trained or evaluated on together share a domain, got {domains}; name some with the same one",
    )


def check_states(discretised: Discretised, members: Members, dt: float) -> None:
    """Non-finite values in an initial state, what waves and diffusion ask of the time step."""
    for batch, _ in members:
        scheme, states = _initial_states(discretised, batch)
        flat = states.reshape(len(states), -1)
        for state in states[~np.isfinite(flat).all(axis=1)]:
            check_finite(state)
        check_own(scheme.law, jnp.asarray(states[0]))
        fastest = np.argmax(np.asarray(jax.jit(jax.vmap(scheme.domain.speed_over_dx))(jnp.asarray(states))))
        check_step(scheme, jnp.asarray(states[fastest]), dt, discretised.integrator, steps=discretised.steps)


def _initial_states(discretised: Discretised, batch: Initial) -> tuple[SemiDiscrete, np.ndarray]:
    """The scheme of a batch's first condition, and the values of all, `"cases chan cells"`, from one program."""

    def make(batch: Initial) -> tuple[SemiDiscrete, Array]:
        scheme = discretised.environment(take(batch, 0)).scheme
        return scheme, eqx.filter_vmap(lambda condition: point_values(condition, scheme.grid))(batch)

    scheme, states = eqx.filter_jit(make)(batch)
    return scheme, np.asarray(states)


def check_scales(pool: Problem, names: tuple[str, ...]) -> None:
    """The objective is relative to WENO-JS's error: where there is none, or no truth, nothing can be learned."""
    scales = np.asarray(pool.reference.scale)
    truth = np.asarray(pool.reference.values)[:, :, list(pool.environment.scheme.law.judged)]
    largest = np.abs(truth).reshape(len(truth), -1).max(axis=1)
    bad = np.argwhere(~np.isfinite(scales) | (scales <= 1e-12 * largest)).ravel()
    if len(bad):
        which = f"condition {names[bad[0]]!r}" if len(names) == len(scales) else f"training problem {bad[0]}"
        raise UndertowError(
            f"WENO-JS's own error on {which} is {scales[bad[0]]:.3g}, and nothing can be measured relative to that; "
            "leave it out"
        )
