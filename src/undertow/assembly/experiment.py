"""What training knows of a task, whichever family it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import at_home, lookup, quoted, require
from undertow._reader import check_shape
from undertow._tree import stack, take
from undertow.assembly.judge import AbstractJudge
from undertow.config import Config, TrainingConfig
from undertow.config.baseline import LIBRARY
from undertow.core.flow import STOP, GradientFlow, window
from undertow.core.gradient import GRADIENTS, AbstractGradient, Backprop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.policies.published import is_published
from undertow.store.checkpoint import load_checkpoint, read_metadata
from undertow.store.rundir import RunDirectory
from undertow.training.optimizer import build_optimizer
from undertow.training.trainer import Trainer

Tree = TypeVar("Tree")
Measure = Callable[[AbstractPolicy], dict[str, Any]]


@dataclass(frozen=True)
class Experiment:
    """A task with its data, ready to be trained on, whichever family it is of.

    - `config`; `task`; `policy`: as the training starts, in the training's precision; `make_policy`: the same of another seed.
    - `make_pool`: the training's problems, in the training's precision; may take a while.
    - `make_measure`: the function that maps a policy (default precision) to the metrics recorded while training.
    - `make_sets`: problems to measure on, by name, in default precision.
    - `check`: looks at what can only be known from the data (Courant number, non-finite values) before the long work.
    - `judge`: what the trained policy is measured by.
    - `noisy`: whether the policy explores with noise in training.
    """

    config: Config
    task: Task
    policy: AbstractPolicy
    make_policy: Callable[[int], AbstractPolicy]
    noisy: bool
    make_pool: Callable[[], Problem]
    make_measure: Callable[[], Measure]
    make_sets: Callable[[], dict[str, Problem]]
    check: Callable[[], None]
    judge: AbstractJudge

    def trainer(self, pool: Problem) -> Trainer:
        """The trainer on this pool. Raises `UndertowError` for a method that learns by rewards."""
        training = self.config.training
        require(
            self.config.method not in LIBRARY,
            f"method {self.config.method} trains one policy at a time, with undertow.train or undertow.learn",
        )
        return Trainer(
            self.task,
            pool,
            gradient=make_gradient(self.config, self.task.horizon),
            optimizer=build_optimizer(self.config.optimizer, training.updates),
            batch=training.batch,
            sampling=training.sampling,
            noisy=self.noisy,
        )


def check_precision(training: TrainingConfig) -> None:
    """Raise `UndertowError` for a precision that JAX is not set to."""
    require(
        training.precision == "float32" or jnp.result_type(float) == jnp.float64,
        "training.precision float64 needs double precision: call jax.config.update('jax_enable_x64', True) first, "
        "or take float32",
    )


def make_gradient(config: Config, horizon: int = 1) -> AbstractGradient:
    """The gradient estimator: one of `GRADIENTS`, or backpropagation with the gates and windows given.

    **Raises:** `UndertowError` for gates or a window together with a named estimator.
    """
    if config.method == "cloning":
        return Backprop(STOP)  # what to do in a state, not which state to be in
    if config.gates is None and config.window is None:
        return lookup("gradient", config.gradient, GRADIENTS)
    given = "gates" if config.window is None else "windows"
    require(config.gradient == "full", f"{given} are for --gradient full, and it is {config.gradient!r}")
    flow = GradientFlow(*((1.0, 1.0) if config.gates is None else config.gates))
    if config.window is not None:
        flow = window(horizon, config.window, flow)
    return Backprop(flow)


def run_once(make: Callable[..., Tree], *arguments: Any) -> Tree:
    """`make(*arguments)`, a pytree of arrays, as one program that is compiled fast and not for speed.

    Op by op, every shape of every operation would be compiled by itself, and a random number's many rounds take long to
    optimise: seconds before a training that itself takes seconds.
    """
    structure = jax.tree.structure(eqx.filter_eval_shape(make, *arguments))
    program = jax.jit(
        lambda *given: jax.tree.leaves(make(*given)), compiler_options={"xla_backend_optimization_level": 0}
    )
    return jax.tree.unflatten(structure, program(*arguments))


def read_policy(path: Path, like: AbstractPolicy, which: str = "best") -> AbstractPolicy:
    """The policy in a checkpoint, or in checkpoint `which` of a run directory. Of several seeds: the best one of them.

    **Raises:** `UndertowError` if there is none, if it is damaged, or if it is of another shape than `like`.
    """
    path = at_home(path)
    refuse_published(path)
    file = RunDirectory.open(path).checkpoint(which) if path.is_dir() else path
    metadata = read_metadata(file)
    if "member" in metadata:
        check_shape(metadata, {"seeds": [int], "member": int}, file)
        like = eqx.filter_eval_shape(stack, [like] * len(metadata["seeds"]))
    return one_of(load_checkpoint(file, like, subtree=".policy")[0], metadata)


def one_of(policies: AbstractPolicy, metadata: Mapping[str, Any]) -> AbstractPolicy:
    """The policy of a state that was kept with this metadata: of several seeds, the one that was best when it was measured."""
    return take(policies, metadata["member"]) if "member" in metadata else policies


def refuse_published(path: Path) -> None:
    """Raise `UndertowError` for a checkpoint of the published code, which tells less than a run has to know."""
    require(
        not is_published(path),
        f"{path} is a checkpoint of the published code; make a run of it first: undertow import-agent {quoted(path)}",
    )
