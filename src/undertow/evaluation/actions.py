r"""What policies do: the weights they choose, beside each other, on the same states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import lookup, require
from undertow._tree import take
from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite
from undertow.envs.conservation import Conservation, FieldState
from undertow.envs.march import saved_values
from undertow.envs.placing import boundaries_of
from undertow.evaluation.evaluate import check_orders
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import burgers_condition
from undertow.numerics.grid import UniformGrid
from undertow.numerics.timestep import FixedStep
from undertow.schemes.faces import only_weights
from undertow.schemes.semidiscrete import SemiDiscrete

SNAPSHOTS = ("smooth_sine", "shock", "rarefaction", "accelshock", "tophat")
"""The conditions whose initial states `snapshots` shows weights on: a wave, a jump down, one up, a kink, a top hat."""


@dataclass(frozen=True, eq=False)
class Profile:
    r"""The weights that policies choose on the same states.

    - `title`: which states; `times`: `"saved"`.
    - `x`, `states`: cell centres and values, `"cells"` and `"saved chan cells"`; `components`: their names.
    - `faces`: positions of the faces, `"faces"`.
    - `weights`: by policy, `"saved 2 fields faces r"`: for the right-going flux, then for the left-going one, whose
        substencils count from its own upwind side.
    - `fields`: the names of what is weighed: components, or the characteristic fields of a system.
    """

    title: str
    times: Float[np.ndarray, " saved"]
    x: Float[np.ndarray, " cells"]
    states: Float[np.ndarray, "saved chan cells"]
    faces: Float[np.ndarray, " faces"]
    weights: Mapping[str, Float[np.ndarray, "saved 2 fields faces r"]]
    components: tuple[str, ...] = ("u",)
    fields: tuple[str, ...] = ("u",)


def profile(
    policies: Mapping[str, AbstractPolicy],
    suite: Suite,
    case: str | int,
    *,
    along: str | None = None,
    every: int | None = None,
) -> Profile:
    """The weights of all policies on the states that one of them goes through.

    **Arguments:** `policies` by name; `suite` and `case`, by name or place; `along`: the policy whose states are taken
    (default: the first one); `every`: look after every so many steps (default: at the start and at the end only).

    **Returns:** `Profile`. **Raises:** `UndertowError` for unknown names or a policy of another order.
    """
    return profiles(policies, suite, [case], along=along, every=every)[0]


def profiles(
    policies: Mapping[str, AbstractPolicy],
    suite: Suite,
    cases: Iterable[str | int],
    *,
    along: str | None = None,
    every: int | None = None,
) -> list[Profile]:
    """The same for several cases, which are marched together."""
    require(len(policies) > 0, "a profile needs at least one policy, got none")
    check_orders(policies, suite.discretised.order)
    along = next(iter(policies)) if along is None else along
    leader = lookup("policy", along, policies)
    steps = suite.discretised.steps
    every = steps if every is None else every
    require(1 <= every <= steps, f"every must lie between 1 and the {steps} steps, got {every}")
    places = suite.find(cases)
    states = saved_values(leader, take(suite.problems, np.asarray(places)), steps // every * every, every)
    times = np.arange(states.shape[1]) * every * (suite.discretised.end_time / steps)
    found = []
    for place, own in zip(places, states, strict=True):
        environment = take(suite.problems, place).environment
        found.append(_profile(f"{suite.cases[place]}, states of {along}", policies, environment, own, times))
    return found


def snapshots(policies: Mapping[str, AbstractPolicy], *, cells: int = 64, order: int = 5) -> list[Profile]:
    """The weights of policies on the initial states of `SNAPSHOTS`: quick enough to watch a training by."""
    check_orders(policies, order)
    found = []
    for name in SNAPSHOTS:
        condition = burgers_condition(name)
        grid = UniformGrid(cells, *condition.domain)
        boundary = boundaries_of(condition, (order + 1) // 2 + 1)
        environment = Conservation(SemiDiscrete(Burgers(), grid, boundary, order=order), FixedStep(jnp.asarray(0.0)))
        u0 = condition(jnp.asarray(grid.centers()))[None]
        found.append(_profile(name, policies, environment, u0[None], np.zeros(1)))
    return found


def _profile(
    title: str, policies: Mapping[str, AbstractPolicy], environment: Conservation, states: Array, times: np.ndarray
) -> Profile:
    scheme = environment.scheme
    grid, names = scheme.grid, scheme.law.component_names
    require(grid.num_axes == 1, f"a profile of weights is of one dimension, got {grid.num_axes}")
    x = grid.centers()
    weights = {name: np.asarray(_weights(policy, environment, states)) for name, policy in policies.items()}
    faces = np.append(x - grid.dx / 2, x[-1] + grid.dx / 2)
    fields = names if scheme.reconstruction == "component" else scheme.law.field_names
    return Profile(title, times, x, np.asarray(states), faces, weights, names, fields)


@eqx.filter_jit
def _weights(policy: AbstractPolicy, environment: Conservation, states: Array) -> Array:
    def one(u):
        return only_weights(policy(environment.observe(FieldState(u, jnp.zeros((), u.dtype)))), "a profile")[0]

    return jax.vmap(one)(states)
