"""`import undertow as ut`: the names are there, and the example in its docstring works."""

from __future__ import annotations

import operator
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest

import undertow as ut
from undertow import cli

ROOMS = ("core", "numerics", "laws", "schemes", "envs", "policies", "training", "evaluation", "instruments")


def test_the_names_are_there():
    assert sorted(ut.__all__) == sorted(set(ut.__all__)) and len(ut.__all__) < 60
    assert [name for name in ut.__all__ if not hasattr(ut, name)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_its_names(room):
    """Each is what its module defines, and none is a module's own name, which the module would take its place."""
    package = getattr(ut, room)
    assert package.__all__ and set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        found = getattr(package, name)
        assert not isinstance(found, types.ModuleType) and found is getattr(package, name)
        home = getattr(found, "__module__", "")
        assert not home.startswith("undertow.") or home.split(".")[1] == room, name
    with pytest.raises(AttributeError, match=f"module 'undertow.{room}' has no attribute 'nothing'"):
        _ = package.nothing


def test_what_the_front_door_does_not_load():
    """Games and drawing wait until somebody asks for them."""
    script = (
        "import sys, undertow as ut; assert not {'undertow.games', 'matplotlib', 'undertow.report'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", f"{script}; ut.games.make, ut.laws.Euler, ut.tasks.CartPole"], check=True)


def test_every_command_has_a_function_behind_it():
    """And the page about the command line names it."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "command_line.md").read_text()
    table = dict(re.findall(r"^\| \[`([\w-]+)[^|]*\|[^|]*\| `ut\.([\w.]+)", page, re.MULTILINE))
    assert set(table) == set(cli.COMMANDS)
    assert [name for name in table.values() if not callable(operator.attrgetter(name)(ut))] == []


def test_the_solver_example_of_the_docstring():
    assert ut.__doc__ is not None
    example = textwrap.dedent(ut.__doc__.split("The solver by itself:\n")[1].split("The library never")[0])
    *setup, last = example.strip().splitlines()
    names: dict = {"ut": ut}
    exec("\n".join(setup), names)
    values = np.asarray(eval(last, names))
    assert values.shape == (2, 1, 128)
    np.testing.assert_allclose(values.sum(axis=(1, 2)), 0, atol=1e-10)


def test_the_training_example_of_the_docstring_names_what_exists():
    assert ut.__doc__ is not None and "ut.preset(" in ut.__doc__
    assert ut.preset("burgers").config == ut.presets.PRESETS["burgers"].config
