"""What can be wrong with a simulation: at its door, in what it is compared with, and in what came out."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, require
from undertow._tree import take
from undertow.core.policy import AbstractPolicy
from undertow.envs.truth import exact_holds
from undertow.evaluation.simulation import exact_states
from undertow.laws.cases import Initial
from undertow.laws.conditions import AbstractCondition
from undertow.laws.exact import has_exact_solution
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import AbstractIntegrator
from undertow.policies.classical import classical
from undertow.policies.controller import CONTROLLERS
from undertow.schemes.faces import check_answer
from undertow.schemes.positivity import check_limited
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import check_physical

_EDGE_TIMES = 33  # at which the ends of the domain are looked at
_NEAR = 1e-4  # of the domain: how far from an end a wave is looked for
_CONSTANT = 1e-7  # a state that varies by less is constant


def as_policy(policy: Any, order: int) -> AbstractPolicy:
    """The policy that is meant: one of the library's, or the name of a classical one; None is WENO-JS.

    **Raises:** `UndertowError` for an unknown name, for anything that is no policy, and for another order than the scheme's.
    """
    if policy is None or isinstance(policy, str):
        return classical("weno-js" if policy is None else policy, order)
    require(
        isinstance(policy, AbstractPolicy),
        f"a policy is an AbstractPolicy or the name of a classical one, such as 'weno-js', got {policy!r}",
    )
    theirs = getattr(policy, "order", order)
    require(theirs == order, f"this policy is of order {theirs}, the scheme of order {order}; take --order {theirs}")
    return policy


def check_initial(condition: Any) -> None:
    """Raise `UndertowError` unless this is something to start from."""
    if callable(condition) and not isinstance(condition, eqx.Module):
        raise UndertowError(
            "a function does not say what happens beyond its ends: take CallableCondition(function, boundary='periodic')"
        )
    require(
        isinstance(condition, (AbstractCondition, AbstractField)),
        f"simulate starts from the name of a case ('undertow list' shows them), a condition or a field, got {condition!r}",
    )


def check_weights(policy: AbstractPolicy, scheme: SemiDiscrete, u0: Float[Array, "chan *cells"]) -> None:
    """Raise `UndertowError` unless the policy chooses for the faces of the scheme, as a controller of another system does
    not."""
    stencils = eqx.filter_eval_shape(lambda s, u: s.stencils(u), scheme, u0)
    try:
        made = eqx.filter_eval_shape(policy, stencils)
    except Exception:
        if not isinstance(policy, CONTROLLERS):  # somebody's own: the fault is theirs to see
            raise
        made = None
    check_answer(made, stencils, scheme.order, type(policy).__name__)


def check_start(
    law: AbstractConservationLaw, u0: Float[Array, "chan *cells"], positivity: bool, integrator: AbstractIntegrator
) -> None:
    """Raise `UndertowError` where an initial state is not physical: with positivity cells may hold nothing, without it they may
    not."""
    if positivity:
        require(
            len(law.positive(u0)) > 0, f"nothing of {type(law).__name__} has to stay positive; leave positivity out"
        )
        check_limited(integrator)
    dry = np.all(np.asarray(u0) == 0, axis=0)
    if not positivity and dry.any() and law.positive(u0):
        cell = tuple(int(i) for i in np.argwhere(dry)[0])
        name = law.positive_names[0]
        least = 1e-4 * float(jnp.max(law.positive(u0)[0]))
        raise UndertowError(
            f"the initial state has a {name} of 0 in cell {cell[0] if len(cell) == 1 else cell}: take positivity, which bears a "
            f"{name} of 0, or at least {least:.1g} there"
        )
    check_physical(law, u0, "the initial state", dry=positivity)


def compared_with(
    law: AbstractConservationLaw, initial: Initial, grid: UniformGrid, times: Float[np.ndarray, " saved"]
) -> tuple[Float[np.ndarray, "saved chan *cells"] | None, str | None]:
    """The exact solution at the cell centres at some times, and why there is none where one could be expected.

    A solution that this problem with its ends does not have to the last of the `times` is left out.
    """
    if not has_exact_solution(law, initial if isinstance(initial, AbstractField) else None):
        return None, None
    end_time = float(times[-1])
    if isinstance(initial, AbstractField):
        if not ends_hold(initial, end_time):
            return None, _no_errors(
                f"waves come to the ends of the domain before t = {end_time:g}, and the exact solution goes on beyond them"
            )
    elif not has_exact_solution(law, initial):
        return None, _no_errors(f"no exact solution is known beyond a {initial.boundary} boundary")
    else:
        batch = take(initial, None)
        if not bool(exact_holds(law, batch, end_time)[0]):
            return None, _no_errors(
                f"waves that left through an open end come back before t = {end_time:g} in the exact solution, not in this one"
            )
    try:
        exact = exact_states(law, initial, grid, times)
    except UndertowError as error:
        return None, _no_errors(str(error))
    good = np.isfinite(exact).reshape(len(times), -1).all(axis=1)
    if not good.all():
        last = f"t = {times[np.argmin(good)]:g}"
        return None, _no_errors(
            f"the exact solution is no number at {last}: it ends before, or a parameter is out of range"
        )
    return exact, None


def _no_errors(why: str) -> str:
    return f"no errors are given: {why}"


def ends_hold(field: AbstractField, end_time: float) -> bool:
    """Whether the exact solution of a field in one dimension is, until `end_time`, what its ends let happen.

    An open end copies the edge cell. That is right while the state there is constant, or all waves leave; a fan of which some
    waves run inward is cut off. A wall is right while nothing moves at it. True where that cannot be said: in the plane.
    """
    periodic = bool(np.asarray(field.periodic).max() > 0)
    if len(field.lower) > 1 or periodic:
        return True
    length = field.upper[0] - field.lower[0]
    near = _NEAR * length
    x = np.asarray([field.lower[0], field.lower[0] + near, field.upper[0] - near, field.upper[0]], float)
    times = np.linspace(0.0, 1.0, _EDGE_TIMES)[1:] * end_time
    states, velocity, sound = map(np.asarray, _at_times(field, x, times))  # "times chan 4", "times 4", "times 4"
    fastest = (np.abs(velocity) + sound).max()
    sizes = np.abs(states).max(axis=(0, 2))
    walls = np.broadcast_to(np.asarray(field.reflective).reshape(-1), (2,)) > 0
    for end, (edge, inner, outward) in enumerate(((0, 1, -1.0), (3, 2, 1.0))):
        if walls[end]:
            if np.any(np.abs(velocity[:, edge]) > _CONSTANT * fastest):
                return False
            continue
        varies = np.any(np.abs(states[:, :, edge] - states[:, :, inner]) > _CONSTANT * sizes, axis=1)
        inward = outward * velocity[:, edge] - sound[:, edge] < 0
        if np.any(varies & inward):
            return False
    return True


@eqx.filter_jit
def _at_times(field: AbstractField, x: Any, times: Any) -> tuple[Array, Array, Array]:
    states = jax.vmap(lambda t: field.exact(x, time=t))(times)
    signal = jax.vmap(lambda u: field.law.signal(u, 0))(states)
    return states, signal.middle, signal.spread


def what_is_wrong(law: AbstractConservationLaw, u: Float[np.ndarray, "chan *cells"], positivity: bool) -> str | None:
    """A sentence about a last state that is not physical; None where it is."""
    try:
        check_physical(law, jnp.asarray(u), "the last state", dry=True)
    except UndertowError as error:
        return f"{error}{'' if positivity else '; positivity would keep it above 0'}"
    return None
