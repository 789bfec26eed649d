"""Configurations of systems to be controlled: cart-pole, guidance by repulsion, a quantum particle, pushing by contact."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from undertow._checks import Within
from undertow._fields import Count, NotNegative, Positive, Seed
from undertow.config.base import Config, EvaluationBase


@dataclass(frozen=True)
class CartPoleConfig:
    """Poles hinged on one cart that one force pushes."""

    poles: Count = 1
    """number of poles"""
    gravity: float = 9.8
    """m/s^2"""
    pole_mass: Positive = 0.1
    """kg"""
    total_mass: Positive = 1.1
    """kg; does not grow with the number of poles"""
    half_length: Positive = 0.5
    """of a pole, in m"""
    dt: Positive = 0.01
    """time step, in s"""


@dataclass(frozen=True)
class GuidanceConfig:
    """Drivers that herd evaders by frightening them."""

    drivers: Count = 2
    """number of drivers"""
    evaders: Count = 4
    """number of evaders"""
    corrected: bool = False
    """steer relative to the evaders' mean, and flock at a distance, instead of the published sum and opposite sign"""
    target: tuple[float, float] = (0.0, 0.0)
    """where the evaders are to go, in m"""
    dt: Positive = 4 / 60
    """time step, in s"""


@dataclass(frozen=True)
class QuantumConfig:
    """A particle in a box, moved by the slope of its potential."""

    points: Annotated[int, Within(at_least=2)] = 32
    """inner grid points"""
    level: Count = 3
    """eigenstate to reach; 1 is the ground state"""
    weights: tuple[NotNegative, NotNegative] = (1.0, 1.0)
    """of the two lowest states in the initial ones; published: 1-1, 3-1, 7-1, 15-1"""
    length: Positive = 2.0
    """of the box"""
    dt: Positive = 0.0625
    """time step"""


@dataclass(frozen=True)
class ContactConfig:
    """A pusher that moves a puck by stiff contact."""

    dimensions: Literal[1, 2] = 2
    """1: on a line; 2: on a plane, where the puck slips aside"""
    stiffness: Positive = 500.0
    """of the contact, in N/m"""
    damping_ratio: NotNegative = 0.25
    """of the contact: 0 gives back all energy, 1 next to none"""
    friction: NotNegative = 2.0
    """deceleration of the puck, in m/s^2"""
    substeps: Count = 4
    """steps of the contact's integration per time step"""
    dt: Positive = 0.02
    """time step, in s"""


@dataclass(frozen=True)
class ControlDataConfig:
    """Initial states: one fixed set to train on, another to test on."""

    train: Count = 256
    """states to train on"""
    test: Count = 256
    """states to test on; never trained on"""
    seed: Seed = 42
    """of both sets; 42, with 256 states each, gives the published ones (not for contact, which has none)"""


@dataclass(frozen=True)
class ControllerConfig:
    """The network."""

    name: Literal["mlp", "cnn"] = "mlp"
    """mlp: fully connected, of the flattened observation; cnn: two convolutions and a linear layer, for waves"""
    hidden: tuple[Count, ...] = (100, 100)
    """mlp: widths of the hidden layers"""
    channels: Count = 60
    """cnn: channels of the convolutions"""
    activation: Literal["relu", "leaky_relu", "silu", "softplus", "sigmoid", "tanh"] = "tanh"
    """activation of the hidden layers"""
    zero_last: bool = True
    """start with a zero last layer, so that the first action is zero"""
    start: Path | None = None
    """a run directory or checkpoint to start from, instead of random weights"""


@dataclass(frozen=True)
class ControlObjectiveConfig:
    """What is to be made small."""

    name: Literal["final", "running"] = "final"
    """final: the cost of the last state; running: the costs of all states that were reached"""
    reduction: Literal["mean", "sum"] = "mean"
    """running: over time"""
    action_cost: NotNegative = 0.0
    """factor of the mean square action"""


@dataclass(frozen=True)
class ControlEvaluationConfig(EvaluationBase):
    """What is measured during the training and after it."""

    every: Count = 320
    """evaluate after so many updates (rounded up to whole dispatches); 32 updates of 8 are one pass over 256 states"""
    keep_by: Literal["test_loss", "train_loss"] = "test_loss"
    """the metric of the best checkpoints, less is better"""
    suites: tuple[str, ...] = ("test", "train", "fresh", "longer")
    """states to evaluate the best checkpoint on at the end (`undertow list suites`)"""


@dataclass(frozen=True)
class ControlConfig(Config):
    """A controller learned through the simulator of a system. Each system has its own subclass."""

    horizon: Count = 100
    """time steps"""
    data: ControlDataConfig = ControlDataConfig()
    policy: ControllerConfig = ControllerConfig()
    objective: ControlObjectiveConfig = ControlObjectiveConfig()
    evaluation: ControlEvaluationConfig = ControlEvaluationConfig()

    def untrained(self) -> Self:
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, start=None))


@dataclass(frozen=True)
class CartPoleTask(ControlConfig):
    """Swing poles up by pushing their cart, and have them upright at the end."""

    family: ClassVar[str] = "cartpole"

    system: CartPoleConfig = CartPoleConfig()


@dataclass(frozen=True)
class GuidanceTask(ControlConfig):
    """Drive a herd to a target by frightening it."""

    family: ClassVar[str] = "guidance"

    horizon: Count = 60
    """time steps"""
    system: GuidanceConfig = GuidanceConfig()


@dataclass(frozen=True)
class QuantumTask(ControlConfig):
    """Bring a quantum particle into an eigenstate of its box by tilting the potential."""

    family: ClassVar[str] = "quantum"

    horizon: Count = 128
    """time steps"""
    system: QuantumConfig = QuantumConfig()


@dataclass(frozen=True)
class ContactTask(ControlConfig):
    """Push a puck to a target without gripping it, and have it at rest there."""

    family: ClassVar[str] = "contact"

    system: ContactConfig = ContactConfig()
