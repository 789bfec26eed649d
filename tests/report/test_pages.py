"""The page of a run: what it shows is what was evaluated, and it needs nothing but itself."""

from __future__ import annotations

import html.parser
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.test_maps import plane_suite
from tests.small import Failing, carried, tubes
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task
from undertow.evaluation.control import ControlEvaluation, evaluate_control
from undertow.evaluation.evaluate import evaluate
from undertow.instruments.health import FlowCosines, StepGradients
from undertow.laws.gas_cases import GAS_CASES
from undertow.policies.classical import classical
from undertow.policies.controller import ZeroAction
from undertow.report.html import Section, render_page
from undertow.report.html.blocks import facts, table
from undertow.report.html.control_pages import control_sections
from undertow.report.html.encode import LEVELS, limits_of, pack, quantise, unpack
from undertow.report.html.run_facts import health_section, training_section
from undertow.report.html.scheme_pages import scheme_sections
from undertow.tasks.cartpole import CartPole, Upright
from undertow.tasks.contact import Pusher, RestAtTarget, random_pusher
from undertow.tasks.guidance import DistanceToTarget, Guidance, random_guidance
from undertow.tasks.quantum import Infidelity, QuantumBox, random_wave

POLICIES = {"learned": classical("linear", 3), "weno-js": classical("weno-js", 3)}


# --- arrays -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_arrays_come_back(values):
    array = np.array(values)
    np.testing.assert_array_equal(unpack(pack(array)), array.astype("f4"))
    step = np.ptp(array) / LEVELS
    np.testing.assert_allclose(unpack(quantise(array)), array, rtol=1e-12, atol=step / 2 * (1 + 1e-9) + 1e-300)


def test_what_is_not_finite_stays_so_and_what_lies_outside_is_moved_in():
    found = unpack(quantise([0.0, np.nan, 2.0, np.inf, -5.0], (0.0, 1.0)))
    np.testing.assert_array_equal(found, [0.0, np.nan, 1.0, np.nan, 0.0])
    assert np.isnan(unpack(pack([np.nan]))).all() and np.isnan(unpack(quantise([np.nan]))).all()
    assert limits_of([np.nan, np.inf]) == [0.0, 1.0] and limits_of([2.0]) == pytest.approx([1.9, 2.1])


# --- the document -----------------------------------------------------------------------------------------------------


