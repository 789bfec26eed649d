"""A conservation law of one's own, solved and then learned: cars on a road.

The density of cars satisfies rho_t + (rho (1 - rho))_x = 0. The law is one class. There is no exact solution in the
package, so the learned scheme is compared with WENO on a grid nine times finer.

Run it with: python examples/own_law.py
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import undertow as ut
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.integrator import INTEGRATORS


class Traffic(AbstractConservationLaw):
    r"""$\rho_t + (\rho (1 - \rho))_x = \nu \rho_{xx}$, with $\rho = 1$ where cars stand bumper to bumper."""

    viscosity: float = 0.0
    num_components = 1

    def flux(self, u, axis):
        return u * (1 - u)

    def max_speed(self, u, axis):
        return jnp.abs(1 - 2 * u[0])

    def parity(self, axis):
        return (1.0,)


class Road(eqx.Module):
    """Initial densities between 0 and 1, made from the random family, which reaches from -3 to 3."""

    base: eqx.Module
    boundary: str = eqx.field(static=True, default="mixed")
    domain: tuple[float, float] = eqx.field(static=True, default=(0.0, 1.0))

    @property
    def periodic(self):
        return self.base.periodic

    def __call__(self, x):
        return 0.5 + self.base(x) / 6


def main(updates=200, pool=64, batch=8, cells=64, steps=40, end_time=0.3, integrator="ssp_rk3"):
    """The geometric mean of the learned scheme's error over WENO5's, before and after the training."""
    # When the light turns green the queue spreads as a fan, which is known on paper.
    queue = ut.laws.CallableCondition(lambda x: jnp.where(x < 0.5, 1.0, 0.0), "outflow", jumps=(0.5,))
    road = ut.simulate(queue, law=Traffic(), num_cells=cells, end_time=end_time)
    fan = np.clip((1 - (road.x - 0.5) / end_time) / 2, 0, 1)
    error = float(np.mean(np.abs(road.values[-1] - fan)))
    print(f"green light: WENO5's mean error is {error:.5f}")

    how = ut.Discretised(Traffic(), cells, steps, end_time, integrator=INTEGRATORS[integrator], truth="fine")
    roads = jax.vmap(Road)(ut.envs.training_conditions(seed=0, n=pool + batch))
    problems = ut.make_pool(how, roads)
    train, test = (jax.tree.map(lambda x, part=part: x[part], problems) for part in (slice(batch, None), slice(batch)))

    task = ut.Task(ut.envs.TrajectoryError(steps), horizon=steps)
    policy = ut.DirectionalPolicy(key=jax.random.key(0), hidden=(8, 8))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, updates)))
    trainer = ut.Trainer(task, train, optimizer=optimizer, batch=batch)
    result = ut.fit(trainer, trainer.init(policy, jax.random.key(1)), updates, every=max(1, updates // 4))

    ratio = eqx.filter_jit(lambda p: jnp.exp(jnp.mean(jnp.log(task.losses(p, ut.FULL, test)))))
    before, after = float(ratio(policy)), float(ratio(result.state.policy))
    print(f"learned scheme: error over WENO5's on {batch} roads it never saw: {before:.3f} before, {after:.3f} after")
    return {"error": error, "before": before, "after": after, "status": result.status}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
