"""Configurations of control tasks: what all of them share, and a class for each with the settings of its system."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from undertow._checks import UndertowError, lookup, shown
from undertow._fields import Count, Names, Seed
from undertow._own import is_own, target_of
from undertow.config.base import Config, EvaluationBase
from undertow.tasks import TASKS
from undertow.tasks.task import ControlObjectiveSettings, ControlTask


@dataclass(frozen=True)
class ControlDataConfig:
    """Initial states: one fixed set to train on, another to test on."""

    train: Count = 256
    """states to train on"""
    test: Count = 256
    """states to test on; never trained on"""
    seed: Seed = 42
    """of both sets; 42, with 256 states each, gives the published ones, where any are published"""


@dataclass(frozen=True)
class ControllerConfig:
    """The network."""

    name: Annotated[str, Names(("mlp", "cnn"))] = "mlp"
    """mlp: fully connected, of the flattened observation; cnn: two convolutions and a linear layer, for waves; or what makes
    one of your own, such as mine.py:Spring, called with the shapes observation and action, and key"""
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
    """A controller learned through the simulator of a system. Each task has its own subclass, out of `CONTROL_CONFIGS`."""

    task: ClassVar[ControlTask]

    horizon: Count = 100
    """time steps"""
    data: ControlDataConfig = ControlDataConfig()
    policy: ControllerConfig = ControllerConfig()
    objective: ControlObjectiveSettings = dataclasses.field(default_factory=ControlObjectiveSettings)
    evaluation: ControlEvaluationConfig = ControlEvaluationConfig()
    system: Any = None  # every task has its own settings, with a docstring that the command line shows

    def untrained(self) -> Self:
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, start=None))

    def __reduce__(self) -> tuple[Any, ...]:  # a class that is made when it is asked for has no name to be found by
        return _again, (self.family, {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})


def _again(family: str, values: dict[str, Any]) -> ControlConfig:
    return control_config(family)(**values)


def _config_of(name: str, task: ControlTask) -> type[ControlConfig]:
    return dataclasses.make_dataclass(
        f"{task.game}Config",
        [("horizon", Count, task.horizon), ("system", task.settings, task.settings())],
        bases=(ControlConfig,),
        namespace={"__doc__": f"To {task.goal}.", "__module__": __name__, "family": name, "task": task},
        frozen=True,
    )


_OWN: dict[tuple[str, int], type[ControlConfig]] = {}  # of tasks of one's own, which their classes keep alive


def control_config(name: str) -> type[ControlConfig]:
    """The configuration class of a control task, of the package's or of one's own by an opened name.

    **Raises:** `UndertowError` for an unknown name, or one that is not opened or no `ControlTask`.
    """
    if not is_own(name):
        return lookup("control task", name, CONTROL_CONFIGS)
    task = target_of(name, "the control task")
    if not isinstance(task, ControlTask):
        raise UndertowError(f"{name} has to be a ControlTask, such as control_task(step, ...) makes, got {shown(task)}")
    return _OWN.setdefault((str(name), id(task)), _config_of(name, task))


CONTROL_CONFIGS: dict[str, type[ControlConfig]] = {name: _config_of(name, task) for name, task in TASKS.items()}
"""The configuration class of every control task, by its name."""
