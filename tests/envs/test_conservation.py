"""A conservation law as an environment: the solver in the loop, and the gradient flows through it."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted, quick_jit, random_like
from tests.states import CELLS, shocked, smooth
from undertow._checks import UndertowError
from undertow.core.flow import FLOWS, FULL, STOP, GradientFlow, closed_loop
from undertow.core.objective import FinalCost, Problem
from undertow.core.task import Task, stack_problems
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation, FieldState
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import RK4, SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import ClassicalPolicy, classical
from undertow.policies.stencil import DirectionalPolicy, PairedPolicy
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import SmoothSpeed
from undertow.schemes.weights import EPSILON, WenoJS

T = 4
U0 = jnp.asarray(smooth())[None]


def environment(boundary="periodic", integrator=None, dt=0.004, **options):
    scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), boundary, order=3, speed=SmoothSpeed(), **options)
    return Conservation(scheme, FixedStep(dt), SSPRK3() if integrator is None else integrator)


def trained(make=DirectionalPolicy, seed=1):
    policy = make(key=jax.random.key(0), order=3, hidden=(4,), activation="tanh")
    arrays, rest = eqx.partition(policy, eqx.is_inexact_array)
    return eqx.combine(random_like(arrays, jax.random.key(seed)), rest)


def marched(env, policy, u0, length, flow=FULL, key=None):
    return rollout(env, policy, env.initial(u0), length, flow=flow, key=key)


run = eqx.filter_jit(marched)


@pytest.mark.parametrize("integrator", [ForwardEuler(), SSPRK3(), RK4()], ids=["euler", "ssp_rk3", "rk4"])
def test_classical_policies_march_as_the_plain_solver(integrator):
    env = environment("outflow", integrator)
    out = run(env, ClassicalPolicy(WenoJS(3)), U0, T)
    options = {"steps": T, "time_step": FixedStep(0.004), "integrator": integrator, "save_every": 1}
    weights = WenoJS(3, EPSILON)  # a policy sees stencils as they are, whatever the problem's unit
    expected = eqx.filter_jit(solve)(env.scheme, weights, U0, **options)
    np.testing.assert_allclose(out.states.u, expected.values, rtol=1e-13)
    np.testing.assert_allclose(out.states.time, expected.times, rtol=1e-14)


@pytest.mark.parametrize(("integrator", "stages"), [(ForwardEuler(), 1), (SSPRK3(), 3), (RK4(), 4)])
def test_the_policy_is_asked_at_every_stage_and_the_last_answer_is_recorded(integrator, stages):
    env = environment(integrator=integrator)
    asked = []

    def feedback(state):
        asked.append((state, classical("weno-js", 3)(env.observe(state))))
        return asked[-1][1]

    _, action = env.step(env.initial(U0), feedback)
    assert len(asked) == stages
    np.testing.assert_array_equal(asked[0][0].u, U0)
    assert all(np.any(one.u != other.u) for (one, _), (other, _) in itertools.pairwise(asked))
    np.testing.assert_array_equal(action[0], asked[-1][1][0])


def test_observations_are_the_stencils_and_actions_their_weights():
    env = environment()
    out = run(env, trained(), U0, T)
    (seen,) = env.observe(env.initial(U0))
    assert seen.shape == (2, 1, CELLS + 1, 3)
    assert out.actions[0].shape == (T, 2, 1, CELLS + 1, 2)
    np.testing.assert_array_equal(seen, env.scheme.stencils(U0)[0])


def test_planes_run_in_the_same_code():
    scheme = SemiDiscrete(Burgers(), UniformGrid((4, CELLS // 4)), ("outflow", "periodic"), order=3)
    env = Conservation(scheme, FixedStep(0.002), ForwardEuler())
    out = run(env, trained(), U0.reshape(1, 4, -1), 2)
    assert [a.shape for a in out.actions] == [(2, 2, 1, 5, 6, 2), (2, 2, 1, 4, 7, 2)]
    assert np.all(np.isfinite(out.final.u))


GATES = {
    **FLOWS,
    "damped": GradientFlow(jnp.asarray(0.3), jnp.asarray(0.8)),
    "per-step": GradientFlow(jnp.linspace(0, 1, T), jnp.asarray([1.0, 0.0, 0.5, 1.0])),
}


@pytest.mark.parametrize(("make", "integrator"), [(DirectionalPolicy, SSPRK3()), (PairedPolicy, ForwardEuler())])
def test_values_are_the_same_bits_under_every_flow(make, integrator, optimised):
    run = eqx.filter_jit(lambda *given: marched(*given))  # its own programs: none from before the optimisation
    policy, env, u0 = trained(make), environment("outflow", integrator), jnp.asarray(shocked())[None]
    plain = run(env, policy, u0, T)
    for name, flow in GATES.items():
        assert eqx.tree_equal(run(env, policy, u0, T, flow), plain), name


def final_square(state):
    return jnp.sum(state.u**2)


def gradients(env, length):
    """The gradient of the last state's square with respect to the parameters under every named flow, as vectors."""
    arrays, rest = eqx.partition(trained(), eqx.is_inexact_array)

    def run_once(p, flow):
        return final_square(rollout(env, eqx.combine(p, rest), env.initial(U0), length, flow=flow).final)

    gradient = quick_jit(jax.vmap(jax.grad(run_once), in_axes=(None, 0)))
    both = gradient(arrays, GradientFlow(jnp.asarray([1.0, 1, 0, 0]), jnp.asarray([1.0, 0, 1, 0])))
    flat = np.concatenate([np.asarray(leaf).reshape(4, -1) for leaf in jax.tree.leaves(both)], axis=1)
    return arrays, rest, dict(zip(("full", "physics", "policy", "stop"), flat, strict=True))


