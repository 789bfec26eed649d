"""Consistency with a finer grid: a plain loop, the design order, what is exact, derivatives."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.envs.fields import Pair, environment, evaluate, played, rough, smooth, softmax_policy, stack
from tests.helpers import derivative_mismatches, observed_orders
from undertow._checks import UndertowError
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.unroll import rollout
from undertow.envs.conservation import FieldState
from undertow.envs.consistency import ConsistencyHi, ConsistencyLo, FineStep
from undertow.envs.rewards import Reward
from undertow.laws.advection import LinearAdvection
from undertow.numerics.integrator import SSPRK3
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import classical
from undertow.schemes.interpolation import WenoInterpolation

WENO, AGENT = classical("weno-js", 3), softmax_policy(order=3)


@pytest.mark.parametrize(("points", "step"), [(1, CFLStep(0.3, 10.0, 1 / 8)), (2, None)], ids=["cfl", "fixed"])
def test_against_a_loop(points, step):
    factor, interpolation = points + 1, WenoInterpolation(1e-6)
    env = environment(8, "outflow", order=3, law=Pair(), step=step)
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem, 2)
    states, times = trajectory.states.u, trajectory.states.time
    lo, hi = [], []
    for n in range(2):
        finer = dataclasses.replace(env.scheme.domain, grid=env.scheme.grid.refine(factor))
        scheme = env.scheme.over(finer)
        fixed = FixedStep((times[n + 1] - times[n]) / 2)
        fine_env = dataclasses.replace(env, scheme=scheme, time_step=fixed)
        refine = eqx.filter_jit(lambda u: interpolation.refine(env.scheme, u, factor))
        fine = FieldState(refine(states[n]), times[n])
        for _ in range(2):
            fine, _ = eqx.filter_jit(closed_loop(fine_env, WENO))(fine)
        reached, fine_u = np.asarray(refine(states[n + 1])), np.asarray(fine.u)
        hi.append(
            [sum(abs(reached[c, m] - fine_u[c, m]) for c in (0, 1) for m in range(factor * i, factor * i + factor))
             for i in range(8)]
        )  # fmt: skip
        sampled = np.asarray(interpolation.coarsen(env.scheme, fine.u, factor))
        lo.append([sum(abs(float(states[n + 1, c, i]) - sampled[c, i]) for c in (0, 1)) for i in range(8)])
    fine_step = FineStep(WENO, points, substeps=2)
    np.testing.assert_allclose(evaluate(ConsistencyLo(fine_step), trajectory, problem), lo, atol=1e-12)
    np.testing.assert_allclose(evaluate(ConsistencyHi(fine_step), trajectory, problem), hi, atol=1e-12)


@pytest.mark.parametrize("kind", [ConsistencyLo, ConsistencyHi])
def test_a_uniform_state_is_consistent(kind):
    env = environment(8, order=3)
    problem = Problem(env, env.initial(jnp.full((1, 8), 0.7)))
    np.testing.assert_allclose(evaluate(kind(FineStep(WENO)), played(AGENT, problem), problem), 0, atol=1e-14)


@pytest.mark.parametrize("points", [1, 2])
def test_order_for_a_smooth_wave(points):
    """Order 3 of the interpolation and, in a step with dt ~ dx, at least of the schemes."""
    sizes, errors, linear = [32, 64], [], classical("linear", 3)
    for cells in sizes:
        env = environment(cells, order=3, law=LinearAdvection(), integrator=SSPRK3())
        problem = Problem(env, smooth(env))
        fine = FineStep(linear, points, WenoInterpolation(linear=True), points + 1)
        errors.append(evaluate(ConsistencyLo(fine), played(linear, problem, 1), problem).max())
    assert observed_orders(sizes, errors)[0] > 2.9


def test_the_comparator_on_the_coarse_grid_is_not_the_optimum():
    env = environment(16, order=3)
    problem = Problem(env, smooth(env))
    error = ConsistencyLo(FineStep(classical("weno-js", 3), 2))
    assert evaluate(Reward(error), played(WENO, problem), problem) > 1e-3


def test_two_dimensions_and_a_mixed_batch():
    envs = [environment((5, 4), (b, "periodic"), order=3) for b in ("periodic", "outflow")]
    problems = [Problem(env, rough(env, seed)) for seed, env in enumerate(envs)]
    reward = Reward(ConsistencyHi(FineStep(WENO)))

    def loss(problem):
        return reward(rollout(problem.environment, AGENT, problem.state, 1), problem)

    losses = eqx.filter_jit(eqx.filter_vmap(loss))(stack(problems))
    np.testing.assert_allclose(losses, [evaluate(loss, problem) for problem in problems], rtol=1e-10)


@pytest.mark.parametrize("kind", [ConsistencyLo, ConsistencyHi])
def test_derivatives(kind):
    env = environment(8, "outflow", order=3, dt=0.2)
    problem = Problem(env, rough(env))
    reward = Reward(kind(FineStep(WENO)))

    def loss(kernel):
        policy = eqx.tree_at(lambda p: p.kernel, AGENT, kernel)
        return reward(rollout(env, policy, problem.state, 1), problem)

    adjoint, difference, size = derivative_mismatches(loss, step=1e-6)(AGENT.kernel, jax.random.key(1))
    assert size > 1e-5
    assert adjoint < 1e-10
    assert difference < 1e-5


def test_messages():
    with pytest.raises(UndertowError, match="points must be"):
        FineStep(WENO, 0)
    with pytest.raises(UndertowError, match="substeps must be"):
        FineStep(WENO, 1, substeps=0)
