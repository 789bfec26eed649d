r"""A conservation law as a game: an agent at every cell face, which acts through stencil weights or fluxes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from undertow._checks import UndertowError, require
from undertow._tree import where
from undertow._types import Key
from undertow.core.flow import closed_loop
from undertow.core.objective import AbstractObjective
from undertow.core.policy import AbstractPolicy
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.placing import coordinates, point_values
from undertow.envs.pools import Discretised
from undertow.games import scores
from undertow.games.actions import AbstractActions, Simplex, faces_of, to_agents, to_axes
from undertow.games.game import AbstractGame, Space, blown_up
from undertow.games.stages import Stages, first_stage, stage_values, with_slope
from undertow.laws.cases import Initial
from undertow.laws.exact import exact_solution, has_exact_solution
from undertow.laws.law import AbstractConservationLaw
from undertow.laws.source import SineSource, random_source
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.normalise import visible_z_score
from undertow.schemes.faces import only_weights
from undertow.schemes.march import step_length

Acts = Literal["step", "stage"]
Observations = Literal["normalised", "raw"]


class FieldParams(eqx.Module):
    r"""What a game of a conservation law depends on and may be traced, batched or differentiated.

    - `initial`: from a key to the condition of an episode.
    - `time_step`: `FixedStep` or `CFLStep`; `constants`: of the law, where they are not 0 (conditions may bring their own).
    - `horizon`: steps of an episode, at most; `end_time`: it ends when this is reached; infinity for none.
    - `limit`: an episode ends when a value is larger than this, or not a number, or what agents see of it is not finite;
        1e7, as published.
    - `penalty`: what such an episode costs for every step that is not taken, the last one included.
    - `source`: amplitude of a random source, another one in every episode, or None.
    """

    initial: Callable[[Key], Initial]
    time_step: FixedStep | CFLStep
    constants: AbstractConservationLaw
    horizon: Int[Array, ""]
    end_time: Float[Array, ""]
    limit: Float[Array, ""]
    penalty: Float[Array, ""]
    source: Float[Array, ""] | None = None


class Episode(eqx.Module):
    """The state of a game: `field`, at the start of the step under way; what stays as it is for the whole episode
    (`condition`, `source`); the `reference` trajectory where rewards ask for one; the `stages` of the step under way where
    agents act at every one of them; `steps` taken; `done`."""

    field: FieldState
    condition: Initial
    source: SineSource | None
    reference: FieldState | None
    stages: Stages | None
    steps: Int[Array, ""]
    done: Bool[Array, ""]


class FieldGame(AbstractGame[Episode, FieldParams]):
    r"""A finite-difference scheme whose numerical fluxes are up to agents at the cell faces.

    - observation: `"agents chan 2 2r-1"`, the split-flux stencils of a face, the right-going one first, both from upwind to
        downwind; of a system with characteristic reconstruction those of the characteristic fields.
    - action: by `actions`, see [`undertow.games.actions`][undertow.games.actions].
    - reward: one per face, whatever the number of components; the game's is their mean.

    **Arguments** (static): `how`: law, cells, order, integrator and so on; `grid`, `components`: of the conditions;
    `actions`; `objective`: a sum of what `undertow.games.scores` knows; `acts`: `step` (weights or fluxes are held
    over the whole Runge-Kutta step) or `stage` (a step of the game is a stage, and the last stage is rewarded for the whole
    step, as published); `observations`: `normalised` (the z-score of every stencil, as published; what is rounding
        scores 0, see [`visible_z_score`][undertow.policies.normalise.visible_z_score]) or `raw`.

    **Reference:** Way et al. (2022), arXiv 2203.08937, sections 3 and 4.
    """

    how: Discretised
    grid: UniformGrid
    components: int = eqx.field(static=True)
    objective: AbstractObjective
    actions: AbstractActions = Simplex()
    acts: Acts = eqx.field(static=True, default="step")
    observations: Observations = eqx.field(static=True, default="normalised")

    def __check_init__(self):
        require(self.acts in ("step", "stage"), f"acts must be 'step' or 'stage', got {self.acts!r}")
        require(
            self.observations in ("normalised", "raw"),
            f"observations must be 'normalised' or 'raw', got {self.observations!r}",
        )
        require(
            not any(eqx.is_array(leaf) for leaf in jax.tree.leaves(self)),
            "a game is static, and something in it holds arrays (a network to be compared with?); take a classical policy",
        )
        flux_kind = type(self.actions).weights is AbstractActions.weights
        scores.check_face_objective(self.objective, not flux_kind)
        scores.reference_of(self.objective)

    # --- spaces -------------------------------------------------------------------------------------------------------

    @property
    def agents(self) -> tuple[str, ...]:
        """`face_3` in one dimension, `x_3_5` and `y_3_5` (normal to x and y) in two."""
        labels = "xyz" if self.grid.num_axes > 1 else ("face",)
        return tuple(
            "_".join([label, *map(str, place)])
            for label, faces in zip(labels, faces_of(self.grid), strict=False)
            for place in np.ndindex(*faces)
        )

    @property
    def _count(self) -> int:
        return sum(map(math.prod, faces_of(self.grid)))

    @property
    def agent_observation_space(self) -> Space:
        # The largest z-score of n numbers is that of one that is apart from all the others.
        bound = math.sqrt(self.how.order - 1) + 1e-6 if self.observations == "normalised" else math.inf
        return Space((self.components, 2, self.how.order), -bound, bound)

    @property
    def agent_action_space(self) -> Space:
        return self.actions.space(self.components, self.how.order)

    @property
    def observation_space(self) -> Space:
        return self.agent_observation_space.batched(self._count)

    @property
    def action_space(self) -> Space:
        return self.agent_action_space.batched(self._count)

    def split(self, observation: Any) -> Float[Array, "agents ..."]:
        return observation

    def joined(self, actions: Any) -> Any:
        return actions

    def acting(self, policy: AbstractPolicy) -> Callable[[Array], Array]:
        """A policy of this library, classical or learned, as a player: from observations to actions.

        Policies scale what they see themselves, so they need raw observations; from flux actions that are held over a step
        with stages, other solutions follow than from the policy's weights at every stage.

        **Raises:** `UndertowError` for normalised observations, or fluxes of characteristic fields.
        """
        require(
            self.observations == "raw",
            "policies of this library see raw stencils: make the game with observations='raw'",
        )
        fluxes = type(self.actions).weights is AbstractActions.weights
        require(
            not (fluxes and self.how.reconstruction == "characteristic"),
            "fluxes do not follow from weights and characteristic stencils alone; take reconstruction='component'",
        )

        def act(observation: Array) -> Array:
            stencils = to_axes(observation, self.grid, 2)
            return self.actions.encoded(only_weights(policy(stencils), "an action"), stencils)

        return act

    # --- the game -----------------------------------------------------------------------------------------------------

    def environment(self, state: Episode, params: FieldParams) -> Conservation:
        """The closed-loop environment of an episode: the solver of its condition."""
        law = eqx.combine(params.constants, self.how.law)
        env = dataclasses.replace(self.how, law=law).environment(state.condition, state.source)
        return dataclasses.replace(env, time_step=params.time_step)

    def reset(self, key: Key, params: FieldParams) -> tuple[Episode, Array]:
        for_condition, for_source = jax.random.split(key)
        condition = params.initial(for_condition)
        source = None if params.source is None else random_source(for_source, params.source)
        u = point_values(condition, self.grid)
        field = FieldState(u, jnp.zeros((), u.dtype))
        follows = scores.reference_of(self.objective) is not None
        stages = first_stage(self.how.integrator, u) if self._staged else None
        state = Episode(
            field, condition, source, field if follows else None, stages, jnp.zeros((), int), jnp.zeros((), bool)
        )
        return state, self._observe(self.environment(state, params), u, field.time)

    @property
    def _staged(self) -> bool:
        return self.acts == "stage" and self.how.integrator.num_stages > 1

    def _observe(self, env: Conservation, u: Array, time: Array) -> Array:
        seen = to_agents(env.scheme.stencils(u, time), 2)
        if self.observations == "raw":
            return seen
        # A component's own largest value, over all faces and both directions: splitting takes differences of such numbers,
        # and pressure makes momenta across the axis. Characteristic fields share one unit, and are sums over components.
        own = (0, 2, 3) if self.how.reconstruction == "component" else None
        space = self.agent_observation_space
        scaled = visible_z_score(seen, jnp.max(jnp.abs(seen), axis=own, keepdims=True))
        return jnp.clip(scaled, space.low, space.high)

    def step(
        self, key: Key, state: Episode, action: Array, params: FieldParams
    ) -> tuple[Episode, Array, Float[Array, ""], Array, dict[str, Array]]:
        action = self.action_space.checked(action)
        env, before = self.environment(state, params), state.field
        scheme, integrator = env.scheme, env.integrator
        dt = step_length(scheme, env.time_step, before.u, before.time, env.integrator)

        def rate(v: Array, t: Array) -> Array:
            return self.actions.rate(scheme, v, t, action, dt)

        stages, taken = state.stages, jnp.asarray(True)
        if stages is None:
            u, offset = integrator.step(rate, before.u, before.time, dt), dt
            seen = u
        else:
            v, offset = stage_values(integrator, stages, before.u, dt)
            stages = with_slope(stages, rate(v, before.time + offset))
            taken = stages.index == integrator.num_stages
            end = integrator.combine(before.u, integrator.b, list(stages.slopes), dt)
            u = jnp.where(taken, end, before.u)
            stages = where(taken, first_stage(integrator, u), stages)
            v, offset = stage_values(integrator, stages, before.u, dt)
            seen, offset = jnp.where(taken, end, v), jnp.where(taken, dt, offset)
        lost = blown_up(u, params.limit) | blown_up(seen, params.limit)
        if scheme.law.positive(
            seen
        ):  # beyond physical states, what agents see may be infinite where values are not yet
            stencils = jax.tree.leaves(scheme.stencils(seen, before.time + offset))
            lost = lost | ~jnp.all(jnp.stack([jnp.all(jnp.isfinite(part)) for part in stencils]))
        after = FieldState(jnp.where(lost, before.u, u), jnp.where(taken & ~lost, before.time + dt, before.time))

        values, reference = self._rewards(env, state, action, after, dt)
        steps = state.steps + taken
        left = jnp.minimum(params.horizon - state.steps, jnp.ceil((params.end_time - before.time) / dt - 1e-6))
        values = jnp.where(lost, -params.penalty * left, jnp.where(taken, values, 0.0))
        values = jnp.where(state.done, 0.0, values)
        near = params.end_time - 1e-3 * dt
        truncated = ~lost & ((steps >= params.horizon) | (after.time >= near))
        terminated = lost

        over = state.done
        field = where(over, before, after)
        new = Episode(
            field,
            state.condition,
            state.source,
            None if reference is None else where(over | ~taken, state.reference, reference),
            None if stages is None else where(over | lost, first_stage(integrator, u), stages),
            jnp.where(over, state.steps, steps),
            over | terminated | truncated,
        )
        looks = jnp.where(over | lost, before.u, seen)
        observation = self._observe(env, looks, jnp.where(over | lost, before.time, before.time + offset))
        info = {
            "rewards": values,
            "terminated": terminated & ~over,
            "truncated": truncated & ~over,
            "time": self.time(new, params),
            "steps": new.steps,
        }
        return new, observation, jnp.mean(self._parts(values)), new.done, info

    def _parts(self, values: Float[Array, " agents"]) -> Array:
        """The mean over the faces of each axis: the published loss takes the mean over axes of these."""
        ends = list(itertools.accumulate(map(math.prod, faces_of(self.grid))))
        return jnp.stack([jnp.mean(part) for part in jnp.split(values, ends[:-1])])

    def _rewards(
        self, env: Conservation, state: Episode, action: Array, after: FieldState, dt: Array
    ) -> tuple[Float[Array, " agents"], FieldState | None]:
        """Every face's reward for the step, and where the reference trajectory is after it."""
        reference, both = None, None
        follows = scores.reference_of(self.objective)
        if follows is not None:
            assert state.reference is not None
            reference = self._followed(follows, env, state, dt)
            both = jnp.stack([state.reference.u, reference.u])
        weights = self.actions.weights(action, env.scheme) if scores.needs_weights(self.objective) else None
        return scores.step_rewards(self.objective, env, state.field, after, both, weights), reference

    def _followed(self, whose: Any, env: Conservation, state: Episode, dt: Array) -> FieldState:
        """The reference after the step: the comparator's own step of the same length, or the exact solution."""
        assert state.reference is not None
        if isinstance(whose, AbstractPolicy):
            # Its own CFL condition would give the comparator other steps: states of different times would be compared.
            return closed_loop(dataclasses.replace(env, time_step=FixedStep(dt)), whose)(state.reference)[0]
        time = state.field.time + dt
        exact = exact_solution(env.scheme.law, state.condition, coordinates(self.grid), time)
        return FieldState(exact.reshape(state.field.u.shape).astype(state.field.u.dtype), time)

    def episode_steps(self, params: FieldParams) -> int | None:
        steps = int(params.horizon)
        if math.isfinite(float(params.end_time)):
            if not isinstance(params.time_step, FixedStep):
                return None
            steps = min(steps, math.ceil(float(params.end_time) / float(params.time_step.dt) - 1e-3))
        return steps * (self.how.integrator.num_stages if self._staged else 1)

    def values(self, state: Episode) -> Float[Array, "chan *cells"]:
        return state.field.u

    def time(self, state: Episode, params: FieldParams) -> Float[Array, ""]:
        return state.field.time


def check_truth(law: AbstractConservationLaw, condition: Initial, objective: AbstractObjective) -> None:
    """Raise `UndertowError` where rewards ask for an exact solution that there is not."""
    if scores.reference_of(objective) == "truth" and not has_exact_solution(law, condition):
        raise UndertowError(
            f"there is no exact solution of this case of {type(law).__name__} to be rewarded against; take against='weno'"
        )
