r"""Jacobians of the steps of a closed loop, and of their products to the end of the unroll."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._tree import take
from undertow.core.adjoint import stacked
from undertow.core.flow import FULL, PHYSICS, POLICY, closed_loop, magnitude
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task
from undertow.instruments.health import Flows, named_flows

PATHS = {"physics": PHYSICS, "policy": POLICY, "full": FULL}
r"""The two paths from a state to the next one, $\partial S/\partial x$ and $(\partial S/\partial c)(\partial N/\partial x)$,
and their sum."""


@dataclass(frozen=True, eq=False)
class JacobianNorms:
    r"""Spectral norms along trajectories.

    - `flows`: their names.
    - `steps`: $|J_t|_2$ with $J_t = dx_{t+1}/dx_t$ as the flow sees it, `"flows batch time"`.
    - `products`: $\log_{10}|J_{T-1}\cdots J_t|_2$, how a change of $x_t$ has grown by the end, `"flows batch time"`; minus
        infinity where nothing gets there. As logarithms, because the products leave the range of numbers.
    """

    flows: tuple[str, ...]
    steps: Float[np.ndarray, "flows batch time"]
    products: Float[np.ndarray, "flows batch time"]

    def growth(self) -> dict[str, float]:
        r"""The mean factor per step, $|J_{T-1}\cdots J_0|_2^{1/T}$, median over the batch, by flow.

        Above 1, gradients explode over long unrolls; below 1, they vanish. Beside the steps' own norms it tells whether
        large steps act in one direction or cancel.
        """
        whole = np.median(self.products[:, :, 0].astype(float), axis=1) / self.products.shape[2]
        return dict(zip(self.flows, (float(g) for g in 10.0**whole), strict=True))

    def metrics(self) -> dict[str, float]:
        """`flow/growth`, `flow/step` (median norm of one step) and `flow/largest` (over all steps and samples)."""
        found = {f"{name}/growth": value for name, value in self.growth().items()}
        for name, norms in zip(self.flows, self.steps, strict=True):
            found[f"{name}/step"] = float(np.median(norms))
            found[f"{name}/largest"] = float(np.max(norms))
        return found


def jacobian_norms(
    task: Task,
    policy: AbstractPolicy,
    problems: Problem,
    flows: Flows = PATHS,
    *,
    dense: int = 64,
    iterations: int = 20,
) -> JacobianNorms:
    r"""Spectral norms of what multiplies a gradient on its way back through one step, and through all steps to the end.

    With the gates $p$ and $q$ of a flow,

    $$J_t = p_t\,\frac{\partial S}{\partial x} + q_t\,\frac{\partial S}{\partial c}\,\frac{\partial N}{\partial x} .$$

    States of up to `dense` numbers: from the full Jacobian. Larger ones: by power iteration on $J^TJ$, which never forms
    the matrix; its result is a lower bound, some percent below where the largest singular values lie close together.

    **Arguments:** `task`, for its horizon; `policy`; `problems`: a stacked batch; `flows`: one, or several by name (default:
    both paths and their sum); `dense`: 64; `iterations`: 20.

    **Returns:** [`JacobianNorms`][undertow.instruments.jacobians.JacobianNorms].

    **Raises:** `UndertowError` without a flow, for a gate of another length than the task's horizon, or counts out of range.
    """
    require(dense >= 0, f"dense must be at least 0, got {dense}")
    require(iterations >= 1, f"iterations must be at least 1, got {iterations}")
    named = named_flows(flows)
    steps, logs = _along(task, policy, problems, stacked(named, task.horizon), dense, iterations)
    return JacobianNorms(tuple(named), np.asarray(steps), np.asarray(logs) / np.log(10.0))


@eqx.filter_jit
def _along(task, policy, problems, gates, dense: int, iterations: int):
    arrays, static = eqx.partition(problems, eqx.is_array)

    def sample(arrays):
        problem = eqx.combine(arrays, static)
        moving, fixed = eqx.partition(task.run(policy, problem).before, eqx.is_inexact_array)
        first, unravel = ravel_pytree(take(moving, 0))
        flat = jax.vmap(lambda state: ravel_pytree(state)[0])(moving)

        def advance(x, kept, gate):
            """One step as a map from vector to vector, under a flow."""
            new, _ = closed_loop(problem.environment, policy, gate)(eqx.combine(unravel(x), kept))
            return ravel_pytree(eqx.filter(new, eqx.is_inexact_array))[0]

        method = _dense if first.size <= dense else _powers
        # One flow after the other: the Jacobians of a long unroll under several of them need not lie in memory together.
        return jax.lax.map(lambda gate: method(advance, flat, fixed, gate, iterations), gates)

    steps, logs = jax.lax.map(sample, arrays)
    return jnp.swapaxes(steps, 0, 1), jnp.swapaxes(logs, 0, 1)


def _dense(advance: Any, flat: Float[Array, "time n"], fixed: Any, gates: Any, iterations: int):
    jacobians = jax.vmap(jax.jacfwd(advance))(flat, fixed, gates)

    def back(carry, jacobian):
        product, log = carry
        product, change = _unit(product @ jacobian)
        return (product, log + change), log + change + jnp.log(jnp.linalg.norm(product, 2))

    start = (jnp.eye(flat.shape[1], dtype=flat.dtype), jnp.zeros((), flat.dtype))
    _, logs = jax.lax.scan(back, start, jacobians, reverse=True)
    return jax.vmap(lambda j: jnp.linalg.norm(j, 2))(jacobians), logs


def _powers(advance: Any, flat: Float[Array, "time n"], fixed: Any, gates: Any, iterations: int):
    """As `_dense`. For the products, the vectors of all starting times travel together; those not yet started wait."""
    length = flat.shape[0]
    times = jnp.arange(length)
    # Any vector that is not orthogonal to the one sought will do.
    start = jax.random.normal(jax.random.key(0), flat.shape, flat.dtype)

    def forward(here, v):
        x, kept, gate = here
        return jax.jvp(lambda x: advance(x, kept, gate), (x,), (v,))[1]

    def backward(here, w):
        x, kept, gate = here
        return jax.vjp(lambda x: advance(x, kept, gate), x)[1](w)[0]

    def one_step(here, v):
        v = jax.lax.fori_loop(0, iterations, lambda _, v: _unit(backward(here, forward(here, _unit(v)[0])))[0], v)
        return magnitude(forward(here, _unit(v)[0]))

    def sweep(multiply, vectors, reverse):
        def step(carry, at):
            vectors, logs = carry
            time, here = at
            started = times <= time
            moved, change = jax.vmap(_unit)(jax.vmap(lambda v: multiply(here, v))(vectors))
            vectors = jnp.where(started[:, None], moved, vectors)
            return (vectors, logs + jnp.where(started, change, 0)), None

        begin = (jax.vmap(lambda v: _unit(v)[0])(vectors), jnp.zeros(length, flat.dtype))
        return jax.lax.scan(step, begin, (times, (flat, fixed, gates)), reverse=reverse)[0]

    def power(_, vectors):
        return sweep(backward, sweep(forward, vectors, False)[0], True)[0]

    vectors = jax.lax.fori_loop(0, iterations, power, start)
    steps = jax.vmap(one_step)((flat, fixed, gates), start)
    return steps, sweep(forward, vectors, False)[1]


def _unit(x: Array) -> tuple[Array, Array]:
    """An array divided by its length, and the logarithm of the length. Zero stays zero."""
    size = magnitude(x).astype(x.dtype)
    return x / jnp.where(size == 0, 1, size), jnp.log(size)
