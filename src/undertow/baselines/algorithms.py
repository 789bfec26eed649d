r"""The methods of Stable-Baselines3, each with an actor that is a policy's network, layer by layer.

`policy-gradient` is REINFORCE with a learned baseline: the library's A2C whose advantages are the returns of whole episodes
(no bootstrapping, $\lambda = 1$).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise

from undertow.baselines.vector import FaceVecEnv
from undertow.config.baseline import BaselineConfig
from undertow.policies.network import MLP
from undertow.policies.stencil import AbstractStencilPolicy

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "silu": torch.nn.SiLU,
    "softplus": torch.nn.Softplus,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
}
"""The library's counterparts of `undertow.policies.network.ACTIVATIONS`."""


class Noise(VectorizedActionNoise):
    """Normal noise for all rows in one draw; the library's own draws row by row."""

    def __init__(self, deviation: float, shape: tuple[int, ...]):
        super().__init__(NormalActionNoise(np.zeros(shape[1:]), np.full(shape[1:], deviation)), shape[0])
        self._deviation, self._shape = deviation, shape

    def __call__(self) -> np.ndarray:
        return np.random.normal(0.0, self._deviation, self._shape).astype(np.float32)

    def reset(self, indices: Any = None) -> None:
        pass


def make_model(method: str, given: BaselineConfig, env: FaceVecEnv, horizon: int, seed: int) -> BaseAlgorithm:
    """The method's model on these rows, with the first weights of the game's policy for its actor.

    **Arguments:** `method`: a key of `METHODS`; `given`: its settings; `env`; `horizon`: time steps per update; `seed`.
    """
    policy = env.game.policy
    hidden = [bias.shape[0] for bias in policy.network.biases[:-1]]
    shared = {
        "env": env,
        "policy": "MlpPolicy",
        "learning_rate": given.learning_rate,
        "gamma": given.discount,
        "seed": seed,
        "device": "cpu",
    }
    shape = {"activation_fn": ACTIVATIONS[policy.network.activation]}
    model = METHODS[method](given, env, horizon, hidden, shape, shared)
    model.set_logger(Logger(None, []))  # without one it writes to the terminal
    set_actor(model, policy)
    return model


def _ppo(given: BaselineConfig, env: FaceVecEnv, horizon: int, hidden: list[int], shape: dict, shared: dict) -> Any:
    total = horizon * env.num_envs
    parts = next(n for n in range(math.ceil(total / given.minibatch), total + 1) if total % n == 0)
    return sb3.PPO(
        **shared,
        n_steps=horizon,
        batch_size=total // parts,
        n_epochs=given.epochs,
        policy_kwargs=_on_policy(given, hidden, shape),
    )


def _policy_gradient(
    given: BaselineConfig, env: FaceVecEnv, horizon: int, hidden: list[int], shape: dict, shared: dict
) -> Any:
    return sb3.A2C(
        **shared,
        n_steps=horizon,
        gae_lambda=1.0,
        use_rms_prop=False,
        normalize_advantage=True,
        policy_kwargs=_on_policy(given, hidden, shape),
    )


def _on_policy(given: BaselineConfig, hidden: list[int], shape: dict) -> dict:
    return {**shape, "net_arch": {"pi": hidden, "vf": list(given.critic)}, "log_std_init": math.log(given.spread)}


def _off_policy(kind: Any, noisy: bool) -> Callable:
    def make(given: BaselineConfig, env: FaceVecEnv, horizon: int, hidden: list[int], shape: dict, shared: dict) -> Any:
        reach = float(env.action_space.high[0])
        noise = {"action_noise": Noise(given.spread / reach, (env.num_envs, *env.action_space.shape))} if noisy else {}
        model = kind(
            **shared,
            **noise,
            buffer_size=max(given.replay, env.num_envs),
            learning_starts=0,
            batch_size=given.minibatch,
            train_freq=(1, "step"),
            gradient_steps=given.gradient_steps,
            policy_kwargs={**shape, "net_arch": {"pi": hidden, "qf": list(given.critic)}},
        )
        if not noisy:  # otherwise it begins at one, which is a third of everything that there is
            with torch.no_grad():
                model.actor.log_std.weight.zero_()
                model.actor.log_std.bias.fill_(math.log(given.spread / reach))
        return model

    return make


METHODS: dict[str, Callable[..., BaseAlgorithm]] = {
    "ppo": _ppo,
    "policy-gradient": _policy_gradient,
    "sac": _off_policy(sb3.SAC, noisy=False),
    "td3": _off_policy(sb3.TD3, noisy=True),
    "ddpg": _off_policy(sb3.DDPG, noisy=True),
}
"""Makers of models, by method."""


def _layers(model: Any) -> list[list[torch.nn.Linear]]:
    """The layers of every actor: of methods with a target for it, of two."""
    if isinstance(model, (sb3.PPO, sb3.A2C)):
        actors = [[*model.policy.mlp_extractor.policy_net, model.policy.action_net]]
    elif isinstance(model, sb3.SAC):
        actors = [[*model.actor.latent_pi, model.actor.mu]]
    else:
        actors = [list(model.actor.mu), list(model.actor_target.mu)]
    return [[layer for layer in actor if isinstance(layer, torch.nn.Linear)] for actor in actors]


def _unit(model: Any) -> float:
    """What the actor's last layer counts in: methods with bounds have them at one."""
    return 1.0 if isinstance(model, (sb3.PPO, sb3.A2C)) else float(model.action_space.high[0])


def set_actor(model: BaseAlgorithm, policy: AbstractStencilPolicy) -> None:
    """Give the actor the weights of the policy's network."""
    for layers in _layers(model):
        for layer, kernel, bias in zip(layers, policy.network.kernels, policy.network.biases, strict=True):
            unit = _unit(model) if layer is layers[-1] else 1.0
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(np.array(kernel.T, np.float32) / unit))
                layer.bias.copy_(torch.from_numpy(np.array(bias, np.float32) / unit))


def get_policy(model: BaseAlgorithm, policy: AbstractStencilPolicy) -> AbstractStencilPolicy:
    """The policy with the actor for its network: what it does is what the model would, without exploration."""
    kernels, biases = [], []
    layers = _layers(model)[0]
    for layer, kernel in zip(layers, policy.network.kernels, strict=True):
        unit = _unit(model) if layer is layers[-1] else 1.0
        kernels.append(jnp.asarray(unit * layer.weight.detach().numpy().T.astype(np.float64), kernel.dtype))
        biases.append(jnp.asarray(unit * layer.bias.detach().numpy().astype(np.float64), kernel.dtype))
    network: MLP = eqx.tree_at(lambda n: (n.kernels, n.biases), policy.network, (tuple(kernels), tuple(biases)))
    return eqx.tree_at(lambda p: p.network, policy, network)
