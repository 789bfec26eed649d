"""How the gradient travels back: four flows and a window through one cart-pole, step by step, without any training.

The loss is the same under all of them, bit for bit. What differs is which paths of the chain rule are taken.

Run it with: python examples/gradient_paths.py
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

import undertow as ut

STEPS = 60


def main(steps=STEPS):
    """By name: the loss, the gradient's length and its cosine with the full gradient's."""
    pole = ut.tasks.CartPole()
    policy = ut.Controller(4, (1,), hidden=(16,), zero_last=False, key=jax.random.key(0))
    states = jax.vmap(lambda key: jnp.array([[0.0, 0.0], [jnp.pi, 0.0]]) + 0.3 * jax.random.normal(key, (2, 2)))(
        jax.random.split(jax.random.key(1), 8)
    )
    task = ut.Task(ut.FinalCost(lambda state: 1 - jnp.cos(state[1, 0])), horizon=steps)
    problems = ut.core.stack_problems([ut.Problem(pole, state) for state in states])

    flows = {
        "full": ut.FULL,  # everything
        "physics": ut.PHYSICS,  # state to state, with the actions held
        "policy": ut.POLICY,  # through the network's input, and no further
        "stop": ut.STOP,  # every action is credited with its own step
        "half of the policy": ut.GradientFlow(physics=1.0, policy=0.5),  # gates are numbers
        "windows of 10": ut.core.window(steps, 10),  # and may differ from step to step
    }

    @jax.jit
    def measured(flow):
        loss, slope = jax.value_and_grad(lambda p: task.loss(p, flow, problems)[0])(policy)
        return loss, ravel_pytree(slope)[0]

    found = {name: measured(flow) for name, flow in flows.items()}
    full = found["full"][1]
    result = {}
    for name, (loss, slope) in found.items():
        length = jnp.linalg.norm(slope)
        cosine = slope @ full / (length * jnp.linalg.norm(full))
        result[name] = {"loss": float(loss), "length": float(length), "cosine": float(cosine)}
        print(f"{name:20} loss {loss:.6f}   |gradient| {length:9.3g}   cosine with full {cosine:+.3f}")
    return result


if __name__ == "__main__":
    main()
