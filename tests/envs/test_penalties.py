"""Conservation, total variation and cloning: invariants, plain loops, derivatives."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.envs.fields import Pair, by_hand, environment, evaluate, played, rough, softmax_policy, stack
from tests.helpers import derivative_mismatches
from undertow._checks import UndertowError
from undertow.core.objective import Problem
from undertow.core.unroll import rollout
from undertow.envs.penalties import ConservationPenalty, TotalVariationPenalty, WeightCloning
from undertow.envs.squash import NoSquash
from undertow.laws.advection import LinearAdvection
from undertow.numerics.integrator import SSPRK3, ForwardEuler
from undertow.policies.classical import classical
from undertow.schemes.interpolation import WenoInterpolation

LINEAR = WenoInterpolation(linear=True)
WENO, AGENT = classical("weno-js", 3), softmax_policy(order=3)


# Conservation


@pytest.mark.parametrize("points", [0, 1, 2])
@pytest.mark.parametrize("cells", [12, (6, 7)])
def test_periodic_states_are_conserved_by_any_weights(points, cells):
    env = environment(cells, order=3, law=Pair())
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem)
    assert evaluate(ConservationPenalty(points, LINEAR), trajectory, problem) < 1e-12
    moved = evaluate(ConservationPenalty(points), trajectory, problem)
    assert moved < 1e-12 if points == 0 else moved > 1e-6


def test_an_open_end_lets_the_flux_out():
    """Advection of a ramp that ends in a plateau: the plateau leaves, `0.1 * 1` cells' worth a step."""
    env = environment(20, "outflow", order=3, law=LinearAdvection())
    ramp = np.clip(np.linspace(0, 2, 20), 0, 1)
    problem = Problem(env, env.initial(jnp.asarray(ramp)[None]))
    trajectory = played(WENO, problem)
    penalty = ConservationPenalty(0)
    np.testing.assert_allclose(evaluate(penalty.rewards, trajectory, problem), np.arctan(-0.1 * np.ones(3)), rtol=1e-9)
    assert evaluate(penalty, trajectory, problem) == pytest.approx(3 * np.arctan(0.1), rel=1e-9)
    loss = evaluate(ConservationPenalty(0, squash=NoSquash()), trajectory, problem)
    assert loss == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize("boundary", ["periodic", "outflow"])
def test_totals_against_a_loop(boundary):
    env = environment(9, boundary, order=3, law=Pair())
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem)
    between = eqx.filter_jit(WenoInterpolation(1e-6).between)
    totals = []
    for u in trajectory.states.u:
        gaps = np.asarray(between(env.scheme, u, [Fraction(1, 3), Fraction(2, 3)]))
        row = []
        for c in range(2):
            total = sum(float(u[c, i]) for i in range(9))
            for j in range(10):
                total += (0.5 if j in (0, 9) else 1.0) * sum(gaps[c, j])
            row.append(total)
        totals.append(row)
    want = [np.arctan(-sum(abs(b - a) for a, b in zip(p, q, strict=True))) for p, q in pairwise(totals)]
    np.testing.assert_allclose(evaluate(ConservationPenalty(2).rewards, trajectory, problem), want, rtol=1e-10)


# Total variation


def test_growth_of_the_total_variation():
    u = np.zeros((4, 1, 8))
    u[1, 0, 3] = 1.0  # TV 2
    u[2, 0, 3] = 0.5  # TV 1: a decrease is free
    u[3, 0, [3, 5]] = [0.5, -1.0]  # TV 3
    want = 1e-3 * (2 + 0 + 2) / 8
    assert TotalVariationPenalty()(by_hand(u), None) == pytest.approx(want)
    assert TotalVariationPenalty(factor=1.0)(by_hand(u[1:3]), None) == 0


def test_total_variation_against_a_loop():
    u = np.random.default_rng(0).normal(size=(4, 2, 5, 6))

    def variation(v):
        total = 0.0
        for c in range(2):
            for i in range(5):
                for j in range(6):
                    total += abs(v[c, i + 1, j] - v[c, i, j]) if i < 4 else 0
                    total += abs(v[c, i, j + 1] - v[c, i, j]) if j < 5 else 0
        return total

    want = sum(1e-3 * max(0, variation(b) - variation(a)) / 30 for a, b in pairwise(u))
    assert TotalVariationPenalty()(by_hand(u), None) == pytest.approx(want, rel=1e-12)


def test_weno_grows_the_variation_less_than_its_parts():
    env = environment(16, "outflow", order=3, law=LinearAdvection())
    problem = Problem(env, env.initial(jnp.where(jnp.arange(16) < 8, 1.0, 0.0)[None]))
    parts = [classical(name, 3) for name in ("left", "right")]  # one-sided and central: both oscillate at a jump
    grown = [evaluate(TotalVariationPenalty(), played(policy, problem), problem) for policy in (WENO, *parts)]
    assert 0 <= grown[0] < 0.05 * min(grown[1:])


