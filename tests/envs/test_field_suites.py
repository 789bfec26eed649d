"""Suites of systems and planes, and learning on them end to end, small."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import undertow as ut
from undertow._checks import UndertowError
from undertow.assembly import build
from undertow.envs.families import draw
from undertow.envs.placing import boundaries_of, coordinates, grid_of, law_of, point_values
from undertow.laws.burgers import Burgers
from undertow.laws.gas_cases import gas_case
from undertow.laws.planes import plane_case
from undertow.numerics.boundary import boundary


@pytest.fixture(scope="module")
def gases():
    return ut.suite("gas-held-out", n=3, cells=16, refinement=3, order=3, integrator="euler")


@pytest.mark.parametrize(
    ("case", "kind"), [("sod", "outflow"), ("blast", "reflective"), ("density_advection", "periodic")]
)
def test_boundaries_as_data_are_the_named_ones(case, kind):
    (found,) = boundaries_of(gas_case(case).field(), 4)
    named = boundary(kind, ghost=4)
    np.testing.assert_array_equal(found.even, named.even)
    np.testing.assert_array_equal(found.odd, named.odd)
    np.testing.assert_array_equal(found.periodic, named.periodic)


def test_a_field_brings_its_law_and_its_domain():
    field = gas_case("leblanc").field()
    assert law_of(field, Burgers()).gamma == 5 / 3
    grid = grid_of(field, 90)
    assert (grid.num_cells, grid.lower, grid.upper) == ((90,), (0.0,), (9.0,))
    assert point_values(field, grid).shape == (3, 90)
    square = grid_of(plane_case("double-mach").field(), 64)
    dx, dy = square.spacing
    assert dx == pytest.approx(dy)  # cells are squares on a domain that is none
    assert coordinates(square)[1].shape == square.num_cells


def test_a_suite_of_gases_is_judged_by_the_density(gases):
    assert gases.judged == (0,)
    policies = {name: ut.classical(name, 3) for name in ("weno-js", "weno-z")}
    evaluation = ut.evaluate(policies, gases)
    scores = evaluation.scores["weno-z"]
    density = np.abs(scores.values - gases.truth)[:, 0].mean(axis=1)
    np.testing.assert_allclose(scores.l1, density, rtol=1e-12)  # the interval has length 1
    assert scores.finite.all() and (scores.ratio > 0).all()
    np.testing.assert_allclose(evaluation.scores["weno-js"].ratio, 1.0)


def test_numbers_of_a_family_name_the_same_data_always(gases):
    one, more = draw("gas", [2]), draw("gas", range(3))
    np.testing.assert_array_equal(one.states[0], more.states[2])
    np.testing.assert_array_equal(gases.members[0][0].states[:3], more.states)
    with pytest.raises(UndertowError, match="random family"):
        draw("gass", [0])


def test_a_suite_of_another_law_is_refused():
    with pytest.raises(UndertowError, match="Euler"):
        ut.suite("gas-held-out", law=Burgers())


def tiny(name: str, **grid):
    config = ut.preset(name).config
    return dataclasses.replace(
        config,
        grid=dataclasses.replace(config.grid, **grid),
        data=dataclasses.replace(config.data, pool=4, refinement=3) if not config.data.conditions else config.data,
        training=dataclasses.replace(config.training, updates=1, batch=min(2, config.training.batch), dispatch=1),
        evaluation=dataclasses.replace(config.evaluation, cases=2, every=1, suites=(), figures=False),
    )


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("euler", {"num_cells": 16, "steps": 4, "end_time": 0.05, "integrator": "euler", "order": 3}),
        ("burgers-2d", {"num_cells": 8, "steps": 2, "end_time": 0.02, "integrator": "euler", "order": 3}),
        ("euler-sod-paper", {"num_cells": 16, "steps": 4, "order": 3}),
    ],
)
def test_presets_learn_in_small(name, grid, tmp_path):
    run = ut.train(tiny(name, **grid), out=tmp_path / "run", quiet=True)
    assert run.status == "finished", run.error
    assert run.summary["skipped_updates"] == 0
    assert np.isfinite(run.summary["best"]["value"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"conditions": ("sod", "lax")}}, "share a domain"),
        ({"data": {"conditions": ("sodd",)}}, "sod"),
        ({"data": {"boundary": "periodic"}}, "random ones have their own"),
        ({"law": {"viscosity": 0.1}}, "has no viscosity"),
        ({"grid": {"dimensions": 2}}, "no random problems of euler in 2 dimensions"),
        ({"data": {"truth": "exact"}}, "truth fine"),
    ],
)
def test_what_cannot_work_is_told_before_the_work(changes, words):
    config = ut.preset("euler").config
    for part, fields in changes.items():
        config = dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **fields)})
    with pytest.raises(UndertowError, match=words):
        build(config)


def test_the_first_scale_brings_a_random_policy_closer_to_equal_weights():
    from undertow.assembly.scheme import make_policy

    config = ut.preset("euler-sod-paper").config
    stencils = (jnp.linspace(0, 1, 2 * 3 * 7 * 5).reshape(2, 3, 7, 5) ** 2,)
    spreads = []
    for scale in (1.0, 0.1, 0.0):
        chosen = dataclasses.replace(config, policy=dataclasses.replace(config.policy, first_scale=scale))
        (weights,) = make_policy(chosen)(stencils)
        spreads.append(float(jnp.abs(weights - 1 / 3).max()))
    assert spreads[0] > spreads[1] > spreads[2] == pytest.approx(0, abs=1e-15)
