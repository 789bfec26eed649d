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
    ut.solve(scheme, ut.WenoJS(5), u0, steps=100, time_step=ut.FixedStep(1e-3)).values

The library never sets JAX's precision; conservation laws want `jax_enable_x64`. Everything else is in the rooms:
`undertow.core`, `numerics`, `laws`, `schemes`, `envs`, `policies`, `games`, `training`, `evaluation`, `report`.
"""

from undertow import games
from undertow._checks import NonFiniteError, UndertowError
from undertow.catalogue import catalogue
from undertow.config import SchemeConfig, config_from_dict, config_to_dict, load_config
from undertow.core.environment import AbstractControlled, AbstractEnvironment
from undertow.core.flow import FULL, PHYSICS, POLICY, STOP, GradientFlow, closed_loop, discount, mixed, window
from undertow.core.gradient import GRADIENTS, AbstractGradient, Backprop, EvolutionStrategy, SignAgreement
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
from undertow.evaluation.control import ControlEvaluation, evaluate_control
from undertow.evaluation.convergence import convergence
from undertow.evaluation.evaluate import Evaluation, evaluate
from undertow.experiment import (
    Learned,
    Run,
    evaluate_run,
    import_agent,
    learn,
    load_policy,
    load_run,
    plot_run,
    report_run,
    resume,
    train,
)
from undertow.export import export
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
from undertow.policies.controller import Controller, WaveController
from undertow.policies.network import MLP
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.presets import PRESETS, preset
from undertow.reproduction import reproduce
from undertow.runs import compare_runs, diff_runs, list_runs
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import Solution, solve
from undertow.schemes.weights import WenoJS, WenoZ
from undertow.simulate import Simulation, simulate
from undertow.store.machine import info
from undertow.sweeps.sweep import join as join_sweep
from undertow.sweeps.sweep import summary as sweep_summary
from undertow.sweeps.sweep import sweep
from undertow.tasks.cartpole import CartPole
from undertow.tasks.guidance import Guidance
from undertow.tasks.quantum import QuantumBox
from undertow.training.ensemble import Ensemble
from undertow.training.fit import fit
from undertow.training.optimizer import OptimizerConfig, build_optimizer
from undertow.training.trainer import Trainer, TrainState

__all__ = [
    "BURGERS_CONDITIONS",
    "FULL",
    "GRADIENTS",
    "MLP",
    "PHYSICS",
    "POLICY",
    "PRESETS",
    "RK4",
    "SSPRK3",
    "STOP",
    "SUITES",
    "AbstractControlled",
    "AbstractEnvironment",
    "AbstractGradient",
    "AbstractObjective",
    "AbstractPolicy",
    "ActionCost",
    "Backprop",
    "Burgers",
    "CFLStep",
    "CallableCondition",
    "CartPole",
    "ClassicalPolicy",
    "Conservation",
    "ControlEvaluation",
    "Controller",
    "DirectionalPolicy",
    "Discretised",
    "Ensemble",
    "Evaluation",
    "EvolutionStrategy",
    "FieldState",
    "FinalCost",
    "FixedStep",
    "ForwardEuler",
    "GradientFlow",
    "Guidance",
    "Learned",
    "LinearAdvection",
    "NonFiniteError",
    "OptimizerConfig",
    "PairedPolicy",
    "Problem",
    "QuantumBox",
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
    "WaveController",
    "WenoJS",
    "WenoZ",
    "boundary",
    "build_optimizer",
    "burgers_condition",
    "burgers_exact",
    "catalogue",
    "classical",
    "closed_loop",
    "compare_runs",
    "config_from_dict",
    "config_to_dict",
    "convergence",
    "diff_runs",
    "discount",
    "evaluate",
    "evaluate_control",
    "evaluate_run",
    "exact_solution",
    "export",
    "fit",
    "games",
    "import_agent",
    "info",
    "join_sweep",
    "learn",
    "list_runs",
    "load_config",
    "load_policy",
    "load_run",
    "make_pool",
    "mixed",
    "plot_run",
    "preset",
    "random_condition",
    "report_run",
    "reproduce",
    "resume",
    "rollout",
    "simulate",
    "solve",
    "stack_problems",
    "suite",
    "sweep",
    "sweep_summary",
    "train",
    "training_conditions",
    "unroll",
    "window",
]
