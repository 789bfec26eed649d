"""`import undertow as ut`: the names are there, and the example in its docstring works."""

from __future__ import annotations

import textwrap

import numpy as np

import undertow as ut


def test_the_names_are_there():
    assert sorted(ut.__all__) == sorted(set(ut.__all__))
    assert [name for name in ut.__all__ if not hasattr(ut, name)] == []


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
