r"""A Runge-Kutta step, taken stage by stage: for agents that act at every one of them."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from undertow.numerics.integrator import AbstractIntegrator


class Stages(eqx.Module):
    """A step under way. `slopes`: those of the stages so far, zeros for the others, `"stages chan *cells"`; `index` of the
    stage that is next."""

    slopes: Float[Array, "stages chan *cells"]
    index: Int[Array, ""]


def first_stage(integrator: AbstractIntegrator, u: Float[Array, "chan *cells"]) -> Stages:
    """Before the first stage of a step from `u`."""
    return Stages(jnp.zeros((integrator.num_stages, *u.shape), u.dtype), jnp.zeros((), int))


def stage_values(
    integrator: AbstractIntegrator, stages: Stages, u: Float[Array, "chan *cells"], dt: Float[Array, ""]
) -> tuple[Float[Array, "chan *cells"], Float[Array, ""]]:
    r"""Where the next stage's slope is asked for: $u + \Delta t\sum_j a_{sj} k_j$, and $c_s \Delta t$, the time since the step
    began."""
    count = integrator.num_stages
    table = np.zeros((count + 1, count))
    for stage, entries in enumerate(integrator.a):
        table[stage, : len(entries)] = entries
    ends = np.append(table.sum(axis=1)[:-1], 0.0)
    row = jnp.asarray(table, u.dtype)[stages.index]
    value = u
    for place in range(count):
        value = value + (dt * row[place]) * stages.slopes[place]
    return value, jnp.asarray(ends, u.dtype)[stages.index] * dt


def with_slope(stages: Stages, slope: Float[Array, "chan *cells"]) -> Stages:
    """After the next stage, whose slope this is."""
    here = jnp.arange(stages.slopes.shape[0]).reshape(-1, *(1,) * slope.ndim) == stages.index
    return Stages(jnp.where(here, slope, stages.slopes), stages.index + 1)
