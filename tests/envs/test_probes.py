r"""The trainer on linear-quadratic problems: which flows reach the optimum, and where the others come to rest.

On paper. With $h_t = 2 R c_t + B^T \lambda_{t+1}$, the derivative of the loss by the action $c_t$ alone, the adjoint under
the gates p, q is $\lambda_t = 2 Q x_t + p A^T \lambda_{t+1} + q K^T h_t$, and training follows $\sum_t h_t x_t^T$.

- Where every action is optimal by itself, all h_t vanish: then q plays no part, and PHYSICS rests where FULL does. That is so
  for the Riccati gain (infinite horizon), and wherever the loss is zero. It is not so for the best gain of a short horizon,
  whose actions are compromises.
- STOP rests where h_t = 2 (R K + B^T Q (A + B K)) x_t = 0, the gain that looks one step ahead; POLICY too, as h_t = 0 leaves it
  the same adjoint.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.polynomial import Polynomial

from undertow._checks import UndertowError
from undertow.core.combine import ConflictProjection, SignAgreement, SoftAgreement, TensorAgreement
from undertow.core.estimator import Backprop
from undertow.core.flow import FLOWS, FULL, GradientFlow
from undertow.core.gradient import NormBalanced
from undertow.core.objective import Problem
from undertow.core.task import Task, stack_problems
from undertow.core.zeroth_order import EvolutionStrategy
from undertow.envs.probes import (
    LinearFeedback,
    LinearQuadratic,
    QuadraticCost,
    random_linear_quadratic,
    riccati,
)
from undertow.training.trainer import Trainer

GATES = GradientFlow(*(jnp.asarray([getattr(flow, g) for flow in FLOWS.values()]) for g in ("physics", "policy")))


def matrices(*entries):
    return tuple(np.atleast_2d(np.asarray(x, float)) for x in entries)


def trainer_of(system, horizon, gradient, rate=0.05):
    """Every initial state along one axis, all of them in every update."""
    a, b, q, r = (jnp.asarray(x) for x in matrices(*system))
    problems = stack_problems([Problem(LinearQuadratic(a, b), x) for x in jnp.eye(len(a))])
    task = Task(QuadraticCost(q, r), horizon)
    return Trainer(task, problems, gradient, optax.sgd(rate), batch=len(a), sampling="cycle")


def trained(trainer, updates, start):
    state = trainer.init(LinearFeedback(jnp.asarray(start)), jax.random.key(0))
    state, losses = jax.lax.scan(
        lambda s, _: (lambda new, m: (new, m["loss"]))(*trainer.update(s)), state, length=updates
    )
    return state.policy.gain, losses


def rest(system, horizon, updates=600, rate=0.05, start=None):
    """Where training comes to rest under the four named flows, and its losses: one program."""
    b = matrices(system[1])[0]
    start = np.zeros(b.shape[::-1]) if start is None else np.asarray(start)

    @jax.jit
    @jax.vmap
    def run(gates):
        return trained(trainer_of(system, horizon, Backprop(gates), rate), updates, start)

    gains, losses = run(GATES)
    return dict(zip(FLOWS, np.asarray(gains), strict=True)), dict(zip(FLOWS, np.asarray(losses), strict=True))


def one_step_gain(system):
    a, b, q, r = matrices(*system)
    return -np.linalg.solve(r + b.T @ q @ b, b.T @ q @ a)


SCALAR = (1.2, 1.0, 1.0, 1.0)


def scalar_loss(system, horizon):
    """The loss from x_0 = 1, a polynomial in the gain."""
    a, b, q, r = system
    k, state, total = Polynomial([0, 1]), Polynomial([1]), Polynomial([0])
    for _ in range(horizon):
        total = total + r * (k * state) ** 2
        state = (a + b * k) * state
        total = total + q * state**2
    return total


def only_real_root(polynomial):
    (root,) = [z.real for z in polynomial.roots() if abs(z.imag) < 1e-9]
    return root


def test_two_steps_of_a_scalar_system():
    """FULL finds the minimum of the polynomial; PHYSICS the root of its own cubic, which is another one; POLICY and STOP the
    gain of one step."""
    a, b, q, r = SCALAR
    loss = scalar_loss(SCALAR, 2)
    k, m = Polynomial([0, 1]), Polynomial([a, b])
    physics = (1 + m**2) * (r * k + b * q * m) + a * b * q * m**2
    paper = {
        "full": only_real_root(loss.deriv()),
        "physics": only_real_root(physics),
        "policy": -q * a * b / (r + q * b**2),
        "stop": -q * a * b / (r + q * b**2),
    }
    gains, losses = rest(SCALAR, 2)
    for flow, gain in gains.items():
        np.testing.assert_allclose(gain, [[paper[flow]]], rtol=1e-9, err_msg=flow)
        np.testing.assert_allclose(losses[flow][-1], loss(paper[flow]), rtol=1e-9)
    assert paper["full"] == pytest.approx(-0.744, abs=1e-3)
    assert loss(paper["physics"]) > 1.0005 * loss(paper["full"])
    assert loss(paper["stop"]) > 1.02 * loss(paper["physics"])


@pytest.mark.parametrize(
    ("system", "start"),
    [(SCALAR, [[-0.5]]), (([[1.0, 0.3], [-0.2, 0.9]], [[0.0], [1.0]], np.eye(2), [[0.5]]), [[-0.2, -0.6]])],
    ids=["scalar", "matrix"],
)
def test_long_horizons(system, start):
    """The Riccati gain for FULL, and for PHYSICS too although the loss is not zero; one step ahead for POLICY and STOP."""
    # From a gain that keeps the system bounded: from none at all, the first step would be astronomical.
    gains, losses = rest(system, 80, 1500, 0.03, start)
    best = riccati(*matrices(*system))
    for flow in ("full", "physics"):
        np.testing.assert_allclose(gains[flow], best.gain, rtol=1e-7, err_msg=flow)
    for flow in ("policy", "stop"):
        np.testing.assert_allclose(gains[flow], one_step_gain(system), rtol=1e-7, err_msg=flow)
    # The initial states are the axes, and their own cost is left out.
    q = matrices(system[2])[0]
    np.testing.assert_allclose(losses["full"][-1], np.trace(best.cost - q) / len(q), rtol=1e-7)
    assert losses["stop"][-1] > 1.02 * losses["full"][-1]


DEADBEAT = ([[0.9, 0.4], [-0.3, 0.7]], [[1.0, 0.2], [0.0, 1.0]], np.eye(2), np.zeros((2, 2)))


def test_every_flow_reaches_a_loss_of_zero():
    """Without a price on actions, and with as many of them as states, one step suffices: A + B K = 0."""
    gains, losses = rest(DEADBEAT, 5, updates=800)
    best = -np.linalg.solve(DEADBEAT[1], DEADBEAT[0])
    for flow, gain in gains.items():
        np.testing.assert_allclose(gain, best, rtol=1e-7, err_msg=flow)
        assert losses[flow][-1] < 1e-13 < 1e-3 < losses[flow][0]


@pytest.mark.parametrize(
    "estimator", [SignAgreement(), TensorAgreement(), SoftAgreement(), ConflictProjection(), NormBalanced()]
)
def test_every_estimator_reaches_a_loss_of_zero(estimator):
    gain, losses = jax.jit(lambda: trained(trainer_of(DEADBEAT, 5, estimator), 1500, np.zeros((2, 2))))()
    np.testing.assert_allclose(gain, -np.linalg.solve(DEADBEAT[1], DEADBEAT[0]), rtol=1e-6)
    assert losses[-1] < 1e-12


def test_an_evolution_strategy_reaches_the_smoothed_optimum():
    """The trainer hands it a new key every time. Its fixed point is off by the order of sigma^2."""
    strategy = EvolutionStrategy(4, sigma=0.01)
    gain, _ = jax.jit(lambda: trained(trainer_of(SCALAR, 2, strategy), 400, np.zeros((1, 1))))()
    exact = only_real_root(scalar_loss(SCALAR, 2).deriv())
    assert 0 < abs(gain[0, 0] - exact) < 1e-3


def test_the_objective_is_its_sum():
    system = random_linear_quadratic(jax.random.key(3), states=3, actions=2)
    k, x = (np.random.default_rng(1).normal(size=shape) for shape in ((2, 3), (3,)))
    q, r, f = np.diag([1.0, 2.0, 0.5]) + 0.1, np.diag([0.3, 0.7]), np.diag([3.0, 0.0, 1.0])
    problem = Problem(system, jnp.asarray(x))
    task = Task(QuadraticCost(jnp.asarray(q), jnp.asarray(r), jnp.asarray(f)), 4)
    value = eqx.filter_jit(lambda p: task.objective(task.run(p, problem, FULL), problem))(
        LinearFeedback(jnp.asarray(k))
    )
    expected = 0.0
    for _ in range(4):
        c = k @ x
        x = np.asarray(system.a) @ x + np.asarray(system.b) @ c
        expected += c @ r @ c + x @ q @ x
    np.testing.assert_allclose(value, expected + x @ f @ x, rtol=1e-12)


@pytest.mark.parametrize(("states", "actions"), [(1, 1), (3, 1), (4, 2)])
def test_riccati_solves_its_equation_and_stabilises(states, actions):
    system = random_linear_quadratic(jax.random.key(states), states, actions)
    a, b = 1.5 * np.asarray(system.a), np.asarray(system.b)
    q, r = np.eye(states), 0.3 * np.eye(actions)
    found = riccati(a, b, q, r)
    p, k = found.cost, found.gain
    np.testing.assert_allclose(p, q + a.T @ p @ (a + b @ k), rtol=1e-9, atol=1e-9)
    assert np.max(np.abs(np.linalg.eigvals(a + b @ k))) < 1
    # The cost is that of following the gain: p = q + k' r k + (a + b k)' p (a + b k).
    closed = a + b @ k
    np.testing.assert_allclose(p, q + k.T @ r @ k + closed.T @ p @ closed, rtol=1e-9, atol=1e-9)


def test_bad_input():
    env = LinearQuadratic(jnp.eye(2), jnp.ones((2, 1)))
    with pytest.raises(UndertowError, match=r"do not fit a state \(3,\)"):
        env.advance(jnp.ones(3), jnp.ones(1))
    with pytest.raises(UndertowError, match="can be stabilised"):
        riccati([[2.0]], [[0.0]], [[1.0]], [[1.0]])
    with pytest.raises(UndertowError, match="at least 1"):
        random_linear_quadratic(jax.random.key(0), 0)
