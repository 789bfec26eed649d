r"""How the gradient travels back: the only place that stops or damps it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import is_zero, lookup, require, whole_number
from undertow._types import Key
from undertow.core.environment import AbstractEnvironment
from undertow.core.policy import AbstractPolicy

S = TypeVar("S")
Gate = float | Float[Array, " *time"]


class GradientFlow(eqx.Module):
    r"""Gates on the two paths of a closed loop $x' = S(a(x), c)$, $c = N(b(x); \theta)$: identity on values, factors on what
    travels back.

    **Arguments:**

    - `physics` $p$: the factor on $\partial x'/\partial x$ with the action held (through $a$). 1 lets it through, 0 stops
        it, in between damps it. Default 1.
    - `policy` $q$: the factor on $\partial c/\partial x$ through the network's input (through $b$). Default 1.
    - `credit` $w$: the factor on what reaches the parameters $\theta$ from a step. Default None, which is 1.
    - `balance` $\beta$ in [0, 1]: with $g_t$ what the loss sends to the parameters through the actions of step $t$, and
        $\|\cdot\|$ the norm over all parameters, they get

      $$\sum_t w_t\, g_t\, \|g_t\|^{-\beta},$$

        so that 1 brings all steps to the same size. Default None, which is 0. Reverse mode only. See
        [`NormBalanced`][undertow.core.gradient.NormBalanced], which keeps the overall scale.

    Numbers for every step alike, or arrays with one entry per step; see `window`, `discount` and `mixed`.

    **Reference:** Schnell and Thuerey (2024), arXiv 2405.02041, section 3: `FULL` is their R (regular), `PHYSICS` their M
    (modified), `STOP` their S (one-step).
    """

    physics: Gate = 1.0
    policy: Gate = 1.0
    # None and not a number: a flow that does not use them has two leaves, and is batched by batching those.
    credit: Gate | None = None
    balance: Gate | None = None

    def per_step(self, length: int) -> GradientFlow:
        """The same flow with gates as arrays of shape `(length,)`, but for those that are None.

        **Raises:** `UndertowError` if a gate is an array of another length.
        """

        def spread(name: str) -> Any:
            gate = getattr(self, name)
            if gate is None:
                return None
            shape = jnp.shape(gate)
            require(
                shape in ((), (length,)),
                f"the {name} gate has shape {shape}; give a number or one per step ({length},)",
            )
            return jnp.broadcast_to(jnp.asarray(gate, float), (length,))

        return GradientFlow(*(spread(name) for name in ("physics", "policy", "credit", "balance")))

    @property
    def is_static(self) -> bool:
        """Whether all gates are plain numbers, known while tracing."""
        return all(isinstance(gate, (int, float)) for gate in self._given)

    @property
    def varies_in_time(self) -> bool:
        """Whether a gate is an array over time."""
        return any(jnp.ndim(gate) > 0 for gate in self._given)

    @property
    def _given(self) -> list[Gate]:
        return [gate for gate in (self.physics, self.policy, self.credit, self.balance) if gate is not None]


FULL = GradientFlow(1.0, 1.0)
PHYSICS = GradientFlow(1.0, 0.0)
POLICY = GradientFlow(0.0, 1.0)
STOP = GradientFlow(0.0, 0.0)

FLOWS = {"full": FULL, "physics": PHYSICS, "policy": POLICY, "stop": STOP}
"""The four named flows."""


def window(length: int, every: int, flow: GradientFlow = FULL) -> GradientFlow:
    r"""Truncated backpropagation: nothing travels back across the states $x_k, x_{2k}, \dots$ with $k$ = `every`.

    The unroll falls into windows of `every` steps, counted from the start (the last one may be shorter). A cost of the
    states in a window is felt by the actions of that window only; a cost of the final state by the last window only.

    **Arguments:** `length` of the unroll in steps; `every`, steps per window, at least 1; `flow` inside the windows (default
    `FULL`). **Raises:** `UndertowError` for a length or window below 1.

    **Reference:** Williams and Peng (1990), Neural Computation 2, 490, for h' = h.
    """
    length, every = whole_number("length", length), whole_number("every", every)
    step = jnp.arange(length)
    # At step 0 there is nothing to truncate: the initial state keeps its gradient.
    inside = jnp.where((step % every == 0) & (step > 0), 0.0, 1.0)
    return _scaled(flow, inside)


def discount(gamma: float, flow: GradientFlow = FULL) -> GradientFlow:
    r"""What travels back is multiplied by $\gamma$ in every step: an action $n$ steps before a cost feels
    $\gamma^{n-1}$ of it.

    **Arguments:** `gamma`, 1 changes nothing and 0 gives `STOP`; `flow` that is discounted (default `FULL`).
    """
    return _scaled(flow, gamma)


def mixed(flows: Sequence[GradientFlow | str]) -> GradientFlow:
    """Another flow in every step: entry $n$ is how the gradient travels through step $n$.

    **Arguments:** `flows`: one per step of the unroll, as flows or by name (`FLOWS`), e.g.
    `mixed(["physics"] * 10 + ["full"] * 20)`. **Raises:** `UndertowError` for an empty list, an unknown name, or a flow that
    varies in time itself.
    """
    require(len(flows) > 0, "a mixed flow needs one flow per step, got none")
    named = [lookup("gradient flow", flow, FLOWS) if isinstance(flow, str) else flow for flow in flows]
    require(not any(flow.varies_in_time for flow in named), "the parts of a mixed flow have one number per gate each")

    def column(name: str, neutral: float) -> Any:
        gates = [getattr(flow, name) for flow in named]
        if all(gate is None for gate in gates):
            return None
        return jnp.stack([jnp.asarray(neutral if gate is None else gate, float) for gate in gates])

    neutral = {"physics": 1.0, "policy": 1.0, "credit": 1.0, "balance": 0.0}
    return GradientFlow(*(column(name, value) for name, value in neutral.items()))


def _scaled(flow: GradientFlow, factor: Gate) -> GradientFlow:
    return GradientFlow(flow.physics * factor, flow.policy * factor, flow.credit, flow.balance)


@jax.custom_jvp
def _damp(x: Array, gate: Array) -> Array:
    return x


@_damp.defjvp
def _damp_jvp(primals, tangents):
    x, gate = primals
    # `where` instead of a bare product: a closed gate also stops an infinite or NaN cotangent.
    return x, jnp.where(gate == 0, 0, gate.astype(x.dtype) * tangents[0])


@jax.custom_jvp
def _attach(x: Array, origin: Array, gate: Array) -> Array:
    return x


@_attach.defjvp
def _attach_jvp(primals, tangents):
    x, _, gate = primals
    return x, tangents[0] + jnp.where(gate == 0, 0, gate.astype(x.dtype) * tangents[1])


def _is_float(leaf: Any) -> bool:
    return eqx.is_inexact_array(leaf)


def damp(tree: S, gate: Gate) -> S:
    """The same values; what travels back is multiplied by `gate`. Leaves that are not floating point pass unchanged."""
    if isinstance(gate, (int, float)):
        if gate == 1:
            return tree
        if gate == 0:
            return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if _is_float(x) else x, tree)
    gate = jnp.asarray(gate, float)
    return jax.tree.map(lambda x: _damp(x, gate) if _is_float(x) else x, tree)


def reattach(tree: S, origin: S, gate: Gate) -> S:
    """The same values as `tree`; additionally `gate` times what arrives goes back to `origin`."""
    if is_zero(gate):
        return tree
    gate = jnp.asarray(gate, float)
    return jax.tree.map(lambda x, y: _attach(x, y, gate) if _is_float(x) else x, tree, origin)


def magnitude(tree: Any) -> Float[Array, ""]:
    """The Euclidean norm over all floating-point leaves, by their largest entry, so that no square under- or overflows."""
    leaves = [jnp.abs(leaf) for leaf in jax.tree.leaves(tree) if _is_float(leaf) and leaf.size]
    if not leaves:
        return jnp.zeros(())
    largest = functools.reduce(jnp.maximum, [jnp.max(leaf).astype(float) for leaf in leaves])
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(sum(jnp.sum((leaf / unit.astype(leaf.dtype)) ** 2).astype(float) for leaf in leaves))


@jax.custom_vjp
def _balanced(tree: S, credit: Array, balance: Array) -> S:
    return tree


def _balanced_forward(tree, credit, balance):
    return tree, (credit, balance)


def _balanced_backward(gates, arrived):
    credit, balance = gates
    size = magnitude(arrived)
    # The unit vector first: a very small size to a negative power would overflow in single precision.
    unit = jnp.where(size == 0, 1, size)
    factor = credit * size ** (1 - balance)
    tree = jax.tree.map(lambda g: factor.astype(g.dtype) * (g / unit.astype(g.dtype)), arrived)
    # Values do not depend on the gates. Their cotangents are used as probes: how much arrived, and whether anything did.
    return tree, size.astype(credit.dtype), jnp.where(size == 0, 0, 1).astype(balance.dtype)


_balanced.defvjp(_balanced_forward, _balanced_backward)


def credited(policy: AbstractPolicy, flow: GradientFlow) -> AbstractPolicy:
    """The same policy; what travels back to its parameters passes `flow`'s credit and balance."""
    if flow.credit is None and flow.balance is None:
        return policy
    credit = 1.0 if flow.credit is None else flow.credit
    params, rest = eqx.partition(policy, _is_float)
    if flow.balance is None:
        return eqx.combine(damp(params, credit), rest)
    return eqx.combine(_balanced(params, jnp.asarray(credit, float), jnp.asarray(flow.balance, float)), rest)


