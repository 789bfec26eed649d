r"""What an evaluation found: numbers per policy and case, and their summary as tables, CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from undertow._checks import lookup
from undertow._io import atomic_write_text, to_json
from undertow.envs.collection import Suite
from undertow.evaluation.statistics import geometric_mean, mean, written

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = (
    "ratio",
    "l1",
    "l2",
    "linf",
    "l1_to_baseline",
    "l2_to_baseline",
    "linf_to_baseline",
    "total_variation",
    "mass_error",
)


@dataclass(frozen=True, eq=False)
class Scores:
    r"""One policy on all cases of a suite; every array has one entry per case, NaN where the result is not finite.

    - `ratio`: `l1` over the baseline's; NaN too where a case is not scored.
    - `l1`, `l2`, `linf`: distance to the truth at the end, weighted with the cell volume as in
        `undertow.numerics.norms`; `l1_to_baseline`, ...: to the baseline's result.
    - `total_variation`: of the result.
    - `mass_error`: $|\sum_i u_i(T) - \sum_i u_i(0)|\,\Delta V$, the largest over the components; NaN where the boundary
        is not periodic, because what flows through an open end is not recorded.
    - `finite`; `values`: the results, `"cases chan cells"`.
    - `seconds`: for all cases together; `compile_seconds` are not part of them.
    """

    ratio: Float[np.ndarray, " cases"]
    l1: Float[np.ndarray, " cases"]
    l2: Float[np.ndarray, " cases"]
    linf: Float[np.ndarray, " cases"]
    l1_to_baseline: Float[np.ndarray, " cases"]
    l2_to_baseline: Float[np.ndarray, " cases"]
    linf_to_baseline: Float[np.ndarray, " cases"]
    total_variation: Float[np.ndarray, " cases"]
    mass_error: Float[np.ndarray, " cases"]
    finite: Bool[np.ndarray, " cases"]
    values: Float[np.ndarray, "cases chan cells"]
    seconds: float
    compile_seconds: float

    def over(self, baseline: Scores, scored: Bool[np.ndarray, " cases"]) -> Scores:
        """The same with the ratio to a baseline."""
        ratio = self.l1 / np.where(scored, baseline.l1, np.nan)
        return dataclasses.replace(self, ratio=ratio)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of policies on a suite.

    - `suite`; `baseline`: the name of the policy that ratios refer to; `scores`: by policy.
    - `scored`: the cases that enter ratios: those where the baseline errs by more than rounding.
    - `true_variation`: total variation of the truth, by case.
    """

    suite: Suite
    baseline: str
    scores: Mapping[str, Scores]
    scored: Bool[np.ndarray, " cases"]
    true_variation: Float[np.ndarray, " cases"]

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of the cases."""
        return self.suite.cases

    def summary(self) -> dict[str, dict[str, Any]]:
        """By policy, what there is to say in a few numbers.

        - `geometric_mean`, `median`, `worst` of the ratio to the baseline over the scored `cases` (a count), and the
            `worst_case`. If any result is not finite these three are NaN and `worst_case` is the first such case.
        - `non_finite`: how many results are not finite; `non_finite_cases`: their names.
        - `mass_error`: the largest over the periodic cases, None if there are none.
        - `l1`, `l2`, `linf`, `l1_to_baseline`: means over all cases; `variation`: mean of the result's total variation
            over that of the truth, where the truth has any.
        - `seconds` for all cases; `nanoseconds`: per cell and Runge-Kutta stage.
        """
        return {name: self._summary(scores) for name, scores in self.scores.items()}

    def _summary(self, scores: Scores) -> dict[str, Any]:
        ratios = np.where(self.scored, scores.ratio, -np.inf)
        bad = [case for case, finite in zip(self.cases, scores.finite, strict=True) if not finite]
        compared = np.where(scores.finite.all(), scores.ratio[self.scored], np.nan)
        worst = int(np.argmax(ratios))  # the first NaN if there is one: the baseline may have failed
        worst_case = bad[0] if bad else self.cases[worst] if self.scored.any() else None
        periodic = self.suite.periodic
        ratio = float(geometric_mean(compared)) if compared.size else math.nan
        truth = self.suite.truth[:, list(self.suite.judged)]
        largest = np.abs(truth).reshape(len(truth), -1).max(axis=1)
        varied = self.true_variation > 1e-12 * largest  # by more than rounding
        how = self.suite.discretised
        work = len(self.cases) * self.suite.truth[0].size * how.steps * how.integrator.num_stages
        return {
            "geometric_mean": ratio,
            "median": float(np.median(compared)) if compared.size else math.nan,
            "worst": float(np.max(compared)) if compared.size else math.nan,
            "worst_case": worst_case,
            "cases": int(self.scored.sum()),
            "non_finite": len(bad),
            "non_finite_cases": bad,
            "mass_error": float(np.max(scores.mass_error[periodic])) if periodic.any() else None,
            **{name: float(mean(getattr(scores, name))) for name in ("l1", "l2", "linf", "l1_to_baseline")},
            "variation": float(mean(scores.total_variation[varied] / self.true_variation[varied]))
            if varied.any()
            else math.nan,
            "seconds": scores.seconds,
            "nanoseconds": 1e9 * scores.seconds / work,
        }

    def notes(self) -> list[str]:
        """What a reader of the tables has to know, one line each."""
        names = [case for case, scored in zip(self.cases, self.scored, strict=True) if not scored]
        lines = [f"ratio: L1 error over that of {self.baseline}; mass error: over the periodic cases"]
        if names:
            lines.append(f"not in the ratios, {self.baseline} errs by rounding only: {_listed(names)}")
        if self.suite.left_out:
            lines.append(f"left out, the exact solution does not hold until the end: {_listed(self.suite.left_out)}")
        for policy, numbers in self.summary().items():
            if numbers["non_finite"]:
                lines.append(f"{policy} is not finite in: {_listed(numbers['non_finite_cases'])}")
        return lines

    def table(self) -> Table:
        """The summary as a table for the terminal: ratios, total variation, mass, cost."""
        rows = []
        for name, row in self.summary().items():
            mass = "-" if row["mass_error"] is None else f"{row['mass_error']:.1e}"
            ratios = [written(row[key]) for key in ("geometric_mean", "median", "worst")]
            case = row["worst_case"] if name != self.baseline or row["non_finite"] else None
            cost = [written(row["variation"]), mass, str(row["non_finite"]), f"{row['nanoseconds']:.0f}"]
            rows.append([name, *ratios, case or "-", *cost])
        heads = ["policy", "geo. mean", "median", "worst", "worst case", "TV/exact", "mass error", "NaN", "ns/cell"]
        return self._table(heads, rows, left={0, 4})

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, str]:
        """In a notebook, the table."""
        return self.table()._repr_mimebundle_(*arguments, **options)

    def errors_table(self) -> Table:
        """Mean errors over all cases against the truth and against the baseline, as a table for the terminal."""
        rows = []
        for name, scores in self.scores.items():
            numbers = (getattr(scores, column) for column in _COLUMNS[1:7])
            rows.append([name, *(f"{np.mean(values):.3e}" for values in numbers)])
        own = f"- {self.baseline}"
        return self._table(["policy", "L1", "L2", "Linf", f"L1 {own}", f"L2 {own}", f"Linf {own}"], rows, left={0})

    def cases_table(self, policy: str) -> Table:
        """Every case of one policy, as a table for the terminal. Raises `UndertowError` for an unknown policy."""
        scores = lookup("policy", policy, self.scores)
        rows = [
            [case, *(f"{getattr(scores, column)[place]:.3e}" for column in _COLUMNS)]
            for place, case in enumerate(self.cases)
        ]
        return self._table(["case", *(column.replace("_to_baseline", " -") for column in _COLUMNS)], rows, left={0})

    def _table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], left: set[int]) -> Table:
        from rich.table import Table

        table = Table(title=self.suite.describe, caption="\n".join(self.notes()), caption_justify="left")
        for index, head in enumerate(heads):
            table.add_column(head, justify="left" if index in left else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        return table

    def text(self, width: int = 120) -> str:
        """Both tables as plain text."""
        from rich.console import Console

        console = Console(file=io.StringIO(), width=width, color_system=None)
        console.print(self.table())
        console.print(self.errors_table())
        return console.file.getvalue()  # type: ignore[attr-defined]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per policy and case."""
        return [
            {
                "policy": name,
                "case": case,
                "group": self.suite.groups[place],
                "scored": bool(self.scored[place]),
                "finite": bool(scores.finite[place]),
                **{column: float(getattr(scores, column)[place]) for column in _COLUMNS},
                "mass_error": float(scores.mass_error[place]) if self.suite.periodic[place] else None,
                "true_variation": float(self.true_variation[place]),
            }
            for name, scores in self.scores.items()
            for place, case in enumerate(self.cases)
        ]

    def to_csv(self, path: Path | str) -> None:
        """Write one line per policy and case, atomically. What does not apply is empty, what is not finite is `nan`."""
        text = io.StringIO()
        rows = self.rows()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_text(path, text.getvalue())

    def to_dict(self) -> dict[str, Any]:
        """Suite, summary and every case."""
        how = self.suite.discretised
        return {
            "suite": self.suite.name,
            "cells": how.num_cells,
            "steps": how.steps,
            "end_time": how.end_time,
            "order": how.order,
            "integrator": type(how.integrator).__name__,
            "baseline": self.baseline,
            "left_out": self.suite.left_out,
            "summary": self.summary(),
            "notes": self.notes(),
            "cases": self.rows(),
        }

    def to_json(self, path: Path | str) -> None:
        """Write `to_dict`, atomically. What is not finite becomes the string "nan"."""
        atomic_write_text(path, to_json(self.to_dict()) + "\n")


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
