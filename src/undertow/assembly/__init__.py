r"""From a configuration to the objects of a run: law, problems, policy, objective, what is measured.

`build` is the door; what comes out is an `Experiment`, which is all that training knows. Each family of tasks has one
module here. The arrays have the caller's default precision (`jax_enable_x64`, which only the command line sets); `cast`
makes the training's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from undertow._checks import UndertowError
from undertow.assembly.control import build_control, needs_of_control
from undertow.assembly.experiment import (
    Experiment,
    Measure,
    check_precision,
    make_gradient,
    one_of,
    read_policy,
    refuse_published,
)
from undertow.assembly.judge import AbstractJudge
from undertow.assembly.needs import TrainingNeeds, require_several
from undertow.assembly.scheme import build_scheme, needs_of_scheme
from undertow.config import Config, ControlConfig, SchemeConfig, validate_config
from undertow.training.optimizer import build_optimizer

__all__ = [
    "AbstractJudge",
    "Experiment",
    "Measure",
    "TrainingNeeds",
    "build",
    "cast",
    "one_of",
    "read_policy",
    "refuse_published",
    "require_several",
    "training_needs",
]

T = TypeVar("T")


def build(config: Config) -> Experiment:
    """The experiment that `config` describes.

    Nothing long happens here. **Raises:** `UndertowError` for everything in the configuration that cannot work.
    """
    return _of_family(_checked(config), build_scheme, build_control)


def training_needs(config: Config) -> TrainingNeeds:
    """What the training of `config` takes at least, to be looked at before anything is built or written.

    **Raises:** `UndertowError` for everything in the configuration that cannot work.
    """
    return _of_family(_checked(config), needs_of_scheme, needs_of_control)


def _checked(config: Config) -> Config:
    config = validate_config(config)
    check_precision(config.training)
    build_optimizer(config.optimizer, config.training.updates)
    make_gradient(config)
    return config


def _of_family(config: Config, scheme: Callable[[SchemeConfig], T], control: Callable[[ControlConfig], T]) -> T:
    """What the function of the configuration's family makes of it."""
    if isinstance(config, SchemeConfig):
        return scheme(config)
    if isinstance(config, ControlConfig):
        return control(config)
    raise UndertowError(f"no task is built from a {type(config).__name__}")
