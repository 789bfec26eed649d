"""Long unrolls against a derivation of their own: NumPy, complex steps for every Jacobian, the adjoint recursion by hand.

With gates p and q, and G_n = dS/dx, B_n = dS/dc, K_n = dN/dx, J_n = dN/dtheta at step n,

    lambda_n = dL/dx_n + p G_n^T lambda_{n+1} + q K_n^T B_n^T lambda_{n+1},   gradient = sum_n J_n^T B_n^T lambda_{n+1} .
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tasks.control import as_numpy, make, states
from undertow.core.gradient import GRADIENTS
from undertow.core.objective import FinalCost, Problem, RunningCost
from undertow.core.task import Task

STEP = 1e-30
GATES = {"full": (1, 1), "physics": (1, 0), "policy": (0, 1), "stop": (0, 0)}


def jacobian(function, x):
    """d function / d x by complex steps, exact to rounding: `(out, in)`."""
    directions = np.eye(x.size).reshape(x.size, *x.shape)
    return np.stack([np.imag(function(x + 1j * STEP * d)).ravel() / STEP for d in directions], axis=1)


def cart(state, force):
    """Cart and poles; each pole feels what it alone would do to the cart."""
    g, m, mass, half, dt = 9.8, 0.1, 1.1, 0.5, 0.01
    push, reaction, speeds = force[0], 0, []
    for angle, rate in state[1:]:
        s, c = np.sin(angle), np.cos(angle)
        # The two equations of motion of a cart with one rod, as a linear system.
        a, b = mass, m * half * c
        right = (push + m * half * s * rate**2, m * g * half * s)
        turning = (a * right[1] - b * right[0]) / (a * 4 / 3 * m * half**2 - b * b)
        reaction = reaction + m * half * (s * rate**2 - turning * c)
        speeds.append(rate + dt * turning)
    speed = state[0, 1] + dt * (push + reaction) / mass
    moved = [[state[0, 0] + dt * speed, speed]]
    return np.array(moved + [[angle + dt * w, w] for (angle, _), w in zip(state[1:], speeds, strict=True)])


def box(state, slope):
    """Crank-Nicolson with dense real matrices: psi = re + i im."""
    n, dt = len(state), 0.0625
    dx = 2 / (n + 1)
    h = (
        2 / dx**2 * np.eye(n)
        - (np.eye(n, k=1) + np.eye(n, k=-1)) / dx**2
        + slope[0] * np.diag(dx * np.arange(1, n + 1))
    )
    h = dt / 2 * h
    forward = np.block([[np.eye(n), h], [-h, np.eye(n)]])  # 1 - i H on (re, im)
    backward = np.block([[np.eye(n), -h], [h, np.eye(n)]])
    moved = np.linalg.solve(backward, forward @ np.concatenate([state[:, 0], state[:, 1]]))
    return np.stack([moved[:n], moved[n:]], axis=1)


def mlp(weights, state):
    x = state.ravel()
    for kernel, bias in ((weights[0], weights[1]), (weights[2], weights[3])):
        x = np.tanh(x @ kernel + bias)
    return x @ weights[4] + weights[5]


def cnn(weights, state):
    x = state
    for kernel, bias in ((weights[0], weights[1]), (weights[2], weights[3])):
        windows = [x[i : i + 3].ravel() for i in range(0, len(x) - 2, 2)]
        x = np.tanh(np.stack(windows) @ kernel + bias)
    return x.ravel() @ weights[4] + weights[5]


def infidelity(state):
    n = len(state)
    wave = np.sin(np.pi * 3 * np.arange(1, n + 1) / (n + 1))
    overlap = (wave / np.linalg.norm(wave)) @ state
    return 1 - np.sum(overlap**2)


CASES = {
    "cartpole": (cart, mlp, lambda state: 1 - np.mean(np.cos(state[1:, 0])), 100, FinalCost),
    "quantum": (box, cnn, infidelity, 40, RunningCost),
}


def by_hand(name, weights, x0):
    """Loss and gradients under the four flows, one initial state."""
    step, network, cost, horizon, kind = CASES[name]
    flat = np.concatenate([w.ravel() for w in weights])
    cuts = np.cumsum([w.size for w in weights])[:-1]

    def unflat(v):
        return [part.reshape(w.shape) for part, w in zip(np.split(v, cuts), weights, strict=True)]

    xs, jacobians = [x0], []
    for _ in range(horizon):
        x = xs[-1]
        c = network(weights, x)
        jacobians.append(
            (
                jacobian(lambda y, c=c: step(y, c), x),
                jacobian(lambda a, x=x: step(x, a), c),
                jacobian(lambda y: network(weights, y), x),
                jacobian(lambda v, x=x: network(unflat(v), x), flat),
            )
        )
        xs.append(step(x, c))
    share = np.full(horizon + 1, 1 / horizon) if kind is RunningCost else np.eye(horizon + 1)[horizon]
    share[0] = 0
    loss = sum(s * cost(x) for s, x in zip(share, xs, strict=True))
    slopes = [s * jacobian(lambda y: np.asarray(cost(y)), x)[0] for s, x in zip(share, xs, strict=True)]
    gradients = {}
    for flow, (p, q) in GATES.items():
        costate, total = slopes[-1], 0
        for n in reversed(range(horizon)):
            physics, control, feedback, parameters = jacobians[n]
            at_action = control.T @ costate
            total = total + parameters.T @ at_action
            costate = slopes[n] + p * physics.T @ costate + q * feedback.T @ at_action
        gradients[flow] = total
    return loss, gradients


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_every_flow(name):
    system = make(name)
    *_, horizon, kind = CASES[name]
    x0 = states(system, 2)
    problems, task = Problem(system.env, x0), Task(kind(system.cost), horizon)
    parts = [by_hand(name, as_numpy(system.policy), np.asarray(x)) for x in x0]
    expected = {flow: np.mean([part[1][flow] for part in parts], axis=0) for flow in GATES}
    agree = np.sign(expected["physics"]) == np.sign(expected["full"])
    expected["sign-agreement"] = np.where(agree, expected["physics"], 0)

    @jax.jit
    def estimate():
        return {flow: GRADIENTS[flow](lambda p, f: task.loss(p, f, problems), system.policy)[:2] for flow in expected}

    for flow, (value, gradient) in estimate().items():
        np.testing.assert_allclose(value, np.mean([part[0] for part in parts]), rtol=1e-12)
        ours = np.concatenate([np.ravel(w) for w in as_numpy(gradient)])
        size = np.abs(expected[flow]).max()
        np.testing.assert_allclose(ours, expected[flow], atol=1e-10 * max(size, 1), rtol=0, err_msg=flow)
    assert np.abs(expected["full"] - expected["physics"]).max() > 1e-3 * np.abs(expected["full"]).max()


def test_trajectories_of_a_hundred_steps():
    """The cart with two poles under a given force, against the linear system of its equations of motion."""
    system = make("cartpole")
    x = np.asarray(states(system, 1)[0])
    forces = np.random.default_rng(0).normal(0, 10, (100, 1))
    ours = jax.lax.scan(lambda s, c: (system.env.advance(s, c),) * 2, jnp.asarray(x), jnp.asarray(forces))[1]
    for moved, force in zip(ours, forces, strict=True):
        x = cart(x, force)
        np.testing.assert_allclose(moved, x, atol=1e-10, rtol=0)
