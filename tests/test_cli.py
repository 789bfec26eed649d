"""The command line: help, one-line errors, and every command once."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.policies.test_published import agent, write
from tests.tiny import FLAGS, tiny
from undertow import cli, experiment
from undertow._checks import NonFiniteError
from undertow.cli.parse import one_line
from undertow.experiment import Run
from undertow.presets import PRESETS
from undertow.store.rundir import RunDirectory

TINY = FLAGS.split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "unknown command 'trian'; did you mean 'train'?"),
        ("train burger", "unknown preset 'burger'; did you mean 'burgers'?"),
        ("train --seed 1", "the preset comes first"),
        ("train --config", "--config needs a value: undertow train --config FILE"),
        ("train --config nowhere.json", "nowhere.json is missing"),
        ("train --repeat nowhere", "--repeat needs a run directory, and there is none at nowhere"),
        ("train --repeat .", "is not a run directory"),
        ("resume nowhere", "there is no run directory nowhere"),
        ("resume", "Missing"),
        ("train burgers --polcy.name x", "did you mean --policy.name?"),
        ("train burgers --policy.name directonal", "unknown policy.name 'directonal'; did you mean 'directional'?"),
        ("train burgers --seed", "Missing value for argument '--seed'"),
        ("train burgers --seed one", "invalid literal for int"),
        ("train burgers --grid.num-cells -64", "grid.num_cells must be a whole number above 0, got -64"),
        ("train burgers --grid.dt 0.5", "contradict each other: steps * dt = 20; set one of them to None"),
        ("train burgers --data.conditions shok", "unknown Burgers condition 'shok'; did you mean 'shock'?"),
        ("train burgers --evaluation.suites held", "unknown suite 'held'"),
        ("train burgers --out .", ". exists already and is left as it is"),
        ("train burgers --policy.start nowhere", "there is no checkpoint nowhere"),
        ("evaluate nowhere", "there is no run directory nowhere"),
        ("evaluate", "Missing"),
        ("plot nowhere", "there is no run directory nowhere"),
        ("import-agent nowhere.zip", "nowhere.zip does not exist or is not a file"),
        ("import-agent", "Missing"),
        (
            "import-agent nowhere.zip --preset cartpole",
            "--preset must be one of a learned scheme, and 'cartpole' is not",
        ),
        ("import-agent nowhere.zip --preset burger", "unknown preset 'burger'; did you mean 'burgers'?"),
        ("simulate shok", "unknown case 'shok'; did you mean 'shock'?"),
        ("simulate shock --policy wenoz", "neither a run directory nor a policy; did you mean 'weno-z'?"),
        ("simulate shock --flux hllc", "HLLC is for laws with a contact, such as Euler, got Burgers; take HLL"),
        ("simulate sod --flux hll --policy weno-z", "--flux is a scheme without a policy; leave one of the two out"),
        ("simulate sod --flux hll --speed local", "interpolates by itself; leave speed out"),
        ("simulate shock --dt 1", "far above 1: take dt <= "),
        ("simulate shock --cfl 9", "cfl must lie above 0 and not far above 1, got 9.0"),
        ("simulate shock --cfl 0.5 --dt 0.1", "cfl=0.5 and dt=0.1 contradict each other"),
        ("simulate shock --cells -8", "--cells must be a whole number above 0, got -8"),
        ("simulate shock --end-time 0", "--end-time must be a finite number above 0"),
        ("simulate shock --boundary perodic", "unknown boundary 'perodic'; did you mean 'periodic'?"),
        ("simulate smooth_rare_periodic --boundary outflow", "is periodic by its name"),
        ("simulate shock --params ofset=1", "has no parameter 'ofset'; did you mean 'offset'?"),
        ("simulate shock --params offset", "--params takes name=number, such as A=1.5, got 'offset'"),
        ("simulate flat --params a=nan", "--params a must be a finite number, got nan"),
        ("simulate shock --order 4", "order must be one of 3, 5, 7"),
        ("simulate shock --law.viscosity 1 --dt 0.001", "nu dt / dx^2"),
        ("simulate shock --out nowhere/u.csv", "there is no directory nowhere"),
        ("simulate sodd", "unknown case 'sodd'; did you mean 'sod'?"),
        ("simulate sod --boundary periodic", "sod brings its own law, parameters and boundary; leave --boundary out"),
        ("simulate sod --law.viscosity 1 --params k=2", "leave --law and --params out"),
        ("simulate shock --law.name euler", "shock is a condition of one component"),
        ("simulate shock --positivity", "nothing of Burgers has to stay positive"),
        ("simulate sod --positivity --integrator rk4", "with the integrators euler and ssp_rk3, not with rk4"),
        ("simulate shock --out u.pdf", "--out takes .csv and .png files"),
        ("list presents", "unknown list 'presents'; did you mean 'presets'?"),
        ("info all", "info takes no arguments"),
    ],
)
def test_errors_are_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == 2
    shown, said = capsys.readouterr()
    assert not shown and said.startswith("undertow: ") and said.count("\n") == 1
    assert message in said and "Traceback" not in said
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_boxes_become_lines():
    """Drawn with lines or with dashes."""
    inside = ["Said here,", "and there.", "", "More", "────", "Perhaps you meant:", "  --flag INT"]
    drawn = "\n".join(["╭─ Title ─╮", *(f"│ {line} │" for line in inside), "╰──╯"])
    dashes = "\n".join(["Title", "-----", *(line.replace("─", "-") for line in inside)])
    for box in (drawn, dashes):
        assert one_line(box) == "Said here, and there; did you mean --flag?"
    assert one_line("") == "the arguments could not be read"


def test_other_errors(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """What happens when it is nobody's argument: exit codes that scripts can use."""

    def failing(error: BaseException):
        def run(arguments):
            raise error

        monkeypatch.setitem(cli.COMMANDS, "info", cli.Command("info", "", run))
        return cli.main(["info"]), capsys.readouterr().err

    assert failing(NonFiniteError("the state is nan", step=3)) == (1, "undertow: the state is nan\n")
    assert failing(NonFiniteError("the initial state is nan", step=0))[0] == 2
    assert failing(OSError(28, "No space left on device", "a.png")) == (2, "undertow: a.png: No space left on device\n")
    assert failing(KeyboardInterrupt()) == (130, "undertow: stopped\n")
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_list_and_info(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(
        f"  {name} " in shown or f"  {name}\n" in shown for name in (*PRESETS, "smooth_sine", "weno-z", "ssp_rk3")
    )
    assert cli.main(["list", "presets"]) == 0
    assert capsys.readouterr().out.count("\n") == 1 + len(PRESETS)
    assert cli.main(["info"]) == 0
    assert "jax " in capsys.readouterr().out
    assert cli.main(["--version"]) == 0


def test_simulate_carries_a_wave_around(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Advection over one period: the exact solution is the initial state, and linear weights are of fifth order."""
    table, picture = tmp_path / "u.csv", tmp_path / "u.png"
    words = (
        "simulate smooth_sine --law.name advection --policy linear --cells 32 --end-time 1 --cfl 0.2 --saves 2 --out"
    )
    assert cli.main([*words.split(), str(table), str(picture)]) == 0
    shown = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines() if str(tmp_path) not in line)
    assert float(shown["l1 error"]) < 1e-3 and abs(float(shown["mass change"])) < 1e-12
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 3 * 32 and {row["time"] for row in rows} == {"0.0", "0.5", "1.0"}
    first, last = (np.array([float(row["u"]) for row in rows if row["time"] == time]) for time in ("0.0", "1.0"))
    np.testing.assert_allclose(last, first, atol=1e-3)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cli.main([*words.split(), str(table)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_simulate_a_gas(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Two steps of Sod's tube: cells, law and boundary are its own; files hold more than one quantity, and pictures move."""
    table, moving = tmp_path / "sod.csv", tmp_path / "sod.gif"
    words = "simulate sod --cells 16 --steps 2 --end-time 0.02 --order 3 --integrator euler --saves 2 --out"
    assert cli.main([*words.split(), str(table), str(moving)]) == 0
    shown = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines() if str(tmp_path) not in line)
    assert float(shown["change of momentum x"]) == pytest.approx(0.9 * 0.02) and float(shown["minimum pressure"]) > 0.09
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 3 * 16 and {"density", "velocity", "pressure", "exact_density"} <= set(rows[0])
    assert moving.read_bytes()[:6] == b"GIF89a"


def test_simulate_for_machines(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """The numbers that people are shown, and no lines beside them."""
    words = [
        "simulate",
        "smooth_sine",
        "--law.name",
        "advection",
        "--cells",
        "16",
        "--steps",
        "2",
        "--end-time",
        "0.02",
    ]
    assert cli.main(words) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("seconds")]
    assert cli.main([*words, "--json", "--out", str(tmp_path / "u.csv")]) == 0
    shown, said = capsys.readouterr()
    told = json.loads(shown)
    assert not said and told["files"] == [str(tmp_path / "u.csv")] and (tmp_path / "u.csv").is_file()
    assert (told["case"], told["policy"]) == ("smooth_sine", "weno-js")
    told["metrics"].pop("seconds")
    assert [f"{name.replace('_', ' '):17}{value:.6g}" for name, value in told["metrics"].items()] == lines


def test_simulation_that_blows_up(capsys: pytest.CaptureFixture[str]):
    """Downwind weights and forward Euler: unstable, and the error says when and where it showed."""
    words = "simulate smooth_sine --policy right --integrator euler --cells 32 --cfl 0.25 --end-time 20"
    assert cli.main(words.split()) == 1
    assert "the state after step" in capsys.readouterr().err


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    assert cli.main(["train", "burgers", "--out", str(out), "--seed", "3", "--optimizer.clip", "none", *TINY]) == 0
    return out


def test_train_does_what_the_flags_say(run: Path):
    config = RunDirectory.open(run).config
    assert config["seed"] == 3 and config["optimizer"]["clip"] == "none"
    for part in ("grid", "data", "evaluation"):
        changed = dataclasses.asdict(getattr(tiny(), part))
        assert {key: config[part][key] for key in changed} == {
            key: list(value) if isinstance(value, tuple) else value for key, value in changed.items()
        }
    assert RunDirectory.open(run).info["command"][:3] == ["undertow", "train", "burgers"]


def test_evaluate_prints_and_writes(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    out = tmp_path / "results"
    words = ["evaluate", str(run), "--cells", "16", "--end-time", "0.02", "--cases", "3", "--out", str(out)]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("learned", "weno-js", "weno-z"))
    assert sorted(path.name for path in out.iterdir()) == ["held-out.csv", "held-out.json"]
    assert cli.main(words) == 2 and "exists already" in capsys.readouterr().err


def test_evaluate_for_machines(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Nothing but one JSON document: by suite what its file would hold."""
    out = tmp_path / "results"
    words = ["evaluate", str(run), "--suite", "held-out", "held-out-2x-time", "--cells", "16", "--cases", "3", "--json"]
    assert cli.main([*words, "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["held-out", "held-out-2x-time"]
    assert told == {name: json.loads((out / f"{name}.json").read_text()) for name in told}
    assert told["held-out"]["cells"] == 16 and len(told["held-out"]["cases"]) == 3 * 3
    assert cli.main(["evaluate", str(run), "--suite", "held-out", "held-uot"]) == 2
    assert "did you mean 'held-out'" in capsys.readouterr().err


def test_a_published_agent_becomes_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    file, out = write(tmp_path / "model_best.zip", agent(3, (4,))), tmp_path / "run"
    words = ["import-agent", str(file), "--preset", "burgers", "--out", str(out)]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"run directory: {out}\n"
    assert RunDirectory.open(out).info["command"][:2] == ["undertow", "import-agent"]
    assert cli.main(words) == 2 and "exists already and is left as it is" in capsys.readouterr().err
    simulate = ["simulate", "rarefaction", "--cells", "16", "--end-time", "0.01", "--order", "3", "--policy"]
    shown = []
    for policy in (file, out):
        assert cli.main([*simulate, str(policy)]) == 0
        shown.append([line for line in capsys.readouterr().out.splitlines() if not line.startswith("seconds")])
    assert shown[0] == shown[1]
    evaluate = ["evaluate", str(out), "--cells", "16", "--end-time", "0.01", "--cases", "2"]
    assert cli.main(evaluate) == 0 and "learned" in capsys.readouterr().out
    assert cli.main(["evaluate", str(file)]) == 2
    assert f"make a run of it first: undertow import-agent {file}" in capsys.readouterr().err


def test_a_run_that_did_not_finish_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    stopped = Run(Path("runs/x"), "interrupted", None, {"updates": 7}, {}, signal=15)  # type: ignore[arg-type]
    monkeypatch.setattr(experiment, "train", lambda *_, **__: stopped)
    assert cli.main(["train", "burgers"]) == 143
    shown, said = capsys.readouterr()
    assert "run directory: runs/x" in shown
    assert said.count("\n") == 1 and "interrupted: after 7 updates" in said and "undertow evaluate runs/x" in said
    assert "undertow resume runs/x" in said


def test_trainings_for_machines(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Nothing but one JSON document: where the run is, and what its summary holds."""
    for words, path in (
        (["train", "--repeat", str(run), "--out"], tmp_path / "again"),
        (["resume", "--updates", "6"], Path(shutil.copytree(run, tmp_path / "longer"))),
    ):
        assert cli.main([*words, str(path), "--json"]) == 0
        shown, said = capsys.readouterr()
        told = json.loads(shown)
        assert not said and told.pop("path") == str(path)
        assert told == json.loads((path / "summary.json").read_text())
    assert told["updates"] == 6 and told["status"] == "finished"


def test_a_run_that_did_not_finish_says_so_to_machines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    stopped = Run(Path("runs/x"), "interrupted", None, {"updates": 7}, {}, signal=15, reason="stopped")  # type: ignore[arg-type]
    monkeypatch.setattr(experiment, "resume", lambda *_, **__: stopped)
    assert cli.main(["resume", "runs/x", "--json"]) == 143
    shown, said = capsys.readouterr()
    assert json.loads(shown) == {"path": "runs/x", "status": "interrupted", "reason": "stopped", "updates": 7}
    assert said.count("\n") == 1 and "interrupted: after 7 updates" in said


def test_help_needs_no_pictures():
    """In a process of its own: help loads neither matplotlib nor anything on a device, and precision is set by then."""
    script = (
        "import sys; from undertow.cli import main; main(['train', 'burgers', '--help'])\n"
        "import jax, jax._src.xla_bridge as bridge\n"
        "print('loaded:', 'matplotlib' in sys.modules, bool(bridge._backends), jax.config.jax_enable_x64)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: False False True"
