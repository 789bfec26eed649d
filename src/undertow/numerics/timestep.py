r"""Time steps: fixed or from the CFL condition, and filling in what the user left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import (
    UndertowError,
    Within,
    constant,
    is_zero,
    real_number,
    require,
    require_positive,
    whole_number,
)

REFERENCE_SPEED = 1.953125
"""The wave speed that the published set-up assumes when it derives cells from steps (so 128 cells, dt = 4e-4, C = 0.1)."""

DIFFUSION_SHARE = 0.8
"""The part of the longest step that diffusion alone bears, which `CFLStep` takes: modes as short as two cells then die out."""


class FixedStep(eqx.Module):
    r"""The same $\Delta t$ every step. `dt` is a leaf: it may be batched and differentiated.

    **Arguments:** `dt` $\ge 0$, s; `end_time`: the last step is clipped to it, and those after it have length 0 (default None:
    all steps are whole).

    **Raises:** `UndertowError` for a step that is known and negative or not finite.
    """

    dt: float | Float[Array, ""] = eqx.field(converter=partial(constant, "dt", within=Within(at_least=0), batched=True))
    end_time: float | Float[Array, ""] | None = None

    def __call__(
        self,
        speed_over_dx: Float[Array, ""],
        time: Float[Array, ""],
        decay: float | Float[Array, ""] = 0.0,
    ) -> Float[Array, ""]:
        """The step to take from `time`; neither the wave speed nor the diffusion is looked at."""
        dt = jnp.asarray(self.dt, dtype=jnp.result_type(time))
        return dt if self.end_time is None else jnp.clip(self.end_time - time, 0.0, dt)

    needs_speed = False


class CFLStep(eqx.Module):
    r"""$\Delta t = \min\big((s/C + d/0.8)^{-1},\; T - t\big)$ with $s = \max \sum_a |\lambda_a| / \Delta x_a$ and
    $d = 4 \nu \sum_a \Delta x_a^{-2} / b$.

    Without viscosity this is the Courant number over the wave speed, $C/s$. With it $1/d$ is the longest step that diffusion
    alone bears: $b$ is how far the method's region of stability reaches along the negative real axis (2 for forward Euler, 2.51
    for SSP-RK3, 2.79 for RK4). The two rates add up, since both act in one step: if waves alone bear $\tau_1$ and diffusion
    alone $\tau_2$, a step of $(1/\tau_1 + 1/\tau_2)^{-1}$ is a mean of both and bears them together.

    The last step is clipped to the end time $T$; steps asked for afterwards have length 0 and leave the state as it is. A state
    at rest takes one step to $T$, however far; where there is no end ($T = \infty$), steps of length 0.

    **Arguments:** `cfl` the Courant number $C > 0$; `end_time` $T$ (default infinity); `dx` the cell size, m, which `min_speed`
    alone needs (default None); `min_speed` a floor of the wave speed, m/s, which bounds a step by $C \Delta x / s_0$ (default
    None: no floor; the published programs have 0.01).

    **Raises:** `UndertowError` for a Courant number that is known and not above 0, a negative `min_speed`, or one
    without `dx`.

    **Reference:** Hundsdorfer and Verwer (2003), Numerical Solution of Time-Dependent Advection-Diffusion-Reaction Equations,
    section I.3.4 for the bounds of explicit methods.
    """

    cfl: float | Float[Array, ""] = eqx.field(converter=partial(constant, "cfl", within=Within(above=0), batched=True))
    end_time: float | Float[Array, ""] = math.inf
    dx: float | None = eqx.field(static=True, default=None)
    min_speed: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.min_speed is not None:
            real_number("min_speed", self.min_speed, Within(at_least=0))
            require(self.dx is not None, f"min_speed={self.min_speed:g} needs the cell size: give dx, too")

    def __call__(
        self,
        speed_over_dx: Float[Array, ""],
        time: Float[Array, ""],
        decay: float | Float[Array, ""] = 0.0,
    ) -> Float[Array, ""]:
        """The step to take from `time` when the fastest wave crosses `speed_over_dx` cells per unit time, and the reciprocal of
        the longest step that diffusion bears is `decay`."""
        if self.min_speed is not None:
            assert self.dx is not None
            speed_over_dx = jnp.maximum(speed_over_dx, self.min_speed / self.dx)
        rate, share = speed_over_dx, self.cfl
        if not is_zero(decay):
            rate, share = speed_over_dx / self.cfl + decay / DIFFUSION_SHARE, 1.0
        # Two guards, as the derivative of the branch not taken must be finite, too.
        moves = ~(rate <= 0)  # a rate that is not a number makes a step that is none
        left = jnp.maximum(self.end_time - time, 0.0)
        rest = jnp.where(jnp.isfinite(left), left, 0.0)
        return jnp.where(moves, jnp.minimum(share / jnp.where(moves, rate, 1.0), left), rest)

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
