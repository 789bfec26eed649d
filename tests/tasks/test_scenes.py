"""What there is to see of every task: the state's own places, within the frame, and the same ones in figures and on pages."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.core.unroll import Trajectory, rollout
from undertow.envs.probes import LinearQuadratic
from undertow.policies.controller import Controller
from undertow.report.control import moment_figure
from undertow.report.scenes import behaviour, stage
from undertow.tasks import TASKS
from undertow.tasks.scene import Drawable, around, together

STEPS = 6


@pytest.fixture(scope="module", params=TASKS)
def played(request):
    """A system and two of its trajectories under a random controller."""
    task = TASKS[request.param]
    system = task.system(task.settings())
    start = jax.vmap(system.draw)(jax.random.split(jax.random.key(0), 2))
    policy = Controller(start[0].size, system.action_shape, key=jax.random.key(1), hidden=(4,), zero_last=False)
    run = quick_jit(jax.vmap(lambda state: rollout(system.environment, policy, state, STEPS)))
    return system.environment, jax.tree.map(np.asarray, run(start))


def test_a_scene_is_whole(played):
    environment, trajectory = played
    assert isinstance(environment, Drawable)
    scenes = [environment.scene(*each) for each in zip(trajectory.states, trajectory.actions, strict=True)]
    for scene in scenes:
        np.testing.assert_allclose(scene.times, float(environment.dt) * np.arange(STEPS + 1))
        assert len(scene.captions) in (0, STEPS + 1)
        if scene.profile is not None:
            assert scene.profile.values.shape == (STEPS + 1, len(scene.profile.x))
            continue
        frame = together(scenes)
        for shape in scene.shapes:
            assert shape.points.shape[0] == STEPS + 1 and shape.points.shape[2] == 2
            for axis, (low, high) in enumerate(frame):
                assert (shape.points[..., axis] > low).all() and (shape.points[..., axis] < high).all()
    for trace in environment.traces(trajectory.states[0], trajectory.actions[0]):
        assert trace.values.ndim == 2 and len(trace.values) in (STEPS, STEPS + 1)


def test_a_moment_shows_the_scene(played):
    """What moves is where the scene says, at the first moment and at a later one."""
    environment, trajectory = played
    scene = environment.scene(trajectory.states[0], trajectory.actions[0])
    fig, draw = stage(scene)
    axis = fig.axes[0]
    for step in (0, STEPS):
        draw(step)
        lines = [np.stack(line.get_data(), axis=-1) for line in axis.lines]
        circles = [circle.center for circle in axis.patches if isinstance(circle, Circle)]
        if scene.profile is not None:
            np.testing.assert_array_equal(lines[0], np.stack([scene.profile.x, scene.profile.values[step]], axis=-1))
        for shape in scene.shapes:
            drawn = circles if shape.radius else next(x for x in lines if np.array_equal(x, shape.points[step]))
            assert all(any(np.array_equal(place, other) for other in drawn) for place in shape.points[step])
        assert axis.get_title().startswith(f"t = {scene.times[step]:.4g}")
        assert not scene.captions or scene.captions[step] in axis.get_title()


def test_a_figure_has_every_curve(played):
    environment, trajectory = played
    fig = behaviour(environment, trajectory)
    curves = [line.get_ydata() for axis in fig.axes for line in axis.lines if isinstance(line, Line2D)]
    for own in zip(trajectory.states, trajectory.actions, strict=True):
        for trace in environment.traces(*own):
            for curve in trace.values.T:
                assert any(np.array_equal(curve, other) for other in curves), trace.title
    titles = " ".join(axis.get_title() for axis in fig.axes)
    assert all(trace.title in titles for trace in environment.traces(trajectory.states[0], trajectory.actions[0]))


def test_lost_states_are_drawn_too(played):
    environment, trajectory = played
    states = np.where(
        np.arange(STEPS + 1).reshape(-1, *[1] * (trajectory.states.ndim - 2)) > 3, np.nan, trajectory.states
    )
    fig = behaviour(environment, Trajectory(states, trajectory.actions))
    fig.canvas.draw()
    moment_figure(environment, states[0], trajectory.actions[0]).canvas.draw()
    moment_figure(environment, trajectory.states[0, :1]).canvas.draw()


def test_bounds_leave_room():
    assert around(np.zeros((3, 2))) == [[-0.2, 0.2], [-0.2, 0.2]]
    assert around(np.array([[0.0, 0.0], [2.0, np.inf]]), 0.5) == [[-0.5, 0.5], [-0.5, 0.5]]


def test_a_system_without_a_scene_has_no_picture():
    with pytest.raises(UndertowError, match="no picture of a LinearQuadratic"):
        moment_figure(LinearQuadratic(jnp.eye(1), jnp.eye(1)), np.zeros((2, 1)))
