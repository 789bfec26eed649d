"""Suites: numbers that never meet, truths on paper, and names, sizes and overrides that hold what they say."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.small import carried, hand_made
from undertow._checks import UndertowError
from undertow._tree import take
from undertow.envs.families import BLOCK, held_out_conditions, random_conditions, training_conditions, training_numbers
from undertow.envs.march import advance_all, final_values, saved_values
from undertow.envs.suites import SUITES, suite
from undertow.envs.truth import batches, common_form, count, exact_holds, exact_values
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS, burgers_condition, random_condition
from undertow.laws.conditions import PiecewisePolynomial
from undertow.policies.classical import classical


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_no_training_meets_a_suite_or_another_training():
    held_out = set(range(BLOCK // 2))
    blocks = [set(training_numbers(seed, 3)) | set(training_numbers(seed, BLOCK)[-3:]) for seed in range(4000)]
    assert all(block.isdisjoint(held_out) for block in blocks)
    assert len(set().union(*blocks)) == 6 * 4000
    assert max(map(max, blocks)) < 2**32


def test_training_numbers_of_any_seed_are_valid():
    for seed in (0, 3999, 4000, 20_240_131, 2**63):
        numbers = training_numbers(seed, 10)
        assert numbers.min() >= BLOCK and numbers.max() < 2**32


def test_a_number_is_a_condition():
    numbers = [0, 5, 1_000_000, 4_000_999_999]
    conditions = random_conditions(numbers)
    for row, number in enumerate(numbers):
        expected = random_condition(jax.random.fold_in(jax.random.key(0), np.uint32(number)))
        for got, leaf in zip(jax.tree.leaves(take(conditions, row)), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(got, leaf, rtol=1e-13, atol=1e-15)


def test_a_condition_does_not_depend_on_its_company():
    assert same(take(held_out_conditions(300), np.arange(7)), held_out_conditions(7))
    assert same(training_conditions(3, 5), random_conditions(training_numbers(3, 5)))
    assert count(held_out_conditions()) == 256


@pytest.mark.parametrize("numbers", [[], [-1], [0.5], [2**32], [[1]]])
def test_numbers_are_checked(numbers):
    with pytest.raises(UndertowError, match="condition numbers are integers from 0 on"):
        random_conditions(numbers)


# --- truth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BURGERS_CONDITIONS)
def test_the_common_form_is_the_same_function(name):
    condition = burgers_condition(name)
    form = common_form(condition)
    x = jnp.linspace(0, 1, 401)
    np.testing.assert_allclose(form(x), condition(x), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(form.primitive(x), condition.primitive(x), rtol=1e-14, atol=1e-15)
    assert form.periodic == condition.periodic
    assert set(np.asarray(condition.breakpoints)) <= set(np.asarray(form.breakpoints))


def test_named_conditions_share_two_structures():
    """Periodic and outflow are data; only the extrapolating line stands apart."""
    found = batches([common_form(burgers_condition(name)) for name in BURGERS_CONDITIONS])
    assert sorted(len(places) for _, places in found) == [1, len(BURGERS_CONDITIONS) - 1]


def test_conditions_with_more_pieces_keep_their_form():
    steps = PiecewisePolynomial(jnp.array([0.2, 0.4, 0.6]), jnp.arange(4.0)[:, None], boundary="outflow")
    assert common_form(steps) is steps


def test_exact_values_of_many_conditions_at_their_own_times():
    conditions = batches([common_form(burgers_condition("shock", offset=a)) for a in np.linspace(0.1, 0.5, 40)])[0][0]
    times = np.linspace(0.01, 0.2, 40)
    x = (np.arange(70) + 0.5) / 70
    values = exact_values(Burgers(), conditions, x, times)
    front = np.linspace(0.1, 0.5, 40) + 2 * times
    np.testing.assert_array_equal(values, np.where(x < front[:, None], 3.0, 1.0))


def _returning() -> PiecewisePolynomial:
    """A shock that leaves to the left (1 against -4, at t = 0.04), meets a fan and is driven back in at t = 0.26."""
    return PiecewisePolynomial(jnp.array([0.05, 0.1]), jnp.array([[1.0], [-4.0], [1.0]]), boundary="outflow")


def test_what_comes_back_is_left_out():
    mirrored = PiecewisePolynomial(jnp.array([0.9, 0.95]), jnp.array([[-1.0], [4.0], [-1.0]]), boundary="outflow")
    harmless = PiecewisePolynomial(jnp.array([0.3, 0.6]), jnp.array([[1.0], [0.0], [2.0]]), boundary="outflow")
    conditions = batches([_returning(), mirrored, harmless])[0][0]
    assert exact_holds(Burgers(), conditions, 0.02).tolist() == [True, True, True]
    assert exact_holds(Burgers(), conditions, 0.6).tolist() == [False, False, True]


# --- suites -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named():
    return suite("named", cells=32, steps=20)


def test_named_truths_on_paper(named):
    x, t = named.x, 0.1
    paper = {
        "shock": np.where(x < 0.25 + 2 * t, 3.0, 1.0),
        "rarefaction": np.clip((x - 0.5) / t, 1, 2),
        "tophat": np.where(x < 2 / 3 + t / 2, np.clip((x - 1 / 3) / t, 0, 1), 0.0),
        "line": (2 - 0.1 * x) / (1 - 0.1 * t),
        "flat": np.full(32, 2.0),
        "zero": np.zeros(32),
    }
    for case, expected in paper.items():
        np.testing.assert_allclose(named.truth[named.cases.index(case), 0], expected, atol=2e-14)


def test_named_holds_every_condition_with_its_boundary(named):
    assert named.cases == tuple(BURGERS_CONDITIONS)
    periodic = [family.boundary == "periodic" for family in BURGERS_CONDITIONS.values()]
    assert named.periodic.tolist() == periodic
    left_out = [case for case, scored in zip(named.cases, named.scored, strict=True) if not scored]
    # On `line` every scheme is exact in space: what is left is the error of the time steps, at 1e-12.
    assert left_out == ["zero", "flat", "line"]


def test_scale_is_the_mean_error_of_weno_js(named):
    values = np.asarray(final_values(classical("weno-js"), named.problems, 20))
    np.testing.assert_allclose(
        named.problems.reference.scale, np.abs(values - named.truth).mean(axis=(1, 2)), rtol=1e-14
    )


def test_subset_keeps_cases_together(named):
    part = named.subset(["line", "shock", 0])
    assert part.cases == ("line", "shock", "smooth_sine") and len(part) == 3
    places = [named.cases.index(case) for case in part.cases]
    np.testing.assert_array_equal(part.truth, named.truth[places])
    np.testing.assert_array_equal(part.problems.state.u, np.asarray(named.problems.state.u)[places])
    later = part.truth_every(10)
    np.testing.assert_allclose(later[:, -1], part.truth, atol=1e-14)
    np.testing.assert_array_equal(later[1, 0, 0], np.where(named.x < 0.25 + 2 * 0.05, 3.0, 1.0))
    np.testing.assert_allclose(part.exact([0.5], 0.1)[:2, 0], [1.95 / 0.99, 1.0], atol=1e-13)


def test_unknown_cases_are_named(named):
    with pytest.raises(UndertowError, match="no case 'shok'; did you mean 'shock'"):
        named.subset(["shok"])
    with pytest.raises(UndertowError, match="cases 0 to 23"):
        named.subset([24])


def test_suites_follow_the_contract():
    sizes = {"held-out": (64, 40, 0.1), "held-out-2x-cells": (128, 80, 0.1), "held-out-4x-cells": (256, 160, 0.1)}
    sizes |= {"held-out-2x-time": (64, 80, 0.2), "named": (64, 40, 0.1), "named-2x-time": (64, 80, 0.2)}
    assert set(sizes) <= set(SUITES)
    for name, (cells, steps, end_time) in sizes.items():
        spec = SUITES[name]
        small = dataclasses.replace(spec, kind="random", n=1)(law=LinearAdvection(1.0))
        how = small.discretised
        assert (how.num_cells, how.steps, how.end_time) == (cells, steps, end_time)
        assert small.name == name == spec.name


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"cells": 32}, (32, 20, 0.1)),
        ({"end_time": 0.3}, (32, 60, 0.3)),
        ({"steps": 50}, (32, 50, 0.1)),
        ({"cells": 16, "end_time": 0.2, "steps": 7}, (16, 7, 0.2)),
    ],
)
def test_steps_follow_cells_and_time(overrides, expected):
    how = carried(1, **{"cells": 32, **overrides}).discretised
    assert (how.num_cells, how.steps, how.end_time) == expected


def test_finer_steps_stay_finer_when_cells_change():
    assert suite("held-out-half-steps", law=LinearAdvection(1.0), n=1, cells=32).discretised.steps == 40
    assert suite("held-out-euler", law=LinearAdvection(1.0), n=1, cells=32).discretised.steps == 80


def test_advection_carries_the_data_around_a_circle():
    made = carried(3, end_time=1.0)
    assert made.periodic.all()
    np.testing.assert_allclose(made.truth, made.problems.state.u, atol=1e-12)  # once around
    assert suite("named", law=LinearAdvection(1.0), cells=16).cases == tuple(
        n for n in BURGERS_CONDITIONS if n != "line"
    )


def test_kinds_of_random_cases():
    groups = carried(40, cells=16).groups
    assert set(groups) == {"waves", "pieces", "waves and pieces"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cells": 0}, "cells must be a whole number above 0"),
        ({"steps": -3}, "steps must be a whole number above 0"),
        ({"end_time": 0.0}, "end_time must be"),
        ({"n": 0}, "n must be a whole number above 0, got 0"),
        ({"integrator": "rk5"}, "unknown integrator 'rk5'"),
        ({"cell": 3}, "no option 'cell'; did you mean 'cells'"),
        ({"steps": 1, "cells": 64}, "Courant number"),
    ],
)
def test_bad_overrides(overrides, message):
    with pytest.raises(UndertowError, match=message):
        suite("held-out", law=LinearAdvection(1.0), **{"n": 1, **overrides})


def test_unknown_suite():
    with pytest.raises(UndertowError, match="unknown suite 'heldout'; did you mean 'held-out'"):
        suite("heldout")


# --- marching ---------------------------------------------------------------------------------------------------------


def test_marching_does_not_depend_on_company_or_stops():
    policy, many = classical("weno-z"), carried(6)
    whole = np.asarray(final_values(policy, many.problems, 20))
    alone = np.asarray(final_values(policy, many.subset([4]).problems, 20))
    np.testing.assert_allclose(whole[4], alone[0], atol=1e-14)
    saved = saved_values(policy, many.problems, 20, 5)
    assert saved.shape == (6, 5, 1, 32)
    np.testing.assert_array_equal(saved[:, 0], many.problems.state.u)
    np.testing.assert_allclose(saved[:, -1], whole, atol=1e-14)


def test_marching_keeps_time():
    made = hand_made()
    states = advance_all(classical("linear"), made.problems, made.problems.state, 8)
    np.testing.assert_allclose(states.time, 8 * 0.25 / 20, rtol=1e-14)
