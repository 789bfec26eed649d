"""A law, conditions, a policy and an objective in somebody's own file, from the first update to the export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import undertow as ut
from tests.tiny import FLAGS, tiny
from tests.traces import differences, essence
from undertow import cli
from undertow._checks import UndertowError
from undertow.config import config_to_dict
from undertow.config.fields import changed

TRAFFIC = '''
import jax
import jax.numpy as jnp

import undertow as ut


class Traffic(ut.AbstractConservationLaw):
    """Cars on a road."""

    v_max: float = 1.0
    rho_max: float = 1.0
    viscosity: float = 0.0
    num_components = 1

    def flux(self, u, axis):
        return self.v_max * u * (1 - u / self.rho_max)

    def max_speed(self, u, axis):
        return jnp.abs(self.v_max * (1 - 2 * u[0] / self.rho_max))

    def parity(self, axis):
        return (1.0,)


queue = ut.Field(lambda x: jnp.where(x < 0.5, 1.0, 0.0), Traffic(), "outflow")


def road(key):
    """Another density for every problem."""
    phase = jax.random.uniform(key)
    wave = jax.tree_util.Partial(lambda phase, x: 0.5 + 0.4 * jnp.sin(2 * jnp.pi * (x - phase)), phase)
    return ut.Field(wave, Traffic(v_max=2.0), "periodic")


class Agent(ut.AbstractPolicy):
    """The same weights everywhere, to be learned."""

    logits: jax.Array

    def __call__(self, observation, *, key=None):
        return tuple(jnp.broadcast_to(jax.nn.softmax(self.logits), (*q.shape[:-1], len(self.logits))) for q in observation)


def make_agent(order, key):
    return Agent(jnp.zeros((order + 1) // 2))


def error(trajectory, problem):
    return jnp.mean((trajectory.final.u - problem.reference.values[-1]) ** 2)
'''
OWN = ["--law.name", "traffic.py:Traffic", "--law.constants", "v_max", "2.0", "--tensorboard", "False", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of `traffic.py:Traffic`, in a place where the file no longer is."""
    folder = tmp_path_factory.mktemp("roads")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("traffic.py").write_text(TRAFFIC)
        assert cli.main(["train", "burgers", *FLAGS.split(), *OWN, "--out", "run"]) == 0
        Path("traffic.py").unlink()
    return folder / "run"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("traffic.py").write_text(TRAFFIC)
    return tmp_path


def test_a_run_says_which_law_and_keeps_its_text(run):
    config = json.loads((run / "config.json").read_text())["config"]
    assert config["law"]["name"] == "traffic.py:Traffic" and config["law"]["constants"] == {"v_max": 2.0}
    assert (run / "code" / "traffic.py").read_text() == TRAFFIC and set(config["code"]) == {"traffic.py:Traffic"}


