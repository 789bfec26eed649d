"""The page of a run in a browser: it loads, moves, reads out, and can be used by keyboard and on a phone."""

from __future__ import annotations

import base64
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.report.browser import Watched, browser
from tests.report.test_maps import plane_suite
from tests.small import carried
from tests.test_control_runs import SYSTEMS
from undertow._checks import UndertowError
from undertow.evaluation.evaluate import evaluate
from undertow.experiment import ReportServer, train
from undertow.policies.classical import classical
from undertow.report.html import render_page
from undertow.report.html.blocks import chart, line, moving_scene, player, scatter, shape
from undertow.report.html.page import Section
from undertow.report.html.run_facts import training_section
from undertow.report.html.scheme_pages import scheme_sections

POLICIES = {"learned": classical("linear", 3), "weno-js": classical("weno-js", 3)}
METRICS = {"update": np.arange(20.0), "loss": 2.0 ** -np.arange(20.0), "gradient_norm": np.ones(20)}


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(POLICIES, carried(3, 16, order=3))


@pytest.fixture(scope="module")
def file(evaluation, tmp_path_factory) -> str:
    """A page with everything there is on one: lines, weights, scatter, tables, maps and a scene."""
    sections = scheme_sections({"held-out": evaluation}, POLICIES)
    plane = scheme_sections({"plane": evaluate(POLICIES, plane_suite())}, POLICIES)[1]
    angle = np.linspace(0, np.pi, 5)
    rods = np.stack([np.zeros((5, 2)), np.stack([np.sin(angle), np.cos(angle)], axis=-1)], axis=1)
    shapes = [shape("path", rods, "learned", "rod", width=3), shape("disc", rods[:, 1:], "baseline", radius=0.1)]
    scene = moving_scene("a rod", shapes, bounds=[[-1.2, 1.2], [-1.2, 1.2]])
    moving = player([{"name": "turn", "times": angle.tolist(), "views": [scene]}], choose="start")
    all_sections = [
        *sections,
        training_section(METRICS),
        Section("plane", "A plane", plane.blocks),
        Section("scene", "A scene", [moving]),
    ]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render_page("a run", "of tests", all_sections, status="finished"), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_loads_without_a_word_and_fits(chromium, file, width, scheme):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with Watched(chromium, file, **options) as watched:
        page = watched.page
        page.wait_for_selector(".player .chart path")
        assert watched.errors == [] and watched.fetched == [file]
        assert page.title() == page.locator("h1").inner_text() == "a run"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("section").count() == page.locator("nav a").count() == 6
        # Text is read on paper of the other kind: WCAG asks for a contrast of 4.5.
        for selector in ("body", ".note", "figcaption", "svg text", "nav a"):
            assert contrast(page, selector) >= 4.5, selector
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_label("switch between light and dark").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert contrast(page, "figcaption") >= 4.5 and watched.errors == []


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e150])
def test_curves_are_the_same_in_every_unit(chromium, tmp_path, scale):
    """Lines and dots stand at the same places, and every number at an axis is another one."""

    def shown(factor):
        y = factor * np.sin(np.arange(12.0))
        near = factor * (1 + 1e-7 * np.sin(np.arange(12.0)))
        blocks = [
            chart("a wave", [line("wave", np.arange(12), y), line("dots", np.arange(12), 0.9 * y, look="dots")]),
            chart("nearly equal", [line("near", np.arange(12), near)]),
            chart("errors", [line("error", np.arange(12), np.abs(y) + factor / 9)], log=True),
            scatter("cases", np.abs(y) + factor, factor + y**2 / factor, ["case"] * 12, names=("a", "b")),
        ]
        path = tmp_path / "page.html"
        path.write_text(render_page("a", "b", [Section("charts", "Charts", blocks)]), encoding="utf-8")
        with Watched(chromium, path.as_uri()) as watched:
            watched.page.wait_for_selector("svg circle")
            paths = watched.page.eval_on_selector_all("svg path[stroke]", "all => all.map((p) => p.getAttribute('d'))")
            dots = watched.page.eval_on_selector_all(
                "svg circle", "all => all.map((c) => [+c.getAttribute('cx'), +c.getAttribute('cy')])"
            )
            ticks = watched.page.eval_on_selector_all(
                "svg",
                "all => all.map((svg) => [...svg.querySelectorAll('text[text-anchor=end]')].map((t) => t.textContent))",
            )
            assert watched.errors == []
        return [[float(x) for x in path.replace("M", " ").replace("L", " ").split()] for path in paths], dots, ticks

    one, other = shown(1.0), shown(scale)
    assert len(one[0]) == 3 and len(one[1]) == 24
    for a, b in zip(one[0], other[0], strict=True):
        assert b == pytest.approx(a, abs=0.2)
    np.testing.assert_allclose(other[1], one[1], atol=0.2)
    for found in (*one[2], *other[2]):
        assert len(found) > 1 and len(set(found)) == len(found)


