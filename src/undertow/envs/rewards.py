r"""The rewards of arXiv 2203.08937 as small parts: an error per cell, a combination to faces, a squashing function.

The published code composes them from one string; here they are objects. What its words stand for (objects that are
not in this file are in `undertow.envs.consistency` and `undertow.envs.penalties`):

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
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, require, require_positive
from undertow.core.flow import closed_loop
from undertow.core.objective import AbstractObjective, Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory, rollout, unroll
from undertow.envs.conservation import Conservation, FieldState
from undertow.numerics.norms import root_of_squares
from undertow.numerics.stencil import face_slices
from undertow.numerics.timestep import FixedStep
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.march import step_length

CellErrors = Float[Array, "time *cells"]
ComponentErrors = Float[Array, "time chan *cells"]
FaceErrors = tuple[Float[Array, "time *faces"], ...]
Components = Literal["summed", "separate"]


def norm(x: Array, power: Literal[1, 2], axis: int | tuple[int, ...]) -> Array:
    r"""$\sum |x|$ or $(\sum x^2)^{1/2}$ along axes, with derivative 0 where it is 0."""
    if power == 1:
        return jnp.sum(jnp.abs(x), axis=axis)
    return root_of_squares(x, axis)


def conservation(problem: Problem) -> Conservation:
    """The environment of a problem. Raises `UndertowError` unless it is a `Conservation`, with faces and cells."""
    environment = problem.environment
    if not isinstance(environment, Conservation):
        raise UndertowError(
            f"rewards of faces and cells need a Conservation environment, got {type(environment).__name__}; "
            "take an objective from undertow.core.objective"
        )
    return environment


def step_lengths(trajectory: Trajectory, environment: Conservation) -> Float[Array, " time"]:
    """The time step that was taken from every state that was acted on."""
    scheme, rule = environment.scheme, environment.time_step
    return jax.vmap(lambda state: step_length(scheme, rule, state.u, state.time, environment.integrator))(
        trajectory.before
    )


class AbstractError(eqx.Module):
    """A non-negative error in every cell after every step, of every component and of all of them together."""

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

    def by_component(self, trajectory: Trajectory, problem: Problem) -> ComponentErrors:
        """Every component's error, clipped."""
        return self._clip(self.error.by_component(trajectory, problem))

    def __call__(self, trajectory: Trajectory, problem: Problem) -> CellErrors:
        """The error, summed over components, and then clipped."""
        return self._clip(self.error(trajectory, problem))

    def _clip(self, e: Array) -> Array:
        return jnp.where(e < self.low, 0.0, jnp.where(e > self.high, self.factor * e, e))


class AbstractCombination(eqx.Module):
    """From errors in cells to errors at faces."""

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        raise NotImplementedError


class AdjacentAverage(AbstractCombination):
    """The mean of the two cells beside each face.

    At an open end the edge cell's error; at a periodic one the mean of the first and the last cell's, at both ends.
    """

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        out = []
        for axis, boundary in enumerate(conservation(problem).scheme.domain.boundary):
            e = jnp.moveaxis(errors, axis + 1, -1)
            wrapped = 0.5 * (e[..., :1] + e[..., -1:])
            first = jnp.where(boundary.periodic > 0, wrapped, e[..., :1])
            last = jnp.where(boundary.periodic > 0, wrapped, e[..., -1:])
            faces = jnp.concatenate([first, 0.5 * (e[..., 1:] + e[..., :-1]), last], axis=-1)
            out.append(jnp.moveaxis(faces, -1, axis + 1))
        return tuple(out)


class StencilCombination(AbstractCombination):
    r"""The maximum, mean, sum (`L1`) or root of the sum of squares (`L2`) over the stencil of each face.

    The published window is that of the right-going flux, the 2r-1 cells $i-r+1 .. i+r-1$ around face $i+1/2$: $r$ on
    its left, $r-1$ on its right, whichever way the flow goes. `symmetric` takes the $2r$ cells of both directions'
    stencils instead, so that a mirrored problem gets mirrored rewards. Beyond the ends of the domain errors continue as
    the boundary continues the state: around (periodic), the edge cell's (outflow), mirrored (reflective), and the size
    of the extrapolation where the boundary extrapolates.

    The maximum has no derivative where several cells share it: JAX splits the gradient equally. `L2` has none where all
    errors are 0: 0 is taken.

    **Arguments:** `reduction`: `max` (default), `avg`, `L1` or `L2`; `symmetric`, default False.

    **Raises:** `UndertowError` for an unknown reduction.

    **Reference:** the code of arXiv 2203.08937, reward modes `stencil_max`, `stencil_avg`, `stencil_L1`, `stencil_L2`.
    """

    reduction: Literal["max", "avg", "L1", "L2"] = eqx.field(static=True, default="max")
    symmetric: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        known = ("max", "avg", "L1", "L2")
        require(self.reduction in known, f"reduction must be one of {', '.join(known)}, got {self.reduction!r}")

    def __call__(self, errors: CellErrors, problem: Problem) -> FaceErrors:
        """One array per axis."""
        scheme = conservation(problem).scheme
        width = 2 * substencil_width(scheme.order)
        out = []
        for axis, boundary in enumerate(scheme.domain.boundary):
            # One sample each, a single component that keeps its sign at a wall.
            padded = jax.vmap(lambda e, axis=axis, boundary=boundary: boundary.pad(e[None], axis, (1.0,))[0])(errors)
            cells = face_slices(jnp.abs(padded), width, boundary.ghost, axis)
            window = jnp.stack(cells if self.symmetric else cells[:-1], axis=-1)
            out.append(self._reduce(window))
        return tuple(out)

    def _reduce(self, window: Array) -> Array:
        if self.reduction == "max":
            return jnp.max(window, axis=-1)
        if self.reduction == "avg":
            return jnp.mean(window, axis=-1)
        return norm(window, 1 if self.reduction == "L1" else 2, -1)


class AbstractSquash(eqx.Module):
    """From a non-negative error to a reward."""

    def __call__(self, error: Array) -> Array:
        """The reward, elementwise."""
        raise NotImplementedError


class ArctanSquash(AbstractSquash):
    r"""$R = \arctan(-\kappa e)$, default $\kappa = 1000$; $\kappa = 1$ is the published `noadjust`."""

    scale: float = 1000.0

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return jnp.arctan(-self.scale * error)


class LogSquash(AbstractSquash):
    r"""$R = -\log(e + \epsilon)$: positive below an error of about 1, at most $-\log\epsilon$.

    Its slope is $-1/(e+\epsilon)$, so halving a tiny error is worth as much as halving a large one.

    **Arguments:** `epsilon`, default 1e-16: what the published training uses, its evaluation 1e-30.

    **Raises:** `UndertowError` if `epsilon` is not positive.
    """

    epsilon: float = eqx.field(static=True, default=1e-16)

    def __check_init__(self):
        require_positive("epsilon", self.epsilon)

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return -jnp.log(error + self.epsilon)


class NoSquash(AbstractSquash):
    r"""$R = -e$."""

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return -error


class Reward(AbstractObjective):
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
