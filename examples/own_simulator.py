"""A simulator of one's own in the same loop: a boat in a current, a controller, and how the gradient travels back.

The state is whatever pytree the physics likes, `advance` is one step of it, a cost looks at one state. Everything else
(the unroll, the gradient flows, the trainer) is there already.

Run it with: python examples/own_simulator.py
"""

import jax
import jax.numpy as jnp
import optax

import undertow as ut
from undertow.core.environment import AbstractControlled
from undertow.core.flow import window
from undertow.core.gradient import GRADIENTS
from undertow.policies.controller import Controller

STEPS, DT = 40, 0.1


class Boat(AbstractControlled):
    r"""$\dot x = v + u(x)$, $\dot v = c - v |v|$ in the plane: drag, and a current $u$ that is strongest in the middle."""

    current: float = 0.5  # a leaf: every problem of a batch may have its own

    def observe(self, state):
        return jnp.concatenate([state["position"], state["velocity"]])

    def advance(self, state, action):
        drag = state["velocity"] * jnp.sqrt(
            jnp.sum(state["velocity"] ** 2) + 1e-6
        )  # whose root has a derivative at rest
        velocity = state["velocity"] + DT * (action - drag)
        drift = jnp.stack([self.current * jnp.exp(-(state["position"][1] ** 2)), 0.0])
        return {"position": state["position"] + DT * (velocity + drift), "velocity": velocity}


def distance(state):
    """The cost of a state: how far it is from the harbour, at the origin."""
    return jnp.sum(state["position"] ** 2)


def problem(key):
    """At rest, anywhere in a square."""
    position = jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)
    return ut.Problem(Boat(), {"position": position, "velocity": jnp.zeros(2)})


def main(updates=200, batch=16, names=("full", "physics", "sign-agreement", "stop")):
    """The loss before and after training, by the way the gradient travels."""
    task = ut.Task(ut.RunningCost(distance) + 0.01 * ut.ActionCost(), horizon=STEPS, sample=problem)
    ways = {name: GRADIENTS[name] for name in names} | {"windows of 10": ut.core.Backprop(window(STEPS, 10))}
    losses = {}
    for name, gradient in ways.items():
        trainer = ut.Trainer(task, None, gradient=gradient, optimizer=optax.adam(3e-3), batch=batch)
        state = trainer.init(Controller(4, (2,), hidden=(32,), key=jax.random.key(0)), jax.random.key(1))
        curve = []
        ut.fit(trainer, state, updates, every=updates, callbacks=(lambda p, c=curve: c.extend(p.metrics["loss"]),))
        losses[name] = (float(curve[0]), float(curve[-1]))
        print(f"{name:15} loss {losses[name][0]:.4f} -> {losses[name][1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
