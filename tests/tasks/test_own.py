"""A simulator of one's own as a task: what its door says, and a run of it from the first update to the export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import undertow as ut
from tests.traces import differences, essence
from undertow import cli
from undertow._checks import UndertowError
from undertow._own import NotAllowedError, allow_code
from undertow.config import config_to_dict
from undertow.core.environment import AbstractControlled
from undertow.tasks.own import control_task

BOAT = '''
"""A boat in a current."""
import jax
import jax.numpy as jnp

from undertow.tasks.own import control_task


def advance(state, action):
    velocity = 0.9 * state["velocity"] + 0.1 * action
    return {"position": state["position"] + 0.1 * velocity, "velocity": velocity}


def start(key):
    return {"position": jax.random.uniform(key, (2,)), "velocity": jnp.zeros(2)}


BOAT = control_task(advance, cost=lambda state: jnp.sum(state["position"] ** 2), start=start, action=2, horizon=4)
'''
SMALL = {
    "data": {"train": 8, "test": 4},
    "policy": {"hidden": (4,)},
    "training": {"updates": 4, "batch": 4, "dispatch": 2},
    "evaluation": {"every": 2, "suites": ("test",), "figures": False},
}
_TEXT = """
    --data.train 8 --data.test 4 --policy.hidden 4 --training.updates 4 --training.batch 4 --training.dispatch 2
    --evaluation.every 2 --evaluation.suites test --evaluation.no-figures --tensorboard False --quiet
"""
FLAGS = _TEXT.split()


def decay(state, action):
    return 0.9 * state + action


def square(state):
    return jnp.sum(state**2)


def begin(key):
    return jax.random.normal(key, (3,))


TASK = control_task(decay, cost=square, start=begin, action=3, horizon=5)


class Decay(AbstractControlled):
    rate: float = 0.9

    def observe(self, state):
        return state["x"][:1]

    def advance(self, state, action):
        return {"x": self.rate * state["x"] + action}


def test_a_step_is_an_environment():
    system = TASK.system(TASK.settings())
    state = system.draw(jax.random.key(0))
    np.testing.assert_array_equal(state, begin(jax.random.key(0)))
    np.testing.assert_allclose(system.environment.advance(state, jnp.ones(3)), 0.9 * state + 1)
    np.testing.assert_array_equal(system.environment.observe(state), state)
    assert float(system.cost(state)) == float(square(state))


def test_a_class_and_a_state_of_several_parts():
    """The state of a run is one row; the simulator, its cost and what it shows see their own."""
    task = control_task(Decay, cost=lambda s: square(s["x"]), start=lambda key: {"x": begin(key)}, action=3)
    system = task.system(task.settings())
    state = system.draw(jax.random.key(1))
    assert state.shape == (3,) and system.environment.observe(state).shape == (1,)
    np.testing.assert_allclose(system.environment.advance(state, jnp.zeros(3)), 0.9 * state)


def test_the_step_keeps_the_precision_of_the_state():
    environment = TASK.system(TASK.settings()).environment
    assert environment.advance(jnp.ones(3, jnp.float32), jnp.ones(3, jnp.float64)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulator": 3}, r"a simulator is a step \(state, action\) -> state, got 3"),
        ({"simulator": lambda s, a: s[:2]}, "a state like the one it was given"),
        ({"simulator": lambda s, a: (s, a)}, "a state of the form it was given"),
        ({"simulator": lambda s, a: s @ a.T @ s @ s}, r"the simulator \(state, action\) fails: ValueError"),
        ({"simulator": AbstractControlled}, "has to define advance"),
        ({"start": lambda key: jnp.arange(3)}, "finite floating-point numbers"),
        ({"start": lambda key: jnp.full(3, jnp.nan)}, "finite floating-point numbers"),
        ({"start": lambda: 1}, r"start\(key\) fails: TypeError"),
        ({"observe": lambda s: (s, s)}, "one array"),
        ({"cost": lambda s: s}, "one number per state"),
        ({"cost": lambda s: s["x"]}, r"cost\(state\) fails: "),
        ({"action": 2}, r"the simulator \(state, action\) fails"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(changes, said):
    given = {"simulator": decay, "cost": square, "start": begin, "action": 3, **changes}
    with pytest.raises(UndertowError, match=said) as told:
        control_task(given.pop("simulator"), **given)
    assert "\n" not in str(told.value)


def test_from_python_by_the_object():
    """It is found by the variable that holds it, and learns as the tasks of the package do."""
    config = ut.preset(TASK, **SMALL).config
    assert config_to_dict(config)["family"] == f"{__name__}:TASK" and config.horizon == 5
    assert config == ut.preset(TASK, **SMALL).config
    learned = ut.learn(TASK, **SMALL)
    assert learned.status == "finished" and np.isfinite(learned.metrics["test_loss"]).all()
    assert learned.evaluate("fresh", n=4).summary()["learned"]["states"] == 4


def test_a_task_without_a_name_is_refused():
    with pytest.raises(UndertowError, match="what is to be found again needs a name"):
        ut.learn(control_task(decay, cost=square, start=begin, action=3))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of `boat.py:BOAT`, in a place where the file no longer is."""
    folder = tmp_path_factory.mktemp("boats")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("boat.py").write_text(BOAT)
        assert cli.main(["train", "boat.py:BOAT", *FLAGS, "--out", "run"]) == 0
        Path("boat.py").unlink()
    return folder / "run"


