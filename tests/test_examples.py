"""Every example runs, in small, and shows what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    assert not [path.stem for path in EXAMPLES.glob("*.py") if f'load("{path.stem}")' not in text]


def test_examples_are_short():
    """But for the two that draw a figure of a paper."""
    lengths = {path.stem: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}
    long = {name for name, count in lengths.items() if not 20 <= count <= 90}
    assert long == {"loss_landscape", "adam_rotation"}


def test_solve_burgers():
    errors = load("solve_burgers").main(cells=(16, 64), end_time=0.2)
    for scheme in ("weno-js", "weno-z"):
        assert errors[scheme, 64] < 0.5 * errors[scheme, 16]
    assert errors["weno-js", 64] < errors["linear", 64]  # which rings at the shock


def test_gas():
    found = load("gas").main(cells=(50,), blast_cells=50)
    assert found["errors"]["weno-z", 50] < found["errors"]["weno-js", 50] < 0.02
    assert found["lowest"] > 0


def test_plane():
    found = load("plane").main(cells=(12, 24), end_time=0.2)
    assert found["order"] > 2.5
    assert found["turned"] < 1e-12  # x and y are alike


def test_shallow_water():
    found = load("shallow_water").main(cells=(25, 50))
    assert found["errors"][50] < 0.7 * found["errors"][25]
    assert abs(found["volume"]) < 1e-9 and found["least"] >= 0


def test_gradient_paths():
    """One loss for all; what differs is how the gradient travels back."""
    found = load("gradient_paths").main(steps=20)
    assert len({each["loss"] for each in found.values()}) == 1
    assert found["full"]["cosine"] == pytest.approx(1)
    assert len({each["length"] for each in found.values()}) == len(found)


def test_games():
    returns = load("games").main(updates=20, cells=16, steps=5)
    assert returns[-1] > returns[0]


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


def test_notebook_cartpole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"horizon": 5, "data": {"train": 8, "test": 4}, "policy": {"hidden": (4,)}}
    learned, figures = load("notebook_cartpole").main(**small, training={"updates": 4, "dispatch": 2})
    assert learned.status == "finished" and {"training", "behaviour"} <= set(figures)
    assert not list(tmp_path.iterdir())


def test_loss_landscape(tmp_path):
    """The gradient of the loss, by differences over the map; closing a gate does not move where it is zero."""
    found = load("loss_landscape").main(tmp_path / "landscape.png", points=33)
    axis, loss, regular, modified = found["fields"]
    rising = np.stack(np.gradient(loss, axis, axis)[::-1], axis=-1)
    inside = np.s_[8:25, 12:25]  # where the loss is smooth on the scale of the map
    np.testing.assert_allclose(np.median(np.abs(rising - regular)[inside]), 0, atol=0.05)
    lengths = np.linalg.norm(modified, axis=-1) / np.sqrt(2 * loss)
    # The residual times (sum x_n^2, sum x_n), which is never shorter than x_0^2: the field vanishes with the loss only.
    assert lengths.min() > 0.0899
    assert found["regular"] > found["modified"]
    assert (tmp_path / "landscape.png").stat().st_size > 10_000


def test_adam_rotation(tmp_path):
    """What is described of the published figure: it dips and grows, the gradient and the combination converge."""
    losses = load("adam_rotation").main(tmp_path / "rotation.png")
    assert all(values[0] == 20 for values in losses.values())
    turning, combined = losses["+ rotation"], losses["combination"]
    assert losses["divergence"][100:].min() < 1e-3
    assert 0.3 < turning.min() < 0.9 and 25 < turning.argmin() < 45
    assert 4 < turning[-1] < 6
    assert combined[150:].max() < 0.2
    assert (tmp_path / "rotation.png").stat().st_size > 10_000


def test_solve_learned():
    """The gradient through the march improves the policy; waves of other heights take other numbers of steps."""
    found = load("solve_learned").main(cells=16, updates=4, max_steps=16)
    assert found["errors"][-1] < 0.98 * found["errors"][0]
    assert np.all(np.diff(found["steps"]) >= 0) and found["steps"][0] < found["steps"][-1] < 16
    np.testing.assert_allclose(found["times"], 0.2, rtol=1e-12)
