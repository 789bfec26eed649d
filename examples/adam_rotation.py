r"""Why a field that turns stops Adam, and how comparing signs helps: three fields over two parameters.

- divergence: $2\theta$, the gradient of $|\theta|^2$;
- + rotation: $2\theta + 2\kappa R\theta$ with $R(x, y) = (y, -x)$, the same with a part that no function has as its gradient;
- combination: the second where its signs agree with the first, else zero, by `SignAgreement`.

200 iterations of Adam with a learning rate of 0.1, from (2, 4). The field of the paper's figure is not published as a
formula. With $\kappa = 1.95$ what is described there comes out: a learning rate of 0.1 puts the first dip of the plain descent
near iteration 60; with the rotation the loss falls to 0.7 before iteration 40 and then grows to 5; the combination
oscillates down to about 0.1. Smaller $\kappa$ let Adam win in the end, the other sense of rotation slows the first fall down,
and from $\kappa = 4$ on the loss never falls below 6. Plain gradient descent converges on all three fields: it is the
momentum that carries the parameters outwards.

Reference: Schnell and Thuerey (2024), arXiv 2405.02041, figure 2.

Run it with: python examples/adam_rotation.py rotation.png
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

import undertow as ut
from undertow.core.flow import damp
from undertow.instruments.rotation import rotation
from undertow.report import style
from undertow.report.health import draw_field

KAPPA, START, ITERATIONS, RATE = 1.95, (2.0, 4.0), 200, 0.1


class Point(ut.AbstractPolicy):
    """A policy that is nothing but two parameters."""

    theta: jax.Array


def loss(policy, flow):
    r"""$|\theta|^2$, whose derivative is the turning field through the physics gate, and the rest through the policy gate:
    `FULL` is the gradient, `PHYSICS` the field with the rotation."""
    theta = policy.theta
    turning = 2 * theta + 2 * KAPPA * jnp.stack([theta[1], -theta[0]])
    paths = ((turning, flow.physics), (2 * theta - turning, flow.policy))
    # Zero in value, and linear in what the gate lets through.
    through = [
        jax.lax.stop_gradient(field) @ (damp(theta, gate) - jax.lax.stop_gradient(theta)) for field, gate in paths
    ]
    return jax.lax.stop_gradient(theta @ theta) + sum(through), {}


ESTIMATORS = {
    "divergence": ut.core.Backprop(ut.FULL),
    "+ rotation": ut.core.Backprop(ut.PHYSICS),
    "combination": ut.core.SignAgreement(base=ut.PHYSICS, reference=ut.FULL),
}


def field(estimator):
    return lambda policy: estimator(loss, policy)[1]


def descend(estimator, iterations=ITERATIONS):
    """Losses and parameters along the iterations, the start first."""
    optimizer = optax.adam(RATE)

    def update(carry, _):
        policy, state = carry
        value, direction, _ = estimator(loss, policy)
        change, state = optimizer.update(direction, state)
        return (optax.apply_updates(policy, change), state), (value, policy.theta)

    start = Point(jnp.asarray(START))
    _, (values, path) = jax.jit(lambda: jax.lax.scan(update, (start, optimizer.init(start)), length=iterations + 1))()
    return np.asarray(values), np.asarray(path)


def draw(path, runs, points=81):
    fig, axes = style.figure(2, 2, width=4.3, height=3.6)
    axis = np.linspace(-5, 5, points)
    grid = jnp.stack(jnp.meshgrid(axis, axis), axis=-1)
    colours = dict(zip(runs, (style.BASELINE, style.LEARNED, style.OTHERS[0]), strict=True))
    for place, (name, (values, steps)) in zip(axes.flat, runs.items(), strict=False):
        direction = field(ESTIMATORS[name])
        vectors = -np.asarray(jax.jit(jax.vmap(jax.vmap(lambda theta, d=direction: d(Point(theta)).theta)))(grid))
        image = draw_field(place, axis, axis, vectors[..., 0], vectors[..., 1], limits=(-1.0, 1.5))
        place.plot(*steps.T, color="white", linewidth=2.6)
        place.plot(*steps.T, color=colours[name], linewidth=1.4)
        place.set(title=f"{name}: direction and log10 of the length", xlim=(-5, 5), ylim=(-5, 5))
        fig.colorbar(image, ax=place).ax.tick_params(labelsize=8)
        axes[1, 1].plot(values, color=colours[name], linewidth=1.4, label=name)
    axes[1, 1].set(yscale="log", ylim=(1e-4, 50), xlabel="iteration", title="loss")
    style.legend(axes[1, 1], loc="lower left")
    return style.save(fig, path)


def main(path=None, iterations=ITERATIONS):
    """Losses by field; a figure where a path is given."""
    runs = {name: descend(estimator, iterations) for name, estimator in ESTIMATORS.items()}
    for name, (values, _) in runs.items():
        share = rotation(field(ESTIMATORS[name]), Point(jnp.ones(2)), jax.random.key(0)).fraction
        lowest = int(values.argmin())
        print(
            f"{name:12} lowest loss {values[lowest]:.2g} at iteration {lowest}, at the end {values[-1]:.2g}; "
            f"antisymmetric share at (1, 1) {share:.2f}"
        )
    if path is not None:
        print(f"figure: {draw(path, runs)}")
    return {name: values for name, (values, _) in runs.items()}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(*sys.argv[1:2])