class Links(html.parser.HTMLParser):
    """Everything in a document that could make a browser fetch something."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.found += [value for name, value in attributes if name in ("src", "href", "action", "data", "poster")]


def data_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1))


def test_a_page_needs_nothing_else_and_takes_any_text():
    nasty = "</script><script>alert('x')</script><!-- ${style} $$ &amp;"
    section = Section("results", nasty, [table(["a", nasty], [[1, nasty]], nasty), facts({nasty: nasty})], nasty)
    page = render_page(nasty, nasty, [section], status=nasty)
    links = Links()
    links.feed(page)
    assert links.scripts == 2 and set(links.found) <= {"#sections", "data:,"}
    assert not re.search(r"@import|url\(", page)
    # The one address is the name of SVG's elements, which is never fetched.
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}
    data = data_of(page)
    assert data["title"] == data["status"] == data["sections"][0]["note"] == nasty
    assert data["sections"][0]["blocks"][0]["rows"] == [["1", nasty]] and data["live"] is None


def test_numbers_in_tables_are_for_people():
    rows = [[True, None, 12345, 3, 0.123456789, float("nan"), (1, 2), np.float32(0.5), np.int64(7)]]
    assert table([""] * 9, rows)["rows"] == [["yes", "-", "12,345", "3", "0.1235", "nan", "1, 2", "0.5", "7"]]


# --- any run ----------------------------------------------------------------------------------------------------------


def test_curves_are_the_columns_of_the_table_without_its_gaps():
    update = np.arange(0, 5000.0)
    loss = np.where(update % 2 == 0, np.nan, 1000 / (1 + update))
    (block,) = training_section({"update": update, "loss": loss}).blocks
    (curve,) = block["lines"]
    x, y = unpack(curve["x"]), unpack(curve["y"])
    assert len(x) == 2000 and (x[0], x[-1]) == (1, 4999) and (x % 2 == 1).all() and block["log"]
    np.testing.assert_allclose(y, 1000 / (1 + x), rtol=1e-6)
    for nothing in (None, {"update": np.zeros(1), "loss": np.full(1, np.nan)}):
        section = training_section(nothing)
        assert not section.blocks and "Nothing has been recorded" in section.note


def test_gradients_that_are_zero_or_vanish_leave_room_for_the_rest():
    actions = np.array([[1.0, 10.0, 100.0], [1e-200, 1e-100, 1.0], [0.0, 0.0, 0.0]])
    gradients = StepGradients(("full", "policy", "stop"), actions, np.ones((3, 4)))
    cosines = FlowCosines(("full", "policy", "stop"), np.eye(3), np.eye(3), np.array([1.0, 2.0, 0.0]))
    shown, balance, angles = health_section(gradients, cosines).blocks
    assert [each["label"] for each in shown["lines"]] == ["full", "policy"] and shown["limits"] == [1e-10, 200]
    assert (
        balance["rows"][0][1] == "0.1"
        and balance["rows"][2][3] == "1"
        and angles["rows"][1][1:] == ["2", "0", "1", "0"]
    )


# --- learned schemes --------------------------------------------------------------------------------------------------


def test_a_scheme_is_shown_as_it_was_evaluated():
    suite = carried(3, 16, order=3)
    evaluation = evaluate(POLICIES, suite)
    results, motion, errors = scheme_sections({"held-out": evaluation}, POLICIES)
    (row,) = results.blocks[0]["rows"]
    assert row[:4] == ["held-out", "learned", "3", f"{evaluation.summary()['learned']['geometric_mean']:.4g}"]
    (dots,) = errors.blocks
    np.testing.assert_allclose(unpack(dots["x"]), evaluation.scores["weno-js"].l1, rtol=1e-6)
    np.testing.assert_allclose(unpack(dots["y"]), evaluation.scores["learned"].l1, rtol=1e-6)
    assert dots["labels"] == list(suite.cases)
    for item in motion.blocks[0]["items"]:
        place = suite.cases.index(item["name"].removesuffix(" (held-out)"))
        state, error, *weights = item["views"]
        lines = {each["label"]: unpack(each["y"]) for each in state["lines"]}
        assert item["times"][-1] == pytest.approx(suite.discretised.end_time) and len(item["times"]) <= 51
        assert {values.shape for values in lines.values()} == {(len(item["times"]), 16)}
        np.testing.assert_allclose(lines["truth"][-1], suite.truth[place, 0], rtol=1e-6, atol=1e-6)
        for name in POLICIES:
            np.testing.assert_allclose(lines[name][-1], evaluation.scores[name].values[place, 0], rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(lines[name][0], lines["truth"][0])
        drawn = {each["label"]: unpack(each["y"]) for each in error["lines"]}
        wanted = np.abs(lines["learned"] - lines["truth"])[1:]
        np.testing.assert_allclose(drawn["learned"][1:], np.maximum(wanted, 1e-12), rtol=1e-4, atol=1e-6)
        assert len(weights) == 2
        for view in weights:
            values = [unpack(each["y"]) for each in view["lines"]]
            assert values[0].shape == (len(item["times"]), 17)
            # Of both policies, the weights of every face add up to one.
            np.testing.assert_allclose(values[0] + values[1], 1, atol=1e-4)
            np.testing.assert_allclose(values[2] + values[3], 1, atol=1e-4)


def test_gases_are_shown_in_their_own_units():
    evaluation = evaluate(POLICIES, tubes())
    _, motion, _ = scheme_sections({"tubes": evaluation}, POLICIES)
    items = {item["name"].split(" ")[0]: item for item in motion.blocks[0]["items"]}
    lax, case = items["lax"], GAS_CASES["lax"]
    assert lax["times"][-1] == pytest.approx(case.end_time)
    views = {view["title"]: view for view in lax["views"]}
    assert {"density", "velocity", "pressure", "error of density", "weights, right-going flux, v - c"} <= set(views)
    truth = views["velocity"]["lines"][0]
    x = unpack(truth["x"])
    assert case.domain[0] < x[0] < x[-1] < case.domain[1]
    start = np.where(x < 0.5 * sum(case.domain), 0.698, 0.0)  # Lax (1954)
    np.testing.assert_allclose(unpack(truth["y"])[0], start, atol=1e-6)


def test_a_plane_is_shown_as_maps():
    suite = plane_suite()
    evaluation = evaluate(POLICIES, suite)
    _, motion, _ = scheme_sections({"plane": evaluation}, POLICIES)
    (item,) = motion.blocks[0]["items"]
    views = {view["title"]: view for view in item["views"]}
    assert list(views) == ["learned", "weno-js", "truth"] and len(item["times"]) == 5
    for name in POLICIES:
        values, (low, high) = unpack(views[name]["values"]), views[name]["limits"]
        wanted = np.clip(evaluation.scores[name].values[0, 0], low, high)
        np.testing.assert_allclose(values[-1], wanted, atol=(high - low) / LEVELS)
    assert len({tuple(view["limits"]) for view in views.values()}) == 1


def test_a_scheme_that_fails_is_shown_to_fail():
    policies = {"learned": Failing(), "weno-js": classical("weno-js")}
    suite = carried(4, 16)
    evaluation = evaluate(policies, suite)
    lost = int((~evaluation.scores["learned"].finite).sum())
    assert lost > 0
    results, motion, errors = scheme_sections({"held-out": evaluation}, policies)
    assert results.blocks[0]["rows"][0][-1] == str(lost) and "not finite: " in results.blocks[0]["rows"][0][-2]
    assert f"not finite in {lost} more" in errors.blocks[0]["title"]
    page = render_page("failed", "", [results, motion, errors])
    state = data_of(page)["sections"][1]["blocks"][0]["items"][0]["views"][0]
    values = {each["label"]: unpack(each["y"]) for each in state["lines"]}
    assert np.isnan(values["learned"][-1]).any() and np.isfinite(values["truth"]).all()


# --- controllers ------------------------------------------------------------------------------------------------------


def controlled(environment, cost, states, shape=(1,), steps=6) -> tuple[ControlEvaluation, list[Section]]:
    """An evaluation without any force, and its sections."""
    policies = {"learned": ZeroAction(shape), "no control": ZeroAction(shape)}
    task = Task(FinalCost(cost), steps)
    evaluation = evaluate_control(policies, task, Problem(environment, states), cost, suite="test")
    return evaluation, control_sections({"test": evaluation}, environment, cost)


def test_a_cart_and_its_poles_keep_their_lengths():
    environment = CartPole()
    states = jnp.array([[[0.3, 0.1], [0.5, 0.0], [-1.0, 2.0]], [[0.0, 0.0], [3.0, 0.0], [2.0, 0.0]]])
    evaluation, (results, motion) = controlled(environment, Upright(), states)
    assert len(results.blocks[0]["rows"]) == 2
    first, second = motion.blocks[0]["items"]
    assert len(first["times"]) == 7 and first["times"][-1] == pytest.approx(6 * float(environment.dt))
    scene = first["views"][0]
    cart, *poles = (unpack(each["points"]) for each in scene["shapes"])
    np.testing.assert_allclose(
        cart.mean(axis=1)[:, 0], evaluation.trajectories["learned"].states[0, :, 0, 0], rtol=1e-5
    )
    for pole in poles:
        lengths = np.linalg.norm(pole[:, 1] - pole[:, 0], axis=-1)
        np.testing.assert_allclose(lengths, 2 * float(environment.half_length), rtol=1e-5)
        (left, right), (bottom, top) = scene["bounds"]
        assert (pole[..., 0] > left).all() and (pole[..., 0] < right).all()
        assert (pole[..., 1] > bottom).all() and (pole[..., 1] < top).all()
    assert second["name"].startswith("initial state 1")


@pytest.mark.parametrize(
    ("environment", "cost", "state", "shape", "kinds"),
    [
        (Guidance(), DistanceToTarget(), random_guidance, (2, 2), ["disc", "disc"]),
        (Pusher(), RestAtTarget(), random_pusher, (2,), ["disc", "disc", "mark"]),
        (Pusher(), RestAtTarget(), lambda key: random_pusher(key, 1), (1,), ["disc", "disc", "mark"]),
    ],
    ids=["guidance", "contact", "contact on a line"],
)
def test_bodies_are_where_the_state_says(environment, cost, state, shape, kinds):
    states = jax.vmap(state)(jax.random.split(jax.random.key(0), 2))
    evaluation, sections = controlled(environment, cost, states, shape)
    scene = sections[1].blocks[0]["items"][1]["views"][0]
    assert [each["kind"] for each in scene["shapes"]] == kinds
    points = np.concatenate([unpack(each["points"]) for each in scene["shapes"] if each["kind"] == "disc"], axis=1)
    wanted = evaluation.trajectories["learned"].states[1, :, :, 0]
    np.testing.assert_allclose(points[..., : wanted.shape[-1]], wanted, rtol=1e-5, atol=1e-6)
    assert (points[..., wanted.shape[-1] :] == 0).all()


def test_the_density_of_a_wave_is_that_of_its_state():
    environment, key = QuantumBox(), jax.random.key(0)
    evaluation, sections = controlled(environment, Infidelity(), random_wave(key)[None])
    density = unpack(sections[1].blocks[0]["items"][0]["views"][0]["lines"][0]["y"])
    states = evaluation.trajectories["learned"].states[0]
    np.testing.assert_allclose(density, np.sum(states**2, axis=-1), rtol=1e-5)
    np.testing.assert_allclose(density.sum(axis=1), density[0].sum(), rtol=1e-3)
