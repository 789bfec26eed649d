"""What the configurations of all families share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

from undertow._fields import Count, NotNegative, Seed, Share
from undertow.training.optimizer import OptimizerConfig

Precision = Literal["float32", "float64"]
GradientName = Literal[
    "full",
    "physics",
    "policy",
    "stop",
    "sign-agreement",
    "sign-agreement-swapped",
    "tensor-agreement",
    "soft-agreement",
    "conflict-projection",
    "norm-balanced",
    "evolution-strategy",
]


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in which portions, in which precision."""

    updates: Count = 1000
    """updates of the policy"""
    batch: Count = 16
    """problems per update"""
    sampling: Literal["sample", "cycle"] = "sample"
    """sample: drawn from the pool for every update; cycle: the pool in its order, again and again"""
    precision: Precision = "float64"
    """of policy and problems in training; evaluation is always float64"""
    dispatch: Count = 50
    """updates per call of the device; Ctrl-C waits for the end of one"""
    rematerialise: Literal["step", "cheap", "nothing", "adjoint"] = "step"
    """what the backward pass computes again instead of storing: all inside a step, all but matrix products, nothing;
    adjoint: like step, with the parameters' gradient taken for many steps at once (controllers only)"""
    segment: Count | None = None
    """checkpoint whole segments of so many steps as well, which saves memory over long horizons"""
    max_skipped: Count = 10
    """so many updates in a row that are not finite end the run; each of them is skipped"""


@dataclass(frozen=True)
class CheckpointConfig:
    """When a training writes all of its state, for `undertow resume`. It does so at every evaluation, too."""

    updates: Count | None = None
    """after so many updates (rounded up to whole dispatches); None: by time alone"""
    seconds: NotNegative = 60.0
    """when so many seconds have passed since the last time"""
    keep: Count = 2
    """so many of the newest are kept"""


@dataclass(frozen=True)
class EvaluationBase:
    """What is measured during the training and after it. Each family has its own, with more fields."""

    every: Count = 100
    """evaluate after so many updates (rounded up to whole dispatches)"""
    keep_by: str = "loss"
    """the metric of the best checkpoints, less is better"""
    keep: Count = 3
    """best checkpoints to keep"""
    suites: tuple[str, ...] = ()
    """suites to evaluate the best checkpoint on at the end"""
    figures: bool = True
    """draw the figures at the end"""


@dataclass(frozen=True)
class Config:
    """What every family of tasks has."""

    family: ClassVar[str]
    method: ClassVar[str] = "bptt"

    seed: Seed = 0
    """of the policy's first weights, the training data and the batches"""
    gradient: GradientName = "full"
    """which gradient the optimiser is handed: through physics and policy (full), through one of them, one step only (stop),
    one of several combinations of physics' with full's, or an estimate without derivatives (`undertow list gradients`)"""
    gates: tuple[Share, Share] | None = None
    """damp the two paths, physics and policy, instead: 1 lets a gradient through, 0 stops it"""
    window: Count | None = None
    """truncated backpropagation: no gradient crosses every so many steps; with --gradient full or --gates"""
    training: TrainingConfig = TrainingConfig()
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluation: EvaluationBase = EvaluationBase()

    def untrained(self) -> Self:
        """The same, without a checkpoint to start from: what describes a policy of the same shape."""
        return self
