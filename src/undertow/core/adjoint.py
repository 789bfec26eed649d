r"""What travels back through an unroll, step by step: measured, not used for training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow.core.flow import FULL, GradientFlow, closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task, batch_size
from undertow.core.unroll import Trajectory, unroll


class Adjoints(eqx.Module):
    r"""What arrives on the way back, under one flow.

    - `states`: $\lambda_t = dL_b/dx_t$ of every sample's loss $L_b$ and state, `"batch time+1 ..."`, the initial state first;
        leaves of the state that are not floating point are None.
    - `actions`: $\mu_t = dL_b/dc_t$, what arrives at the actions of a step (with Runge-Kutta stages: at all of them
        together), `"batch time ..."`.
    - `parameters`: $\frac1B\sum_b(\partial c_t/\partial\theta)^T\mu_t$, what a step contributes to the gradient of the batch
        mean, `"time ..."` like the policy's floating-point leaves; None unless asked for. Its sum over the steps is the
        gradient.
    """

    states: Any
    actions: Any
    parameters: Any = None


def adjoints(
    task: Task, policy: AbstractPolicy, problems: Problem, flow: GradientFlow = FULL, *, parameters: bool = False
) -> Adjoints:
    r"""Derivatives of the loss with respect to every state, every action and, if asked for, every step's own parameters.

    Zeros are added to the states, actions and parameters of every step, and the loss is differentiated with respect to them:

    $$\lambda_T = \partial_{x_T}L, \qquad \mu_t = \left(\frac{\partial S}{\partial c_t}\right)^T\lambda_{t+1} + \partial_{c_t}L,
      \qquad \lambda_t = p_t\left(\frac{\partial S}{\partial x_t}\right)^T\lambda_{t+1}
        + q_t\left(\frac{\partial N}{\partial x_t}\right)^T\mu_t + \partial_{x_t}L .$$

    **Arguments:** `task`; `policy`; `problems`: a stacked batch; `flow` with the gates $p$, $q$ (default `FULL`);
    `parameters`: also the contributions to the parameters' gradient, which take `horizon` times the policy's memory.

    **Returns:** `Adjoints`. **Raises:** `UndertowError` for a gate of another length.
    """
    gates = flow.per_step(task.horizon)
    count = batch_size(problems)
    moving, fixed = eqx.partition(policy, eqx.is_inexact_array)
    # eqx.filter_vmap: problems may hold leaves that are no arrays, such as names and flags.
    one = eqx.filter_eval_shape(
        eqx.filter_vmap(lambda problem: task.run(policy, problem), in_axes=(eqx.if_array(0),)), problems
    )

    def zeros(tree: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), eqx.filter(tree, _is_inexact))

    def each(tree: Any) -> Any:
        return jax.tree.map(lambda x: jnp.zeros((task.horizon, *x.shape), x.dtype), tree)

    def total(added: Adjoints) -> Float[Array, ""]:
        def loss(problem, states, actions):
            def step(state, inputs):
                gate, nudge, shift, own = inputs
                here = policy if own is None else eqx.combine(jax.tree.map(jnp.add, moving, own), fixed)
                new, action = closed_loop(problem.environment, here, gate, nudge=nudge)(state)
                return _add(new, shift), action

            first, later = (jax.tree.map(lambda x, part=part: x[part], states) for part in (0, slice(1, None)))
            trajectory = unroll(
                step,
                _add(problem.state, first),
                task.horizon,
                inputs=(gates, actions, later, added.parameters),
                segment=task.segment,
                # Nudges of states and parameters are not among what the adjoint way back knows.
                rematerialise="step" if task.rematerialise == "adjoint" else task.rematerialise,
            )
            return task.objective(trajectory, problem)

        return jnp.sum(eqx.filter_vmap(loss, in_axes=(eqx.if_array(0), 0, 0))(problems, added.states, added.actions))

    found = jax.grad(total)(Adjoints(zeros(one.states), zeros(one.actions), each(moving) if parameters else None))
    return Adjoints(found.states, found.actions, jax.tree.map(lambda x: x / count, found.parameters))


def direct(task: Task, policy: AbstractPolicy, problems: Problem) -> Trajectory:
    r"""The objective's own derivatives $\partial_{x_t}L_b$ and $\partial_{c_t}L_b$, with the trajectory held: where what travels
    back comes from.

    **Returns:** a `Trajectory` of derivatives, `"batch time+1 ..."` and `"batch time ..."`.
    """

    def one(problem):
        trajectory = jax.lax.stop_gradient(eqx.filter(task.run(policy, problem), eqx.is_array))
        moving, fixed = eqx.partition(trajectory, eqx.is_inexact_array)
        return jax.grad(lambda t: task.objective(eqx.combine(t, fixed), problem))(moving)

    return eqx.filter_vmap(one, in_axes=(eqx.if_array(0),))(problems)


def stacked(flows: Mapping[str, GradientFlow], length: int) -> GradientFlow:
    """Several flows as one, gates `"flows time"`, to be mapped over: values do not depend on it.

    **Raises:** `UndertowError` without a flow, or for a gate of another length.
    """
    require(len(flows) > 0, "at least one gradient flow is needed, got none")
    spread = [flow.per_step(length) for flow in flows.values()]
    # A gate that only some of the flows have is neutral in the others.
    neutral = {"physics": 1.0, "policy": 1.0, "credit": 1.0, "balance": 0.0}
    gates = {}
    for name, value in neutral.items():
        column = [getattr(flow, name) for flow in spread]
        if any(gate is not None for gate in column):
            gates[name] = jnp.stack([jnp.full((length,), value) if gate is None else gate for gate in column])
    return GradientFlow(**gates)


def _is_inexact(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _add(tree: Any, change: Any) -> Any:
    """The sum, on the leaves that have a change."""
    return jax.tree.map(lambda d, x: x if d is None else x + d, change, tree, is_leaf=lambda x: x is None)
