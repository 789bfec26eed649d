"""Games of conservation laws: the solver itself, the objectives' rewards, and pure functions."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.games.small import BURGERS, MODES, TINY, at_random, mode, played, programs, tiny, trajectory_of
from tests.helpers import assert_derivatives_agree, derivative_mismatches, quick_jit
from undertow._checks import UndertowError
from undertow.core.objective import Problem
from undertow.core.unroll import rollout
from undertow.envs.combination import AdjacentAverage
from undertow.envs.objectives import TrajectoryError
from undertow.envs.penalties import ConservationPenalty, TotalVariationPenalty, WeightCloning
from undertow.envs.rewards import ChangeError, FullError, OneStepError, Reward
from undertow.envs.squash import ArctanSquash
from undertow.games import GAMES, FieldGame, Flux, Lattice, Logits, Simplex, SplitFlux, make
from undertow.games.actions import to_agents, to_axes
from undertow.games.registry import REWARDS
from undertow.numerics.grid import UniformGrid
from undertow.policies.classical import classical
from undertow.policies.normalise import z_score
from undertow.policies.stencil import PairedPolicy
from undertow.schemes.solve import solve
from undertow.schemes.weights import EPSILON, WenoJS

WENO = classical("weno-js", 3)


@functools.lru_cache
def weno(game: FieldGame):
    return jax.jit(game.acting(WENO))


def test_every_reward_has_a_mode():
    assert set(MODES) == set(REWARDS) and set(TINY) == set(GAMES)


def values(out: dict[str, Any]) -> np.ndarray:
    return np.concatenate([out["first"].field.u[None], out["state"].field.u])


@pytest.mark.parametrize("id", [BURGERS, "undertow/Euler-v0", "undertow/Burgers2D-v0"])
def test_weno_plays_the_plain_solver_and_its_one_step_reward_is_zero(id):
    weno_plays_the_solver(id)


def weno_plays_the_solver(id):
    game, params = tiny(id)
    out = played(game, params, weno(game), int(params.horizon))
    env = game.environment(out["first"], params)
    options = {"steps": int(params.horizon), "time_step": env.time_step, "integrator": env.integrator, "save_every": 1}
    weights = WenoJS(3, EPSILON)  # a game shows stencils as they are, whatever the problem's unit
    expected = quick_jit(lambda u: solve(env.scheme, weights, u, **options).values)(out["first"].field.u)
    np.testing.assert_allclose(values(out), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(out["rewards"], 0, atol=1e-10)  # 1000 times round-off
    assert out["done"].tolist() == [False] * (len(out["done"]) - 1) + [True]
    assert out["truncated"][-1] and not out["terminated"].any()


def test_agents_that_act_at_every_stage_play_the_closed_loop():
    game, params = tiny(actions="logits", acts="stage", integrator="ssp_rk3", reward="full")
    out = played(game, params, weno(game), 12)
    env = game.environment(out["first"], params)
    expected = quick_jit(lambda first: rollout(env, WENO, first, 4).states)(out["first"].field)
    last = slice(2, None, 3)
    np.testing.assert_allclose(out["state"].field.u[last], expected.u[1:], rtol=1e-12)
    np.testing.assert_allclose(out["time"][last], expected.time[1:], rtol=1e-13)
    assert out["steps"].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    assert np.flatnonzero(out["done"]).tolist() == [11]
    np.testing.assert_allclose(out["rewards"], 0, atol=1e-9)


def test_weights_that_are_held_over_a_step_are_those_of_its_start():
    game, params = tiny(actions="logits", integrator="ssp_rk3", reward="cloning")
    out = played(game, params, weno(game), 1)
    env, first = game.environment(out["first"], params), out["first"].field
    held = quick_jit(lambda s: env.step(s, lambda _: WENO(env.observe(s)))[0].u)(first)
    np.testing.assert_allclose(out["state"].field.u[0], held, rtol=1e-12)
    asked = quick_jit(lambda s: env.step(s, lambda stage: WENO(env.observe(stage)))[0].u)(first)
    assert float(jnp.max(jnp.abs(asked - held))) > 1e-10


# --- rewards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", MODES)
def test_rewards_add_up_to_minus_the_objective(reward):
    game, params = make(BURGERS, **mode(reward))
    stages = game.how.integrator.num_stages if game.acts == "stage" else 1
    out = played(game, params, at_random(game), 3 * stages)
    env, last = game.environment(out["first"], params), slice(stages - 1, None, stages)
    ends = {"first": out["first"], "state": jax.tree.map(lambda x: x[last], out["state"])}
    weights = None
    if reward == "cloning":
        weights = jax.vmap(lambda action: game.actions.weights(action, env.scheme))(out["action"][last])
    trajectory = trajectory_of(ends, lambda state: state.field, weights)
    expected = quick_jit(lambda: game.objective(trajectory, Problem(env, out["first"].field, None)))()
    assert abs(float(expected)) > 1e-6
    np.testing.assert_allclose(-np.sum(out["reward"]), expected, rtol=1e-9)
    np.testing.assert_allclose(out["reward"], np.mean(out["rewards"], axis=1), rtol=1e-12, atol=1e-15)
    between = np.delete(np.arange(3 * stages), np.arange(3 * stages)[last])
    np.testing.assert_array_equal(out["reward"][between], 0)  # stages are rewarded at the last one


def test_rewards_against_the_truth():
    game, params = tiny("undertow/Advection-v0", reward="full", against="truth", squash="none")
    out = played(game, params, at_random(game), 3)
    x = game.grid.centers() - np.asarray(out["time"])[:, None]  # carried along at speed 1
    condition = out["first"].condition
    wave = condition.mean + condition.amplitude * np.sin(condition.frequency * x + condition.phase)
    errors = np.abs(np.asarray(out["state"].field.u)[:, 0] - wave)
    faces = (np.pad(errors, ((0, 0), (1, 0)), mode="wrap") + np.pad(errors, ((0, 0), (0, 1)), mode="wrap")) / 2
    np.testing.assert_allclose(out["rewards"], -faces, rtol=1e-9, atol=1e-14)


def test_one_reward_per_face_of_systems_in_the_plane():
    game, params = tiny("undertow/Euler2D-v0", components="separate")
    out = played(game, params, at_random(game), 2)
    assert out["rewards"].shape == (2, len(game.agents))
    env = game.environment(out["first"], params)
    trajectory = trajectory_of(out, lambda state: state.field, None)
    expected = quick_jit(lambda: game.objective(trajectory, Problem(env, out["first"].field, None)))()
    np.testing.assert_allclose(-np.sum(out["reward"]), expected, rtol=1e-9)


def test_objectives_that_are_no_sums_over_steps_are_refused():
    with pytest.raises(UndertowError, match="TrajectoryError is no sum over steps"):
        tiny(reward=TrajectoryError(1))
    with pytest.raises(UndertowError, match="change of an error is known for FullError alone"):
        tiny(reward=Reward(ChangeError(OneStepError(WENO))))
    with pytest.raises(UndertowError, match="a game is static, and something in it holds arrays"):
        tiny(reward=Reward(OneStepError(PairedPolicy(key=jax.random.key(0), order=3, hidden=(2,)))))
    with pytest.raises(UndertowError, match="name several"):
        tiny(reward=Reward(FullError(WENO)) + Reward(FullError(classical("linear", 3))))
    with pytest.raises(UndertowError, match="these actions set fluxes"):
        tiny(reward="cloning", actions="flux")
    with pytest.raises(UndertowError, match="no exact solution of this case of Euler"):
        tiny("undertow/Euler-v0", case="blast", reward="full", against="truth", dt=1e-4)
    total = Reward(FullError(WENO), AdjacentAverage(), ArctanSquash()) + 2.0 * ConservationPenalty()
    assert [(factor, type(part)) for factor, part in total.terms()] == [(1.0, Reward), (2.0, ConservationPenalty)]
    assert total.terms()[0][1].follows == WENO and total.terms()[0][1].compared().follows == "truth"
    assert tiny(reward=total)[0].objective == total
    assert isinstance(tiny(reward="cloning")[0].objective, WeightCloning)
    assert isinstance(tiny(reward="total-variation")[0].objective, TotalVariationPenalty)


# --- actions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [(5,), (4, 3)])
def test_layouts_are_each_others_inverse(cells):
    grid = UniformGrid(cells)
    faces = [tuple(n + (a == b) for b, n in enumerate(cells)) for a in range(len(cells))]
    parts = tuple(jax.random.normal(jax.random.key(a), (2, 3, *each, 4)) for a, each in enumerate(faces))
    agents = to_agents(parts, 2)
    assert agents.shape == (sum(map(math.prod, faces)), 3, 2, 4)
    second = (1,) if len(cells) == 1 else (0, 1)  # rows of faces, one after the other
    np.testing.assert_array_equal(
        agents[1], np.moveaxis(np.asarray(parts[0])[(slice(None), slice(None), *second)], 0, 1)
    )
    for one, other in zip(to_axes(agents, grid, 2), parts, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("id", "actions"), [("undertow/Euler-v0", "flux"), ("undertow/Burgers2D-v0", "split-flux")])
def test_what_weights_do_can_be_said_in_other_words(id, actions):
    game, params = tiny(id, actions=actions)
    reference, same = tiny(id)
    out = played(game, params, weno(game), 3)
    expected = played(reference, same, weno(reference), 3)
    np.testing.assert_allclose(values(out), values(expected), rtol=1e-12, atol=1e-13)


def test_the_lattice_holds_the_corners_and_the_nearest_point_is_found():
    lattice = Lattice(2)
    points = lattice.points(5)
    assert points.shape == (6, 3) and len(np.unique(points, axis=0)) == 6
    np.testing.assert_allclose(points.sum(axis=1), 1)
    assert {tuple(p) for p in np.eye(3)} <= {tuple(p) for p in points}
    np.testing.assert_array_equal(points[-1], [1, 0, 0])
    stencils = (jnp.zeros((2, 1, 4, 5)),)
    weights = (jnp.broadcast_to(jnp.asarray([0.1, 0.45, 0.45]), (2, 1, 4, 3)),)
    np.testing.assert_array_equal(
        points[lattice.encoded(weights, stencils)], np.broadcast_to([0, 0.5, 0.5], (4, 1, 2, 3))
    )
    assert Lattice(3).space(1, 7).categories == math.comb(3 + 4 - 1, 4 - 1)


# --- pure functions ---------------------------------------------------------------------------------------------------


def test_steps_are_differentiable():
    game, params = tiny(case="smooth_sine", speed="smooth", actions="logits", squash="none")
    state, _ = programs(game)[0](jax.random.key(0), params)

    def step(point):
        action, dt, u = point
        changed = dataclasses.replace(params, time_step=dataclasses.replace(params.time_step, dt=dt))
        here = dataclasses.replace(state, field=dataclasses.replace(state.field, u=u))
        new, seen, reward, _, _ = game.step(None, here, action, changed)
        return jnp.concatenate([new.field.u.ravel(), seen.ravel(), reward[None]])

    action = jnp.asarray(np.random.default_rng(0).normal(size=game.action_space.shape))
    point = (action, jnp.asarray(3e-3), state.field.u)
    assert_derivatives_agree(derivative_mismatches(step, step=1e-7), point, directions=1)


def test_copies_have_parameters_of_their_own():
    game, params = tiny(case="smooth_sine", viscosity=1e-3, source=0.5)
    many = jax.tree.map(lambda x: jnp.stack([x, x]), params)
    many = dataclasses.replace(
        many, horizon=jnp.asarray([1, 9]), time_step=type(params.time_step)(jnp.asarray([1e-3, 2e-3]))
    )
    keys = jax.random.split(jax.random.key(0), 2)
    actions = np.stack([at_random(game, seed)(None) for seed in (0, 1)])
    play = lambda key, action, own: game.step(key, game.reset(key, own)[0], action, own)
    _, _, _, done, info = quick_jit(jax.vmap(play))(keys, actions, many)
    assert done.tolist() == [True, False]
    np.testing.assert_allclose(info["time"], [1e-3, 2e-3])


def test_an_episode_that_is_over_stays_over():
    game, params = tiny()
    out = played(game, params, at_random(game), 6)
    assert out["done"].tolist() == [False] * 3 + [True] * 3
    np.testing.assert_array_equal(out["reward"][4:], 0)
    np.testing.assert_array_equal(out["state"].field.u[4:], np.stack(2 * [out["state"].field.u[3]]))
    np.testing.assert_array_equal(out["seen"][4:], np.stack(2 * [out["seen"][3]]))
    assert out["truncated"].tolist() == [False, False, False, True, False, False] and out["steps"][-1] == 4


@pytest.mark.parametrize(("acts", "huge"), [("step", 1e9), ("stage", np.nan)])
def test_a_solution_that_blows_up_costs_every_step_that_is_left(acts, huge):
    game, params = tiny(actions="flux", steps=10, acts=acts, integrator="ssp_rk3")
    reset, step = programs(game)
    state, observation = reset(jax.random.key(0), params)
    zeros = np.zeros(game.action_space.shape)
    per_step = 3 if acts == "stage" else 1
    for _ in range(2 * per_step):
        _, (state, observation, _, done, _) = step(state, zeros, params)
    before = state.field.u
    assert not done
    zeros[3] = huge
    _, (state, observation, reward, done, info) = step(state, zeros, params)
    assert done and info["terminated"] and not info["truncated"]
    np.testing.assert_allclose(info["rewards"], -8 * np.pi / 2)
    np.testing.assert_allclose(reward, -8 * np.pi / 2)
    np.testing.assert_array_equal(state.field.u, before)  # the last one that was in bounds
    assert np.isfinite(observation).all()
    assert make(BURGERS, **TINY[BURGERS], squash="none")[1].penalty == 1e7
    assert make(BURGERS, **TINY[BURGERS], penalty=3.0)[1].penalty == 3


@pytest.mark.parametrize("rule", [{"dt": 0.003}, {"cfl": 0.4, "integrator": "ssp_rk3"}])
def test_episodes_by_time(rule):
    steps = {"steps": None, "end_time": 0.0299}
    game, params = tiny(case="smooth_sine", **steps, **rule)
    out = played(game, params, weno(game), 12)
    over = int(np.argmax(out["done"]))
    ends = out["time"][over]
    if "dt" in rule:
        assert over == 9 and ends == pytest.approx(0.03)
    else:
        assert ends == pytest.approx(0.0299, rel=1e-12) and over < 9
    assert out["time"][over - 1] < 0.0299


def test_observations_are_the_stencils_or_their_z_scores():
    options = {"case": "toro1", "reconstruction": "characteristic"}
    raw, params = tiny("undertow/Euler-v0", **options)
    scaled, same = tiny("undertow/Euler-v0", observations="normalised", **options)
    state, seen = programs(raw)[0](jax.random.key(0), params)
    _, z = programs(scaled)[0](jax.random.key(0), same)
    assert seen.shape == (17, 3, 2, 3) == z.shape
    (stencils,) = quick_jit(lambda s: raw.environment(s, params).observe(s.field))(state)
    np.testing.assert_allclose(seen, np.moveaxis(stencils, 2, 0).swapaxes(1, 2), rtol=1e-12, atol=1e-13)
    apart = np.asarray(seen).std(axis=-1) > 1e-6
    np.testing.assert_allclose(np.asarray(z).mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(np.asarray(z).std(axis=-1)[apart], 1, rtol=1e-3)
    assert np.abs(z).max() <= scaled.observation_space.high


OBSERVED = {
    "burgers": (BURGERS, {"case": "accelshock"}),
    "gas": ("undertow/Euler-v0", {"case": "sod"}),
    "characteristic": ("undertow/Euler-v0", {"case": "toro1", "reconstruction": "characteristic"}),
    "plane": ("undertow/Euler2D-v0", {"case": "quadrants-3"}),
}


def seen_in(name: str, states: np.ndarray, dtype: Any) -> tuple[np.ndarray, float]:
    """What agents see of some states, in one precision, and the bound of what they may see."""
    game, params = tiny(OBSERVED[name][0], observations="normalised", **OBSERVED[name][1])
    env = game.environment(programs(game)[0](jax.random.key(0), params)[0], params)
    cast = lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x
    env = jax.tree.map(cast, env)
    found = np.asarray(quick_jit(jax.vmap(lambda u: game._observe(env, u, jnp.zeros((), dtype))))(states.astype(dtype)))
    assert found.dtype == dtype
    return found, game.observation_space.high


@pytest.mark.parametrize("name", OBSERVED)
def test_agents_see_the_flow_and_not_its_rounding(name):
    """Constant states, constant but for rounding, and jumps, of any size: in both precisions, always within the space."""
    game, params = tiny(OBSERVED[name][0], **OBSERVED[name][1])
    u = np.asarray(programs(game)[0](jax.random.key(0), params)[0].field.u)
    constant = np.broadcast_to(u[(slice(None),) + (slice(0, 1),) * (u.ndim - 1)], u.shape)
    rng = np.random.default_rng(0)
    for dtype, far in ((np.float32, 1e12), (np.float64, 1e100)):
        factors = (1 / far, far) if name == "burgers" else (1e-6, 1e6)
        eps = np.finfo(dtype).eps
        rounded = constant * (1 + 3 * eps * rng.choice([-1, 0, 1], size=u.shape))
        # The waves stay where they are seen: well above the rounding of the largest number.
        states = np.stack([constant, rounded, u, *(factor * u for factor in factors)])
        if name == "characteristic":  # amplitudes are of order one; scaling all components leaves the sound speed alone
            states = states[:4]
        z, bound = seen_in(name, states, dtype)
        assert np.abs(z).max() <= dtype(bound)
        np.testing.assert_array_equal(z[0], 0)
        assert np.abs(z[1]).max() < 0.05
        for scaled in z[3:]:
            np.testing.assert_allclose(scaled, z[2], atol=1e-4 if dtype == np.float32 else 1e-6)
        assert np.abs(z[2]).max() > 1


def test_single_precision_shows_what_double_shows():
    u = np.sin(2 * np.pi * (np.arange(16) + 0.5) / 16)[None] + 0.5
    single, double = (seen_in("burgers", np.stack([u, 1 + 1e-2 * u]), dtype)[0] for dtype in (np.float32, np.float64))
    game, params = tiny(BURGERS, case="accelshock")
    env = game.environment(programs(game)[0](jax.random.key(0), params)[0], params)
    for row, v in enumerate((u, 1 + 1e-2 * u)):
        raw = np.asarray(quick_jit(lambda v: game._observe(env, v, jnp.zeros(())))(jnp.asarray(v)))
        moving = raw.std(axis=-1) > 30 * 64 * np.finfo(np.float32).eps * np.abs(raw).max()
        assert moving.mean() > 0.4
        np.testing.assert_allclose(single[row][moving], double[row][moving], atol=1e-2)
        # In double precision, away from rounding, it is the published score.
        np.testing.assert_allclose(double[row][moving], np.asarray(z_score(jnp.asarray(raw)))[moving], atol=1e-5)


def test_cases_are_drawn():
    for id, cases in [(BURGERS, ("smooth_sine", "rarefaction", "accelshock")), ("undertow/Euler-v0", ("sod", "sod2"))]:
        _, params = tiny(id, case=cases)
        drawn = [jax.tree.leaves(params.initial(jax.random.key(k))) for k in range(20)]
        assert len({tuple(np.concatenate([np.ravel(x) for x in leaves])) for leaves in drawn}) == len(cases)


def test_random_cases():
    game, params = tiny("undertow/Advection-v0", case="random")
    one, other = (programs(game)[0](jax.random.key(k), params)[0] for k in (1, 2))
    assert float(np.max(np.abs(one.field.u - other.field.u))) > 1e-3
    assert one.condition.periodic == 1
    _, params = tiny(case="accelshock_random")
    one, other = map(jax.jit(lambda key: params.initial(key)(jnp.linspace(0, 1, 9))), map(jax.random.key, (1, 2)))
    assert np.max(np.abs(one - other)) > 1e-3


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("undertow/Burger-v0", {}, "unknown game 'undertow/Burger-v0'; did you mean 'undertow/Burgers-v0'"),
        (BURGERS, {"cell": 3}, "no option 'cell'"),
        (BURGERS, {"rewrd": "full"}, "no option 'rewrd'"),
        (BURGERS, {"reward": "one-stop"}, "unknown reward 'one-stop'; did you mean 'one-step'"),
        (BURGERS, {"actions": "simplx"}, "unknown actions 'simplx'; did you mean 'simplex'"),
        (BURGERS, {"acts": "stages"}, "unknown acts 'stages'"),
        (BURGERS, {"observations": "scaled"}, "unknown observations"),
        (BURGERS, {"case": "smooth_sin"}, "unknown case 'smooth_sin'; did you mean 'smooth_sine'"),
        (BURGERS, {"case": ("smooth_sine", "line")}, "share their domain"),
        (BURGERS, {"dt": 1.0}, "Courant number"),
        (BURGERS, {"dt": 1e-3, "cfl": 0.4}, "cfl and dt contradict"),
        (BURGERS, {"steps": 3, "end_time": 0.1}, "steps and end_time contradict"),
        (BURGERS, {"steps": 0}, "steps must be"),
        (BURGERS, {"velocity": 2.0}, "Burgers has no option 'velocity'"),
        (BURGERS, {"reward": "conservation", "squash": "log"}, "reward 'conservation' has no option 'squash'"),
        ("undertow/Euler2D-v0", {"case": "gaussian"}, "one of Burgers, not of Euler; take its own game"),
        ("undertow/Euler-v0", {"viscosity": 0.1}, "viscosity is for scalar laws"),
    ],
)  # fmt: skip
def test_bad_options(id, options, message):
    with pytest.raises(UndertowError, match=message):
        make(id, **options)


def test_bad_actions_and_players():
    game, params = tiny()
    state, _ = programs(game)[0](jax.random.key(0), params)
    with pytest.raises(UndertowError, match=r"an action has shape \(17, 1, 2, 2\), got \(17, 2\)"):
        game.step(None, state, jnp.zeros((17, 2)), params)
    with pytest.raises(UndertowError, match="real numbers, got bool"):
        game.step(None, state, jnp.zeros((17, 1, 2, 2), bool), params)
    discrete, params = tiny(actions="lattice")
    with pytest.raises(UndertowError, match="whole numbers below 3 here, got float"):
        discrete.step(None, state, jnp.zeros((17, 1, 2)), params)
    with pytest.raises(UndertowError, match="observations='raw'"):
        tiny(observations="normalised")[0].acting(WENO)
    fluxes, _ = tiny("undertow/Euler-v0", actions="flux", reconstruction="characteristic")
    with pytest.raises(UndertowError, match="do not follow from weights and characteristic stencils"):
        fluxes.acting(WENO)
    with pytest.raises(UndertowError, match="parts must be a whole number above 0"):
        Lattice(0)


@pytest.mark.parametrize(
    "actions", [Simplex(), Logits(), Lattice(), Flux(), SplitFlux()], ids=lambda a: type(a).__name__
)
def test_spaces_know_their_own(actions):
    game, _ = tiny(actions=actions)
    assert isinstance(game, FieldGame)
    space = game.action_space
    x = space.sample(jax.random.key(0))
    assert x.shape == space.shape and space.holds(space.checked(x))
    if space.categories is None:
        assert not space.holds(x.at[3].set(jnp.nan)) and not space.holds(x.at[3].set(jnp.inf))
    if space.simplex:
        assert not space.holds(1.01 * x) and not space.holds(x.at[0, 0, 0].set(jnp.asarray([1.5, -0.5])))
    assert "must be" in space.complaint()
