"""Make the references of `benchmarks planes`: `python -m benchmarks.plane_references [--cells 64] [--factor 5] [case ...]`.

WENO5-JS, characteristic-wise, SSP-RK3, Courant number 0.8, on a grid `factor` times finer, sampled at the coarse cell centres
and kept in single precision: the density alone, at the case's end time. The file keeps what it had of other cases and cells.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np

from undertow.evaluation.planes import STUDY, plane_reference
from undertow.laws.planes import plane_case

FILE = Path(__file__).parent / "references" / "planes.npz"


def main(arguments: list[str]) -> int:
    """Compute and store references."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[name for name in STUDY if plane_case(name).reference == "fine"])
    parser.add_argument("--cells", nargs="+", type=int, default=[64])
    parser.add_argument("--factor", type=int, default=5)
    given = parser.parse_args(arguments)
    for cells in given.cells:
        for case in given.cases:
            start = time.perf_counter()
            values = plane_reference(case, cells, factor=given.factor).astype(np.float32)
            known = dict(np.load(FILE)) if FILE.exists() else {}
            known[f"{case}/{cells}"] = values
            FILE.parent.mkdir(exist_ok=True)
            np.savez_compressed(FILE, **dict(sorted(known.items())))
            print(f"{case}, {cells} cells, factor {given.factor}: {time.perf_counter() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(sys.argv[1:]))