def flatten(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def test_flows_through_stages_are_what_stopping_by_hand_gives():
    env = environment(dt=0.02)
    arrays, rest, by_flow = gradients(env, 2)

    def by_hand(parameters, observed):
        """The loop written out; `observed` acts on what the policy sees."""
        policy = eqx.combine(parameters, rest)
        state = env.initial(U0)
        for _ in range(2):
            state, _ = env.step(state, lambda s: policy(env.observe(observed(s))))
        return final_square(state)

    plain = quick_jit(jax.grad(lambda p: by_hand(p, lambda s: s)))(arrays)
    np.testing.assert_allclose(by_flow["full"], flatten(plain), rtol=1e-9, atol=1e-12)
    blind = quick_jit(jax.grad(lambda p: by_hand(p, lambda s: jax.tree.map(jax.lax.stop_gradient, s))))(arrays)
    np.testing.assert_allclose(by_flow["physics"], flatten(blind), rtol=1e-9, atol=1e-12)

    # STOP: nothing travels from step to step, so only the last step's own parameters are left.
    before = run(env, eqx.combine(arrays, rest), U0, 1).final
    last = quick_jit(jax.grad(lambda p: final_square(closed_loop(env, eqx.combine(p, rest), STOP)(before)[0])))(arrays)
    np.testing.assert_allclose(by_flow["stop"], flatten(last), rtol=1e-9, atol=1e-12)

    sizes = {name: np.abs(one).max() for name, one in by_flow.items()}
    for one, other in (("policy", "stop"), ("policy", "full"), ("physics", "full"), ("physics", "stop")):
        assert np.abs(by_flow[one] - by_flow[other]).max() > 1e-3 * sizes["full"], (one, other)


def test_with_one_stage_the_policy_flow_is_the_product_of_the_networks_jacobians():
    """x' = S(x, N(x)): with the physics gate closed, what travels from x' to x is dS/dc dN/dx alone."""
    env, policy = environment(integrator=ForwardEuler()), trained()
    state = env.initial(U0)

    def step(u, flow):
        return closed_loop(env, policy, flow)(FieldState(u, state.time))[0].u

    action = policy(env.observe(state))
    physics = quick_jit(jax.jacrev(lambda u: env.step(FieldState(u, state.time), lambda _: action)[0].u))(U0)
    jacobian = quick_jit(lambda p, q: jax.jacrev(lambda u: step(u, GradientFlow(p, q)))(U0))
    full = quick_jit(jax.jacrev(lambda u: step(u, FULL)))(U0)
    for p, q in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (0.25, 0.5), (2.0, -1.0)):
        np.testing.assert_allclose(jacobian(p, q), p * physics + q * (full - physics), atol=1e-12)


def test_a_batch_of_problems_equals_its_problems():
    policy, task = trained(), Task(FinalCost(final_square), T)
    envs = [environment("periodic", dt=0.004), environment("outflow", dt=0.002), environment("reflective", dt=0.001)]
    problems = [Problem(env, env.initial(U0 * (i + 1))) for i, env in enumerate(envs)]
    losses = eqx.filter_jit(task.losses)(policy, FULL, stack_problems(problems))
    for problem, loss in zip(problems, losses, strict=True):
        alone = run(problem.environment, policy, problem.state.u, T).final
        np.testing.assert_allclose(final_square(alone), loss, rtol=1e-13)


def test_cfl_steps_reach_the_end_time():
    scheme = SemiDiscrete(Burgers(), UniformGrid(CELLS), order=3)
    env = Conservation(scheme, CFLStep(0.5, 0.05, dx=1 / CELLS))
    out = run(env, trained(), U0, 8)
    assert out.final.time == 0.05
    assert np.all(np.diff(out.states.time) >= 0)
    stayed = np.flatnonzero(np.diff(out.states.time) == 0)
    assert len(stayed) > 0
    np.testing.assert_array_equal(out.states.u[stayed], out.states.u[stayed + 1])


def test_exploration_noise_follows_the_key():
    noisy = DirectionalPolicy(key=jax.random.key(0), order=3, hidden=(4,), noise=0.5)
    one, same, other = (run(environment(), noisy, U0, T, key=jax.random.key(seed)) for seed in (0, 0, 1))
    assert eqx.tree_equal(one, same)
    assert np.any(one.final.u != other.final.u)
    plain = run(environment(), noisy, U0, T)
    assert np.any(one.final.u != plain.final.u)


def test_environments_made_anew_are_not_compiled_again():
    body = Counted(lambda env, policy, u: rollout(env, policy, env.initial(u), 2).final.u)
    once = eqx.filter_jit(body)
    for i in range(3):
        once(environment("outflow"), trained(seed=i), U0 * (1 + i))
        once(environment("reflective"), trained(seed=i), U0)
    assert body.calls == 1


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(UndertowError, match="batches go through jax.vmap"):
        environment().initial(jnp.zeros((4, 1, CELLS)))
