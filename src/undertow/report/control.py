"""What controllers do: pictures of trajectories, and moving ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from undertow._checks import UndertowError, at_home, require
from undertow.core.environment import AbstractEnvironment
from undertow.core.objective import Cost
from undertow.core.unroll import Trajectory
from undertow.evaluation.control import ControlEvaluation
from undertow.evaluation.health import StepGradients
from undertow.report import style
from undertow.report.animation import write_gif
from undertow.report.figures import Named, save_figures
from undertow.report.health import step_gradients_figure
from undertow.report.training import training_figure
from undertow.tasks.cartpole import CartPole
from undertow.tasks.contact import Pusher
from undertow.tasks.guidance import Guidance
from undertow.tasks.quantum import QuantumBox

SHOWN = 6
"""Trajectories in one picture."""
CART = 0.15
"""Half the width of a cart, as a share of a pole's length."""
ROOM = 0.2
"""What is left free around all places of a plane, as a share of the longer side."""


def draw_control(
    folder: Path | str,
    environment: AbstractEnvironment,
    evaluation: ControlEvaluation,
    metrics: Mapping[str, np.ndarray] | None = None,
    *,
    cost: Cost,
    health: StepGradients | None = None,
) -> list[Path]:
    """Every figure of a controller's run: training, costs over time, behaviour, gradients by step, and a moving picture of one
    trajectory.

    **Arguments:** `folder`: made if it does not exist; the others as of `control_figures`.

    **Raises:** `UndertowError` if the folder cannot be made or written to.
    """
    figures = control_figures(environment, evaluation, metrics, cost=cost, health=health)
    moving: list[Path] = []
    try:
        paths = save_figures(folder, figures)
    finally:  # one that cannot be drawn takes no other with it
        if type(environment) in _PICTURES:
            moving.append(animate_control(environment, evaluation, Path(folder) / "behaviour.gif"))
    return [*paths, *moving]


def control_figures(
    environment: AbstractEnvironment,
    evaluation: ControlEvaluation,
    metrics: Mapping[str, np.ndarray] | None = None,
    *,
    cost: Cost,
    health: StepGradients | None = None,
) -> Iterator[Named]:
    """The figures of a controller's run that do not move, each drawn when it is asked for.

    **Arguments:** `environment`; `evaluation`: the first controller in it is the one shown; `metrics`: the columns of
    `metrics.csv`, None for no training curve; `cost` of one state; `health`: gradients by unroll step, None for no figure of
    them.

    **Returns:** names and figures, in the order in which to look at them.
    """
    if metrics is not None:
        yield "training", training_figure(metrics)
    yield "cost", cost_over_time(evaluation, cost=cost)
    if health is not None:
        yield "gradients", step_gradients_figure(health)
    if type(environment) in _PICTURES:
        yield "behaviour", behaviour_figure(environment, evaluation)