def test_a_run_keeps_the_code_and_its_digest(run):
    assert (run / "code" / "boat.py").read_text() == BOAT
    written = json.loads((run / "config.json").read_text())
    assert written["preset"] == "BOAT" and set(written["config"]["code"]) == {"boat.py:BOAT"}


def test_what_needs_no_code_runs_none(run, monkeypatch, capsys, tmp_path):
    """Listing, comparing and reporting somebody else's run do not import what it names; what needs the policy says so."""
    shutil.copytree(run, tmp_path / "run")
    hostile = tmp_path / "run" / "code" / "boat.py"
    hostile.write_text("raise SystemExit('it ran')\n" + BOAT)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["runs", "."]) == 0 and "BOAT" in capsys.readouterr().out
    assert cli.main(["compare", "run"]) == 0
    assert cli.main(["report", "run"]) == 0
    assert "is imported only where you allow it" in (tmp_path / "run" / "report.html").read_text()
    for command in (["evaluate", "run"], ["export", "run"], ["resume", "run", "--updates", "6"], ["plot", "run"]):
        capsys.readouterr()
        assert cli.main(command) == 2
        assert "--allow-code" in capsys.readouterr().err
    # With leave, a copy that is not what was recorded is not run either.
    assert cli.main(["evaluate", "run", "--allow-code"]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_with_leave_it_is_a_run_like_any_other(run, capsys, tmp_path):
    assert cli.main(["evaluate", str(run), "--allow-code", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    with pytest.raises(NotAllowedError):
        ut.load_policy(run)
    with allow_code():
        assert ut.evaluate_run(run)["test"].to_dict()["summary"] == told["test"]["summary"]
        exported = ut.export(run, out=tmp_path / "export", programs=False)
    assert exported.agreement["numpy"] < 1e-6
    document = json.loads((tmp_path / "export" / "policy.json").read_text())
    assert document["system"]["family"] == "boat.py:BOAT"
    assert cli.main(["report", str(run), "--allow-code", "--out", str(tmp_path / "report.html")]) == 0
    assert "only where you allow it" not in (tmp_path / "report.html").read_text()


def test_a_stopped_run_goes_on_with_the_code_it_began_with(run, tmp_path, monkeypatch, capsys):
    """Bit for bit, in another place, where the file has changed or is gone."""
    monkeypatch.chdir(tmp_path)
    Path("boat.py").write_text(BOAT)
    config = ut.preset("boat.py:BOAT", **SMALL).config
    stopped = ut.train(
        config, preset="BOAT", out="run", callbacks=lambda progress: progress.done == 2, tensorboard=False
    )
    assert stopped.status == "interrupted"
    Path("boat.py").write_text(BOAT.replace("0.9", "0.5"))
    assert (
        cli.main(["resume", "run", "--quiet", "--tensorboard", "False"]) == 2
        and "--allow-code" in capsys.readouterr().err
    )
    assert cli.main(["resume", "run", "--quiet", "--tensorboard", "False", "--allow-code"]) == 0
    assert differences(essence(tmp_path / "run"), essence(run)) == []
    # A new run takes the file as it is now, which is not what the old one recorded.
    assert cli.main(["train", "--repeat", "run", "--out", "again", "--allow-code", *FLAGS]) == 0
    assert (tmp_path / "again" / "code" / "boat.py").read_text() == BOAT
