r"""A controlled system as a game: one agent that sees the state, or one per driver of a herd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from undertow._tree import where
from undertow._types import Key
from undertow.core.environment import AbstractControlled
from undertow.core.objective import AbstractObjective
from undertow.core.policy import AbstractPolicy
from undertow.games.game import AbstractGame, Space, blown_up
from undertow.games.scores import check_control_objective


class ControlParams(eqx.Module):
    """What a game of a controlled system depends on: the `environment` with its constants, the `horizon` in steps, the `limit`
    beyond which a number ends the episode (1e7), and the `penalty` for every step that is then not taken."""

    environment: AbstractControlled
    horizon: Int[Array, ""]
    limit: Float[Array, ""]
    penalty: Float[Array, ""]


class ControlEpisode(eqx.Module):
    """The state of a game: the `system`'s, `steps` taken, and whether it is `done`."""

    system: Float[Array, "..."]
    steps: Int[Array, ""]
    done: Bool[Array, ""]


class ControlGame(AbstractGame[ControlEpisode, ControlParams]):
    """A controlled system under a zero-order hold: a step of the game is a time step.

    The rewards of an episode add up to minus its objective. Every agent gets all of them.

    **Arguments** (static): `draw`: an initial state from a key; `objective`: a sum of final, running and action costs;
    `observation_shape`, `action_shape`; `names` of the agents: one, or as many as the action has rows, each of which sets a
    row; `bound`: of the action space's box; larger actions are taken, too.
    """

    draw: Callable[[Key], Array] = eqx.field(static=True)
    objective: AbstractObjective
    observation_shape: tuple[int, ...] = eqx.field(static=True)
    action_shape: tuple[int, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    bound: float = eqx.field(static=True)

    def __check_init__(self):
        check_control_objective(self.objective)

    @property
    def agents(self) -> tuple[str, ...]:
        return self.names

    @property
    def observation_space(self) -> Space:
        return Space(self.observation_shape)

    @property
    def action_space(self) -> Space:
        return Space(self.action_shape, -self.bound, self.bound)

    @property
    def agent_observation_space(self) -> Space:
        return self.observation_space

    @property
    def agent_action_space(self) -> Space:
        shape = self.action_shape if len(self.names) == 1 else self.action_shape[1:]
        return Space(shape, -self.bound, self.bound)

    def split(self, observation: Any) -> Float[Array, "agents ..."]:
        return jnp.broadcast_to(observation, (len(self.names), *observation.shape))

    def joined(self, actions: Any) -> Any:
        return actions.reshape(self.action_shape)

    def acting(self, policy: AbstractPolicy) -> Callable[[Array], Array]:
        return lambda observation: policy(observation)

    def reset(self, key: Key, params: ControlParams) -> tuple[ControlEpisode, Array]:
        system = self.draw(key)
        state = ControlEpisode(system, jnp.zeros((), int), jnp.zeros((), bool))
        return state, params.environment.observe(system)

    def step(
        self, key: Key, state: ControlEpisode, action: Array, params: ControlParams
    ) -> tuple[ControlEpisode, Array, Float[Array, ""], Array, dict[str, Array]]:
        action = self.action_space.checked(action).astype(state.system.dtype)
        system = params.environment.advance(state.system, action)
        lost = blown_up(system, params.limit)
        system = jnp.where(lost | state.done, state.system, system)
        truncated = ~lost & (state.steps + 1 >= params.horizon)
        horizon = params.horizon.astype(system.dtype)
        reward = self.objective.step_reward(system, action, truncated, horizon)
        reward = jnp.where(lost, -params.penalty * (horizon - state.steps), reward)
        reward = jnp.where(state.done, 0.0, reward)
        new = where(state.done, state, ControlEpisode(system, state.steps + 1, lost | truncated))
        info = {
            "rewards": jnp.broadcast_to(reward, (len(self.names),)),
            "terminated": lost & ~state.done,
            "truncated": truncated & ~state.done,
            "time": self.time(new, params),
            "steps": new.steps,
        }
        return new, params.environment.observe(system), reward, new.done, info

    def episode_steps(self, params: ControlParams) -> int | None:
        return int(params.horizon)

    def values(self, state: ControlEpisode) -> Array:
        return state.system

    def time(self, state: ControlEpisode, params: ControlParams) -> Float[Array, ""]:
        dt: Any = params.environment.dt  # type: ignore[attr-defined]
        return state.steps * jnp.asarray(dt, state.system.dtype)
