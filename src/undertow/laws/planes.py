r"""Named problems in two dimensions. Every case is one line of `PLANE_CASES`: field, end time, usual cells, reference, source."""

from __future__ import annotations

import functools

import jax.numpy as jnp

from undertow._checks import lookup
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition
from undertow.laws.cases import PlaneCase
from undertow.laws.fields import AbstractField
from undertow.laws.gas_cases import GAS_CASES
from undertow.laws.plane_burgers import CombinedBurgers, DiagonalSine, GaussianHill, VelocityWaves
from undertow.laws.plane_gases import (
    DensityWave,
    ExtrudedGas,
    IsentropicVortex,
    KelvinHelmholtz,
    QuadrantGas,
    SedovBlast,
)
from undertow.laws.plane_inflows import DoubleMach, Jet

# Density, two velocities and pressure of the quadrants, counter-clockwise from the upper right one, and the end time.
_FOUR_QUADRANTS: dict[int, tuple[tuple[tuple[float, float, float, float], ...], float]] = {
    1: (
        ((1, 0, 0, 1), (0.5197, -0.7259, 0, 0.4), (0.1072, -0.7259, -1.4045, 0.0439), (0.2579, 0, -1.4045, 0.15)),
        0.2,
    ),
    2: (((1, 0, 0, 1), (0.5197, -0.7259, 0, 0.4), (1, -0.7259, -0.7259, 1), (0.5197, 0, -0.7259, 0.4)), 0.2),
    3: (((1.5, 0, 0, 1.5), (0.5323, 1.206, 0, 0.3), (0.138, 1.206, 1.206, 0.029), (0.5323, 0, 1.206, 0.3)), 0.3),
    4: (((1.1, 0, 0, 1.1), (0.5065, 0.8939, 0, 0.35), (1.1, 0.8939, 0.8939, 1.1), (0.5065, 0, 0.8939, 0.35)), 0.25),
    5: (((1, -0.75, -0.5, 1), (2, -0.75, 0.5, 1), (1, 0.75, 0.5, 1), (3, 0.75, -0.5, 1)), 0.23),
    6: (((1, 0.75, -0.5, 1), (2, 0.75, 0.5, 1), (1, -0.75, 0.5, 1), (3, -0.75, -0.5, 1)), 0.3),
    7: (((1, 0.1, 0.1, 1), (0.5197, -0.6259, 0.1, 0.4), (0.8, 0.1, 0.1, 0.4), (0.5197, 0.1, -0.6259, 0.4)), 0.25),
    8: (((0.5197, 0.1, 0.1, 0.4), (1, -0.6259, 0.1, 1), (0.8, 0.1, 0.1, 1), (1, 0.1, -0.6259, 1)), 0.25),
    9: (((1, 0, 0.3, 1), (2, 0, -0.3, 1), (1.039, 0, -0.8133, 0.4), (0.5197, 0, -0.4259, 0.4)), 0.3),
    10: (
        ((1, 0, 0.4297, 1), (0.5, 0, 0.6076, 1), (0.2281, 0, -0.6076, 0.3333), (0.4562, 0, -0.4297, 0.3333)),
        0.15,
    ),
    11: (((1, 0.1, 0, 1), (0.5313, 0.8276, 0, 0.4), (0.8, 0.1, 0, 0.4), (0.5313, 0.1, 0.7276, 0.4)), 0.3),
    12: (((0.5313, 0, 0, 0.4), (1, 0.7276, 0, 1), (0.8, 0, 0, 1), (1, 0, 0.7276, 1)), 0.25),
    13: (((1, 0, -0.3, 1), (2, 0, 0.3, 1), (1.0625, 0, 0.8145, 0.4), (0.5313, 0, 0.4276, 0.4)), 0.3),
    14: (
        ((2, 0, -0.5606, 8), (1, 0, -1.2172, 8), (0.4736, 0, 1.2172, 2.6667), (0.9474, 0, 1.1606, 2.6667)),
        0.1,
    ),
    15: (((1, 0.1, -0.3, 1), (0.5197, -0.6259, -0.3, 0.4), (0.8, 0.1, -0.3, 0.4), (0.5313, 0.1, 0.4276, 0.4)), 0.2),
    16: (((0.5313, 0.1, 0.1, 0.4), (1.0222, -0.6179, 0.1, 1), (0.8, 0.1, 0.1, 1), (1, 0.1, 0.8276, 1)), 0.2),
    17: (((1, 0, -0.4, 1), (2, 0, -0.3, 1), (1.0625, 0, 0.2145, 0.4), (0.5197, 0, -1.1259, 0.4)), 0.3),
    18: (((1, 0, 1, 1), (2, 0, -0.3, 1), (1.0625, 0, 0.2145, 0.4), (0.5197, 0, 0.2741, 0.4)), 0.2),
    19: (((1, 0, 0.3, 1), (2, 0, -0.3, 1), (1.0625, 0, 0.2145, 0.4), (0.5197, 0, -0.4259, 0.4)), 0.3),
}
_LAX_LIU = "Lax and Liu (1998), configuration {}; Kurganov and Tadmor (2002)"
_WAY = "arXiv 2203.08937, code"


