r"""Objectives that look at the state or the weights alone: conservation, total variation, cloning of a scheme."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import Within, require, whole_number
from undertow._tree import take
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory
from undertow.envs.combination import FaceErrors, conservation, norm
from undertow.envs.face_objective import AbstractFaceObjective
from undertow.envs.squash import AbstractSquash, ArctanSquash
from undertow.numerics.norms import total_variation
from undertow.schemes.faces import only_weights
from undertow.schemes.interpolation import WenoInterpolation
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import EPSILON


class ConservationPenalty(AbstractFaceObjective):
    r"""$-\sum_t R_t$ with $R_t = \arctan\big(-\sum_c |S_c(u^{t}) - S_c(u^{t-1})|\big)$: change of the total.

    $S$ adds up the cells and K equally spaced interpolated points in every gap between two cells, along every axis; the
    gaps across the two ends of an axis count half (a periodic axis has the same gap twice). It is not multiplied by the
    cell volume.

    Any weights conserve the sum of the *cells* up to what flows through the ends, so with K = 0, or with the
    interpolation's linear weights, the penalty of a periodic state is 0 (round-off). With WENO weights the interpolated
    total is not an invariant: the penalty then measures how much the smoothness of the data changes. At open ends it
    contains the physical flux through them.

    Not differentiable where a total does not change at all; JAX takes 0.

    **Arguments:** `points` K (default 1, as published; 0 sums the cells alone); `interpolation`; `squash`, by default
    the arctangent without a scale.

    **Raises:** `UndertowError` for negative `points`.

    **Reference:** the code of arXiv 2203.08937, reward mode `conserve[_nK]`; its gaps across both ends count fully.
    """

    points: int = eqx.field(
        static=True, converter=partial(whole_number, "points", within=Within(at_least=0)), default=1
    )
    interpolation: WenoInterpolation = WenoInterpolation(EPSILON)
    squash: AbstractSquash = ArctanSquash(1.0)

    @property
    def worst(self) -> float:
        return self.squash.worst

    def total(self, scheme: SemiDiscrete, u: Float[Array, "chan *cells"]) -> Float[Array, " chan"]:
        """$S$ of one state, for every component."""
        for axis in range(scheme.grid.num_axes):
            u = self.interpolation.densify(scheme, u, self.points, axis)
        for size in u.shape[:0:-1]:
            counts = np.ones(size)
            counts[: self.points] = counts[size - self.points :] = 0.5
            # Not a matrix product, which accelerators round to fewer digits.
            u = jnp.sum(u * jnp.asarray(counts, u.dtype), axis=-1)
        return u

    def rewards(self, trajectory: Trajectory, problem: Problem) -> Float[Array, " time"]:
        """The reward of every step."""
        scheme = conservation(problem).scheme
        totals = jax.vmap(jax.checkpoint(lambda u: self.total(scheme, u)))(trajectory.states.u)
        return self.squash(jnp.sum(jnp.abs(totals[1:] - totals[:-1]), axis=-1))

    def last_rewards(self, trajectory: Trajectory, problem: Problem) -> tuple[Float[Array, ""], ...]:
        """Every face is paid for all of them."""
        return (self.rewards(trajectory, problem)[-1],) * conservation(problem).scheme.grid.num_axes

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """Minus the return."""
        return -jnp.sum(self.rewards(trajectory, problem))


class TotalVariationPenalty(AbstractFaceObjective):
    r"""$\lambda \sum_t \max\big(0, \mathrm{TV}(u^t) - \mathrm{TV}(u^{t-1})\big) / \prod_d n_d$, never below 0.

    The variation is that of [`total_variation`][undertow.numerics.norms.total_variation]: all components and axes
    added, the cells of the domain only, no wrap-around (a wave that crosses a periodic end changes it). Not
    differentiable where two neighbours are equal or the variation just stays the same; JAX takes a subgradient.

    **Arguments:** `factor` $\lambda$, default 1e-3.

    **Reference:** the code of arXiv 2203.08937, reward mode `tv`: a penalty beside another reward, `reward + penalty`.
    """

    factor: float = 1e-3

    def last_rewards(self, trajectory: Trajectory, problem: Problem) -> tuple[Float[Array, ""], ...]:
        """Every face is paid for all of them."""
        last = Trajectory(take(trajectory.states, slice(-2, None)), None)
        return (-self(last, problem),) * conservation(problem).scheme.grid.num_axes

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """The penalty of the whole trajectory."""
        variation = jax.vmap(total_variation)(trajectory.states.u)
        growth = jnp.maximum(variation[1:] - variation[:-1], 0.0)
        cells = np.prod(trajectory.states.u.shape[2:])
        return self.factor * jnp.sum(growth) / cells


class WeightCloning(AbstractFaceObjective):
    r"""$\frac1A\sum_a\frac{1}{CF}\sum_{c,f}\sum_t \lVert w^t_{c,f} - w^{*,t}_{c,f}\rVert$: behaviour cloning.

    The distance between the agent's weights and a classical policy's, over both directions and all substencils of a
    face; summed over time, averaged over components, faces and axes.

    The environment records the weights of the *last* stage of each step. They are compared with those that the
    comparator records when it takes the same step itself, from the same state with the same integrator, so that the
    comparator clones itself exactly. With forward Euler that is the comparator at the state that was acted on; with
    several stages the last-stage states of the two differ by what their earlier stages did differently.

    Not differentiable where two weights agree (`L1`) or all of a face's do (`L2`); 0 is taken.

    **Arguments:** `comparator`: the policy to be cloned; `distance`: `L1` or `L2` (the default; published without one);
    `held`: whether the comparator's weights count as given, so that no gradient asks for states in which they are easier to
    match (default False, as published).

    **Raises:** `UndertowError` for an unknown distance.

    **Reference:** the code of arXiv 2203.08937, reward mode `wenodiff_L1`, `wenodiff_L2`.
    """

    needs_weights: ClassVar[bool] = True
    comparator: AbstractPolicy
    distance: Literal["L1", "L2"] = eqx.field(static=True, default="L2")
    held: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        require(self.distance in ("L1", "L2"), f"distance must be 'L1' or 'L2', got {self.distance!r}")

    def last_rewards(self, trajectory: Trajectory, problem: Problem) -> tuple[Float[Array, "*faces"], ...]:
        """Of every face, the mean over the components."""
        return tuple(-jnp.mean(each[-1], axis=0) for each in self.distances(trajectory, problem))

    def distances(self, trajectory: Trajectory, problem: Problem) -> FaceErrors:
        """One array `(time, components, *faces)` per axis."""
        step = closed_loop(conservation(problem), self.comparator)
        states = jax.lax.stop_gradient(trajectory.before) if self.held else trajectory.before
        wanted = only_weights(jax.vmap(jax.checkpoint(lambda s: step(s)[1]))(states), "cloning")
        power: Literal[1, 2] = 1 if self.distance == "L1" else 2
        # (time, direction, component, *faces, substencil)
        return tuple(
            norm(w - v, power, (1, -1))
            for w, v in zip(only_weights(trajectory.actions, "cloning"), wanted, strict=True)
        )

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """The mean distance, summed over time."""
        parts = [jnp.sum(d) / (d.size // d.shape[0]) for d in self.distances(trajectory, problem)]
        return sum(parts[1:], parts[0]) / len(parts)
