r"""The rewards of arXiv 2203.08937 as small parts: an error per cell, a combination to faces, a squashing function.

The published code composes them from one string; here they are objects. What its words stand for (objects that are
not in this file are in `undertow.envs.combination`, `squash`, `consistency` and `penalties`):

| word | object |
|---|---|
| `one-step`, `full` | `OneStepError`, `FullError` |
| `change`, `clip` | `ChangeError(FullError(...))`, `ClippedError(...)` |
| `consistency-hi`, `consistency-lo` | `ConsistencyHi`, `ConsistencyLo` |
| `adjacent_avg` | `AdjacentAverage` |
| `stencil_max`, `stencil_avg`, ... | `StencilCombination("max")`, `StencilCombination("avg")`, ... |
| `arctansquash`, `arctansquash_noadjust` | `ArctanSquash()`, `ArctanSquash(1.0)` |
| `logsquash`, `nosquash` | `LogSquash()`, `NoSquash()` |
| `conserve`, `tv`, `wenodiff` | `ConservationPenalty`, `TotalVariationPenalty`, `WeightCloning` |
| `l2d` | `StencilCombination("max")` and `LogSquash()` with `FullError` |

Of a system of equations the published *training* squashes the sum of the errors of all components, one reward per face,
and its *evaluation* squashes each component's error and takes the mean, another quantity of the same name. Here both
have names: `Reward(..., components="summed")`, the default, and `components="separate"`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import choice, require
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory, rollout, unroll
from undertow.envs.combination import AbstractCombination, AdjacentAverage, CellErrors, FaceErrors, conservation
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.face_objective import AbstractFaceObjective
from undertow.envs.squash import AbstractSquash, ArctanSquash
from undertow.numerics.timestep import FixedStep
from undertow.schemes.march import step_length

ComponentErrors = Float[Array, "time chan *cells"]
Components = Literal["summed", "separate"]


def step_lengths(trajectory: Trajectory, environment: Conservation) -> Float[Array, " time"]:
    """The time step that was taken from every state that was acted on."""
    scheme, rule = environment.scheme, environment.time_step
    return jax.vmap(lambda state: step_length(scheme, rule, state.u, state.time, environment.integrator))(
        trajectory.before
    )


class AbstractError(eqx.Module):
    """A non-negative error in every cell after every step, of every component and of all of them together.

    `looks_back`: whether the error of a step depends on the state before it, too. `full`: the distance to a whole trajectory
    that the error is made of, if it is.
    """

    @property
    def looks_back(self) -> bool:
        return False

    @property
    def full(self) -> FullError | None:
        return None

    def compared(self) -> Self:
        """The same error with the reference trajectory taken from the problem."""
        return self

    def by_component(self, trajectory: Trajectory, problem: Problem) -> ComponentErrors:
        """Errors of every component: `(time, components, *cells)`."""
        raise NotImplementedError

    def __call__(self, trajectory: Trajectory, problem: Problem) -> CellErrors:
        """Errors, summed over components: `(time, *cells)`."""
        return jnp.sum(self.by_component(trajectory, problem), axis=1)


class AbstractDifference(AbstractError):
    r"""An error that is the size of a difference of fields, $e = \sum_c |d_c|$ over the components.

    Its derivative at $d = 0$ does not exist; JAX takes 0.
    """

    def difference(self, trajectory: Trajectory, problem: Problem) -> Float[Array, "time chan *cells"]:
        """The signed difference after every step."""
        raise NotImplementedError

    def by_component(self, trajectory: Trajectory, problem: Problem) -> ComponentErrors:
        """The size of the difference."""
        return jnp.abs(self.difference(trajectory, problem))


class OneStepError(AbstractDifference):
    r"""$e^{n+1} = |u^{n+1} - W(u^n)|$, where $W$ is one step of the comparator *from the agent's own state* $u^n$.

    Gradients flow through the comparator too, as published. The comparison needs no memory of the past ("Markovian")
    and hides divergence: a drifting state is compared with a step from the drifted state. Steps are compared outside the
    recurrence.

    **Arguments:** `comparator`: the policy to be compared with, usually WENO.

    **Reference:** Way et al. (2022), arXiv 2203.08937, section 4 (reward).
    """

    comparator: AbstractPolicy

    def difference(self, trajectory: Trajectory, problem: Problem) -> Float[Array, "time chan *cells"]:
        """The agent's step minus the comparator's."""
        step = closed_loop(problem.environment, self.comparator)
        # One step after the other, rematerialised: all at once they leave the cache (twice the time), and their insides
        # outweigh everything else in memory.
        expected = jax.lax.map(jax.checkpoint(lambda s: step(s)[0].u), trajectory.before)
        return trajectory.after.u - expected


class FullError(AbstractDifference):
    r"""$e^n = |u^n - r^n|$, the distance to a whole reference trajectory $r^1 .. r^T$.

    The reference is what the problem brings (an exact solution, a finer grid, another order), or a comparator that
    starts from the same state and takes the agent's own time steps.

    **Arguments:** `comparator`: the policy to be rolled out, or None (default): `problem.reference.values`, shape
    `(time, components, *cells)`, with an entry after *every* step (a `FieldReference` made with `every=1`; its `scale`
    is not used).

    **Raises:** `UndertowError` if there is neither, or if the reference has another shape than the trajectory.

    **Reference:** the code of arXiv 2203.08937, reward mode `full`.
    """

    comparator: AbstractPolicy | None = None

    @property
    def full(self) -> FullError:
        return self

    def compared(self) -> FullError:
        return FullError()

    def difference(self, trajectory: Trajectory, problem: Problem) -> Float[Array, "time chan *cells"]:
        """The agent's trajectory minus the reference."""
        u = trajectory.after.u
        expected = _given(problem) if self.comparator is None else _rolled_out(self.comparator, trajectory, problem)
        require(
            expected.shape == u.shape,
            f"FullError compares every step, shape {u.shape} (time, components, *cells), but the reference has shape "
            f"{expected.shape}; make it with every=1",
        )
        return u - expected


