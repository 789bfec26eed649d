"""A training in a notebook: train, look, evaluate, plot and use a controller in ten lines, without a file.

Every line of `main` is a cell. Run it as a program with: python examples/notebook_cartpole.py
"""

import jax.numpy as jnp

import undertow as ut


def main(**fields):
    """The cells; half a minute."""
    learned = ut.learn("cartpole", quiet=False, **fields)
    print(learned)
    print(learned.metrics["update"], learned.metrics["test_loss"])
    fresh = learned.evaluate("fresh")
    print(f"mean loss on {fresh.summary()['learned']['states']} other states: {fresh.summary()['learned']['loss']:.3f}")
    figures = learned.plot()  # in a notebook the last value of a cell is shown
    print(*figures)
    hanging = ut.tasks.CartPole().observe(
        jnp.array([[0.0, 0.0], [3.14, 0.0]])
    )  # position and angle, with their velocities
    print("force on a pole that hangs:", learned.policy(hanging))
    return learned, figures


if __name__ == "__main__":
    main()
