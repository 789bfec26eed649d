"""The page of a learned scheme: results, errors over cases, the solution in motion with the weights that are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.evaluation.actions import profiles
from undertow.evaluation.comparison import Units, in_own_units, units_of
from undertow.evaluation.results import Evaluation
from undertow.evaluation.series import Series, series
from undertow.evaluation.simulation import quantities
from undertow.policies.classical import classical
from undertow.report.field_run import SHOWN
from undertow.report.figures import PANELS, telling_cases
from undertow.report.html.blocks import OTHERS, Block, Role, chart, common_limits, player, scatter, table
from undertow.report.html.encode import pack, quantise
from undertow.report.html.page import Section
from undertow.report.style import largest, lead

FRAMES = 50
"""At most so many instants of one case."""
_NUMBERS = 250_000
"""Cells times frames of all maps on a page: about 0.7 MB for each policy."""
_ERROR_FLOOR = 1e-12
"""Of the largest value of the truth: where errors end on their logarithmic axis."""
_DIRECTIONS = ("right-going flux", "left-going flux")


def scheme_sections(evaluations: Mapping[str, Evaluation], policies: Mapping[str, AbstractPolicy]) -> list[Section]:
    """The sections of a learned scheme's page.

    **Arguments:** `evaluations` by suite, the most telling first; `policies`: those evaluated, by the same names.
    """
    first = next(iter(evaluations.values()))
    base = first.baseline
    learned = lead(list(policies), base)
    pair = {learned: policies[learned], base: policies.get(base) or classical(base, first.suite.discretised.order)}
    return [
        Section("results", "Results", [_result_table(evaluations)]),
        Section("motion", "The solution in motion", [_motion(evaluations, pair, learned)], _motion_note(first, base)),
        Section("errors", "Errors over all cases", [_errors(each, learned) for each in _unlike(evaluations)]),
    ]


def _result_table(evaluations: Mapping[str, Evaluation]) -> Block:
    rows: list[Sequence[Any]] = []
    for name, evaluation in evaluations.items():
        for policy, row in evaluation.summary().items():
            if policy == evaluation.baseline:
                continue
            worst = row["worst_case"] if row["non_finite"] == 0 else f"not finite: {row['worst_case']}"
            rows.append(
                [
                    name,
                    policy,
                    row["cases"],
                    row["geometric_mean"],
                    row["median"],
                    row["worst"],
                    worst,
                    row["non_finite"],
                ]
            )
    base = next(iter(evaluations.values())).baseline
    heads = ["suite", "policy", "cases", "geometric mean", "median", "worst", "worst case", "not finite"]
    return table(
        heads, rows, f"L1 error against the truth over that of {base} at equal cells and steps: below 1 is better."
    )


def _unlike(evaluations: Mapping[str, Evaluation]) -> list[Evaluation]:
    """The first suite, and the first one with other conditions than its."""
    first, *others = evaluations.values()
    return [first, *[each for each in others if set(each.suite.groups) != set(first.suite.groups)][:1]]


def _errors(evaluation: Evaluation, policy: str) -> Block:
    base = evaluation.baseline
    x, y = evaluation.scores[base].l1, evaluation.scores[policy].l1
    shown = np.flatnonzero(evaluation.scored & np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0))
    lost = int(evaluation.scored.sum()) - len(shown)
    better = int((y < x)[shown].sum())
    title = f"{evaluation.suite.describe}; {policy} is better in {better} of {len(shown)}"
    return scatter(
        title + (f", not finite in {lost} more" if lost else ""),
        x[shown],
        y[shown],
        [evaluation.cases[place] for place in shown],
        names=(f"L1 error of {base}", f"L1 error of {policy}"),
        groups=[evaluation.suite.groups[place] for place in shown],
        diagonal=True,
    )


def _motion_note(evaluation: Evaluation, base: str) -> str:
    grid = evaluation.suite.problems.environment.scheme.grid
    if grid.num_axes > 1:
        return f"The learned scheme beside {base} and the truth."
    return (
        f"The learned scheme beside {base} and the truth, their errors, and the weights that both give to the substencils on "
        "the states of the learned scheme (thin lines: those of the classical scheme)."
    )


def _motion(evaluations: Mapping[str, Evaluation], pair: Mapping[str, AbstractPolicy], learned: str) -> Block:
    first = next(iter(evaluations.values()))
    plane = first.suite.problems.environment.scheme.grid.num_axes > 1
    chosen: list[tuple[Suite, list[str]]] = []
    for wanted in (PANELS, SHOWN):
        stage = next((each.suite for each in evaluations.values() if set(wanted) <= set(each.cases)), None)
        if stage is not None:
            chosen.append((stage, list(wanted)))
    telling = telling_cases(first, learned, most=2 if chosen or plane else 6)
    known = {case for _, cases in chosen for case in cases}
    chosen.append((first.suite, [case for case in telling if case not in known]))
    items: list[dict[str, Any]] = []
    for suite, cases in chosen:
        if cases:
            items += _planes(pair, suite, cases) if plane else _lines(pair, suite, cases, learned)
    return player(items, choose="case")


def _every(steps: int, frames: int) -> int:
    """A divisor of the number of steps that leaves no more than so many frames, and as many as it can."""
    return min(each for each in range(1, steps + 1) if steps % each == 0 and steps // each <= frames)


def _lines(
    pair: Mapping[str, AbstractPolicy], suite: Suite, cases: Sequence[str], learned: str
) -> list[dict[str, Any]]:
    every = _every(suite.discretised.steps, FRAMES)
    states = series(pair, suite, cases=cases, every=every)
    found = profiles(pair, suite, cases, along=learned, every=every)
    items = []
    for place, case in enumerate(cases):
        units = units_of(suite, case)
        views = _state_charts(states, place, learned, units)
        profile, steps = in_own_units(found[place], suite, case), len(states.times)
        for field, name in enumerate(profile.fields):
            for side, direction in enumerate(_DIRECTIONS):
                lines = []
                for policy, look in ((learned, "line"), *((other, "dashed") for other in pair if other != learned)):
                    weights = profile.weights[policy][:steps, side, field]  # "saved faces r"
                    for k in range(weights.shape[-1]):
                        label = f"{'' if policy == learned else policy + ' '}weight {k}"
                        lines.append(
                            _moving(label, profile.faces, weights[..., k], _WEIGHT_ROLES[k % 6], look, short=True)
                        )
                title = f"weights, {direction}" + (f", {name}" if len(profile.fields) > 1 else "")
                low, high = common_limits(*(weights[:, side, field] for weights in profile.weights.values()))
                view = chart(title, lines, x="x", limits=(min(low, -0.04), max(high, 1.04)))
                # One of them is shown at a time.
                views.append({**view, "group": "weights"})
        items.append({"name": f"{case} ({suite.name})", "times": profile.times[:steps].tolist(), "views": views})
    return items


_WEIGHT_ROLES: tuple[Role, ...] = ("learned", "baseline", *OTHERS)


def _moving(label: str, x: np.ndarray, y: np.ndarray, role: Role, look: Any, *, short: bool = False) -> dict[str, Any]:
    """A line with a leading axis of frames."""
    return {"label": label, "x": pack(x), "y": quantise(y) if short else pack(y), "role": role, "look": look}


def _state_charts(states: Series, place: int, learned: str, units: Units | None) -> list[Block]:
    law, x = states.suite.discretised.law, states.suite.x
    own = {**{name: values[place] for name, values in states.values.items()}, "truth": states.truth[place]}
    if units is not None:
        x = units.low + units.length * x
        own = {name: units.values(values) for name, values in own.items()}
    by_policy = {name: _by_quantity(law, values) for name, values in own.items()}
    truth = by_policy.pop("truth")
    views = []
    for name in truth:
        lines = [_moving("truth", x, truth[name], "exact", "line")]
        for policy in reversed(list(by_policy)):  # the learned one on top
            role: Role = "learned" if policy == learned else "baseline"
            lines.append(_moving(policy, x, by_policy[policy][name], role, "dots"))
        low, high = common_limits(truth[name])
        room = high - low  # a policy that blows up would leave no room for the truth
        inside = [np.clip(values[name], low - room, high + room) for values in by_policy.values()]
        limits = common_limits(truth[name], *inside)
        view = chart(name, lines, x="x", limits=limits)
        views.append({**view, "group": "quantity"} if len(truth) > 1 else view)
    first = next(iter(truth))
    distance = {policy: np.abs(values[first] - truth[first]) for policy, values in by_policy.items()}
    size = largest(truth[first]) or largest(*distance.values()) or 1.0
    errors = {policy: np.maximum(each, _ERROR_FLOOR * size) for policy, each in distance.items()}
    lines = [
        _moving(policy, x, errors[policy], "learned" if policy == learned else "baseline", "line")
        for policy in reversed(list(errors))
    ]
    low, high = common_limits(*(error[1:] for error in errors.values()), positive=True)
    high = min(high, 10 * size)
    limits = [min(max(low, 1e-6 * high), high / 10), high]
    views.append(chart(f"error of {first}", lines, x="x", limits=limits, log=True))
    return views


def _by_quantity(law: Any, values: np.ndarray) -> dict[str, np.ndarray]:
    """Frames of what there is to look at, by name."""
    frames = [quantities(law, frame) for frame in values]
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def _planes(pair: Mapping[str, AbstractPolicy], suite: Suite, cases: Sequence[str]) -> list[dict[str, Any]]:
    grid = suite.problems.environment.scheme.grid
    size = int(np.prod(grid.num_cells))
    frames = max(2, min(FRAMES, _NUMBERS // (size * max(1, len(cases)))))
    states = series(pair, suite, cases=cases, every=_every(suite.discretised.steps, frames))
    bounds = [[float(low), float(high)] for low, high in zip(grid.lower, grid.upper, strict=True)]
    items = []
    for place, case in enumerate(cases):
        shown = {
            **{name: values[place, :, 0] for name, values in states.values.items()},
            "truth": states.truth[place, :, 0],
        }
        limits = common_limits(states.truth[place, :, 0])
        views = [
            {"kind": "map", "title": name, "values": quantise(values, limits), "limits": limits, "bounds": bounds}
            for name, values in shown.items()
        ]
        items.append({"name": f"{case} ({suite.name})", "times": states.times.tolist(), "views": views})
    return items
