"""Rewards: recorded ones, plain loops over their definitions, and what must be exactly zero."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.envs.fields import Pair, by_hand, environment, evaluate, played, rough, smooth, softmax_policy, stack
from tests.helpers import derivative_mismatches
from tests.recorded import planes
from undertow._checks import UndertowError
from undertow.core.environment import AbstractEnvironment
from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import rollout
from undertow.envs.combination import AdjacentAverage, StencilCombination, norm
from undertow.envs.conservation import Conservation
from undertow.envs.objectives import FieldReference
from undertow.envs.rewards import ChangeError, ClippedError, FullError, OneStepError, Reward
from undertow.envs.squash import ArctanSquash, LogSquash, NoSquash
from undertow.laws.euler import Euler
from undertow.numerics.integrator import SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import classical

WENO = classical("weno-js")
AGENT = softmax_policy()


class Given(AbstractPolicy):
    """The same recorded action whatever is observed."""

    action: tuple

    def __call__(self, observation, *, key=None):
        return self.action


# Recorded from the original


RECORDED = ["smooth_sine", "rarefaction", "accelshock", "gaussian", "other_sine", "sine"]


@pytest.fixture(scope="module")
def recorded_1d(reference_dir):
    path = reference_dir / "rl_pde" / "burgers1d_step_N128_order3.npz"
    if not path.is_file():
        pytest.skip(f"no recorded steps at {path}")
    return np.load(path)


@pytest.mark.parametrize("condition", RECORDED)
def test_recorded_step_and_reward(recorded_1d, condition):
    data = {k.split("/")[1]: v for k, v in recorded_1d.items() if k.startswith(condition + "/")}
    env = environment(128, str(data["boundary"]), step=FixedStep(float(recorded_1d["dt"])))
    problem = Problem(env, env.initial(jnp.asarray(data["u_full"][:, 4:-4])))
    # (face, direction, substencil) there, (direction, component, face, substencil) here.
    action = jnp.asarray(np.moveaxis(data["random_action"], 1, 0)[:, None])
    trajectory = played(Given((action,)), problem, 1)
    np.testing.assert_allclose(trajectory.final.u, data["random_next_real"], rtol=0, atol=1e-12)
    reward = Reward(OneStepError(classical("weno-js-original")))
    (rewards,) = evaluate(reward.rewards, trajectory, problem)
    np.testing.assert_allclose(rewards, data["random_reward"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(rewards[0], data["tf_random_reward"], rtol=0, atol=1e-9)
    assert evaluate(reward, trajectory, problem) == pytest.approx(-data["random_reward"].mean(), abs=1e-9)


def face_errors(rewards):
    """The errors at faces behind arctan rewards."""
    return np.tan(-np.asarray(rewards)) / 1000


def test_recorded_steps_and_rewards_in_two_dimensions(reference_dir):
    """All five conditions, edges included.

    The recorded training's edges are wrong, and no test is held to them: there the mean was taken of the neighbouring
    *faces*, which are means already, and not of cells. What it says inside, and what the recorded evaluation says
    everywhere, is what is defined in one dimension.
    """
    reward = Reward(OneStepError(classical("weno-js-original")))
    for name, scheme, data in planes(reference_dir):
        env = Conservation(scheme, FixedStep(float(data["dt"])), ForwardEuler())
        problem = Problem(env, env.initial(jnp.asarray(data["step_u_full"][:, 4:-4, 4:-4])))
        # There the left-going direction comes first.
        action = tuple(
            jnp.asarray(np.moveaxis(data[f"random_action_{axis}"], -2, 0)[::-1][:, None].copy()) for axis in "xy"
        )
        trajectory = played(Given(action), problem, 1)
        np.testing.assert_allclose(trajectory.final.u, data["random_next_real"], rtol=0, atol=1e-12)
        rewards = evaluate(reward.rewards, trajectory, problem)
        for axis, (letter, boundary) in enumerate(zip("xy", scheme.domain.boundary, strict=True)):
            right = np.moveaxis(np.asarray(rewards[axis][0]), axis, 0)
            label = f"{name} {letter}"
            evaluated = np.moveaxis(data[f"random_reward_np_{letter}"][0], axis, 0)
            np.testing.assert_allclose(right, evaluated, rtol=0, atol=1e-9, err_msg=label)
            trained = np.moveaxis(data[f"random_reward_tf_{letter}"], axis, 0)
            np.testing.assert_allclose(right[1:-1], trained[1:-1], rtol=0, atol=1e-9, err_msg=label)
            ends = face_errors(right)[[1, -2]]
            wrong = np.stack([ends.mean(axis=0)] * 2) if bool(boundary.periodic) else ends
            np.testing.assert_allclose(face_errors(trained)[[0, -1]], wrong, rtol=1e-8, atol=1e-11, err_msg=label)
            assert np.abs(right - trained)[[0, -1]].max() > 1e-5


@pytest.mark.parametrize("condition", ["sod", "shock_tube"])
def test_recorded_rewards_of_a_gas(reference_dir, condition):
    """The training's reward squashes the sum of the components' errors, the evaluation's every one of them."""
    data = np.load(reference_dir / "rl_pde" / "euler1d_step_N128_order3_comp.npz")
    recorded = lambda key: data[f"{condition}/{key}"]
    step = FixedStep(float(recorded("env_dt")))
    env = environment(128, "outflow", law=Euler(), step=step, domain=(-0.5, 0.5))
    problem = Problem(env, env.initial(jnp.asarray(recorded("u_full")[:, 4:-4])))
    action = jnp.asarray(np.moveaxis(recorded("random_action"), 2, 0))
    trajectory = played(Given((action,)), problem, 1)
    summed = Reward(OneStepError(classical("weno-js-original")))
    separate = dataclasses.replace(summed, components="separate")
    (trained,) = evaluate(summed.rewards, trajectory, problem)
    np.testing.assert_allclose(trained[0], recorded("tf_random_reward"), rtol=0, atol=1e-9)
    (evaluated,) = evaluate(separate.rewards, trajectory, problem)
    np.testing.assert_allclose(evaluated[0], recorded("random_reward_np"), rtol=0, atol=1e-9)
    assert evaluate(summed, trajectory, problem) == pytest.approx(-recorded("tf_random_reward").mean(), abs=1e-9)
    assert evaluate(separate, trajectory, problem) == pytest.approx(-recorded("random_reward_np").mean(), abs=1e-9)


