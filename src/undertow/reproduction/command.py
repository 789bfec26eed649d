"""A comparison from its name to its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undertow._checks import at_home
from undertow._io import atomic_write_text, to_json
from undertow.evaluation.statistics import quartiles
from undertow.progress import StopRequest
from undertow.reproduction.grid import CLIPS, Clip, grid
from undertow.reproduction.runner import Study

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Outcome:
    """What a study left: whether all of it is trained, its results' file, its figures, tables after equal epochs and equal
    time; the signal that stopped it."""

    finished: bool
    results: Path
    figures: list[Path]
    table: Table
    timed: Table
    signal: int | None = None


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
    long: bool = False,
) -> Outcome:
    """Train the grid of a published task (or what of it is not trained yet), and draw its comparison.

    **Arguments:** `task`, `flows`, `clips`, `panels`, `epochs`, `quick` as in [`grid`][undertow.reproduction.grid.grid];
    `out`: the study's directory, new or of this very study; `seeds`: trainings per setting; `quiet`: no progress bar;
    `long`: begin also what certainly takes hours.

    **Returns:** `Outcome`; its results are in `out/results.json`, its figures in `out/figures`.

    **Raises:** `UndertowError` for a name that is not there, a directory that holds something else, or trainings that this
    machine cannot bear.
    """
    trials = grid(task, flows=flows, clips=clips, panels=panels, epochs=epochs, quick=quick)
    study = Study(at_home(out), task, trials, seeds)
    with StopRequest() as stop:
        finished = study.run(quiet=quiet, long=long, stop=stop)
    return finish(study, finished, stop.signal)


def finish(study: Study, finished: bool, signal: int | None = None) -> Outcome:
    """Results, figures and table of a study as it is, and the signal that stopped it."""
    from undertow.report.study import draw_study  # not at the top: it takes long to load

    results = study.results()
    file = study.folder / "results.json"
    atomic_write_text(file, to_json(results, indent=None) + "\n")
    figures = draw_study(results, study.folder / "figures")
    return Outcome(finished, file, figures, study_table(results), timed_table(results), signal)


def study_table(results: Mapping[str, Any]) -> Table:
    """Test losses after the last epoch: median over the seeds and quartiles, a row per panel and clipping."""
    return _table(results, "test loss after the last epoch", lambda cell, shown: len(cell["test_loss"]) - 1)


def timed_table(results: Mapping[str, Any]) -> Table:
    """The same at equal wall time of the updates: when the fastest of a row has done all of its epochs."""

    def place(cell: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> int:
        budget = min(each["epochs"][-1] * epoch_seconds(each) for each in shown)
        done = np.asarray(cell["epochs"]) * epoch_seconds(cell) <= budget * (1 + 1e-9)
        return max(int(done.sum()) - 1, 0)

    return _table(results, "test loss at equal time of the updates", place)


def epoch_seconds(cell: Mapping[str, Any]) -> float:
    """Median time of an epoch's updates, of all seeds together; the first one, which compiles, left out if there are more."""
    return float(np.median(cell["seconds"][1:] or cell["seconds"]))


def _table(
    results: Mapping[str, Any], what: str, place: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], int]
) -> Table:
    from rich.table import Table

    cells = [cell for cell in results["cells"].values() if cell.get("test_loss")]
    title = f"{results['study']}: {what}, median of {results['seeds']} seeds, and quartiles"
    table = Table(title=title, title_justify="left")
    for head in ("setting", "clipping", "gradient"):
        table.add_column(head, no_wrap=True)
    for head in ("epochs", "median", "quartiles", "lost"):
        table.add_column(head, justify="right", no_wrap=True)
    for panel, clip in dict.fromkeys((cell["panel"], cell["clip"]) for cell in cells):
        shown = [cell for cell in cells if (cell["panel"], cell["clip"]) == (panel, clip)]
        for cell in shown:
            at = place(cell, shown)
            table.add_row(panel, clip, cell["line"], str(cell["epochs"][at]), *_quartiles(cell["test_loss"][at]))
        table.add_section()
    return table


def final_losses(cell: Mapping[str, Any]) -> np.ndarray:
    """The test loss of every seed at the end; of a seed that was lost, infinity."""
    last = np.asarray(cell["test_loss"][-1], float)
    return np.where(np.isfinite(last), last, np.inf)


def _quartiles(losses: Sequence[float]) -> tuple[str, str, str]:
    values = np.asarray(losses, float)
    middle, low, high = quartiles(values)
    return f"{middle:.4g}", f"{low:.4g} to {high:.4g}", str(int(np.sum(~np.isfinite(values))))
