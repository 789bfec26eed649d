r"""Rewards without an exact solution: is the coarse step what a step on a finer grid would have been?"""

from __future__ import annotations

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import whole_number
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory
from undertow.envs.combination import conservation
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.rewards import AbstractDifference, AbstractError, ComponentErrors, step_lengths
from undertow.numerics.timestep import FixedStep
from undertow.schemes.interpolation import WenoInterpolation
from undertow.schemes.weights import EPSILON


class FineStep(eqx.Module):
    r"""$W_f(I u)$: a state, interpolated to a finer grid and advanced there by a comparator over the agent's time step.

    The fine grid has the coarse one's ends, boundaries, splitting speed, source and integrator, and its points are the
    centres of its cells. The published points (the cell centres, K between every two and K beyond the first and the
    last) are among them for an even K; for an odd K they are half a fine cell off, and do not fit the domain's ends.

    **Arguments:** `comparator`: usually WENO, of the scheme's order; `points` K: the fine grid has K+1 times as many
    cells along each axis (default 1, as published); `interpolation`; `substeps`: equal parts of the step on the fine
    grid. The default, 1, is published; the fine grid's Courant number is K+1 times the coarse one, so a step near the
    limit of stability needs K+1 of them, and $(K+1)^2$ where viscosity limits it.

    **Raises:** `UndertowError` for `points` or `substeps` below 1.
    """

    comparator: AbstractPolicy
    points: int = eqx.field(static=True, converter=partial(whole_number, "points"), default=1)
    interpolation: WenoInterpolation = WenoInterpolation(EPSILON)
    substeps: int = eqx.field(static=True, converter=partial(whole_number, "substeps"), default=1)

    @property
    def factor(self) -> int:
        """Fine cells per cell along each axis."""
        return self.points + 1

    def __call__(self, trajectory: Trajectory, environment: Conservation) -> Float[Array, "time chan *fine"]:
        """The fine state after a step from every state that was acted on."""
        scheme = environment.scheme
        fine_scheme = scheme.over(dataclasses.replace(scheme.domain, grid=scheme.grid.refine(self.factor)))

        def one(state: FieldState, dt: Array) -> Array:
            fixed = FixedStep(dt / self.substeps)
            step = closed_loop(dataclasses.replace(environment, scheme=fine_scheme, time_step=fixed), self.comparator)
            fine = FieldState(self.interpolation.refine(scheme, state.u, self.factor), state.time)
            for _ in range(self.substeps):
                fine, _ = step(fine)
            return fine.u

        # Rematerialised: the insides of all fine steps at once would outweigh everything else in memory.
        return jax.vmap(jax.checkpoint(one))(trajectory.before, step_lengths(trajectory, environment))


class ConsistencyLo(AbstractDifference):
    r"""$e^{n+1} = |u^{n+1} - D\,W_f(I u^n)|$: the agent's step against the fine one, sampled at the old cell centres.

    $I$ interpolates, $W_f$ is the comparator's step on the fine grid, $D$ samples. Needs no exact solution and, unlike
    `OneStepError`, the comparator on the coarse grid is not its optimum. For any law, boundary and integrator, and any
    number of axes. Gradients flow through the fine step too.

    **Arguments:** `fine`: the fine step, `FineStep(comparator)` as published.

    **Reference:** the code of arXiv 2203.08937, reward mode `consistency-lo[_nK]`.
    """

    fine: FineStep

    def difference(self, trajectory: Trajectory, problem: Problem) -> Float[Array, "time chan *cells"]:
        """The agent's step minus the sampled fine one."""
        environment, interpolation = conservation(problem), self.fine.interpolation

        def sample(u: Array) -> Array:
            return interpolation.coarsen(environment.scheme, u, self.fine.factor)

        return trajectory.after.u - jax.vmap(sample)(self.fine(trajectory, environment))


class ConsistencyHi(AbstractError):
    r"""$e_i^{n+1} = \sum_{m \in i} |(I u^{n+1})_m - (W_f(I u^n))_m|$: the same on the fine grid.

    As `ConsistencyLo`, but the agent's step is interpolated and compared there: summed over the fine cells $m$ inside
    cell $i$, and over components. Not differentiable where a difference is 0; JAX takes 0.

    **Arguments:** `fine`: the fine step, `FineStep(comparator)` as published.

    **Reference:** the code of arXiv 2203.08937, reward mode `consistency-hi[_nK]`.
    """

    fine: FineStep

    def by_component(self, trajectory: Trajectory, problem: Problem) -> ComponentErrors:
        """The error of every step."""
        environment, factor = conservation(problem), self.fine.factor

        def refine(u: Array) -> Array:
            return self.fine.interpolation.refine(environment.scheme, u, factor)

        reached = jax.vmap(jax.checkpoint(refine))(trajectory.after.u)
        e = jnp.abs(reached - self.fine(trajectory, environment))
        for axis in range(2, e.ndim):
            e = jnp.sum(e.reshape(*e.shape[:axis], -1, factor, *e.shape[axis + 1 :]), axis=axis + 1)
        return e
