"""`import undertow as ut`: the names are there, and the example in its docstring works."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np

import undertow as ut
from undertow import cli


def test_the_names_are_there():
    assert sorted(ut.__all__) == sorted(set(ut.__all__))
    assert [name for name in ut.__all__ if not hasattr(ut, name)] == []


def test_every_command_has_a_function_behind_it():
    """And the page about the command line names it."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "command_line.md").read_text()
    table = dict(re.findall(r"^\| \[`([\w-]+)[^|]*\|[^|]*\| `ut\.(\w+)", page, re.MULTILINE))
    assert set(table) == set(cli.COMMANDS)
    assert [name for name in table.values() if name not in ut.__all__ or not callable(getattr(ut, name))] == []


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
    assert ut.preset("burgers").config == ut.PRESETS["burgers"].config
