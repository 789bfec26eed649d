"""Batches of conservation-law problems, with their truth and the baseline's own error."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require, require_positive, whole_number
from undertow.core.objective import Problem
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.objectives import FieldReference
from undertow.envs.placing import boundaries_of, coordinates, grid_of, inflow_of, law_of, point_values
from undertow.laws.cases import Initial
from undertow.laws.exact import exact_solution, has_exact_solution
from undertow.laws.law import AbstractConservationLaw, Reconstruction
from undertow.laws.source import SineSource
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator
from undertow.numerics.timestep import FixedStep
from undertow.schemes.positivity import PositivityLimiter, check_limited
from undertow.schemes.reference import fine_reference
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import AbstractSpeed
from undertow.schemes.weights import EPSILON, AbstractWeights, WenoJS

Truth = Literal["exact", "fine", "best"]


class Discretised(eqx.Module):
    r"""How conditions become problems: law, cells, steps, and what counts as the truth.

    **Arguments:** `law`; `num_cells`; `steps` and `end_time` (so $\Delta t = T/n$); `order` (default 5); `integrator` (default
    SSP-RK3); `speed` (default global Lax-Friedrichs); `truth`: `exact` (default: the entropy solution), `fine` (WENO5-JS on a
    grid `refinement` times finer, odd, default 9) or `best` (the first where it is known, else the second); `every`: compare
    after every so many steps (default: only at the end); `baseline`: the weights whose error scales the objective (default
    WENO-JS of the same order); `reconstruction`: of a system, `component` (default) or `characteristic`; `limiter` of the
    fluxes (default none).

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
        kinds = get_args(Truth)
        require(self.truth in kinds, f"truth must be one of {', '.join(kinds)}, got {self.truth!r}")
        if self.limiter is not None:
            check_limited(self.integrator)

    def environment(self, condition: Initial, source: SineSource | None = None) -> Conservation:
        """The environment of one condition: its law, its boundary and inflow on its domain, and its source where it has one."""
        ghost = (self.order + 1) // 2 + 1
        grid = grid_of(condition, self.num_cells)
        scheme = SemiDiscrete(
            law_of(condition, self.law),
            grid,
            boundaries_of(condition, ghost),
            order=self.order,
            speed=self.speed,
            source=source,
            reconstruction=self.reconstruction,
            limiter=self.limiter,
            inflow=inflow_of(condition),
        )
        scheme = scheme.relative_to(point_values(condition, grid))
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

    def has_exact(self, condition: Initial) -> bool:
        """Whether the truth of a condition, or of a batch of them, is its exact solution. Raises `UndertowError` where
        `truth="exact"` asks for one that is not known."""
        known = has_exact_solution(self.law, condition)
        require(
            known or self.truth != "exact",
            f"there is no exact solution of {type(condition).__name__} under {type(law_of(condition, self.law)).__name__} "
            "with these constants and ends; take truth='fine', which compares with a finer grid",
        )
        return known and self.truth != "fine"

    @property
    def _every(self) -> int:
        return self.steps if self.every is None else self.every

    def reference(self, condition: Initial, environment: Conservation) -> Float[Array, "saved chan *cells"]:
        """The truth at the compared times."""
        times = jnp.arange(self._every, self.steps + 1, self._every) * (self.end_time / self.steps)
        scheme = environment.scheme
        if self.has_exact(condition):
            require(scheme.domain.source is None, "a source leaves no exact solution; take truth='fine'")
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


def make_pool(
    discretised: Discretised, conditions: Initial, sources: SineSource | None = None, *, chunk: int = 32
) -> Problem:
    """Problems for a batch of conditions and, if given, as many sources (a leading axis on every array leaf), `chunk` of
    them at a time."""

    def build(pairs: tuple[Initial, SineSource | None]) -> Problem:
        return jax.lax.map(lambda pair: discretised.problem(*pair), pairs, batch_size=chunk)

    return eqx.filter_jit(build)((conditions, sources))