def contrast(page, selector: str) -> float:
    """Of an element's text with the page, after WCAG 2.1."""
    style = f"getComputedStyle(document.querySelector('{selector}'))"
    ink = page.evaluate(f"{style}.{'fill' if 'svg' in selector else 'color'}")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = np.array([float(each) for each in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_slider_moves_the_picture_and_arrows_read_it(chromium, file, evaluation):
    with Watched(chromium, file, viewport={"width": 1000, "height": 900}) as watched:
        page = watched.page
        motion = page.locator("#motion .player")
        slider, chart = motion.locator("input[type=range]"), motion.locator(".chart").first
        page.wait_for_selector("#motion .chart path")
        last = int(slider.get_attribute("max"))
        assert slider.input_value() == str(last)  # the end is what is seen first
        name = motion.locator("select").first.locator("option").first.inner_text()
        place = evaluation.suite.cases.index(name.removesuffix(" (held-out)"))
        assert read(chart) == pytest.approx(state_at(evaluation, place, 3), rel=2e-3, abs=2e-4)
        pictures = {chart.locator("svg").inner_html()}
        slider.focus()
        page.keyboard.press("Home")
        assert slider.input_value() == "0" and "t = 0 of" in motion.locator("output").first.inner_text()
        pictures.add(chart.locator("svg").inner_html())
        start = read(chart)
        assert start["learned"] == start["weno-js"] == start["truth"]  # all begin with the same state
        page.keyboard.press("Escape")
        motion.get_by_label("one step on").click()
        assert slider.input_value() == "1"
        pictures.add(chart.locator("svg").inner_html())
        assert len(pictures) == 3
        slider.focus()
        page.keyboard.press("Space")
        page.wait_for_function("document.querySelector('#motion input').value > 3")
        page.keyboard.press("Space")
        held = slider.input_value()
        page.wait_for_timeout(400)
        assert slider.input_value() == held and watched.errors == []


def read(chart) -> dict[str, float]:
    """The values at the fourth cell, by keyboard."""
    chart.locator("svg").focus()
    chart.page.keyboard.press("Home")
    for _ in range(3):
        chart.page.keyboard.press("ArrowRight")
    text = chart.locator(".readout").inner_text().split(": ", 1)[1]
    return {name: float(value) for name, value in (each.rsplit(" ", 1) for each in text.split(", "))}


def state_at(evaluation, place: int, cell: int) -> dict[str, float]:
    values = {name: float(scores.values[place, 0, cell]) for name, scores in evaluation.scores.items()}
    return {**values, "truth": float(evaluation.suite.truth[place, 0, cell])}


def test_another_case_and_other_weights_can_be_chosen(chromium, file):
    with Watched(chromium, file, viewport={"width": 1000, "height": 900}) as watched:
        motion = watched.page.locator("#motion .player")
        watched.page.wait_for_selector("#motion .chart path")
        chooser = motion.locator("select").first
        before = motion.locator(".chart").first.locator("svg").inner_html()
        chooser.select_option(index=1)
        assert motion.locator(".chart").first.locator("svg").inner_html() != before
        titles = motion.locator("figcaption").all_inner_texts()
        assert "weights, right-going flux" in titles and "weights, left-going flux" not in titles
        motion.get_by_label("weights", exact=True).select_option("weights, left-going flux")
        assert "weights, left-going flux" in motion.locator("figcaption").all_inner_texts()
        # A line can be taken out and comes back.
        chart = motion.locator(".chart").first
        dots = chart.locator("circle").count()
        button = chart.get_by_role("button", name="weno-js")
        button.click()
        assert chart.locator("circle").count() == dots - 16 and button.get_attribute("aria-pressed") == "false"
        button.click()
        assert chart.locator("circle").count() == dots and watched.errors == []


def test_every_case_has_a_name(chromium, file, evaluation):
    with Watched(chromium, file) as watched:
        watched.page.wait_for_selector("#errors circle")
        figure = watched.page.locator("#errors figure").first
        figure.locator("svg").focus()
        watched.page.keyboard.press("Home")
        case = evaluation.suite.cases[int(np.argmin(evaluation.scores["learned"].ratio))]
        assert figure.locator(".readout").inner_text().startswith(f"{case}: ")
        dot = figure.locator("circle").last  # the ring around the one that is named
        dot.scroll_into_view_if_needed()
        box = dot.bounding_box()
        watched.page.keyboard.press("Escape")
        assert figure.locator(".readout").inner_text() == ""
        watched.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert figure.locator(".readout").inner_text().startswith(f"{case}: ") and watched.errors == []


def test_maps_and_scenes_move_and_read_out(chromium, file):
    with Watched(chromium, file) as watched:
        page = watched.page
        canvas = page.locator("#plane canvas").first
        end = picture(canvas)
        page.locator("#plane input").focus()
        page.keyboard.press("Home")
        start = picture(canvas)
        assert start != end and len(set(start)) > 20  # more than one colour
        canvas.focus()
        page.keyboard.press("ArrowUp")
        text = page.locator("#plane .map .readout").first.inner_text()
        assert text.startswith("x = 0.542, y = 0.625: ") and float(text.rsplit(" ", 1)[1]) > 0
        rod = page.locator("#scene polyline")
        places = [rod.get_attribute("points")]
        page.locator("#scene input").focus()
        page.keyboard.press("ArrowLeft")
        places.append(rod.get_attribute("points"))
        lengths = [
            np.hypot(*np.diff(np.array([p.split(",") for p in each.split()], float), axis=0)[0]) for each in places
        ]
        assert places[0] != places[1] and lengths[0] == pytest.approx(lengths[1], rel=1e-3)
        assert watched.errors == []


def picture(canvas) -> bytes:
    return base64.b64decode(canvas.evaluate("node => node.toDataURL()").split(",")[1])


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return train(SYSTEMS["cartpole"], preset="tiny", root=tmp_path_factory.mktemp("runs")).path


def test_a_server_follows_a_run(chromium, run):
    table = run / "metrics.csv"
    whole = table.read_text()
    rows = whole.splitlines(keepends=True)
    table.write_text("".join(rows[:-1]))
    with ReportServer(run, suites=("test",)) as server:
        threading.Thread(target=server.serve, daemon=True).start()
        with Watched(chromium, server.url) as watched:
            page = watched.page
            page.wait_for_selector("#training svg")
            assert page.locator(".status").inner_text().startswith("finished")
            paths = page.locator("#training .chart").count()
            before = page.locator("#training").inner_html()
            table.write_text(whole)
            page.wait_for_function("before => document.getElementById('training').innerHTML !== before", arg=before)
            assert page.locator("#training .chart").count() >= paths
            page.get_by_role("button", name="evaluate the newest checkpoint").click()
            # The page is made anew, and fetched.
            page.wait_for_function("performance.getEntriesByType('navigation')[0].type === 'reload'", timeout=120_000)
            assert server.news()["version"] == 2 and watched.errors == []
            assert {url.rsplit("/", 1)[0] for url in watched.fetched} == {server.url.rstrip("/")}
        for path, headers, status in (
            ("nothing", {}, 404),
            ("", {"Host": "example.org"}, 403),
            ("news.json", {"Origin": "http://example.org"}, 403),
        ):
            with pytest.raises(urllib.error.HTTPError) as found:
                urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers))
            assert found.value.code == status
            found.value.close()
        server.close()
    with pytest.raises(UndertowError, match="port must be a whole number from 0 to 65535"):
        ReportServer(run, port=70000)
