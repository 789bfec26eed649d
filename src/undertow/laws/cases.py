r"""What a law brings along beside its equation: problems with names, random ones, and how they are usually looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import jax.numpy as jnp

from undertow._checks import lookup
from undertow._types import Key
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.laws.conditions import AbstractCondition
from undertow.laws.fields import AbstractField, PiecewiseStates
from undertow.laws.law import AbstractConservationLaw

Initial = AbstractCondition | AbstractField
"""What a problem starts from: a scalar condition, which takes the law it is given, or a field, which brings its own."""


def as_field(initial: Initial) -> AbstractField:
    """The same, of problems that bring their law."""
    assert isinstance(initial, AbstractField)
    return initial


class Case(Protocol):
    """A problem with a name: its usual `end_time`, how many `cells` (along the first axis) it is usually shown with, and a word
    `about` it."""

    @property
    def end_time(self) -> float: ...

    @property
    def cells(self) -> int: ...

    @property
    def about(self) -> str: ...

    @property
    def draws(self) -> bool:
        """Whether it has parameters that can be drawn at random."""
        ...

    def field(self) -> Initial:
        """The initial values."""
        ...


@dataclass(frozen=True)
class ConditionCase:
    """A scalar condition of `BURGERS_CONDITIONS` by `name`, with its own boundary and the default values of its parameters."""

    name: str
    end_time: float = 0.1
    cells: int = 128

    def field(self) -> AbstractCondition:
        """The condition."""
        return burgers_condition(self.name)

    @property
    def draws(self) -> bool:
        return BURGERS_CONDITIONS[self.name].draw is not None

    @property
    def about(self) -> str:
        """Formula and boundary."""
        family = BURGERS_CONDITIONS[self.name]
        return f"{family.formula} ({family.boundary}{', random parameters' if self.draws else ''})"


@dataclass(frozen=True)
class PlaneCase:
    r"""A problem in two dimensions with a name.

    - `make`: makes the initial values, which know law, domain, boundary and, where there is one, exact solution.
    - `end_time`; `cells`: along the first axis, how many it is usually shown with; `source`: where it comes from.
    """

    make: Callable[[], AbstractField]
    end_time: float
    cells: int
    source: str
    draws: ClassVar[bool] = False

    def field(self) -> AbstractField:
        """The initial values."""
        return self.make()

    @property
    def about(self) -> str:
        """Source, end time and cells."""
        return f"{self.source}; t = {self.end_time:g}, {self.cells} cells along x"

    @property
    def reference(self) -> Literal["exact", "fine"]:
        """What its error is measured against: the exact solution, or that on a finer grid."""
        return "exact" if self.field().solvable else "fine"


@dataclass(frozen=True)
class PiecewiseCase:
    r"""A problem in one dimension with a name, made of constant states.

    - `law`: makes the law; `states`: the primitive values of the pieces; `positions`: where they meet; `domain`; `end_time`.
    - `source`: where it comes from.
    - `boundary`: `outflow`, `reflective` or `periodic`.
    - `amplitudes`, `wavenumber`: of a wave in the first component.
    - `cells`: how many it is usually shown with. `reference`: `exact` or `fine` (a finer grid).
    """

    law: Callable[[], AbstractConservationLaw]
    states: tuple[tuple[float, ...], ...]
    positions: tuple[float, ...]
    domain: tuple[float, float]
    end_time: float
    source: str
    boundary: str = "outflow"
    amplitudes: tuple[float, ...] | None = None
    wavenumber: float = 2 * math.pi
    cells: int = 200
    reference: str = "exact"
    draws: ClassVar[bool] = False

    def field(self) -> PiecewiseStates:
        """The initial values."""
        return PiecewiseStates(
            self.law(),
            jnp.asarray(self.states, float),
            jnp.asarray(self.positions, float),
            amplitudes=None if self.amplitudes is None else jnp.asarray(self.amplitudes, float),
            wavenumber=self.wavenumber,
            domain=self.domain,
            periodic=float(self.boundary == "periodic"),
            reflective=float(self.boundary == "reflective"),
            riemann=self.reference == "exact",
        )

    @property
    def about(self) -> str:
        """Source, boundary, end time and cells."""
        return f"{self.source}; {self.boundary}, t = {self.end_time:g}, {self.cells} cells"


@dataclass(frozen=True)
class HeldOut:
    """How random problems are tested on: `about` them; `cells`; the usual end time `unit`, and time steps per cell and unit; how
    many, `n`; `refinement`: cells per cell of the finer grid that counts as the truth."""

    about: str
    cells: int = 64
    unit: float = 0.2
    steps_per_cell: float = 50 / 64
    n: int = 200
    refinement: int = 9


@dataclass(frozen=True)
class Play:
    """A game, as it is made where nothing else is asked for: its `name` and a word `about` it; the usual `case`; `cells` along
    the first axis; `dt`: on so many cells of a domain of length 1, other cells scale it; `steps`; `integrator`."""

    name: str
    about: str
    case: str | tuple[str, ...]
    cells: int
    dt: float
    steps: int
    integrator: str = "euler"


@dataclass(frozen=True)
class Problems:
    """What there is to solve of a law in so many dimensions.

    - `title`: of the list of cases; `cases` by name; `find`: knows names beyond these; default None.
    - `family`, `random`: the name of the random problems, and what draws one from a key; without the latter there are none.
    - `brings_law`: whether problems are fields, which bring their law and domain (default), or conditions, which take a law.
    - `boundary`: what random problems mostly have at their ends, to write a step for.
    - `held_out`: how random problems are tested on; `named`: about the suite of all cases; None: no such suite.
    - `play`: the game; None: there is none.
    """

    title: str
    cases: Mapping[str, Case]
    find: Callable[[str], Case] | None = None
    family: str = ""
    random: Callable[[Key], Initial] | None = None
    brings_law: bool = True
    boundary: str = "outflow"
    held_out: HeldOut | None = None
    named: str | None = None
    play: Play | None = None

    def case(self, name: str) -> Case:
        """The case called `name`. Raises `UndertowError` for an unknown name, with the nearest match."""
        return lookup("case", name, self.cases) if self.find is None else self.find(name)


@dataclass(frozen=True)
class LawEntry:
    """A law and what it brings along: `law`; a word `about` it; its problems in one dimension and, if there are any, in the
    plane."""

    law: type[AbstractConservationLaw]
    about: str
    line: Problems
    plane: Problems | None = None
