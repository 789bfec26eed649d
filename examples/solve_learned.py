"""A learned policy in the plain solver: marched to an end time, compiled, batched, and trained by the gradient of what is there.

Run it with: python examples/solve_learned.py
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

import undertow as ut


def main(cells=32, end_time=0.2, updates=60, max_steps=40):
    """Mean errors of WENO-Z and of the policy, and the time steps that every wave took."""
    scheme = ut.SemiDiscrete(ut.Burgers(), ut.UniformGrid(cells))
    fine = ut.SemiDiscrete(ut.Burgers(), ut.UniformGrid(9 * cells))
    heights = jnp.asarray([0.6, 0.9, 1.2, 1.5])

    def wave(height, grid):
        return (0.3 + height * jnp.sin(2 * jnp.pi * jnp.asarray(grid.centers())))[None]

    # A batch of waves is one call. Every one of them takes as many steps as its own speed asks for.
    starts = jax.vmap(lambda height: wave(height, scheme.grid))(heights)
    solved = jax.vmap(lambda height: ut.solve(fine, ut.schemes.WenoZ(), wave(height, fine.grid), end_time=end_time))(
        heights
    )
    truth = solved.values[:, -1, :, 4::9]

    policy = ut.DirectionalPolicy(key=jax.random.key(0), hidden=(8,))  # it starts as WENO-Z
    weights, rest = eqx.partition(policy, eqx.is_inexact_array)

    @jax.jit
    def reached(weights):
        # Reverse mode keeps what it needs of at most max_steps steps.
        march = lambda u0: ut.solve(scheme, eqx.combine(weights, rest), u0, end_time=end_time, max_steps=max_steps)
        return jax.vmap(march)(starts)

    def error(weights):
        return jnp.mean(jnp.abs(reached(weights).values[:, -1] - truth))

    optimizer = optax.adam(1e-2)

    @jax.jit
    def update(weights, state):
        value, gradient = jax.value_and_grad(error)(weights)
        changes, state = optimizer.update(gradient, state)
        return optax.apply_updates(weights, changes), state, value

    state = optimizer.init(weights)
    errors = []
    for _ in range(updates):
        weights, state, value = update(weights, state)
        errors.append(float(value))
    end = reached(weights)
    errors.append(float(error(weights)))
    print(f"mean error at t = {end_time}: {errors[0]:.5f} as WENO-Z, {errors[-1]:.5f} after {updates} updates")
    print("time steps of the waves:", *(int(count) for count in end.steps[:, -1]))
    return {"errors": errors, "steps": end.steps[:, -1], "times": end.times[:, -1]}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
