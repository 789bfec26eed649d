r"""Where a gradient through an unroll is large, where nothing arrives, and how flows agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import lookup, require
from undertow.core.adjoint import adjoints, stacked
from undertow.core.flow import FLOWS, FULL, GradientFlow, magnitude
from undertow.core.gradient import cosine
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task

Flows = GradientFlow | Mapping[str, GradientFlow]
Part = Literal["actions", "states", "parameters"]
PARTS: tuple[Part, ...] = ("actions", "states", "parameters")


class Balance(NamedTuple):
    r"""How evenly a gradient is spread over the steps of an unroll.

    - `decades`: $\log_{10}$ of the largest over the smallest norm above 0.
    - `growth`: the factor $e^s$ by which norms grow per step on the way *back*; $s$ is the least-squares slope of their
        logarithm. Above 1 the gradient explodes, below it vanishes.
    - `silent`: the share of the steps at which nothing arrives.

    NaN where a norm is not finite, or where fewer than two are above 0.
    """

    decades: float
    growth: float
    silent: float


@dataclass(frozen=True, eq=False)
class StepGradients:
    r"""Norms of what travels back, by flow and step: root mean squares over the batch of Euclidean norms.

    - `flows`: their names. `actions`: $|\mu_t|$, `"flows time"`. `states`: $|\lambda_t|$, `"flows time+1"`.
    - `parameters`: the norm of each step's contribution to the gradient of the batch mean, `"flows time"`, or None.
    """

    flows: tuple[str, ...]
    actions: Float[np.ndarray, "flows time"]
    states: Float[np.ndarray, "flows time+1"]
    parameters: Float[np.ndarray, "flows time"] | None = None

    def part(self, name: Part) -> Float[np.ndarray, "flows steps"]:
        """One of the arrays. Raises `UndertowError` for one that is not there."""
        there: dict[str, np.ndarray] = {p: getattr(self, p) for p in PARTS if getattr(self, p) is not None}
        return lookup("part of the gradient", name, there)

    def balance(self, part: Part = "actions") -> dict[str, Balance]:
        """The balance over the steps, by flow."""
        return {name: _balance(norms) for name, norms in zip(self.flows, self.part(part), strict=True)}

    def metrics(self) -> dict[str, float]:
        """Every balance as scalars, `flow/part/decades` and so on."""
        parts = [part for part in PARTS if getattr(self, part) is not None]
        return {
            f"{flow}/{part}/{name}": value
            for part in parts
            for flow, balance in self.balance(part).items()
            for name, value in balance._asdict().items()
        }


def step_gradients(
    task: Task, policy: AbstractPolicy, problems: Problem, flows: Flows = FULL, *, parameters: bool = False
) -> StepGradients:
    r"""The size of what arrives at every action and state of an unroll, $|dL/dc_t|$ and $|dL/dx_t|$.

    **Arguments:** `task`; `policy`; `problems`: a stacked batch; `flows`: one, or several by name, which share one forward
    pass (default `FULL`); `parameters`: also the norm of every step's contribution to the parameters' gradient, which
    takes `horizon` times the policy's memory for every flow (default False).

    **Returns:** [`StepGradients`][undertow.instruments.health.StepGradients]. See
    [`adjoints`][undertow.core.adjoint.adjoints] for the equations.

    **Raises:** `UndertowError` without a flow, or for a gate of another length than the task's horizon.
    """
    named = named_flows(flows)
    found = jax.tree.map(np.asarray, _norms(task, policy, problems, stacked(named, task.horizon), parameters))
    actions, states, own = found
    return StepGradients(tuple(named), _root_mean_square(actions), _root_mean_square(states), own)


@eqx.filter_jit
def _norms(task, policy, problems, gates, parameters: bool):
    def one(flow):
        found = adjoints(task, policy, problems, flow, parameters=parameters)
        own = norm(found.parameters, 1) if parameters else None
        return norm(found.actions, 2), norm(found.states, 2), own

    return jax.vmap(one)(gates)


def norm(tree: Any, leading: int) -> Float[Array, "*leading"]:
    """Euclidean norms over everything but the first `leading` axes. No square overflows or underflows."""
    function = magnitude
    for _ in range(leading):
        function = jax.vmap(function)
    return function(tree)


def _root_mean_square(norms: Float[np.ndarray, "flows batch steps"]) -> Float[np.ndarray, "flows steps"]:
    return np.asarray(norm(jnp.asarray(np.swapaxes(norms, 1, 2)), 2)) / np.sqrt(norms.shape[1])


def _balance(norms: Float[np.ndarray, " steps"]) -> Balance:
    arrives = norms > 0
    silent = float(np.mean(norms == 0))
    if not np.isfinite(norms).all() or arrives.sum() < 2:
        return Balance(float("nan"), float("nan"), silent)
    logs = np.log(norms[arrives].astype(float))
    logs -= logs[0]  # equal norms have exactly no slope
    back = -np.flatnonzero(arrives).astype(float)
    back -= back.mean()
    slope = float(back @ logs / (back @ back))
    return Balance(float(np.ptp(logs) / np.log(10)), float(np.exp(slope)), silent)


@dataclass(frozen=True, eq=False)
class FlowCosines:
    r"""How the gradients of several flows lie to each other.

    - `flows`: their names. `cosine`: of the angle between any two, `"flows flows"`, 0 beside a gradient that is 0.
    - `agreement`: the share of the parameters whose signs are equal (0 and 0 are), `"flows flows"`.
    - `norms`: their Euclidean lengths, `"flows"`.
    """

    flows: tuple[str, ...]
    cosine: Float[np.ndarray, "flows flows"]
    agreement: Float[np.ndarray, "flows flows"]
    norms: Float[np.ndarray, " flows"]

    def between(self, one: str, other: str) -> float:
        """The cosine between two flows. Raises `UndertowError` for a name that is not there."""
        places = {name: i for i, name in enumerate(self.flows)}
        return float(self.cosine[lookup("flow", one, places), lookup("flow", other, places)])

    def metrics(self) -> dict[str, float]:
        """Lengths and, for every pair, cosine and agreement: `flow/norm`, `one-other/cosine`, `one-other/agreement`."""
        found = {f"{name}/norm": float(value) for name, value in zip(self.flows, self.norms, strict=True)}
        for i, one in enumerate(self.flows):
            for j, other in enumerate(self.flows[:i]):
                found[f"{other}-{one}/cosine"] = float(self.cosine[i, j])
                found[f"{other}-{one}/agreement"] = float(self.agreement[i, j])
        return found


def flow_cosines(
    task: Task, policy: AbstractPolicy, problems: Problem, flows: Mapping[str, GradientFlow] = FLOWS
) -> FlowCosines:
    r"""The angles between the gradients of several flows at one policy, on one batch,

    $$\cos(a, b) = \frac{\langle g_a, g_b\rangle}{|g_a|\,|g_b|}, \qquad g_a = \nabla_\theta L \text{ under flow } a .$$

    **Arguments:** `task`; `policy`; `problems`: a stacked batch; `flows` by name, which share one forward pass (default:
    the four named ones).

    **Returns:** [`FlowCosines`][undertow.instruments.health.FlowCosines].

    **Raises:** `UndertowError` without a flow, for a gate of another length than the task's horizon, or a policy without
    parameters.
    """
    parameters = jax.tree.leaves(eqx.filter(policy, eqx.is_inexact_array))
    require(len(parameters) > 0, "the policy has no parameters, so that no gradient has an angle")
    found = _cosines(task, policy, problems, stacked(flows, task.horizon))
    return FlowCosines(tuple(flows), *(np.asarray(x) for x in found))


@eqx.filter_jit
def _cosines(task, policy, problems, gates):
    gradients = jax.vmap(lambda flow: eqx.filter_grad(lambda p: task.loss(p, flow, problems)[0])(policy))(gates)

    def agreement(a, b):
        pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
        return sum(jnp.sum(jnp.sign(x) == jnp.sign(y)) for x, y in pairs) / sum(x.size for x, _ in pairs)

    def table(function):
        return jax.vmap(lambda a: jax.vmap(lambda b: function(a, b))(gradients))(gradients)

    # The lengths are taken as they are; rounding must not move a cosine away from the diagonal's 1.
    angles = jnp.clip(table(cosine), -1, 1)
    return angles, table(agreement), norm(gradients, 1)


def named_flows(flows: Flows) -> dict[str, GradientFlow]:
    """Flows by name; a single one gets its own name, or `flow` where it has none."""
    if not isinstance(flows, GradientFlow):
        return dict(flows)
    known = (name for name, flow in FLOWS.items() if flow is flows)
    return {next(known, "flow"): flows}
