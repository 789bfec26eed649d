"""Scenes of controlled systems, drawn: whole trajectories in one figure, and single moments of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from undertow.core.unroll import Trajectory
from undertow.report import style
from undertow.tasks.scene import Drawable, Profile, Scene, Shape, Trace

SHOWN = 6
"""Trajectories in one picture."""
MOMENTS = 9
"""Moments of a trajectory that are drawn one over the other."""
_POINTS = 0.6
"""Matplotlib's points in a pixel of the page."""
_COLOURS = {"own": style.LEARNED, "learned": style.LEARNED, "baseline": style.BASELINE, "exact": style.EXACT}


@style.drawn
def behaviour(environment: Drawable, trajectory: Trajectory) -> Figure:
    """What happens along several trajectories, `"state time ..."`."""
    pairs = list(zip(trajectory.states[:SHOWN], trajectory.actions[:SHOWN], strict=True))
    scenes = [environment.scene(*pair) for pair in pairs]
    traces = [environment.traces(*pair) for pair in pairs]
    if scenes[0].profile is not None:
        return _profiles(scenes[: SHOWN // 2], traces)
    if traces[0]:
        return _motion_and_traces(scenes, traces)
    columns = min(3, len(scenes))
    fig, axes = style.figure(-(-len(scenes) // columns), columns, width=3.4, height=3.4)
    for axis, scene in zip(axes.flat, scenes, strict=False):
        _motion(axis, scene)
    for axis in list(axes.flat)[len(scenes) :]:
        axis.set_visible(False)
    axes[0, 0].set_title(f"paths; dots: where they end{_marks(scenes[0])}")
    style.legend(axes[0, 0])
    return fig


@style.drawn
def stage(scene: Scene) -> tuple[Figure, Callable[[int], None]]:
    """A figure of single moments of a scene, and what draws one into it, by its place in time."""
    fig, axes = style.figure(width=5.5, height=3.4)
    axis = axes[0, 0]
    move = _line_of(axis, scene.profile) if scene.profile is not None else _artists(axis, scene)
    axis.set_xlabel(scene.x)

    def draw(step: int) -> None:
        move(step)
        said = f", {scene.captions[step]}" if scene.captions else ""
        axis.set_title(f"t = {scene.times[step]:.4g} {scene.unit}".rstrip() + said + _marks(scene))

    return fig, draw


def _line_of(axis: Axes, profile: Profile) -> Callable[[int], None]:
    (line,) = axis.plot(profile.x, profile.values[0], color=style.LEARNED)
    axis.set(ylabel=profile.label, ylim=(0, 1.1 * style.largest(profile.values) or 1.0))
    return lambda step: line.set_ydata(profile.values[step])


def _artists(axis: Axes, scene: Scene) -> Callable[[int], None]:
    moving = [(shape, _artist(axis, shape)) for shape in scene.shapes]
    _frame(axis, scene)
    if any(shape.kind == "disc" and not shape.radius for shape in scene.shapes):
        style.legend(axis, loc="upper right")

    def move(step: int) -> None:
        for shape, part in moving:
            if isinstance(part, Line2D):
                part.set_data(*shape.points[step].T)
            else:
                for circle, (x, y) in zip(part, shape.points[step], strict=True):
                    circle.center = (x, y)

    return move


def _artist(axis: Axes, shape: Shape) -> list[Circle] | Line2D:
    """A circle for each point of a disc with a size, one line for anything else."""
    colour = _COLOURS[shape.role]
    if shape.radius:
        circles = [_circle(shape, point, colour) for point in shape.points[0]]
        for each in circles:
            axis.add_patch(each)
        return circles
    looks: dict[str, Any] = {
        "path": {"linewidth": _POINTS * shape.width},
        "disc": {"marker": "o", "linestyle": "", "label": shape.label},
        "mark": {"marker": "+", "linestyle": "", "markersize": 9},
    }
    (line,) = axis.plot(*shape.points[0].T, color=colour, **looks[shape.kind])
    return line


def _circle(shape: Shape, point: np.ndarray, colour: str, alpha: float = 1.0) -> Circle:
    return Circle((point[0], point[1]), shape.radius, fill=False, edgecolor=colour, alpha=alpha)


def _frame(axis: Axes, scene: Scene) -> None:
    assert scene.bounds is not None  # shapes have a plane
    across, up = scene.bounds
    axis.set(xlim=across, ylim=up, aspect="equal", xlabel=scene.x, ylabel=scene.y)


def _marks(scene: Scene) -> str:
    return "".join(f"; +: {shape.label}" for shape in scene.shapes if shape.kind == "mark")


def _motion(axis: Axes, scene: Scene) -> None:
    """All of a scene in one picture: where things were at some moments, dark is late, and the ways of bodies."""
    moments = np.linspace(0, len(scene.times) - 1, MOMENTS).round().astype(int)
    shades = 0.15 + 0.85 * np.arange(MOMENTS) / (MOMENTS - 1)
    for shape in scene.shapes:
        colour = _COLOURS[shape.role]
        if shape.kind == "path":
            widths = _POINTS * shape.width
            lines = LineCollection(list(shape.points[moments]), colors=colour, linewidths=widths, alpha=shades)
            axis.add_collection(lines)
        elif shape.kind == "mark":
            axis.plot(*shape.points[-1].T, "+", color=colour, markersize=9)
        else:
            for body in range(shape.points.shape[1]):
                way = shape.points[:, body]
                axis.plot(*way.T, color=colour, linewidth=1, label=shape.label if body == 0 else None)
                if not shape.radius:
                    axis.plot(*way[-1], "o", color=colour, markersize=4)
                    continue
                for moment, shade in zip(moments, shades, strict=True):
                    axis.add_patch(_circle(shape, way[moment], colour, shade))
    _frame(axis, scene)


@style.drawn
def _motion_and_traces(scenes: Sequence[Scene], traces: Sequence[tuple[Trace, ...]]) -> Figure:
    """A panel per quantity with all trajectories, and one of them in motion."""
    fig, axes = style.figure(1, len(traces[0]) + 1, width=3.6, height=3.0)
    for index, (scene, own) in enumerate(zip(scenes, traces, strict=True)):
        colour = style.OTHERS[index % len(style.OTHERS)] if index else style.LEARNED
        for axis, trace in zip(axes[0], own, strict=False):
            _curves(axis, scene, trace, colour)
    for axis, trace in zip(axes[0], traces[0], strict=False):
        axis.set(title=trace.title, xlabel=_time(scenes[0]))
        for level in trace.levels:
            axis.axhline(level, color=style.GUIDE, linewidth=0.8, linestyle="--")
        if trace.from_zero:
            axis.set_ylim(0, None)
    _motion(axes[0, -1], scenes[0])
    axes[0, -1].set_title(f"one of them, dark is late{_marks(scenes[0])}")
    return fig


@style.drawn
def _profiles(scenes: Sequence[Scene], traces: Sequence[tuple[Trace, ...]]) -> Figure:
    """A column per trajectory: the profile over time, and what else there is below."""
    fig, axes = style.figure(1 + len(traces[0]), len(scenes), width=3.4, height=2.6)
    for column, (scene, own) in enumerate(zip(scenes, traces, strict=False)):
        profile = scene.profile
        assert profile is not None  # all scenes of a system are of one kind
        top, *below = axes[:, column]
        extent = (scene.times[0], scene.times[-1], *profile.ends)
        top.imshow(profile.values.T, origin="lower", aspect="auto", extent=extent, cmap="magma")
        top.grid(False)
        top.set(title=f"{profile.label} over time" if column == 0 else "", ylabel=scene.x)
        for axis, trace in zip(below, own, strict=True):
            _curves(axis, scene, trace, style.LEARNED)
            axis.set(title=trace.title if column == 0 else "", xlabel=_time(scene))
    return fig


def _curves(axis: Axes, scene: Scene, trace: Trace, colour: str) -> None:
    axis.plot(scene.times[: len(trace.values)], trace.values, color=colour, linewidth=1.1)


def _time(scene: Scene) -> str:
    return f"t / {scene.unit}" if scene.unit else "t"
