"""All that a model of Stable-Baselines3 knows, as arrays: what a checkpoint holds, and a training goes on from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer

from undertow._checks import check_seed
from undertow.baselines.vector import FaceVecEnv

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
_KEPT = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class Generators:
    """The library draws from NumPy's and PyTorch's global generators. Inside `own` they are the training's, outside they are
    as they were for everybody else."""

    def __init__(self, seed: int):
        self.numpy = np.random.RandomState(check_seed(seed)).get_state(legacy=False)
        self.torch = torch.Generator().manual_seed(seed).get_state()

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """For as long as the library works."""
        before = np.random.get_state(legacy=False), torch.get_rng_state()
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        try:
            yield
        finally:
            self.numpy, self.torch = np.random.get_state(legacy=False), torch.get_rng_state()
            np.random.set_state(before[0])
            torch.set_rng_state(before[1])

    def arrays(self) -> dict[str, Any]:
        state = self.numpy["state"]
        return {
            "numpy": jnp.asarray(state["key"], jnp.uint32),
            "rest": np.asarray([state["pos"], self.numpy["has_gauss"]], np.int32),
            "gauss": jnp.asarray(self.numpy["gauss"], float),
            "torch": jnp.asarray(self.torch.numpy()),
        }

    def restore(self, arrays: dict[str, Any]) -> None:
        pos, has_gauss = (int(x) for x in arrays["rest"])
        self.numpy = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(arrays["numpy"]), "pos": pos},
            "has_gauss": has_gauss,
            "gauss": float(arrays["gauss"]),
        }
        self.torch = torch.from_numpy(np.array(arrays["torch"]))


def take(model: BaseAlgorithm, env: FaceVecEnv, generators: Generators) -> dict[str, Any]:
    """Networks, optimisers, replay buffer, counters, episodes and random numbers, in one structure whenever it is called."""
    found: dict[str, Any] = {
        "networks": {name: _array(value) for name, value in model.policy.state_dict().items()},
        "optimizers": {name: _moments(each) for name, each in _optimizers(model).items()},
        "counters": {name: jnp.asarray(getattr(model, name, 0)) for name in _COUNTERS},
        "seen": jnp.asarray(model._last_obs),
        "starts": jnp.asarray(model._last_episode_starts),
        "env": env.arrays(),
        "random": generators.arrays(),
    }
    entropy = getattr(model, "log_ent_coef", None)
    if entropy is not None:
        found["log_ent_coef"] = _array(entropy)
    buffer = _buffer(model)
    if buffer is not None:
        found["replay"] = {name: jnp.asarray(getattr(buffer, name)) for name in _KEPT}
        found["replay_at"] = jnp.asarray([buffer.pos, int(buffer.full)])
    return found


def give(model: BaseAlgorithm, env: FaceVecEnv, generators: Generators, found: dict[str, Any]) -> None:
    """Be what `take` found, in a model that was made the same way."""
    model.policy.load_state_dict({name: torch.from_numpy(np.array(x)) for name, x in found["networks"].items()})
    for name, optimizer in _optimizers(model).items():
        _set_moments(optimizer, found["optimizers"][name])
    for name, value in found["counters"].items():
        setattr(model, name, int(value))
    model._last_obs = np.array(found["seen"])
    model._last_episode_starts = np.array(found["starts"])
    env.restore(found["env"])
    generators.restore(found["random"])
    if "log_ent_coef" in found:
        with torch.no_grad():
            model.log_ent_coef.copy_(torch.from_numpy(np.array(found["log_ent_coef"])))
    buffer = _buffer(model)
    if buffer is not None:
        for name in _KEPT:
            getattr(buffer, name)[...] = np.asarray(found["replay"][name])
        buffer.pos, buffer.full = int(found["replay_at"][0]), bool(found["replay_at"][1])


def _optimizers(model: Any) -> dict[str, torch.optim.Optimizer]:
    owners = {"policy": model.policy, "actor": getattr(model, "actor", None), "critic": getattr(model, "critic", None)}
    found = {name: getattr(owner, "optimizer", None) for name, owner in owners.items()}
    found["entropy"] = getattr(model, "ent_coef_optimizer", None)
    return {name: optimizer for name, optimizer in found.items() if optimizer is not None}


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [each for group in optimizer.param_groups for each in group["params"]]


def _moments(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Adam's, which are zeros before its first step."""
    out = []
    for each in _parameters(optimizer):
        state = optimizer.state.get(each, {})
        zero = torch.zeros_like(each)
        moments = {name: _array(state.get(name, zero)) for name in ("exp_avg", "exp_avg_sq")}
        out.append({"step": jnp.asarray(float(state.get("step", 0.0)), jnp.float32), **moments})
    return out


def _set_moments(optimizer: torch.optim.Optimizer, moments: list[dict[str, Any]]) -> None:
    for each, given in zip(_parameters(optimizer), moments, strict=True):
        optimizer.state[each] = {name: torch.from_numpy(np.array(value)) for name, value in given.items()}


def _array(tensor: torch.Tensor) -> Any:
    return jnp.asarray(tensor.detach().numpy().copy())


def _buffer(model: BaseAlgorithm) -> ReplayBuffer | None:
    return getattr(model, "replay_buffer", None)
