r"""Named problems of shallow water in one dimension, a family of random ones, and the law's entry."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp

from undertow._types import Key
from undertow.laws.cases import HeldOut, LawEntry, PiecewiseCase, Play, Problems
from undertow.laws.fields import PiecewiseStates
from undertow.laws.shallow_water import ShallowWater


def water(gravity: float = 1.0) -> ShallowWater:
    """Shallow water in one dimension."""
    return ShallowWater(gravity=jnp.asarray(gravity, float))


WATER_CASES: dict[str, PiecewiseCase] = {
    "dam_break": PiecewiseCase(water, ((3, 0), (1, 0)), (0.0,), (-5.0, 5.0), 2.0, "after LeVeque (2002), section 13.2"),
    "critical_dam_break": PiecewiseCase(
        partial(water, 9.8), ((1, 2.5), (0.1, 0)), (10.0,), (0.0, 50.0), 7.0, "Toro (2001), chapter 7, test 1"
    ),
}
"""Problems of shallow water in one dimension, by name: depth and velocity."""


def random_water(key: Key, *, gravity: float = 1.0) -> PiecewiseStates:
    r"""A random dam break with a wave in the depth, on (0, 1), meant for times up to 0.2.

    The fastest wave of the initial states crosses the domain once in 2/3 to 5/4 of a unit of time. The ratio of the depths is
    that of two numbers log-uniform in (1/8, 1), Froude numbers are normal with standard deviation 1/2; the waves have relative
    amplitudes of up to 0.3 (none in one problem of four) and one to six periods in the domain. The dam stands between
    0.3 and 0.7.

    **Arguments:** `key`; `gravity`, default 1. Jittable; `vmap` over keys for a batch.
    """
    keys = jax.random.split(key, 2)
    place, speed, wavy, turn, count, *rest = jax.random.uniform(keys[0], (9,))
    depth = jnp.exp(math.log(1 / 8) * jnp.stack(rest[:2]))
    celerity = jnp.sqrt(gravity * depth)
    velocity = 0.5 * jax.random.normal(keys[1], (2,)) * celerity
    factor = (0.8 + 0.7 * speed) / jnp.max(jnp.abs(velocity) + celerity)
    states = jnp.stack([depth * factor**2, velocity * factor], axis=1)
    amplitudes = jnp.where(wavy < 0.75, 0.3 * jnp.stack(rest[2:]), 0.0)
    return PiecewiseStates(
        water(gravity),
        jnp.concatenate([states, states[1:]]),
        jnp.stack([0.3 + 0.4 * place, jnp.ones(())]),
        amplitudes=jnp.concatenate([amplitudes, amplitudes[1:]]),
        wavenumber=2 * math.pi * (1 + jnp.floor(6 * count)),
        phase=2 * math.pi * turn,
    )


ENTRY = LawEntry(
    ShallowWater,
    "depth and momentum of shallow water over a flat bed; constant: gravity",
    Problems(
        "water cases",
        WATER_CASES,
        family="water",
        random=random_water,
        held_out=HeldOut("random dam breaks with waves in the depth that no training sees"),
        named="dam breaks, to their own end times",
        play=Play(
            "ShallowWater", "shallow water in one dimension: a dam break", "dam_break", 100, 2.5e-3, 40, "ssp_rk3"
        ),
    ),
)
"""The law and what it brings along."""
