"""What marches and problems of conservation laws take at least: memory and time, from sizes alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from undertow._limits import Need, least_seconds, number, real, require_memory, require_time
from undertow.envs.march import CHUNK
from undertow.envs.pools import Discretised
from undertow.numerics.integrator import RK4, SSPRK3, AbstractIntegrator

WORKING = 6
"""Arrays like the state that a march holds at least while it takes a step; measured: 10 to 26, more with more components."""
EXTRA = 200
"""Bytes that a condition has beside its values on the grid: its numbers, its name."""


def stages(integrator: AbstractIntegrator) -> int:
    """How many times a time step asks for weights."""
    return 4 if isinstance(integrator, RK4) else 3 if isinstance(integrator, SSPRK3) else 1


def float_bytes() -> int:
    """Bytes of a number in JAX's default precision."""
    return jnp.result_type(float).itemsize


def march_memory(cells: float, components: int, kept: float, change: str, *, saved: str = "saves") -> list[Need]:
    """Memory of one march on so many cells that keeps so many states, on the device and as one array of numpy's."""
    state = components * real(cells) * float_bytes()
    return [
        Need(f"time steps on {number(cells)} cells", WORKING * state, change),
        Need(f"{number(kept)} states of {number(cells)} cells", 2 * real(kept) * state, f"{saved} or {change}"),
    ]


def march_seconds(steps: float, values: float, integrator: AbstractIntegrator, *, parameters: float = 0) -> list[Need]:
    """Time of one march of a state of so many `values`; `parameters` of the network that chooses the weights."""
    seconds = least_seconds(steps * stages(integrator), values, parameters)
    return [Need(f"{number(steps)} time steps", seconds, "the number of steps, the end time or the number of cells")]


def problem_memory(
    how: Discretised,
    count: float,
    dimensions: int,
    change: str,
    *,
    grid: str = "cells",
    finer: str = "refinement",
    kept: float = 0,
) -> list[Need]:
    """Memory of so many problems with their truth, and of `kept` results on each of them.

    **Arguments:** `how`, `count`, `dimensions` of space; `change`, `grid`, `finer`: the options that say how many, how many
    cells, and how many of a finer grid's.
    """
    state = how.law.num_components * real(how.num_cells) ** dimensions * float_bytes()
    saved = how.steps // (how.every or how.steps)
    cells = number(real(how.num_cells) ** dimensions)
    needs = [
        Need(f"{number(count)} problems of {cells} cells", real(count) * ((2 + saved + kept) * state + EXTRA), change),
        Need(f"time steps on {cells} cells", WORKING * min(count, CHUNK) * state, grid),
    ]
    if how.truth == "fine":
        fine = state * real(how.refinement) ** dimensions
        needs.append(
            Need(
                f"a truth on a grid {how.refinement} times finer",
                WORKING * fine * min(count, 8),
                f"{finer} or {grid}",
            )
        )
    return needs


def problem_seconds(
    how: Discretised, count: float, dimensions: int, change: str, *, finer: str = "refinement", marches: int = 1
) -> list[Need]:
    """Time to make so many problems, and for so many `marches` through each of them."""
    values = how.law.num_components * real(how.num_cells) ** dimensions
    rounds, each = max(1.0, real(count) / CHUNK), min(count, CHUNK) * values
    one = stages(how.integrator) * real(how.steps)
    needs = [
        Need(
            f"{number(how.steps)} time steps of {number(count)} problems",
            rounds * least_seconds(one * marches, each),
            change,
        )
    ]
    if how.truth == "fine":
        factor = real(how.refinement)
        seconds = rounds * least_seconds(one * factor, each * factor**dimensions)
        needs.append(Need(f"the truth of {number(count)} problems on a finer grid", seconds, f"{finer} or {change}"))
    return needs


def require_suite(how: Discretised, count: int, dimensions: int, *, long: bool = False) -> None:
    """Raise `UndertowError` if a suite of so many problems does not fit into memory, or takes hours to make and to march a
    policy through, unless that is meant by `long`."""
    require_memory(problem_memory(how, count, dimensions, "n (cases) or cells", kept=2))
    require_time(problem_seconds(how, count, dimensions, "n (cases), cells or steps", marches=2), long=long)


def parameters_of(policy: object) -> float:
    """How many numbers a policy (or its description) has."""
    return float(sum(leaf.size for leaf in jax.tree.leaves(policy) if hasattr(leaf, "size")))
