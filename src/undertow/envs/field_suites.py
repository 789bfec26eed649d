r"""Systems and planes to test policies on: random problems of every law that has such, and the named ones that everyone knows."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from undertow._checks import lookup, require, require_positive, whole_number
from undertow.envs.collection import Suite, make_suite
from undertow.envs.families import draw
from undertow.envs.needs import require_suite
from undertow.envs.pools import Discretised, Truth
from undertow.envs.truth import batches
from undertow.laws.cases import Case, Problems
from undertow.laws.catalogue import all_problems, entry_of
from undertow.laws.fields import AbstractField, PiecewiseStates
from undertow.laws.law import AbstractConservationLaw, Reconstruction, make_law
from undertow.numerics.integrator import INTEGRATORS, AbstractIntegrator
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.splitting import AbstractSpeed

END_TIME = 0.2
"""The time unit of suites of named problems: every case is stated on the interval (0, 1) and until this time."""


def normalised_case(named: Case, end_time: float = END_TIME) -> PiecewiseStates:
    """A named problem of piecewise states on (0, 1) until `end_time`, in one structure for all."""
    field = named.field()
    assert isinstance(field, PiecewiseStates)
    return field.shared_form().normalised(end_time, named.end_time)


def with_constants(fields: AbstractField, constants: Mapping[str, float]) -> AbstractField:
    """The same initial states, such as density, velocity and pressure, under laws with other constants: of one field or a
    batch. Raises `UndertowError` for a constant that the fields' laws do not say, such as a floor."""
    for name, value in constants.items():
        leaf = getattr(fields.law, name)
        require(eqx.is_array(leaf), f"problems with laws of their own say no {name}; leave it out")
        where = functools.partial(_constant, name)
        fields = eqx.tree_at(where, fields, jnp.full_like(leaf, value))
    return fields


def _constant(name: str, field: AbstractField) -> Any:
    return getattr(field.law, name)


@dataclass(frozen=True)
class FieldSuiteSpec:
    """How to make a suite of systems or of two dimensions: call it. What a call does not give is taken from here.

    **Arguments:** `name`, `summary`: for people; `law`; its `problems`: the random ones, or with `named` every case; `cells`;
    `unit`: the usual end time; `horizon`: end time in units of it; `steps_per_cell`: time steps per cell and unit; `n`: random
    problems; `refinement`: cells per cell of the finer grid that counts as the truth where no exact solution is known.
    """

    name: str
    summary: str
    law: type[AbstractConservationLaw]
    problems: Problems
    named: bool = False
    cells: int = 64
    unit: float = END_TIME
    horizon: float = 1.0
    steps_per_cell: float = 50 / 64
    n: int = 200
    refinement: int = 9

    def __call__(
        self,
        *,
        cells: int | None = None,
        steps: int | None = None,
        end_time: float | None = None,
        order: int = 5,
        integrator: str | AbstractIntegrator = "ssp_rk3",
        n: int | None = None,
        law: AbstractConservationLaw | None = None,
        speed: AbstractSpeed | None = None,
        truth: Truth | None = None,
        refinement: int | None = None,
        reconstruction: Reconstruction | None = None,
        positivity: bool = False,
        long: bool = False,
    ) -> Suite:
        """The suite, see [`suite`][undertow.envs.suites.suite]. A `law` only says what it is: cases bring their own."""
        if law is not None:
            self.check_law(law)
        count = self.n if n is None else n
        cells = self.cells if cells is None else cells
        end_time = self.horizon * self.unit if end_time is None else end_time
        cells, count = whole_number("cells", cells), whole_number("n", count)
        end_time = require_positive("end_time", end_time)
        if steps is None:
            steps = math.ceil(self.steps_per_cell * cells * (end_time / self.unit) * (1 - 1e-12))
        steps = whole_number("steps", steps)
        if isinstance(integrator, str):
            integrator = lookup("integrator", integrator, INTEGRATORS)
        how = Discretised(
            make_law(self.law, {}) if law is None else law,
            cells,
            steps,
            float(end_time),
            order=order,
            integrator=integrator,
            speed=speed,
            truth=truth or ("best" if self.named else "fine"),
            refinement=self.refinement if refinement is None else refinement,
            reconstruction=reconstruction or self.law.reconstruction,
            limiter=PositivityLimiter() if positivity else None,
        )
        dimensions = 2 if self.problems is entry_of(how.law).plane else 1
        require_suite(how, 1 if self.named else count, dimensions, long=long)
        if self.named:
            found = [normalised_case(each) for each in self.problems.cases.values()]
            return make_suite(self.name, self.summary, how, batches(found), list(self.problems.cases))
        members = [(draw(self.problems.family, np.arange(count)), range(count))]
        cases = [f"random {number}" for number in range(count)]
        return make_suite(self.name, self.summary, how, members, cases, [self.problems.family] * count)

    def check_law(self, law: AbstractConservationLaw) -> None:
        """Raise `UndertowError` unless the suite is of this law."""
        require(
            isinstance(law, self.law),
            f"suite {self.name} is of {self.law.__name__}, got the law {type(law).__name__}",
        )


def _specs() -> Iterator[FieldSuiteSpec]:
    for entry, problems in all_problems():
        held, family = problems.held_out, problems.family
        if held is None:
            continue
        name = f"{family}-held-out"
        shared: dict[str, Any] = {"unit": held.unit, "steps_per_cell": held.steps_per_cell, "n": held.n}
        one = FieldSuiteSpec(
            name, held.about, entry.law, problems, cells=held.cells, refinement=held.refinement, **shared
        )
        yield one
        if problems is entry.plane:
            continue
        yield replace(
            one, name=f"{name}-2x-cells", summary="the same on twice the cells", cells=2 * held.cells, refinement=5
        )
        yield replace(one, name=f"{name}-2x-time", summary="the same to twice the time", horizon=2.0)
        if problems.named is not None:
            yield FieldSuiteSpec(f"{family}-named", problems.named, entry.law, problems, True, 200, steps_per_cell=4.0)


FIELD_SPECS = tuple(_specs())
"""The suites of every law whose problems are fields."""
