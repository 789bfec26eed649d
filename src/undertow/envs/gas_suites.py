r"""Gas dynamics to test policies on: random Riemann problems, and the problems that everyone knows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from undertow._checks import lookup, require, require_positive
from undertow.envs.collection import Suite, make_suite
from undertow.envs.families import draw
from undertow.envs.pools import Discretised, Truth
from undertow.envs.truth import batches
from undertow.laws.euler import Euler
from undertow.laws.fields import PiecewiseGas
from undertow.laws.gas_cases import GAS_CASES, gas_case
from undertow.numerics.integrator import INTEGRATORS, AbstractIntegrator
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.semidiscrete import Reconstruction
from undertow.schemes.splitting import AbstractSpeed

END_TIME = 0.2
"""The time unit of gas suites: every case is stated on the interval (0, 1) and until this time."""
_STEPS_PER_CELL = 50 / 64  # Courant numbers of about one half in the random family
PIECES = 3
"""Pieces of every named problem, so that they share one structure."""


def normalised_case(name: str, end_time: float = END_TIME) -> PiecewiseGas:
    """A named gas problem on (0, 1) until `end_time`, in one structure for all. Raises `UndertowError` for an unknown name."""
    case = gas_case(name)
    return case.field().padded(PIECES).normalised(end_time, case.end_time)


def with_gamma(gases: PiecewiseGas, gamma: float) -> PiecewiseGas:
    """The same initial states of density, velocity and pressure in gases with another ratio of specific heats."""
    return eqx.tree_at(lambda g: g.law.gamma, gases, jnp.full_like(gases.law.gamma, gamma))


@dataclass(frozen=True)
class GasRecipe:
    """How to make a suite of gas problems: call it. What a call does not give is taken from here.

    **Arguments:** `name`, `summary`: for people; `kind`: `random` (Riemann problems with waves in the density that no training
    sees) or `named` (every case of `GAS_CASES`); `cells`; `horizon`: end time in units of the usual one; `steps_per_cell`: time
    steps per cell and usual end time; `n`: random problems; `refinement`: cells per cell of the finer grid.
    """

    name: str
    summary: str
    kind: Literal["random", "named"] = "random"
    cells: int = 64
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
        law: Euler | None = None,
        speed: AbstractSpeed | None = None,
        truth: Truth | None = None,
        refinement: int | None = None,
        reconstruction: Reconstruction = "characteristic",
        positivity: bool = False,
    ) -> Suite:
        """The suite, see [`suite`][undertow.envs.suites.suite]. A `law` only says that it is a gas: cases bring their own."""
        law = Euler() if law is None else law
        require(isinstance(law, Euler), f"suite {self.name} is of gas dynamics, got the law {type(law).__name__}")
        cells = self.cells if cells is None else cells
        end_time = self.horizon * END_TIME if end_time is None else end_time
        require_positive("cells", cells)
        require_positive("end_time", end_time)
        if steps is None:
            steps = math.ceil(self.steps_per_cell * cells * (end_time / END_TIME) * (1 - 1e-12))
        require_positive("steps", steps)
        if isinstance(integrator, str):
            integrator = lookup("integrator", integrator, INTEGRATORS)

        def how(kind: Truth) -> Discretised:
            return Discretised(
                law,
                cells,
                steps,
                float(end_time),
                order=order,
                integrator=integrator,
                speed=speed,
                truth=kind,
                refinement=self.refinement if refinement is None else refinement,
                reconstruction=reconstruction,
                limiter=PositivityLimiter() if positivity else None,
            )

        if self.kind == "random":
            count = self.n if n is None else n
            members = [(draw("gas", np.arange(count)), range(count))]
            cases = [f"random {number}" for number in range(count)]
            return make_suite(
                self.name, self.summary, how(truth or "fine"), members, cases, ["riemann problem"] * count
            )
        names = list(GAS_CASES)
        return make_suite(
            self.name, self.summary, how(truth or "exact"), batches([normalised_case(each) for each in names]), names
        )


GAS_RECIPES = (
    GasRecipe("gas-held-out", "random Riemann problems with density waves that no training sees"),
    GasRecipe("gas-held-out-2x-cells", "the same on twice the cells", cells=128, refinement=5),
    GasRecipe("gas-held-out-2x-time", "the same to twice the time", horizon=2.0),
    GasRecipe(
        "gas-named", "the shock tubes everyone knows, each to its own end time", "named", 200, steps_per_cell=4.0
    ),
)
