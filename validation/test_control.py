"""The published picture of the one-pole cart, as medians over ten seeds: 25 epochs, gradients clipped by norm.

Single runs of the published program end at 0.040 (regular), 0.025 (modified), 0.014 (combined) and 0.883 (one-step), and
without clipping the regular gradient stalls at 1.03.
"""

from __future__ import annotations

import numpy as np
import pytest

from undertow.reproduction.command import final_losses
from undertow.reproduction.grid import grid
from undertow.reproduction.runner import Study

SEEDS = 10


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """Test losses of all seeds, by gradient and clipping."""
    cells = grid("cartpole", panels=["1 pole"], clips=["norm"], epochs=25)
    cells += grid("cartpole", panels=["1 pole"], clips=["none"], flows=["regular", "combined"], epochs=25)
    study = Study(tmp_path_factory.mktemp("study") / "cartpole", "cartpole", cells, SEEDS)
    assert study.run(quiet=True)
    found = {(cell["line"], cell["clip"]): final_losses(cell) for cell in study.results()["cells"].values()}
    for name, values in found.items():
        print(*name, f"median {np.median(values):.4f}, from {values.min():.4f} to {values.max():.4f}")
    return found


def test_medians(losses):
    published = {"regular": 0.040, "combined": 0.014, "one-step": 0.883}
    for line, value in published.items():
        assert 0.5 * value < np.median(losses[line, "norm"]) < 1.5 * value
    assert losses["modified", "norm"].min() < 0.025 < losses["modified", "norm"].max()


def test_the_combined_gradient_wins_with_and_without_clipping(losses):
    for clip in ("norm", "none"):
        assert np.median(losses["combined", clip]) < 0.5 * np.median(losses["regular", clip])
    assert losses["combined", "none"].max() < 0.05 < losses["regular", "none"].min()
