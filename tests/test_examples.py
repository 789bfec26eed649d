"""Every example runs, in small, and shows what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    assert not [path.stem for path in EXAMPLES.glob("*.py") if f'load("{path.stem}")' not in text]


def test_solve_burgers():
    errors = load("solve_burgers").main(cells=(16, 64), end_time=0.2)
    for scheme in ("weno-js", "weno-z"):
        assert errors[scheme, 64] < 0.5 * errors[scheme, 16]
    assert errors["weno-js", 64] < errors["linear", 64]  # which rings at the shock


def test_own_law():
    small = {"pool": 4, "batch": 2, "cells": 16, "steps": 5, "end_time": 0.1, "integrator": "euler"}
    found = load("own_law").main(updates=3, **small)
    assert found["error"] < 0.03  # a fan on sixteen cells
    assert found["status"] == "finished"
    assert np.isfinite(found["after"])


def test_own_simulator():
    """The first loss does not depend on how the gradient travels; after some updates it is lower."""
    losses = load("own_simulator").main(updates=30, batch=4, names=("sign-agreement",))
    first = {before for before, _ in losses.values()}
    assert len(first) == 1
    assert all(after < 0.9 * before for before, after in losses.values())


def test_train_scheme(tmp_path):
    small = {"cells": 16, "steps": 10, "pool": 8, "cases": 4, "integrator": "euler"}
    run = load("train_scheme").main(updates=4, **small, out=tmp_path / "run")
    assert run.status == "finished"
    assert (run.path / "summary.json").is_file()
