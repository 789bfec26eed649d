"""In what configurations differ."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.runs.fakes import make_run
from undertow._checks import UndertowError
from undertow.config import CONTROL_CONFIGS, config_to_dict
from undertow.config.fields import flatten
from undertow.presets import PRESETS
from undertow.runs import diff_runs
from undertow.training.optimizer import OptimizerConfig

CartPoleTask = CONTROL_CONFIGS["cartpole"]
GuidanceTask = CONTROL_CONFIGS["guidance"]


def test_only_what_differs(tmp_path):
    one, other = CartPoleTask(), CartPoleTask(seed=4, optimizer=OptimizerConfig(learning_rate=0.5))
    make_run(tmp_path / "a", one)
    make_run(tmp_path / "b", other)
    found = diff_runs([tmp_path / "a", tmp_path / "b"])
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert found.parameters == {"seed": {a: 0, b: 4}, "optimizer.learning_rate": {a: 1e-3, b: 0.5}}
    assert not found.about and found.describe() == "2 parameters differ"
    everything = diff_runs([a, b], everything=True)
    assert set(everything.about) <= {"start", "end", "seconds"} and everything.parameters == found.parameters


def test_no_difference(tmp_path):
    """A file with nothing but the family in it is the defaults."""
    make_run(tmp_path / "a")
    (tmp_path / "b.json").write_text(json.dumps({"family": "cartpole", "preset": "cartpole"}))
    found = diff_runs([tmp_path / "a", tmp_path / "b.json"])
    assert not found.parameters and found.describe() == "no difference"


def test_presets_and_families():
    found = diff_runs(["cartpole", "guidance", "cartpole"])
    assert found.sources == ("cartpole", "guidance")
    assert found.parameters["system.poles"] == {"cartpole": 1}  # the other one has no poles
    assert found.about == {"preset": {"cartpole": "cartpole", "guidance": "guidance"}}
    ours, theirs = (flatten(config_to_dict(PRESETS[name].config)) for name in found.sources)
    differing = {name for name in ours.keys() | theirs.keys() if ours.get(name, ...) != theirs.get(name, ...)}
    assert set(found.parameters) == differing


def test_versions_and_commit(tmp_path):
    for name, version in (("a", "1"), ("b", "2")):
        run = make_run(tmp_path / name, replace(GuidanceTask(), seed=1), preset="guidance")
        info = {
            **run.info,
            "versions": {**run.info["versions"], "jax": version},
            "git": {"of": "package", "commit": name},
        }
        (run.path / "run.json").write_text(json.dumps(info))
    found = diff_runs([tmp_path / "a", tmp_path / "b"])
    assert set(found.about) == {"versions.jax", "git.commit"}
    assert found.describe() == "no parameter differs"


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["cartpole"], "at least two"),
        (["cartpole", "cartpole"], "at least two"),
        (
            ["cartpole", "cartpol"],
            "'cartpol' is neither a run directory nor a file nor a preset; did you mean 'cartpole'",
        ),
    ],
)
def test_what_cannot_be_compared(sources, message):
    with pytest.raises(UndertowError, match=message):
        diff_runs(sources)
