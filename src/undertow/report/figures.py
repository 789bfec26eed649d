"""Every figure of a run, drawn into a folder; and the figures one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from undertow._checks import require
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.evaluation.actions import profiles
from undertow.evaluation.convergence import Convergence, convergence
from undertow.evaluation.results import Evaluation
from undertow.evaluation.series import series
from undertow.laws.burgers import Burgers
from undertow.policies.classical import classical
from undertow.report.animation import animate
from undertow.report.convergence import convergence_figure
from undertow.report.errors import cost_figure, error_scatter, ratio_distribution, transfer_bars
from undertow.report.solutions import error_over_x, evolution, mean_series, solution_panels, time_series
from undertow.report.style import lead
from undertow.report.training import seeds_figure, training_figure
from undertow.report.weights import snapshot_figure, weight_profile, weight_scatter
from undertow.training._files import write_error

__all__ = [
    "animate",
    "convergence_figure",
    "cost_figure",
    "draw_run",
    "error_over_x",
    "error_scatter",
    "evolution",
    "mean_series",
    "ratio_distribution",
    "seeds_figure",
    "snapshot_figure",
    "solution_panels",
    "time_series",
    "training_figure",
    "transfer_bars",
    "weight_profile",
    "weight_scatter",
]

PANELS = ("shock", "rarefaction", "tophat", "smooth_sine", "accelshock", "random-many-shocks")
"""The named conditions to show where a suite has them: a shock, two fans, waves that break, shocks that merge."""


def draw_run(
    folder: Path | str,
    evaluation: Evaluation,
    policies: Mapping[str, AbstractPolicy],
    suite: Suite,
    metrics: Mapping[str, np.ndarray] | None = None,
    *,
    transfers: Mapping[str, Evaluation] | None = None,
    cells: Sequence[int] | None = (32, 64, 128, 256),
) -> list[Path]:
    """Draw every figure of a run.

    **Arguments:**

    - `folder`: made if it does not exist.
    - `evaluation` on `suite`: for the scatter, the distribution and the cost.
    - `policies`: those evaluated, by the same names; the first that is not the baseline is the one the figures are
        about. The baseline is added if it is missing.
    - `metrics`: the columns of `metrics.csv`; None for no training curve.
    - `transfers`: evaluations on other suites, by name. Where one of them has the named conditions, solutions are shown
        on these, otherwise on cases of `suite`.
    - `cells`: the grids of the convergence study, None for none (there is none for other laws than Burgers either).

    **Returns:** the paths of the figures, in the order in which to look at them.

    **Raises:** `UndertowError` if the folder cannot be made or written to.
    """
    folder, base = make_folder(folder), evaluation.baseline
    order = suite.discretised.order
    shown = dict(policies)
    require(len(shown) > 0, "figures need at least one policy, got none")
    if base not in shown:
        shown[base] = classical(base, order)
    learned = lead(list(shown), base)
    pair = {learned: shown[learned], base: shown[base]}
    transfers = {} if transfers is None else transfers

    paths = statistics(folder, evaluation, learned, metrics, transfers)

    stage = next((other.suite for other in transfers.values() if set(PANELS) <= set(other.cases)), suite)
    cases = [case for case in PANELS if case in stage.cases] or telling_cases(evaluation, learned)
    states = series(pair, stage, cases=cases)
    paths.append(solution_panels(states, folder / "solutions.png", baseline=base))
    paths.append(time_series(states, folder / "time.png", baseline=base))
    paths.append(evolution(states, cases[0], folder / "evolution.png", baseline=base))

    steps = stage.discretised.steps
    weights = profiles(pair, stage, cases, along=learned, every=max(1, steps // 10))
    paths.append(weight_profile(weights[3 % len(weights)], folder / "weights.png", baseline=base))
    paths.append(weight_scatter(weights, folder / "weights_scatter.png", policy=learned, baseline=base))

    law = suite.discretised.law
    if cells is not None and isinstance(law, Burgers) and suite.discretised.truth == "exact":
        study = study_convergence(pair, cells, order)
        paths.append(convergence_figure(study, folder / "convergence.png", baseline=base))
        paths.append(error_over_x(study, folder / "error_over_x.png", baseline=base))
    paths.append(cost_figure(evaluation, folder / "cost.png", policy=learned))
    return paths


def make_folder(folder: Path | str) -> Path:
    """Make a folder unless it exists. Raises `UndertowError` if it cannot be made."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def statistics(
    folder: Path,
    evaluation: Evaluation,
    policy: str,
    metrics: Mapping[str, np.ndarray] | None,
    transfers: Mapping[str, Evaluation],
) -> list[Path]:
    """The figures that every family of cases has: the training, errors, their ratios, other suites."""
    paths = [] if metrics is None else [training_figure(metrics, folder / "training.png", baseline=evaluation.baseline)]
    paths.append(error_scatter(evaluation, folder / "errors.png", policy=policy))
    paths.append(ratio_distribution(evaluation, folder / "ratios.png", policy=policy))
    if transfers:
        every = {evaluation.suite.name: evaluation, **transfers}
        paths.append(transfer_bars(every, folder / "transfers.png", policy=policy))
    return paths


def study_convergence(policies: Mapping[str, AbstractPolicy], cells: Sequence[int], order: int) -> Convergence:
    """The published study (Gaussian, t = 0.05, RK4, Courant number 0.5) on other grids."""
    return convergence(policies, "gaussian", cells=cells, order=order)


def telling_cases(evaluation: Evaluation, policy: str, most: int = 6) -> list[str]:
    """Cases to look at: those that are not finite, the worst, the best, and what lies evenly between them."""
    scores = evaluation.scores[policy]
    ranked = np.argsort(np.where(scores.finite, np.nan_to_num(scores.ratio, nan=0.0), np.inf))[::-1]
    order = [int(place) for place in ranked if evaluation.scored[place]] or list(range(len(evaluation.cases)))
    picked = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))
    return [evaluation.cases[order[place]] for place in picked]
