"""The page of a controller: results, costs over time, and the system in motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from undertow.core.environment import AbstractEnvironment
from undertow.core.objective import Cost
from undertow.core.unroll import Trajectory
from undertow.evaluation.control import ControlEvaluation
from undertow.evaluation.statistics import quartiles
from undertow.report.control import CART, around, on_plane
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
from undertow.tasks.cartpole import CartPole
from undertow.tasks.contact import Pusher
from undertow.tasks.guidance import Guidance
from undertow.tasks.quantum import QuantumBox

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
    if type(environment) in _SCENES:
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


def _motion(environment: AbstractEnvironment, evaluation: ControlEvaluation, costs: Mapping[str, np.ndarray]) -> Block:
    dt = float(environment.dt)  # type: ignore[attr-defined]  # every environment with a scene has one
    times = next(iter(evaluation.trajectories.values())).states.shape[1]
    shown = np.unique(np.linspace(0, times - 1, min(FRAMES, times)).round().astype(int))
    scene, losses = _SCENES[type(environment)], next(iter(evaluation.scores.values())).loss
    items = []
    for place in range(min(SHOWN, len(next(iter(costs.values()))))):
        own = {name: trajectory.states[place][shown] for name, trajectory in evaluation.trajectories.items()}
        together = np.concatenate(list(own.values()))
        views = [scene(environment, states, _role_of(evaluation, name), name, together) for name, states in own.items()]
        views.append(_traces("cost of the state", dt, {name: values[place] for name, values in costs.items()}))
        actions = {name: _action_size(each, place) for name, each in list(evaluation.trajectories.items())[:1]}
        views.append(_traces("action", dt, actions))
        name = f"initial state {place}: loss {losses[place]:.3g}"
        items.append({"name": name, "times": (dt * shown).tolist(), "views": views})
    return player(items, choose="start")


def _role_of(evaluation: ControlEvaluation, name: str) -> Role:
    return _ROLES[list(evaluation.trajectories).index(name)]


def _action_size(trajectory: Trajectory, place: int) -> np.ndarray:
    """The action where it is a number, its Euclidean norm where it has several components."""
    action = trajectory.actions[place].reshape(len(trajectory.actions[place]), -1)
    return action[:, 0] if action.shape[1] == 1 else np.linalg.norm(action, axis=1)


def _traces(title: str, dt: float, values: Mapping[str, np.ndarray]) -> Block:
    """Whole curves over time; the player draws a cursor into them."""
    lines = [
        line(name, dt * np.arange(len(each)), each, role)
        for (name, each), role in zip(values.items(), _ROLES, strict=False)
    ]
    return {**chart(title, lines, x="t / s"), "cursor": True}


# --- scenes: what is drawn of states; the picture has room for `every` state that is shown beside ----------------------


def _cartpole(environment: CartPole, states: np.ndarray, role: Role, name: str, every: np.ndarray) -> Block:
    reach = 2 * float(environment.half_length)
    carts = np.stack([states[:, 0, 0], np.zeros(len(states))], axis=-1)
    angles = states[:, 1:, 0]
    tips = carts[:, None] + reach * np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    shapes = [
        shape("path", carts[:, None] + CART * reach * np.array([[-1.0, 0.0], [1.0, 0.0]]), "exact", "cart", width=7)
    ]
    for pole in range(tips.shape[1]):
        shapes.append(shape("path", np.stack([carts, tips[:, pole]], axis=1), role, f"pole {pole + 1}", width=3))
    room = 1.2 * reach
    bounds = [[every[:, 0, 0].min() - room, every[:, 0, 0].max() + room], [-room, room]]
    return moving_scene(name, shapes, bounds=bounds, x="x / m")


def _guidance(environment: Guidance, states: np.ndarray, role: Role, name: str, every: np.ndarray) -> Block:
    places, drivers = states[:, :, 0], environment.drivers
    bounds = around(every[:, :, 0])
    radius = _DISC * max(high - low for low, high in bounds)
    shapes = [
        shape("disc", places[:, :drivers], "baseline", "drivers", radius=radius),
        shape("disc", places[:, drivers:], "learned", "evaders", radius=radius),
    ]
    return moving_scene(name, shapes, bounds=bounds, x="x / m", y="y / m")


def _quantum(environment: QuantumBox, states: np.ndarray, role: Role, name: str, every: np.ndarray) -> Block:
    density = np.sum(states**2, axis=-1)
    highest = np.sum(every**2, axis=-1)
    x = float(environment.length) * np.arange(1, density.shape[1] + 1) / (density.shape[1] + 1)
    return chart(
        f"{name}: density", [line("density", x, density, role)], x="x", limits=[0.0, common_limits(highest)[1]]
    )


def _pusher(environment: Pusher, states: np.ndarray, role: Role, name: str, every: np.ndarray) -> Block:
    places, corners = on_plane(states[:, :, 0]), on_plane(every[:, :, 0])
    radius = float(environment.reach) / 2
    shapes = [
        shape("disc", places[:, :1], "baseline", "pusher", radius=radius),
        shape("disc", places[:, 1:], "learned", "puck", radius=radius),
        shape("mark", np.zeros((len(places), 1, 2)), "exact", "target", width=2),
    ]
    bounds = [
        [min(0.0, corners[..., axis].min()) - 2 * radius, max(0.0, corners[..., axis].max()) + 2 * radius]
        for axis in range(2)
    ]
    return moving_scene(name, shapes, bounds=bounds, x="x / m", y="y / m")


_SCENES: dict[type, Callable[[Any, np.ndarray, Role, str, np.ndarray], Block]] = {
    CartPole: _cartpole,
    Guidance: _guidance,
    QuantumBox: _quantum,
    Pusher: _pusher,
}
"""Environments without one have their costs and actions drawn, and no picture."""
