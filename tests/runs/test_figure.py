"""The figure of a comparison of runs."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from undertow._checks import UndertowError
from undertow.report import style
from undertow.runs import figure
from undertow.runs.curves import Bundle

INF = np.inf


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """Figures as they are saved."""
    figures: list[Figure] = []
    save = style.save
    monkeypatch.setattr(figure.style, "save", lambda fig, path: (figures.append(fig), save(fig, path))[1])
    return figures


def test_lines_bands_and_every_run(tmp_path, drawn):
    values = np.array([[8.0, 4.0, 1.0], [9.0, 5.0, 2.0], [10.0, 6.0, INF]])
    curves = {
        "a": Bundle(np.arange(3.0), values, False, None),
        "b": Bundle(np.arange(3.0), 10 * values[:2], True, None),
    }
    finals = {"a": values[:, -1], "b": 10 * values[:2, -1]}
    path = figure.comparison_figure(curves, finals, tmp_path / "c.png", metric="test_loss")
    assert path.read_bytes().startswith(b"\x89PNG")
    left, right = drawn[0].axes
    first, second = left.lines
    np.testing.assert_array_equal(first.get_ydata(), [9, 5, 2])
    assert second.get_drawstyle() == "steps-post"
    assert left.get_yscale() == "log" and left.get_ylabel() == "test loss"
    assert first.get_label() == "a (3 runs, 1 lost)"
    low, high = left.get_ylim()
    assert low < 1 and 100 < high < 1000  # the lost run does not set the scale
    dots = [line for line in right.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(np.sort(dots[0].get_ydata()), [1, 2])
    (cross,) = (line for line in right.lines if line.get_marker() == "x" and len(line.get_ydata()))
    assert len(cross.get_ydata()) == 1


def test_negative_values_are_not_on_a_logarithmic_axis(tmp_path, drawn):
    finals = {"a": np.array([-1.0, 100.0])}
    figure.comparison_figure({"a": None}, finals, tmp_path / "c.png", metric="reward")
    (axis,) = drawn[0].axes
    assert axis.get_yscale() == "linear" and axis.get_ylim()[0] < -1


def test_lost_runs_alone(tmp_path, drawn):
    figure.comparison_figure({"a": None}, {"a": np.array([INF, INF])}, tmp_path / "c.png", metric="loss")
    assert drawn


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UndertowError, match="at least one group"):
        figure.comparison_figure({}, {}, tmp_path / "c.png", metric="loss")
