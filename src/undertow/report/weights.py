"""Figures of what policies choose: weights beside the solution, and one policy's weights against another's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from undertow._checks import require
from undertow.evaluation.actions import Profile
from undertow.report import style
from undertow.schemes.coefficients import weno_coefficients

_DIRECTIONS = ("right-going flux", "left-going flux")


@style.drawn
def weight_profile(
    profile: Profile,
    path: Path | str | None = None,
    *,
    saved: int = -1,
    field: int = 0,
    policies: Sequence[str] | None = None,
    baseline: str | None = "weno-js",
) -> Figure:
    """The weights along x of both directions' fluxes, below the state they were chosen on.

    **Arguments:** `profile`; `path`; `saved`: which of its states, default the last; `field`: which of its fields, default
    the first; `policies` to show, default all; `baseline`: drawn thin.
    """
    names = list(profile.weights) if policies is None else list(policies)
    colour = style.colours(names, style.lead(names, baseline), baseline)
    r = profile.weights[names[0]].shape[-1]
    linear = _linear(r)
    fig, axes = style.figure(r + 1, 2, width=4.6, height=1.5, sharex=True, sharey="row")
    for column, direction in enumerate(_DIRECTIONS):
        axes[0, column].plot(profile.x, profile.states[saved, 0], "o-", color=style.EXACT, markersize=2, linewidth=0.9)
        axes[0, column].set_title(direction, fontsize=9)
        for k in range(r):
            axis = axes[k + 1, column]
            axis.axhline(linear[k], color=style.GUIDE, linewidth=0.9, linestyle=":")
            for name in reversed(names):
                look = {"linewidth": 1.0, "linestyle": "--"} if name == baseline else {"linewidth": 1.5}
                weight = profile.weights[name][saved, column, field, :, k]
                axis.plot(profile.faces, weight, color=colour[name], label=name, drawstyle="steps-mid", **look)
            axis.set_ylim(-0.04, 1.04)
        axes[-1, column].set_xlabel("x")
    axes[0, 0].set_ylabel(profile.components[0])
    for k in range(r):
        place = ", upwind" if k == 0 else ", downwind" if k == r - 1 else ""
        axes[k + 1, 0].set_ylabel(f"w{k}{place}")
    axes[1, 0].plot([], [], color=style.GUIDE, linewidth=0.9, linestyle=":", label="linear weight")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    which = f", field {profile.fields[field]}" if len(profile.fields) > 1 else ""
    title = f"{profile.title}, t = {profile.times[saved]:.4g}{which}"
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9, title=title)
    return style.finished(fig, path)


@style.drawn
def weight_scatter(
    profiles: Sequence[Profile],
    path: Path | str | None = None,
    *,
    policy: str | None = None,
    baseline: str = "weno-js",
) -> Figure:
    """One policy's weights against the baseline's, over all states, faces and directions of some profiles.

    Darker places hold more of them.
    """
    require(len(profiles) > 0, "a figure of weights needs at least one profile, got none")
    policy = style.lead(list(profiles[0].weights), baseline, policy)
    for profile in profiles:
        require(baseline in profile.weights, f"the profile of {profile.title} has no policy {baseline!r}")
    r = profiles[0].weights[policy].shape[-1]
    mine = np.concatenate([profile.weights[policy].reshape(-1, r) for profile in profiles])
    theirs = np.concatenate([profile.weights[baseline].reshape(-1, r) for profile in profiles])
    keep = np.isfinite(mine).all(axis=1) & np.isfinite(theirs).all(axis=1)
    mine, theirs = mine[keep], theirs[keep]
    linear = _linear(r)
    fig, axes = style.figure(1, r, width=3.4, height=3.8)
    image = None
    for k in range(r):
        axis = axes[0, k]
        if len(mine):
            look = {"gridsize": 45, "extent": (0, 1, 0, 1), "cmap": "inferno_r", "linewidths": 0.1}
            image = axis.hexbin(theirs[:, k], mine[:, k], bins="log", mincnt=1, **look)
        axis.plot([0, 1], [0, 1], color=style.GUIDE, linewidth=0.9)
        axis.plot(linear[k], linear[k], "+", color=style.BASELINE, markersize=11, markeredgewidth=1.6)
        place = "upwind" if k == 0 else "downwind" if k == r - 1 else "middle"
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", title=f"w{k} ({place})", xlabel=baseline)
    axes[0, 0].set_ylabel(policy)
    if image is not None:
        bar = fig.colorbar(image, ax=list(axes[0]), pad=0.01, shrink=0.8)
        bar.set_label("faces", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    lost = f", {len(keep) - len(mine):,} more without finite weights" if not keep.all() else ""
    fig.suptitle(f"{len(mine):,} stencils{lost}; cross: the linear weight", fontsize=9)
    return style.finished(fig, path)


@style.drawn
def snapshot_figure(
    profiles: Sequence[Profile], path: Path | str | None = None, *, baseline: str | None = "weno-js"
) -> Figure:
    """The weights of the right-going flux on several fixed states, a column each: to watch a training by."""
    require(len(profiles) > 0, "a figure of snapshots needs at least one profile, got none")
    names = list(profiles[0].weights)
    colour = style.colours(names, style.lead(names, baseline), baseline)
    r = profiles[0].weights[names[0]].shape[-1]
    fig, axes = style.figure(r + 1, len(profiles), width=2.5, height=1.4, sharex=True)
    linear = _linear(r)
    for column, profile in enumerate(profiles):
        axes[0, column].plot(profile.x, profile.states[0, 0], color=style.EXACT, linewidth=1.1)
        axes[0, column].set_title(profile.title, fontsize=9)
        for k in range(r):
            axis = axes[k + 1, column]
            axis.axhline(linear[k], color=style.GUIDE, linewidth=0.9, linestyle=":")
            for name in reversed(names):
                look = {"linewidth": 0.9, "linestyle": "--"} if name == baseline else {"linewidth": 1.3}
                axis.plot(profile.faces, profile.weights[name][0, 0, 0, :, k], color=colour[name], label=name, **look)
            axis.set_ylim(-0.04, 1.04)
            if column:
                axis.tick_params(labelleft=False)
        axes[-1, column].set_xlabel("x")
    axes[0, 0].set_ylabel(profiles[0].components[0])
    for k in range(r):
        axes[k + 1, 0].set_ylabel(f"w{k}")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return style.finished(fig, path)


def _linear(r: int) -> np.ndarray:
    return np.asarray(weno_coefficients(2 * r - 1).linear_weights, float)
