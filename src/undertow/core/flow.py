r"""How the gradient travels back: the only place that stops or damps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._types import Key
from undertow.core.environment import AbstractEnvironment
from undertow.core.policy import AbstractPolicy

S = TypeVar("S")
Gate = float | Float[Array, " *time"]


class GradientFlow(eqx.Module):
    r"""Gates on the two paths of a closed loop $x' = S(a(x), c)$, $c = N(b(x); \theta)$: identity on values, factors on what
    travels back.

    **Arguments:**

    - `physics`: the factor on $\partial x'/\partial x$ with the action held (through $a$). 1 lets it through, 0 stops it, in
        between damps it. Default 1.
    - `policy`: the factor on $\partial c/\partial x$ through the network's input (through $b$). Default 1.

    Numbers for every step alike, or arrays with one entry per step (truncation windows, discounts, mixed flows).

    **Reference:** Schnell and Thuerey (2024), arXiv 2405.02041, section 3: `FULL` is their R (regular), `PHYSICS` their M
    (modified), `STOP` their S (one-step).
    """

    physics: Gate = 1.0
    policy: Gate = 1.0

    def per_step(self, length: int) -> GradientFlow:
        """The same flow with both gates as arrays of shape `(length,)`.

        **Raises:** `UndertowError` if a gate is an array of another length.
        """
        for name, gate in (("physics", self.physics), ("policy", self.policy)):
            shape = jnp.shape(gate)
            require(
                shape in ((), (length,)),
                f"the {name} gate has shape {shape}; give a number or one per step ({length},)",
            )
        return GradientFlow(
            jnp.broadcast_to(jnp.asarray(self.physics, float), (length,)),
            jnp.broadcast_to(jnp.asarray(self.policy, float), (length,)),
        )

    @property
    def is_static(self) -> bool:
        """Whether both gates are plain numbers, known while tracing."""
        return isinstance(self.physics, (int, float)) and isinstance(self.policy, (int, float))

    @property
    def varies_in_time(self) -> bool:
        """Whether a gate is an array over time."""
        return jnp.ndim(self.physics) > 0 or jnp.ndim(self.policy) > 0


FULL = GradientFlow(1.0, 1.0)
PHYSICS = GradientFlow(1.0, 0.0)
POLICY = GradientFlow(0.0, 1.0)
STOP = GradientFlow(0.0, 0.0)

FLOWS = {"full": FULL, "physics": PHYSICS, "policy": POLICY, "stop": STOP}
"""The four named flows."""


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
    if isinstance(gate, (int, float)) and gate == 0:
        return tree
    gate = jnp.asarray(gate, float)
    return jax.tree.map(lambda x, y: _attach(x, y, gate) if _is_float(x) else x, tree, origin)


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
        stage = 0

        def feedback(s):
            nonlocal stage
            stage_key = None if key is None else jax.random.fold_in(key, stage)
            stage += 1
            s = reattach(s, state, 1 - flow.physics)
            action = policy(env.observe(damp(s, flow.policy)), key=stage_key)
            return action if nudge is None else jax.tree.map(jnp.add, action, nudge)

        return env.step(anchor, feedback)

    return step
