"""The laws by name, and every problem that has one. A new law is a module and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from undertow._checks import UndertowError, calling, closest, lookup, shown
from undertow._own import is_own, target_of
from undertow.laws import mhd, water_cases
from undertow.laws.advection import LinearAdvection, random_profile
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, random_condition
from undertow.laws.cases import Case, ConditionCase, HeldOut, LawEntry, Play, Problems
from undertow.laws.euler import Euler
from undertow.laws.gas_cases import GAS_CASES, random_gas
from undertow.laws.law import AbstractConservationLaw
from undertow.laws.plane_burgers import random_plane
from undertow.laws.planes import PLANE_CASES, plane_case

_CONDITIONS = {name: ConditionCase(name) for name in BURGERS_CONDITIONS}

LAWS: dict[str, LawEntry] = {
    "burgers": LawEntry(
        Burgers,
        "f = u^2 / 2",
        Problems(
            "conditions",
            _CONDITIONS,
            family="scalar",
            random=random_condition,
            brings_law=False,
            boundary="periodic",
            play=Play(
                "Burgers",
                "Burgers' equation in one dimension, as published: 128 cells, 250 steps of forward Euler",
                ("smooth_sine", "rarefaction", "accelshock"),
                128,
                4e-4,
                250,
            ),
        ),
        Problems(
            "plane cases",
            PLANE_CASES,
            plane_case,
            "plane",
            random_plane,
            boundary="periodic",
            held_out=HeldOut(
                "random data for Burgers' equation in two dimensions that no training sees", 32, 0.1, 1.0, 64, 5
            ),
            play=Play(
                "Burgers2D",
                "Burgers' equation in the plane, an agent at every face of both directions",
                "gaussian",
                32,
                1.6e-3,
                63,
            ),
        ),
    ),
    "advection": LawEntry(
        LinearAdvection,
        "f = velocity u",
        Problems(
            "conditions",
            _CONDITIONS,
            family="circle",
            random=random_profile,
            brings_law=False,
            boundary="periodic",
            play=Play(
                "Advection",
                "linear advection of smooth and broken profiles",
                "smooth_sine",
                64,
                0.5 / 80,
                80,
                "ssp_rk3",
            ),
        ),
    ),
    "euler": LawEntry(
        Euler,
        "density, momentum and energy of an ideal gas",
        Problems(
            "gas cases",
            GAS_CASES,
            family="gas",
            random=random_gas,
            held_out=HeldOut("random Riemann problems with density waves that no training sees"),
            named="the shock tubes everyone knows, to their own end times",
            play=Play(
                "Euler",
                "gas dynamics in one dimension, Sod's tube as published: 128 cells, 1000 steps of forward Euler",
                "sod",
                128,
                1e-4,
                1000,
            ),
        ),
        Problems(
            "plane cases",
            PLANE_CASES,
            plane_case,
            play=Play(
                "Euler2D",
                "gas dynamics in the plane: four-quadrant Riemann problems and more",
                "quadrants-3",
                32,
                2e-3,
                150,
                "ssp_rk3",
            ),
        ),
    ),
    "shallow_water": water_cases.ENTRY,
    "mhd": mhd.ENTRY,
}
"""Every law that has a name, with its problems. Names of cases in one dimension are those of one law, but for conditions."""


def law_entry(name: str) -> LawEntry:
    """The law called `name` and what it brings along: one of `LAWS`, or one's own by an opened name, a class of a law or a
    `LawEntry`. Problems of a class of one component are those of Burgers' equation; others have none but those that are named.

    **Raises:** `UndertowError` for an unknown name, with the nearest match, or one that is neither.
    """
    if not is_own(name):
        return lookup("law", name, LAWS)
    target = target_of(name, "law.name")
    if isinstance(target, LawEntry):
        return target
    if not (isinstance(target, type) and issubclass(target, AbstractConservationLaw)):
        raise UndertowError(f"{name} has to be a class of conservation laws, or a LawEntry, got {shown(target)}")
    with calling(f"{name} has to be made without arguments, and {target.__name__}() fails"):
        make: Callable[[], AbstractConservationLaw] = target
        components = make().num_components
    about = (target.__doc__ or "").partition("\n")[0]
    return LawEntry(target, about, LAWS["burgers"].line if components == 1 else Problems("", {}))


def entry_of(law: AbstractConservationLaw) -> LawEntry:
    """The entry of a law; of one that has none the scalar conditions."""
    known = (entry for entry in LAWS.values() if entry.law is type(law))
    return next(known, LawEntry(type(law), "", LAWS["burgers"].line))


def all_problems() -> Iterator[tuple[LawEntry, Problems]]:
    """The problems of all laws in one dimension, then those in the plane."""
    yield from ((entry, entry.line) for entry in LAWS.values())
    yield from ((entry, entry.plane) for entry in LAWS.values() if entry.plane is not None)


def case(name: str) -> Case:
    """The problem called `name`, of whichever law, in one dimension or in the plane.

    A plane case that shares its name with one in one dimension is called `2d-<name>`.

    **Raises:** `UndertowError` for an unknown name, with the nearest match.
    """
    for entry in LAWS.values():
        if name in entry.line.cases:
            return entry.line.cases[name]
    try:
        return plane_case(name.removeprefix("2d-"))
    except UndertowError:
        combined = [f"combo-{x}-{y}" for x in BURGERS_CONDITIONS for y in BURGERS_CONDITIONS]
        # Hundreds of names: too many to repeat here.
        meant = closest(name, [*case_names(), *combined])
        raise UndertowError(f"unknown case {name!r}{meant} (undertow list shows all)") from None


def case_names() -> list[str]:
    """The names of all cases: those in one dimension, law by law, then those in the plane."""
    single = list(dict.fromkeys(name for entry in LAWS.values() for name in entry.line.cases))
    return [*single, *map(plane_name, PLANE_CASES)]


def plane_name(name: str) -> str:
    """What a plane case is called among all cases."""
    return f"2d-{name}" if any(name in entry.line.cases for entry in LAWS.values()) else name
