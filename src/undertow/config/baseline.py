"""How reinforcement learning goes about it, where it takes the place of backpropagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undertow._fields import Count, NotNegative, Positive, Share

Method = Literal["bptt", "ppo", "policy-gradient", "sac", "td3", "ddpg", "cloning"]
ON_POLICY = ("ppo", "policy-gradient")
OFF_POLICY = ("sac", "td3", "ddpg")
LIBRARY = ON_POLICY + OFF_POLICY
"""Methods out of Stable-Baselines3."""


@dataclass(frozen=True)
class BaselineConfig:
    """The settings of the methods out of Stable-Baselines3. An update is `training.batch` episodes, whatever the method."""

    learning_rate: Positive = 3e-4
    """of all networks, with Adam"""
    critic: tuple[Count, ...] = (64, 64)
    """widths of the hidden layers of the network that estimates values; the policy's are its own"""
    discount: Share = 0.0
    """of rewards to come, per time step; 0, the published default: every step is for its own reward"""
    spread: Positive = 0.3
    """standard deviation of the first exploration, on the network's outputs; sac finds its own"""
    epochs: Count = 5
    """ppo: times that an update goes through its samples"""
    minibatch: Count = 2048
    """ppo, sac, td3, ddpg: samples per gradient step; policy-gradient takes all of an update at once"""
    gradient_steps: Count = 1
    """sac, td3, ddpg: gradient steps per time step"""
    replay: Count = 200_000
    """sac, td3, ddpg: samples that are kept to learn from"""
    penalty: NotNegative | None = None
    """what a step costs that is not taken because the solution blew up; None: pi / 2 where rewards are arctangents, else
    WENO-JS's own error at the end"""
