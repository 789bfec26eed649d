r"""What a gate does to the vector field that training follows: a toy with two parameters, drawn as a map.

A point on a line is moved four times, $x_{n+1} = x_n + N(x_n)$ with $N(x) = \theta_1 x^2 + \theta_2 x$, from $x_0 = -0.3$
towards 2, with the loss $L = \frac12(x_4 - 2)^2$. The regular field is its gradient: long and short vectors lie side by
side, because products of $1 + N'$ explode and vanish. The modified field (`PHYSICS`: the network's input is stopped) holds
powers of $\partial S/\partial x = 1$ only. Both are zero where the loss is, on the white line.

Reference: Schnell and Thuerey (2024), arXiv 2405.02041, figure 1.

Run it with: python examples/loss_landscape.py landscape.png
"""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import undertow as ut
from undertow.core.environment import AbstractControlled
from undertow.report import style
from undertow.report.health import draw_field

START, TARGET, STEPS, REACH = -0.3, 2.0, 4, 4.0


class Walk(AbstractControlled):
    r"""$S(x, c) = x + c$."""

    def observe(self, state):
        return state

    def advance(self, state, action):
        return state + action


class Parabola(ut.AbstractPolicy):
    r"""$N(x) = \theta_1 x^2 + \theta_2 x$."""

    theta: jax.Array

    def __call__(self, observation, *, key=None):
        return self.theta[0] * observation**2 + self.theta[1] * observation


def fields(points):
    """The axis of both parameters, the loss, and the two fields: `"rows columns"` and `"rows columns 2"`."""
    task = ut.Task(ut.FinalCost(lambda x: 0.5 * (x - TARGET) ** 2), STEPS)
    problems = ut.core.stack_problems([ut.Problem(Walk(), jnp.asarray(START))])
    axis = jnp.linspace(-REACH, REACH, points)
    grid = jnp.stack(jnp.meshgrid(axis, axis), axis=-1)

    @eqx.filter_jit
    def evaluate(flow):
        def one(theta):
            value, gradient, _ = ut.core.Backprop(flow)(lambda p, f: task.loss(p, f, problems), Parabola(theta))
            return value, gradient.theta

        return jax.vmap(jax.vmap(one))(grid)

    (loss, regular), (_, modified) = evaluate(ut.FULL), evaluate(ut.PHYSICS)
    return tuple(np.asarray(x) for x in (axis, loss, regular, modified))


def spread(field):
    """Decades between the 5th and 95th percentile of the lengths."""
    lengths = np.linalg.norm(field, axis=-1)
    low, high = np.percentile(np.log10(lengths[lengths > 0]), [5, 95])
    return float(high - low)


def draw(path, axis, loss, regular, modified):
    fig, axes = style.figure(1, 3, width=4.4, height=3.9)
    extent = (axis[0], axis[-1], axis[0], axis[-1])
    image = axes[0, 0].imshow(
        np.log10(np.clip(loss, 1e-3, 1e3)), origin="lower", extent=extent, aspect="auto", cmap="magma", vmin=-3, vmax=3
    )
    fig.colorbar(image, ax=axes[0, 0]).ax.tick_params(labelsize=8)
    axes[0, 0].set_title("log10 of the loss")
    for place, (title, field) in zip(axes[0, 1:], {"regular": regular, "modified": modified}.items(), strict=True):
        # Drawn is what an optimiser follows: downhill.
        image = draw_field(place, axis, axis, -field[..., 0], -field[..., 1], limits=(-3.0, 3.0))
        place.set_title(f"{title} field: direction and log10 of the length")
    fig.colorbar(image, ax=axes[0, 1:]).ax.tick_params(labelsize=8)
    x = np.asarray(START)
    first, second = np.meshgrid(axis, axis)
    for _ in range(STEPS):
        x = x + first * x**2 + second * x
    for place in axes[0]:
        place.grid(False)
        place.contour(axis, axis, np.clip(x, -10, 10), [TARGET], colors="white", linewidths=1.2)
        place.set(xlabel=r"$\theta_1$")
    axes[0, 0].set_ylabel(r"$\theta_2$")
    return style.save(fig, path)


def main(path=None, points=161):
    """Decades over which the lengths of both fields spread; a figure where a path is given."""
    axis, loss, regular, modified = fields(points)
    spreads = {"regular": spread(regular), "modified": spread(modified)}
    for name, decades in spreads.items():
        print(f"{name:8} field: lengths spread over {decades:.1f} decades (5th to 95th percentile)")
    turned = np.sum(regular * modified, axis=-1) < 0
    print(f"on {turned.mean():.0%} of the plane they point away from each other")
    if path is not None:
        print(f"figure: {draw(path, axis, loss, regular, modified)}")
    return {**spreads, "opposed": float(turned.mean()), "fields": (axis, loss, regular, modified)}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(*sys.argv[1:2])
