"""Every figure of a run, drawn into a folder; and the figures one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from undertow._checks import UndertowError, drawing, require
from undertow._io import make_folder
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.evaluation.actions import profiles
from undertow.evaluation.convergence import Convergence, convergence
from undertow.evaluation.results import Evaluation
from undertow.evaluation.series import series
from undertow.laws.exact import exact_boundaries
from undertow.laws.law import AbstractConservationLaw
from undertow.policies.classical import classical
from undertow.report.animation import animate
from undertow.report.convergence import convergence_figure
from undertow.report.errors import cost_figure, error_scatter, ratio_distribution, transfer_bars
from undertow.report.solutions import error_over_x, evolution, mean_series, solution_panels, time_series
from undertow.report.style import lead, save
from undertow.report.training import seeds_figure, training_figure
from undertow.report.weights import snapshot_figure, weight_profile, weight_scatter

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
    "run_figures",
    "save_figures",
    "seeds_figure",
    "snapshot_figure",
    "solution_panels",
    "time_series",
    "training_figure",
    "transfer_bars",
    "weight_profile",
    "weight_scatter",
]

Named = tuple[str, Figure]
"""A figure and its name, which is its file's without the ending."""

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
    """Draw every figure of a run into a folder, which is made if it does not exist.

    **Arguments:** `folder`; the others as of `run_figures`.

    **Returns:** the paths of the figures, in the order in which to look at them.

    **Raises:** `UndertowError` if the folder cannot be made or written to.
    """
    return save_figures(folder, run_figures(evaluation, policies, suite, metrics, transfers=transfers, cells=cells))


def run_figures(
    evaluation: Evaluation,
    policies: Mapping[str, AbstractPolicy],
    suite: Suite,
    metrics: Mapping[str, np.ndarray] | None = None,
    *,
    transfers: Mapping[str, Evaluation] | None = None,
    cells: Sequence[int] | None = (32, 64, 128, 256),
) -> Iterator[Named]:
    """Every figure of a run, each drawn when it is asked for.

    **Arguments:**

    - `evaluation` on `suite`: for the scatter, the distribution and the cost.
    - `policies`: those evaluated, by the same names; the first that is not the baseline is the one the figures are
        about. The baseline is added if it is missing.
    - `metrics`: the columns of `metrics.csv`; None for no training curve.
    - `transfers`: evaluations on other suites, by name. Where one of them has the named conditions, solutions are shown
        on these, otherwise on cases of `suite`.
    - `cells`: the grids of the convergence study, None for none (there is none for other laws than Burgers either).

    **Returns:** names and figures, in the order in which to look at them.
    """
    base = evaluation.baseline
    order = suite.discretised.order
    shown = dict(policies)
    require(len(shown) > 0, "figures need at least one policy, got none")
    if base not in shown:
        shown[base] = classical(base, order)
    learned = lead(list(shown), base)
    pair = {learned: shown[learned], base: shown[base]}
    transfers = {} if transfers is None else transfers

    yield from statistics(evaluation, learned, metrics, transfers)

    stage = next((other.suite for other in transfers.values() if set(PANELS) <= set(other.cases)), suite)
    cases = [case for case in PANELS if case in stage.cases] or telling_cases(evaluation, learned)
    states = series(pair, stage, cases=cases)
    yield "solutions", solution_panels(states, baseline=base)
    yield "time", time_series(states, baseline=base)
    yield "evolution", evolution(states, cases[0], baseline=base)

    steps = stage.discretised.steps
    weights = profiles(pair, stage, cases, along=learned, every=max(1, steps // 10))
    yield "weights", weight_profile(weights[3 % len(weights)], baseline=base)
    yield "weights_scatter", weight_scatter(weights, policy=learned, baseline=base)

    law = suite.discretised.law
    if cells is not None and exact_boundaries(law) and suite.discretised.truth == "exact":
        study = study_convergence(pair, cells, order, law)
        yield "convergence", convergence_figure(study, baseline=base)
        yield "error_over_x", error_over_x(study, baseline=base)
    yield "cost", cost_figure(evaluation, policy=learned)


def save_figures(folder: Path | str, figures: Iterable[Named]) -> list[Path]:
    """Write figures into a folder, which is made if it does not exist. Returns their paths.

    **Raises:** `UndertowError` if the folder cannot be made or written to; for figures that could not be drawn, after all
    others have been.
    """
    folder = make_folder(folder)
    paths: list[Path] = []
    failed: list[str] = []
    left = iter(figures)
    while True:
        name = f"what comes after {paths[-1].stem}" if paths else "anything"
        try:
            with drawing(name):
                name, figure = next(left, ("", None))
            if figure is None:
                break
            with drawing(name):
                paths.append(save(figure, folder / f"{name}.png"))
        except UndertowError as error:
            failed.append(str(error))
    if failed:
        raise UndertowError(f"{'; '.join(failed)}; {len(paths)} figures are in {folder}")
    return paths


def statistics(
    evaluation: Evaluation,
    policy: str,
    metrics: Mapping[str, np.ndarray] | None,
    transfers: Mapping[str, Evaluation],
) -> Iterator[Named]:
    """The figures that every family of cases has: the training, errors, their ratios, other suites."""
    if metrics is not None:
        yield "training", training_figure(metrics, baseline=evaluation.baseline)
    yield "errors", error_scatter(evaluation, policy=policy)
    yield "ratios", ratio_distribution(evaluation, policy=policy)
    if transfers:
        every = {evaluation.suite.name: evaluation, **transfers}
        yield "transfers", transfer_bars(every, policy=policy)


def study_convergence(
    policies: Mapping[str, AbstractPolicy], cells: Sequence[int], order: int, law: AbstractConservationLaw | None = None
) -> Convergence:
    """The published study (Gaussian, t = 0.05, RK4, Courant number 0.5; `law`: default `Burgers()`) on other grids."""
    return convergence(policies, "gaussian", cells=cells, order=order, law=law)


def telling_cases(evaluation: Evaluation, policy: str, most: int = 6) -> list[str]:
    """Cases to look at: those that are not finite, the worst, the best, and what lies evenly between them."""
    scores = evaluation.scores[policy]
    ranked = np.argsort(np.where(scores.finite, np.nan_to_num(scores.ratio, nan=0.0), np.inf))[::-1]
    order = [int(place) for place in ranked if evaluation.scored[place]] or list(range(len(evaluation.cases)))
    picked = np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int))
    return [evaluation.cases[order[place]] for place in picked]
