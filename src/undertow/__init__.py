r"""Learning through physics: train networks inside differentiable simulators.

    import jax
    jax.config.update("jax_enable_x64", True)
    import undertow as ut

    run = ut.train(ut.preset("burgers").config)              # minutes on two cores; a run directory under runs/
    ut.evaluate_run(run.path, ["held-out"])["held-out"].summary()

In a notebook, without files:

    learned = ut.learn("cartpole", seed=1, quiet=False)      # half a minute
    learned.evaluate("fresh").summary()
    learned.plot()

Controllers, through a simulator:

    run = ut.train(ut.preset("cartpole").config)             # seconds; --gradient picks how the gradient travels back

The solver by itself:

    scheme = ut.SemiDiscrete(ut.Burgers(), ut.UniformGrid(128), "periodic")
    u0 = ut.burgers_condition("smooth_sine")(scheme.grid.centers())[None]
    ut.solve(scheme, ut.schemes.WenoJS(5), u0, steps=100, time_step=ut.FixedStep(1e-3)).values

The library never sets JAX's precision; conservation laws want `jax_enable_x64`. Everything else is in the rooms, by its name:
`ut.laws.Euler`, `ut.schemes.RiemannScheme`, `ut.tasks.CartPole`. The rooms are `core`, `numerics`, `laws`, `schemes`, `envs`,
`policies`, `tasks`, `training`, `evaluation`, `instruments`, `games`, `experiment`, `runs` and `report`.
"""

from typing import TYPE_CHECKING, Any

from undertow._checks import NonFiniteError, UndertowError
from undertow._own import allow_code
from undertow.catalogue import catalogue
from undertow.config import load_config
from undertow.core.environment import AbstractControlled
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow
from undertow.core.objective import AbstractObjective, ActionCost, FinalCost, Problem, RunningCost
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.core.unroll import rollout, unroll
from undertow.envs.pools import Discretised, make_pool
from undertow.envs.suites import suite
from undertow.evaluation.convergence import convergence
from undertow.evaluation.evaluate import evaluate
from undertow.experiment import evaluate_run, learn, load_policy, plot_run, report_run, resume, train
from undertow.export import export
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.field import Field
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import classical
from undertow.policies.controller import Controller
from undertow.policies.stencil import DirectionalPolicy
from undertow.presets import preset
from undertow.reproduction import reproduce
from undertow.runs import compare_runs, list_runs
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.simulate import simulate
from undertow.store.machine import info
from undertow.sweeps.sweep import sweep
from undertow.tasks.own import control_task
from undertow.training.fit import fit
from undertow.training.trainer import Trainer

if TYPE_CHECKING:
    from undertow import baselines as baselines
    from undertow import games as games
    from undertow import instruments as instruments
    from undertow import report as report

__all__ = [
    "FULL",
    "PHYSICS",
    "POLICY",
    "STOP",
    "AbstractConservationLaw",
    "AbstractControlled",
    "AbstractObjective",
    "AbstractPolicy",
    "ActionCost",
    "Burgers",
    "CFLStep",
    "Controller",
    "DirectionalPolicy",
    "Discretised",
    "Field",
    "FinalCost",
    "FixedStep",
    "GradientFlow",
    "NonFiniteError",
    "Problem",
    "RunningCost",
    "SemiDiscrete",
    "Task",
    "Trainer",
    "UndertowError",
    "UniformGrid",
    "allow_code",
    "burgers_condition",
    "catalogue",
    "classical",
    "compare_runs",
    "control_task",
    "convergence",
    "evaluate",
    "evaluate_run",
    "export",
    "fit",
    "info",
    "learn",
    "list_runs",
    "load_config",
    "load_policy",
    "make_pool",
    "plot_run",
    "preset",
    "report_run",
    "reproduce",
    "resume",
    "rollout",
    "simulate",
    "solve",
    "suite",
    "sweep",
    "train",
    "unroll",
]

_LATER = (
    "baselines",
    "games",
    "instruments",
    "report",
)  # rooms that nothing here needs, imported when they are asked for


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'undertow' has no attribute {name!r}")
    from importlib import import_module

    return import_module(f"undertow.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
