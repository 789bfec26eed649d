r"""Collections of problems with their truth, to test policies on."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from undertow._checks import UndertowError, nearest, require
from undertow._tree import concatenate, take
from undertow._types import ArrayLike
from undertow.core.objective import Problem
from undertow.envs.conservation import FieldState
from undertow.envs.march import final_values
from undertow.envs.objectives import FieldReference
from undertow.envs.placing import coordinates, grid_of, point_values
from undertow.envs.pools import Discretised
from undertow.envs.truth import count, exact_holds, exact_values
from undertow.laws.cases import Initial
from undertow.policies.classical import classical
from undertow.schemes.solve import check_step

_log = logging.getLogger(__name__)

Members = Sequence[tuple[Initial, Sequence[int]]]
"""Batches of conditions of one structure each, with the places of their members among the cases."""


@dataclass(frozen=True, eq=False)
class Suite:
    r"""Problems to test policies on.

    - `name`, `summary`: for people.
    - `discretised`: cells, steps, end time, order, integrator.
    - `cases`: the name of every problem; `groups`: the kind it belongs to.
    - `problems`: a batch of problems. `reference.values` holds the truth at the end, `"cases 1 chan *cells"`,
        `reference.scale` the mean absolute error of WENO-JS, `"cases"`.
    - `members`: the conditions, as batches of one structure each with the places of their members.
    - `left_out`: cases without a valid exact solution, which are not among the problems.
    """

    name: str
    summary: str
    discretised: Discretised
    cases: tuple[str, ...]
    groups: tuple[str, ...]
    problems: Problem
    members: tuple[tuple[Initial, tuple[int, ...]], ...]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def truth(self) -> Float[np.ndarray, "cases chan *cells"]:
        """The truth at the end."""
        return np.asarray(self.problems.reference.values)[:, -1]

    @property
    def x(self) -> Float[np.ndarray, " cells"]:
        """The cell centres along the first axis."""
        return self.problems.environment.scheme.grid.centers()

    @property
    def judged(self) -> tuple[int, ...]:
        """The components whose errors count."""
        return self.problems.environment.scheme.law.judged

    @property
    def periodic(self) -> Bool[np.ndarray, " cases"]:
        """Which cases have a periodic boundary."""
        return np.asarray(self.problems.environment.scheme.domain.boundary[0].periodic) > 0

    @property
    def rounding_level(self) -> Float[np.ndarray, " cases"]:
        """A mean absolute error, case by case, below which there is nothing to compare.

        1e-11 of the data (1e-5 in single precision): roundings add up to less, and so does what the time steps leave of
        a straight line, on which every scheme is exact in space.
        """
        u = np.asarray(self.problems.state.u)[:, list(self.judged)]
        info = np.finfo(u.dtype)
        return info.eps**0.7 * np.maximum(np.abs(u).reshape(len(u), -1).max(axis=1), info.tiny)

    @property
    def scored(self) -> Bool[np.ndarray, " cases"]:
        """Which cases enter ratios of errors: those where WENO-JS errs by more than rounding."""
        return ~(np.asarray(self.problems.reference.scale) <= self.rounding_level)

    @property
    def describe(self) -> str:
        """One line: cases, cells, steps, end time, integrator."""
        how = self.discretised
        ending = f"; {len(self.left_out)} left out, whose exact solution does not hold so long" if self.left_out else ""
        return (
            f"{self.name}: {len(self)} cases, {how.num_cells} cells, {how.steps} steps of "
            f"{type(how.integrator).__name__} to t = {how.end_time:g}{ending}"
        )

    def find(self, cases: Iterable[str | int]) -> list[int]:
        """The places of cases given by name or place. Raises `UndertowError` for one that is not there."""
        places = []
        for case in cases:
            if isinstance(case, str) and case not in self.cases:
                raise UndertowError(f"suite {self.name} has no case {case!r}{nearest(case, self.cases)}")
            place = self.cases.index(case) if isinstance(case, str) else int(case)
            require(0 <= place < len(self), f"suite {self.name} has cases 0 to {len(self) - 1}, got {place}")
            places.append(place)
        return places

    def subset(self, cases: Iterable[str | int]) -> Suite:
        """The suite of some of the cases, by name or place, in the order given."""
        places = self.find(cases)
        require(len(places) > 0, f"a subset of suite {self.name} needs at least one case")
        members = []
        for batch, own in self.members:
            chosen = [(own.index(place), new) for new, place in enumerate(places) if place in own]
            if chosen:
                rows, new_places = zip(*chosen, strict=True)
                members.append((take(batch, np.asarray(rows)), tuple(new_places)))
        return dataclasses.replace(
            self,
            cases=tuple(self.cases[place] for place in places),
            groups=tuple(self.groups[place] for place in places),
            problems=take(self.problems, np.asarray(places)),
            members=tuple(members),
            left_out=(),
        )

    def exact(self, x: ArrayLike | tuple[ArrayLike, ...], time: float) -> Float[np.ndarray, "cases ..."]:
        """The exact solution of every case at any points (in the plane a tuple of coordinates), with a component axis for a
        system or in the plane.

        Raises `UndertowError` for a law that has none."""
        values = [np.asarray(exact_values(self.discretised.law, batch, x, time)) for batch, _ in self.members]
        return _in_place(values, self.members)

    def truth_every(self, every: int) -> Float[np.ndarray, "cases saved chan *cells"]:
        """The truth after every `every` steps; the initial state is not part of it."""
        return _truth(dataclasses.replace(self.discretised, every=every), self.members)


def _in_place(values: list[np.ndarray], members: Members) -> np.ndarray:
    """Rows of several batches in the order of the cases."""
    order = np.concatenate([np.asarray(places) for _, places in members])
    return np.concatenate(values)[np.argsort(order)]


def _truth(discretised: Discretised, members: Members) -> np.ndarray:
    """The truth at the compared times, `"cases saved chan *cells"`."""
    solve = eqx.filter_jit(
        lambda d, batch: jax.lax.map(lambda c: d.reference(c, d.environment(c)), batch, batch_size=8)
    )
    every = discretised.every or discretised.steps
    times = np.arange(every, discretised.steps + 1, every) * (discretised.end_time / discretised.steps)
    values = []
    for batch, _ in members:
        if not discretised.has_exact(batch):
            values.append(np.asarray(solve(discretised, batch)))
            continue
        grid = grid_of(take(batch, 0), discretised.num_cells)
        # One row for every condition and time.
        pairs = take(batch, np.repeat(np.arange(count(batch)), len(times)))
        rows = np.asarray(exact_values(discretised.law, pairs, coordinates(grid), np.tile(times, count(batch))))
        values.append(rows.reshape(count(batch), len(times), -1, *grid.num_cells))
    return _in_place(values, members)


def make_suite(
    name: str,
    summary: str,
    discretised: Discretised,
    conditions: Members,
    cases: Sequence[str],
    groups: Sequence[str] | None = None,
) -> Suite:
    """A suite of your own.

    **Arguments:** `name`, `summary`; `discretised`; `conditions`: batches of conditions, each with the places of its
    members among `cases`, see [`batches`][undertow.envs.truth.batches]; `cases`: their names; `groups`: their kinds
    (default: their names). With an exact truth, cases for which it does not hold until the end are left out.

    **Raises:** `UndertowError` if a time step is far too long for a case, or for `truth="exact"` where there is no exact
    solution.
    """
    begun = time.perf_counter()
    groups = cases if groups is None else groups
    keep = np.ones(len(cases), bool)
    for batch, places in conditions:
        if discretised.has_exact(batch):
            keep[np.asarray(places)] = exact_holds(discretised.law, batch, discretised.end_time)
    require(
        bool(keep.any()), f"no case of suite {name} has an exact solution that holds until t = {discretised.end_time:g}"
    )
    new_place = np.cumsum(keep) - 1
    members = []
    for batch, places in conditions:
        rows = [row for row, place in enumerate(places) if keep[place]]
        if rows:
            members.append((take(batch, np.asarray(rows)), tuple(int(new_place[places[row]]) for row in rows)))
    made = Suite(
        name=name,
        summary=summary,
        discretised=discretised,
        cases=tuple(case for case, kept in zip(cases, keep, strict=True) if kept),
        groups=tuple(group for group, kept in zip(groups, keep, strict=True) if kept),
        problems=_problems(discretised, members),
        members=tuple(members),
        left_out=tuple(case for case, kept in zip(cases, keep, strict=True) if not kept),
    )
    _log.info("suite %s: %d cases and their truth in %.2f s", name, len(made), time.perf_counter() - begun)
    return made


def _problems(discretised: Discretised, members: Members) -> Problem:
    """The problems of all members in the order of the cases."""
    parts = []
    for batch, _ in members:
        environment = eqx.filter_vmap(discretised.environment)(batch)
        grid = environment.scheme.grid
        u0 = eqx.filter_vmap(lambda condition, grid=grid: point_values(condition, grid))(batch)
        parts.append(Problem(environment, FieldState(u0, jnp.zeros(len(u0), u0.dtype))))
    order = np.argsort(np.concatenate([np.asarray(places) for _, places in members]))
    problems = take(concatenate(parts), order)
    speeds = eqx.filter_jit(
        eqx.filter_vmap(lambda problem: problem.environment.scheme.domain.speed_over_dx(problem.state.u))
    )
    fastest = take(problems, int(np.argmax(np.asarray(speeds(problems)))))
    dt = discretised.end_time / discretised.steps
    check_step(fastest.environment.scheme, fastest.state.u, dt, discretised.integrator, steps=discretised.steps)
    truth = jnp.asarray(_truth(dataclasses.replace(discretised, every=None), members))
    own = final_values(classical("weno-js", discretised.order), problems, discretised.steps)
    judged = list(problems.environment.scheme.law.judged)
    scale = jnp.mean(jnp.abs(own - truth[:, -1])[:, judged], axis=tuple(range(1, own.ndim)))
    return Problem(problems.environment, problems.state, FieldReference(truth, scale))
