"""What a sweep found: its combinations as numbers, a table, files and a figure."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from undertow._io import atomic_write_text, make_folder, remove_drafts, to_json
from undertow.config.fields import to_word
from undertow.evaluation.statistics import quartiles
from undertow.sweeps.definition import STATISTICS, Sweep
from undertow.sweeps.ledger import Entry

if TYPE_CHECKING:
    from rich.table import Table

TOP = 10
"""Combinations of a search that the table shows."""


def summarise(sweep: Sweep, entries: Sequence[Entry], study: Any) -> dict[str, Any]:
    """Settings, counts, `importances` (of a search: the share of every field, None if too little is known), and under `trials`
    every combination that is done, the best first: its values, `value` it is compared by, `median` and quartiles `low` and
    `high` over the seeds, `seeds` themselves (infinity: lost), how many were `lost`, `seconds` of training, `error`."""
    done = [_row(sweep, entry) for entry in entries if entry.status in ("complete", "lost")]
    counts = {status: sum(entry.status == status for entry in entries) for status in ("complete", "lost", "running")}
    return {
        "preset": sweep.preset,
        "sampler": sweep.sampler,
        "metric": sweep.metric,
        "statistic": sweep.statistic,
        "seeds": sweep.seeds,
        "over": {name: values.plain() for name, values in sweep.space.items()},
        "total": sweep.trials,
        **counts,
        "waiting": sweep.trials - sum(counts.values()),
        "importances": None if sweep.sampler == "grid" else _importances(study, len(sweep.space)),
        "trials": sorted(done, key=lambda row: (row["value"], row["median"], row["trial"])),
    }


def _row(sweep: Sweep, entry: Entry) -> dict[str, Any]:
    lost = {"seeds": [math.inf] * sweep.seeds, "seconds": 0.0, "error": f"{entry.died} workers died of it"}
    result = lost if entry.result is None else entry.result
    seeds = np.asarray(result["seeds"], float)  # "inf" in JSON is read back
    middle, low, high = quartiles(seeds)
    return {
        "trial": entry.number,
        "values": entry.values,
        "value": STATISTICS[sweep.statistic](seeds),
        "median": float(middle),
        "low": float(low),
        "high": float(high),
        "seeds": seeds.tolist(),
        "lost": int(np.sum(~np.isfinite(seeds))),
        "seconds": result["seconds"],
        "error": result.get("error"),
    }


def _importances(study: Any, fields: int) -> dict[str, float] | None:
    """How much of the difference between good and other trials each field accounts for (PED-ANOVA)."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE,)
    finite = [trial for trial in study.get_trials(deepcopy=False, states=states) if math.isfinite(trial.value)]
    if fields < 2 or len({trial.value for trial in finite}) < 5:
        return None
    with warnings.catch_warnings():  # that it is experimental
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def table(found: Mapping[str, Any]) -> Table:
    """A row per combination, the best first; of a search, the ten best."""
    from rich.table import Table

    search = found["sampler"] != "grid"
    rows = found["trials"][:TOP] if search else found["trials"]
    done = f"{found['complete'] + found['lost']} of {found['total']} trials"
    title = f"{found['preset']}: {found['metric']} of {found['seeds']} seeds, by their {found['statistic']}; {done}"
    if found["importances"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found["importances"].items())
        title += f"\nimportance: {shares}"
    made = Table(title=title, title_justify="left")
    made.add_column("trial", justify="right", no_wrap=True)
    for name in found["over"]:
        made.add_column(name.rpartition(".")[2], no_wrap=True)
    for head in ("median", "quartiles", "lost", "seconds"):
        made.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        values = [_short(row["values"].get(name)) if name in row["values"] else "" for name in found["over"]]
        spread = f"{row['low']:.4g} to {row['high']:.4g}"
        numbers = [f"{row['median']:.4g}", spread, str(row["lost"]), f"{row['seconds']:.1f}"]
        made.add_row(f"{row['trial']:04d}", *values, *numbers)
    return made


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else to_word(value)


def write_summary(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `summary.json`, `summary.csv` and, if anything can be drawn, `figures/sweep.png`. Returns the files."""
    from undertow.report.sweep import sweep_figure  # not at the top: it takes long to load

    for each in (folder, folder / "figures"):
        remove_drafts(each)
    files = [folder / "summary.json", folder / "summary.csv"]
    atomic_write_text(files[0], to_json(found) + "\n")
    atomic_write_text(files[1], _to_csv(found))
    if any(math.isfinite(row["median"]) for row in found["trials"]):
        make_folder(folder / "figures")
        ranges = {name: values["log"] for name, values in found["over"].items() if "log" in values}
        words = [{name: to_word(value) for name, value in row["values"].items()} for row in found["trials"]]
        rows = [{**row, "words": each} for row, each in zip(found["trials"], words, strict=True)]
        files.append(sweep_figure({**found, "trials": rows}, folder / "figures" / "sweep.png", ranges=ranges))
    return files


def _to_csv(found: Mapping[str, Any]) -> str:
    fields, seeds = list(found["over"]), range(found["seeds"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = ["value", "median", "low", "high", "lost", "seconds"]
    writer.writerow(["trial", *fields, *numbers, *(f"seed_{index}" for index in seeds), "error"])
    for row in found["trials"]:
        values = [to_word(row["values"][name]) if name in row["values"] else "" for name in fields]
        written = [*(row[name] for name in numbers), *row["seeds"]]
        writer.writerow([row["trial"], *values, *written, row["error"] or ""])
    return text.getvalue()