def _quadrants(number: int) -> PlaneCase:
    states, end_time = _FOUR_QUADRANTS[number]
    return PlaneCase(lambda: QuadrantGas(jnp.asarray(states, float)), end_time, 400, _LAX_LIU.format(number))


def _extruded(name: str, axis: int) -> PlaneCase:
    case = GAS_CASES[name]
    return PlaneCase(lambda: ExtrudedGas(case.field(), axis), case.end_time, case.cells, case.source)


def _combined(x: str, y: str | None = None, axis: int = 0) -> PlaneCase:
    def field() -> AbstractField:
        return CombinedBurgers(burgers_condition(x), None if y is None else burgers_condition(y), axis)

    return PlaneCase(field, 0.2, 128, _WAY)


_WAVES = tuple(name for name, family in BURGERS_CONDITIONS.items() if family.boundary in ("periodic", "outflow"))

PLANE_CASES: dict[str, PlaneCase] = {
    **{f"quadrants-{number}": _quadrants(number) for number in _FOUR_QUADRANTS},
    "vortex": PlaneCase(IsentropicVortex, 10.0, 80, "Shu (1998), ICASE report 97-65, section 5"),
    "vortex-wide": PlaneCase(
        lambda: IsentropicVortex(lower=(0.0, 0.0), upper=(20.0, 20.0)), 20.0, 160, "the same, twice as far to the edge"
    ),
    "density-wave": PlaneCase(DensityWave, 2.0, 40, "Qiu and Shu (2002), example 3.3"),
    "kelvin-helmholtz": PlaneCase(KelvinHelmholtz, 1.5, 128, "McNally, Lyra and Passy (2012)"),
    "sedov": PlaneCase(SedovBlast, 1.0, 160, "Sedov (1959); Zhang and Shu (2010)"),
    "double-mach": PlaneCase(DoubleMach, 0.2, 240, "Woodward and Colella (1984)"),
    "jet": PlaneCase(Jet, 0.001, 200, "Ha et al. (2005); Zhang and Shu (2010)"),
    **{f"1d-{name}-{'xy'[axis]}": _extruded(name, axis) for name in GAS_CASES for axis in (0, 1)},
    "gaussian": PlaneCase(GaussianHill, 0.2, 128, _WAY),
    "jsz7": PlaneCase(DiagonalSine, 0.5, 160, "Jiang, Shu and Zhang (2013), example 7"),
    **{f"1d-{name}-{'xy'[axis]}": _combined(name, axis=axis) for name in _WAVES for axis in (0, 1)},
    "combo-smooth_sine-smooth_sine": _combined("smooth_sine", "smooth_sine"),
    "combo-accelshock-rarefaction": _combined("accelshock", "rarefaction"),
    "velocity-waves": PlaneCase(VelocityWaves, 0.3, 128, "this project"),
}
"""Problems in two dimensions, by name; `plane_case` knows every other `combo-<condition>-<condition>`, too."""


def plane_case(name: str) -> PlaneCase:
    """The problem called `name`: one of `PLANE_CASES`, or `combo-<x>-<y>` of two of Burgers' conditions.

    Raises `UndertowError` for an unknown name, with the nearest match."""
    return lookup("case", name, PLANE_CASES if name in PLANE_CASES else {**PLANE_CASES, **_combinations()})


@functools.cache
def _combinations() -> dict[str, PlaneCase]:
    return {f"combo-{x}-{y}": _combined(x, y) for x in _WAVES for y in _WAVES}
