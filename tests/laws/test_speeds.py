"""`max_speed` against the eigenvalues of the flux, for the package's laws and for one of somebody's own."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.law import AbstractConservationLaw, check_law
from undertow.laws.shallow_water import ShallowWater
from undertow.laws.speeds import check_speeds
from undertow.simulate import simulate


class Traffic(AbstractConservationLaw):
    viscosity: float = 0.0
    num_components = 1

    def flux(self, u, axis):
        return u * (1 - u)

    def max_speed(self, u, axis):
        return jnp.abs(1 - 2 * u[0])

    def parity(self, axis):
        return (1.0,)


class Slow(Traffic):
    def max_speed(self, u, axis):
        return jnp.abs(1 - u[0])


class Elliptic(Traffic):
    num_components = 2

    def flux(self, u, axis):
        return jnp.stack([u[1], -u[0]])

    def max_speed(self, u, axis):
        return 1 + 0 * u[0]

    def parity(self, axis):
        return (1.0, 1.0)


class Rounded(Traffic):
    def flux(self, u, axis):
        return float(u[0, 0]) * u


def state(law: AbstractConservationLaw, axes: int) -> jnp.ndarray:
    random = np.random.default_rng(0)
    cells = (6,) * axes
    density, *rest = [0.5 + random.random(cells), *random.normal(size=(axes, *cells)), 0.1 + random.random(cells)]
    if isinstance(law, Euler):
        return law.conserved(jnp.stack([density, *rest]))
    return jnp.stack([density, *rest][: law.num_components])


@pytest.mark.parametrize(
    ("law", "axes"),
    [
        (Burgers(), 1),
        (Burgers(), 2),
        (LinearAdvection(-2.0), 1),
        (Euler(), 1),
        (Euler(1.4, 2), 2),
        (ShallowWater(9.81), 1),
        (Traffic(), 1),
    ],
)
def test_the_laws_are_as_fast_as_their_fluxes(law, axes):
    check_speeds(law, state(law, axes))


@pytest.mark.parametrize(
    ("law", "said"), [(Slow(), "correct max_speed, or the flux"), (Elliptic(), "complex eigenvalues")]
)
def test_a_wrong_speed_is_told_with_its_state(law, said):
    with pytest.raises(UndertowError, match=said) as told:
        check_speeds(law, state(law, 1))
    assert "\n" not in str(told.value) and "at u = (" in str(told.value)


def test_a_simulation_looks_at_the_speeds_of_a_law_of_ones_own():
    from undertow.laws.field import Field

    with pytest.raises(UndertowError, match=r"Slow.max_speed is .* correct max_speed"):
        simulate(Field(lambda x: x, Slow(), "outflow"), num_cells=16)


def test_what_a_flux_raises_is_told_in_one_line():
    with pytest.raises(UndertowError, match="Rounded.flux has to give one value per component and cell") as told:
        check_law(Rounded(), 1)
    assert "\n" not in str(told.value)
