"""Conditions of the unit interval on any other one."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, is_traced
from undertow.laws.conditions import (
    AbstractPlainCondition,
    GaussianCondition,
    PiecewisePolynomial,
    SineCondition,
    TanhCondition,
    WindowedSineCondition,
)


def map_to_domain(condition: AbstractPlainCondition, domain: tuple[float, float]) -> AbstractPlainCondition:
    r"""$u_0\big((x - x_{min}) / L\big)$ on a `domain` of length $L$, of a `condition` $u_0$ on (0, 1): positions, widths and
    wavelengths move and stretch with the domain, values stay. On (0, 1) the condition itself.

    **Raises:** `UndertowError` for a condition of another kind than the named ones, and for one with positions outside (0, 1).
    """
    if tuple(domain) == (0.0, 1.0):
        return condition
    start, length = float(domain[0]), float(domain[1]) - float(domain[0])

    def place(position: jax.Array) -> jax.Array:
        if not is_traced(position) and np.any((np.asarray(position) < 0) | (np.asarray(position) > 1)):
            raise UndertowError(
                f"on the domain {domain!r} positions count from 0 at its start to 1 at its end, got "
                f"{np.asarray(position).tolist()}"
            )
        return start + length * position

    changes: dict[str, Any]
    if isinstance(condition, SineCondition):
        frequency = condition.frequency / length
        changes = {"frequency": frequency, "phase": condition.phase - frequency * start}
    elif isinstance(condition, TanhCondition):
        changes = {"steepness": condition.steepness / length, "center": place(condition.center)}
    elif isinstance(condition, GaussianCondition):
        changes = {"rate": condition.rate / length**2, "center": place(condition.center)}
    elif isinstance(condition, WindowedSineCondition):
        changes = {"start": place(condition.start), "end": place(condition.end)}
    elif isinstance(condition, PiecewisePolynomial):
        degrees = condition.coefficients.shape[1]
        # c_d ((x - x_min) / L)^d, multiplied out.
        powers = np.zeros((degrees, degrees))
        for d in range(degrees):
            for e in range(d + 1):
                powers[d, e] = math.comb(d, e) * (-start) ** (d - e) / length**d
        coefficients = condition.coefficients @ jnp.asarray(powers, condition.coefficients.dtype)
        changes = {"positions": place(condition.positions), "coefficients": coefficients}
    else:
        raise UndertowError(f"{type(condition).__name__} is not one of the named conditions, which alone can be moved")
    return dataclasses.replace(condition, domain=(start, start + length), **changes)
