"""Time steps: one, or as many as it takes to an end time. The only march there is: forward, batched, or differentiated."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from undertow._checks import LARGEST_COUNT
from undertow.numerics.integrator import AbstractIntegrator
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.faces import Agent, answer
from undertow.schemes.positivity import HALVINGS, is_physical
from undertow.schemes.scheme import AbstractScheme
from undertow.schemes.semidiscrete import SemiDiscrete

TimeStep = FixedStep | CFLStep
Step = Callable[[Float[Array, "chan *cells"], Float[Array, ""]], tuple[Float[Array, "chan *cells"], Float[Array, ""]]]
"""From values and time to those after one time step."""


def step_length(
    scheme: AbstractScheme,
    time_step: TimeStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
    integrator: AbstractIntegrator,
) -> Float[Array, ""]:
    """The time step that `integrator` takes from `u` at `time`."""
    if not time_step.needs_speed:
        return time_step(jnp.zeros((), u.dtype), time).astype(u.dtype)
    speed = scheme.domain.speed_over_dx(u, time)
    return time_step(speed, time, scheme.domain.decay_rate / integrator.real_axis).astype(u.dtype)


def advance(
    scheme: AbstractScheme,
    choose: Callable[..., Any] | None,
    integrator: AbstractIntegrator,
    time_step: TimeStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
    *,
    asks_time: bool = False,
) -> tuple[Float[Array, "chan *cells"], Float[Array, ""]]:
    """One time step; `choose(u, stencils)` is asked at every stage, with `asks_time` `choose(u, stencils, time)`. Returns the
    new values and time."""
    dt = step_length(scheme, time_step, u, time, integrator)

    def tendency(v: Array, t: Array) -> Array:
        asked = choose
        if choose is not None and asks_time:
            asked = lambda v, stencils: choose(v, stencils, t)
        return scheme.rate(v, t, asked, dt)

    return integrator.step(tendency, u, time, dt), time + dt


def stepper(
    scheme: AbstractScheme,
    agent: Agent | None,
    time_step: TimeStep,
    integrator: AbstractIntegrator,
    unit: Float[Array, " chan"] | None = None,
    *,
    reverse: bool = True,
) -> Step:
    """The time step of a march.

    With a positivity limiter a step of a `CFLStep` of which a stage or the result is not physical is taken again with a half of
    it, a quarter, ..., at most `HALVINGS` times: what a limiter promises needs a step that every stage bears.

    **Arguments:** `agent`: who chooses at the faces, which has to be a pure function, or None; `unit`: what it sees stencils in;
    `reverse`: whether reverse mode has to go through it (default True; it takes longer to compile with a limiter).
    """
    choose = None if agent is None else (lambda _, stencils: answer(agent, stencils, unit))
    if scheme.domain.limiter is None or not time_step.needs_speed:
        return lambda u, time: advance(scheme, choose, integrator, time_step, u, time)

    def attempt(u: Array, time: Array, dt: Array) -> tuple[Array, Bool[Array, ""]]:
        good = []

        def tendency(v: Array, t: Array) -> Array:
            good.append(is_physical(scheme.law, v))
            return scheme.rate(v, t, choose, dt)

        new = integrator.step(tendency, u, time, dt)
        return new, jnp.stack([*good, is_physical(scheme.law, new)]).all()

    def forward(u: Array, time: Array) -> tuple[Array, Array]:
        def shorter(carry):
            dt, _, _, tries = carry
            return (0.5 * dt, *attempt(u, time, 0.5 * dt), tries + 1)

        first = step_length(scheme, time_step, u, time, integrator)
        begin = (2 * first, u, jnp.zeros((), bool), jnp.zeros((), int))
        dt, new, _, _ = jax.lax.while_loop(lambda c: ~c[2] & (c[3] <= HALVINGS), shorter, begin)
        return new, time + dt

    def both_ways(u: Array, time: Array) -> tuple[Array, Array]:
        def shorter(_: Array) -> tuple[Array, Array]:
            halvings = jax.lax.while_loop(
                lambda k: (k < HALVINGS) & ~attempt(u, time, 0.5**k * jax.lax.stop_gradient(dt))[1],
                lambda k: k + 1,
                jnp.ones((), int),
            )
            least = 0.5**halvings * dt
            return attempt(u, time, least)[0], least

        dt = step_length(scheme, time_step, u, time, integrator)
        new, good = attempt(u, time, dt)
        new, taken = jax.lax.cond(good, lambda first: (first, dt), shorter, new)
        return new, time + taken

    return both_ways if reverse else forward


@eqx.filter_jit
def march(
    scheme: AbstractScheme,
    agent: Agent | None,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
    *,
    end_time: Float[Array, ""],
    time_step: TimeStep,
    integrator: AbstractIntegrator,
    unit: Float[Array, " chan"] | None = None,
    max_steps: int | None = None,
) -> tuple[Float[Array, "chan *cells"], Float[Array, ""], Int[Array, ""]]:
    """As many steps as it takes to reach `end_time`, for a rule that clips its last step to it.

    It ends before where something stops being finite, or, with a positivity limiter, physical.

    **Arguments:** as those of `stepper`; `u` at `time`; `max_steps`: a bound of the number of steps, with which reverse mode
    exists. Without one (default) the march ends at a hundred times as many steps as the first one lets expect, and a thousand.

    **Returns:** the last values, their time, and the number of steps.
    """
    step = stepper(scheme, agent, time_step, integrator, unit, reverse=max_steps is not None)
    near = end_time * (1 - 8 * jnp.finfo(u.dtype).eps)
    if max_steps is None:
        first = step_length(scheme, time_step, u, time, integrator)
        expected = jnp.ceil((end_time - time) / jnp.where(first > 0, first, 1.0))
        limit = jnp.minimum(1000 + 100 * expected, LARGEST_COUNT).astype(int)
    else:
        limit = jnp.asarray(max_steps)

    def goes_on(carry):
        u, time, count = carry
        return (time < near) & (count < limit) & scheme.domain.is_sound(u)

    def onward(carry):
        u, time, count = carry
        return *step(u, time), count + 1

    start = (u, time, jnp.zeros((), int))
    if max_steps is None:
        return jax.lax.while_loop(goes_on, onward, start)

    # Two scans, so that backwards no more than about two roots of so many states are kept. What is over is skipped.
    def bounded(body, length):
        skipping = partial(jax.checkpoint, prevent_cse=False)(
            lambda carry, _: (jax.lax.cond(goes_on(carry), body, lambda c: c, carry), None)
        )
        return lambda carry: jax.lax.scan(skipping, carry, length=length)[0]

    inner = max(1, math.isqrt(max_steps))
    return bounded(bounded(onward, inner), -(-max_steps // inner))(start)


@eqx.filter_jit
def relative_to(
    scheme: AbstractScheme, agent: Agent | None, u: Float[Array, "chan *cells"]
) -> tuple[AbstractScheme, Float[Array, " chan"] | None]:
    """The scheme for the problem that starts from `u`, and the unit of that state if the agent wants to see stencils in it:
    one program instead of dozens."""
    scheme = scheme.relative_to(u)
    if isinstance(scheme, SemiDiscrete) and getattr(agent, "relative", False):
        return scheme, scheme.unit(u)
    return scheme, None
