"""Two dimensions: the isentropic vortex, whose exact solution is known, and one network on both axes.

A policy sees stencils and knows no axis, so what was made for one dimension runs in the plane as it is.

Run it with: python examples/plane.py
"""

import jax
import jax.numpy as jnp

import undertow as ut


def main(cells=(20, 40), end_time=1.0):
    """Mean errors of the density by number of cells, the observed order, and how far a network tells x from y."""
    errors = []
    for count in cells:
        vortex = ut.simulate("vortex", num_cells=count, end_time=end_time, reconstruction="component")
        errors.append(float(jnp.mean(jnp.abs(vortex.values[-1, 0] - vortex.exact[-1, 0]))))
        print(f"vortex, {count:3} x {count} cells: mean error of the density {errors[-1]:.2e}")
    order = float(jnp.log(errors[0] / errors[-1]) / jnp.log(cells[-1] / cells[0]))
    print(f"observed order {order:.1f}")

    # A field of one's own: any function of x and y, a law, a boundary by name.
    policy = ut.DirectionalPolicy(key=jax.random.key(0), hidden=(8,))
    box = ((0.0, 1.0), (0.0, 1.0))
    hill = {name: ut.Field(hill_along(name), ut.Burgers(), "periodic", box) for name in "xy"}
    along_x, along_y = (
        ut.simulate(hill[name], policy, num_cells=cells[0], end_time=0.1).values[-1, 0] for name in "xy"
    )
    turned = float(jnp.max(jnp.abs(along_x - along_y.T)))
    print(f"a network on a wave along x and on the same wave along y: largest difference {turned:.1e}")
    return {"errors": errors, "order": order, "turned": turned}


def hill_along(axis):
    """A wave along one axis, bent a little by the other."""

    def values(x, y):
        one, other = (x, y) if axis == "x" else (y, x)
        return jnp.sin(2 * jnp.pi * one) + 0.1 * jnp.cos(2 * jnp.pi * other)

    return values


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
