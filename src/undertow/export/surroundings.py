"""What a policy acts in: the scheme it completes or the system it controls, as plain values and as one step to be compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, require
from undertow._tree import take
from undertow.assembly.scheme import make_discretised, training_data
from undertow.config import Config, ControlConfig, SchemeConfig
from undertow.core.flow import closed_loop
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import Conservation, FieldState
from undertow.export.describe import constants
from undertow.laws.cases import Initial
from undertow.laws.fields import AbstractField
from undertow.numerics.boundary import BOUNDARIES
from undertow.numerics.timestep import FixedStep
from undertow.schemes.domain import Domain
from undertow.schemes.semidiscrete import SemiDiscrete

_BOUNDARY = (
    "ghost cell j outside an end is: periodic, the cell at the other end; outflow, the edge cell; reflective, the j-th cell "
    "inside, with the sign of `parity`; linear and quadratic, the polynomial through the last two or three cells"
)
_SPLITTING = (
    "f+- = (f +- alpha u) / 2; alpha is the largest |characteristic speed|: GlobalSpeed of the row, ghost cells included; "
    "LocalSpeed of the two cells at the face; SmoothSpeed (sum s^power)^(1/power), s^2 = speed^2 + delta^2 (of a gas "
    "(sqrt(v^2 + delta^2 c^2) + c)^2)"
)


@dataclass(frozen=True)
class Surroundings:
    """What a policy acts in.

    - `key`, `about`: the part of `policy.json`: `scheme` or `system`.
    - `observation`: the shape of one observation for the policy alone.
    - `step(policy)`: the function of one sample that is one whole step; `inputs`, `outputs`: names and shapes of what goes in
        and comes out, without a batch; None stands for one number.
    """

    key: str
    about: dict[str, Any]
    observation: tuple[int, ...]
    step: Callable[[AbstractPolicy], Callable[..., Any]]
    inputs: Mapping[str, tuple[int, ...] | None]
    outputs: Mapping[str, tuple[int, ...]]


def surroundings(config: Config, *, cells: int | None, boundary: str | None) -> Surroundings:
    """What the policy of a configuration acts in; `cells` and `boundary` are for the step of a scheme.

    **Raises:** `UndertowError` for numbers that cannot work, or given to a controller.
    """
    if isinstance(config, SchemeConfig):
        return _scheme(config, cells, boundary)
    if isinstance(config, ControlConfig):
        require(
            cells is None and boundary is None, f"cells and boundary are for learned schemes, not for {config.family}"
        )
        return _system(config)
    raise UndertowError(f"no description is made of what a {type(config).__name__} trains")


# --- learned schemes --------------------------------------------------------------------------------------------------


def _scheme(config: SchemeConfig, cells: int | None, boundary: str | None) -> Surroundings:
    whole = config.grid.complete()
    require(cells is None or cells >= 1, f"cells must be at least 1, got {cells}")
    condition = first_condition(config)
    grid = replace(config.grid, num_cells=cells or whole.num_cells, dt=None, steps=whole.steps, end_time=whole.end_time)
    environment = make_discretised(replace(config, grid=grid)).environment(condition)
    kinds = (
        (boundary,) * len(environment.scheme.domain.boundary) if boundary is not None else _boundary(config, condition)
    )
    for kind in kinds:
        choice("boundary", kind, BOUNDARIES)
    scheme = _with_boundary(environment.scheme, kinds)
    shape = (scheme.law.num_components, *scheme.grid.num_cells)

    def step(policy: AbstractPolicy) -> Callable[..., Any]:
        def one(u: Float[Array, "chan *cells"], dt: Float[Array, ""]) -> Float[Array, "chan *cells"]:
            loop = closed_loop(Conservation(scheme, FixedStep(dt), environment.integrator), policy)
            return loop(FieldState(u, jnp.zeros((), u.dtype)))[0].u

        return one

    law = scheme.law
    about = {
        "equation": "u_t + sum_a f_a(u)_{x_a} = viscosity laplacian(u), point values at cell centres, channels first",
        "law": {**constants(law), "components": list(law.component_names), "flux": law.formula},
        "source": None
        if config.law.source == 0
        else f"random, of mean amplitude {config.law.source}; not in step.stablehlo",
        "grid": {
            "dimensions": scheme.grid.num_axes,
            "num_cells": list(scheme.grid.num_cells),
            "trained_cells": whole.num_cells,
            "lower": list(scheme.grid.lower),
            "upper": list(scheme.grid.upper),
            "spacing": list(scheme.grid.spacing),
        },
        "boundary": {
            "kind": list(kinds),
            "rule": _BOUNDARY,
            "ghost": scheme.domain.ghost,
            "parity": [list(law.parity(axis)) for axis in range(scheme.grid.num_axes)],
            "trained": config.data.boundary or "each condition's own",
        },
        "splitting": {"kind": "lax-friedrichs", "rule": _SPLITTING, "speed": constants(scheme.speed)},
        "order": scheme.order,
        "reconstruction": {
            "fields": scheme.reconstruction,
            "mean": scheme.mean,
            "rule": law.basis_formula if scheme.reconstruction == "characteristic" else "every component by itself",
        },
        "limiter": None if scheme.domain.limiter is None else constants(scheme.domain.limiter),
        "integrator": {
            **constants(environment.integrator),
            "name": config.grid.integrator,
            "a": [list(row) for row in environment.integrator.a],
            "b": list(environment.integrator.b),
            "order": environment.integrator.order,
            "policy": "asked at every stage",
        },
        "time": {"dt": whole.dt, "steps": whole.steps, "end_time": whole.end_time},
        "trained_on": list(config.data.conditions) or "the random family",
    }
    inputs: dict[str, tuple[int, ...] | None] = {"u": shape, "dt": None}
    return Surroundings("scheme", about, (config.grid.order,), step, inputs, {"u": shape})


def first_condition(config: SchemeConfig) -> Initial:
    """The first condition that a configuration trains on; only this one is drawn."""
    members = training_data(replace(config, data=replace(config.data, pool=1)))
    return take(members[0][0], 0)


def _boundary(config: SchemeConfig, condition: Initial) -> tuple[str, ...]:
    """The boundary to write a step for: that of the first named condition, else that of most random problems."""
    if not config.data.conditions:
        axes = config.grid.dimensions
        return (config.problems.boundary,) * axes
    if isinstance(condition, AbstractField):
        ends = [np.broadcast_to(np.asarray(each), (2,)) for each in condition.reflective]
        closed = np.asarray(condition.periodic) > 0
        require(
            all((low > 0) == (high > 0) for low, high in ends),
            "the first named condition has another boundary at either end; name one for the step with --boundary",
        )
        return tuple(
            "periodic" if ring else "reflective" if wall[0] > 0 else "outflow"
            for ring, wall in zip(closed, ends, strict=True)
        )
    if condition.boundary != "mixed":
        return (condition.boundary,)
    return ("periodic" if float(condition.periodic) > 0 else "outflow",)


def _with_boundary(scheme: SemiDiscrete, kinds: tuple[str, ...]) -> SemiDiscrete:
    return scheme.over(Domain(scheme.law, scheme.grid, kinds, order=scheme.order, limiter=scheme.domain.limiter))


# --- controlled systems -----------------------------------------------------------------------------------------------


def _system(config: ControlConfig) -> Surroundings:
    system = config.task.system(config.system)
    environment = system.environment
    state = jax.eval_shape(system.draw, jax.random.key(0)).shape
    seen = jax.eval_shape(environment.observe, jnp.zeros(state)).shape

    def step(policy: AbstractPolicy) -> Callable[..., Any]:
        return lambda x: closed_loop(environment, policy)(x)

    about = {
        "family": config.family,
        "environment": constants(environment),
        "state": {"shape": list(state), "layout": config.task.layout},
        "observation": {"shape": list(seen), "layout": "the state, flattened" if len(seen) == 1 else "the state"},
        "action": {
            "shape": list(system.action_shape),
            "bounds": None,
            "hold": "asked once per step, held until the next",
        },
        "horizon": config.horizon,
        "cost": {
            **constants(system.cost),
            "objective": config.objective.name,
            "action_cost": config.objective.action_cost,
        },
    }
    outputs = {"state": state, "action": system.action_shape}
    return Surroundings("system", about, seen, step, {"state": state}, outputs)
