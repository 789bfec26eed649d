"""The page of a controller: results, costs over time, and the system in motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from undertow.core.environment import AbstractEnvironment
from undertow.core.objective import Cost
from undertow.core.unroll import Trajectory
from undertow.evaluation.control import ControlEvaluation
from undertow.evaluation.statistics import quartiles
from undertow.report.html.blocks import (
    OTHERS,
    Block,
    Role,
    chart,
    common_limits,
    line,
    moving_scene,
    player,
    scatter,
    shape,
    table,
)
from undertow.report.html.page import Section
from undertow.tasks.scene import Drawable, Scene, together

SHOWN = 6
"""Initial states to choose from."""
FRAMES = 160
"""At most so many instants of one trajectory."""
_DISC = 0.015
"""The radius of a body without a size, as a share of the longer side of its picture."""
_ROLES: tuple[Role, ...] = ("learned", "baseline", *OTHERS)


def control_sections(
    evaluations: Mapping[str, ControlEvaluation], environment: AbstractEnvironment, cost: Cost
) -> list[Section]:
    """The sections of a controller's page.

    **Arguments:** `evaluations` by suite, the most telling first; `environment`; `cost` of one state.
    """
    first = next(iter(evaluations.values()))
    costs = {
        name: np.asarray(jax.vmap(jax.vmap(cost))(trajectories.states))
        for name, trajectories in first.trajectories.items()
    }
    sections = [Section("results", "Results", [_result_table(evaluations), _cost_chart(first, costs), _losses(first)])]
    if isinstance(environment, Drawable):
        note = "What the controller does from some of the initial states, and what the same states do without it."
        sections.insert(1, Section("motion", "The system in motion", [_motion(environment, first, costs)], note))
    return sections


def _result_table(evaluations: Mapping[str, ControlEvaluation]) -> Block:
    keys = ("loss", "median", "worst", "final", "effort", "non_finite")
    rows = [
        [suite, name, row["states"], *(row[key] for key in keys)]
        for suite, evaluation in evaluations.items()
        for name, row in evaluation.summary().items()
    ]
    heads = ["suite", "policy", "states", "mean loss", "median", "worst", "final cost", "effort", "not finite"]
    return table(heads, rows, "Effort: mean square of the action over time.")


def _cost_chart(evaluation: ControlEvaluation, costs: Mapping[str, np.ndarray]) -> Block:
    lines = []
    for (name, values), role in zip(costs.items(), _ROLES, strict=False):
        middle, low, high = quartiles(values)
        steps = np.arange(values.shape[1])
        lines += [line(name, steps, middle, role)]
        lines += [
            line(f"{name}, {which} quartile", steps, bound, role, look="dashed")
            for which, bound in (("lower", low), ("upper", high))
        ]
    count = len(next(iter(costs.values())))
    return chart(
        f"cost of the state, {evaluation.suite}: median and quartiles of {count} trajectories", lines, x="step"
    )


def _losses(evaluation: ControlEvaluation) -> Block:
    (own, scores), (other, rival) = list(evaluation.scores.items())[:2]
    shown = np.flatnonzero(np.isfinite(scores.loss) & np.isfinite(rival.loss))
    return scatter(
        f"loss of every state, {evaluation.suite}",
        rival.loss[shown],
        scores.loss[shown],
        [f"state {place}" for place in shown],
        names=(f"loss with {other}", f"loss, {own}"),
        log=False,
        diagonal=True,
    )


def _motion(environment: Drawable, evaluation: ControlEvaluation, costs: Mapping[str, np.ndarray]) -> Block:
    times = next(iter(evaluation.trajectories.values())).states.shape[1]
    shown = np.unique(np.linspace(0, times - 1, min(FRAMES, times)).round().astype(int))
    losses = next(iter(evaluation.scores.values())).loss
    items = []
    for place in range(min(SHOWN, len(losses))):
        scenes = {
            name: environment.scene(each.states[place], each.actions[place])
            for name, each in evaluation.trajectories.items()
        }
        every = list(scenes.values())
        views = [_view(scene, _role_of(evaluation, name), name, every, shown) for name, scene in scenes.items()]
        views.append(_traces("cost of the state", every[0], {name: values[place] for name, values in costs.items()}))
        actions = {name: _action_size(each, place) for name, each in list(evaluation.trajectories.items())[:1]}
        views.append(_traces("action", every[0], actions))
        name = f"initial state {place}: loss {losses[place]:.3g}"
        items.append({"name": name, "times": every[0].times[shown].tolist(), "views": views})
    return player(items, choose="start")


def _role_of(evaluation: ControlEvaluation, name: str) -> Role:
    return _ROLES[list(evaluation.trajectories).index(name)]


def _action_size(trajectory: Trajectory, place: int) -> np.ndarray:
    """The action where it is a number, its Euclidean norm where it has several components."""
    action = trajectory.actions[place].reshape(len(trajectory.actions[place]), -1)
    return action[:, 0] if action.shape[1] == 1 else np.linalg.norm(action, axis=1)


def _traces(title: str, scene: Scene, values: Mapping[str, np.ndarray]) -> Block:
    """Whole curves over the times of a scene; the player draws a cursor into them."""
    lines = [
        line(name, scene.times[: len(each)], each, role)
        for (name, each), role in zip(values.items(), _ROLES, strict=False)
    ]
    unit = f" / {scene.unit}" if scene.unit else ""
    return {**chart(title, lines, x=f"t{unit}"), "cursor": True}


def _view(scene: Scene, role: Role, name: str, every: Sequence[Scene], shown: np.ndarray) -> Block:
    """A scene at the instants `shown`, with room for `every` scene that is shown beside it."""
    if scene.profile is not None:
        profile, label = scene.profile, scene.profile.label
        _, highest = common_limits(*(each.profile.values[shown] for each in every if each.profile is not None))
        curve = line(label, profile.x, profile.values[shown], role)
        return chart(f"{name}: {label}", [curve], x=scene.x, limits=[0.0, highest])
    bounds = together(every)
    dot = _DISC * max(high - low for low, high in bounds)
    shapes = []
    for each in scene.shapes:
        size = {"radius": each.radius or dot} if each.kind == "disc" else {"width": each.width}
        shapes.append(
            shape(each.kind, each.points[shown], role if each.role == "own" else each.role, each.label, **size)
        )
    return moving_scene(name, shapes, bounds=bounds, x=scene.x, y=scene.y)
