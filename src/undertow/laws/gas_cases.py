r"""Named problems of gas dynamics in one dimension, and a family of random ones.

Every case is one line of `GAS_CASES`: initial states, where they meet, domain, end time and source.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from undertow._checks import lookup
from undertow._types import Key
from undertow.laws.cases import PiecewiseCase
from undertow.laws.euler import Euler
from undertow.laws.fields import PiecewiseStates


def gas(gamma: float = 1.4) -> Euler:
    """An ideal gas in one dimension."""
    return Euler(gamma=jnp.asarray(gamma, float))


def _tube(left: Sequence[float], right: Sequence[float], at: float, low: float, high: float, end: float, source: str):
    return PiecewiseCase(gas, (tuple(left), tuple(right)), (at,), (low, high), end, source)


_TORO = "Toro (2009), Riemann Solvers, table 4.1"
_WAY = "arXiv 2203.08937, code"
_JIANG_SHU = "Jiang and Shu (1996)"

GAS_CASES: dict[str, PiecewiseCase] = {
    "sod": _tube((1, 0, 1), (0.125, 0, 0.1), 0, -0.5, 0.5, 0.2, "Sod (1978)"),
    "sod2": _tube((1, 0, 1), (0.01, 0, 0.01), 0, -0.5, 0.5, 0.1, _WAY),
    "lax": _tube((0.445, 0.698, 3.528), (0.5, 0, 0.571), 0, -5, 5, 1.3, "Lax (1954)"),
    "shock_tube": _tube((0.445, 0.689, 3.528), (0.5, 0, 0.571), 0, -0.5, 0.5, 0.1, _WAY),
    "double_rarefaction": _tube((1, -2, 0.4), (1, 2, 0.4), 0, -0.5, 0.5, 0.1, "Einfeldt et al. (1991)"),
    "sonic_rarefaction": _tube((3.857, 0.92, 10.333), (1, 3.55, 1), 0, -5, 5, 0.7, _WAY),
    "slow_shock": _tube((5.6698, -1.4701, 100), (1, -10.5, 1), 0, -0.5, 0.5, 0.1, "Quirk (1994)"),
    "slow_moving_shock": _tube((3.86, -0.81, 10.33), (1, -3.44, 1), 0, -0.5, 0.5, 0.1, "Quirk (1994)"),
    "toro1": _tube((1, 0.75, 1), (0.125, 0, 0.1), 0.3, 0, 1, 0.2, _TORO),
    "toro2": _tube((1, -2, 0.4), (1, 2, 0.4), 0.5, 0, 1, 0.15, _TORO),
    "toro3": _tube((1, 0, 1000), (1, 0, 0.01), 0.5, 0, 1, 0.012, _TORO),
    "toro4": _tube((5.99924, 19.5975, 460.894), (5.99242, -6.19633, 46.0950), 0.4, 0, 1, 0.035, _TORO),
    "toro5": _tube((1, -19.59745, 1000), (1, -19.59745, 0.01), 0.8, 0, 1, 0.012, _TORO),
    "leblanc": dataclasses.replace(
        _tube((1, 0, 0.2 / 3), (1e-3, 0, 0.2e-9 / 3), 3, 0, 9, 6, "Loubere and Shashkov (2005)"),
        law=partial(gas, 5 / 3),
    ),
    "shu_osher": PiecewiseCase(
        gas,
        ((3.857143, 2.629369, 31 / 3), (1, 0, 1)),
        (-4.0,),
        (-5.0, 5.0),
        1.8,
        "Shu and Osher (1989)",
        amplitudes=(0, 0.2),
        wavenumber=5.0,
        reference="fine",
    ),
    "blast": PiecewiseCase(
        gas,
        ((1, 0, 1000), (1, 0, 0.01), (1, 0, 100)),
        (0.1, 0.9),
        (0.0, 1.0),
        0.038,
        "Woodward and Colella (1984)",
        boundary="reflective",
        cells=400,
        reference="fine",
    ),
    "density_advection": PiecewiseCase(
        gas,
        ((1, 1, 1), (1, 1, 1)),
        (2.0,),
        (0.0, 1.0),
        1.0,
        _JIANG_SHU,
        boundary="periodic",
        amplitudes=(0.2, 0.2),
        cells=64,
    ),
}
"""Gas problems in one dimension, by name."""


def gas_case(name: str) -> PiecewiseCase:
    """The gas problem called `name`. Raises `UndertowError` for an unknown name, with the nearest match."""
    return lookup("case", name, GAS_CASES)


def random_gas(key: Key, *, gamma: float = 1.4) -> PiecewiseStates:
    r"""A random Riemann problem with a wave in the density, on (0, 1), meant for times up to 0.2.

    The fastest wave of the initial states crosses the domain once in 2/3 to 5/4 of a unit of time. Densities are
    log-uniform in (1/8, 1), pressures in (1/10, 1) for three problems of four and in (1/1000, 1) for the fourth, Mach
    numbers normal with standard deviation 1/2; the waves have relative amplitudes of up to 0.3 (none in one problem of
    four) and one to six periods in the domain. The diaphragm stands between 0.3 and 0.7.

    **Arguments:** `key`; `gamma`, default 1.4. Jittable; `vmap` over keys for a batch.
    """
    keys = iter(jax.random.split(key, 10))

    def uniform(low, high, shape=()):
        return jax.random.uniform(next(keys), shape, minval=low, maxval=high)

    density = jnp.exp(uniform(math.log(1 / 8), 0.0, (2,)))
    decades = jnp.where(uniform(0.0, 1.0) < 0.75, 1.0, 3.0)
    pressure = 10 ** (-decades * uniform(0.0, 1.0, (2,)))
    sound = jnp.sqrt(gamma * pressure / density)
    velocity = 0.5 * jax.random.normal(next(keys), (2,)) * sound
    fastest = jnp.max(jnp.abs(velocity) + sound)
    factor = uniform(0.8, 1.5) / fastest
    states = jnp.stack([density, velocity * factor, pressure * factor**2], axis=1)
    wavy = uniform(0.0, 1.0) < 0.75
    amplitudes = jnp.where(wavy, uniform(0.0, 0.3, (2,)), 0.0)
    periods = 1 + jnp.floor(uniform(0.0, 6.0))
    position = uniform(0.3, 0.7)
    last = jnp.ones(())
    return PiecewiseStates(
        gas(gamma),
        jnp.concatenate([states, states[1:]]),
        jnp.stack([position, last]),
        amplitudes=jnp.concatenate([amplitudes, amplitudes[1:]]),
        wavenumber=2 * math.pi * periods,
        phase=uniform(0.0, 2 * math.pi),
    )
