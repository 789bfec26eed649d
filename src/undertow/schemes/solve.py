"""The plain solver: a scheme and weights marched in time. No learning in here."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import NonFiniteError, UndertowError, Within, is_traced, require, whole_number
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator, as_integrator
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.positivity import HALVINGS, is_physical
from undertow.schemes.scheme import AbstractScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.stability import check_courant_number, check_diffusion_number, check_viscosity
from undertow.schemes.weights import AbstractWeights, at_faces


class Solution(eqx.Module):
    """States that a solver run kept: `times: "saved"` and `values: "saved chan *cells"`, the initial state first.

    The last of the `times` tells how far the run came.
    """

    times: Float[Array, " saved"]
    values: Float[Array, "saved chan *cells"]


def step_length(
    scheme: AbstractScheme,
    time_step: FixedStep | CFLStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
    integrator: AbstractIntegrator,
) -> Float[Array, ""]:
    """The time step that `integrator` takes from `u` at `time`."""
    if not time_step.needs_speed:
        return time_step(jnp.zeros((), u.dtype), time).astype(u.dtype)
    return time_step(
        scheme.domain.speed_over_dx(u, time), time, scheme.domain.decay_rate / integrator.real_axis
    ).astype(u.dtype)


def advance(
    scheme: AbstractScheme,
    choose: Callable[..., Any] | None,
    integrator: AbstractIntegrator,
    time_step: FixedStep | CFLStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
    *,
    asks_time: bool = False,
) -> tuple[Float[Array, "chan *cells"], Float[Array, ""]]:
    """One time step; `choose(u, stencils)` gives the weights at every stage. Returns the new values and time.

    With `asks_time` it is `choose(u, stencils, time)`, the time of the stage. A `RiemannScheme` has None for it.
    """
    dt = step_length(scheme, time_step, u, time, integrator)

    def tendency(v: Array, t: Array) -> Array:
        asked = choose
        if choose is not None and asks_time:
            asked = lambda v, stencils: choose(v, stencils, t)
        return scheme.rate(v, t, asked, dt)

    new = integrator.step(tendency, u, time, dt)
    return new, time + dt


def advance_physical(
    scheme: AbstractScheme,
    choose: Callable[..., Any] | None,
    integrator: AbstractIntegrator,
    time_step: FixedStep | CFLStep,
    u: Float[Array, "chan *cells"],
    time: Float[Array, ""],
) -> tuple[Float[Array, "chan *cells"], Float[Array, ""]]:
    """As `advance`, but where a stage or the result is not physical, with a half of the step, a quarter of it, ..., at most
    `HALVINGS` times: what a positivity limiter promises needs a step that every stage bears. `choose` must be a pure function."""

    def attempt(dt: Array) -> tuple[Array, Array]:
        good = []

        def tendency(v: Array, t: Array) -> Array:
            good.append(is_physical(scheme.law, v))
            return scheme.rate(v, t, choose, dt)

        new = integrator.step(tendency, u, time, dt)
        return new, jnp.stack([*good, is_physical(scheme.law, new)]).all()

    def shorter(_: Array) -> tuple[Array, Array]:
        halvings = jax.lax.while_loop(
            lambda k: (k < HALVINGS) & ~attempt(0.5**k * jax.lax.stop_gradient(dt))[1],
            lambda k: k + 1,
            jnp.ones((), int),
        )
        least = 0.5**halvings * dt
        return attempt(least)[0], least

    dt = step_length(scheme, time_step, u, time, integrator)
    new, good = attempt(dt)
    new, taken = jax.lax.cond(good, lambda first: (first, dt), shorter, new)
    return new, time + taken


def solve(
    scheme: AbstractScheme,
    weights: AbstractWeights | None,
    u0: Float[Array, "chan *cells"],
    *,
    steps: int,
    time_step: FixedStep | CFLStep,
    integrator: AbstractIntegrator | str | None = None,
    save_every: int | None = None,
) -> Solution:
    r"""March `u0` through `steps` time steps. Jittable, differentiable, vmappable over scheme and state.

    Constants that have a unit and that nobody has named are taken relative to `u0`: the floors of a law
    (`Euler(density_floor=...)` names one) and the $\epsilon$ of the weights (`WenoJS(epsilon=...)` names it). So the same
    problem in other units has the same solution.

    **Arguments:** `scheme`; `weights` (any map from a stencil to substencil weights, see `undertow.schemes.weights`; None for a
    [`RiemannScheme`][undertow.schemes.riemann.RiemannScheme], which has its own); `u0` the point values at $t=0$, shape
    `(components, *cells)`; `steps`; `time_step`; `integrator`, or its name (default SSP-RK3); `save_every`: keep every so many
    steps (default: only the first and the last state).

    With a positivity limiter and a `CFLStep` a step that some stage does not bear is taken again with half of it.

    **Returns:** `Solution`. **Raises:** `UndertowError` for a state of the wrong shape or type, an order that does not fit, or
    counts that are not whole. Outside of `jax.jit`, `jax.vmap` and `jax.grad`, where values can be looked at, also for an
    initial state with a density, pressure or depth below 0, for a limited run that ends with one, and for a `CFLStep` whose
    `end_time` so many steps do not reach; inside of them compare `times[-1]` with it. A `CFLStep` with `end_time=math.inf`
    marches a number of steps.
    """
    scheme.domain.check_state(u0)
    # The solver sees no rooms above it, so that a policy is known by its name.
    require(
        not any(kind.__name__ == "AbstractPolicy" for kind in type(weights).__mro__),
        "weights map one stencil to its weights, and a policy maps all of a state's: march a policy with simulate, or with "
        "rollout(Conservation(scheme, time_step), policy, ...)",
    )
    require(
        weights is None or hasattr(weights, "order"), "weights have to say the formal order that they are of: order"
    )
    theirs = scheme.order if weights is None else weights.order
    require(theirs == scheme.order, f"weights of order {theirs} in a scheme of order {scheme.order}")
    steps = whole_number("steps", steps, Within(at_least=0))
    every = max(steps, 1) if save_every is None else whole_number("save_every", save_every)
    integrator = SSPRK3() if integrator is None else as_integrator(integrator)
    if not is_traced(u0):
        check_physical(scheme.law, u0, "the initial state", dry=True)

    scheme = scheme.relative_to(u0)
    unit = scheme.unit(u0) if isinstance(scheme, SemiDiscrete) and getattr(weights, "relative", False) else None
    choose = None if weights is None else (lambda u, stencils: at_faces(weights, stencils, unit))

    limiter = scheme.domain.limiter
    one = advance_physical if limiter is not None and time_step.needs_speed else advance
    out = saved(lambda u, time: one(scheme, choose, integrator, time_step, u, time), u0, steps, every)
    if not is_traced(out.values) and bool(jnp.all(jnp.isfinite(out.values[-1]))):
        if limiter is not None:
            check_physical(scheme.law, out.values[-1], f"the state after step {steps}", dry=True)
        if isinstance(time_step, CFLStep) and not is_traced(time_step.end_time):
            _check_reached(float(out.times[-1]), float(time_step.end_time), steps, float(jnp.finfo(u0.dtype).eps))
    return out


def _check_reached(time: float, end_time: float, steps: int, eps: float) -> None:
    if steps == 0 or not math.isfinite(end_time) or time >= end_time * (1 - 64 * eps):
        return
    guess = f"about {math.ceil(1.1 * steps * end_time / time)} steps" if time > 0 else "more steps"
    raise UndertowError(
        f"{steps} steps reach t = {time:.4g}, short of end_time = {end_time:g}: take {guess}, or end_time=math.inf to march "
        "a number of steps"
    )


def saved(step: Callable[[Array, Array], tuple[Array, Array]], u0: Array, steps: int, every: int) -> Solution:
    """The states after every `every` of `steps` steps, and after the last one; `step(u, time)` gives new values and time."""

    # Gradients work a step's insides out again instead of storing them: less memory, and faster too.
    @partial(jax.checkpoint, prevent_cse=False)
    def one(carry, _):
        return step(*carry), None

    def chunk(length):
        def run(carry, _):
            carry, _ = jax.lax.scan(one, carry, length=length)
            return carry, carry

        return run

    start = (u0, jnp.zeros((), u0.dtype))
    carry, (values, times) = jax.lax.scan(chunk(every), start, length=steps // every)
    values = jnp.concatenate([u0[None], values])
    times = jnp.concatenate([jnp.zeros((1,), u0.dtype), times])
    if steps % every:
        u, time = chunk(steps % every)(carry, None)[0]
        values, times = jnp.concatenate([values, u[None]]), jnp.concatenate([times, time[None]])
    return Solution(times, values)


def check_step(
    scheme: AbstractScheme,
    u0: Float[Array, "chan *cells"],
    dt: float,
    integrator: AbstractIntegrator,
    *,
    steps: int | None = None,
) -> float:
    r"""The Courant number $\Delta t \max_i \sum_a |\lambda_a|/\Delta x_a$ of a fixed step at the initial state, where it can
    work.

    **Arguments:** `scheme`; `u0` the initial state; `dt` the step, s; `integrator`; `steps` of the run (default: many), see
    [`check_courant_number`][undertow.schemes.stability.check_courant_number].

    **Raises:** `UndertowError` with the step that would do where waves or diffusion ask for a shorter one, and for a viscosity
    below 0; `NonFiniteError` naming the first bad cell if `u0` is not finite.
    """
    check_finite(u0)
    courant = float(scheme.domain.speed_over_dx(u0)) * dt
    check_courant_number(courant, dt, integrator=integrator, order=scheme.order, steps=steps)
    viscosity = check_viscosity(scheme.law.viscosity)
    check_diffusion_number(viscosity, dt, scheme.grid.spacing, integrator, courant=courant, order=scheme.order)
    return courant


def check_finite(u: Array, *, step: int | None = None) -> None:
    """Raise `NonFiniteError` naming the first cell of a state (or the first sample and cell of a batch) that is not finite.

    **Arguments:** `u` of shape `(components, *cells)`.
    """
    bad = np.argwhere(~np.isfinite(np.asarray(u)))
    if len(bad):
        component, *cell = (int(i) for i in bad[0])
        value = float(np.asarray(u)[tuple(bad[0])])
        where = cell[0] if len(cell) == 1 else tuple(cell)
        what = "the initial state" if step is None else f"the state after step {step}"
        raise NonFiniteError(
            f"{what} is {value} in cell {where} (component {component}); {len(bad)} values are not finite",
            step=step or 0,
            cell=where,
        )


def check_physical(law: AbstractConservationLaw, u: Array, what: str, *, dry: bool = False) -> None:
    """Raise `UndertowError` naming the first cell where a quantity that has to be positive is not.

    **Arguments:** `law`; `u`: one sample; `what`: the state, for people; `dry`: let a cell pass that holds nothing at all, all
    of whose components are 0 (default False).
    """
    with jax.ensure_compile_time_eval():  # within a program, too, of a state that is not part of it
        parts = law.positive(u)
    if any(map(is_traced, parts)):
        return
    empty = np.all(np.asarray(u) == 0, axis=0) if dry else np.zeros(u.shape[1:], bool)
    for name, values in zip(law.positive_names, parts, strict=True):
        bad = np.argwhere(~(np.asarray(values) > 0) & ~empty)
        if len(bad):
            cell = tuple(int(i) for i in bad[0])
            raise UndertowError(
                f"{what} has {_article(name)} {name} that is not above 0 in cell {cell[0] if len(cell) == 1 else cell} "
                f"({len(bad)} of {empty.size} cells)"
            )


def _article(name: str) -> str:
    return "an" if name[0] in "aeio" else "a"
