"""Figures of gradients' health are drawn, also where values vanish, explode or are not finite."""

from __future__ import annotations

import numpy as np
import pytest

from tests.report.pictures import is_picture, named, ticks
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


def test_the_lines_of_gradients_by_step():
    """Logarithms on an axis that is labelled as a logarithmic one: matplotlib's own overflows."""
    ends = np.concatenate([HEALTHY, HEALTHY[:, -1:]], axis=1)
    fig = health.step_gradients_figure(StepGradients(("full", "physics"), HEALTHY, ends, HEALTHY))
    assert [axis.get_title() for axis in fig.axes] == list(health.TITLES.values())
    assert [axis.get_xlabel() for axis in fig.axes] == ["step"] * 3 and fig.axes[0].get_ylabel() == "norm"
    for axis, norms in zip(fig.axes, (HEALTHY, ends, HEALTHY), strict=True):
        for name, values, line in zip(("full", "physics"), norms, axis.lines, strict=True):
            np.testing.assert_allclose(line.get_xydata(), np.stack([np.arange(len(values)), np.log10(values)], axis=1))
            assert line.get_color() == health.flow_colours(["full", "physics"])[name]
    assert list(named(fig.axes[0])) == ["full, ×0.9 per step", "physics, ×1.2 per step"]

    steps = np.stack([HEALTHY, 3 * HEALTHY, 2 * HEALTHY], axis=1)
    found = JacobianNorms(("full", "physics"), steps, np.log10(steps))
    one, product = health.jacobians_figure(found).axes
    np.testing.assert_allclose(named(one)["full"][:, 1], np.log10(2 * HEALTHY[0]))
    band = one.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((np.log10(HEALTHY[0].min()), np.log10(3 * HEALTHY[0].max())))
    assert (one.get_title(), one.get_xlabel()) == ("norm of one step's Jacobian", "step")
    assert (product.get_title(), product.get_xlabel()) == ("norm of the product to the end", "from step")
    assert [name.split(",")[0] for name in named(product)] == ["full", "physics"]


def test_angles(tmp_path):
    angles = np.array([[1.0, -0.4], [-0.4, 1.0]])
    found = FlowCosines(("full", "physics"), angles, np.abs(angles), np.ones(2))
    fig = health.cosines_figure(found)
    assert is_picture(fig)
    assert [axis.get_title() for axis in fig.axes] == ["cosine", "share of equal signs"]
    for axis, values in zip(fig.axes, (angles, np.abs(angles)), strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), values)
        assert [text.get_text() for text in axis.texts] == [f"{value:.2f}" for value in values.ravel()]
        assert ticks(axis.xaxis) == ticks(axis.yaxis) == ["full", "physics"]
    metrics = {
        "update": np.arange(5.0),
        "cosine": np.array([np.nan, 0.9, 0.5, 0.1, -0.2]),
        "zeroed": np.linspace(0, 1, 5),
    }
    fig = health.agreement_figure({"run": metrics, "again": metrics})
    assert is_picture(fig)
    for axis, column, title in zip(
        fig.axes, ("cosine", "zeroed"), ("cosine between the flows", "share of parameters zeroed"), strict=True
    ):
        expected = np.stack([metrics["update"], metrics[column]], axis=1)
        np.testing.assert_array_equal(named(axis)["again"], expected[np.isfinite(metrics[column])])
        assert (axis.get_title(), axis.get_xlabel(), list(named(axis))) == (title, "update", ["run", "again"])
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
    fig = health.rotation_figure(found)
    assert is_picture(fig)
    (axis,) = fig.axes
    assert [bar.get_width() for bar in axis.patches] == [0.0, 0.8, 0.0] and ticks(axis.yaxis) == list(found)
    assert [text.get_text() for text in axis.texts] == ["0.000", "0.800", "no derivative"]
    assert axis.get_xlabel() == "antisymmetric share (0: gradient, 1: rotation)"
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
