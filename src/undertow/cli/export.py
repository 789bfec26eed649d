"""The command `export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from undertow._fields import Count
from undertow.cli.parse import parse, require_new, show, show_json
from undertow.export import export


@dataclass(frozen=True)
class ExportArguments:
    """Options of `export`."""

    run: tyro.conf.Positional[Path]
    """a run directory, or one of its checkpoints"""
    out: Path | None = None
    """a new directory for the artefact; None: export in the run directory"""
    checkpoint: str = "best"
    """best, last, or a file in checkpoints/"""
    cells: Count | None = None
    """of a learned scheme, for step.stablehlo: number of cells; None: as trained"""
    boundary: str | None = None
    """of a learned scheme, for step.stablehlo: what is beyond both ends (`undertow list boundaries`); None: that of the first
    named condition, else periodic, for a gas outflow"""
    programs: bool = True
    """write the policy and one whole step with it as StableHLO, which takes the extra `export`"""
    json: bool = False
    """print JSON"""


def run(arguments: list[str]) -> int:
    """Write a run's policy as a portable artefact; print what is in it."""
    given = parse(
        ExportArguments,
        arguments,
        "export",
        "Write a run's policy and its scheme as a folder that needs numpy alone, or JAX alone, to be evaluated.",
    )
    require_new(given.out)
    exported = export(
        given.run,
        out=given.out,
        which=given.checkpoint,
        cells=given.cells,
        boundary=given.boundary,
        programs=given.programs,
    )
    values = exported.to_dict()
    if given.json:
        show_json(values)
        return 0
    show(f"{values['kind']}, {values['parameters']} parameters, {values['precision']}, of {values['checkpoint']}")
    for name, size in values["files"].items():
        show(f"  {name:20}{size:>10,} bytes")
    agreed = ", ".join(f"{way} {difference:.1e}" for way, difference in values["agreement"].items())
    show(f"largest difference from the policy on samples: {agreed}")
    show(f"artefact: {values['path']}")
    return 0
