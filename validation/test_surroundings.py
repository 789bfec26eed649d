"""The program in odd surroundings, each in a process of its own: streams that are narrow, full or closed; homes and working
directories that are absent or read-only; rc files and back ends of matplotlib; optional packages that are there and broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.runs.fakes import make_run


def run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    shell = re.sub(r"\bundertow (?=[a-z])", f"{sys.executable} -m undertow ", command)
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=given, timeout=300)


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_streams_that_are_narrow_full_or_closed(tmp_path):
    """One shell, as every process takes seconds to begin."""
    letters = tmp_path / "größe"
    make_run(letters / "lauf")
    script = f"""
    undertow runs '{letters}'; echo "ascii $?"
    undertow list boundaries > /dev/full; echo "full $?"
    undertow list boundaries 2>&- >&- <&-; echo "closed $?"
    undertow runs '{tmp_path / "nothing-größe"}' 2>&-; echo "unheard $?"
    """
    done = run(script, **ASCII, COLUMNS="1", TERM="dumb")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    codes = dict(line.split() for line in done.stdout.splitlines() if re.fullmatch(r"\w+ \d+", line))
    assert codes["ascii"] == "0" and codes["full"] == "2" and codes["closed"] == "0" and codes["unheard"] in ("0", "2")
    assert "No space left on device" in done.stderr and "lauf" in done.stdout


def test_closed_streams_lead_nowhere(tmp_path):
    """The first file that is opened would be standard error, and get all that libraries write there."""
    code = (
        "import sys; from undertow.cli import streams; streams.secure(); sys.exit(open(sys.argv[1], 'w').fileno() < 3)"
    )
    done = run(f'{sys.executable} -c "{code}" {tmp_path / "file"} 2>&- >&- <&-')
    assert done.returncode == 0


HOMES = {
    "no home": "env -u HOME -u XDG_CACHE_HOME -u XDG_CONFIG_HOME",
    "absent": "env HOME=/nonexistent XDG_CACHE_HOME=/nonexistent/c XDG_CONFIG_HOME=/nonexistent/d",
    "no file system": "env HOME=/proc MPLCONFIGDIR=/proc/1/x XDG_CACHE_HOME=/proc TMPDIR=/nonexistent",
    "another back end": "env MPLBACKEND=module://matplotlib_inline.backend_inline",
    "nonsense": "env MPLBACKEND=nonsense TERM= COLUMNS=1 LINES=1",
    "a journal": "env MATPLOTLIBRC=rc",
}


@pytest.mark.parametrize("home", HOMES)
def test_solving_and_drawing_anywhere(home, tmp_path):
    (tmp_path / "rc").mkdir()
    (tmp_path / "rc" / "matplotlibrc").write_text("text.usetex: True\nfont.family: Nowhere\nsavefig.bbox: tight\n")
    done = run(
        f"cd {tmp_path} && {HOMES[home]} undertow simulate smooth_sine --cells 16 --end-time 0.05 --saves 2 "
        "--out a.png a.gif a.csv"
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"rc", "a.png", "a.gif", "a.csv"}
    assert len(done.stderr.splitlines()) <= 3  # matplotlib's own, of a folder for its fonts


BROKEN = {
    "tensorboardX": ("undertow train cartpole OUT", 0, "no event files for TensorBoard"),
    "tensorboardX asked for": (
        "undertow train cartpole OUT --tensorboard True",
        2,
        "event files need tensorboardX, and what is installed cannot be used",
    ),
    "optuna": (
        "undertow sweep cartpole --over gradient=full,stop --seeds 1 --out o",
        2,
        "a sweep needs Optuna, and what is installed",
    ),
    "stable_baselines3": (
        "undertow train burgers --method ppo --data.pool 8 --out o",
        2,
        "needs Stable-Baselines3, and what",
    ),
    "flatbuffers": ("undertow export RUN --out o", 2, "needs flatbuffers, and what is installed cannot be used"),
    "gymnasium": (
        "PYTHON -c 'import undertow.games.gymnasium'",
        1,
        "need Gymnasium, and what is installed cannot be used",
    ),
}
SHORT = (
    "--system.poles 1 --horizon 4 --training.updates 4 --training.batch 2 --data.train 4 --data.test 4 "
    "--evaluation.suites --out o"
)
ERRORS = (
    "TypeError('Descriptors cannot be created directly.')",
    "OSError('libcudart.so: cannot open')",
    "SystemError('abi')",
)


@pytest.mark.parametrize("case", BROKEN)
def test_packages_that_are_installed_and_broken(case, tmp_path):
    command, code, said = BROKEN[case]
    package = case.split()[0]
    # JAX itself imports flatbuffers, and goes on without it if that raises an ImportError.
    errors = ["ImportError('cannot import name number_types')"] if package == "flatbuffers" else ERRORS
    for number, error in enumerate(errors):
        place = tmp_path / str(number)
        (place / "fake" / package).mkdir(parents=True)
        (place / "fake" / package / "__init__.py").write_text(f"raise {error}\n")
        if "RUN" in command:
            from tests.export.test_artefact import CART
            from tests.exports import random_run

            random_run(CART, place / "run")
        line = command.replace("OUT", SHORT).replace("RUN", "run").replace("PYTHON", sys.executable)
        done = run(f"cd {place} && PYTHONPATH={place / 'fake'}:$PYTHONPATH {line}")
        assert done.returncode == code and said in done.stderr, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr or code == 1  # Python's own, for an import in a program
        assert code == 0 or not (place / "o").exists()


SPAWN = """
import gymnasium, numpy as np
if __name__ == "__main__":
    name = "undertow.games.gymnasium:undertow/Burgers-v0"
    options = {"cells": 8, "steps": 3, "order": 3}
    try:
        envs = gymnasium.make_vec(name, num_envs=2, vectorization_mode="async", vector_kwargs={"context": CONTEXT}, **options)
    except Exception as error:
        print("refused", error)
        raise SystemExit(3)
    seen, _ = envs.reset(seed=0)
    seen, reward, *_ = envs.step(np.zeros(envs.action_space.shape, np.float32))
    print("played", reward.shape)
    envs.close()
"""


@pytest.mark.parametrize(("context", "code"), [("spawn", 0), ("fork", 3)])
def test_processes_of_gymnasium(context, code, tmp_path):
    (tmp_path / "many.py").write_text(SPAWN.replace("CONTEXT", repr(context)))
    done = run(f"cd {tmp_path} && timeout 110 {sys.executable} many.py")
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr[-3000:])
    assert "played (2,)" in done.stdout if code == 0 else "start processes with spawn" in done.stdout + done.stderr
