r"""Objectives of learned schemes: distance to a reference."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.core.objective import AbstractObjective, Problem
from undertow.core.unroll import Trajectory


class FieldReference(eqx.Module):
    """What a trajectory is compared with: `values: "saved chan *cells"` after the steps of the objective's `every`, and
    `scale: ""`, the error of the baseline (WENO5-JS) on the same condition (1 where errors are not to be relative)."""

    values: Float[Array, "saved chan *cells"]
    scale: Float[Array, ""]


class TrajectoryError(AbstractObjective):
    r"""$\frac{1}{S}\sum_s \frac1n \sum_i |u_i(t_s) - r_i(t_s)| \,/\, \text{scale}$: the mean L1 error at the saved times over the
    baseline's own, so that easy and hard conditions weigh alike.

    **Arguments:** `every`: compare after every so many steps (the reference holds exactly those times).
    """

    every: int = eqx.field(static=True)

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """The relative error of one sample."""
        return _mean_error(trajectory, problem, self.every) / problem.reference.scale


def _mean_error(trajectory: Trajectory, problem: Problem, every: int) -> Array:
    """The mean absolute error at the saved times, over the components that the law is judged by."""
    difference = trajectory.after.u[every - 1 :: every] - problem.reference.values
    judged = problem.environment.scheme.law.judged
    return jnp.mean(jnp.abs(jnp.stack([difference[:, component] for component in judged])))


class LogTrajectoryError(AbstractObjective):
    r"""$\rho + \lambda \max(\rho, 0)$ with $\rho = \log\dfrac{e + \epsilon}{\text{scale} + \epsilon}$ and $e$ the mean L1
    error of `TrajectoryError` before division by the scale.

    Its batch mean is the logarithm of the *geometric* mean of the ratio to the baseline, which is how schemes are compared
    over many conditions: halving the error of an easy condition counts as much as halving that of a hard one, and one
    bad ratio cannot drown the rest. Ratios above one cost $1 + \lambda$ times as much.

    **Arguments:** `every`: compare after every so many steps; `floor` $\epsilon$: errors below it count as none; a number in the
    unit of the data, or None (default): 1e-6 of the largest value of the truth; `penalty` $\lambda$ (default 2).
    """

    every: int = eqx.field(static=True)
    floor: float | None = None
    penalty: float = 2.0

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """The penalised logarithm of the ratio."""
        error = _mean_error(trajectory, problem, self.every)
        floor = self._floor(problem)
        ratio = jnp.log((error + floor) / (problem.reference.scale + floor))
        return ratio + self.penalty * jax.nn.relu(ratio)

    def _floor(self, problem: Problem) -> float | Array:
        if self.floor is not None:
            return self.floor
        judged = problem.reference.values[:, jnp.asarray(problem.environment.scheme.law.judged)]
        return 1e-6 * jnp.max(jnp.abs(judged))
