r"""Linear systems with quadratic cost: control problems whose answers are known on paper, to test trainers with."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from undertow._checks import UndertowError, require
from undertow._types import Key
from undertow.core.environment import AbstractControlled
from undertow.core.objective import AbstractObjective
from undertow.core.policy import AbstractPolicy


class LinearQuadratic(AbstractControlled[Array, Array, Array]):
    r"""A linear system in discrete time, $x_{t+1} = A x_t + B c_t$, fully observed.

    **Arguments** (leaves: differentiable, may differ in a batch): `a` $A$, `(n, n)`; `b` $B$, `(n, m)`. A scalar system has
    $n = m = 1$.

    **Raises:** `UndertowError` when a state or an action does not fit the matrices.
    """

    a: Float[Array, "n n"]
    b: Float[Array, "n m"]

    def observe(self, state: Float[Array, " n"]) -> Float[Array, " n"]:
        """The state."""
        return state

    def advance(self, state: Float[Array, " n"], action: Float[Array, " m"]) -> Float[Array, " n"]:
        """One step."""
        n, m = jnp.shape(self.b)
        require(
            jnp.shape(self.a) == (n, n) and jnp.shape(state) == (n,) and jnp.shape(action) == (m,),
            f"A {jnp.shape(self.a)} and B {(n, m)} do not fit a state {jnp.shape(state)} and an action {jnp.shape(action)}",
        )
        return self.a @ state + self.b @ action


class QuadraticCost(AbstractObjective):
    r"""The cost of a linear-quadratic regulator, a sum over time,

    $$L = \sum_{t=1}^{T} x_t^\top Q\,x_t + \sum_{t=0}^{T-1} c_t^\top R\,c_t + x_T^\top F\,x_T .$$

    The initial state, which no action changes, is left out.

    **Arguments:** `q` $Q$, `(n, n)`; `r` $R$, `(m, m)`; `final` $F$, `(n, n)`, on top of $Q$ (default None: nothing).
    """

    q: Float[Array, "n n"]
    r: Float[Array, "m m"]
    final: Float[Array, "n n"] | None = None

    def __call__(self, trajectory, problem):
        """The cost of one trajectory."""
        states, actions = trajectory.after, trajectory.actions
        cost = jnp.einsum("ti,ij,tj->", states, self.q, states) + jnp.einsum("ti,ij,tj->", actions, self.r, actions)
        return cost if self.final is None else cost + trajectory.final @ self.final @ trajectory.final


class LinearFeedback(AbstractPolicy[Array, Array]):
    r"""The policy $c = K x$, the same at all times. **Arguments:** `gain` $K$, `(m, n)`."""

    gain: Float[Array, "m n"]

    def __call__(self, observation: Float[Array, " n"], *, key: Key | None = None) -> Float[Array, " m"]:
        """The action."""
        return self.gain @ observation


class RiccatiSolution(eqx.Module):
    r"""The best linear policy over an infinite horizon. `gain` $K$, `(m, n)`; `cost` $P$, `(n, n)`: from $x_0$ on, the cost
    with $x_0$'s own is $x_0^\top P x_0$."""

    gain: np.ndarray
    cost: np.ndarray


def riccati(a: ArrayLike, b: ArrayLike, q: ArrayLike, r: ArrayLike) -> RiccatiSolution:
    r"""The infinite-horizon regulator: $K = -(R + B^\top P B)^{-1} B^\top P A$ with

    $$P = Q + A^\top P A - A^\top P B\,(R + B^\top P B)^{-1} B^\top P A .$$

    By doubling: every iteration doubles the horizon, to convergence in double precision.

    **Arguments:** matrices as in [`LinearQuadratic`][undertow.envs.probes.LinearQuadratic] and
    [`QuadraticCost`][undertow.envs.probes.QuadraticCost], with $R$ positive definite.

    **Raises:** `UndertowError` where it does not converge: no policy stabilises the system, or a part of it that does not
    decay goes unseen by $Q$.

    **Reference:** Anderson (1978), Int. J. Control 28, 295, for the doubling.
    """
    a, b, q, r = (np.asarray(x, float) for x in (a, b, q, r))
    one = np.eye(len(a))
    forward, reach, cost = a, b @ np.linalg.solve(r, b.T), q
    with np.errstate(all="ignore"):  # without a solution, the cost of ever longer horizons overflows
        for _ in range(64):
            # Horizons of 2^k steps: the transition, what actions can reach, and the cost, of the doubled horizon.
            inner = np.linalg.inv(one + reach @ cost)
            added = forward.T @ cost @ inner @ forward
            reach = reach + forward @ inner @ reach @ forward.T
            forward = forward @ inner @ forward
            cost = cost + (added + added.T) / 2
            if not np.all(np.isfinite(cost)):
                break
            if np.max(np.abs(added)) <= 1e-15 * np.max(np.abs(cost)):
                return RiccatiSolution(-np.linalg.solve(r + b.T @ cost @ b, b.T @ cost @ a), cost)
    raise UndertowError("the Riccati equation did not converge; check that the system can be stabilised and Q sees it")


def random_linear_quadratic(key: Key, states: int = 3, actions: int = 1) -> LinearQuadratic:
    """A random system: entries normal with variance 1/n, so that it is near the border of stability."""
    require(states >= 1 and actions >= 1, f"states and actions must be at least 1, got {states} and {actions}")
    for_a, for_b = jax.random.split(key)
    scale = states**-0.5
    return LinearQuadratic(
        scale * jax.random.normal(for_a, (states, states)), scale * jax.random.normal(for_b, (states, actions))
    )
