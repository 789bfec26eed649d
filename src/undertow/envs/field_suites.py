r"""Systems and planes to test policies on: random gases, the shock tubes that everyone knows, Burgers in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from undertow._checks import lookup, require, require_positive, whole_number
from undertow.envs.collection import Suite, make_suite
from undertow.envs.families import draw
from undertow.envs.needs import require_suite
from undertow.envs.pools import Discretised, Truth
from undertow.envs.truth import batches
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.fields import AbstractField, PiecewiseStates
from undertow.laws.gas_cases import GAS_CASES, gas_case
from undertow.laws.law import AbstractConservationLaw, Reconstruction
from undertow.numerics.integrator import INTEGRATORS, AbstractIntegrator
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.splitting import AbstractSpeed

END_TIME = 0.2
"""The time unit of gas suites: every case is stated on the interval (0, 1) and until this time."""
_STEPS_PER_CELL = 50 / 64  # Courant numbers of about one half in the random family


def normalised_case(name: str, end_time: float = END_TIME) -> PiecewiseStates:
    """A named gas problem on (0, 1) until `end_time`, in one structure for all. Raises `UndertowError` for an unknown name."""
    case = gas_case(name)
    return case.field().shared_form().normalised(end_time, case.end_time)


def with_constants(fields: AbstractField, constants: Mapping[str, float]) -> AbstractField:
    """The same initial states, such as density, velocity and pressure, under laws with other constants: of one field or a
    batch."""
    for name, value in constants.items():
        leaf = getattr(fields.law, name)
        fields = eqx.tree_at(lambda f, name=name: getattr(f.law, name), fields, jnp.full_like(leaf, value))
    return fields


@dataclass(frozen=True)
class FieldRecipe:
    """How to make a suite of systems or of two dimensions: call it. What a call does not give is taken from here.

    **Arguments:** `name`, `summary`: for people; `family`: of random data, `gas` (Riemann problems with waves in the density) or
    `plane` (scalar Burgers in two dimensions), or `named-gas` (every case of `GAS_CASES`); `cells`; `unit`: the usual end
    time; `horizon`: end time in units of it; `steps_per_cell`: time steps per cell and unit; `n`: random problems;
    `refinement`: cells per cell of the finer grid that counts as the truth where no exact solution is known.
    """

    name: str
    summary: str
    family: Literal["gas", "plane", "named-gas"] = "gas"
    cells: int = 64
    unit: float = END_TIME
    horizon: float = 1.0
    steps_per_cell: float = _STEPS_PER_CELL
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
        own: AbstractConservationLaw = Burgers() if self.family == "plane" else Euler()
        require(
            law is None or isinstance(law, type(own)),
            f"suite {self.name} is of {type(own).__name__}, got the law {type(law).__name__}",
        )
        usual: Reconstruction = "component" if self.family == "plane" else "characteristic"
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
            own if law is None else law,
            cells,
            steps,
            float(end_time),
            order=order,
            integrator=integrator,
            speed=speed,
            truth=truth or ("best" if self.family == "named-gas" else "fine"),
            refinement=self.refinement if refinement is None else refinement,
            reconstruction=reconstruction or usual,
            limiter=PositivityLimiter() if positivity else None,
        )
        many = 1 if self.family == "named-gas" else count
        require_suite(how, many, 2 if self.family == "plane" else 1, long=long)
        if self.family == "named-gas":
            names = list(GAS_CASES)
            return make_suite(self.name, self.summary, how, batches([normalised_case(each) for each in names]), names)
        members = [(draw(self.family, np.arange(count)), range(count))]
        cases = [f"random {number}" for number in range(count)]
        return make_suite(self.name, self.summary, how, members, cases, [self.family] * count)


FIELD_RECIPES = (
    FieldRecipe("gas-held-out", "random Riemann problems with density waves that no training sees"),
    FieldRecipe("gas-held-out-2x-cells", "the same on twice the cells", cells=128, refinement=5),
    FieldRecipe("gas-held-out-2x-time", "the same to twice the time", horizon=2.0),
    FieldRecipe(
        "gas-named", "the shock tubes everyone knows, to their own end times", "named-gas", 200, steps_per_cell=4.0
    ),
    FieldRecipe(
        "plane-held-out",
        "random data for Burgers' equation in two dimensions that no training sees",
        "plane",
        32,
        0.1,
        steps_per_cell=1.0,
        n=64,
        refinement=5,
    ),
)
