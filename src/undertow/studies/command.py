"""A comparison from its name to its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undertow.studies.grid import CLIPS, Clip, grid
from undertow.studies.runner import Study
from undertow.training._files import atomic_write_text, to_json

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Outcome:
    """What a study left: whether all of it is trained, its results' file, its figures, a table."""

    finished: bool
    results: Path
    figures: list[Path]
    table: Table


def reproduce(
    task: str,
    out: Path | str,
    *,
    seeds: int = 5,
    quick: bool = False,
    epochs: int | None = None,
    flows: Sequence[str] = ("regular", "modified", "combined", "one-step"),
    clips: Sequence[Clip] = CLIPS,
    panels: Sequence[str] = (),
    quiet: bool = False,
) -> Outcome:
    """Train the grid of a published task (or what of it is not trained yet), and draw its comparison.

    **Arguments:** `task`, `flows`, `clips`, `panels`, `epochs`, `quick` as in [`grid`][undertow.studies.grid.grid];
    `out`: the study's directory, new or of this very study; `seeds`: trainings per setting; `quiet`: no progress bar.

    **Returns:** `Outcome`; its results are in `out/results.json`, its figures in `out/figures`.

    **Raises:** `UndertowError` for a name that is not there, or a directory that holds something else.
    """
    cells = grid(task, flows=flows, clips=clips, panels=panels, epochs=epochs, quick=quick)
    study = Study(Path(out), task, cells, seeds)
    finished = study.run(quiet=quiet)
    return finish(study, finished)


def finish(study: Study, finished: bool) -> Outcome:
    """Results, figures and table of a study as it is."""
    from undertow.report.study import draw_study  # not at the top: it takes long to load

    results = study.results()
    file = study.folder / "results.json"
    atomic_write_text(file, to_json(results, indent=None) + "\n")
    figures = draw_study(results, study.folder / "figures")
    return Outcome(finished, file, figures, study_table(results))


def final_losses(cell: Mapping[str, Any]) -> np.ndarray:
    """The test loss of every seed at the end; a seed that is not finite is infinite, which is what medians should see."""
    last = np.asarray(cell["test_loss"][-1], float)
    return np.where(np.isfinite(last), last, np.inf)


def study_table(results: Mapping[str, Any]) -> Table:
    """Test losses after the last epoch: median over the seeds and quartiles, a row per panel and clipping."""
    from rich.table import Table

    cells = results["cells"].values()
    lines = list(dict.fromkeys(cell["line"] for cell in cells))
    table = Table(
        title=f"{results['study']}: test loss, median of {results['seeds']} seeds (quartiles)", title_justify="left"
    )
    for head in ("setting", "clipping", "epochs"):
        table.add_column(head, no_wrap=True)
    for line in lines:
        table.add_column(line, justify="right", no_wrap=True)
    rows: dict[tuple, dict[str, str]] = {}
    for cell in cells:
        if cell.get("test_loss"):
            low, middle, high = np.quantile(final_losses(cell), [0.25, 0.5, 0.75], method="nearest")
            key = (cell["panel"], cell["clip"], str(cell["epochs"][-1]))
            rows.setdefault(key, {})[cell["line"]] = f"{middle:.3g} ({low:.3g}, {high:.3g})"
    for key, row in rows.items():
        table.add_row(*key, *(row.get(line, "") for line in lines))
    return table
