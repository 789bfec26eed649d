"""A training by reinforcement learning, with the states and callbacks of any other."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from undertow._checks import NonFiniteError, unusable
from undertow._types import Key
from undertow.assembly import Experiment
from undertow.assembly.scheme import make_objective
from undertow.baselines.faces import FaceGame, make_pool
from undertow.config import SchemeConfig
from undertow.config.baseline import OFF_POLICY
from undertow.core.objective import AbstractObjective, Problem
from undertow.core.policy import AbstractPolicy
from undertow.envs import rewards
from undertow.envs.combination import AdjacentAverage
from undertow.envs.squash import NoSquash
from undertow.games.scores import worst_step
from undertow.policies.stencil import AbstractStencilPolicy
from undertow.training.fit import Callback, FitResult, Progress, ask
from undertow.training.trainer import TrainState

try:
    import stable_baselines3  # noqa: F401  # what is imported below needs them
    import torch  # noqa: F401
except Exception as error:
    raise unusable("reinforcement learning needs Stable-Baselines3", "baselines", error) from error

from undertow.baselines import snapshot
from undertow.baselines.algorithms import get_policy, make_model
from undertow.baselines.vector import FaceVecEnv


def make_rewards(config: SchemeConfig) -> tuple[AbstractObjective, bool]:
    r"""What the rows are rewarded by, and whether it is divided by WENO-JS's own error.

    The published rewards are themselves. The distance to the truth at the end becomes what each step adds to it, $|u^{n+1} -
    r^{n+1}| - |u^n - r^n|$ at both sides of a face, so that an episode's rewards add up to minus the distance.
    """
    if config.objective.name == "reward":
        return make_objective(config.objective, config.grid.order, 1, viscous=config.law.viscosity > 0), False
    grows = rewards.Reward(rewards.GrowthError(rewards.FullError()), AdjacentAverage(), NoSquash())
    return grows, True


class Learner:
    """A method of Stable-Baselines3 on an experiment's pool of problems.

    **Arguments:** `experiment`: of a learned scheme, whose `method` is one of the library's; `problems`: its pool.

    One update is `training.batch` episodes and what the method makes of them.
    """

    def __init__(self, experiment: Experiment, problems: Problem):
        config = experiment.config
        assert isinstance(config, SchemeConfig) and isinstance(experiment.policy, AbstractStencilPolicy)
        objective, relative = make_rewards(config)
        horizon = experiment.task.horizon
        penalty = config.baseline.penalty
        if penalty is None:
            penalty = 1.0 if relative else worst_step(objective)
        game = FaceGame(
            experiment.policy,
            objective,
            horizon,
            penalty,
            bounded=config.method not in OFF_POLICY,
            sampling=config.training.sampling,
        )
        pool = make_pool(problems, objective, horizon, relative=relative)
        self._config, self._horizon, self._policy = config, horizon, experiment.policy
        self._game, self._pool = game, pool

    def init(self, policy: AbstractPolicy, key: Key) -> TrainState:
        """The state before the first update."""
        self._env = FaceVecEnv(self._game, self._pool, self._config.training.batch, key)
        self._generators = snapshot.Generators(self._config.seed)
        with self._generators.own():
            self._model = make_model(
                self._config.method, self._config.baseline, self._env, self._horizon, self._config.seed
            )
        self._model._last_obs = self._env.reset()
        self._model._last_episode_starts = np.ones(self._env.num_envs, bool)
        self._key = key
        return self._state(0)

    def _state(self, done: int) -> TrainState:
        step, zero = jnp.asarray(done, jnp.int32), jnp.zeros((), jnp.int32)
        learned = get_policy(self._model, self._policy)
        inside = snapshot.take(self._model, self._env, self._generators)
        return TrainState(learned, inside, self._key, step, zero, zero, jnp.ones(()))

    def fit(
        self, state: TrainState, updates: int, *, start: int = 0, callbacks: tuple[Callback, ...] = ()
    ) -> FitResult:
        """Train up to `updates` updates, as [`undertow.training.fit.fit`][] does, from a state of this learner's.

        **Returns:** `FitResult`; failed, with the last good state, where a network became NaN.
        """
        snapshot.give(self._model, self._env, self._generators, state.opt_state)
        for done in range(start + 1, updates + 1):
            try:
                metrics = self._update()
            except ValueError:
                if self._is_finite():
                    raise
            if not self._is_finite():  # PyTorch's distributions may have said so already
                return FitResult(state, "failed", _not_finite(done))
            state = self._state(done)
            progress = Progress(state, done, updates, {name: np.array([value]) for name, value in metrics.items()})
            if ask(callbacks, progress):
                return FitResult(state, "finished" if done == updates else "stopped")
        return FitResult(state, "finished")

    def _is_finite(self) -> bool:
        return all(bool(x.isfinite().all()) for x in self._model.policy.state_dict().values())

    def _update(self) -> dict[str, float]:
        """As many time steps of every copy as an episode has. `loss`: minus what an episode gathered, the mean of those that
        ended; `blown_up`: the share of them that did; and what the library says of its own losses."""
        self._env.ended.clear()
        model: Any = self._model
        with self._generators.own():
            model.learn(self._horizon * self._env.num_envs, log_interval=None, reset_num_timesteps=False)
        ended = self._env.ended
        said = {name.removeprefix("train/"): value for name, value in model.logger.name_to_value.items()}
        losses = {name: float(said.get(name, math.nan)) for name in _SAID[self._config.method]}
        gathered = [value for value, _ in ended]
        return {
            "loss": -float(np.mean(gathered)) if ended else math.nan,
            "blown_up": float(np.mean([lost for _, lost in ended])) if ended else math.nan,
            "skipped": 0.0,  # every update counts
            **losses,
        }


_SAID = {
    "ppo": ("policy_gradient_loss", "value_loss", "std"),
    "policy-gradient": ("policy_loss", "value_loss", "std"),
    "sac": ("actor_loss", "critic_loss", "ent_coef"),
    "td3": ("actor_loss", "critic_loss"),
    "ddpg": ("actor_loss", "critic_loss"),
}


def _not_finite(update: int) -> NonFiniteError:
    return NonFiniteError(
        f"a network of the method became NaN in update {update}; take a smaller --baseline.learning-rate or --baseline.spread"
    )
