r"""Learning through physics: train networks inside differentiable simulators.

    import jax
    jax.config.update("jax_enable_x64", True)
    import undertow as ut

    run = ut.train(ut.preset("burgers").config)              # minutes on two cores; a run directory under runs/
    ut.evaluate_run(run.path, ["held-out"])["held-out"].summary()

The solver by itself:

    scheme = ut.SemiDiscrete(ut.Burgers(), ut.UniformGrid(128), "periodic")
    u0 = ut.burgers_condition("smooth_sine")(scheme.grid.centers())[None]
    ut.solve(scheme, ut.WenoJS(5), u0, steps=100, time_step=ut.FixedStep(1e-3)).values

The library never sets JAX's precision; conservation laws want `jax_enable_x64`. Everything else is in the rooms:
`undertow.core`, `numerics`, `laws`, `schemes`, `envs`, `policies`, `training`, `evaluation`, `report`.
"""

from undertow._checks import NonFiniteError, UndertowError
from undertow.config import SchemeConfig, config_from_dict, config_to_dict
from undertow.core.environment import AbstractEnvironment
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow, closed_loop
from undertow.core.gradient import Backprop, SignAgreement
from undertow.core.objective import (
    AbstractObjective,
    ActionCost,
    FinalCost,
    Problem,
    RunningCost,
)
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, stack_problems
from undertow.core.unroll import Trajectory, rollout, unroll
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.objectives import TrajectoryError
from undertow.envs.pools import Discretised, make_pool
from undertow.envs.suites import SUITES, Suite, suite, training_conditions
from undertow.evaluation.convergence import convergence
from undertow.evaluation.evaluate import Evaluation, evaluate
from undertow.experiment import Run, evaluate_run, load_policy, plot_run, train
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition, random_condition
from undertow.laws.burgers_exact import burgers_exact
from undertow.laws.conditions import CallableCondition
from undertow.laws.exact import exact_solution
from undertow.numerics.boundary import boundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import RK4, SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import ClassicalPolicy, classical
from undertow.policies.network import MLP
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.presets import PRESETS, preset
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import Solution, solve
from undertow.schemes.weights import WenoJS, WenoZ
from undertow.simulate import Simulation, simulate
from undertow.training.fit import fit
from undertow.training.optimizer import OptimizerConfig, build_optimizer
from undertow.training.trainer import Trainer, TrainState

__all__ = [
    "BURGERS_CONDITIONS",
    "FULL",
    "MLP",
    "PHYSICS",
    "POLICY",
    "PRESETS",
    "RK4",
    "SSPRK3",
    "STOP",
    "SUITES",
    "AbstractEnvironment",
    "AbstractObjective",
    "AbstractPolicy",
    "ActionCost",
    "Backprop",
    "Burgers",
    "CFLStep",
    "CallableCondition",
    "ClassicalPolicy",
    "Conservation",
    "DirectionalPolicy",
    "Discretised",
    "Evaluation",
    "FieldState",
    "FinalCost",
    "FixedStep",
    "ForwardEuler",
    "GradientFlow",
    "LinearAdvection",
    "NonFiniteError",
    "OptimizerConfig",
    "PairedPolicy",
    "Problem",
    "Run",
    "RunningCost",
    "SchemeConfig",
    "SemiDiscrete",
    "SignAgreement",
    "Simulation",
    "Solution",
    "Suite",
    "Task",
    "TrainState",
    "Trainer",
    "Trajectory",
    "TrajectoryError",
    "UndertowError",
    "UniformGrid",
    "WenoJS",
    "WenoZ",
    "boundary",
    "build_optimizer",
    "burgers_condition",
    "burgers_exact",
    "classical",
    "closed_loop",
    "config_from_dict",
    "config_to_dict",
    "convergence",
    "evaluate",
    "evaluate_run",
    "exact_solution",
    "fit",
    "load_policy",
    "make_pool",
    "plot_run",
    "preset",
    "random_condition",
    "rollout",
    "simulate",
    "solve",
    "stack_problems",
    "suite",
    "train",
    "training_conditions",
    "unroll",
]
