"""The plain solver behind a name: one initial condition, one policy, a grid and an end time."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import NonFiniteError, UndertowError, closest, lookup, require, require_positive
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.march import march
from undertow.envs.placing import Initial, boundaries_of, grid_of, inflow_of, point_values
from undertow.evaluation.comparison import Comparison
from undertow.evaluation.simulation import Simulation, exact_states
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.laws.burgers_exact import EXACT_BOUNDARIES
from undertow.laws.euler import Euler
from undertow.laws.exact import has_exact_solution
from undertow.laws.fields import AbstractField
from undertow.laws.gas_cases import GAS_CASES
from undertow.laws.law import AbstractConservationLaw
from undertow.laws.planes import PLANE_CASES, plane_case
from undertow.numerics.integrator import INTEGRATORS
from undertow.numerics.timestep import CFLStep, FixedStep, complete
from undertow.policies.classical import InUnits, classical, for_problem
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.semidiscrete import RECONSTRUCTIONS, Reconstruction, SemiDiscrete
from undertow.schemes.solve import check_courant, check_diffusion, check_finite
from undertow.schemes.splitting import SPEEDS

__all__ = ["Comparison", "Simulation", "compare", "named_case", "simulate"]


_log = logging.getLogger(__name__)


class Case(NamedTuple):
    """An initial condition, the number of cells it is usually shown with (along the first axis) and the usual end time."""

    initial: Initial
    num_cells: int = 128
    end_time: float = 0.1


def named_case(name: str) -> Case:
    """The case called `name`: a Burgers condition, a gas problem in one dimension, or a problem in the plane.

    A plane case that shares its name with one in one dimension is called `2d-<name>`.

    **Raises:** `UndertowError` for an unknown name, with the nearest match.
    """
    if name in BURGERS_CONDITIONS:
        return Case(burgers_condition(name))
    if name in GAS_CASES:
        case = GAS_CASES[name]
        return Case(case.field(), case.cells, case.end_time)
    try:
        plane = plane_case(name.removeprefix("2d-"))
    except UndertowError:
        combined = [f"combo-{x}-{y}" for x in BURGERS_CONDITIONS for y in BURGERS_CONDITIONS]
        # Hundreds of names: too many to repeat here.
        meant = closest(name, [*case_names(), *combined])
        raise UndertowError(f"unknown case {name!r}{meant} (undertow list shows all)") from None
    return Case(plane.field(), plane.cells, plane.end_time)


def case_names() -> list[str]:
    """The names of all cases, in the order: Burgers conditions, gas problems, problems in the plane."""
    single = [*BURGERS_CONDITIONS, *GAS_CASES]
    return [*single, *(f"2d-{name}" if name in single else name for name in PLANE_CASES)]


def simulate(
    condition: str | Initial,
    policy: AbstractPolicy | None = None,
    *,
    law: AbstractConservationLaw | None = None,
    num_cells: int | None = None,
    end_time: float | None = None,
    cfl: float | None = None,
    dt: float | None = None,
    steps: int | None = None,
    integrator: str = "ssp_rk3",
    order: int = 5,
    speed: str = "global",
    reconstruction: str | None = None,
    positivity: bool = False,
    unit: float | Sequence[float] | None = None,
    saves: int = 1,
    on_save: Callable[[int, int], object] | None = None,
) -> Simulation:
    r"""March an initial condition to `end_time`. Not jittable: it looks at its input and at what comes out.

    **Arguments:**

    - `condition`: the name of a case (`undertow list`), for example `"shock"`, `"sod"` or `"vortex"`; a condition, such as
        `burgers_condition("shock", A=2.0)` or `CallableCondition(function, boundary)`; or a field of a system in one or more
        dimensions ([`AbstractField`][undertow.laws.fields.AbstractField]).
    - `policy`: chooses the weights; default WENO-JS of the given order. `law`: of a scalar condition, default `Burgers()`; a
        field brings its own.
    - `num_cells` along the first axis (the cells of other axes have the same size); `end_time`; the default is the named
        case's own, otherwise 128 and 0.1.
    - One of `cfl` (Courant number; steps follow the wave speed and the last one is clipped to the end; the default, 0.5, with
        positivity 0.4), `dt` (the number of steps is rounded up) or `steps`.
    - `integrator`, `speed`: names out of `INTEGRATORS` and `SPEEDS`; `order`: 3, 5, ..., 13.
    - `reconstruction`: `component` or `characteristic`; the default is the latter for a gas, the former for all else.
    - `positivity`: limit fluxes so that density and pressure stay positive
        ([`PositivityLimiter`][undertow.schemes.positivity.PositivityLimiter]); default False.
    - `unit`: the policy sees the split fluxes in units of this number, or of one per component. By default a classical policy
        sees them in units of the initial state's ([`SemiDiscrete.unit`][undertow.schemes.semidiscrete.SemiDiscrete.unit]), unless
        it has an epsilon that somebody named (`weno-js-original`). Any other sees them as they are: a learned policy carries the
        unit of its training, in which fluxes were mostly of order one.
    - `saves`: keep so many states at equal distances in time, beside the initial one.
    - `on_save`: called after each of them with how many there are, and how many there will be.

    **Returns:** [`Simulation`][undertow.evaluation.simulation.Simulation].

    **Raises:** `UndertowError` for anything that cannot work, a Courant number far above 1 or a non-finite initial state
    among it; `NonFiniteError` with step and cell if the solution does not stay finite.
    """
    case = named_case(condition) if isinstance(condition, str) else Case(condition)
    initial = case.initial
    num_cells = case.num_cells if num_cells is None else num_cells
    end_time = case.end_time if end_time is None else end_time
    if isinstance(initial, AbstractField):
        require(law is None, f"{_called(condition)} brings its own law; leave law out")
        law = initial.law
    law = Burgers() if law is None else law
    policy = classical("weno-js", order) if policy is None else policy
    theirs = getattr(policy, "order", order)
    require(theirs == order, f"this policy is of order {theirs}, the scheme of order {order}; take --order {theirs}")
    for name, value in (("end_time", end_time), ("saves", saves), ("num_cells", num_cells)):
        require_positive(name, value)
    given = [f"{name}={value}" for name, value in (("cfl", cfl), ("dt", dt), ("steps", steps)) if value is not None]
    require(len(given) <= 1, f"{' and '.join(given)} contradict each other; give one of cfl, dt and steps")
    method = lookup("integrator", integrator, INTEGRATORS)
    grid = grid_of(initial, num_cells)
    scheme = SemiDiscrete(
        law,
        grid,
        boundaries_of(initial, (order + 1) // 2 + 1),
        order=order,
        speed=lookup("splitting speed", speed, SPEEDS),
        reconstruction=_reconstruction(reconstruction, law),
        limiter=PositivityLimiter() if positivity else None,
        inflow=inflow_of(initial),
    )
    u0 = point_values(initial, grid)
    scheme.check_state(u0)
    check_finite(u0)
    scheme = scheme.relative_to(u0)
    policy = for_problem(policy, scheme.unit(u0)) if unit is None else InUnits(policy, _unit(unit, u0))
    if positivity:
        require(
            len(law.positive(u0)) > 0, f"nothing of {type(law).__name__} has to stay positive; leave positivity out"
        )
        require(integrator != "rk4", "positivity holds with the integrators euler and ssp_rk3, not with rk4")

    rule: FixedStep | CFLStep
    if dt is None and steps is None:
        cfl = (0.4 if positivity else 0.5) if cfl is None else cfl
        require(0 < cfl <= 2, f"cfl must lie above 0 and not far above 1, got {cfl}")
        rule = CFLStep(cfl, jnp.asarray(end_time), grid.dx)
        step = cfl / max(float(scheme.speed_over_dx(u0)), rule.min_speed / grid.dx)
        ends = np.linspace(0.0, end_time, saves + 1)[1:]
    else:
        whole = complete(num_cells=num_cells, dt=dt, steps=steps, end_time=end_time)
        step = whole.dt
        check_courant(scheme, u0, step)
        rule = FixedStep(jnp.asarray(step))
        ends = np.unique(np.round(np.linspace(0, whole.steps, saves + 1)[1:])) * step
    check_diffusion(law, step, grid.dx)
    limit = jnp.asarray(1000 + 100 * math.ceil(end_time / step))

    def advance(state: FieldState, end: float) -> tuple[FieldState, int]:
        goal = jnp.asarray(end, u0.dtype)
        own: FixedStep | CFLStep
        if isinstance(rule, CFLStep):
            own = dataclasses.replace(rule, end_time=goal)
        else:  # whole steps: the last one ends where it ends, whatever the roundings of the time
            own, goal = rule, goal - 0.5 * rule.dt
        reached, count = jax.block_until_ready(march(policy, Conservation(scheme, own, method), state, goal, limit))
        return reached, int(count)

    state, taken, states = FieldState(u0, jnp.zeros((), u0.dtype)), 0, [u0]
    advance(state, 0.0)  # compiles: this end is reached already
    start = time.perf_counter()
    for end in ends:
        state, count = advance(state, float(end))
        taken += count
        try:
            check_finite(state.u, step=taken)
        except NonFiniteError as error:
            if isinstance(law, Euler) and not positivity:
                message = f"{error}; --positivity keeps density and pressure above zero"
                raise NonFiniteError(message, step=error.step, cell=error.cell) from None
            raise
        if float(state.time) < float(end) - step:
            raise NonFiniteError(
                f"the time steps shrink to nothing: after {taken} t = {float(state.time):.4g}", step=taken
            )
        states.append(state.u)
        if on_save is not None:
            on_save(len(states) - 1, len(ends))
    seconds = time.perf_counter() - start
    _log.info("%s: %d steps on %s cells in %.2f s", _called(condition), taken, u0.shape[1:], seconds)
    times = np.concatenate([[0.0], ends])
    exact = None
    if isinstance(initial, AbstractField) or initial.boundary in EXACT_BOUNDARIES:
        exact = exact_states(law, initial, grid, times) if has_exact_solution(law, initial) else None
    values = np.stack([np.asarray(u) for u in states])
    return Simulation(initial, scheme.law, grid, times, values, exact, taken, seconds)


def compare(
    condition: str | Initial,
    policies: Mapping[str, AbstractPolicy],
    *,
    refinement: int | None = None,
    title: str | None = None,
    **options: Any,
) -> Comparison:
    """March one initial condition with several policies, to be drawn side by side.

    **Arguments:** `condition` and `options` as in [`simulate`][undertow.simulate.simulate]; `policies` by name; `refinement`: of
    a grid so many times finer along every axis, on which WENO-JS makes a reference where there is no exact solution
    (default: no reference; in two dimensions the work grows with its third power); `title` (default: the case's name).

    **Returns:** [`Comparison`][undertow.evaluation.comparison.Comparison]. **Raises:** as `simulate` does.
    """
    require(len(policies) > 0, "compare needs at least one policy, got none")
    runs = {name: simulate(condition, policy, **options) for name, policy in policies.items()}
    first = next(iter(runs.values()))
    reference = None
    if refinement is not None and first.exact is None:
        require_positive("refinement", refinement)
        finer = {"num_cells": first.grid.num_cells[0] * refinement}
        if options.get("dt") is not None:
            finer["dt"] = options["dt"] / refinement
        elif options.get("steps") is not None:
            finer["steps"] = options["steps"] * refinement
        reference = simulate(condition, **{**options, **finer})
    return Comparison(_called(condition) if title is None else title, runs, reference)


def _unit(unit: float | Sequence[float], u0: Array) -> Float[Array, " chan"]:
    """One number per component."""
    sizes = np.atleast_1d(np.asarray(unit, float))
    require(
        sizes.shape in ((1,), (len(u0),)) and bool(np.all((sizes > 0) & np.isfinite(sizes))),
        f"unit must be a finite number above 0, or {len(u0)} of them (one per component), got {unit!r}",
    )
    return jnp.broadcast_to(jnp.asarray(sizes, u0.dtype), (len(u0),))


def _reconstruction(name: str | None, law: AbstractConservationLaw) -> Reconstruction:
    if name is None:
        return "characteristic" if isinstance(law, Euler) else "component"
    return lookup("reconstruction", name, {each: each for each in RECONSTRUCTIONS})


def _called(condition: str | Initial) -> str:
    return condition if isinstance(condition, str) else type(condition).__name__
