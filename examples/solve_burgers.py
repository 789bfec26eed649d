"""The solver alone: Burgers' equation through the birth of a shock, classical schemes against the exact solution.

Run it with: python examples/solve_burgers.py
"""

import jax
import jax.numpy as jnp

import undertow as ut

SCHEMES = ("linear", "weno-js", "weno-z")


def main(cells=(32, 64, 128), end_time=0.2):
    """Mean errors by scheme and number of cells."""
    wave = ut.burgers_condition("smooth_sine")  # the shock is born at t = 0.1
    errors = {}
    print(f"mean error at t = {end_time}\n{'cells':>8}", *(f"{name:>10}" for name in SCHEMES))
    for count in cells:
        for name in SCHEMES:
            result = ut.simulate(wave, ut.classical(name), num_cells=count, end_time=end_time, cfl=0.4)
            errors[name, count] = float(jnp.mean(jnp.abs(result.values[-1] - result.exact[-1])))
        print(f"{count:8}", *(f"{errors[name, count]:10.5f}" for name in SCHEMES))
    return errors


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
