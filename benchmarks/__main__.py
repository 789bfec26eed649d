"""`python -m benchmarks [NAME ...]`: measure the named tables, or all but `methods`."""

from __future__ import annotations

import sys

import jax

jax.config.update("jax_enable_x64", True)

# After the precision is set.
from benchmarks import control, forward, games, gas, methods, overhead, peers, planes, start, update  # noqa: E402

TABLES = {
    "control": control.table,
    "update": update.table,
    "overhead": overhead.table,
    "forward": forward.table,
    "methods": methods.table,
    "games": games.table,
    "gas": gas.table,
    "peers": peers.table,
    "planes": planes.table,
    "start": start.table,
}


def main(names: list[str]) -> int:
    """Measure the tables in turn."""
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        print(f"unknown table {unknown[0]!r}; choose from {', '.join(TABLES)}", file=sys.stderr)
        return 2
    for name in names or [name for name in TABLES if name != "methods"]:  # which takes the better part of an hour
        print(f"{name}: {(TABLES[name].__doc__ or '').strip().splitlines()[0]}")
        TABLES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
