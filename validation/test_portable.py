"""The numpy loader under older Pythons, those that are found on the path and have numpy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import undertow as ut
from tests.export.test_artefact import CART, SCHEME
from tests.exports import random_run
from undertow.export import portable

CODE = """
import json, sys
import portable
policy = portable.load(".")
portable.verify(".")
import numpy as np
print(json.dumps(policy(np.asarray(json.loads(sys.argv[1]))).tolist()))
"""


def older() -> list[str]:
    """Pythons before this library's own that can import numpy."""
    found = [path for minor in (8, 9, 10) if (path := shutil.which(f"python3.{minor}"))]
    with_numpy = [
        path for path in found if subprocess.run([path, "-c", "import numpy"], capture_output=True).returncode == 0
    ]
    return with_numpy


@pytest.mark.parametrize("config", [SCHEME, CART], ids=["scheme", "controller"])
def test_older_pythons_give_the_same_numbers(config, tmp_path):
    pythons = older()
    if not pythons:
        pytest.skip("no python3.8, 3.9 or 3.10 with numpy on the path")
    folder: Path = ut.export(random_run(config, tmp_path / "run"), out=tmp_path / "artefact", programs=False).path
    policy = portable.load(folder)
    seen = np.random.default_rng(0).normal(size=(2, 5, *policy.about["observation"]["shape"]))
    for python in pythons:
        command = [python, "-B", "-W", "error", "-c", CODE, json.dumps(seen.tolist())]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        np.testing.assert_allclose(json.loads(done.stdout), policy(seen), rtol=0, atol=1e-12)
