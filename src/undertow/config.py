r"""The configuration of a run: nested dataclasses of plain values, which are also the command line.

Every field is a flag (`grid.num_cells` is `--grid.num-cells`), the line under it its help, its value the default. A
configuration is plain data: it holds names and numbers, never arrays or objects, goes to JSON and back, and can be
compared. `undertow.build` makes the objects.

Families of tasks have a configuration class each: a subclass of `Config`, which holds what all of them share, with the
fields of its own kind, entered in `FAMILIES`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from undertow._checks import UndertowError, lookup, nearest, require
from undertow.numerics.timestep import Discretisation, complete
from undertow.training.optimizer import OptimizerConfig

C = TypeVar("C", bound="Config")

Precision = Literal["float32", "float64"]


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in which portions, in which precision."""

    updates: int = 1000
    """updates of the policy"""
    batch: int = 16
    """problems per update"""
    sampling: Literal["sample", "cycle"] = "sample"
    """sample: drawn from the pool for every update; cycle: the pool in its order, again and again"""
    precision: Precision = "float64"
    """of policy and problems in training; evaluation is always float64"""
    dispatch: int = 50
    """updates per call of the device; Ctrl-C waits for the end of one"""
    rematerialise: Literal["step", "cheap", "nothing"] = "step"
    """what the backward pass computes again instead of storing: all inside a step, all but matrix products, nothing"""
    segment: int | None = None
    """checkpoint whole segments of so many steps as well, which saves memory over long horizons"""
    max_skipped: int = 10
    """so many updates in a row that are not finite end the run; each of them is skipped"""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured during the training and after it. Training data is never used for it."""

    every: int = 100
    """evaluate after so many updates (rounded up to whole dispatches)"""
    conditions: tuple[str, ...] = ()
    """named initial conditions to evaluate on during the training; none: random ones"""
    cases: int = 64
    """random conditions to evaluate on during the training; they are not those of the suites"""
    horizon: int = 1
    """evaluate over so many times the training's end time"""
    keep_by: Literal["ratio", "worst", "l1", "objective"] = "ratio"
    """the metric of the best checkpoints, less is better: geometric mean or largest of the L1 errors over WENO-JS's,
    mean L1 error, or the training's objective"""
    keep: int = 3
    """best checkpoints to keep"""
    suites: tuple[str, ...] = (
        "held-out",
        "held-out-2x-cells",
        "held-out-4x-cells",
        "held-out-2x-time",
        "named",
        "named-2x-time",
    )
    """suites to evaluate the best checkpoint on at the end (`undertow list suites`)"""
    figures: bool = True
    """draw the figures at the end"""


@dataclass(frozen=True)
class Config:
    """What every family of tasks has."""

    family: ClassVar[str]

    seed: int = 0
    """of the policy's first weights, the training data and the batches"""
    gradient: Literal["full", "physics", "policy", "stop", "sign-agreement"] = "full"
    """which gradient the optimiser is handed: through physics and policy, through one of them, one step only, or
    physics' where its sign agrees with full's"""
    gates: tuple[float, float] | None = None
    """damp the two paths, physics and policy, instead: 1 lets a gradient through, 0 stops it"""
    training: TrainingConfig = TrainingConfig()
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    evaluation: EvaluationConfig = EvaluationConfig()

    def untrained(self) -> Self:
        """The same, without a checkpoint to start from: what describes a policy of the same shape."""
        return self


# --- learned schemes for conservation laws ----------------------------------------------------------------------------


@dataclass(frozen=True)
class LawConfig:
    """The equation: u_t + f(u)_x = nu u_xx + s(x, t)."""

    name: Literal["burgers", "advection"] = "burgers"
    """burgers: f = u^2 / 2; advection: f = velocity u"""
    velocity: float = 1.0
    """advection: the speed"""
    viscosity: float = 0.0
    """nu; above 0 there is no exact solution, so take --data.truth fine"""
    source: float = 0.0
    """mean amplitude of a random source s, another one for every problem; above 0 take --data.truth fine"""


@dataclass(frozen=True)
class GridConfig:
    """The numerical scheme: cells, time steps, order. What is None follows from the rest."""

    num_cells: int | None = 64
    """number of cells"""
    steps: int | None = 40
    """number of time steps"""
    end_time: float | None = 0.1
    """time simulated in one training rollout"""
    dt: float | None = None
    """length of a time step; set steps or end_time to None if you give it"""
    order: Literal[3, 5, 7, 9, 11, 13] = 5
    """formal order 2r - 1 of the scheme: the agents see 2r - 1 values and weigh r substencils"""
    integrator: Literal["euler", "ssp_rk3", "rk4"] = "ssp_rk3"
    """in time; the policy is asked at every stage"""
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
    """named initial conditions to train on, in this order (`undertow list conditions`); none: the random family"""
    boundary: str | None = None
    """boundary of the named conditions, instead of each one's own"""
    pool: int = 2048
    """random conditions to draw batches from"""
    truth: Literal["exact", "fine"] = "exact"
    """exact: the exact solution; fine: WENO-JS on a finer grid"""
    refinement: int = 9
    """truth fine: cells of it per cell, an odd number"""
    every: int | None = None
    """trajectory objective: compare after every so many steps; None: at the end only"""


