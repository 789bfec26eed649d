"""The plain solver: a scheme and weights marched in time. No learning in here."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from undertow._checks import (
    NonFiniteError,
    UndertowError,
    Within,
    constant,
    is_traced,
    require,
    shown,
    whole_number,
)
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator, as_integrator
from undertow.numerics.timestep import CFLStep
from undertow.schemes.faces import Agent, answer, check_answer
from undertow.schemes.march import Step, TimeStep, march, relative_to, stepper
from undertow.schemes.scheme import AbstractScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.stability import check_courant_number, check_diffusion_number, check_viscosity, usual_cfl
from undertow.schemes.weights import AbstractWeights


class Solution(eqx.Module):
    """States that a solver run kept: `times: "saved"`, `values: "saved chan *cells"`, and `steps: "saved"`, the number of time
    steps until then; the initial state first.

    The last of the `times` tells how far the run came.
    """

    times: Float[Array, " saved"]
    values: Float[Array, "saved chan *cells"]
    steps: Int[Array, " saved"]


def solve(
    scheme: AbstractScheme,
    agent: Agent | None,
    u0: Float[Array, "chan *cells"],
    *,
    end_time: float | Float[Array, ""] | None = None,
    steps: int | None = None,
    time_step: TimeStep | None = None,
    integrator: AbstractIntegrator | str | None = None,
    saves: int = 1,
    save_every: int | None = None,
    max_steps: int | None = None,
) -> Solution:
    r"""March `u0` to an end time, or through so many time steps. Jittable, differentiable, vmappable over all of its arguments
    with arrays in them.

    Constants that have a unit and that nobody has named are taken relative to `u0`: the floors of a law
    (`Euler(density_floor=...)` names one) and the $\epsilon$ of the weights (`WenoJS(epsilon=...)` names it). So the same
    problem in other units has the same solution.

    **Arguments:**

    - `scheme`: any [`AbstractScheme`][undertow.schemes.scheme.AbstractScheme].
    - `agent`: who chooses at the faces: weights (`undertow.schemes.weights`), or a policy, which is any function of the
        stencils of all faces that returns their weights or [`FaceValues`][undertow.schemes.faces.FaceValues]; None for a
        [`RiemannScheme`][undertow.schemes.riemann.RiemannScheme], which has weights of its own.
    - `u0`: the point values at $t=0$, shape `(components, *cells)`.
    - `end_time`, or the number of `steps`.
    - `time_step`: a [`CFLStep`][undertow.numerics.timestep.CFLStep] or [`FixedStep`][undertow.numerics.timestep.FixedStep]. With
        `end_time` the last step before a kept state is clipped to its time, and the default is a `CFLStep` of Courant number
        0.5, with a positivity limiter 0.4, with forward Euler 0.1.
    - `integrator`, or its name (default SSP-RK3).
    - `saves`: keep so many states at equal distances in time, beside the first one (default 1); `save_every`, with `steps`:
        keep every so many of them (default: only the last one).
    - `max_steps`, with `end_time`: take at most so many steps between two kept states. Reverse mode (`jax.grad`) needs it: it
        bounds what is kept on the way. Without it the loop has no bound known beforehand: faster, and under `jax.vmap` it
        ends with the slowest sample.

    With a positivity limiter and a `CFLStep` a step that some stage does not bear is taken again with half of it.

    **Returns:** `Solution`. **Raises:** `UndertowError` for a state of the wrong shape or type, an agent that does not fit, or
    counts that are not whole. Outside of `jax.jit`, `jax.vmap` and `jax.grad`, where values can be looked at, also for an
    initial state with a density, pressure or depth below 0, for a limited run that ends with one, and for an end that is not
    reached; `NonFiniteError` if the values at `end_time` are not finite. Inside of them compare `times[-1]` with the end. A
    `CFLStep` without an end marches a number of steps.
    """
    scheme.domain.check_state(u0)
    _check_agent(agent, scheme, u0)
    require((end_time is None) != (steps is None), "solve marches to an end_time or through steps: give one of the two")
    integrator = SSPRK3() if integrator is None else as_integrator(integrator)
    if not is_traced(u0):
        check_physical(scheme.law, u0, "the initial state", dry=True)
    limited = scheme.domain.limiter is not None
    if end_time is not None:
        require(save_every is None, "save_every goes with steps; with end_time take saves, a number of states")
        saves = whole_number("saves", saves)
        max_steps = None if max_steps is None else whole_number("max_steps", max_steps)
        rule = CFLStep(usual_cfl(integrator, positivity=limited)) if time_step is None else time_step
        own = rule.end_time
        require(
            own is None or (not is_traced(own) and math.isinf(float(own))),
            "give the end to solve alone: with end_time the time step has none of its own",
        )
        end_time = jnp.asarray(constant("end_time", end_time, Within(above=0)), u0.dtype)
        out = _to_end(scheme, agent, u0, end_time, rule, integrator, saves, max_steps)
        if not is_traced(out.values):
            check_finite(out.values[-1], step=int(out.steps[-1]))
    else:
        require(saves == 1 and max_steps is None, "saves and max_steps go with end_time; with steps take save_every")
        if time_step is None:
            raise UndertowError("so many steps of which length? Give time_step, a FixedStep or a CFLStep")
        steps = whole_number("steps", steps, Within(at_least=0))
        every = max(steps, 1) if save_every is None else whole_number("save_every", save_every)
        scheme, unit = relative_to(scheme, agent, u0)
        out = saved(stepper(scheme, agent, time_step, integrator, unit), u0, steps, every)
        end_time = time_step.end_time if isinstance(time_step, CFLStep) else None
    if not is_traced(out.values) and bool(jnp.all(jnp.isfinite(out.values[-1]))):
        taken = int(out.steps[-1])
        if limited:
            check_physical(scheme.law, out.values[-1], f"the state after step {taken}", dry=True)
        if end_time is not None and not is_traced(end_time):
            _check_reached(float(out.times[-1]), float(end_time), taken, float(jnp.finfo(u0.dtype).eps), steps is None)
    return out


@eqx.filter_jit
def _to_end(
    scheme: AbstractScheme,
    agent: Agent | None,
    u0: Array,
    end_time: Array,
    time_step: TimeStep,
    integrator: AbstractIntegrator,
    saves: int,
    max_steps: int | None,
) -> Solution:
    scheme, unit = relative_to(scheme, agent, u0)

    def one(carry, end):
        u, time, before = carry
        rule = dataclasses.replace(time_step, end_time=end)
        u, time, count = march(
            scheme, agent, u, time, end_time=end, time_step=rule, integrator=integrator, unit=unit, max_steps=max_steps
        )
        return (carry := (u, time, before + count)), carry

    start = (u0, jnp.zeros((), u0.dtype), jnp.zeros((), int))
    kept = jax.lax.scan(one, start, end_time * (jnp.arange(1, saves + 1) / saves))[1]
    values, times, steps = (jnp.concatenate([first[None], later]) for first, later in zip(start, kept, strict=True))
    return Solution(times, values, steps)


def _check_agent(agent: Any, scheme: AbstractScheme, u0: Array) -> None:
    if agent is None or not isinstance(scheme, SemiDiscrete):
        return
    theirs = getattr(agent, "order", scheme.order)
    require(theirs == scheme.order, f"weights of order {theirs} in a scheme of order {scheme.order}")
    if isinstance(agent, AbstractWeights):
        return
    require(callable(agent), f"weights or a policy choose at the faces, WenoJS() for example, got {shown(agent)}")
    stencils = eqx.filter_eval_shape(scheme.stencils, u0)
    check_answer(eqx.filter_eval_shape(answer, agent, stencils), stencils, scheme.order, type(agent).__name__)


def _check_reached(time: float, end_time: float, steps: int, eps: float, bounded: bool) -> None:
    if steps == 0 or not math.isfinite(end_time) or time >= end_time * (1 - 64 * eps):
        return
    if bounded:
        raise UndertowError(
            f"after {steps} steps t = {time:.4g}, short of end_time = {end_time:g}: take a larger max_steps, or without one a "
            "scheme whose time steps do not shrink to nothing"
        )
    guess = f"about {math.ceil(1.1 * steps * end_time / time)} steps" if time > 0 else "more steps"
    raise UndertowError(
        f"{steps} steps reach t = {time:.4g}, short of end_time = {end_time:g}: take {guess}, or end_time=math.inf to march "
        "a number of steps"
    )


def saved(step: Step, u0: Array, steps: int, every: int) -> Solution:
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
    return Solution(times, values, jnp.minimum(every * jnp.arange(len(times)), steps))


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
        parts = _positive(law, u)
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


@eqx.filter_jit
def _positive(law: AbstractConservationLaw, u: Array) -> tuple[Array, ...]:
    return law.positive(u)


def _article(name: str) -> str:
    return "an" if name[0] in "aeio" else "a"