# Cloning


@pytest.mark.parametrize("distance", ["L1", "L2"])
@pytest.mark.parametrize("integrator", [ForwardEuler(), SSPRK3()], ids=["euler", "ssp_rk3"])
def test_a_scheme_clones_itself(distance, integrator):
    env = environment(8, order=3, integrator=integrator, law=Pair())
    problem = Problem(env, rough(env))
    cloning = WeightCloning(WENO, distance)
    # To round-off: one step of a scan and the same step of a batch may be rounded differently.
    assert evaluate(cloning, played(WENO, problem), problem) < 1e-13
    assert evaluate(cloning, played(AGENT, problem), problem) > 0.1


def test_distances_against_a_loop():
    env = environment((5, 6), ("periodic", "outflow"), order=3, law=Pair())
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem, 2)
    one, two = (evaluate(WeightCloning(WENO, d), trajectory, problem) for d in ("L1", "L2"))
    want_one, want_two = [], []
    for axis, actions in enumerate(trajectory.actions):
        sums = np.zeros(2)
        for t in range(2):
            state = jax.tree.map(lambda x, t=t: x[t], trajectory.states)
            wanted = np.asarray(WENO(env.observe(state))[axis])
            got = np.asarray(actions[t])
            faces = [(c, i, j) for c in range(2) for i in range(got.shape[2]) for j in range(got.shape[3])]
            for c, i, j in faces:
                d = [got[s, c, i, j, k] - wanted[s, c, i, j, k] for s in range(2) for k in range(2)]
                sums += [sum(map(abs, d)), sum(x * x for x in d) ** 0.5]
        want_one.append(sums[0] / len(faces))
        want_two.append(sums[1] / len(faces))
    assert one == pytest.approx(np.mean(want_one), rel=1e-12)
    assert two == pytest.approx(np.mean(want_two), rel=1e-12)


# All of them


PENALTIES = {
    "conserve": ConservationPenalty(1),
    "tv": TotalVariationPenalty(1.0),
    "cloning": WeightCloning(WENO, "L1"),
    "cloning-l2": WeightCloning(WENO, "L2"),
}
every_penalty = pytest.mark.parametrize("penalty", list(PENALTIES.values()), ids=list(PENALTIES))


@every_penalty
def test_a_batch_may_mix_boundaries(penalty):
    envs = [environment(8, boundary=b, order=3) for b in ("periodic", "outflow")]
    problems = [Problem(env, rough(env, seed)) for seed, env in enumerate(envs)]

    def loss(problem):
        return penalty(rollout(problem.environment, AGENT, problem.state, 2), problem)

    losses = eqx.filter_jit(eqx.filter_vmap(loss))(stack(problems))
    np.testing.assert_allclose(losses, [evaluate(loss, problem) for problem in problems], rtol=1e-9)


@every_penalty
def test_derivatives(penalty):
    env = environment(8, "outflow", order=3, dt=0.2)
    jump = jnp.where(jnp.arange(8) < 4, 1.0, 0.0)[None]  # rough data alone only loses variation
    problem = Problem(env, env.initial(jump + 0.02 * rough(env, 3).u))

    def loss(kernel):
        policy = eqx.tree_at(lambda p: p.kernel, AGENT, kernel)
        return penalty(rollout(env, policy, problem.state, 2), problem)

    adjoint, difference, size = derivative_mismatches(loss)(AGENT.kernel, jax.random.key(1))
    assert size > 1e-5
    assert adjoint < 1e-10
    assert difference < 1e-5


def test_no_nan_where_nothing_is_wrong():
    """A constant state under its own weights: every difference is 0, every stencil constant."""
    env = environment(8, "outflow", order=3)
    penalty = sum(list(PENALTIES.values())[1:], start=PENALTIES["conserve"])
    problem = Problem(env, env.initial(jnp.ones((1, 8))))

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(u):
        return penalty(rollout(env, WENO, env.initial(u), 2), problem)

    value, gradient = loss(problem.state.u)
    assert value == pytest.approx(0, abs=1e-12)
    assert np.all(np.isfinite(gradient))


def test_penalties_add_up():
    env = environment(8, order=3)
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem)
    both = ConservationPenalty(1) + 0.5 * WeightCloning(WENO)
    parts = [evaluate(p, trajectory, problem) for p in (ConservationPenalty(1), WeightCloning(WENO))]
    assert evaluate(both, trajectory, problem) == pytest.approx(parts[0] + 0.5 * parts[1])


def test_messages():
    with pytest.raises(UndertowError, match="'L1' or 'L2'"):
        WeightCloning(WENO, "L3")
    with pytest.raises(UndertowError, match="points must be a whole number of 0 or more"):
        ConservationPenalty(-1)
