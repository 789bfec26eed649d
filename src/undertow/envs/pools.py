"""Batches of conservation-law problems, with their truth and the baseline's own error."""

from __future__ import annotations

from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require, require_positive, whole_number
from undertow.core.objective import Problem
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.objectives import FieldReference
from undertow.envs.placing import Initial, boundaries_of, coordinates, grid_of, inflow_of, law_of, point_values
from undertow.laws.conditions import AbstractCondition
from undertow.laws.exact import exact_solution, has_exact_solution
from undertow.laws.law import AbstractConservationLaw
from undertow.laws.source import SineSource
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator
from undertow.numerics.timestep import FixedStep
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.reference import fine_reference
from undertow.schemes.semidiscrete import Reconstruction, SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import AbstractSpeed
from undertow.schemes.weights import EPSILON, AbstractWeights, WenoJS

Truth = Literal["exact", "fine"]


class Discretised(eqx.Module):
    r"""How conditions become problems: law, cells, steps, and what counts as the truth.

    **Arguments:** `law`; `num_cells`; `steps` and `end_time` (so $\Delta t = T/n$); `order` (default 5); `integrator` (default
    SSP-RK3); `speed` (default global Lax-Friedrichs); `truth`: `exact` (the entropy solution, where there is one) or `fine`
    (WENO5-JS on a grid `refinement` times finer, odd, default 9); `every`: compare after every so many steps (default: only
    at the end); `baseline`: the weights whose error scales the objective (default WENO-JS of the same order);
    `reconstruction`: of a system, `component` (default) or `characteristic`; `limiter` of the fluxes (default none).

    Errors are means over the components that the law is judged by: all of them, or the density of a gas.

    Floors of a law that nobody has named are relative to the condition. The $\epsilon$ of WENO-JS is $10^{-6}$ in the units of
    the data, here as in the policies that are trained beside it: whoever learns, names a unit in which fluxes are of order one.
    """

    law: AbstractConservationLaw
    num_cells: int = eqx.field(static=True, converter=partial(whole_number, "num_cells"))
    steps: int = eqx.field(static=True, converter=partial(whole_number, "steps"))
    end_time: float = eqx.field(static=True, converter=partial(require_positive, "end_time"))
    order: int = eqx.field(static=True, default=5)
    integrator: AbstractIntegrator = SSPRK3()
    speed: AbstractSpeed | None = None
    truth: Truth = eqx.field(static=True, default="exact")
    refinement: int = eqx.field(static=True, default=9)
    every: int | None = eqx.field(static=True, default=None)
    baseline: AbstractWeights | None = None
    reconstruction: Reconstruction = eqx.field(static=True, default="component")
    limiter: PositivityLimiter | None = None

    def __check_init__(self):
        require(self.truth in ("exact", "fine"), f"truth must be 'exact' or 'fine', got {self.truth!r}")

    def environment(self, condition: Initial, source: SineSource | None = None) -> Conservation:
        """The environment of one condition: its law, its boundary and inflow on its domain, and its source where it has one."""
        ghost = (self.order + 1) // 2 + 1
        grid = grid_of(condition, self.num_cells)
        scheme = SemiDiscrete(
            law_of(condition, self.law).relative_to(point_values(condition, grid)),
            grid,
            boundaries_of(condition, ghost),
            order=self.order,
            speed=self.speed,
            source=source,
            reconstruction=self.reconstruction,
            limiter=self.limiter,
            inflow=inflow_of(condition),
        )
        return Conservation(scheme, FixedStep(jnp.asarray(self.end_time / self.steps)), self.integrator)

    def problem(self, condition: Initial, source: SineSource | None = None) -> Problem:
        """The problem of one condition; `vmap` over a batch of conditions gives a batch of problems."""
        environment = self.environment(condition, source)
        scheme = environment.scheme
        u0 = point_values(condition, scheme.grid)
        truth = self.reference(condition, environment)
        baseline = WenoJS(self.order, EPSILON) if self.baseline is None else self.baseline
        own = solve(
            scheme,
            baseline,
            u0,
            steps=self.steps,
            time_step=environment.time_step,
            integrator=self.integrator,
            save_every=self._every,
        ).values[1:]
        scale = jnp.mean(jnp.abs(own - truth)[:, jnp.asarray(scheme.law.judged)])
        return Problem(environment, FieldState(u0, jnp.zeros((), u0.dtype)), FieldReference(truth, scale))

    @property
    def _every(self) -> int:
        return self.steps if self.every is None else self.every

    def reference(self, condition: Initial, environment: Conservation) -> Float[Array, "saved chan *cells"]:
        """The truth at the compared times."""
        times = jnp.arange(self._every, self.steps + 1, self._every) * (self.end_time / self.steps)
        scheme = environment.scheme
        if isinstance(condition, AbstractCondition):
            check_truth(self.truth, scheme.law)
        if self.truth == "exact" and has_exact_solution(scheme.law, condition):
            require(scheme.source is None, "a source leaves no exact solution; take truth='fine'")
            x = coordinates(scheme.grid)
            values = jax.lax.map(lambda t: exact_solution(scheme.law, condition, x, t), times)
            return values.reshape(len(times), scheme.law.num_components, *scheme.grid.num_cells)
        return fine_reference(
            scheme,
            WenoJS(self.order, EPSILON),
            condition,
            factor=self.refinement,
            steps=self.steps,
            dt=self.end_time / self.steps,
            integrator=self.integrator,
            save_every=self._every,
        ).values[1:]


def check_truth(truth: Truth, law: AbstractConservationLaw) -> None:
    """Raise `UndertowError` for an exact truth of scalar conditions under a law that has none."""
    require(
        truth == "fine" or has_exact_solution(law),
        f"{type(law).__name__}{_of_viscosity(law)} has no exact solution here; take truth='fine', which compares with a finer grid",
    )


def _of_viscosity(law: AbstractConservationLaw) -> str:
    viscosity = law.viscosity
    return "" if isinstance(viscosity, float) and viscosity == 0 else " with viscosity"


def make_pool(
    discretised: Discretised, conditions: Initial, sources: SineSource | None = None, *, chunk: int = 32
) -> Problem:
    """Problems for a batch of conditions and, if given, as many sources (a leading axis on every array leaf), `chunk` of
    them at a time."""

    def build(pairs: tuple[Initial, SineSource | None]) -> Problem:
        return jax.lax.map(lambda pair: discretised.problem(*pair), pairs, batch_size=chunk)

    return eqx.filter_jit(build)((conditions, sources))
