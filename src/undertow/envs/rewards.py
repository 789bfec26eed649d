r"""The rewards of arXiv 2203.08937 as small parts: an error per cell, a combination to faces, a squashing function."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.core.flow import closed_loop
from undertow.core.objective import AbstractObjective, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory

CellErrors = Float[Array, "time *cells"]
FaceErrors = tuple[Float[Array, "time *faces"], ...]


class AbstractError(eqx.Module):
    """A non-negative error in every cell after every step."""

    def __call__(self, trajectory: Trajectory, problem: Problem) -> CellErrors:
        """Errors, summed over components: `(time, *cells)`."""
        raise NotImplementedError


class OneStepError(AbstractError):
    r"""$e^{n+1} = |u^{n+1} - W(u^n)|$, where $W$ is one step of the comparator *from the agent's own state* $u^n$.

    Gradients flow through the comparator too, as published. The comparison needs no memory of the past ("Markovian") and
    hides divergence: a drifting state is compared with a step from the drifted state. All steps are compared at once, outside
    the recurrence.

    **Arguments:** `comparator`: the policy to be compared with, usually WENO.

    **Reference:** Way et al. (2022), arXiv 2203.08937, section 4 (reward).
    """

    comparator: AbstractPolicy

    def __call__(self, trajectory: Trajectory, problem: Problem) -> CellErrors:
        """The error of every step."""
        step = closed_loop(problem.environment, self.comparator)
        # Rematerialised: the comparator's insides for all steps at once would outweigh everything else in memory.
        expected = jax.vmap(jax.checkpoint(lambda s: step(s)[0].u))(trajectory.before)
        return jnp.sum(jnp.abs(trajectory.after.u - expected), axis=1)


class AbstractCombination(eqx.Module):
    """From errors in cells to errors at faces."""

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        raise NotImplementedError


class AdjacentAverage(AbstractCombination):
    r"""The mean of the two cells beside each face. At an open end the edge cell's error; at a periodic one the mean of
    the first and the last cell's, at both ends."""

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        out = []
        for axis, boundary in enumerate(problem.environment.scheme.boundary):
            e = jnp.moveaxis(errors, axis + 1, -1)
            wrapped = 0.5 * (e[..., :1] + e[..., -1:])
            first = jnp.where(boundary.periodic > 0, wrapped, e[..., :1])
            last = jnp.where(boundary.periodic > 0, wrapped, e[..., -1:])
            faces = jnp.concatenate([first, 0.5 * (e[..., 1:] + e[..., :-1]), last], axis=-1)
            out.append(jnp.moveaxis(faces, -1, axis + 1))
        return tuple(out)


class AbstractSquash(eqx.Module):
    """From a non-negative error to a reward."""

    def __call__(self, error: Array) -> Array:
        """The reward, elementwise."""
        raise NotImplementedError


class ArctanSquash(AbstractSquash):
    r"""$R = \arctan(-\kappa e)$, default $\kappa = 1000$."""

    scale: float = 1000.0

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return jnp.arctan(-self.scale * error)


class Reward(AbstractObjective):
    r"""The published loss, $-\frac1A\sum_a \frac{1}{F}\sum_f \sum_t R_{t,f}$: rewards summed over time, averaged over the faces
    of each axis and over the axes.

    **Arguments:** `error`, `combination`, `squash`: the parts. The default is the published reward
    (`one-step_adjacent_avg_arctansquash`) once it is given `OneStepError(comparator)`.

    **Reference:** Way et al. (2022), arXiv 2203.08937, section 4.
    """

    error: AbstractError
    combination: AbstractCombination = AdjacentAverage()
    squash: AbstractSquash = ArctanSquash()

    def rewards(self, trajectory: Trajectory, problem: Problem) -> FaceErrors:
        """The reward of every face after every step, one array `(time, *faces)` per axis."""
        return tuple(self.squash(e) for e in self.combination(self.error(trajectory, problem), problem))

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """Minus the mean return."""
        parts = [jnp.sum(r) / (r.size // r.shape[0]) for r in self.rewards(trajectory, problem)]
        return -sum(parts[1:], parts[0]) / len(parts)
