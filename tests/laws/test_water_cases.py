"""Shallow water by name: exact solutions, units, random dam breaks, the game."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.envs.suites import suite
from undertow.evaluation.comparison import Units
from undertow.games.registry import make
from undertow.laws.catalogue import LAWS, case
from undertow.laws.shallow_water import ShallowWater
from undertow.laws.water_cases import WATER_CASES, random_water
from undertow.simulate import simulate


@pytest.mark.parametrize("name", WATER_CASES)
def test_a_dam_break_converges_to_its_exact_solution(name):
    coarse, fine = (simulate(name, num_cells=n, reconstruction="characteristic") for n in (50, 100))
    assert fine.exact is not None and not fine.notes and list(fine.quantities()) == ["depth", "velocity"]
    errors = [run.metrics()["l1_error"] / np.ptp(run.exact[-1, 0]) for run in (coarse, fine)]
    assert errors[1] < 0.75 * errors[0] and errors[1] < 0.02 * (fine.grid.upper[0] - fine.grid.lower[0])


def test_gravity_is_that_of_other_units():
    """The same flow in half the time: gravity four times as large, the same depths."""
    field = case("dam_break").field()
    fast = field.normalised(1.0, 20.0)
    assert float(fast.law.gravity) == 4.0 and fast.upper == (1.0,)
    own, other = simulate(field, num_cells=24, end_time=2.0), simulate(fast, num_cells=24, end_time=0.1)
    back = Units(field.law.speed_powers, -5.0, 10.0, 20.0).values(other.values[-1])
    np.testing.assert_allclose(back, own.values[-1], rtol=1e-11, atol=1e-12)


def test_random_dam_breaks_and_their_suites():
    drawn = jax.vmap(random_water)(jax.random.split(jax.random.key(0), 300))
    depth, velocity = drawn.states[..., 0], drawn.states[..., 1]
    fastest = jnp.max(jnp.abs(velocity) + jnp.sqrt(depth), axis=1)
    assert float(depth.min()) > 0 and float(fastest.min()) > 0.79 and float(fastest.max()) < 1.51
    found = suite("water-held-out", n=2, cells=16, refinement=3)
    assert found.problems.state.u.shape == (2, 2, 16) and found.judged == (0,) and np.isfinite(found.truth).all()
    named = suite("water-named", cells=32)
    assert named.cases == tuple(WATER_CASES)
    first = case("dam_break").field().normalised(0.2, 2.0)
    x = jnp.asarray(named.x)
    np.testing.assert_allclose(named.truth[0], first.exact(x, time=0.2), rtol=1e-12)


def test_it_plays_and_is_listed():
    assert LAWS["shallow_water"].law is ShallowWater
    game, params = make("undertow/ShallowWater-v0", cells=16)
    state, seen = game.reset(jax.random.key(0), params)
    after, *_ = game.step(jax.random.key(1), state, jnp.zeros(game.action_space.shape), params)
    assert seen.shape == (17, 2, 2, 5) and np.isfinite(after.field.u).all()
