"""The figure of a sweep, in each of its forms."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest

from tests.report.pictures import named, ticks
from undertow._checks import UndertowError
from undertow.report import sweep
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


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """What `sweep_figure` draws, instead of its file."""

    def draw(*given, **options):
        kept = []
        monkeypatch.setattr(sweep.style, "save", lambda fig, path: kept.append(fig) or path)
        sweep_figure(*given, tmp_path / "sweep.png", **options)
        return kept[0]

    return draw


def test_a_grid_over_one_field_is_a_row_of_points(figure):
    seeds = [[0.1, 0.2, 0.3], [0.2, 0.4, np.inf]]
    (axis,) = figure(found({"gradient": CHOICES["gradient"]}, "grid", seeds)).axes
    assert ticks(axis.yaxis) == ["full", "stop (1 lost)"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("ratio, median of 3 seeds", "gradient")
    places = [line.get_xydata() for line in axis.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(places[0], [[0.1, 0], [0.2, 0], [0.3, 0]])
    np.testing.assert_array_equal(places[1], [[0.2, 0]])  # the median
    np.testing.assert_array_equal(places[2], [[0.2, 1], [0.4, 1]])  # a seed that was lost has no place
    low, high = axis.get_ylim()
    assert low > high  # the best one on top


def test_a_grid_over_two_fields_is_a_map_of_medians(figure):
    given = found({name: CHOICES[name] for name in ("gradient", "policy.hidden")}, "grid", some(6))
    fig = figure(given)
    axis, bar = fig.axes
    assert (ticks(axis.xaxis), ticks(axis.yaxis)) == (["[4]", "[8,8]", "[]"], ["full", "stop"])
    assert (axis.get_xlabel(), axis.get_ylabel(), bar.get_ylabel()) == (
        "hidden", "gradient", "ratio, median of 3 seeds"
    )  # fmt: skip
    shown = np.ma.filled(axis.images[0].get_array(), np.nan)
    for row in given["trials"]:
        place = (
            ["full", "stop"].index(row["words"]["gradient"]),
            ["[4]", "[8,8]", "[]"].index(row["words"]["policy.hidden"]),
        )
        np.testing.assert_equal(shown[place], row["median"] if np.isfinite(row["median"]) else np.nan)
    assert sorted(text.get_text() for text in axis.texts).count("lost") == 1


def test_a_search_is_drawn_trial_by_trial_and_over_its_fields(figure):
    over = {"gradient": CHOICES["gradient"], **RANGE}
    given = found(over, "tpe", some(6)[::-1])
    fig = figure(given, ranges={"optimizer.learning_rate": True})
    first, gradient, rate = fig.axes
    medians = [row["median"] for row in given["trials"]][1:]  # the first one lost all of its seeds
    best = named(first)["best so far"]
    np.testing.assert_array_equal(best, np.stack([np.arange(1, 6), np.minimum.accumulate(medians)], axis=1))
    assert [axis.get_xlabel() for axis in fig.axes] == ["trial", "gradient", "learning rate"]
    assert ticks(gradient.xaxis) == ["full", "stop"] and rate.get_xscale() == "log"
    places = sorted(tuple(line.get_xydata()[0]) for line in rate.lines if line.get_marker() == "o")
    np.testing.assert_allclose(
        places, [(row["values"]["optimizer.learning_rate"], row["median"]) for row in given["trials"][1:]]
    )


def test_nothing_left_is_nothing_to_draw(tmp_path):
    with pytest.raises(UndertowError, match="nothing to draw"):
        sweep_figure(found({"gradient": CHOICES["gradient"]}, "grid", some(2, lost=2)), tmp_path / "sweep.png")
    assert not list(tmp_path.iterdir())
