"""Gas dynamics: Sod's shock tube with two classical schemes, and a blast that needs the positivity limiter.

Run it with: python examples/gas.py
"""

import jax
import numpy as np

import undertow as ut

SCHEMES = ("weno-js", "weno-z")


def main(cells=(50, 100, 200), blast_cells=200):
    """Mean errors of the density in Sod's tube by scheme and number of cells, and the blast's lowest pressure."""
    errors = {}
    for count in cells:
        for name in SCHEMES:
            # The case knows its law, domain, boundary, end time and exact solution.
            tube = ut.simulate("sod", name, num_cells=count)
            errors[name, count] = float(np.mean(np.abs(tube.values[-1, 0] - tube.exact[-1, 0])))
            print(f"Sod's tube, {count:4} cells, {name:8} mean error of the density {errors[name, count]:.5f}")

    # Two strong shocks collide between two walls. The limiter keeps density and pressure above zero, and conserves.
    blast = ut.simulate("blast", num_cells=blast_cells, positivity=True)
    pressure = blast.law.primitive(blast.values[-1])[-1]
    print(
        f"blast, {blast_cells} cells: pressures from {pressure.min():.3g} to {pressure.max():.3g} at t = {blast.times[-1]:g}"
    )
    return {"errors": errors, "lowest": float(pressure.min())}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
