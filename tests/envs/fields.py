"""Small fields that tests of rewards share: environments, laws with two components, policies, trajectories."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import Trajectory, rollout
from undertow.envs.conservation import Conservation, FieldState
from undertow.laws.burgers import Burgers
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.schemes.semidiscrete import SemiDiscrete


class Pair(Burgers):
    """Two uncoupled scalar laws, Burgers and advection with speed -1."""

    num_components = 2

    def flux(self, u, axis):
        return jnp.stack([0.5 * u[0] ** 2, -u[1]])

    def max_speed(self, u, axis):
        return jnp.maximum(jnp.abs(u[0]), 1.0)

    def parity(self, axis):
        return (-1.0, 1.0)


class Softmax(AbstractPolicy):
    """A smooth policy with one weight vector per stencil value: softmax of a linear function of the stencil."""

    kernel: jax.Array

    def __call__(self, observation, *, key=None):
        return tuple(jax.nn.softmax(stencil @ self.kernel) for stencil in observation)


def softmax_policy(seed: int = 0, order: int = 5) -> Softmax:
    return Softmax(0.3 * jax.random.normal(jax.random.key(seed), (order, (order + 1) // 2)))


def environment(
    cells=16, boundary="periodic", *, law=None, order=5, integrator=None, step=None, domain=(0.0, 1.0), dt=0.1
) -> Conservation:
    """Burgers on few cells; `dt` in units of the cell size."""
    grid = UniformGrid(cells, *domain)
    scheme = SemiDiscrete(Burgers() if law is None else law, grid, boundary, order=order)
    return Conservation(scheme, FixedStep(dt * grid.dx) if step is None else step, integrator or ForwardEuler())


def rough(env: Conservation, seed: int = 0) -> FieldState:
    """Random values between -1 and 1."""
    shape = (env.scheme.law.num_components, *env.scheme.grid.num_cells)
    return env.initial(jax.random.uniform(jax.random.key(seed), shape, minval=-1.0, maxval=1.0))


def smooth(env: Conservation) -> FieldState:
    """A wave around 1."""
    shape = (env.scheme.law.num_components, *env.scheme.grid.num_cells)
    x = jnp.asarray(env.scheme.grid.centers())
    wave = 1 + 0.3 * jnp.sin(2 * jnp.pi * x)
    return env.initial(jnp.broadcast_to(wave.reshape((-1,) + (1,) * (len(shape) - 2)), shape))


@eqx.filter_jit
def played(policy: AbstractPolicy, problem: Problem, steps: int = 3) -> Trajectory:
    return rollout(problem.environment, policy, problem.state, steps)


@eqx.filter_jit
def evaluate(part, *args):
    """Any error, combination or objective, compiled."""
    return part(*args)


def by_hand(values, actions=None) -> Trajectory:
    """A trajectory through the given states, `(time+1, components, *cells)`."""
    u = jnp.asarray(np.asarray(values, float))
    return Trajectory(FieldState(u, jnp.arange(len(u), dtype=float)), actions)


def stack(problems):
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(v) for v in x]), *problems)
