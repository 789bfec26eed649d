"""The three controlled systems against arrays recorded from another program: trajectories, losses, gradients of all flows."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow.core.flow import GradientFlow
from undertow.core.gradient import Backprop, SignAgreement
from undertow.core.objective import ActionCost, FinalCost, Problem, RunningCost
from undertow.core.task import Task
from undertow.core.unroll import rollout
from undertow.policies.controller import Controller, WaveController
from undertow.tasks.cartpole import CartPole, Upright, published_cartpoles
from undertow.tasks.guidance import DistanceToTarget, Guidance, published_guidance
from undertow.tasks.quantum import Infidelity, QuantumBox, eigenstate, published_waves

FILES = {
    "cartpole-1": "cartpole_NC1_f64.npz",
    "cartpole-2": "cartpole_NC2_f64.npz",
    "guidance": "guidance_2-4_f64.npz",
    "quantum": "quantum_Nx32_f64.npz",
}


def with_weights(policy, weights):
    network = getattr(policy, "network", policy)
    shapes = [x.shape for pair in zip(network.kernels, network.biases, strict=True) for x in pair]
    arrays = [jnp.asarray(w).reshape(shape) for w, shape in zip(weights, shapes, strict=True)]
    where = (
        (lambda p: (p.network.kernels, p.network.biases))
        if hasattr(policy, "network")
        else (lambda p: (p.kernels, p.biases))
    )
    return eqx.tree_at(where, policy, (tuple(arrays[::2]), tuple(arrays[1::2])))


def objective(name, label):
    """The objective that a label of the recording stands for."""
    kind, _, rest = label.partition("_")
    if name == "guidance":
        base = FinalCost(DistanceToTarget()) if kind == "FINAL" else RunningCost(DistanceToTarget())
        return (
            base + jnp.asarray(float(rest.removeprefix("rc"))) * ActionCost()
        )  # an array: one program for all factors
    if name == "quantum":
        cost = Infidelity(int(rest.removeprefix("TS")))
        return FinalCost(cost) if kind == "FINAL" else RunningCost(cost, "sum")
    return FinalCost(Upright()) if kind == "FINAL" else RunningCost(Upright())


@pytest.fixture(scope="module", params=FILES)
def recorded(request, reference_dir):
    name = request.param.split("-")[0]
    arrays = np.load(reference_dir / "stable_bptt" / FILES[request.param])
    weights = [arrays[f"w{i}"] for i in range(6)]
    key = jax.random.key(0)
    if name == "quantum":
        env, policy, shape = QuantumBox(), WaveController(32, key=key, channels=6), (1,)
    else:
        env, shape = (CartPole(), (1,)) if name == "cartpole" else (Guidance(), (2, 2))
        policy = Controller(weights[0].shape[0], shape, key=key, hidden=(8, 8))
    return name, arrays, env, with_weights(policy, weights), shape


def test_trajectories_and_closed_loops(recorded):
    _, arrays, env, policy, shape = recorded
    x0 = jnp.asarray(arrays["x0"])
    controls = jnp.asarray(arrays["controls"]).reshape(20, 4, *shape)
    moved = jax.lax.scan(lambda x, c: (jax.vmap(env.advance)(x, c),) * 2, x0, controls)[1]
    np.testing.assert_allclose(np.swapaxes(moved, 0, 1), arrays["traj"][:, 1:], atol=1e-10, rtol=0)
    loop = jax.jit(jax.vmap(lambda x: rollout(env, policy, x, 10)))(x0)
    np.testing.assert_allclose(loop.states, arrays["unroll_states"], atol=1e-10, rtol=0)
    actions = np.asarray(loop.actions)
    np.testing.assert_allclose(actions[:, 0].ravel(), arrays["net_out_x0"].ravel(), atol=1e-10, rtol=0)
    if "unroll_controls" in arrays:
        np.testing.assert_allclose(actions.ravel(), arrays["unroll_controls"].ravel(), atol=1e-10, rtol=0)


def test_losses_and_gradients_of_every_flow(recorded):
    name, arrays, env, policy, _ = recorded
    problems = Problem(env, jnp.asarray(arrays["x0"]))
    labels = [key.removesuffix("_loss") for key in arrays.files if key.endswith("_loss")]
    assert len(labels) >= 2

    @eqx.filter_jit
    def estimates(policy, task):
        def loss(policy, flow):
            return task.loss(policy, flow, problems)

        # The four flows as four pairs of gates of one program.
        one = jax.vmap(lambda gates: Backprop(GradientFlow(gates[0], gates[1]))(loss, policy)[:2])
        values, gradients = one(jnp.array([[1.0, 1], [1, 0], [0, 1], [0, 0]]))
        four = [jax.tree.map(lambda x, i=i: x[i], (values, gradients)) for i in range(4)]
        return dict(zip("FPNSC", [*four, SignAgreement()(loss, policy)[:2]], strict=True))

    for label in labels:
        for letter, (value, gradient) in estimates(policy, Task(objective(name, label), 10)).items():
            np.testing.assert_allclose(value, arrays[f"{label}_loss"], atol=1e-10, rtol=0)
            network = getattr(gradient, "network", gradient)
            leaves = [x for pair in zip(network.kernels, network.biases, strict=True) for x in pair]
            for i, leaf in enumerate(leaves):
                expected = arrays[f"{label}_{letter}_g{i}"]
                np.testing.assert_allclose(
                    np.ravel(leaf), expected.ravel(), atol=1e-10, rtol=0, err_msg=f"{label} {letter} {i}"
                )


def test_the_published_states(reference_dir):
    arrays = np.load(reference_dir / "stable_bptt" / "cartpole_NC1_training_start.npz")
    states = published_cartpoles(512, 1)
    # Recorded in single precision.
    np.testing.assert_allclose(states[:256], arrays["train"], atol=3e-7)
    np.testing.assert_allclose(states[256:], arrays["test"], atol=3e-7)


def test_the_published_states_of_a_herd(reference_dir):
    """The recording holds the first 4 of 8 states from seed 42, in single precision."""
    x0 = np.load(reference_dir / "stable_bptt" / FILES["guidance"])["x0"]
    np.testing.assert_allclose(published_guidance(8)[:4], x0, rtol=0, atol=3e-7)


def test_the_published_waves(reference_dir):
    """The recording holds the first 4 of 8 states from seed 5, in single precision."""
    x0 = np.load(reference_dir / "stable_bptt" / FILES["quantum"])["x0"]
    np.testing.assert_allclose(published_waves(8, seed=5)[:4], x0, rtol=0, atol=9e-8)


def test_the_published_eigenstates(reference_dir):
    arrays = np.load(reference_dir / "stable_bptt" / FILES["quantum"])
    for level in range(1, 6):
        np.testing.assert_allclose(eigenstate(level), arrays[f"eigenstate{level}"], atol=1e-12)
