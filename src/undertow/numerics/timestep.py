r"""Time steps: fixed or from the CFL condition, and filling in what the user left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, require_positive, whole_number

REFERENCE_SPEED = 1.953125
"""The wave speed that the published set-up assumes when it derives cells from steps (so 128 cells, dt = 4e-4, C = 0.1)."""


class FixedStep(eqx.Module):
    r"""The same $\Delta t$ every step. `dt` is a leaf: it may be batched and differentiated."""

    dt: float | Float[Array, ""]

    def __call__(self, speed_over_dx: Float[Array, ""], time: Float[Array, ""]) -> Float[Array, ""]:
        """The step to take from `time`; the wave speed is not looked at."""
        return jnp.asarray(self.dt, dtype=jnp.result_type(time))

    needs_speed = False


class CFLStep(eqx.Module):
    r"""$\Delta t = \min\big(C / \max(s_\text{max}, s_0),\; T - t\big)$ with $s = \sum_d |\lambda_d| / \Delta x_d$.

    The last step is clipped to the end time $T$; steps asked for afterwards have length 0 and leave the state as it is.

    **Arguments:** `cfl` the Courant number $C$; `end_time` $T$; `min_speed` the floor of the wave speed (0.01, as
    published), which keeps a state at rest from asking for an endless step; it is divided by `dx`.
    """

    cfl: float | Float[Array, ""]
    end_time: float | Float[Array, ""]
    dx: float = eqx.field(static=True)
    min_speed: float = eqx.field(static=True, default=0.01)

    def __call__(self, speed_over_dx: Float[Array, ""], time: Float[Array, ""]) -> Float[Array, ""]:
        """The step to take from `time` when the fastest wave crosses `speed_over_dx` cells per unit time."""
        dt = self.cfl / jnp.maximum(speed_over_dx, self.min_speed / self.dx)
        return jnp.clip(self.end_time - time, 0.0, dt)

    needs_speed = True


@dataclass(frozen=True)
class Discretisation:
    """Cells, step and horizon that agree with each other."""

    num_cells: int
    dt: float
    steps: int
    end_time: float


def complete(
    *,
    num_cells: int | None = None,
    dt: float | None = None,
    steps: int | None = None,
    end_time: float | None = None,
    length: float = 1.0,
    cfl: float = 0.1,
    speed: float = REFERENCE_SPEED,
) -> Discretisation:
    r"""Fill in cells, step, number of steps and end time from each other.

    $$N = \big\lceil L / (\Delta t\, s / C) \big\rceil,
      \qquad \Delta t = C\,\Delta x / s, \qquad n = \lceil T / \Delta t \rceil, \qquad T = n\,\Delta t$$

    **Arguments:** any of `num_cells`, `dt`, `steps`, `end_time`; `length` of the domain; `cfl` $C$ and the reference
    wave speed `speed` $s$ that tie `dt` to the cell size when only one of them is given.

    **Raises:** `UndertowError` if a value is not positive, if too few are given, or if they contradict each other.
    """
    given: dict[str, Any] = {}
    for name, value in (("dt", dt), ("end_time", end_time), ("length", length), ("cfl", cfl), ("speed", speed)):
        given[name] = None if value is None else require_positive(name, value)
    for name, count in (("num_cells", num_cells), ("steps", steps)):
        given[name] = None if count is None else whole_number(name, count)
    dt, end_time, length, cfl, speed, num_cells, steps = given.values()
    if steps is not None and dt is None and end_time is not None:
        dt = end_time / steps
    if dt is None and num_cells is not None:
        dt = cfl * (length / num_cells) / speed
    if dt is None:
        raise UndertowError("give dt, num_cells, or steps together with end_time: the time step cannot be derived")
    if num_cells is None:
        # The rounding guard keeps 128 at 128 where 1 / (dt s / C) evaluates to 128.00000000000003.
        num_cells = whole_number("the number of cells", math.ceil(length / (dt * speed / cfl) * (1 - 1e-12)))
    if steps is None and end_time is None:
        raise UndertowError("give steps or end_time: the horizon cannot be derived")
    if steps is None:
        assert end_time is not None
        steps = whole_number("the number of steps, end_time / dt,", math.ceil(end_time / dt * (1 - 1e-12)))
    elif end_time is not None and abs(steps * dt - end_time) > 1e-9 * end_time:
        raise UndertowError(
            f"steps={steps}, dt={dt:g} and end_time={end_time:g} contradict each other: steps * dt = {steps * dt:g}; "
            "leave one of them out"
        )
    return Discretisation(num_cells, dt, steps, steps * dt)
