"""The figure of a sweep, in each of its forms."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.report.sweep import MANY, sweep_figure

CHOICES = {
    "gradient": {"choices": ["full", "stop"]},
    "policy.hidden": {"choices": ["[4]", "[8,8]", "[]"]},
    "grid.order": {"choices": ["3", "5", "7", "9", "11"]},
}
RANGE = {"optimizer.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}


def found(over, sampler, seeds):
    """As many trials as there are lists of seeds, the first the best."""
    trials = []
    for number, values in enumerate(seeds):
        words = {
            name: given["choices"][number % len(given["choices"])] for name, given in over.items() if "log" not in given
        }
        x = {name: 1e-4 * 1.1**number for name, given in over.items() if "log" in given}
        middle, low, high = np.quantile(values, [0.5, 0.25, 0.75], method="nearest")
        trials.append(
            {
                "trial": number,
                "values": {**words, **x},
                "words": {**words, **{name: str(value) for name, value in x.items()}},
                "seeds": values,
                "median": float(middle),
                "low": float(low),
                "high": float(high),
                "lost": int(np.sum(~np.isfinite(values))),
            }
        )
    return {"sampler": sampler, "metric": "ratio", "seeds": len(seeds[0]), "over": over, "trials": trials}


def some(count, lost=1):
    good = [[0.1 * 1.2**k, 0.2 * 1.2**k, 0.3 * 1.2**k] for k in range(count - lost)]
    return [*good, *[[np.inf] * 3] * lost]


@pytest.mark.parametrize(
    ("over", "sampler", "count"),
    [
        (["gradient"], "grid", 2),
        (["gradient", "policy.hidden"], "grid", 6),
        (["gradient", "policy.hidden", "grid.order"], "grid", MANY + 6),
        (["gradient", "optimizer.learning_rate"], "tpe", 12),
    ],
)
def test_every_form_is_drawn(over, sampler, count, tmp_path):
    """Also with a combination that lost all of its seeds, and one that lost a few."""
    seeds = some(count)
    seeds[0] = [0.1, 0.2, np.inf]
    ranges = {"optimizer.learning_rate": True} if "optimizer.learning_rate" in over else {}
    given = found({name: {**CHOICES, **RANGE}[name] for name in over}, sampler, seeds)
    picture = matplotlib.image.imread(sweep_figure(given, tmp_path / "sweep.png", ranges=ranges))
    assert picture.shape[2] == 4 and (picture[..., :3].std(axis=2) > 0.1).mean() > 1e-3  # there is colour in it


def test_nothing_left_is_nothing_to_draw(tmp_path):
    with pytest.raises(UndertowError, match="nothing to draw"):
        sweep_figure(found({"gradient": CHOICES["gradient"]}, "grid", some(2, lost=2)), tmp_path / "sweep.png")
    assert not list(tmp_path.iterdir())
