"""Configurations of learned numerical schemes for conservation laws."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import jax.numpy as jnp

from undertow._checks import UndertowError, Within, require
from undertow._fields import Count, Names, NotNegative, Positive
from undertow._own import name_of
from undertow.config.base import Config, EvaluationBase
from undertow.config.baseline import BaselineConfig, Method
from undertow.laws.cases import LawEntry, Problems
from undertow.laws.catalogue import LAWS, law_entry
from undertow.laws.law import AbstractConservationLaw, constants_of, make_law
from undertow.numerics.timestep import Discretisation, complete


@dataclass(frozen=True)
class LawConfig:
    """The equation: u_t + f(u)_x = nu u_xx + s(x, t)."""

    name: str = "burgers"
    """which law (`undertow list laws`), or one of your own, such as traffic.py:Traffic"""
    gamma: Annotated[float, Within(above=1)] = 1.4
    """of a gas: ratio of specific heats of the random problems; named ones have their own"""
    velocity: float = 1.0
    """advection: the speed"""
    viscosity: NotNegative = 0.0
    """nu; above 0 there is no exact solution, so take --data.truth fine"""
    source: NotNegative = 0.0
    """mean amplitude of a random source s, another one for every problem; above 0 take --data.truth fine"""
    constants: dict[str, float] = field(default_factory=dict)
    """further constants of the law, by name"""

    @classmethod
    def of(cls, law: AbstractConservationLaw) -> Self:
        """What makes this `law`, of the package's or one's own. Raises `UndertowError` for one whose class has no name."""
        known = (name for name, entry in LAWS.items() if entry.law is type(law))
        values = {name: getattr(law, name) for name in constants_of(type(law))}
        given = {name: float(value) for name, value in values.items() if jnp.ndim(value) == 0 and value is not None}
        shared = {name: given.pop(name) for name in ("gamma", "velocity", "viscosity") if name in given}
        return cls(next(known, None) or name_of(type(law)), constants=given, **shared)

    @property
    def entry(self) -> LawEntry:
        """The law and what it brings along. Raises `UndertowError` for an unknown one, with the nearest match."""
        return law_entry(self.name)

    def constants_among(self, names: Collection[str]) -> dict[str, float]:
        """The constants that are said here, of those that a law has (`names`)."""
        shared = {name: getattr(self, name) for name in ("gamma", "velocity", "viscosity") if name in names}
        return {**shared, **self.constants}

    def make(self) -> AbstractConservationLaw:
        """The law with its constants.

        **Raises:** `UndertowError` for an unknown law, and for a constant, a viscosity or a source that it does not have.
        """
        kind = self.entry.law
        names = constants_of(kind)
        require("viscosity" in names or self.viscosity == 0, f"{self.name} has no viscosity; set law.viscosity to 0")
        law = make_law(kind, self.constants_among(names))
        require(law.has_source or self.source == 0, f"{self.name} has no source; set law.source to 0")
        return law


@dataclass(frozen=True)
class GridConfig:
    """The numerical scheme: cells, time steps, order. What is None follows from the rest."""

    num_cells: Count | None = 64
    """number of cells, along each axis"""
    dimensions: Literal[1, 2] = 1
    """of space; 2: of scalar Burgers on a square"""
    steps: Count | None = 40
    """number of time steps"""
    end_time: Positive | None = 0.1
    """time simulated in one training rollout"""
    dt: Positive | None = None
    """length of a time step; set steps or end_time to None if you give it"""
    order: Literal[3, 5, 7, 9, 11, 13] = 5
    """formal order 2r - 1 of the scheme: the agents see 2r - 1 values and weigh r substencils"""
    integrator: Literal["euler", "ssp_rk3", "rk4"] = "ssp_rk3"
    """in time; the policy is asked at every stage"""
    reconstruction: Literal["component", "characteristic"] = "component"
    """of a system: every conserved component by itself, or characteristic fields"""
    positivity: bool = False
    """of a gas: limit fluxes where density or pressure would become negative"""
    speed: Literal["global", "local", "smooth"] = "global"
    """the wave speed of the Lax-Friedrichs splitting: the largest of all cells, of the two at a face, or a smooth
    bound of the largest"""

    def complete(self) -> Discretisation:
        """Cells, step, number of steps and end time, filled in from each other. Raises `UndertowError`."""
        try:
            return complete(num_cells=self.num_cells, dt=self.dt, steps=self.steps, end_time=self.end_time)
        except UndertowError as error:
            # A preset gives most of them: to leave one out is to say so.
            message = str(error).replace("leave one of them out", "set one of them to None, as in --grid.steps None")
            raise UndertowError(f"grid: {message}") from None


@dataclass(frozen=True)
class DataConfig:
    """What is trained on, and what counts as the truth."""

    conditions: tuple[str, ...] = ()
    """named initial conditions to train on, in this order (`undertow list conditions`), or your own, such as traffic.py:queue;
    none: the random family"""
    boundary: str | None = None
    """boundary of the named conditions, instead of each one's own"""
    pool: Count = 2048
    """random conditions to draw batches from"""
    truth: Literal["exact", "fine"] = "exact"
    """exact: the exact solution; fine: WENO-JS on a finer grid"""
    refinement: Count = 9
    """truth fine: cells of it per cell, an odd number"""
    every: Count | None = None
    """trajectory objective: compare after every so many steps; None: at the end only"""


