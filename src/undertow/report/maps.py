"""Maps: states in two dimensions and their gradients, and weights over space and time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from undertow._checks import lookup, require
from undertow.envs.placing import grid_of
from undertow.evaluation.actions import Profile
from undertow.evaluation.comparison import Comparison
from undertow.evaluation.planes import PlaneTransfer
from undertow.evaluation.simulation import Simulation, quantities
from undertow.laws.planes import plane_case
from undertow.report import style
from undertow.schemes.coefficients import weno_coefficients

SHADE = 15.0
"""The contrast of schlieren pictures: a gradient of a fifth of the largest is darker than 95 percent."""
_DIRECTIONS = ("right-going", "left-going")


def schlieren(
    field: Float[np.ndarray, "*cells"],
    spacing: Sequence[float],
    *,
    contrast: float = SHADE,
    largest: float | None = None,
) -> Float[np.ndarray, "*cells"]:
    r"""A numerical schlieren picture: $\exp(-k\,|\nabla\rho| / \max|\nabla\rho|)$, 1 (white) where nothing changes.

    Gradients are central differences, one-sided at the edges.

    **Arguments:** `field` $\rho$, usually the density; `spacing`: cell size per axis; `contrast` $k$, default 15; `largest`: what
    counts as the largest gradient, default the field's own; the same for several pictures makes them comparable.

    **Reference:** Quirk and Karni (1996), J. Fluid Mech. 318, 129-163, use such pictures, with a scale of their own.
    """
    slope = gradient_size(field, spacing)
    top = style.largest(slope) if largest is None else largest
    return np.exp(-contrast * slope / (top if top > 0 else 1.0))


def gradient_size(field: Float[np.ndarray, "*cells"], spacing: Sequence[float]) -> Float[np.ndarray, "*cells"]:
    r"""$|\nabla\rho|$ by central differences, one-sided at the edges."""
    with np.errstate(invalid="ignore"):  # beside what is infinite there is none
        parts = np.gradient(field, *spacing)
    # No square of a steep or a faint one leaves the range of numbers.
    return np.hypot.reduce(parts) if isinstance(parts, (list, tuple)) else np.abs(parts)


@style.drawn
def plane_maps(
    comparison: Comparison,
    path: Path | str | None = None,
    *,
    saved: int = -1,
    quantity: str | None = None,
    contrast: float = SHADE,
) -> Figure:
    """A state in two dimensions, a column per policy (and the reference's, if there is one): its map, and its schlieren picture.

    All maps share one scale of colours, and all schlieren pictures one scale of grey.

    **Arguments:** `comparison`; `path`; `saved`: which state, default the last; `quantity` by name, default the first (the
    density of a gas); `contrast` of the schlieren pictures.

    **Raises:** `UndertowError` for one dimension, or an unknown quantity.
    """
    runs = dict(comparison.simulations)
    if len({each.grid for each in runs.values()}) > 1:
        runs = {f"{name}, {_cells(each)}": each for name, each in runs.items()}
    if comparison.reference is not None:
        same = comparison.reference.grid == comparison.grid
        runs["reference" if same else f"reference, {_cells(comparison.reference)}"] = comparison.reference
    panels = [(name, each, saved) for name, each in runs.items()]
    return _maps(panels, path, comparison.describe(saved), quantity, contrast)


@style.drawn
def time_maps(
    simulation: Simulation,
    path: Path | str | None = None,
    *,
    quantity: str | None = None,
    contrast: float = SHADE,
    title: str = "",
) -> Figure:
    """The saved states of one run in two dimensions, a column each, as maps and schlieren pictures.

    There are at most four, the last among them; the initial state is left out. **Arguments:** as of `plane_maps`.
    """
    count = len(simulation.times) - 1
    chosen = np.unique(np.linspace(1, count, min(4, count)).round().astype(int))
    panels = [(f"t = {simulation.times[index]:.4g}", simulation, int(index)) for index in chosen]
    about = _cells(simulation) + " cells"
    return _maps(panels, path, f"{title}, {about}" if title else about, quantity, contrast)


@style.drawn
def transfer_maps(
    study: PlaneTransfer, case: str, path: Path | str | None = None, *, contrast: float = SHADE
) -> Figure:
    """One case of a study in the plane at its end: a column per run, its first quantity and its schlieren picture. Runs that
    did not reach the end are left blank.

    **Raises:** `UndertowError` if the study has no run of the case.
    """
    runs = [run for run in study.runs if run.case == case]
    require(
        bool(runs), f"the study has no run of case {case!r}; it has {', '.join(sorted({r.case for r in study.runs}))}"
    )
    field = plane_case(case).field()
    panels = []
    for run in runs:
        times, values = np.array([run.time]), run.state[None]
        if not np.isfinite(run.error):  # what it left on its way would set the scale of all others
            values = np.full_like(values, np.nan)
        held = Simulation(field, field.law, grid_of(field, run.cells), times, values, None, run.steps, run.seconds)
        panels.append((f"{run.policy}, {_cells(held)} cells", held, 0))
    return _maps(panels, path, f"{case}, t = {runs[0].time:.4g}", None, contrast)


@style.drawn
def _maps(
    panels: Sequence[tuple[str, Simulation, int]],
    path: Path | str | None,
    title: str,
    quantity: str | None,
    contrast: float,
) -> Figure:
    first = panels[0][1]
    require(first.grid.num_axes == 2, f"maps are of two dimensions, got {first.grid.num_axes}; draw profiles")
    fields = [pick(each, saved, quantity) for _, each, saved in panels]
    slopes = [gradient_size(field, each.grid.spacing) for field, (_, each, _) in zip(fields, panels, strict=True)]
    scale, steepest = scale_of(fields), style.largest(*slopes)
    fig, axes = map_axes(len(panels), first)
    image = None
    for column, ((name, each, _), field) in enumerate(zip(panels, fields, strict=True)):
        image = show_map(axes[0, column], each, field, cmap="viridis", norm=scale)
        grey = schlieren(field, each.grid.spacing, contrast=contrast, largest=steepest)
        show_map(axes[1, column], each, grey, cmap="gray", norm=Normalize(0, 1))
        axes[0, column].set_title(name)
        if not np.isfinite(field).all():
            where = {"transform": axes[0, column].transAxes, "ha": "center", "fontsize": 9, "color": style.LEARNED}
            axes[0, column].text(0.5, 0.5, "not finite", **where)
    named = next(iter(quantities(first.law, first.values[0]))) if quantity is None else quantity
    if image is not None:
        bar = fig.colorbar(image, ax=list(axes[0]), pad=0.01)
        bar.set_label(named, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    what = f"{named} and its schlieren picture" if len(panels) == 1 else f"above {named}, below its schlieren picture"
    fig.suptitle(f"{title}\n{what}", fontsize=10)
    return style.finished(fig, path)


def pick(simulation: Simulation, saved: int, quantity: str | None = None) -> np.ndarray:
    """One quantity of a saved state, the first by default. Raises `UndertowError` for an unknown one."""
    found = simulation.quantities(saved)
    return lookup("quantity", next(iter(found)) if quantity is None else quantity, found)


def scale_of(fields: Sequence[np.ndarray]) -> Normalize:
    """One scale of colours for several maps, whatever is not finite among them."""
    values = np.concatenate([field[np.isfinite(field)] for field in fields])
    if values.size == 0:
        return Normalize(0, 1)
    low, high = float(values.min()), float(values.max())
    return Normalize(low, low + style.span(low, high, 1e-12))


@style.drawn
def map_axes(count: int, simulation: Simulation, *, width: float = 3.6) -> tuple[Figure, np.ndarray]:
    """Axes for so many maps (the first row) and their schlieren pictures (the second one), of the shape of the domain.

    One map stands beside its picture, several stand above theirs.
    """
    grid = simulation.grid
    shape = (grid.upper[1] - grid.lower[1]) / (grid.upper[0] - grid.lower[0])
    high = min(width * shape, 1.6 * width)
    rows, columns = (1, 2) if count == 1 else (2, count)
    wide = high / shape + (0.6 if shape > 1.6 else 0.0)
    fig, axes = style.figure(rows, columns, width=wide, height=0.92 * high + 0.35, sharex=True, sharey=True)
    for axis in axes[-1]:
        axis.set_xlabel("x")
    for axis in axes[:, 0]:
        axis.set_ylabel("y")
    return fig, axes.T if count == 1 else axes


def show_map(axis: Axes, simulation: Simulation, field: np.ndarray, *, cmap: str, norm: Normalize) -> AxesImage:
    """Draw a field on the domain of a run, the first axis to the right and the second one up; cells as they are."""
    grid = simulation.grid
    extent = (grid.lower[0], grid.upper[0], grid.lower[1], grid.upper[1])
    axis.grid(False)
    return axis.imshow(field.T, origin="lower", extent=extent, cmap=cmap, norm=norm, interpolation="nearest")


def _cells(simulation: Simulation) -> str:
    return " x ".join(str(count) for count in simulation.grid.num_cells)


@style.drawn
def weight_maps(
    profile: Profile,
    path: Path | str | None = None,
    *,
    substencil: int | None = None,
    direction: int = 0,
    policies: Sequence[str] | None = None,
) -> Figure:
    """The weight of one substencil over x (to the right) and t (up): a row per policy, a column per field, beside the state.

    White is the linear weight, which is what a scheme of full order has; red is more, blue is less. On the left the first
    component of the states that the weights were chosen on, and below it its schlieren picture.

    **Arguments:** `profile` with several saved states, see [`profile`][undertow.evaluation.actions.profile]; `path`;
    `substencil`: counted from the upwind side, default the middle one; `direction`: 0 for the right-going flux (default), 1 for
    the left-going one; `policies` to show, default all.

    **Raises:** `UndertowError` for a profile of fewer than two states, or unknown names.
    """
    names = list(profile.weights) if policies is None else list(policies)
    chosen = [lookup("policy", name, profile.weights) for name in names]
    require(len(profile.times) > 1, "weights over time need at least two saved states; give profile an `every`")
    require(direction in (0, 1), f"direction is 0 (right-going) or 1 (left-going), got {direction!r}")
    r = chosen[0].shape[-1]
    k = r // 2 if substencil is None else substencil
    require(0 <= k < r, f"substencils are 0 to {r - 1}, got {k}")
    linear = float(weno_coefficients(2 * r - 1).linear_weights[k])
    count = len(profile.fields)
    fig, axes = style.figure(len(names), 1 + count, width=3.0, height=2.6, sharex=True, sharey=True)
    state = profile.states[:, 0]
    shown = {"shading": "nearest", "rasterized": True}
    image = axes[0, 0].pcolormesh(profile.x, profile.times, state, cmap="viridis", norm=scale_of([state]), **shown)
    axes[0, 0].set_title(profile.components[0])
    bar = fig.colorbar(image, ax=axes[0, 0], location="left", pad=0.02)
    bar.ax.tick_params(labelsize=8)
    if len(names) > 1:
        dx = float(profile.x[1] - profile.x[0])
        # Steepness at every time by itself: waves stay visible while jumps are smeared.
        with np.errstate(invalid="ignore"):
            slope = np.abs(np.gradient(state, dx, axis=1))
        top = np.max(slope, axis=1, keepdims=True, initial=0.0, where=np.isfinite(slope))
        grey = np.exp(-SHADE * slope / np.where(top > 0, top, 1.0))
        axes[1, 0].pcolormesh(profile.x, profile.times, grey, cmap="gray", vmin=0, vmax=1, **shown)
        axes[1, 0].set_title("its schlieren picture")
    for axis in axes[2:, 0]:
        axis.set_visible(False)
    norm = TwoSlopeNorm(linear, 0.0, 1.0)
    for row, (name, weights) in enumerate(zip(names, chosen, strict=True)):
        for field in range(count):
            axis = axes[row, 1 + field]
            values = weights[:, direction, field, :, k]
            image = axis.pcolormesh(profile.faces, profile.times, values, cmap="RdBu_r", norm=norm, **shown)
            axis.set_title(f"{name}: {profile.fields[field]}" if count > 1 else name)
    for axis in axes.flat:
        axis.grid(False)
    for axis in axes[-1]:
        axis.set_xlabel("x")
    for axis in axes[:, 0]:
        axis.set_ylabel("t")
    ticks = sorted({0.0, round(linear, 3), 1.0, round(linear / 2, 2), round((1 + linear) / 2, 2)})
    bar = fig.colorbar(image, ax=list(axes[:, 1:].flat), pad=0.01, ticks=ticks)
    place = "upwind" if k == 0 else "downwind" if k == r - 1 else "middle"
    bar.set_label(f"weight w{k} ({place}), linear: {linear:g}", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    fig.suptitle(f"{profile.title}; {_DIRECTIONS[direction]} flux", fontsize=10)
    return style.finished(fig, path)