def stage_key(key: Key | None, stage: int) -> Key | None:
    """The key with which a policy is asked at a stage of a step, from the step's."""
    return None if key is None else jax.random.fold_in(key, stage)


def closed_loop(
    env: AbstractEnvironment,
    policy: AbstractPolicy,
    flow: GradientFlow = FULL,
    *,
    key: Key | None = None,
    nudge: Any = None,
) -> Callable[[Any], tuple[Any, Any]]:
    r"""One step of the loop `state -> observation -> action -> state'` with `flow`'s gates in place.

    Values do not depend on `flow`. With gates $p$ (physics) and $q$ (policy), and an environment that acts once per step,
    the derivative that reverse mode sees is

    $$\frac{dx'}{dx} = p\,\frac{\partial S}{\partial x} + q\,\frac{\partial S}{\partial c}\frac{\partial N}{\partial x} .$$

    With Runge-Kutta stages the feedback law is asked about stage states; the part of them that the closed physics gate cut
    off is given back to the observation, so that `POLICY` keeps the policy's path.

    **Arguments:** `env`; `policy`; `flow` with scalar gates (default `FULL`); `key` for policies with exploration noise,
    folded with the stage; `nudge`: added to every action of the step, a pytree like the action. With zeros, the derivative
    with respect to it is what arrives at the action.

    **Returns:** `step(state) -> (state', action)`.
    """

    def step(state):
        anchor = damp(state, flow.physics)
        # Here and not around the loop: what all stages of one step send to the parameters is one contribution.
        actor = credited(policy, flow)
        stage = 0

        def feedback(s):
            nonlocal stage
            asked = stage_key(key, stage)
            stage += 1
            s = reattach(s, state, 1 - flow.physics)
            action = actor(env.observe(damp(s, flow.policy)), key=asked)
            return action if nudge is None else jax.tree.map(jnp.add, action, nudge)

        return env.step(anchor, feedback)

    return step
