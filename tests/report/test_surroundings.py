"""Figures are the same whatever somebody's rc file says, leave matplotlib as they found it, and draw names as they are."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.ticker import NullLocator

import undertow as ut
from undertow import cli
from undertow._checks import UndertowError
from undertow.report import _matplotlib, animation, simulation, style
from undertow.report.figures import save_figures
from undertow.report.simulation import draw_simulation
from undertow.report.training import training_figure
from undertow.runs import figure

JOURNAL = {
    "text.usetex": True,
    "text.parse_math": True,
    "font.family": ["Nowhere Sans"],
    "font.size": 4,
    "axes.grid": False,
    "axes.facecolor": "black",
    "axes.formatter.use_mathtext": True,
    "figure.facecolor": "pink",
    "figure.dpi": 33,
    "figure.autolayout": True,
    "lines.linewidth": 7,
    "lines.marker": "x",
    "legend.loc": "lower left",
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "savefig.dpi": 20,
    "image.origin": "lower",
    "image.cmap": "jet",
    "xtick.labelsize": 30,
    "agg.path.chunksize": 10,
}


@pytest.fixture
def journal():
    """Somebody's settings, who finds them again."""
    with matplotlib.rc_context(JOURNAL):
        before = dict(matplotlib.rcParams)
        yield
        assert dict(matplotlib.rcParams) == before


def metrics(scale: float = 1.0) -> dict[str, np.ndarray]:
    update = np.arange(0, 50, 10)
    return {"update": update, "loss": scale * 0.5**update, "test_loss": scale * 0.6**update, "seconds": update * 1.0}


@pytest.fixture(scope="module")
def solved():
    return ut.simulate("smooth_sine", num_cells=16, end_time=0.05, saves=2)


def pictures(solved, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    training_figure(metrics(), folder / "training.png")
    draw_simulation(solved, folder / "solution.png", title="a_b")
    draw_simulation(solved, folder / "solution.gif", title="a_b")
    figure = training_figure(metrics())
    figure.savefig(folder / "own.png")  # as one does in a notebook
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_no_setting_changes_a_figure(solved, tmp_path, journal):
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        expected = pictures(solved, tmp_path / "plain")
    assert pictures(solved, tmp_path / "journal") == expected


def test_nobody_s_back_end_is_touched(solved, tmp_path):
    before = plt.get_backend()
    figure = plt.figure()
    pictures(solved, tmp_path / "some")
    assert plt.get_backend() == before and plt.get_fignums() == [figure.number]
    plt.close(figure)


@pytest.mark.parametrize("name", ["a$_$b", "$", "$\\frac$", "a_b^c", "\\alpha", "100%", "{x", "日本", "no\x1b[31m\x07"])
def test_names_are_drawn_as_they_are(name, journal):
    fig, axes = style.figure(1, 2)
    axis = axes[0, 0]
    axis.plot([1, 2], [1, 2], label=name)
    axis.set(title=name, xlabel=name, ylabel=name)
    axis.set_yticks([1, 2], [name, "b"])
    axis.annotate(name, (1, 1))
    axes[0, 1].bar([name, "b"], [1, 2])
    style.legend(axis)
    fig.suptitle(name)
    assert len(style.to_bytes(style.finished(fig))) > 1000
    for text in (axis.title, axis.xaxis.label, axis.yaxis.get_ticklabels()[0], *axis.texts):
        assert not text.get_parse_math() and not text.get_usetex()
    if name.isprintable():
        assert axis.title.get_text() == name


def test_powers_of_ten_are_still_formulas():
    fig, axes = style.figure()
    axes[0, 0].plot([1, 2], [1e-8, 1e8])
    axes[0, 0].set_yscale("log")
    axes[0, 0].yaxis.set_minor_locator(NullLocator())
    style.to_bytes(style.finished(fig))
    labels = [label for label in axes[0, 0].yaxis.get_ticklabels() if label.get_text()]
    assert all(label.get_parse_math() and "10^" in label.get_text() for label in labels) and labels


def test_every_maker_of_figures_takes_its_own_settings():
    """A new one that forgets would look as somebody's rc file says."""
    makers = {"figure", "map_axes", "FuncAnimation", "write_gif"}
    files = [*Path(style.__file__).parent.glob("*.py"), Path(style.__file__).parents[1] / "games" / "render.py"]
    forgotten = []
    for path in files:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name not in ("write_gif", "show"):
                calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
                names = {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in calls}
                own = {ast.unparse(each) for each in node.decorator_list} & {"style.drawn", "drawn"}
                if names & makers and not own:
                    forgotten.append(f"{path.name}: {node.name}")
    assert not forgotten


def test_pyplot_is_for_windows_alone():
    root = Path(style.__file__).parents[1]
    using = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if "matplotlib.pyplot" in path.read_text()
    }
    assert using == {"games/render.py"}