@dataclass(frozen=True)
class PolicyConfig:
    """The agent at every face."""

    name: Literal["directional", "paired"] = "directional"
    """directional: one stencil in, one set of weights out, mirror-symmetric; paired: both stencils of a face in, both
    sets out, as published"""
    hidden: tuple[int, ...] = (16, 16)
    """widths of the hidden layers"""
    activation: Literal["relu", "leaky_relu", "silu", "softplus", "sigmoid", "tanh"] = "relu"
    """activation of the hidden layers"""
    prior: bool = True
    """directional: start as WENO-Z, and learn what to do where the data are not smooth"""
    epsilon: float = 1e-2
    """directional: variations of the flux well below this count as none"""
    threshold: float = 0.1
    """directional: how smooth the data must be for the scheme to stay WENO-Z; less means smoother"""
    freedom: float = 1.0
    """directional: how far the network may lift a weight that WENO-Z sets to zero"""
    noise: float = 0.0
    """standard deviation of noise on the logits in training"""
    start: Path | None = None
    """a run directory or checkpoint to start from, instead of random weights"""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is to be made small. Penalties with factor 0 are left out."""

    name: Literal["trajectory", "log-trajectory", "reward"] = "trajectory"
    """trajectory: distance to the truth relative to WENO-JS's own; log-trajectory: its logarithm, so that the batch
    mean is that of a geometric mean; reward: the published sum over faces and time"""
    floor: float = 1e-6
    """log-trajectory: errors below this count as none"""
    penalty: float = 2.0
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
    scale: float = 1000.0
    """reward: the scale of arctan"""
    comparator: Literal["weno-js", "weno-js-original", "weno-z", "linear"] = "weno-js"
    """reward and cloning: the scheme to compare with"""
    conservation: float = 0.0
    """factor of the penalty for a changing total"""
    total_variation: float = 0.0
    """factor of the penalty for growing total variation; published: 0.001"""
    cloning: float = 0.0
    """factor of the distance to the comparator's weights"""


@dataclass(frozen=True)
class SchemeConfig(Config):
    """A numerical scheme for a conservation law, learned: an agent at every face chooses the stencil weights."""

    family: ClassVar[str] = "scheme"

    law: LawConfig = LawConfig()
    grid: GridConfig = GridConfig()
    data: DataConfig = DataConfig()
    policy: PolicyConfig = PolicyConfig()
    objective: ObjectiveConfig = ObjectiveConfig()

    def untrained(self) -> Self:
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, start=None))


FAMILIES: dict[str, type[Config]] = {SchemeConfig.family: SchemeConfig}
"""The configuration class of every family, by the name that stands in `config.json`."""


# --- to JSON and back, with checks ------------------------------------------------------------------------------------


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as nested dictionaries of plain values, with its family's name under `family`."""
    return {"family": config.family, **_plain(dataclasses.asdict(config))}


def config_from_dict(values: Mapping[str, Any]) -> Config:
    """The configuration that `config_to_dict` made `values` from. A field that is missing takes its default.

    **Raises:** `UndertowError` for an unknown family, field or choice (with the nearest match) or a wrong type.
    """
    rest = dict(values)
    family = str(rest.pop("family", SchemeConfig.family))
    return _read(lookup("family", family, FAMILIES), rest, "")


def validate_config(config: C) -> C:
    """The same configuration, if every field holds a value of its type and one of its choices.

    The command line cannot give others, but Python and JSON can. **Raises:** `UndertowError` naming the field.
    """
    return _read(type(config), config, "")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


def _read(hint: Any, value: Any, where: str) -> Any:
    """`value` as a value of type `hint`; `where` is the field's dotted name."""
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        if isinstance(value, hint):
            value = {f.name: getattr(value, f.name) for f in dataclasses.fields(hint)}
        if not isinstance(value, Mapping):
            raise UndertowError(f"{where or 'the configuration'} must be a table of fields, got {value!r}")
        hints = _hints(hint)
        for name in value:
            require(name in hints, f"unknown configuration field {_join(where, name)!r}{nearest(name, hints)}")
        return hint(**{name: _read(hints[name], item, _join(where, name)) for name, item in value.items()})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (each for each in arguments if each is not type(None))  # every union here is `X | None`
        return _read(hint, value, where)
    if origin is Literal:
        if isinstance(value, str):
            lookup(where, value, {str(each): each for each in arguments})
        require(value in arguments, f"{where} must be one of {', '.join(map(str, arguments))}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UndertowError(f"{where} must be a list, got {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        require(len(kinds) == len(value), f"{where} must have {len(kinds)} entries, got {value!r}")
        return tuple(_read(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    return _read_plain(hint, value, where)


def _read_plain(hint: type, value: Any, where: str) -> Any:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", Path: "a path"}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is Path and isinstance(value, str):
        value = Path(value)
    fits = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
    require(fits, f"{where} must be {names[hint]}, got {value!r}")
    if hint is float:
        require(math.isfinite(value), f"{where} must be a finite number, got {value!r}")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
