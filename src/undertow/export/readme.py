"""The README of an artefact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undertow.export.portable import OLDEST_JAX

_SCHEME = """The policy of a learned numerical scheme: at every cell face it maps two stencils of split fluxes to the weights of
the substencils. `policy.json` says all there is to know of it, and of the scheme around it under `scheme`.

    import portable

    policy = portable.load(".")
    weights = policy(stencils)      # (2, ..., {order}) to (2, ..., {r})
    flux = policy.fluxes(stencils)  # the numerical flux at every face, (...)

`stencils[0]` are those of the right-going split flux (f + alpha u) / 2, `stencils[1]` those of the left-going one, mirrored: both
are read from upwind to downwind. `policy.stencils(rightward, leftward)` makes them from rows of cells.
"""

_SYSTEM = """A controller: it maps what is observed of a system to the action on it. `policy.json` says all there is to know
of it, and of the system under `system`.

    import portable

    policy = portable.load(".")
    action = policy(observation)  # (..., {observation}) to (..., {action})
"""

_PROGRAMS = """
## With JAX

    import jax, portable
{x64}
    program = jax.export.deserialize(bytearray(portable.read(".", "{name}")))
    {result} = program.call({arguments})

{listed}

`n` is any number. The programs run on {platforms}. They were written by JAX {written} and are read by JAX {oldest} or newer; JAX
promises that for half a year. `portable.read` checks the file and the version first, which `jax.export` does not.
"""


def readme(document: Mapping[str, Any]) -> str:
    """The text, of a description without checksums."""
    about, origin = document["policy"], document["provenance"]
    lines = [f"# {origin['preset']}: {about['kind']}\n"]
    if "scheme" in document:
        lines.append(_SCHEME.format(order=about["order"], r=about["substencils"]))
    else:
        shapes = {kind: ", ".join(map(str, about[kind]["shape"])) for kind in ("observation", "action")}
        lines.append(_SYSTEM.format(**shapes))
    lines.append(
        "This needs numpy (1.17 or newer, with Python 3.8 or newer) and nothing else. It computes in float64, or in float32 what "
        f'it is given in float32; the policy was trained in {about["precision"]}. `portable.verify(".")` checks every file.'
    )
    if document["programs"]:
        lines.append(_programs(document["programs"]))
    update = "" if origin["update"] is None else f" after {origin['update']} updates"
    lines.append(
        f"\nWritten by undertow {origin['written_by']['undertow']} from the run {origin['run']}, checkpoint "
        f"{origin['checkpoint']}{update}."
    )
    return "\n".join(lines) + "\n"


def _programs(programs: Mapping[str, Any]) -> str:
    listed = []
    for name, about in programs.items():
        sides = [
            ", ".join(f"{each['name']}: {each['dtype']}[{', '.join(map(str, each['shape']))}]" for each in about[side])
            for side in ("inputs", "outputs")
        ]
        listed.append(f"- `{name}`: {sides[0]} -> {sides[1]}")
    name, about = next(iter(programs.items()))
    double = any(each["dtype"] == "float64" for each in about["inputs"])
    return _PROGRAMS.format(
        name=name,
        x64='\n    jax.config.update("jax_enable_x64", True)' if double else "",
        result=about["outputs"][0]["name"],
        arguments=", ".join(each["name"] for each in about["inputs"]),
        listed="\n".join(listed),
        written=about["written_by"]["jax"],
        oldest=OLDEST_JAX,
        platforms=", ".join(sorted({platform for each in programs.values() for platform in each["platforms"]})),
    )