@dataclass(frozen=True)
class PolicyConfig:
    """The agent at every face."""

    name: Annotated[str, Names(("directional", "paired"))] = "directional"
    """directional: one stencil in, one set of weights out, mirror-symmetric; paired: both stencils of a face in, both
    sets out, as published; or what makes one of your own, such as mine.py:Agent, called with order and key"""
    hidden: tuple[Count, ...] = (16, 16)
    """widths of the hidden layers"""
    activation: Literal["relu", "leaky_relu", "silu", "softplus", "sigmoid", "tanh"] = "relu"
    """activation of the hidden layers"""
    prior: bool = True
    """directional: start as WENO-Z, and learn what to do where the data are not smooth"""
    epsilon: Positive = 1e-2
    """directional: variations of the flux well below this count as none"""
    threshold: Positive = 0.1
    """directional: how smooth the data must be for the scheme to stay WENO-Z; less means smoother"""
    freedom: Positive = 1.0
    """directional: how far the network may lift a weight that WENO-Z sets to zero"""
    first_scale: NotNegative = 1.0
    """paired: the last layer's first weights in units of the usual ones; less starts closer to equal weights, which every
    seed survives"""
    noise: NotNegative = 0.0
    """standard deviation of noise on the logits in training"""
    bound: Positive | None = None
    """keep the network's outputs within this of 0, by a hyperbolic tangent; None: without bounds, or 5 for the methods
    that need one (sac, td3, ddpg)"""
    start: Path | None = None
    """a run directory or checkpoint to start from, instead of random weights"""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is to be made small. Penalties with factor 0 are left out."""

    name: Annotated[str, Names(("trajectory", "log-trajectory", "reward"))] = "trajectory"
    """trajectory: distance to the truth relative to WENO-JS's own; log-trajectory: its logarithm, so that the batch
    mean is that of a geometric mean; reward: the published sum over faces and time; or one of your own, such as mine.py:error"""
    floor: Positive | None = None
    """log-trajectory: errors below this count as none, in the unit of the data; None: 1e-6 of the truth's largest value"""
    penalty: NotNegative = 2.0
    """log-trajectory: what is worse than WENO-JS costs 1 + penalty times as much"""
    error: Literal["one-step", "full", "change", "consistency-lo", "consistency-hi"] = "one-step"
    """reward: distance to one step of WENO from the same state, to WENO's or the truth's whole trajectory, its change
    from step to step, or to one step on a grid of twice the cells"""
    against: Literal["weno", "truth"] = "weno"
    """reward full and change: whose trajectory"""
    clipped: bool = False
    """reward: forgive errors below 0.001 and enlarge those above 0.1 tenfold"""
    combination: Literal["adjacent", "stencil-max", "stencil-avg", "stencil-L1", "stencil-L2"] = "adjacent"
    """reward: from errors in cells to errors at faces"""
    squash: Literal["arctan", "log", "none"] = "arctan"
    """reward: R = arctan(-scale e), -log(e) or -e"""
    scale: Positive = 1000.0
    """reward: the scale of arctan"""
    components: Literal["summed", "separate"] = "summed"
    """reward of a system: errors of its components added up before they are squashed (the published training), or each
    squashed and then averaged (the published evaluation)"""
    comparator: Literal["weno-js", "weno-js-original", "weno-z", "linear"] = "weno-js"
    """reward and cloning: the scheme to compare with"""
    conservation: NotNegative = 0.0
    """factor of the penalty for a changing total"""
    total_variation: NotNegative = 0.0
    """factor of the penalty for growing total variation; published: 0.001"""
    cloning: NotNegative = 0.0
    """factor of the distance to the comparator's weights"""


@dataclass(frozen=True)
class EvaluationConfig(EvaluationBase):
    """What is measured during the training and after it. Training data is never used for it."""

    conditions: tuple[str, ...] = ()
    """named initial conditions to evaluate on during the training; none: random ones"""
    cases: Count = 64
    """random conditions to evaluate on during the training; they are not those of the suites"""
    horizon: Count = 1
    """evaluate over so many times the training's end time"""
    keep_by: Literal["ratio", "worst", "l1", "objective"] = "ratio"
    """the metric of the best checkpoints, less is better: geometric mean or largest of the L1 errors over WENO-JS's,
    mean L1 error, or the training's objective"""
    suites: tuple[str, ...] = (
        "held-out",
        "held-out-2x-cells",
        "held-out-4x-cells",
        "held-out-2x-time",
        "named",
        "named-2x-time",
    )
    """suites to evaluate the best checkpoint on at the end (`undertow list suites`)"""


@dataclass(frozen=True)
class SchemeConfig(Config):
    """A numerical scheme for a conservation law, learned: an agent at every face chooses the stencil weights."""

    family: ClassVar[str] = "scheme"

    method: Method = "bptt"  # type: ignore[misc]  # a constant of the families that have no choice
    """how the policy learns: bptt: backpropagation through the solver; ppo, policy-gradient, sac, td3, ddpg: reinforcement
    learning, see baseline; cloning: to choose objective.comparator's weights in the states it comes to itself"""
    law: LawConfig = field(default_factory=LawConfig)
    grid: GridConfig = GridConfig()
    data: DataConfig = DataConfig()
    policy: PolicyConfig = PolicyConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    baseline: BaselineConfig = field(default_factory=BaselineConfig)

    @property
    def problems(self) -> Problems:
        """What there is to solve of the law in so many dimensions. Raises `UndertowError` where there is nothing to learn on."""
        entry = self.law.entry
        found = entry.line if self.grid.dimensions == 1 else entry.plane
        if found is None or found.random is None:
            there = [name for name, each in LAWS.items() if each.plane is not None and each.plane.random is not None]
            raise UndertowError(
                f"there are no random problems of {self.law.name} in {self.grid.dimensions} dimensions to learn on; there are of "
                f"{', '.join(there)}"
            )
        return found

    def untrained(self) -> Self:
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, start=None))
