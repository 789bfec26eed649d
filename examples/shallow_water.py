"""Shallow water: a dam breaks over a dry bed, with the exact solution of the Riemann problem.

Run it with: python examples/shallow_water.py
"""

import jax
import jax.numpy as jnp
import numpy as np

import undertow as ut

GRAVITY = 9.81  # m / s^2
DEEP, DRY = jnp.array([2.0, 0.0]), jnp.array([0.0, 0.0])  # depth in m, velocity in m / s, on either side of the dam
DAM = 50.0  # m


def conserved(primitive):
    """Depth and velocity to depth and momentum."""
    return jnp.stack([primitive[0], primitive[0] * primitive[1]])


def start(x):
    """Water at rest behind the dam, nothing before it."""
    return conserved(jnp.where(x <= DAM, DEEP[:, None], DRY[:, None]))


def solution(x, t):
    """Of the Riemann problem: a fan that ends on the dry bed."""
    return conserved(ut.laws.shallow_water_riemann_at(DEEP, DRY, GRAVITY, x, DAM, t))


def main(cells=(50, 100), end_time=3.0):
    """Mean errors of the depth in m by number of cells, and the way of the wet front beside theory."""
    law = ut.laws.ShallowWater(GRAVITY)
    dam = ut.Field(start, law, "outflow", (0.0, 100.0), exact=solution)
    errors = {}
    for count in cells:
        result = ut.simulate(dam, num_cells=count, end_time=end_time, positivity=True)
        depth, exact = result.values[-1, 0], result.exact[-1, 0]
        errors[count] = float(np.mean(np.abs(depth - exact)))
        print(f"{count:4} cells: mean error of the depth {errors[count]:.4f} m, least depth {depth.min():.1e} m")
    volume = float(np.sum(result.values[-1, 0] - result.values[0, 0]) * 100.0 / count)
    print(f"volume per width has changed by {volume:.1e} m^2")
    return {"errors": errors, "volume": volume, "least": float(depth.min())}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
