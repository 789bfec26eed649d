"""`python -m benchmarks [NAME ...]`: measure the named tables, or all but `methods`."""

from __future__ import annotations

import sys
from importlib import import_module

import jax

from undertow._checks import UndertowError

jax.config.update("jax_enable_x64", True)

TABLES = ("control", "update", "overhead", "forward", "methods", "games", "gas", "peers", "planes", "start")
LONG = ("methods",)
"""Left out unless they are named: the better part of an hour."""


def main(names: list[str]) -> int:
    """Measure the tables in turn. A table whose extra is not installed says so, and the others follow."""
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        print(f"unknown table {unknown[0]!r}; choose from {', '.join(TABLES)}", file=sys.stderr)
        return 2
    for name in names or [name for name in TABLES if name not in LONG]:
        try:
            table = import_module(f"benchmarks.{name}").table  # not before it is its turn: some need extras
        except (ModuleNotFoundError, UndertowError) as error:
            if isinstance(error, ModuleNotFoundError) and str(error.name).startswith(("benchmarks", "undertow")):
                raise
            print(f"{name}: left out, {error}", file=sys.stderr)
            continue
        print(f"{name}: {(table.__doc__ or '').strip().splitlines()[0]}", flush=True)
        table()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