def _given(problem: Problem) -> Array:
    values = getattr(problem.reference, "values", None)
    require(
        values is not None,
        f"FullError needs a comparator or a problem.reference with values, got {type(problem.reference).__name__}",
    )
    return jnp.asarray(values)


def _rolled_out(comparator: AbstractPolicy, trajectory: Trajectory, problem: Problem) -> Array:
    """The comparator's trajectory from the same initial state, after every step."""
    environment, length = conservation(problem), trajectory.after.u.shape[0]
    if not environment.time_step.needs_speed:
        return rollout(environment, comparator, trajectory.initial, length).after.u

    def step(state: FieldState, dt: Array) -> tuple[FieldState, Any]:
        # Its own CFL condition would give the comparator other steps: states of different times would be compared.
        fixed = dataclasses.replace(environment, time_step=FixedStep(dt))
        return closed_loop(fixed, comparator)(state)

    return unroll(step, trajectory.initial, length, inputs=step_lengths(trajectory, environment)).after.u


class ChangeError(AbstractDifference):
    r"""$e^n = |d^n - d^{n-1}|$ with the signed difference $d$ of another error and $d^0 = 0$: what each step *added*.

    **Arguments:** `error`: an error with a signed difference; the published one is `FullError`.

    **Reference:** the code of arXiv 2203.08937, reward mode `change`.
    """

    error: AbstractDifference

    @property
    def looks_back(self) -> bool:
        return True

    @property
    def full(self) -> FullError | None:
        return self.error.full

    def compared(self) -> Self:
        return dataclasses.replace(self, error=self.error.compared())

    def difference(self, trajectory: Trajectory, problem: Problem) -> Float[Array, "time chan *cells"]:
        """The change of the difference over each step."""
        d = self.error.difference(trajectory, problem)
        return d - jnp.concatenate([jnp.zeros_like(d[:1]), d[:-1]])


class GrowthError(ChangeError):
    r"""$g^n = |d^n| - |d^{n-1}|$, $d^0 = 0$: by how much each step made the error larger or, below 0, smaller. Over a trajectory
    it adds up to the error at its end.

    **Arguments:** `error`: an error with a signed difference.

    **Reference:** this project.
    """

    def by_component(self, trajectory: Trajectory, problem: Problem) -> ComponentErrors:
        """The growth over each step, of either sign."""
        e = self.error.by_component(trajectory, problem)
        return e - jnp.concatenate([jnp.zeros_like(e[:1]), e[:-1]])


