"""Policies trained in one dimension, in the plane: `python -m benchmarks.planes [name=run directory or policy ...]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jax

from benchmarks.common import write
from benchmarks.plane_references import FILE
from undertow.evaluation.planes import STUDY, load_references, transfer_planes
from undertow.experiment import load_policy
from undertow.report.maps import transfer_maps
from undertow.schemes.positivity import PositivityLimiter

STATES = Path("runs") / "planes_states.npz"  # the final fields, for pictures


def table(
    policies: tuple[str, ...] = (),
    cases: tuple[str, ...] = STUDY,
    cells: tuple[int, ...] = (64,),
    reconstruction: str = "characteristic",
    pictures: Path | None = None,
    doubled: bool = True,
    positivity: bool = False,
    cfl: float = 0.45,
) -> None:
    """Density errors and seconds in the plane: policies beside WENO5 at equal and at doubled cells."""
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    named = [each.rpartition("=") for each in policies]
    loaded = {name or Path(where).name: load_policy(where) for name, _, where in named}
    references, limiter = load_references(FILE), PositivityLimiter() if positivity else None
    study = transfer_planes(
        loaded,
        cases,
        cells,
        references=references,
        reconstruction=reconstruction,
        doubled=doubled,
        limiter=limiter,
        cfl=cfl,
    )
    study.save_states(STATES)
    means = [{"case": "all", **row} for row in study.summary()]
    write("planes", [*study.rows(), *means])
    for case in cases if pictures is not None else ():
        transfer_maps(study, case, pictures / f"{case}.png")


def main(arguments: list[str]) -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "policies", nargs="*", help="run directories or checkpoints, each with `name=` before it or not"
    )
    parser.add_argument("--cases", nargs="+", default=STUDY)
    parser.add_argument("--cells", nargs="+", type=int, default=(64,))
    parser.add_argument("--reconstruction", choices=("characteristic", "component"), default="characteristic")
    parser.add_argument("--pictures", type=Path, help="a folder for maps and schlieren pictures, one file per case")
    parser.add_argument(
        "--no-doubled", action="store_true", help="leave out WENO5 on twice the largest number of cells; 32 64 have it"
    )
    parser.add_argument(
        "--positivity", action="store_true", help="keep density and pressure positive, of all schemes; with --cfl 0.25"
    )
    parser.add_argument("--cfl", type=float, default=0.45, help="Courant number of the time steps")
    given = parser.parse_args(arguments)
    table(
        tuple(given.policies),
        tuple(given.cases),
        tuple(given.cells),
        given.reconstruction,
        given.pictures,
        not given.no_doubled,
        given.positivity,
        given.cfl,
    )
    return 0


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(sys.argv[1:]))
