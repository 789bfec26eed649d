"""What a page says of any run: how it went, how its training went, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from undertow._checks import UndertowError
from undertow.instruments.health import FlowCosines, StepGradients
from undertow.report.html.blocks import OTHERS, Block, Role, chart, facts, line, table
from undertow.report.html.page import Section
from undertow.report.style import log_limits
from undertow.report.training import training_panels

Metrics = Mapping[str, np.ndarray]
_MOST = 2000
"""Points of one training curve: more than a screen has columns."""


def training_section(metrics: Metrics | None) -> Section:
    """The curves of a training, from the columns of `metrics.csv`; None before the first evaluation."""
    try:
        panels = [] if metrics is None else training_panels(metrics)
    except UndertowError:  # nothing but the first row, before any update
        panels = []
    if metrics is None or not panels:
        return Section("training", "Training", note="Nothing has been recorded yet.")
    update = np.asarray(metrics["update"], float)
    blocks = []
    for panel in panels:
        lines = []
        roles: tuple[Role, Role] = ("learned", "other-0")
        for (column, label), role in zip(panel.columns.items(), roles, strict=False):
            values = np.asarray(metrics[column], float)
            good = np.flatnonzero(np.isfinite(values))
            shown = good[np.unique(np.linspace(0, len(good) - 1, min(len(good), _MOST)).round().astype(int))]
            lines.append(line(label, update[shown], values[shown], role))
        level = None if panel.level is None else (panel.level, "weno-js")
        blocks.append(chart(panel.title, lines, x="update", log=panel.log, level=level))
    return Section("training", "Training", blocks)


def health_section(gradients: StepGradients | None, cosines: FlowCosines | None, note: str = "") -> Section:
    """How large the gradient is that arrives at every step of the unroll, by flow, and how the flows' gradients lie to each
    other."""
    blocks: list[Block] = []
    if gradients is not None:
        steps = np.arange(gradients.actions.shape[1])
        shown = {
            name: norms for name, norms in zip(gradients.flows, gradients.actions, strict=True) if (norms > 0).any()
        }
        lines = [
            # A zero has no place on a logarithmic axis.
            line(name, steps[norms > 0], norms[norms > 0], role)
            for (name, norms), role in zip(shown.items(), ("learned", "baseline", *OTHERS), strict=False)
        ]
        low, high = log_limits(np.concatenate(list(shown.values()) or [np.ones(1)]), 2.0)
        # What vanishes does so without end, and would leave the rest no room.
        limits = (max(low, high / 2 * 1e-12), high)
        if lines:
            blocks.append(
                chart("norm of the gradient by the action of each step", lines, x="step", log=True, limits=limits)
            )
        rows = [
            [name, balance.growth, balance.decades, balance.silent] for name, balance in gradients.balance().items()
        ]
        blocks.append(
            table(
                ["flow", "growth per step back", "decades", "share of silent steps"],
                rows,
                "Above 1 the gradient explodes on its way back, below 1 it vanishes. Silent: nothing arrives.",
            )
        )
    if cosines is not None:
        rows = [
            [name, cosines.norms[i], *(cosines.cosine[i, j] for j in range(len(cosines.flows)))]
            for i, name in enumerate(cosines.flows)
        ]
        blocks.append(
            table(
                ["flow", "norm", *(f"cosine to {name}" for name in cosines.flows)],
                rows,
                "The gradient by the policy's parameters under every flow, and the cosines of the angles between them.",
            )
        )
    return Section("gradients", "Gradients", blocks, note)


def status_line(info: Mapping[str, Any], status: str, summary: Mapping[str, Any] | None) -> str:
    """One line: status, reason, updates, best metric."""
    parts = [status if info.get("reason") is None else f"{status}: {info['reason']}"]
    if summary is not None and "updates" in summary:
        seconds = summary.get("training_seconds")
        taken = "" if seconds is None else f" in {float(seconds):.0f} s"
        parts.append(f"{summary['updates']:,} updates{taken}")
        best = summary.get("best")
        if best:
            parts.append(f"best {best['metric']} {float(best['value']):.4g} after update {best['update']}")
    return " · ".join(parts)


def provenance_section(info: Mapping[str, Any], config: Mapping[str, Any]) -> Section:
    """Where a run comes from: command, versions, machine; and its whole configuration, by dotted names."""
    git = info.get("git") or {}
    commit = git.get("commit")
    device = info.get("device") or {}
    pairs = {
        "run": info.get("id"),
        "command": " ".join(info.get("command") or ()) or "from Python",
        "start": info.get("start"),
        "end": info.get("end"),
        "seconds": info.get("seconds"),
        "resumed": len(info.get("resumed") or ()),
        "commit": f"{commit[:12]}{', with changes' if git.get('dirty') else ''}" if commit else None,
        "system": info.get("platform"),
        "device": f"{device.get('count', 1)} x {device.get('kind', '?')}" if device else None,
        "double precision": info.get("float64"),
        **(info.get("versions") or {}),
    }
    blocks = [facts(pairs), facts(config, summary="every field of the configuration")]
    return Section("provenance", "Configuration and versions", blocks)
