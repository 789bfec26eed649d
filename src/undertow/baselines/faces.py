r"""Episodes of a learned scheme in which every evaluation of the policy's network is a sample: the "batch view" of the original.

A row is what a network sees at once: a face and component of a `PairedPolicy`, a face, component and direction of a
`DirectionalPolicy`. Its action is what the network would say there; it is held over the stages of a step, while the stencils it
is applied to follow them.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from undertow._tree import take, where
from undertow._types import Key
from undertow.core.objective import AbstractObjective, Problem
from undertow.core.task import batch_size
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation, FieldState
from undertow.games.actions import faces_of
from undertow.games.game import blown_up
from undertow.games.scores import needs_weights, reference_of, step_rewards
from undertow.policies.stencil import AbstractStencilPolicy


class Pool(eqx.Module):
    """Problems to draw episodes from: `problems`, `"cases ..."` in every array; the trajectories that rewards compare with,
    `values: "cases steps+1 chan *cells"`, or None; `scales`: what rewards are divided by."""

    problems: Problem
    values: Float[Array, "cases steps+1 chan *cells"] | None
    scales: Float[Array, " cases"]


class FaceState(eqx.Module):
    """An episode under way: the place of its problem in the pool, the field, steps taken, and what it has gathered, the
    mean over the faces."""

    place: Int[Array, ""]
    field: FieldState
    steps: Int[Array, ""]
    gathered: Float[Array, ""]


class FaceGame(eqx.Module):
    r"""The game of a policy's rows.

    **Arguments:** `policy`: its `features` and `weighted` are used, its network is not; `objective`: a sum of what
    [`undertow.games.scores`][undertow.games] knows; `horizon` in steps; `penalty`: what a step costs that a solution does not
    take because it blew up, that is, has a value above `limit` or not a number; `bounded`: whether actions are what the network
    says before its bound (which is then applied), or after it; `sampling`: `sample` or `cycle`, as in training.
    """

    policy: AbstractStencilPolicy
    objective: AbstractObjective
    horizon: int = eqx.field(static=True)
    penalty: float = eqx.field(static=True)
    bounded: bool = eqx.field(static=True, default=True)
    sampling: Literal["sample", "cycle"] = eqx.field(static=True, default="sample")
    limit: float = eqx.field(static=True, default=1e7)

    def reset(self, pool: Pool, place: Int[Array, ""]) -> FaceState:
        """The start of the episode of one problem."""
        zero = jnp.zeros((), int)
        return FaceState(place, take(pool.problems.state, place), zero, jnp.zeros(()))

    def next_place(self, pool: Pool, key: Key, place: Int[Array, ""], copies: int) -> Int[Array, ""]:
        """The problem that follows."""
        size = batch_size(pool.problems)
        if self.sampling == "cycle":
            return (place + copies) % size
        return jax.random.randint(key, (), 0, size)

    def rows(self, pool: Pool, state: FaceState) -> Float[Array, "rows in"]:
        """What the network sees, row by row."""
        parts = [self.policy.features(s) for s in self._environment(pool, state).observe(state.field)]
        return jnp.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])

    def step(
        self, pool: Pool, state: FaceState, actions: Float[Array, "rows out"]
    ) -> tuple[FaceState, Float[Array, " rows"], Bool[Array, ""], Bool[Array, ""]]:
        """One time step. **Returns:** the state, every row's reward (that of its face), whether the solution blew up, and
        whether the episode is over."""
        env, before = self._environment(pool, state), state.field
        outputs = self.policy.bounded(actions) if self.bounded else actions

        def weights(at: FieldState) -> tuple[Array, ...]:
            stencils = env.observe(at)
            return tuple(map(self.policy.weighted, stencils, self._by_axis(stencils, outputs)))

        after, _ = env.step(before, weights)
        lost = blown_up(after.u, jnp.asarray(self.limit))
        # Two entries of it, not the whole trajectory for every copy in every step.
        reference = None if pool.values is None else pool.values[state.place, state.steps + jnp.arange(2)]
        chose = weights(before) if needs_weights(self.objective) else None
        values = step_rewards(self.objective, env, before, after, reference, chose) / pool.scales[state.place]
        values = jnp.where(lost, -self.penalty * (self.horizon - state.steps), values)
        steps = state.steps + 1
        new = FaceState(state.place, where(lost, before, after), steps, state.gathered + jnp.mean(values))
        return new, self._by_row(env, before, values), lost, lost | (steps >= self.horizon)

    def _environment(self, pool: Pool, state: FaceState) -> Conservation:
        return take(pool.problems.environment, state.place)

    def _by_axis(self, stencils: tuple[Array, ...], outputs: Float[Array, "rows out"]) -> list[Array]:
        """The outputs in the shapes of the features of every axis."""
        shapes = self._shapes(stencils)
        parts = jnp.split(outputs, list(itertools.accumulate(map(math.prod, shapes)))[:-1])
        return [part.reshape(*shape, -1) for part, shape in zip(parts, shapes, strict=True)]

    def _by_row(self, env: Conservation, field: FieldState, values: Float[Array, " agents"]) -> Float[Array, " rows"]:
        """The reward of every row's face: rows have the faces last."""
        shapes = self._shapes(jax.eval_shape(env.observe, field))
        parts = jnp.split(values, list(itertools.accumulate(map(math.prod, faces_of(env.scheme.grid))))[:-1])
        tiled = [jnp.tile(part, math.prod(shape) // part.size) for part, shape in zip(parts, shapes, strict=True)]
        return jnp.concatenate(tiled)

    def _shapes(self, stencils: tuple[Any, ...]) -> list[tuple[int, ...]]:
        """The agents of every axis: features without what is seen."""
        return [jax.eval_shape(self.policy.features, each).shape[:-1] for each in stencils]


def make_pool(problems: Problem, objective: AbstractObjective, horizon: int, *, relative: bool) -> Pool:
    """The pool of problems whose truth, where rewards compare with it, is known after every step.

    **Arguments:** `problems`, a batch; `objective`; `horizon` in steps; `relative`: whether rewards are divided by WENO-JS's own
    error at the end.
    """
    follows = reference_of(objective)
    values = None
    if follows is not None:
        if isinstance(follows, str):
            reached = problems.reference.values
        else:
            march = lambda problem: rollout(problem.environment, follows, problem.state, horizon).after.u
            reached = eqx.filter_jit(eqx.filter_vmap(march))(problems)
        values = jnp.concatenate([problems.state.u[:, None], reached], axis=1)
    scales = problems.reference.scale if relative else jnp.ones(batch_size(problems))
    return Pool(eqx.tree_at(lambda p: p.reference, problems, None), values, scales)
