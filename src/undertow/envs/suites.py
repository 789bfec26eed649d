r"""What policies are tested on: fixed collections of problems with their truth, none of which is ever trained on."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import lookup, nearest, require, require_positive, whole_number
from undertow._limits import out_of_memory_told
from undertow._tree import concatenate
from undertow.envs.collection import Suite, make_suite
from undertow.envs.families import (
    held_out_conditions,
    random_conditions,
    training_conditions,
    training_numbers,
)
from undertow.envs.field_suites import FIELD_SPECS, FieldSuiteSpec
from undertow.envs.needs import require_suite
from undertow.envs.pools import Discretised, Truth
from undertow.envs.truth import batches, common_form
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.laws.catalogue import entry_of
from undertow.laws.exact import has_exact_solution
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.integrator import INTEGRATORS, AbstractIntegrator
from undertow.schemes.splitting import AbstractSpeed

__all__ = [
    "SUITES",
    "Suite",
    "SuiteSpec",
    "held_out_conditions",
    "make_suite",
    "random_conditions",
    "suite",
    "training_conditions",
    "training_numbers",
]

# --- the suites by name -----------------------------------------------------------------------------------------------

_STEPS_PER_CELL_AND_TIME = 6.25  # 40 steps over 64 cells to t = 0.1: Courant numbers of up to one half


@dataclass(frozen=True)
class SuiteSpec:
    r"""How to make a suite: call it. What a call does not give is taken from here.

    **Arguments:**

    - `name`, `summary`: for people.
    - `kind`: `random` (held-out conditions of the random family), `named` (every named Burgers condition with its own
        boundary), or `families` (the three random families that the published error comparison draws from).
    - `cells`, `end_time`; `steps`: default 6.25 per cell and unit of time, rounded up.
    - `integrator`: a name out of `INTEGRATORS`, or an integrator.
    - `n`: conditions of a random family.
    """

    name: str
    summary: str
    kind: Literal["random", "named", "families"] = "random"
    cells: int = 64
    end_time: float = 0.1
    steps: int | None = None
    integrator: str | AbstractIntegrator = "ssp_rk3"
    n: int = 256

    def check_law(self, law: AbstractConservationLaw) -> None:
        """Raise `UndertowError` for a law whose problems are no scalar conditions."""
        fits = law.num_components == 1 and not entry_of(law).line.brings_law
        require(fits, f"suite {self.name} is of scalar conditions, got the law {type(law).__name__}")

    def __call__(
        self,
        *,
        cells: int | None = None,
        steps: int | None = None,
        end_time: float | None = None,
        order: int = 5,
        integrator: str | AbstractIntegrator | None = None,
        n: int | None = None,
        law: AbstractConservationLaw | None = None,
        speed: AbstractSpeed | None = None,
        truth: Truth | None = None,
        refinement: int = 9,
        long: bool = False,
    ) -> Suite:
        """The suite, see [`suite`][undertow.envs.suites.suite]."""
        law = Burgers() if law is None else law
        self.check_law(law)
        end_time = self.end_time if end_time is None else end_time
        end_time = require_positive("end_time", end_time)
        if steps is None and cells is None and end_time == self.end_time:
            steps = self.steps
        cells = self.cells if cells is None else cells
        cells = whole_number("cells", cells)
        steps = None if steps is None else whole_number("steps", steps)
        n = whole_number("n", self.n if n is None else n)
        if steps is None:
            finer = 1.0 if self.steps is None else self.steps / _usual_steps(self.cells, self.end_time)
            steps = math.ceil(finer * _usual_steps(cells, end_time) * (1 - 1e-12))
            steps = whole_number("the number of steps", steps)
        integrator = self.integrator if integrator is None else integrator
        if isinstance(integrator, str):
            integrator = lookup("integrator", integrator, INTEGRATORS)
        if truth is None:
            truth = "exact" if has_exact_solution(law) else "fine"
        how = Discretised(
            law,
            cells,
            steps,
            float(end_time),
            order=order,
            integrator=integrator,
            speed=speed,
            truth=truth,
            refinement=refinement,
        )
        require_suite(how, {"random": n, "families": len(_FAMILIES) * n}.get(self.kind, 1), 1, long=long)
        return _KINDS[self.kind](self, how, n)


def _usual_steps(cells: int, end_time: float) -> int:
    return math.ceil(_STEPS_PER_CELL_AND_TIME * cells * end_time * (1 - 1e-12))


def _random(spec: SuiteSpec, how: Discretised, n: int) -> Suite:
    conditions = held_out_conditions(n, family=entry_of(how.law).line.family)
    parts = (conditions.amplitudes, conditions.coefficients)
    waves, pieces = (np.abs(np.asarray(part)).reshape(n, -1).max(axis=1) > 0 for part in parts)
    kinds = np.where(waves & pieces, "waves and pieces", np.where(waves, "waves", "pieces"))
    cases = [f"random {number}" for number in range(n)]
    return make_suite(spec.name, spec.summary, how, [(conditions, range(n))], cases, [str(kind) for kind in kinds])


def _named(spec: SuiteSpec, how: Discretised, n: int) -> Suite:
    allowed = how.law.exact_boundaries or Burgers.exact_boundaries
    names = [name for name, family in BURGERS_CONDITIONS.items() if family.boundary in allowed]
    conditions = batches([common_form(burgers_condition(name)) for name in names])
    return make_suite(spec.name, spec.summary, how, conditions, names)


_FAMILIES = {"random": "sine waves", "accelshock_random": "shocks", "smooth_rare_random": "rarefactions"}


def _families(spec: SuiteSpec, how: Discretised, n: int) -> Suite:
    require(n >= 1, f"n must be at least 1, got {n}")
    drawn, cases, groups = [], [], []
    root = jax.random.key(0, impl="threefry2x32")
    for index, (name, group) in enumerate(_FAMILIES.items()):
        stream = jax.random.fold_in(root, 2**32 - 1 - index)  # beyond the numbers of any training
        keys = jax.vmap(lambda i, stream=stream: jax.random.fold_in(stream, i))(jnp.arange(n))
        drawn.append(jax.jit(jax.vmap(lambda key, name=name: common_form(burgers_condition(name, key=key))))(keys))
        cases += [f"{name} {i}" for i in range(n)]
        groups += [group] * n
    conditions = concatenate(drawn)
    return make_suite(spec.name, spec.summary, how, [(conditions, range(len(cases)))], cases, groups)


_KINDS: dict[str, Callable[[SuiteSpec, Discretised, int], Suite]] = {
    "random": _random,
    "named": _named,
    "families": _families,
}

_SPECS = (
    SuiteSpec("held-out", "random conditions that no training sees, at the flagship's resolution"),
    SuiteSpec("held-out-2x-cells", "the same on twice the cells", cells=128),
    SuiteSpec("held-out-4x-cells", "the same on four times the cells", cells=256),
    SuiteSpec("held-out-2x-time", "the same to twice the time", end_time=0.2),
    SuiteSpec("held-out-half-steps", "the same with time steps half as long", steps=80),
    SuiteSpec("held-out-rk4", "the same with the classical Runge-Kutta method", integrator="rk4"),
    SuiteSpec(
        "held-out-euler", "the same with forward Euler and a quarter of the time step", steps=160, integrator="euler"
    ),
    SuiteSpec("named", "every named condition, with its own boundary", "named"),
    SuiteSpec("named-2x-time", "the same to twice the time", "named", end_time=0.2),
    SuiteSpec(
        "families",
        "sine waves, accelerating shocks and smooth rarefactions with random parameters, as published",
        "families",
        end_time=0.2,
        integrator="rk4",
        n=128,
    ),
)

_ALL: tuple[SuiteSpec | FieldSuiteSpec, ...] = (*_SPECS, *FIELD_SPECS)

SUITES: dict[str, SuiteSpec | FieldSuiteSpec] = {spec.name: spec for spec in _ALL}
"""Suites by name; each entry is called with the overrides of `suite` and makes one."""


@out_of_memory_told("fewer cases or cells")
def suite(name: str, **overrides) -> Suite:
    r"""The suite called `name`, one of `SUITES`.

    **Arguments:** `name`; and what shall differ from its spec, all optional:

    - `cells`, `end_time`, `steps`: `steps` not given follows from the others at the spec's Courant number.
    - `order`: formal order of the scheme, default 5; `integrator`: its name or itself; `speed`: of the flux splitting.
    - `n`: conditions of a random family (default 256; 128 of each for `families`).
    - `law`: default `Burgers()`; with `LinearAdvection` the random conditions become periodic.
    - `truth`: `exact`, the default where the law has an exact solution, or `fine`, or `best`, which is `exact` case by
        case where it is known; `refinement` of the finer grid.
    - `reconstruction`: of a gas, `characteristic` (default) or `component`.
    - `long`: make it even if that and marching through it certainly take hours; default False.

    **Returns:** [`Suite`][undertow.envs.collection.Suite]. **Raises:** `UndertowError` for an unknown name, numbers
    that cannot work, or what does not fit into memory.
    """
    spec = lookup("suite", name, SUITES)
    known = set(inspect.signature(spec).parameters)
    for given in overrides:
        require(given in known, f"a suite has no option {given!r}{nearest(given, known)}")
    return spec(**overrides)