@style.drawn
def cost_over_time(evaluation: ControlEvaluation, path: Path | str | None = None, *, cost: Cost) -> Figure:
    """The cost of the state over time: median and middle half of the kept trajectories, by controller."""
    fig, axes = style.figure(width=5.0, height=3.2)
    axis = axes[0, 0]
    names = list(evaluation.trajectories)
    for name, colour in zip(names, (style.LEARNED, style.BASELINE, *style.OTHERS), strict=False):
        costs = np.asarray(jax.vmap(jax.vmap(cost))(evaluation.trajectories[name].states))
        low, middle, high = np.nanquantile(costs, [0.25, 0.5, 0.75], axis=0)
        axis.fill_between(np.arange(costs.shape[1]), low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(middle, color=colour, linewidth=1.5, label=name)
    axis.set(title=f"cost of the state, {evaluation.suite}: median and middle half", xlabel="step", ylabel="cost")
    style.legend(axis)
    return style.finished(fig, path)


@style.drawn
def behaviour_figure(
    environment: AbstractEnvironment, evaluation: ControlEvaluation, path: Path | str | None = None
) -> Figure:
    """What the first controller of an evaluation does. Raises `UndertowError` for an environment without a picture."""
    if type(environment) not in _PICTURES:
        raise UndertowError(f"there is no picture of a {type(environment).__name__}; draw its trajectories yourself")
    picture, _ = _PICTURES[type(environment)]
    return style.finished(picture(environment, _first(evaluation)), path)


@style.drawn
def animate_control(
    environment: AbstractEnvironment,
    evaluation: ControlEvaluation,
    path: Path | str,
    *,
    state: int = 0,
    fps: int = 25,
    frames: int = 60,
) -> Path:
    """A GIF of one trajectory of an evaluation's first controller.

    **Arguments:** `state`: which of the kept ones; `fps` pictures per second; `frames`: at most so many pictures.

    **Raises:** `UndertowError` for an environment without a picture, a state that was not kept or another ending.
    """
    if type(environment) not in _PICTURES:
        raise UndertowError(f"there is no picture of a {type(environment).__name__}")
    path, trajectory = at_home(path), _first(evaluation)
    require(path.suffix == ".gif", f"an animation ends in .gif, got {path.name!r}")
    count, times = trajectory.states.shape[:2]
    require(0 <= state < count, f"{count} trajectories were kept, so state must be 0 to {count - 1}, got {state}")
    shown = np.unique(np.linspace(0, times - 1, min(frames, times)).round().astype(int))
    _, stage = _PICTURES[type(environment)]
    fig, draw = stage(environment, trajectory.states[state], trajectory.actions[state])
    FigureCanvasAgg(fig)
    return write_gif(
        FuncAnimation(fig, lambda index: draw(int(shown[index])), frames=len(shown), blit=False), path, fps
    )


@style.drawn
def moment_figure(environment: AbstractEnvironment, states: np.ndarray, actions: np.ndarray | None = None) -> Figure:
    """The last of some states, `"time ..."`, within the frame that all of them need.

    **Arguments:** `actions`: between them, `"time-1 ..."`, or None for a single state.

    **Raises:** `UndertowError` for an environment without a picture.
    """
    if type(environment) not in _PICTURES:
        raise UndertowError(f"there is no picture of a {type(environment).__name__}")
    _, stage = _PICTURES[type(environment)]
    fig, draw = stage(environment, states, np.zeros((1, 2)) if actions is None else actions)
    draw(len(states) - 1)
    return fig


def _first(evaluation: ControlEvaluation) -> Trajectory:
    return next(iter(evaluation.trajectories.values()))


# --- cart-pole --------------------------------------------------------------------------------------------------------


@style.drawn
def _cartpole_picture(environment: CartPole, trajectory: Trajectory) -> Figure:
    states, force = trajectory.states[:SHOWN], trajectory.actions[:SHOWN, :, 0]
    dt = float(environment.dt)
    time = dt * np.arange(states.shape[1])
    fig, axes = style.figure(1, 4, width=3.6, height=3.0)
    for index in range(len(states)):
        colour = style.OTHERS[index % len(style.OTHERS)] if index else style.LEARNED
        for pole in range(1, states.shape[2]):
            axes[0, 0].plot(time, states[index, :, pole, 0] / np.pi, color=colour, linewidth=1.1)
        axes[0, 1].plot(time, states[index, :, 0, 0], color=colour, linewidth=1.1)
        axes[0, 2].plot(time[:-1], force[index], color=colour, linewidth=1.1)
    for upright in (0, 2):
        axes[0, 0].axhline(upright, color=style.GUIDE, linewidth=0.8, linestyle="--")
    axes[0, 0].set(title="angle / pi (0 and 2: upright)", xlabel="t / s")
    axes[0, 1].set(title="cart / m", xlabel="t / s")
    axes[0, 2].set(title="force / N", xlabel="t / s")
    axis = axes[0, 3]
    moments = np.linspace(0, states.shape[1] - 1, 9).round().astype(int)
    for rank, moment in enumerate(moments):
        shade = 0.15 + 0.85 * rank / (len(moments) - 1)
        axis.add_collection(_poles(environment, states[0, moment], alpha=shade))
    axis.set(title="one of them, dark is late", xlabel="x / m", aspect="equal")
    axis.autoscale_view()
    axis.set_ylim(-2.3 * float(environment.half_length), 2.3 * float(environment.half_length))
    return fig


def _poles(environment: CartPole, state: np.ndarray, alpha: float = 1.0) -> LineCollection:
    base = np.array([state[0, 0], 0.0])
    reach = 2 * float(environment.half_length)
    tips = [base + reach * np.array([np.sin(angle), np.cos(angle)]) for angle in state[1:, 0]]
    cart = base + CART * reach * np.array([[-1.0, 0.0], [1.0, 0.0]])
    colours = [style.EXACT, *(style.LEARNED for _ in tips)]
    return LineCollection(
        [cart, *([base, tip] for tip in tips)], colors=colours, alpha=alpha, linewidths=[4, *(2 for _ in tips)]
    )


@style.drawn
def _cartpole_stage(environment: CartPole, states: np.ndarray, actions: np.ndarray) -> tuple[Figure, Callable]:
    fig, axes = style.figure(width=5.5, height=3.0)
    axis = axes[0, 0]
    reach = 2.3 * float(environment.half_length)
    low, high = states[:, 0, 0].min() - reach, states[:, 0, 0].max() + reach
    poles = axis.add_collection(_poles(environment, states[0]))
    axis.set(xlim=(low, high), ylim=(-reach, reach), aspect="equal", xlabel="x / m")

    def draw(step: int) -> tuple:
        poles.set_segments(_poles(environment, states[step]).get_segments())
        force = float(actions[min(step, len(actions) - 1), 0])
        axis.set_title(f"t = {step * float(environment.dt):.4g} s, force {force:+.3g} N")
        return (poles,)

    return fig, draw


# --- guidance ---------------------------------------------------------------------------------------------------------


def around(places: np.ndarray) -> list[list[float]]:
    """The ends of both axes of a plane, with room around `places`, `"... 2"`."""
    flat = places.reshape(-1, 2)
    flat = flat[np.isfinite(flat).all(axis=1)] if np.isfinite(flat).all(axis=1).any() else np.zeros((1, 2))
    low, high = flat.min(axis=0), flat.max(axis=0)
    room = ROOM * (float((high - low).max()) or style.largest(flat) or 1.0)
    return [[float(a - room), float(b + room)] for a, b in zip(low, high, strict=True)]


@style.drawn
def _guidance_picture(environment: Guidance, trajectory: Trajectory) -> Figure:
    states = trajectory.states[:SHOWN]
    columns = min(3, len(states))
    fig, axes = style.figure(-(-len(states) // columns), columns, width=3.4, height=3.4)
    for axis, path in zip(axes.flat, states, strict=False):
        for agent in range(path.shape[1]):
            colour = style.BASELINE if agent < environment.drivers else style.LEARNED
            label = {0: "drivers", environment.drivers: "evaders"}.get(agent)
            axis.plot(*path[:, agent, 0].T, color=colour, linewidth=1, label=label)
            axis.plot(*path[-1, agent, 0], "o", color=colour, markersize=4)
        axis.set(aspect="equal", xlabel="x / m", ylabel="y / m")
    for axis in list(axes.flat)[len(states) :]:
        axis.set_visible(False)
    axes[0, 0].set_title("paths; dots: where they end")
    style.legend(axes[0, 0])
    return fig


@style.drawn
def _guidance_stage(environment: Guidance, states: np.ndarray, actions: np.ndarray) -> tuple[Figure, Callable]:
    fig, axes = style.figure(width=4.2, height=4.2)
    axis: Axes = axes[0, 0]
    places = states[:, :, 0]
    (left, right), (bottom, top) = around(places)
    axis.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    n = environment.drivers
    (drivers,) = axis.plot(*places[0, :n].T, "o", color=style.BASELINE, label="drivers")
    (evaders,) = axis.plot(*places[0, n:].T, "o", color=style.LEARNED, label="evaders")
    style.legend(axis, loc="upper right")

    def draw(step: int) -> tuple:
        drivers.set_data(*places[step, :n].T)
        evaders.set_data(*places[step, n:].T)
        axis.set_title(f"t = {step * float(environment.dt):.4g} s")
        return (drivers, evaders)

    return fig, draw


# --- quantum ----------------------------------------------------------------------------------------------------------


def _density(states: np.ndarray) -> np.ndarray:
    return np.sum(states**2, axis=-1)


@style.drawn
def _quantum_picture(environment: QuantumBox, trajectory: Trajectory) -> Figure:
    states, slopes = trajectory.states[: SHOWN // 2], trajectory.actions[: SHOWN // 2, :, 0]
    dt, length = float(environment.dt), float(environment.length)
    fig, axes = style.figure(2, len(states), width=3.4, height=2.6)
    for column, (wave, slope) in enumerate(zip(states, slopes, strict=True)):
        end = dt * (len(wave) - 1)
        axes[0, column].imshow(
            _density(wave).T, origin="lower", aspect="auto", extent=(0, end, 0, length), cmap="magma"
        )
        axes[0, column].grid(False)
        axes[0, column].set(title="density over time" if column == 0 else "", ylabel="x")
        axes[1, column].plot(dt * np.arange(len(slope)), slope, color=style.LEARNED, linewidth=1.1)
        axes[1, column].set(title="slope of the potential" if column == 0 else "", xlabel="t")
    return fig


@style.drawn
def _quantum_stage(environment: QuantumBox, states: np.ndarray, actions: np.ndarray) -> tuple[Figure, Callable]:
    fig, axes = style.figure(width=5.0, height=3.2)
    axis = axes[0, 0]
    density = _density(states)
    x = float(environment.length) * np.arange(1, density.shape[1] + 1) / (density.shape[1] + 1)
    (line,) = axis.plot(x, density[0], color=style.LEARNED)
    axis.set(xlabel="x", ylabel="density", ylim=(0, 1.1 * density.max()))

    def draw(step: int) -> tuple:
        line.set_ydata(density[step])
        slope = float(actions[min(step, len(actions) - 1), 0])
        axis.set_title(f"t = {step * float(environment.dt):.4g}, slope {slope:+.3g}")
        return (line,)

    return fig, draw


# --- contact ----------------------------------------------------------------------------------------------------------


@style.drawn
def _pusher_picture(environment: Pusher, trajectory: Trajectory) -> Figure:
    states, force = trajectory.states[:SHOWN], trajectory.actions[:SHOWN]
    pressed = np.asarray(jax.vmap(jax.vmap(environment.contact))(states))
    time = float(environment.dt) * np.arange(states.shape[1])
    fig, axes = style.figure(1, 4, width=3.6, height=3.0)
    for index in range(len(states)):
        colour = style.OTHERS[index % len(style.OTHERS)] if index else style.LEARNED
        for axis, vectors in zip(axes[0], (states[index, :, 1, 0], force[index], pressed[index]), strict=False):
            axis.plot(time[: len(vectors)], np.linalg.norm(vectors, axis=-1), color=colour, linewidth=1.1)
    for axis, title in zip(axes[0], ("puck to target / m", "force on pusher / N", "contact / N"), strict=False):
        axis.set(title=title, xlabel="t / s", ylim=(0, None))
    axis = axes[0, 3]
    moments = np.linspace(0, states.shape[1] - 1, 6).round().astype(int)
    for rank, moment in enumerate(moments):
        axis.add_collection(_discs(environment, states[0, moment], alpha=0.15 + 0.85 * rank / (len(moments) - 1)))
    for body, colour in enumerate((style.BASELINE, style.LEARNED)):
        axis.plot(*on_plane(states[0, :, body, 0]).T, color=colour, linewidth=1)
    axis.plot(0, 0, "+", color=style.EXACT, markersize=9)
    axis.set(title="one of them, dark is late; +: target", xlabel="x / m", aspect="equal")
    axis.autoscale_view()
    return fig


def on_plane(places: np.ndarray) -> np.ndarray:
    """Coordinates on a line as points of a plane, too."""
    return np.pad(places, [(0, 0)] * (places.ndim - 1) + [(0, 2 - places.shape[-1])])


def _discs(environment: Pusher, state: np.ndarray, alpha: float = 1.0) -> PatchCollection:
    discs = [Circle((x, y), float(environment.reach) / 2) for x, y in on_plane(state[:, 0])]
    return PatchCollection(discs, facecolors="none", edgecolors=[style.BASELINE, style.LEARNED], alpha=alpha)


@style.drawn
def _pusher_stage(environment: Pusher, states: np.ndarray, actions: np.ndarray) -> tuple[Figure, Callable]:
    fig, axes = style.figure(width=5.5, height=3.2)
    axis = axes[0, 0]
    places, room = on_plane(states[:, :, 0]), float(environment.reach)
    discs = axis.add_collection(_discs(environment, states[0]))
    axis.plot(0, 0, "+", color=style.EXACT, markersize=9)
    (low, bottom), (high, top) = places.min(axis=(0, 1)) - room, np.maximum(places.max(axis=(0, 1)), 0) + room
    axis.set(xlim=(low, high), ylim=(bottom, top), aspect="equal", xlabel="x / m")

    def draw(step: int) -> tuple:
        discs.set_paths([Circle((x, y), float(environment.reach) / 2) for x, y in places[step]])
        force = np.linalg.norm(actions[min(step, len(actions) - 1)])
        axis.set_title(f"t = {step * float(environment.dt):.4g} s, force {force:.3g} N; +: target")
        return (discs,)

    return fig, draw


_PICTURES: dict[
    type, tuple[Callable[[Any, Trajectory], Figure], Callable[[Any, Any, Any], tuple[Figure, Callable]]]
] = {
    CartPole: (_cartpole_picture, _cartpole_stage),
    Guidance: (_guidance_picture, _guidance_stage),
    QuantumBox: (_quantum_picture, _quantum_stage),
    Pusher: (_pusher_picture, _pusher_stage),
}
