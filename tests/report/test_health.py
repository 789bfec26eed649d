"""Figures of gradients' health are drawn, also where values vanish, explode or are not finite."""

from __future__ import annotations

import numpy as np
import pytest

from tests.report.pictures import is_picture
from undertow._checks import UndertowError
from undertow.instruments.health import FlowCosines, StepGradients
from undertow.instruments.jacobians import JacobianNorms
from undertow.instruments.rotation import Rotation
from undertow.report import health, style


def powers(*factors, steps=12):
    return np.stack([np.asarray(factor) ** np.arange(steps, 0.0, -1) for factor in factors])


HEALTHY = powers(0.9, 1.2)
EXTREME = np.stack([powers(1e20)[0], powers(1e-20)[0], np.eye(12)[-1], np.where(np.arange(12) < 4, np.nan, 1.0)])


@pytest.mark.parametrize("norms", [HEALTHY, EXTREME, 0 * HEALTHY], ids=["healthy", "extreme", "zero"])
def test_gradients_by_step(norms):
    names = ("full", "physics", "stop", "own")[: len(norms)]
    ends = np.concatenate([norms, norms[:, -1:]], axis=1)
    found = StepGradients(names, norms, ends)
    assert is_picture(health.step_gradients_figure(found))
    found = StepGradients(names, norms, ends, norms)
    assert is_picture(health.step_gradients_figure(found))
    steps = np.stack([norms, 2 * norms], axis=1)
    with np.errstate(divide="ignore"):
        jacobians = JacobianNorms(names, steps, np.log10(steps))
    assert is_picture(health.jacobians_figure(jacobians))


def test_angles(tmp_path):
    angles = np.array([[1.0, -0.4], [-0.4, 1.0]])
    found = FlowCosines(("full", "physics"), angles, np.abs(angles), np.ones(2))
    assert is_picture(health.cosines_figure(found))
    metrics = {
        "update": np.arange(5.0),
        "cosine": np.array([np.nan, 0.9, 0.5, 0.1, -0.2]),
        "zeroed": np.linspace(0, 1, 5),
    }
    assert is_picture(health.agreement_figure({"run": metrics, "again": metrics}))
    with pytest.raises(UndertowError, match="need a column 'zeroed'"):
        health.agreement_figure({"run": {"update": np.arange(2), "cosine": np.ones(2)}}, tmp_path / "a.png")
    with pytest.raises(UndertowError, match="at least one run"):
        health.agreement_figure({}, tmp_path / "a.png")


def test_rotations(tmp_path):
    found = {
        "full": Rotation(0.0, 1.0, 2, True),
        "turning": Rotation(0.8, 1.0, 2, True),
        "flat": Rotation(np.nan, 0.0, 2, True),
    }
    assert is_picture(health.rotation_figure(found))
    with pytest.raises(UndertowError, match="at least one field"):
        health.rotation_figure({}, tmp_path / "a.png")


def test_fields_have_arrows_where_they_point_somewhere():
    axis = np.linspace(-1, 1, 9)
    u, v = np.meshgrid(axis, axis)
    u[0, 0] = np.nan
    fig, axes = style.figure()
    health.draw_field(axes[0, 0], axis, axis, u, v, arrows=9)
    (arrows,) = [c for c in axes[0, 0].collections if hasattr(c, "U")]
    assert len(arrows.U) == 81 - 2  # neither in the middle, where it is 0, nor in the corner
    np.testing.assert_allclose(np.hypot(arrows.U, arrows.V), 1)
    assert is_picture(fig)


def test_named_flows_keep_their_colours():
    colours = health.flow_colours(["own", "physics", "full"])
    assert colours["physics"] == style.LEARNED and colours["full"] == style.BASELINE
    assert len(set(colours.values())) == 3
