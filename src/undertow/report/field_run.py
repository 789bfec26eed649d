"""Every figure of a run on a gas, or in two dimensions, drawn into a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from undertow._checks import require
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.evaluation.actions import profiles
from undertow.evaluation.comparison import in_own_units, of_case
from undertow.evaluation.results import Evaluation
from undertow.policies.classical import classical
from undertow.report.errors import cost_figure
from undertow.report.figures import Named, save_figures, statistics, telling_cases
from undertow.report.gas import gas_profiles
from undertow.report.maps import plane_maps, weight_maps
from undertow.report.style import lead
from undertow.report.weights import weight_scatter

SHOWN = ("sod", "lax", "shu_osher", "blast", "double_rarefaction", "leblanc")
"""The named gas problems to show where a suite has them: tubes, waves that meet shocks, blasts, near vacuum, a strong jump."""
WEIGHED = ("sod", "shu_osher")
"""Those of them whose weights are shown over x and t."""
_ROWS = 80  # instants in a picture over time


def draw_field_run(
    folder: Path | str,
    evaluation: Evaluation,
    policies: Mapping[str, AbstractPolicy],
    metrics: Mapping[str, np.ndarray] | None = None,
    *,
    transfers: Mapping[str, Evaluation] | None = None,
) -> list[Path]:
    """Draw every figure of a run on a gas, or in two dimensions, into a folder, which is made if it does not exist.

    **Arguments:** `folder`; the others as of `field_figures`.

    **Returns:** the paths of the figures, in the order in which to look at them.

    **Raises:** `UndertowError` if the folder cannot be made or written to.
    """
    return save_figures(folder, field_figures(evaluation, policies, metrics, transfers=transfers))


def field_figures(
    evaluation: Evaluation,
    policies: Mapping[str, AbstractPolicy],
    metrics: Mapping[str, np.ndarray] | None = None,
    *,
    transfers: Mapping[str, Evaluation] | None = None,
) -> Iterator[Named]:
    """Every figure of a run on a gas, or in two dimensions, each drawn when it is asked for.

    In one dimension profiles of the named gas problems and the weights over x and t on two of them; in two dimensions maps of
    the best, a middling and the worst case. Where no suite has the named problems, cases of the first one are shown.

    **Arguments:** as of [`run_figures`][undertow.report.figures.run_figures].

    **Returns:** names and figures, in the order in which to look at them.
    """
    base = evaluation.baseline
    require(len(policies) > 0, "figures need at least one policy, got none")
    learned = lead(list(policies), base)
    transfers = {} if transfers is None else transfers
    yield from statistics(evaluation, learned, metrics, transfers)
    shown = next((one for one in (evaluation, *transfers.values()) if set(SHOWN) <= set(one.cases)), evaluation)
    if _axes(evaluation.suite) > 1:
        for case in telling_cases(evaluation, learned, most=3):
            yield f"maps_{case.replace(' ', '_')}", plane_maps(of_case(evaluation, case))
    elif _axes(shown.suite) == 1:
        cases = [case for case in SHOWN if case in shown.cases] or telling_cases(shown, learned, most=4)
        comparisons = [of_case(shown, case) for case in cases]
        yield "profiles", gas_profiles(comparisons, baseline=base)
        pair = {learned: policies[learned], base: policies.get(base) or classical(base, shown.suite.discretised.order)}
        yield from _weights(pair, shown.suite, [case for case in WEIGHED if case in cases] or cases[:2], base)
    yield "cost", cost_figure(evaluation, policy=learned)


def _weights(pair: Mapping[str, AbstractPolicy], suite: Suite, cases: list[str], baseline: str) -> Iterator[Named]:
    learned = lead(list(pair), baseline)
    # On the baseline's states: they stay finite where a policy fails, and are the same for every policy drawn.
    found = profiles(pair, suite, cases, along=baseline, every=max(1, suite.discretised.steps // _ROWS))
    for case, profile in zip(cases, found, strict=True):
        yield f"weights_{case.replace(' ', '_')}", weight_maps(in_own_units(profile, suite, case))
    yield "weights_scatter", weight_scatter(found, policy=learned, baseline=baseline)


def _axes(suite: Suite) -> int:
    return suite.problems.environment.scheme.grid.num_axes
