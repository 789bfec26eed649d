"""Many runs at once: which there are, in what they differ, which of them are better."""

from __future__ import annotations

from undertow.runs.compare import RunComparison, compare_runs
from undertow.runs.difference import Difference, diff_runs
from undertow.runs.listing import RunInfo, find_runs, list_runs, read_run

__all__ = [
    "Difference",
    "RunComparison",
    "RunInfo",
    "compare_runs",
    "diff_runs",
    "find_runs",
    "list_runs",
    "read_run",
]