class ClippedError(AbstractError):
    r"""Small errors forgiven, large ones enhanced: $e < l \to 0$, $e > h \to m e$.

    It jumps at both thresholds and has no derivative there: what moves an error *across* a threshold is invisible to
    the gradient, which is 0 below $l$ and enlarged by $m$ above $h$.

    **Arguments:** `error`; `low` $l$, default 0.001; `high` $h$, default 0.1; `factor` $m$, default 10. As published.

    **Reference:** the code of arXiv 2203.08937, reward mode `clip`.
    """

    error: AbstractError
    low: float = 0.001
    high: float = 0.1
    factor: float = 10.0

    @property
    def looks_back(self) -> bool:
        return self.error.looks_back

    @property
    def full(self) -> FullError | None:
        return self.error.full

    def compared(self) -> Self:
        return dataclasses.replace(self, error=self.error.compared())

    def by_component(self, trajectory: Trajectory, problem: Problem) -> ComponentErrors:
        """Every component's error, clipped."""
        return self._clip(self.error.by_component(trajectory, problem))

    def __call__(self, trajectory: Trajectory, problem: Problem) -> CellErrors:
        """The error, summed over components, and then clipped."""
        return self._clip(self.error(trajectory, problem))

    def _clip(self, e: Array) -> Array:
        return jnp.where(e < self.low, 0.0, jnp.where(e > self.high, self.factor * e, e))


class Reward(AbstractFaceObjective):
    r"""The published loss, $-\frac1A\sum_a \frac{1}{F}\sum_f \sum_t R_{t,f}$.

    Rewards are summed over time, averaged over the faces of each axis and over the axes.

    **Arguments:** `error`, `combination`, `squash`: the parts. The default is the published reward
    (`one-step_adjacent_avg_arctansquash`) once it is given `OneStepError(comparator)`. `components`, of a system:
    `summed` (default), one reward per face, of the errors' sum, the published training's; or `separate`, one per face and
    component, over which the loss takes the mean, the published evaluation's. For a scalar law they are the same.

    **Raises:** `UndertowError` for another word.

    **Reference:** Way et al. (2022), arXiv 2203.08937, section 4.
    """

    error: AbstractError
    combination: AbstractCombination = AdjacentAverage()
    squash: AbstractSquash = ArctanSquash()
    components: Components = eqx.field(static=True, default="summed")

    def __check_init__(self):
        choice("components", self.components, get_args(Components))

    @property
    def worst(self) -> float:
        return self.squash.worst

    @property
    def looks_back(self) -> bool:
        return self.error.looks_back

    @property
    def follows(self) -> AbstractPolicy | Literal["truth"] | None:
        full = self.error.full
        return None if full is None else "truth" if full.comparator is None else full.comparator

    def compared(self) -> Reward:
        return dataclasses.replace(self, error=self.error.compared())

    def last_rewards(self, trajectory: Trajectory, problem: Problem) -> tuple[Float[Array, "*faces"], ...]:
        """Of every face, the mean over separate components."""
        axes = [each[-1] for each in self.rewards(trajectory, problem)]
        return tuple(each if self.components == "summed" else jnp.mean(each, axis=0) for each in axes)

    def rewards(self, trajectory: Trajectory, problem: Problem) -> FaceErrors:
        """The reward of every face after every step, one array per axis.

        They are `(time, *faces)` where components are summed, `(time, components, *faces)` where they are separate.
        """
        if self.components == "summed":
            faces = self.combination(self.error(trajectory, problem), problem)
        else:
            combine = jax.vmap(lambda e: self.combination(e, problem), in_axes=1, out_axes=1)
            faces = combine(self.error.by_component(trajectory, problem))
        return tuple(self.squash(e) for e in faces)

    def __call__(self, trajectory: Trajectory, problem: Problem) -> Float[Array, ""]:
        """Minus the mean return."""
        parts = [jnp.sum(r) / (r.size // r.shape[0]) for r in self.rewards(trajectory, problem)]
        return -sum(parts[1:], parts[0]) / len(parts)