# Playing the comparator


@pytest.mark.parametrize("integrator", [ForwardEuler(), SSPRK3()], ids=["euler", "ssp_rk3"])
def test_the_comparator_is_rewarded_with_zero(integrator):
    """To the last bit or two: one step of a scan and the same step of a batch may be rounded differently."""
    env = environment(integrator=integrator, law=Pair(), order=3)
    problem = Problem(env, rough(env))
    weno, linear = classical("weno-js", 3), classical("linear", 3)
    trajectory = played(weno, problem)
    for error in (OneStepError(weno), FullError(weno), ChangeError(FullError(weno)), ClippedError(OneStepError(weno))):
        np.testing.assert_allclose(evaluate(error, trajectory, problem), 0, atol=1e-15)
    assert evaluate(Reward(OneStepError(weno)), trajectory, problem) < 1e-12
    assert evaluate(Reward(OneStepError(linear)), trajectory, problem) > 1


def test_the_reference_of_a_problem():
    env = environment()
    problem = Problem(env, rough(env))
    own, other = played(AGENT, problem), played(WENO, problem)
    at = lambda values: dataclasses.replace(problem, reference=FieldReference(values, jnp.asarray(7.0)))
    np.testing.assert_array_equal(FullError()(own, at(own.after.u)), 0)
    given = FullError()(own, at(other.after.u))
    np.testing.assert_array_equal(given, np.abs(own.after.u - other.after.u).sum(axis=1))
    np.testing.assert_allclose(given, evaluate(FullError(WENO), own, problem), atol=1e-15)
    with pytest.raises(UndertowError, match="every=1"):
        FullError()(own, at(own.after.u[::2]))
    with pytest.raises(UndertowError, match="comparator or a problem.reference"):
        FullError()(own, problem)


def test_the_comparator_takes_the_agents_time_steps():
    env = environment(step=CFLStep(0.5, 10.0, 1 / 16))
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem, 4)
    state = problem.state
    for n in range(4):
        dt = trajectory.states.time[n + 1] - trajectory.states.time[n]
        state, _ = closed_loop(dataclasses.replace(env, time_step=FixedStep(dt)), WENO)(state)
    got = evaluate(FullError(WENO), trajectory, problem)
    np.testing.assert_allclose(got[-1], np.abs(trajectory.final.u - state.u)[0], atol=1e-13)
    np.testing.assert_allclose(evaluate(FullError(AGENT), trajectory, problem), 0, atol=1e-15)


