"""Policies on one problem, side by side, with the truth beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from undertow._checks import lookup, require
from undertow._tree import take
from undertow.envs.collection import Suite
from undertow.envs.field_suites import END_TIME, normalised_case
from undertow.evaluation.actions import Profile
from undertow.evaluation.results import Evaluation
from undertow.evaluation.simulation import Simulation, quantities
from undertow.laws.cases import Initial, as_field
from undertow.laws.catalogue import entry_of
from undertow.laws.fields import AbstractField, PiecewiseStates
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.grid import UniformGrid


@dataclass(frozen=True, eq=False)
class Comparison:
    """Solver runs of several policies on one problem, from the same state to the same times.

    - `title`: which problem; `simulations`: by policy.
    - `reference`: what counts as the truth where there is no exact solution, on any grid; or None.
    """

    title: str
    simulations: Mapping[str, Simulation]
    reference: Simulation | None = None

    def __post_init__(self) -> None:
        require(len(self.simulations) > 0, f"a comparison on {self.title} needs at least one policy, got none")
        others = [*self.simulations.values(), *([] if self.reference is None else [self.reference])]
        near = 1e-8 * float(np.max(np.abs(self.times), initial=0.0))
        same = all(
            np.allclose(each.times, self.times, rtol=0.0, atol=near)
            for each in others
            if len(each.times) == len(self.times)
        )
        require(
            same and len({len(each.times) for each in others}) == 1,
            f"the simulations of {self.title} were not saved at the same times",
        )

    @property
    def first(self) -> Simulation:
        """The first policy's run."""
        return next(iter(self.simulations.values()))

    @property
    def grid(self) -> UniformGrid:
        """The cells of the first policy."""
        return self.first.grid

    @property
    def times(self) -> Float[np.ndarray, " saved"]:
        """When states were saved."""
        return self.first.times

    def quantities(self, saved: int = -1) -> dict[str, dict[str, np.ndarray]]:
        """What there is to look at in a saved state, by quantity and policy."""
        found = {name: run.quantities(saved) for name, run in self.simulations.items()}
        return {quantity: {name: found[name][quantity] for name in found} for quantity in next(iter(found.values()))}

    def error(self, policy: str, quantity: str, saved: int = -1) -> Float[np.ndarray, " cells"] | None:
        """The distance of a policy's quantity to the truth, cell by cell in one dimension; None where there is no truth.

        Between the points of a reference on other cells values are interpolated.
        """
        run = lookup("policy", policy, self.simulations)
        own = run.quantities(saved)[quantity]
        if run.exact is not None:
            return np.abs(own - quantities(run.law, run.exact[saved])[quantity])
        _, x, truth = self.truth(saved)
        return None if truth is None else np.abs(own - np.interp(run.x, x, truth[quantity]))

    def describe(self, saved: int = -1) -> str:
        """One line: problem, time, cells."""
        cells = " x ".join(str(count) for count in self.grid.num_cells)
        return f"{self.title}, t = {self.times[saved]:.4g}, {cells} cells"

    def truth(self, saved: int = -1) -> tuple[str, np.ndarray, dict[str, np.ndarray] | None]:
        """The truth in one dimension as lines: what to call it, points, and values by quantity (None if there is none)."""
        line = self.first.truth(saved)
        if line is not None:
            return "exact", line[0], quantities(self.first.law, line[1])
        if self.reference is None:
            return "", self.first.x, None
        cells = "" if self.reference.grid == self.grid else f", {self.reference.grid.num_cells[0]} cells"
        return f"reference{cells}", self.reference.x, self.reference.quantities(saved)


class Units(NamedTuple):
    """What makes a problem stated on (0, 1) until `END_TIME` again what its source says."""

    powers: tuple[int, ...]
    low: float = 0.0
    length: float = 1.0
    time: float = 1.0

    def values(self, u: np.ndarray) -> np.ndarray:
        """Conserved values, `"... chan cells"`, with velocities in units of length over time; `powers`: the law's
        `speed_powers`."""
        speed = self.length / self.time
        return u * np.array([speed**power for power in self.powers])[:, None]


def of_case(evaluation: Evaluation, case: str | int) -> Comparison:
    """The results of an evaluation on one of its cases, at the start and at the end.

    Named problems, which suites state on the interval (0, 1), are given back on their own domains, at their own times.

    **Raises:** `UndertowError` for an unknown case.
    """
    suite = evaluation.suite
    (place,) = suite.find([case])
    problem = take(suite.problems, place)
    scheme = problem.environment.scheme
    initial, units = _own(suite, place)
    grid, law, how = scheme.grid, scheme.law, suite.discretised
    times = np.array([0.0, how.end_time])
    named = units is not None
    if units is not None:
        assert isinstance(initial, AbstractField)
        times, law = times * units.time, initial.law
        grid = UniformGrid(grid.num_cells, initial.lower, initial.upper)
    start = np.asarray(problem.state.u)

    def simulation(end: np.ndarray, seconds: float, exact: bool) -> Simulation:
        values = np.stack([start, end])
        values = values if units is None else units.values(values)
        return Simulation(initial, law, grid, times, values, values if exact else None, how.steps, seconds)

    truth = simulation(suite.truth[place], 0.0, _has_exact(suite, initial, law))
    results = {
        name: dataclasses.replace(
            simulation(scores.values[place], scores.seconds / len(suite), False), exact=truth.exact
        )
        for name, scores in evaluation.scores.items()
    }
    title = suite.cases[place] if named else f"{suite.cases[place]} of {suite.name}"
    return Comparison(title, results, truth)


def in_own_units(profile: Profile, suite: Suite, case: str | int) -> Profile:
    """A profile of a named problem on its own domain and at its own times; any other as it is."""
    units = units_of(suite, case)
    if units is None:
        return profile
    return dataclasses.replace(
        profile,
        times=profile.times * units.time,
        x=units.low + units.length * profile.x,
        faces=units.low + units.length * profile.faces,
        states=units.values(profile.states),
    )


def units_of(suite: Suite, case: str | int) -> Units | None:
    """What makes a case of a suite a named problem as its source states it; None for any other."""
    (place,) = suite.find([case])
    return _own(suite, place)[1]


def _own(suite: Suite, place: int) -> tuple[Initial, Units | None]:
    """The initial condition of a case; of a named problem that is restated on (0, 1) its original, and the units."""
    batch, row = next((batch, places.index(place)) for batch, places in suite.members if place in places)
    initial, name = take(batch, row), suite.cases[place]
    cases = entry_of(initial.law).line.cases if isinstance(initial, PiecewiseStates) else {}
    if isinstance(initial, PiecewiseStates) and name in cases and initial.upper == (1.0,):
        case = cases[name]
        restated = normalised_case(case)
        if jnp.shape(initial.states) == restated.states.shape and np.allclose(
            initial.states, restated.states, atol=0.0
        ):
            own = as_field(case.field())
            length = own.upper[0] - own.lower[0]
            return own, Units(own.law.speed_powers, own.lower[0], length, case.end_time / END_TIME)
    return initial, None


def _has_exact(suite: Suite, initial: Initial, law: AbstractConservationLaw) -> bool:
    return suite.discretised.truth != "fine" and isinstance(initial, AbstractField) and initial.solvable