LOAD = """
import json, runpy, sys
load = runpy.run_path(sys.argv[1])["load"]
load()
import matplotlib, os
rc, given = matplotlib.rcParams, os.environ.get
print(json.dumps([rc["text.usetex"], str(dict.__getitem__(rc, "backend")), given("MPLBACKEND"), given("MATPLOTLIBRC")]))
"""


@pytest.mark.parametrize(
    ("backend", "rc", "found"),
    [
        ("module://matplotlib_inline.backend_inline", None, None),
        ("nonsense", "text.usetex: True", None),
        ("svg", "text.usetex: True\nno such: line", "svg"),
        (None, b"text.usetex: True\n\xff\xfe", None),
    ],
)
def test_matplotlib_is_imported_whatever_the_environment_says(backend, rc, found, tmp_path):
    """In a process without this library, which would take longer to begin."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB"))}
    if backend is not None:
        given["MPLBACKEND"] = backend
    if rc is not None:
        (tmp_path / "matplotlibrc").write_bytes(rc if isinstance(rc, bytes) else rc.encode())
        given["MATPLOTLIBRC"] = str(tmp_path / "matplotlibrc")
    command = [sys.executable, "-c", LOAD, _matplotlib.__file__]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    usetex, used, kept, file = json.loads(done.stdout)
    assert usetex == isinstance(rc, str) and (kept, file) == (backend, given.get("MATPLOTLIBRC"))
    assert used == found if found else "matplotlib_inline" not in used and used != "nonsense"


# --- numbers first ----------------------------------------------------------------------------------------------------


class Nothing(Exception):
    """What a font, a full disk or a library may raise."""


def breaks(*arguments, **keywords):
    raise Nothing("no\n font")


def test_a_picture_that_fails_takes_nothing_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    good = simulation.draw_simulation
    monkeypatch.setattr(
        simulation,
        "draw_simulation",
        lambda r, path, **more: breaks() if path.suffix == ".png" else good(r, path, **more),
    )
    words = [
        "simulate",
        "smooth_sine",
        "--cells",
        "16",
        "--end-time",
        "0.05",
        "--saves",
        "2",
        "--out",
        "a.png",
        "b.gif",
        "c.csv",
    ]
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == ["c.csv", "b.gif"] and "l1 error" in out
    assert err == "undertow: could not draw a.png (Nothing: no font)\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.gif", "c.csv"]


def test_figures_that_fail_are_named_and_the_others_written(tmp_path):
    def some():
        yield "first", training_figure(metrics())
        yield "second", style.OwnFigure(figsize=(1e9, 1e9))
        yield "third", training_figure(metrics())
        breaks()

    with pytest.raises(UndertowError) as error:
        save_figures(tmp_path, some())
    assert {path.name for path in tmp_path.iterdir()} == {"first.png", "third.png"}
    assert "could not draw second (" in str(error.value) and "what comes after third (Nothing: no font)" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_numbers_of_a_comparison_are_written_first(tmp_path, monkeypatch, capsys):
    from tests.runs.fakes import make_run

    make_run(tmp_path / "a$_$b", losses=(2.0, 1.0))
    make_run(tmp_path / "b", losses=(2.0, 1.5))
    words = ["compare", "--groups", f"a$_$b={tmp_path / 'a$_$b'}", f"b={tmp_path / 'b'}", "--out"]
    assert cli.main([*words, str(tmp_path / "good")]) == 0
    capsys.readouterr()
    monkeypatch.setattr(figure, "comparison_figure", breaks)
    assert cli.main([*words, str(tmp_path / "out")]) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.csv", "compare.json"}
    assert "compare.png (Nothing: no font)" in capsys.readouterr().err
    for name in ("compare.csv", "compare.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "good" / name).read_bytes()


def test_moving_pictures_need_no_temporary_folder(solved, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkdtemp", breaks)
    monkeypatch.setattr("tempfile.mkstemp", breaks)
    file = draw_simulation(solved, tmp_path / "a.gif")
    assert file.read_bytes()[:6] == b"GIF89a" and animation.PillowWriter is not animation._InMemory