# Plain loops


def test_errors_against_loops():
    env = environment(law=Pair(), boundary="outflow")
    problem = Problem(env, rough(env))
    trajectory = played(AGENT, problem)
    step = eqx.filter_jit(closed_loop(env, WENO))
    u = np.asarray(trajectory.states.u)
    reference, before = problem.state, np.zeros(u.shape[1:])
    one, full, change = [], [], []
    for n in range(3):
        reference = step(reference)[0]
        expected = np.asarray(step(jax.tree.map(lambda x, n=n: x[n], trajectory.states))[0].u)
        difference = u[n + 1] - np.asarray(reference.u)
        one.append([sum(abs(u[n + 1, c, i] - expected[c, i]) for c in range(2)) for i in range(16)])
        full.append([sum(abs(difference[c, i]) for c in range(2)) for i in range(16)])
        change.append([sum(abs(difference[c, i] - before[c, i]) for c in range(2)) for i in range(16)])
        before = difference
    np.testing.assert_allclose(evaluate(OneStepError(WENO), trajectory, problem), one, atol=1e-14)
    np.testing.assert_allclose(evaluate(FullError(WENO), trajectory, problem), full, atol=1e-14)
    np.testing.assert_allclose(evaluate(ChangeError(FullError(WENO)), trajectory, problem), change, atol=1e-14)
    np.testing.assert_allclose(change[0], full[0])

    low, high = np.quantile(full, [0.3, 0.7])
    clipped = [[0 if e < low else 10 * e if e > high else e for e in row] for row in full]
    error = ClippedError(FullError(WENO), low=float(low), high=float(high))
    np.testing.assert_allclose(evaluate(error, trajectory, problem), clipped, atol=1e-13)


def test_components_summed_and_separate():
    """By hand: errors of two components at faces, squashed one by one or their sum."""
    env = environment(8, "outflow", law=Pair())
    values = np.zeros((3, 2, 8))
    values[1:] = np.random.default_rng(0).normal(size=(2, 2, 8))
    problem = Problem(env, rough(env), FieldReference(jnp.zeros((2, 2, 8)), jnp.ones(())))
    cells = np.abs(values[1:])
    faces = np.concatenate([cells[..., :1], (cells[..., 1:] + cells[..., :-1]) / 2, cells[..., -1:]], axis=-1)
    one, both = (Reward(FullError(), components=word) for word in ("separate", "summed"))
    (separate,), (summed,) = (evaluate(reward.rewards, by_hand(values), problem) for reward in (one, both))
    np.testing.assert_allclose(separate, np.arctan(-1000 * faces), rtol=1e-14)
    np.testing.assert_allclose(summed, np.arctan(-1000 * faces.sum(axis=1)), rtol=1e-14)
    np.testing.assert_allclose(evaluate(one, by_hand(values), problem), -separate.sum(axis=0).mean(), rtol=1e-13)
    np.testing.assert_allclose(evaluate(both, by_hand(values), problem), -summed.sum(axis=0).mean(), rtol=1e-13)
    # Clipped after the sum, or one by one.
    clipped = ClippedError(FullError(), low=0.5, high=1.0, factor=10.0)
    clip = lambda e: np.where(e < 0.5, 0, np.where(e > 1, 10 * e, e))
    np.testing.assert_allclose(clipped(by_hand(values), problem), clip(cells.sum(axis=1)))
    np.testing.assert_allclose(clipped.by_component(by_hand(values), problem), clip(cells))


def test_components_of_a_scalar_are_the_same_either_way():
    """In two dimensions, with a combination that has a window."""
    env = environment((6, 8), "outflow", order=3)
    values = np.random.default_rng(0).normal(size=(3, 1, 6, 8))
    problem = Problem(env, rough(env), FieldReference(jnp.zeros((2, 1, 6, 8)), jnp.ones(())))
    summed = Reward(FullError(), StencilCombination("max"))
    separate = dataclasses.replace(summed, components="separate")
    both = eqx.filter_jit(lambda *args: (summed.rewards(*args), separate.rewards(*args)))
    for a, b in zip(*both(by_hand(values), problem), strict=True):
        np.testing.assert_allclose(b[:, 0], a, rtol=1e-13)