def test_what_needs_no_code_runs_none(run, tmp_path, monkeypatch, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "code" / "traffic.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.chdir(tmp_path)
    for command in (["runs", ".", "--json"], ["compare", "run"], ["diff", "run", str(run)], ["report", "run"]):
        assert cli.main(command) == 0
    assert "is imported only where you allow it" in (tmp_path / "run" / "report.html").read_text()
    for command in (["evaluate", "run", "--suite", "held-out"], ["export", "run"], ["resume", "run", "--updates", "6"]):
        capsys.readouterr()
        assert cli.main(command) == 2 and "law.name is code from outside" in capsys.readouterr().err


def test_with_leave_it_is_evaluated_and_exported(run, tmp_path, capsys):
    given = [str(run), "--allow-code"]
    assert cli.main(["export", *given, "--out", str(tmp_path / "export"), "--no-programs"]) == 0
    document = json.loads((tmp_path / "export" / "policy.json").read_text())
    assert document["scheme"]["law"]["kind"] == "Traffic" and document["scheme"]["law"]["v_max"] == 2.0
    capsys.readouterr()
    small = ["--suite", "held-out", "--cells", "16", "--cases", "2", "--end-time", "0.02", "--json"]
    assert cli.main(["evaluate", *given, *small]) == 0
    assert json.loads(capsys.readouterr().out)["held-out"]["summary"]["learned"]["cases"] == 2


def test_a_stopped_run_goes_on_bit_for_bit(run, here):
    law = {"name": "traffic.py:Traffic", "constants": {"v_max": 2.0}}
    config = changed(tiny(optimizer=ut.preset("burgers").config.optimizer), {"law": law})
    base = json.loads((run / "config.json").read_text())["config"]
    config = changed(config, {"objective": base["objective"], "policy": {"prior": base["policy"]["prior"]}})
    assert config_to_dict(config) == base
    stopped = ut.train(config, preset="burgers", out="run", callbacks=lambda p: p.done == 2, tensorboard=False)
    assert stopped.status == "interrupted"
    Path("traffic.py").unlink()
    assert cli.main(["resume", "run", "--quiet", "--tensorboard", "False", "--allow-code"]) == 0
    assert differences(essence(here / "run"), essence(run)) == []


def test_from_python_by_the_object(here):
    """A law given as an object is the same configuration as its name and constants."""
    law = ut.preset("burgers", **{"law.name": "traffic.py:Traffic"}).config.law.entry.law
    given = changed(tiny(), {"law": law(v_max=2.0)})
    assert given.law.make() == law(v_max=2.0)
    own = changed(tiny(), {"law.name": "traffic.py:Traffic", "law.constants": {"v_max": 2.0, "rho_max": 1.0}})
    assert config_to_dict(given) == config_to_dict(own)


def test_conditions_policy_and_objective_of_ones_own(here):
    """All of them by name in one configuration, which trains and comes back from its run directory."""
    names = {"law": {"name": "traffic.py:Traffic", "constants": {"v_max": 2.0}}, "policy.name": "traffic.py:make_agent"}
    conditions = {"data.conditions": ["traffic.py:road"], "evaluation.conditions": ["traffic.py:queue"]}
    config = changed(tiny(), {**names, **conditions, "objective.name": "traffic.py:error"})
    run = ut.train(config, out="run", quiet=True, tensorboard=False)
    assert run.status == "finished"
    with ut.allow_code():
        np.testing.assert_array_equal(ut.load_policy("run").logits, run.policy.logits)
        last = ut.experiment.load_run("run", "last")[2]
    assert last.logits.shape == (2,) and np.all(last.logits != 0)


def test_simulate_takes_them_by_name(here, capsys):
    assert cli.main(["simulate", "traffic.py:queue", "--cells", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["steps"] > 0
    wanted = ["simulate", "smooth_sine", "--law.name", "traffic.py:Traffic", "--policy", "traffic.py:make_agent"]
    assert cli.main([*wanted, "--cells", "16"]) == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"law.name": "traffic.py:queue"}, "has to be a class of conservation laws, or a LawEntry, got"),
        ({"law.name": "traffic.py:Traffik"}, "there is no Traffik in traffic.py; did you mean 'Traffic'"),
        ({"law.name": "traffic.py:Traffic", "law.constants": {"v_maks": 1}}, "v_maks.*v_max"),
        ({"data.conditions": ["traffic.py:Agent"]}, r"traffic.py:Agent\(key\) has to|traffic.py:Agent has to give"),
        ({"data.conditions": ["traffic.py:queue"]}, "belongs to Traffic, not to burgers"),
        ({"policy.name": "traffic.py:road"}, r"traffic.py:road\(order, key\) fails: TypeError"),
        ({"policy.name": "traffic.py:queue"}, "fails|has to make an AbstractPolicy"),
        ({"objective.name": "traffic.py:Traffic"}, "an objective is a function"),
        ({"law": 3}, "law must be a conservation law or a table of fields, got 3"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(here, fields, said):
    with pytest.raises(UndertowError, match=said) as told:
        ut.learn(tiny(), **fields)
    assert "\n" not in str(told.value)


def test_a_speed_that_is_too_low_is_found_before_the_training(here):
    Path("traffic.py").write_text(TRAFFIC.replace("(1 - 2 * u[0] / self.rho_max)", "(1 - u[0] / self.rho_max)"))
    with pytest.raises(UndertowError, match="Traffic.max_speed is .* correct max_speed, or the flux"):
        ut.learn(tiny(), **{"law.name": "traffic.py:Traffic"})


def test_an_objective_that_gives_no_number(here):
    Path("traffic.py").write_text(TRAFFIC.replace("jnp.mean((trajectory", "((trajectory"))
    with pytest.raises(UndertowError, match="one number per sample"):
        ut.learn(tiny(), **{"objective.name": "traffic.py:error"})
