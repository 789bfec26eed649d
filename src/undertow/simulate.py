"""The plain solver behind a name: one initial condition, one policy, a grid and an end time."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import time
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from undertow._checks import NonFiniteError, lookup, require, require_positive
from undertow._types import Metrics
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.march import march
from undertow.envs.placing import boundaries_of
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_exact import EXACT_BOUNDARIES
from undertow.laws.conditions import AbstractCondition
from undertow.laws.exact import exact_solution, has_exact_solution
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import INTEGRATORS
from undertow.numerics.norms import l1, l2, linf, total_variation
from undertow.numerics.timestep import CFLStep, FixedStep, complete
from undertow.policies.classical import classical
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import check_courant, check_diffusion, check_finite
from undertow.schemes.splitting import SPEEDS
from undertow.training._files import atomic_write_text


@dataclass(frozen=True)
class Simulation:
    """What came out: `x: "cells"`, `times: "saved"`, `values: "saved cells"`; `exact`, the same, where there is one.

    The first saved state is the initial one. `steps`: time steps taken; `seconds`: without compiling.
    """

    x: Float[np.ndarray, " cells"]
    times: Float[np.ndarray, " saved"]
    values: Float[np.ndarray, "saved cells"]
    exact: Float[np.ndarray, "saved cells"] | None
    steps: int
    seconds: float

    def metrics(self) -> Metrics:
        """Of the last state: errors against the exact solution, total variation, extremes, change of the mass."""
        u, dx = jnp.asarray(self.values), float(self.x[1] - self.x[0])
        metrics: Metrics = {"time": self.times[-1], "steps": self.steps, "seconds": self.seconds}
        if self.exact is not None:
            error = u[-1:] - jnp.asarray(self.exact[-1:])
            metrics |= {"l1_error": l1(error, dx), "l2_error": l2(error, dx), "linf_error": linf(error)}
        metrics |= {
            "total_variation": total_variation(u[-1:]),
            "minimum": u[-1].min(),
            "maximum": u[-1].max(),
            "mass_change": (u[-1].sum() - u[0].sum()) * dx,
        }
        return {name: value if name == "steps" else float(value) for name, value in metrics.items()}

    def to_csv(self, path: Path | str) -> None:
        """Write time, x, u and the exact value of every cell at every saved time, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["time", "x", "u"] + ([] if self.exact is None else ["exact"]))
        for index, saved in enumerate(self.times):
            columns = [self.x, self.values[index]] + ([] if self.exact is None else [self.exact[index]])
            writer.writerows([repr(float(saved)), *map(repr, map(float, row))] for row in zip(*columns, strict=True))
        atomic_write_text(path, text.getvalue())


def simulate(
    condition: AbstractCondition,
    policy: AbstractPolicy | None = None,
    *,
    law: AbstractConservationLaw | None = None,
    num_cells: int = 128,
    end_time: float = 0.1,
    cfl: float | None = None,
    dt: float | None = None,
    steps: int | None = None,
    integrator: str = "ssp_rk3",
    order: int = 5,
    speed: str = "global",
    saves: int = 1,
) -> Simulation:
    r"""March an initial condition to `end_time`. Not jittable: it looks at its input and at what comes out.

    **Arguments:**

    - `condition`: for example `burgers_condition("shock")`, or `CallableCondition(function, boundary)`.
    - `policy`: chooses the weights; default WENO-JS of the given order. `law`: default `Burgers()`.
    - `num_cells`; `end_time`; and one of `cfl` (Courant number; steps follow the wave speed and the last one is clipped
        to the end; the default, 0.5), `dt` (the number of steps is rounded up) or `steps`.
    - `integrator`, `speed`: names out of `INTEGRATORS` and `SPEEDS`; `order`: 3, 5, ..., 13.
    - `saves`: keep so many states at equal distances in time, beside the initial one.

    **Returns:** `Simulation`.

    **Raises:** `UndertowError` for anything that cannot work, a Courant number far above 1 or a non-finite initial state
    among it; `NonFiniteError` with step and cell if the solution does not stay finite.
    """
    policy, law = classical("weno-js", order) if policy is None else policy, Burgers() if law is None else law
    theirs = getattr(policy, "order", order)
    require(theirs == order, f"this policy is of order {theirs}, the scheme of order {order}; take --order {theirs}")
    for name, value in (("end_time", end_time), ("saves", saves), ("num_cells", num_cells)):
        require_positive(name, value)
    given = [f"{name}={value}" for name, value in (("cfl", cfl), ("dt", dt), ("steps", steps)) if value is not None]
    require(len(given) <= 1, f"{' and '.join(given)} contradict each other; give one of cfl, dt and steps")
    method = lookup("integrator", integrator, INTEGRATORS)
    grid = UniformGrid(num_cells, *condition.domain)
    boundary = boundaries_of(condition, (order + 1) // 2 + 1)
    scheme = SemiDiscrete(law, grid, boundary, order=order, speed=lookup("splitting speed", speed, SPEEDS))
    x = jnp.asarray(grid.centers())
    u0 = condition(x)[None]
    check_finite(u0)

    rule: FixedStep | CFLStep
    if dt is None and steps is None:
        cfl = 0.5 if cfl is None else cfl
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
        goal = jnp.asarray(end, x.dtype)
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
        check_finite(state.u, step=taken)
        if float(state.time) < float(end) - step:
            raise NonFiniteError(
                f"the time steps shrink to nothing: after {taken} t = {float(state.time):.4g}", step=taken
            )
        states.append(state.u)
    seconds = time.perf_counter() - start
    times = np.concatenate([[0.0], ends])
    exact = None
    if has_exact_solution(law) and condition.boundary in EXACT_BOUNDARIES:
        solve = eqx.filter_jit(lambda t: exact_solution(law, condition, x, t))
        exact = np.stack([np.asarray(solve(jnp.asarray(t))) for t in times])
    return Simulation(np.asarray(x), times, np.stack([np.asarray(u[0]) for u in states]), exact, taken, seconds)