def test_clipping_jumps_where_it_is_said_to():
    env = environment()
    values = np.zeros((2, 1, 16))
    values[1, 0, :6] = [0.0009, 0.0011, 0.0999, 0.1001, 2.0, 0.0]
    problem = Problem(env, rough(env), FieldReference(jnp.zeros((1, 1, 16)), jnp.ones(())))
    got = ClippedError(FullError())(by_hand(values), problem)[0]
    np.testing.assert_allclose(got[:6], [0, 0.0011, 0.0999, 1.001, 20, 0])


def ghost_extended(e: np.ndarray, boundary: str, ghost: int, axis: int) -> np.ndarray:
    modes = {"periodic": "wrap", "outflow": "edge", "reflective": "symmetric"}
    return np.pad(e, [(ghost, ghost) if a == axis else (0, 0) for a in range(e.ndim)], mode=modes[boundary])


REDUCTIONS = {
    "max": max,
    "avg": lambda w: sum(w) / len(w),
    "L1": sum,
    "L2": lambda w: sum(x * x for x in w) ** 0.5,
}


@pytest.mark.parametrize("boundary", ["periodic", "outflow", "reflective"])
@pytest.mark.parametrize("order", [3, 5])
def test_combinations_against_loops(boundary, order):
    env = environment(10, boundary, order=order)
    r, problem = (order + 1) // 2, Problem(env, rough(env))
    e = np.random.default_rng(0).uniform(size=(2, 10))
    padded = np.stack([ghost_extended(x, boundary, r, 0) for x in e])
    adjacent = [[(x[r + j - 1] + x[r + j]) / 2 for j in range(11)] for x in padded]
    np.testing.assert_allclose(AdjacentAverage()(jnp.asarray(e), problem)[0], adjacent, rtol=1e-14)
    for name, reduction in REDUCTIONS.items():
        for symmetric, width in ((False, 2 * r - 1), (True, 2 * r)):
            # Face j lies between cells j-1 and j; the window starts r cells to its left.
            want = [[reduction([x[j + m] for m in range(width)]) for j in range(11)] for x in padded]
            (got,) = evaluate(StencilCombination(name, symmetric), jnp.asarray(e), problem)
            np.testing.assert_allclose(got, want, rtol=1e-13)


def test_combinations_in_two_dimensions():
    env = environment((6, 8), ("periodic", "outflow"), order=3)
    problem = Problem(env, rough(env))
    e = np.random.default_rng(1).uniform(size=(6, 8))
    x, y = ghost_extended(e, "periodic", 2, 0), ghost_extended(e, "outflow", 2, 1)
    want_x = [[max(x[i + m, j] for m in range(3)) for j in range(8)] for i in range(7)]
    want_y = [[max(y[i, j + m] for m in range(3)) for j in range(9)] for i in range(6)]
    got = evaluate(StencilCombination("max"), jnp.asarray(e)[None], problem)
    np.testing.assert_allclose(got[0][0], want_x)
    np.testing.assert_allclose(got[1][0], want_y)
    averages = AdjacentAverage()(jnp.asarray(e)[None], problem)
    np.testing.assert_allclose(averages[0][0], (x[1:8] + x[2:9]) / 2)
    np.testing.assert_allclose(averages[1][0], (y[:, 1:10] + y[:, 2:11]) / 2)


def test_a_symmetric_window_mirrors():
    env = environment(12, "outflow")
    problem, e = Problem(env, rough(env)), jax.random.uniform(jax.random.key(0), (1, 12))
    (one,) = StencilCombination("avg", symmetric=True)(e, problem)
    (other,) = StencilCombination("avg", symmetric=True)(e[:, ::-1], problem)
    np.testing.assert_allclose(one, other[:, ::-1], rtol=1e-13)
    (published,) = StencilCombination("avg")(e, problem)
    assert np.abs(published - StencilCombination("avg")(e[:, ::-1], problem)[0][:, ::-1]).max() > 0.01


def test_errors_stay_errors_where_the_boundary_extrapolates():
    env = environment(12, "linear")
    e = jnp.zeros((1, 12)).at[0, 1].set(1.0)
    (faces,) = StencilCombination("max")(e, Problem(env, rough(env)))
    assert faces.min() >= 0


