"""The plain solver behind a name: one initial condition, one policy, a grid and an end time."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import (
    NonFiniteError,
    UndertowError,
    choice,
    lookup,
    require,
    require_positive,
    whole_number,
)
from undertow._limits import out_of_memory_told, require_memory, require_time
from undertow.core.policy import AbstractPolicy
from undertow.envs.needs import march_memory, march_seconds, parameters_of
from undertow.envs.placing import boundaries_of, grid_of, inflow_of, point_values
from undertow.evaluation.comparison import Comparison
from undertow.evaluation.simulation import Simulation
from undertow.evaluation.simulation_checks import (
    as_policy,
    check_initial,
    check_start,
    check_weights,
    compared_with,
    what_is_wrong,
)
from undertow.laws.burgers import Burgers
from undertow.laws.cases import Initial
from undertow.laws.catalogue import case
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw, Reconstruction
from undertow.laws.speeds import check_own
from undertow.numerics.boundary import AbstractBoundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS, AbstractIntegrator
from undertow.numerics.timestep import CFLStep, FixedStep, complete
from undertow.schemes.fluxes import FLUXES
from undertow.schemes.march import march, relative_to, step_length
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.riemann import RiemannScheme
from undertow.schemes.scheme import RECONSTRUCTIONS, AbstractScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import check_finite, check_physical, check_step
from undertow.schemes.splitting import SPEEDS
from undertow.schemes.stability import check_cfl, check_viscosity, usual_cfl

__all__ = ["Comparison", "Simulation", "compare", "simulate"]


_log = logging.getLogger(__name__)


@out_of_memory_told("fewer cells or saves")
def simulate(
    condition: str | Initial,
    policy: AbstractPolicy | str | None = None,
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
    flux: str | None = None,
    reconstruction: str | None = None,
    positivity: bool = False,
    unit: float | Sequence[float] | None = None,
    saves: int = 1,
    on_save: Callable[[int, int], object] | None = None,
    long: bool = False,
) -> Simulation:
    r"""March an initial condition to `end_time`. Not jittable: it looks at its input and at what comes out.

    **Arguments:**

    - `condition`: the name of a case (`undertow list`), for example `"shock"`, `"sod"` or `"vortex"`; a condition, such as
        `burgers_condition("shock", A=2.0)` or `CallableCondition(function, boundary)`; or a field of a system in one or more
        dimensions ([`AbstractField`][undertow.laws.fields.AbstractField]).
    - `policy`: chooses the weights, an object or a classical name; default WENO-JS of the given order. `law`: of a scalar
        condition, default `Burgers()`; a field brings its own.
    - `num_cells` along the first axis (the cells of other axes have the same size); `end_time`; the default is the named
        case's own, otherwise 128 and 0.1.
    - One of `cfl`, `dt` and `steps`. `cfl`: the Courant number; steps follow the wave speed and the viscosity
        ([`CFLStep`][undertow.numerics.timestep.CFLStep]), and the last one before a kept state is clipped to its time; the
        default is 0.5, with positivity 0.4, with the integrator euler 0.1. `dt`: steps of this length, the last one clipped to
        the end. `steps`: so many equal ones; states are kept after those that come nearest to equal distances.
    - `integrator`, `speed`: names out of `INTEGRATORS` and `SPEEDS`; `order`: 3, 5, ..., 13.
    - `flux`: `hllc`, `hll` or `lf` (`FLUXES`): a [`RiemannScheme`][undertow.schemes.riemann.RiemannScheme] with this flux, which
        interpolates by itself; there is then no policy and no splitting speed. Default None: split fluxes and a policy.
    - `reconstruction`: `component` or `characteristic`; the default is what is usual for the law, the latter for a gas.
    - `positivity`: limit fluxes so that density and pressure, or depth, stay positive
        ([`PositivityLimiter`][undertow.schemes.positivity.PositivityLimiter]); cells may then be empty at the start, with all
        components 0 (a dry bed, a vacuum). Default False.
    - `unit`: the policy sees the split fluxes in units of this number, or of one per component. By default a classical policy
        sees them in units of the initial state's ([`SemiDiscrete.unit`][undertow.schemes.semidiscrete.SemiDiscrete.unit]), unless
        it has an epsilon that somebody named (`weno-js-original`), and any other as they are: a learned policy carries the unit
        of its training, in which fluxes were mostly of order one.
    - `saves`: keep so many states at equal distances in time, beside the initial one.
    - `on_save`: called after each of them with how many there are, and how many there will be.
    - `long`: march even if it certainly takes hours; default False.

    **Returns:** [`Simulation`][undertow.evaluation.simulation.Simulation].

    **Raises:** `UndertowError` for anything that cannot work, a time step that waves or diffusion do not bear
    ([`courant_limit`][undertow.schemes.stability.courant_limit]) and an initial state that is not finite or not physical among
    it; `NonFiniteError` with step and cell if the solution does not stay finite.
    """
    initial, num_cells, end_time = started(condition, num_cells, end_time)
    check_initial(initial)
    if isinstance(initial, AbstractField):
        require(law is None, f"{_called(condition)} brings its own law; leave law out")
        law = initial.law
    law = Burgers() if law is None else law
    order = whole_number("order", order)
    who = None
    if flux is None:
        who = as_policy(policy, order)
    else:
        _check_alone(flux, policy=policy is not None, speed=speed != "global", unit=unit is not None)
    end_time, num_cells, saves = (
        require_positive("end_time", end_time),
        whole_number("num_cells", num_cells),
        whole_number("saves", saves),
    )
    cfl, dt = (None if each is None else require_positive(name, each) for name, each in (("cfl", cfl), ("dt", dt)))
    steps = None if steps is None else whole_number("steps", steps)
    given = [f"{name}={value}" for name, value in (("cfl", cfl), ("dt", dt), ("steps", steps)) if value is not None]
    require(len(given) <= 1, f"{' and '.join(given)} contradict each other; give one of cfl, dt and steps")
    method = lookup("integrator", integrator, INTEGRATORS)
    grid = grid_of(initial, num_cells)
    size = math.prod(grid.num_cells)
    require_memory(march_memory(size, law.num_components, saves + 1, "num_cells (--cells)"))
    options: dict[str, Any] = {
        "order": order,
        "reconstruction": _reconstruction(reconstruction, law),
        "limiter": PositivityLimiter() if positivity else None,
        "inflow": inflow_of(initial),
    }
    begin = _begin if hasattr(initial, "function") else eqx.filter_jit(_begin)  # somebody's own may be NumPy's
    boundaries, u0 = begin(initial, grid, (order + 1) // 2 + 1)
    scheme: AbstractScheme
    if flux is None:
        scheme = SemiDiscrete(law, grid, boundaries, speed=lookup("splitting speed", speed, SPEEDS), **options)
    else:
        scheme = RiemannScheme(law, grid, boundaries, flux=lookup("flux", flux, FLUXES), **options)
    scheme.domain.check_state(u0)
    check_finite(u0)
    check_own(law, u0)
    check_start(law, u0, positivity, method)
    if who is not None and isinstance(scheme, SemiDiscrete):
        check_weights(who, scheme, u0)
    scheme, own_unit = relative_to(scheme, who, u0)
    seen = own_unit if unit is None else _unit(unit, u0)
    rule, ends, step = _timing(
        scheme, u0, method, positivity, cfl=cfl, dt=dt, steps=steps, end_time=end_time, saves=saves
    )
    least = march_seconds(end_time / step, size * law.num_components, method, parameters=parameters_of(who))
    require_time(least, long=long)
    times = np.concatenate([[0.0], ends])
    exact, note = compared_with(law, initial, grid, times)
    whole_number("the number of steps", math.ceil(end_time / step))

    def advance(u: Array, time: Array, end: float) -> tuple[Array, Array, Array]:
        # Whole steps end where they end, whatever the roundings of the time.
        goal = _data(end if rule.end_time is not None else end - 0.5 * step)
        own = rule if rule.end_time is None else dataclasses.replace(rule, end_time=goal)
        return jax.block_until_ready(
            march(scheme, who, u, time, end_time=goal, time_step=own, integrator=method, unit=seen)
        )

    u, reached, taken, states = u0, _data(0.0), 0, [u0]
    advance(u, reached, 0.0)  # compiles: this end is reached already
    start = time.perf_counter()
    for end in ends:
        u, reached, count = advance(u, reached, float(end))
        taken += int(count)
        _check_reached(scheme, u, float(reached), float(end), step, taken)
        states.append(u)
        if on_save is not None:
            on_save(len(states) - 1, len(ends))
    seconds = time.perf_counter() - start
    _log.info("%s: %d steps on %s cells in %.2f s", _called(condition), taken, u0.shape[1:], seconds)
    values = np.stack([np.asarray(each) for each in states])
    notes = tuple(each for each in (note, what_is_wrong(law, values[-1], positivity)) if each is not None)
    return Simulation(initial, scheme.law, grid, times, values, exact, taken, seconds, notes)


def _begin(initial: Initial, grid: UniformGrid, ghost: int) -> tuple[tuple[AbstractBoundary, ...], Array]:
    return boundaries_of(initial, ghost), point_values(initial, grid)


def _data(number: float) -> Array:
    """A number that programs take as an argument, so that another one compiles nothing anew; itself made by no program."""
    return jax.device_put(np.asarray(number, jnp.result_type(float)))


def _timing(
    scheme: AbstractScheme,
    u0: Float[Array, "chan *cells"],
    integrator: AbstractIntegrator,
    positivity: bool,
    *,
    cfl: float | None,
    dt: float | None,
    steps: int | None,
    end_time: float,
    saves: int,
) -> tuple[FixedStep | CFLStep, Float[np.ndarray, " saves"], float]:
    """The rule of the time steps, the times to keep states at, and the first step."""
    equal = np.linspace(0.0, end_time, saves + 1)[1:]
    if dt is None and steps is None:
        cfl = usual_cfl(integrator, positivity=positivity) if cfl is None else cfl
        cfl = check_cfl(cfl, integrator, scheme.order)
        check_viscosity(scheme.law.viscosity)
        rule = CFLStep(_data(cfl), _data(end_time))
        first = float(eqx.filter_jit(step_length)(scheme, rule, u0, _data(0.0), integrator))
        longest = float(jnp.finfo(u0.dtype).eps) * end_time
        require(
            first > longest,
            f"the first time step is {first:.3g}, nothing beside end_time={end_time:g}: take a smaller end_time, a larger cfl, "
            "or values that are not so fast",
        )
        return rule, equal, first
    whole = complete(num_cells=scheme.grid.num_cells[0], dt=dt, steps=steps, end_time=end_time)
    check_step(scheme, u0, whole.dt, integrator, steps=whole.steps)
    divides = abs(whole.end_time - end_time) <= 1e-9 * end_time
    if dt is not None and not (divides and saves <= whole.steps):  # the last step before every kept state is clipped
        return FixedStep(_data(whole.dt), _data(end_time)), equal, whole.dt
    require(
        saves <= whole.steps,
        f"saves={saves} states cannot be kept of {whole.steps} steps; ask for at most {whole.steps}",
    )
    ends = np.unique(np.round(np.linspace(0, whole.steps, saves + 1)[1:])) * whole.dt
    return FixedStep(_data(whole.dt)), ends, whole.dt


def _check_reached(scheme: AbstractScheme, u: Array, time: float, end: float, step: float, taken: int) -> None:
    """Raise `NonFiniteError` where a march has ended early, with the reason."""
    law, limited = scheme.law, scheme.domain.limiter is not None
    try:
        check_finite(u, step=taken)
        if limited:
            check_physical(law, u, f"the state after step {taken}", dry=True)
    except NonFiniteError as error:
        if law.positive_names and not limited:
            message = f"{error}; --positivity keeps {' and '.join(law.positive_names)} above zero"
            raise NonFiniteError(message, step=error.step, cell=error.cell) from None
        raise
    except UndertowError as error:
        raise NonFiniteError(f"{error}; take a smaller cfl or dt, or more cells", step=taken) from None
    if time < end - 0.75 * step and time < end * (1 - 1e-6):
        raise NonFiniteError(f"the time steps shrink to nothing: after {taken} t = {time:.4g}", step=taken)


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
        refinement = whole_number("refinement", refinement)
        finer = {"num_cells": first.grid.num_cells[0] * refinement}
        if options.get("dt") is not None:
            finer["dt"] = options["dt"] / refinement
        elif options.get("steps") is not None:
            finer["steps"] = options["steps"] * refinement
        reference = simulate(condition, **{**options, **finer})
    return Comparison(_called(condition) if title is None else title, runs, reference)


def _check_alone(flux: str, **given: bool) -> None:
    """Raise `UndertowError` for what a scheme around a Riemann solver has no use for."""
    named = [name for name, is_given in given.items() if is_given]
    require(
        not named,
        f"flux={flux} solves Riemann problems between values that it interpolates by itself; leave {' and '.join(named)} out",
    )


def started(
    condition: str | Initial, num_cells: int | None = None, end_time: float | None = None
) -> tuple[Initial, int, float]:
    """What a condition or the name of a case means; cells and end time: those given, else those of the case, else 128 and 0.1."""
    cells, end = 128, 0.1
    if isinstance(condition, str):
        named = case(condition)
        condition, cells, end = named.field(), named.cells, named.end_time
    return condition, cells if num_cells is None else num_cells, end if end_time is None else end_time


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
        return law.reconstruction
    return choice("reconstruction", name, RECONSTRUCTIONS)


def _called(condition: str | Initial) -> str:
    return condition if isinstance(condition, str) else type(condition).__name__
