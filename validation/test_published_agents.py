"""The authors' agents of arXiv 2203.08937 on gas dynamics: every number of theirs to the digits printed, or why not."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.core.flow import closed_loop
from undertow.policies.classical import classical
from validation.published_agents import PUBLISHED, STEPS, agent, cases, measure, one_step_evaluation, problem

WIDTHS = pytest.mark.parametrize("r", [2, 3])


@pytest.fixture(scope="module")
def agents(reference_dir):
    folder = reference_dir / "rl_pde" / "agents"
    return {r: agent(folder, r) for r in (2, 3)}


@WIDTHS
def test_the_published_evaluation(agents, r):
    """The return is the mean over components of what is squashed one by one; the L2 is that of the last single step."""
    value, end = one_step_evaluation(agents[r], r)
    expected = {2: (-0.0698601, 1.52436e-7), 3: (-0.75252, 3.26132e-6)}[r]
    np.testing.assert_allclose((value, end), expected, rtol=5e-6)


@WIDTHS
def test_the_published_table(agents, r):
    """Six digits of the errors, four of the distances; the rows that differ are in the tests below."""
    found = measure(agents[r], r, cases())
    for key, row in found.items():
        expected = PUBLISHED[key]
        if key[0] == "slow_shock":  # not a number there, see below
            assert np.all(np.isfinite(row))
            continue
        np.testing.assert_allclose(row.weno, expected.weno, rtol=5e-6, err_msg=str(key))
        if key[0] == "double_rarefaction":
            np.testing.assert_allclose(row[1:], expected[1:], rtol=5e-2, err_msg=str(key))  # at r=3 both are NaN
            continue
        np.testing.assert_allclose(row.agent, expected.agent, rtol=5e-6, err_msg=str(key))
        np.testing.assert_allclose(row.distance, expected.distance, rtol=5e-4, err_msg=str(key))


def followed(name, r, policies, states):
    """The last states, and the smallest internal energy after every step, of some policies from some initial states."""
    env, field = problem(name, r)

    def march(policy, u0):
        step = closed_loop(env, policy)

        def one(state, _):
            state = step(state)[0]
            return state, jnp.min(env.scheme.law.positive(state.u)[1])

        last, energy = jax.lax.scan(one, env.initial(u0), length=STEPS)
        return last.u, energy

    run = eqx.filter_jit(eqx.filter_vmap(march, in_axes=(None, 0)))
    u0 = states(field(jnp.asarray(env.scheme.grid.centers())))
    return env, [run(policy, u0) for policy in policies]


def test_an_agent_that_amplifies_round_off(agents):
    """Double rarefaction, r=2: .0869378 and 1.1588e-3 here, .0869339 and 1.154e-3 there.

    Changes of the initial values by a unit in the last place grow, with this agent but not with WENO, to some 1e-4 in the
    fields where the density has fallen to a fiftieth. What was published lies within that.
    """
    rng = np.random.default_rng(0)

    def nudged(u0):
        return u0 * (1 + np.finfo(float).eps * jnp.asarray(rng.choice([-1, 0, 1], size=(8, *u0.shape))))

    weno = classical("weno-js-original", 3)
    env, ((ours, _), (theirs, _)) = followed("double_rarefaction", 2, (agents[2], weno), nudged)
    spread = {name: float(jnp.max(jnp.std(u, axis=0))) for name, u in (("agent", ours), ("weno", theirs))}
    print(f"round-off grows to {spread}")
    assert spread["agent"] > 1e-6 and spread["weno"] < 1e-10
    distances = np.sqrt(env.scheme.grid.dx * np.sum((ours - theirs) ** 2, axis=(1, 2)))
    half = (distances.max() - distances.min()) / 2
    assert distances.min() - half < PUBLISHED["double_rarefaction", STEPS, 2].distance < distances.max() + half


def test_an_agent_that_leaves_the_physical_states(agents):
    """Double rarefaction, r=3: negative pressure after a few steps, and no number soon after, there and here."""
    _, ((u, energy),) = followed("double_rarefaction", 3, (agents[3],), lambda u0: u0[None])
    assert np.argmax(energy[0] < 0) < 20 and not np.any(np.isfinite(u))


@pytest.mark.parametrize(("r", "stopped"), [(2, 35), (3, 95)])
def test_what_floors_are_good_for(r, stopped):
    """Slow shock: the published program stops where WENO's pressure becomes negative, whose root is not a number. Here
    pressure and density have floors where roots and quotients are taken, and WENO goes on."""
    _, ((u, energy),) = followed("slow_shock", r, (classical("weno-js-original", 2 * r - 1),), lambda u0: u0[None])
    assert 0 < stopped - 1 - np.argmax(energy[0] < 0) < 4
    assert np.all(np.isfinite(u))
