"""A physical system of one's own in the same loop: a pendulum, a small controller, and how the gradient travels back.

An environment is `observe` and `step`, a policy maps an observation to an action, an objective maps a trajectory to a
number. Everything else (the unroll, the gradient flows, the trainer) is what numerical schemes are learned with.

Run it with: python examples/own_environment.py
"""

import jax
import jax.numpy as jnp
import optax

import undertow as ut
from undertow.core.gradient import GRADIENTS

STEPS, DT = 60, 0.05


class Pendulum(ut.AbstractEnvironment):
    r"""$\ddot\vartheta = \sin\vartheta + c$, upright at 0; semi-implicit Euler, the force held over a step."""

    dt: float = DT

    def observe(self, state):
        return state

    def step(self, state, feedback):
        angle, speed = state
        force = feedback(state)
        speed = speed + self.dt * (jnp.sin(angle) + force)
        return jnp.stack([angle + self.dt * speed, speed]), force


class Controller(ut.AbstractPolicy):
    """A network of the state."""

    network: ut.MLP

    def __init__(self, key):
        self.network = ut.MLP((2, 32, 1), key=key, activation="tanh", zero_last=True)

    def __call__(self, observation, *, key=None):
        return self.network(observation)[0]


def problem(key):
    """Let go somewhere near the upright position."""
    return ut.Problem(Pendulum(), jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5))


def main(updates=200, batch=16, gradients=("full", "physics", "sign-agreement", "stop")):
    """The loss before and after training, by the way the gradient travels."""
    upright = ut.RunningCost(lambda state: 1 - jnp.cos(state[0])) + 0.01 * ut.ActionCost()
    task = ut.Task(upright, horizon=STEPS, sample=problem)
    losses = {}
    for name in gradients:
        trainer = ut.Trainer(task, None, gradient=GRADIENTS[name], optimizer=optax.adam(3e-3), batch=batch)
        state = trainer.init(Controller(jax.random.key(0)), jax.random.key(1))
        curve = []
        ut.fit(trainer, state, updates, every=updates, callbacks=(lambda p, c=curve: c.extend(p.metrics["loss"]),))
        losses[name] = (float(curve[0]), float(curve[-1]))
        print(f"{name:15} loss {losses[name][0]:.4f} -> {losses[name][1]:.4f}")
    return losses


if __name__ == "__main__":
    main()
