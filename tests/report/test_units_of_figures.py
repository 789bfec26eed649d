"""A picture of the same problem in other units shows the same curves at the same places."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import LogNorm

from tests.small import hand_made
from undertow._checks import UndertowError
from undertow.core.policy import AbstractPolicy
from undertow.evaluation.comparison import Comparison
from undertow.evaluation.convergence import Convergence, Grid
from undertow.evaluation.series import Series
from undertow.evaluation.simulation import Simulation
from undertow.evaluation.statistics import written
from undertow.instruments.rotation import rotation
from undertow.laws.advection import LinearAdvection
from undertow.laws.conditions import SineCondition
from undertow.laws.euler import Euler
from undertow.laws.fields import PiecewiseStates
from undertow.laws.planes import plane_case
from undertow.numerics.grid import UniformGrid
from undertow.report import animation, errors, gas, maps, simulation, solutions, style
from undertow.report.html import scheme_pages
from undertow.report.html.blocks import common_limits
from undertow.report.html.encode import limits_of, pack, quantise, unpack
from undertow.runs import figure
from undertow.tasks.scene import around

SCALES = [1e-150, 1e20]
X = (np.arange(24) + 0.5) / 24
TIMES = np.array([0.0, 0.1, 0.2])
KINDS = ("wave", "constant", "zero", "noise", "broken")


def waves(kind: str) -> np.ndarray:
    """Values at three times: a wave that is carried, equal numbers, nothing, a constant with rounding, and one that is lost."""
    moving = np.stack([np.sin(2 * np.pi * (X - t)) + 0.3 for t in TIMES])
    if kind == "broken":
        moving[1:, 3:6] = np.nan
        moving[2, 8] = np.inf
    shapes = {"constant": np.full((3, 24), 0.7), "zero": np.zeros((3, 24)), "noise": 0.7 + 1e-16 * np.sign(moving)}
    return shapes.get(kind, moving)


# --- what is drawn, as shares of the axes and of the scales of colours --------------------------------------------------


def places(fig) -> list[np.ndarray]:
    """Where every line is on its axes, and which share of its scale of colours every value of a map has."""
    found = []
    for axis in fig.axes:
        to_axes = axis.transScale + axis.transLimits
        with np.errstate(all="ignore"):
            found += [np.clip(to_axes.transform(line.get_xydata()), -1, 2) for line in axis.lines]
            for image in (*axis.images, *axis.collections):
                if image.get_array() is not None:
                    found.append(np.ma.filled(image.norm(np.ma.masked_invalid(image.get_array())), np.nan))
    return found


def assert_same_picture(one, other, atol=1e-6):
    assert len(one) == len(other) and len(one) > 0
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(b, a, atol=atol)


def visible(found: list[np.ndarray]) -> bool:
    """Whether some line or map takes a good part of its picture from the bottom to the top."""
    return any(np.ptp(np.clip(each[..., -1][np.isfinite(each[..., -1])], 0, 1)) > 0.5 for each in found if each.size)


def frames(monkeypatch, draw) -> list[np.ndarray]:
    """What a moving picture shows, picture by picture."""
    kept = []
    monkeypatch.setattr(animation, "write_gif", lambda moving, path, fps: kept.append(moving) or path)
    draw()
    (moving,) = kept
    found = []
    for index in range(len(TIMES)):
        moving._func(index)
        found += places(moving._fig)
    moving._draw_was_started = True  # nobody will
    return found


# --- problems in units of `factor` --------------------------------------------------------------------------------------


def line(factor: float, kind: str) -> Simulation:
    grid, law = UniformGrid(24), LinearAdvection(1.0)
    truth, values = waves("wave" if kind == "broken" else kind), waves(kind)
    exact = factor * truth[:, None]
    made = factor * (values if kind == "broken" else 1.01 * values)[:, None]
    return Simulation(SineCondition(0.0, 1.0, 2 * jnp.pi, boundary="periodic"), law, grid, TIMES, made, exact, 2, 0.1)


def tube(factor: float, speed: float = 1.0) -> Simulation:
    """A gas of which all densities, or velocities, are another number of times as large."""
    law = Euler()
    w = np.stack([2 + np.sin(2 * np.pi * X), 0.3 * np.cos(2 * np.pi * X), 1 + X])
    u = np.asarray(law.conserved(jnp.asarray(w)))[None] * np.array([1.0, 1.1, 1.2])[:, None, None]
    values = factor * np.array([1.0, speed, speed**2])[:, None] * u
    field = PiecewiseStates(law, jnp.ones((2, 3)), jnp.array([0.5]))
    return Simulation(field, law, UniformGrid(24), TIMES, values, None, 2, 0.1)


def plane(factor: float, kind: str = "wave") -> Simulation:
    field = plane_case("density-wave").field()
    grid = UniformGrid((24, 24), field.lower, field.upper)
    density = waves(kind)[:, :, None] * np.ones(24) if kind != "wave" else 2 + np.einsum("ti,j->tij", waves(kind), X)
    values = factor * np.stack([density, 0.1 * density, 0.2 * density, 3 * density], axis=1)
    return Simulation(field, field.law, grid, TIMES, values, None, 2, 0.1)


def states(factor: float, kind: str) -> Series:
    suite = hand_made()

    def at_cells(values):
        return np.repeat(np.stack([np.interp(suite.x, X, row) for row in values])[None, :, None], 3, axis=0)

    truth = factor * at_cells(waves("wave" if kind == "broken" else kind))
    own = factor * at_cells(waves(kind))
    return Series(suite, TIMES, {"learned": own * 1.02, "weno-js": own * 1.01}, truth)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_of_a_simulation(kind, monkeypatch, tmp_path):
    def drawn(factor):
        run = line(factor, kind)
        pair = Comparison("a wave", {"learned": run, "weno-js": dataclasses.replace(run, values=1.001 * run.values)})
        still = simulation._lines(Comparison("a wave", {"values": run}), "a wave")
        profiles = gas.gas_profiles([pair, pair])
        moving = frames(monkeypatch, lambda: animation.animate_comparison(pair, tmp_path / "a.gif"))
        return [*places(still), *places(profiles), *moving]

    found = drawn(1.0)
    for scale in SCALES:
        assert_same_picture(found, drawn(scale))
    assert visible(found) or kind in ("constant", "zero", "noise")


def test_gases(monkeypatch, tmp_path):
    def drawn(*factors):
        one = Comparison("a tube", {"learned": tube(*factors)}, tube(*factors))
        still = [gas.gas_profiles(one), gas.gas_profiles(one, errors=True)]
        moving = frames(monkeypatch, lambda: animation.animate_comparison(one, tmp_path / "a.gif"))
        return [*(each for fig in still for each in places(fig)), *moving]

    found = drawn(1.0)
    assert visible(found)
    for scale in (1e-40, 1e20):
        assert_same_picture(found, drawn(scale))
        assert_same_picture(found, drawn(1.0, scale))


@pytest.mark.parametrize("kind", KINDS)
def test_maps(kind, monkeypatch, tmp_path):
    def drawn(factor):
        run = plane(factor, kind)
        still = [maps.time_maps(run), maps.plane_maps(Comparison("a plane", {"learned": run, "weno-js": run}))]
        one = Comparison("a plane", {"learned": run})
        moving = frames(monkeypatch, lambda: animation.animate_comparison(one, tmp_path / "a.gif"))
        return [*(each for fig in still for each in places(fig)), *moving]

    found = drawn(1.0)
    assert visible(found) or kind in ("constant", "zero", "noise")
    for scale in (1e-170, 1e20):
        other = drawn(scale)
        if kind != "noise":  # rounding is not the same in every unit
            # Equal values have a scale of 1e-12 of them, of which rounding is seen at its edge.
            assert_same_picture(found, other, 1e-3 if kind == "constant" else 1e-6)


@pytest.mark.parametrize("factor", [1e-20, 1.0, 1e20])
def test_a_plane_that_comes_to_rest_is_as_steep_as_it_was(factor, monkeypatch, tmp_path):
    run = plane(factor)
    run.values[-1] = factor
    one = Comparison("a plane", {"learned": run})
    found = frames(monkeypatch, lambda: animation.animate_comparison(one, tmp_path / "a.gif"))
    grey = found[1]
    assert 0 < grey.min() < 0.1 and grey.max() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_series(kind, monkeypatch, tmp_path):
    def drawn(factor):
        found = states(factor, kind)
        with np.errstate(all="ignore"):
            monkeypatch.setattr(solutions, "_truth", lambda series, at: (series.suite.x, series.truth[at, -1, 0]))
            figs = [
                solutions.solution_panels(found),
                solutions.time_series(found),
                solutions.mean_series(found),
                solutions.evolution(found, "wave"),
            ]
        moving = frames(monkeypatch, lambda: animation.animate(found, "wave", tmp_path / "a.gif"))
        return [*(each for fig in figs for each in places(fig)), *moving]

    found = drawn(1.0)
    for scale in SCALES:
        other = drawn(scale)
        if kind != "noise":  # rounding is not the same in every unit
            assert_same_picture(found, other)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["wave", "constant", "broken", "exact"])
def test_errors_over_x(scale, kind):
    def drawn(factor):
        exact = factor * waves("wave" if kind == "exact" else kind)[0]
        own = waves("wave" if kind == "exact" else kind)[-1]
        own = factor * (waves("wave")[0] if kind == "exact" else 1.01 * own)
        study = Convergence("a case", 0.2, (24,), (Grid(X, exact, {"learned": own, "weno-js": exact}, {}),))
        return places(solutions.error_over_x(study))

    assert_same_picture(drawn(1.0), drawn(scale))


@pytest.mark.parametrize("scale", SCALES)
def test_a_comparison_of_runs(scale, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(figure.style, "save", lambda fig, path: kept.append(fig) or path)
    for factor in (1.0, scale):
        for values in (np.array([1.0, 1.0]), np.array([1.0, 1.5])):
            figure.comparison_figure({}, {"a": factor * values}, tmp_path / "a.png", metric="loss")
    for one, other in zip(kept[:2], kept[2:], strict=True):
        assert_same_picture(places(one), places(other))


def test_colours_of_errors_reach_down_from_the_largest():
    for factor in (1e-20, 1.0, 1e20):
        found = states(factor, "wave")
        (norm,) = {
            m.norm for a in solutions.evolution(found, 0).axes for m in a.collections if isinstance(m.norm, LogNorm)
        }
        assert norm.vmax == pytest.approx(0.02 * 1.3 * factor, rel=0.03, abs=0) and norm.vmin == pytest.approx(
            1e-4 * norm.vmax
        )


# --- the page -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.integers(-280, 280))
def test_a_page_holds_numbers_of_every_size(values, power):
    array = np.array(values) * 10.0**power
    tiny = 1e-300
    np.testing.assert_allclose(unpack(pack(array)), array, rtol=1e-7, atol=tiny)
    step = np.ptp(array) / 65534
    np.testing.assert_allclose(unpack(quantise(array)), array, rtol=1e-9, atol=step + tiny)
    low, high = limits_of(array)
    assert low < array.min() and high > array.max()
    assert high - low < 3 * np.ptp(array) + 1e-5 * np.abs(array).max() + (0.2 * np.abs(array).max() or 2.5)


def test_a_page_holds_what_spans_more_than_single_precision():
    array = np.array([1e-200, 1e-100, 0.0, 1.0, np.inf, np.nan, 1e200])
    np.testing.assert_allclose(unpack(pack(array)), array, rtol=1e-7)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_charts_of_a_page(scale, kind):
    one, other = (scheme_pages._state_charts(states(f, kind), 0, "learned", None) for f in (1.0, scale))
    assert len(one) == len(other) == 2
    for a, b in zip(one, other, strict=True):
        low, high = a["limits"]
        assert 0 < high - low < np.inf and (not a["log"] or low > 0)
        if kind == "noise" and a["log"]:  # rounding is not the same in every unit
            continue
        if kind == "zero":
            assert a["limits"] == b["limits"]
            continue
        np.testing.assert_allclose(np.array(b["limits"]) / scale, a["limits"], rtol=1e-6)
        for mine, theirs in zip(a["lines"], b["lines"], strict=True):
            np.testing.assert_allclose(
                unpack(theirs["y"]) / scale, unpack(mine["y"]), rtol=1e-5, atol=1e-6 * (high - low)
            )


def test_limits_of_nothing():
    assert common_limits([0.0, 0.0]) == [-1.0, 1.0] and common_limits([np.nan], positive=True)[0] > 0


# --- numbers in texts, and systems that move ----------------------------------------------------------------------------


@given(st.floats(1e-300, 1e300))
def test_ratios_are_written_with_three_digits(ratio):
    assert float(written(ratio)) == pytest.approx(ratio, rel=6e-3, abs=0)
    assert len(written(ratio)) <= 10


def test_ratios_as_people_write_them():
    texts = {0.0: "0.000", 0.5: "0.500", 1.0: "1.000", 12.3456: "12.346", 1.2e-5: "1.2e-05", 0.01234: "0.0123"}
    assert {value: written(value) for value in texts} == texts
    assert written(float("nan")) == "nan" and written(float("inf")) == "inf"


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_room_around_places(factor):
    (left, right), (bottom, top) = around(factor * np.array([[0.0, 0.0], [2.0, 1.0], [np.nan, 0.0]]))
    assert np.array([left, right, bottom, top]) / factor == pytest.approx([-0.4, 2.4, -0.4, 1.4])


def test_a_span_is_a_share_of_what_is_there():
    assert style.span(1e-20, 3e-20, 0.1) == pytest.approx(2e-20, rel=1e-12, abs=0) and style.span(0.0, 0.0, 0.1) == 1.0
    assert style.span(2e20, 2e20, 0.1) == pytest.approx(2e19)
    assert style.largest(np.array([-3.0, np.nan, np.inf]), np.array([])) == 3.0 and style.largest() == 0.0


@pytest.mark.parametrize("factor", [1e-20, 1.0, 1e20])
def test_states_of_other_times_are_not_compared(factor):
    run = line(1.0, "wave")
    run = dataclasses.replace(run, times=factor * run.times)
    Comparison("the same", {"a": run, "b": dataclasses.replace(run, times=run.times * (1 + 1e-12))})
    with pytest.raises(UndertowError, match="not saved at the same times"):
        Comparison("others", {"a": run, "b": dataclasses.replace(run, times=1.01 * run.times)})


@pytest.mark.parametrize("limits", [(1e-15, 1e-12), (0.9, 1.1), (0.5, 3.0), (1e-9, 1e12)])
def test_ratios_of_every_size_have_ticks(limits):
    _, axes = style.figure()
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_xlim(limits)
    errors._plain_log_ticks(axes[0, 0].xaxis, limits)
    assert len(axes[0, 0].get_xticks()) >= 3


def test_the_turning_of_a_field_is_the_same_in_every_unit_of_the_parameters():
    """A field that bends within the size of its parameters: a step of 6e-6 would be thousands of times as long."""

    class Point(AbstractPolicy):
        x: jnp.ndarray

    def found(unit):
        def field(policy):
            x = policy.x / unit
            return Point(jnp.stack([jnp.sin(x[0]) - x[1] ** 3, x[0] ** 2 + jnp.cos(x[1])]))

        return rotation(field, Point(unit * jnp.array([0.4, 1.3])), jax.random.key(0)).fraction

    for unit in (1e-9, 1e9):
        assert found(unit) == pytest.approx(found(1.0), rel=1e-6)
