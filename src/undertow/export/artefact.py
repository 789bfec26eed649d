"""A run's policy as a folder that needs nothing of this library."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, at_home, shown
from undertow._io import atomic_write_bytes, new_folder, require_free, to_json
from undertow._tree import cast
from undertow.config import config_to_dict, run_config
from undertow.core.policy import AbstractPolicy
from undertow.experiment import load_run
from undertow.export import portable
from undertow.export.describe import describe_policy
from undertow.export.programs import policy_program, require_flatbuffers, step_program
from undertow.export.readme import readme
from undertow.export.surroundings import Surroundings, surroundings
from undertow.store import _safetensors
from undertow.store.checkpoint import read_metadata
from undertow.store.machine import package_version

_TOLERANCE = {"float64": 1e-10, "float32": 1e-3}


@dataclass(frozen=True)
class Exported:
    """An artefact: its folder, what `policy.json` says, and how far the numpy loader and the program were from the policy.

    `agreement`: the largest differences of the actions on the samples that an export is checked on, by way.
    """

    path: Path
    document: dict[str, Any]
    agreement: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for machines."""
        policy = self.document["policy"]
        return {
            "path": str(self.path),
            "kind": policy["kind"],
            "parameters": policy["network"]["parameters"],
            "precision": policy["precision"],
            "checkpoint": self.document["provenance"]["checkpoint"],
            "files": {name: about["bytes"] for name, about in self.document["files"].items()},
            "agreement": self.agreement,
        }


def export(
    run: Path | str,
    *,
    out: Path | str | None = None,
    which: str = "best",
    cells: int | None = None,
    boundary: str | None = None,
    programs: bool = True,
) -> Exported:
    """Write the policy of a run, and what it acts in, as a folder that is evaluated without this library.

    The folder holds `policy.json` (all that is needed to evaluate the policy, the scheme or system around it, where it comes
    from), `policy.safetensors` (the weights), `portable.py` (a loader that needs numpy alone), `policy.stablehlo` and
    `step.stablehlo` (the policy, and one whole step with it, for `jax.export`), and a `README.md`. It appears whole or not at
    all; before it does, numpy's and the program's actions are compared with the policy's.

    **Arguments:**

    - `run`: a run directory, or one of its checkpoints.
    - `out`: the folder, which must not exist yet; None: `export` in the run directory.
    - `which`: `best` (default), `last` or a file in `checkpoints/`.
    - `cells`: of a learned scheme, cells along the first axis in `step.stablehlo` (default: as trained).
    - `boundary`: of a learned scheme, the boundary in `step.stablehlo` (default: that of the first named condition, else
        `periodic`, for a gas `outflow`).
    - `programs`: write the StableHLO programs (default True), which takes the extra `export`.

    **Returns:** `Exported`.

    **Raises:** `UndertowError` for a run that cannot be read, a policy that the numpy loader cannot evaluate, a folder that
    exists, a missing extra, or actions that do not agree; nothing is left then.
    """
    if not isinstance(run, str | Path):
        raise UndertowError(
            f"export takes a run directory or one of its checkpoints, got {shown(run)}; undertow.train makes one"
        )
    if programs:
        require_flatbuffers()
    run = at_home(run)
    directory, experiment, policy = load_run(run, which)
    file = run if run.is_file() else directory.checkpoint(which)
    wanted = require_free(directory.path / "export" if out is None else out)  # before the long work
    config = run_config(directory)
    precision = config.training.precision
    around = surroundings(experiment.config, cells=cells, boundary=boundary)
    about, tensors = describe_policy(policy, precision, around.observation)
    files = {
        portable.WEIGHTS: _safetensors.encode(tensors, {"format": portable.FORMAT}),
        "portable.py": Path(portable.__file__).read_bytes(),
    }
    metadata = read_metadata(file)
    document: dict[str, Any] = {
        "format": portable.FORMAT,
        "version": portable.VERSION,
        "policy": about,
        around.key: around.about,
        "programs": {},
        "provenance": {
            "written_by": {name: package_version(name) for name in ("undertow", "jax", "numpy")},
            "run": directory.path.resolve().name,
            "id": directory.id,
            "preset": directory.preset,
            "checkpoint": file.name,
            "update": metadata.get("update"),
            "metrics": metadata.get("metrics"),
            "config": config_to_dict(config.untrained()),
        },
    }
    compiled = {}
    if programs:
        trained = cast(policy, precision)
        compiled = {
            "policy": policy_program(trained, around, precision),
            "step": step_program(trained, around, precision),
        }
        for name, program in compiled.items():
            files[f"{name}.stablehlo"] = program.data
            document["programs"][f"{name}.stablehlo"] = program.about
    files["README.md"] = readme(document).encode("utf-8")
    document["files"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(files.items())
    }
    document = json.loads(to_json(document))  # the checksum is of what a reader gets
    document["checksum"] = portable.checksum(document)
    with new_folder(wanted) as draft:
        for name, data in files.items():
            atomic_write_bytes(draft / name, data)
        atomic_write_bytes(draft / portable.DESCRIPTION, (to_json(document) + "\n").encode("ascii"))
        portable.verify(draft)
        agreement = _agreement(draft, policy, around, precision, compiled)
    return Exported(wanted, document, agreement)


def _agreement(
    folder: Path, policy: AbstractPolicy, around: Surroundings, precision: str, compiled: dict[str, Any]
) -> dict[str, float]:
    """The largest differences from the policy's own actions, on random observations and on constant ones."""
    scheme = around.key == "scheme"
    random = np.random.default_rng(0).normal(size=((2, 60) if scheme else (60,)) + around.observation)
    flat = np.ones_like(random[..., :4, :]) if scheme else np.ones_like(random[:4])
    seen = np.concatenate([random, flat], axis=1 if scheme else 0)
    act = (lambda x: policy((x,))[0]) if scheme else jax.vmap(lambda x: policy(x))
    default = jnp.result_type(float)
    differences = {
        "numpy": _difference(portable.load(folder)(seen.astype(default)), jax.jit(act)(jnp.asarray(seen, default)))
    }
    bounds = {"numpy": _TOLERANCE[default.name]}
    if compiled:
        given = jnp.asarray(seen, precision)
        own = (lambda x: cast(policy, precision)((x,))[0]) if scheme else jax.vmap(lambda x: cast(policy, precision)(x))
        differences["stablehlo"] = _difference(compiled["policy"].call(given), jax.jit(own)(given))
        bounds["stablehlo"] = _TOLERANCE[precision]
    for way, difference in differences.items():
        if not difference <= bounds[way]:
            raise UndertowError(
                f"the policy as exported for {way} differs from the policy by {difference:.2g}, at most {bounds[way]:g} was "
                "expected; nothing is written"
            )
    return differences


def _difference(one: Any, other: Any) -> float:
    return float(np.max(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64))))