def test_squashes():
    e = jnp.asarray([0.0, 1e-3, 0.5, 20.0])
    np.testing.assert_allclose(ArctanSquash()(e), [np.arctan(-1000 * x) for x in e])
    np.testing.assert_allclose(ArctanSquash(1.0)(e), [np.arctan(-x) for x in e])
    np.testing.assert_allclose(LogSquash()(e), [-np.log(x + 1e-16) for x in e])
    np.testing.assert_array_equal(NoSquash()(e), -e)
    for squash in (ArctanSquash(), LogSquash(), NoSquash()):
        assert np.all(np.diff(squash(e)) < 0)  # the larger the error, the smaller the reward


# Composition


def variants(comparator):
    return {
        "one-step": Reward(OneStepError(comparator)),
        "l2d": Reward(FullError(comparator), StencilCombination("max"), LogSquash(1e-6)),
        "change": Reward(ChangeError(OneStepError(comparator)), StencilCombination("L1"), NoSquash()),
        "clip": Reward(
            ClippedError(FullError(comparator), low=1e-9, high=1e9), StencilCombination("L2"), ArctanSquash(1.0)
        ),
    }


VARIANTS = variants(classical("weno-js", 3))
every_variant = pytest.mark.parametrize("reward", list(VARIANTS.values()), ids=list(VARIANTS))
SMALL = softmax_policy(order=3)


@every_variant
def test_a_batch_may_mix_boundaries(reward):
    envs = [environment(8, boundary=b, order=3) for b in ("periodic", "outflow", "reflective")]
    problems = [Problem(env, rough(env, seed)) for seed, env in enumerate(envs)]

    def loss(problem):
        return reward(rollout(problem.environment, SMALL, problem.state, 2), problem)

    losses = eqx.filter_jit(eqx.filter_vmap(loss))(stack(problems))
    np.testing.assert_allclose(losses, [evaluate(loss, problem) for problem in problems], rtol=1e-11)


@every_variant
def test_derivatives(reward):
    env = environment(8, "outflow", order=3, dt=0.2)
    problem = Problem(env, rough(env))

    def loss(kernel):
        policy = eqx.tree_at(lambda p: p.kernel, SMALL, kernel)
        return reward(rollout(env, policy, problem.state, 2), problem)

    adjoint, difference, size = derivative_mismatches(loss)(SMALL.kernel, jax.random.key(1))
    assert size > 1e-5
    assert adjoint < 1e-10
    assert difference < 1e-5


def test_no_nan_where_nothing_is_wrong():
    """A constant state: every error is 0, every stencil constant."""
    env = environment(8, "outflow", order=3)
    problem = Problem(env, env.initial(jnp.ones((1, 8))))

    def loss(policy):
        trajectory = rollout(env, policy, problem.state, 2)
        values = jnp.stack([reward(trajectory, problem) for reward in VARIANTS.values()])
        return jnp.sum(values), values

    (_, values), gradient = eqx.filter_jit(eqx.filter_value_and_grad(loss, has_aux=True))(SMALL)
    assert np.all(np.isfinite(values))
    assert np.all(np.isfinite(gradient.kernel))


def test_a_smooth_wave_is_almost_right_whatever_the_weights():
    env = environment(64)
    problem = Problem(env, smooth(env))
    assert evaluate(Reward(OneStepError(WENO), squash=NoSquash()), played(AGENT, problem), problem) < 1e-3


def test_norm():
    x = jnp.asarray([[3.0, -4.0], [0.0, 0.0]])
    np.testing.assert_allclose(norm(x, 1, -1), [7, 0])
    np.testing.assert_allclose(norm(x, 2, -1), [5, 0])
    np.testing.assert_allclose(jax.grad(lambda x: norm(x, 2, -1).sum())(x), [[0.6, -0.8], [0, 0]])


# Errors at the door


def test_messages():
    with pytest.raises(UndertowError, match="max, avg, L1, L2"):
        StencilCombination("median")
    with pytest.raises(UndertowError, match="epsilon"):
        LogSquash(0.0)
    with pytest.raises(UndertowError, match="unknown components 'seperate'; did you mean 'separate'"):
        Reward(OneStepError(WENO), components="seperate")

    class Other(AbstractEnvironment):
        pass

    env = environment()
    trajectory = played(AGENT, Problem(env, rough(env)))
    with pytest.raises(UndertowError, match="Conservation environment, got Other"):
        AdjacentAverage()(trajectory.after.u[:, 0], Problem(Other(), None))
