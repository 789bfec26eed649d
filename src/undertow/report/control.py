"""What controllers do: pictures of trajectories, and moving ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from undertow._checks import UndertowError, at_home, require
from undertow.core.environment import AbstractEnvironment
from undertow.core.objective import Cost
from undertow.core.unroll import Trajectory
from undertow.evaluation.control import ControlEvaluation
from undertow.instruments.health import StepGradients
from undertow.report import style
from undertow.report.animation import write_gif
from undertow.report.figures import Named, save_figures
from undertow.report.health import step_gradients_figure
from undertow.report.scenes import behaviour, stage
from undertow.report.training import training_figure
from undertow.tasks.scene import Drawable


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
        if isinstance(environment, Drawable):
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
    if isinstance(environment, Drawable):
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
    return style.finished(behaviour(_drawable(environment), _first(evaluation)), path)


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
    drawable = _drawable(environment)
    path, trajectory = at_home(path), _first(evaluation)
    require(path.suffix == ".gif", f"an animation ends in .gif, got {path.name!r}")
    count, times = trajectory.states.shape[:2]
    require(0 <= state < count, f"{count} trajectories were kept, so state must be 0 to {count - 1}, got {state}")
    shown = np.unique(np.linspace(0, times - 1, min(frames, times)).round().astype(int))
    fig, draw = stage(drawable.scene(trajectory.states[state], trajectory.actions[state]))
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
    fig, draw = stage(_drawable(environment).scene(states, np.zeros((1, 2)) if actions is None else actions))
    draw(len(states) - 1)
    return fig


def _drawable(environment: AbstractEnvironment) -> Drawable:
    if not isinstance(environment, Drawable):
        raise UndertowError(f"there is no picture of a {type(environment).__name__}, which has no scene and traces")
    return environment


def _first(evaluation: ControlEvaluation) -> Trajectory:
    return next(iter(evaluation.trajectories.values()))
