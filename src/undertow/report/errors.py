"""Figures of errors over many cases: policy against baseline, their ratios, other settings, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from undertow._checks import require
from undertow.evaluation.results import Evaluation
from undertow.evaluation.statistics import geometric_mean, written
from undertow.report import style

Norm = Literal["l1", "l2", "linf"]


@style.drawn
def error_scatter(
    evaluation: Evaluation, path: Path | str | None = None, *, policy: str | None = None, norm: Norm = "l1"
) -> Figure:
    """A policy's error against the baseline's, a dot per case: on the left itself, on the right its ratio.

    **Arguments:** `evaluation`; `path` of the figure; `policy`: default the first that is not the baseline; `norm`.
    """
    base = evaluation.baseline
    policy = style.lead(list(evaluation.scores), base, policy)
    x, y = getattr(evaluation.scores[base], norm), getattr(evaluation.scores[policy], norm)
    shown = evaluation.scored & np.isfinite(x) & np.isfinite(y) & (x > 0)
    ratio = np.where(shown, y / np.where(shown, x, 1), np.nan)
    low, high = style.log_limits(np.concatenate([x[shown], y[shown]]))
    fig, axes = style.figure(1, 2, width=4.8, height=4.3)
    left, right = axes[0]
    line = np.array([low, high])
    left.fill_between(line, low, line, color="#F4F4F4", linewidth=0)
    left.plot(line, line, color=style.GUIDE, linewidth=1)
    left.plot(line, line / 2, color=style.GUIDE, linewidth=0.8, linestyle=":", label="half the error")
    right.axhspan(0, 1, color="#F4F4F4", linewidth=0)
    right.axhline(1, color=style.GUIDE, linewidth=1)
    right.axhline(0.5, color=style.GUIDE, linewidth=0.8, linestyle=":")
    kinds = np.asarray(evaluation.suite.groups)
    groups = list(dict.fromkeys(evaluation.suite.groups))
    if len(groups) > len(style.OTHERS):  # one group per case: colours would say nothing
        groups, kinds = ["cases"], np.full(len(kinds), "cases")
    for group, colour in zip(groups, style.OTHERS, strict=False):
        own = shown & (kinds == group)
        look = {"s": 16, "color": colour, "alpha": 0.65, "linewidth": 0}
        left.scatter(x[own], y[own], label=group if len(groups) > 1 else None, **look)
        right.scatter(x[own], ratio[own], **look)
    mean, total = _geometric_mean(ratio[shown]), int(shown.sum())
    text = f"geometric mean of ratios {written(mean)}\nbetter in {int((y < x)[shown].sum())} of {total} cases"
    lost = int(evaluation.scored.sum()) - total
    text += f"\nnot finite in {lost} more" if lost else ""
    left.text(0.03, 0.97, text, transform=left.transAxes, va="top", fontsize=8.5)
    right.axhline(mean, color=style.EXACT, linewidth=1, linestyle="--", label="geometric mean")
    if total:
        _name_worst(right, evaluation.cases, x, ratio, (low, high))
    left.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    left.set(xlabel=f"{_name(norm)} error of {base}", ylabel=f"{_name(norm)} error of {policy}")
    top = float(np.max(ratio[shown], initial=1.0))
    right.set(xscale="log", xlim=(low, high), ylim=(0, 1.12 * top))
    if top > 10:  # a linear axis would show the worst case and nothing else
        right.set(yscale="log", ylim=(0.7 * float(np.min(ratio[shown & (ratio > 0)], initial=0.5)), 2 * top))
    right.set(xlabel=f"{_name(norm)} error of {base}", ylabel=f"{policy} / {base}")
    left.set_title(evaluation.suite.describe.split(" of ")[0], fontsize=9)
    style.legend(left, loc="lower right")
    style.legend(right, loc="lower left")
    return style.finished(fig, path)


def _name_worst(axis, cases: Sequence[str], x: np.ndarray, ratio: np.ndarray, limits: tuple[float, float]) -> None:
    place = int(np.nanargmax(ratio))
    along = np.log(x[place] / limits[0]) / np.log(limits[1] / limits[0])
    side = "left" if along < 0.2 else "right" if along > 0.8 else "center"
    where = {"xytext": (0, 6), "textcoords": "offset points", "fontsize": 7, "color": "#444444"}
    axis.annotate(cases[place], (x[place], ratio[place]), ha=side, **where)


@style.drawn
def ratio_distribution(evaluation: Evaluation, path: Path | str | None = None, *, policy: str | None = None) -> Figure:
    """How the ratios to the baseline are distributed: a histogram of one policy, the cumulative share of all.

    A policy that is not finite in some cases does not reach 1.
    """
    base = evaluation.baseline
    names = [name for name in evaluation.scores if name != base] or [base]
    policy = style.lead(names, base, policy)
    colour = style.colours(names, policy, base)
    fig, axes = style.figure(1, 2, width=4.4, height=3.4)
    left, right = axes[0]
    ratios = {name: evaluation.scores[name].ratio[evaluation.scored] for name in names}
    finite = {name: values[np.isfinite(values)] for name, values in ratios.items()}
    own = finite[policy]
    if own.size:
        low, high = min(own.min(), 0.95), max(own.max(), 1.05)
        bins = np.linspace(np.log(low), np.log(high), max(12, min(40, own.size // 6)))
        left.hist(own, np.exp(bins), color=colour[policy], alpha=0.85)
        mean = _geometric_mean(own)
        left.axvline(mean, color=style.EXACT, linewidth=1, linestyle="--", label=f"geometric mean {written(mean)}")
    left.axvline(1, color=style.GUIDE, linewidth=1)
    left.set(xscale="log", xlabel=f"L1 error of {policy} / {base}", ylabel="cases", title=policy)
    _plain_log_ticks(left.xaxis, left.get_xlim())
    style.legend(left, loc="upper left")
    for name, values in ratios.items():
        ordered = np.sort(finite[name])
        if ordered.size:
            share = np.arange(1, ordered.size + 1) / len(values)
            right.step(ordered, share, where="post", color=colour[name], label=name, linewidth=1.6)
    right.axvline(1, color=style.GUIDE, linewidth=1)
    right.set(xscale="log", ylim=(0, 1.02), xlabel=f"L1 error / {base}", ylabel="share of cases below")
    _plain_log_ticks(right.xaxis, right.get_xlim())
    style.legend(right, loc="upper left")
    return style.finished(fig, path)


@style.drawn
def transfer_bars(
    evaluations: Mapping[str, Evaluation], path: Path | str | None = None, *, policy: str | None = None
) -> Figure:
    """Every suite as a bar: a policy's geometric mean of ratios and worst case, beside other policies' means."""
    require(len(evaluations) > 0, "a figure of transfers needs at least one evaluation, got none")
    first = next(iter(evaluations.values()))
    names = list(first.scores)
    policy = style.lead(names, first.baseline, policy)
    rivals = [name for name in names if name not in (policy, first.baseline)]
    colour = style.colours(names, policy, first.baseline)
    fig, axes = style.figure(width=7.2, height=1.3 + 0.36 * len(evaluations))
    axis = axes[0, 0]
    largest, lost = 1.0, False
    for row, evaluation in enumerate(evaluations.values()):
        numbers = evaluation.summary()
        own = numbers[policy]
        if not np.isfinite(own["geometric_mean"]):
            axis.text(
                0.02, row, f"not finite in {own['non_finite']} cases", va="center", fontsize=8, color=style.LEARNED
            )
            lost = True
            continue
        axis.barh(row, own["geometric_mean"], height=0.62, color=colour[policy], alpha=0.9)
        axis.plot(own["worst"], row, "|", color=colour[policy], markersize=13, markeredgewidth=2)
        inside = {"va": "center", "fontsize": 8, "color": "white", "fontweight": "bold"}
        axis.text(0.012 * max(1.0, own["worst"]), row, written(own["geometric_mean"]), **inside)
        largest = max(largest, own["worst"])
        for name in rivals:
            axis.plot(numbers[name]["geometric_mean"], row, "o", color=colour[name], markersize=5)
    axis.axvline(1, color=colour[first.baseline], linewidth=1.4)
    axis.plot([], [], "s", color=colour[policy], markersize=9, label=f"{policy}, geometric mean")
    axis.plot([], [], "|", color=colour[policy], markersize=11, markeredgewidth=2, label=f"{policy}, worst case")
    for name in rivals:
        axis.plot([], [], "o", color=colour[name], markersize=5, label=f"{name}, geometric mean")
    axis.plot([], [], color=colour[first.baseline], label=first.baseline)
    axis.set_yticks(range(len(evaluations)), list(evaluations), fontsize=9)
    axis.set(xlim=(0, 1.05 * largest if not lost else max(1.3, 1.05 * largest)), xlabel=f"L1 error / {first.baseline}")
    axis.invert_yaxis()
    axis.grid(False, axis="y")
    style.legend(axis, loc="upper center", bbox_to_anchor=(0.5, -0.2 * 3 / len(evaluations) - 0.12), ncols=2)
    return style.finished(fig, path)


@style.drawn
def cost_figure(evaluation: Evaluation, path: Path | str | None = None, *, policy: str | None = None) -> Figure:
    """Error against cost: the mean L1 error of every policy over its time per cell and Runge-Kutta stage."""
    base = evaluation.baseline
    names = list(evaluation.scores)
    colour = style.colours(names, style.lead(names, base, policy), base)
    fig, axes = style.figure(width=5.2, height=3.6)
    axis = axes[0, 0]
    for name, numbers in evaluation.summary().items():
        axis.plot(numbers["nanoseconds"], numbers["geometric_mean"], "o", color=colour[name], markersize=9)
        where = {"xytext": (8, 5), "textcoords": "offset points", "fontsize": 9}
        axis.annotate(name, (numbers["nanoseconds"], numbers["geometric_mean"]), **where)
    axis.axhline(1, color=style.GUIDE, linewidth=1)
    axis.set(xlabel="nanoseconds per cell and stage", ylabel=f"L1 error / {base}, geometric mean")
    axis.margins(0.25)
    axis.set_xlim(left=0)
    return style.finished(fig, path)


def _geometric_mean(values: np.ndarray) -> float:
    return float(geometric_mean(values)) if values.size else float("nan")


def _name(norm: str) -> str:
    return {"l1": "L1", "l2": "L2", "linf": "Linf"}[norm]


def _plain_log_ticks(axis, limits: tuple[float, float]) -> None:
    """Ticks as plain numbers: within a decade the powers of ten say nothing."""
    decades = np.arange(np.floor(np.log10(limits[0])), np.ceil(np.log10(limits[1])) + 1)
    steps = np.array([1, 2, 3, 5, 7]) if limits[1] / limits[0] < 100 else np.array([1.0])
    if limits[1] / limits[0] < 4:
        steps = np.arange(1, 10)
    ticks = (steps * 10.0 ** decades[:, None]).ravel()
    if limits[1] / limits[0] < 1.6:
        ticks = np.arange(0.05, 3, 0.05)
    axis.set_major_locator(FixedLocator(ticks[(ticks >= limits[0]) & (ticks <= limits[1])].tolist()))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
