r"""A backward pass that leaves the parameters to the end: the adjoint method for loops that ask once per step."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import require
from undertow.core.environment import AbstractControlled, AbstractEnvironment, check_kept
from undertow.core.flow import GradientFlow, closed_loop, stage_key
from undertow.core.policy import AbstractPolicy


def deferred(
    env: AbstractEnvironment,
    policy: AbstractPolicy,
    state: Any,
    flow: GradientFlow,
    keys: Any,
    nudges: Any,
    length: int,
    *,
    batched: bool = False,
) -> tuple[Any, Any]:
    r"""The states reached and the actions of a closed loop, `"time ..."`, whose reverse derivative is taken in two parts.

    With $\mu_t$ what arrives at action $c_t$ and gates $p_t$, $q_t$, first what travels back through the unroll,

    $$\lambda_t = \partial_{x_t}L + p_t\left(\frac{\partial S}{\partial x}\right)^T\lambda_{t+1}
        + q_t\left(\frac{\partial N}{\partial x}\right)^T\mu_t, \qquad
      \mu_t = \partial_{c_t}L + \left(\frac{\partial S}{\partial c}\right)^T\lambda_{t+1},$$

    and only then the parameters, $\nabla_\theta L = \sum_t (\partial N/\partial\theta)^T\mu_t$, for many steps at once: large
    matrix products instead of small ones and a sum of all parameters in every step. States are stored, the insides of a step are
    computed again. Reverse mode only, and once; not with respect to gates.

    **Arguments:** as in [`rollout`][undertow.core.unroll.rollout], with one key per step or None; `batched`: whether the array
    leaves of `env` and the state have a leading axis of samples, and keys, nudges and the result one behind time. The
    products of all samples are then one, which a `vmap` from outside cannot bring about.

    **Raises:** `UndertowError` for an environment that may ask more than once per step, or a flow with credit or balance.
    """
    require(
        isinstance(env, AbstractControlled),
        f"rematerialise='adjoint' is for environments that ask once per step (AbstractControlled), and {type(env).__name__} "
        "may ask several times; take 'step'",
    )
    require(
        flow.credit is None and flow.balance is None,
        "rematerialise='adjoint' adds up the steps' contributions at the end, so flows with credit or balance need 'step'",
    )
    numbers = flow.is_static
    gates = None if numbers else flow.per_step(length)

    def advance(env, policy, x, nudge, gate, key):
        def one(env, x, nudge, key):
            return closed_loop(env, policy, flow if gate is None else gate, key=key, nudge=nudge)(x)

        if not batched:
            return one(env, x, nudge, key)
        return eqx.filter_vmap(one, in_axes=(eqx.if_array(0), 0, eqx.if_array(0), eqx.if_array(0)))(env, x, nudge, key)

    @eqx.filter_custom_vjp
    def run(moving, rest):
        (policy, env, state, nudges), (gates, keys) = moving, rest

        def body(x, inputs):
            new, action = advance(env, policy, x, *inputs)
            return new, (new, action)

        inputs = (nudges, gates, keys)
        try:
            return jax.lax.scan(body, state, inputs, length=length)[1]
        except TypeError:  # of a state that a step changes
            check_kept(body, state, jax.tree.map(lambda x: x[0], inputs))
            raise

    @run.def_fwd
    def forward(perturbed, moving, rest):
        del perturbed
        out = run(moving, rest)
        return out, out

    @run.def_bwd
    def backward(residuals, arrived, perturbed, moving, rest):
        del perturbed
        (policy, env, state, nudges), (gates, keys) = moving, rest
        reached, actions = residuals
        before = jax.tree.map(
            lambda first, later: jnp.concatenate([jnp.asarray(first)[None], later[:-1]]), state, reached
        )
        at_states, at_actions = arrived
        if nudges is None:
            nudges = jax.tree.map(jnp.zeros_like, actions)
        differentiable, fixed = eqx.partition(env, eqx.is_inexact_array)

        def body(carry, inputs):
            costate, slope = carry
            x, nudge, gate, key, from_state, from_action = inputs
            variable, constant = eqx.partition(x, eqx.is_inexact_array)

            def step(constants, variable, nudge):
                here = advance(eqx.combine(constants, fixed), policy, eqx.combine(variable, constant), nudge, gate, key)
                return eqx.filter(here, eqx.is_inexact_array)

            _, back = jax.vjp(step, differentiable, variable, nudge)
            slopes, costate, arriving = back((_add(costate, from_state), from_action))
            return (costate, jax.tree.map(jnp.add, slope, slopes)), arriving

        zero = jax.tree.map(jnp.zeros_like, (eqx.filter(state, eqx.is_inexact_array), differentiable))
        arrivals = (before, nudges, gates, keys, _filled(at_states, reached), _filled(at_actions, actions))
        (costate, slopes), arriving = jax.lax.scan(body, zero, arrivals, length=length, reverse=True)

        params, static = eqx.partition(policy, eqx.is_inexact_array)

        def contribution(total, part):
            before, keys, arriving = part

            def act(params):
                actor = eqx.combine(params, static)

                def one(env, x, key):
                    return actor(env.observe(x), key=stage_key(key, 0))

                if batched:
                    one = eqx.filter_vmap(one, in_axes=(eqx.if_array(0), 0, eqx.if_array(0)))
                return eqx.filter_vmap(one, in_axes=(None, 0, eqx.if_array(0)))(env, before, keys)

            return jax.tree.map(jnp.add, total, jax.vjp(act, params)[1](arriving)[0]), None

        # In portions that stay in the cache.
        portion = _portion(length)
        parts = jax.tree.map(lambda x: x.reshape(length // portion, portion, *x.shape[1:]), (before, keys, arriving))
        gradient, _ = jax.lax.scan(contribution, jax.tree.map(jnp.zeros_like, params), parts)
        return gradient, slopes, costate, None if moving[3] is None else arriving

    return run((policy, env, state, nudges), (gates, keys))


def _add(tree: Any, change: Any) -> Any:
    return jax.tree.map(jnp.add, tree, change)


def _filled(cotangents: Any, like: Any) -> Any:
    """Zeros where nothing arrived; None at leaves that are not floating point."""

    def fill(x: Any, g: Any) -> Any:
        return None if x is None else jnp.zeros_like(x) if g is None else g

    return jax.tree.map(fill, eqx.filter(like, eqx.is_inexact_array), cotangents, is_leaf=lambda x: x is None)


def _portion(length: int) -> int:
    """The largest divisor up to 16; of a length that has only small ones, the length itself."""
    best = max(n for n in range(1, min(length, 16) + 1) if length % n == 0)
    return best if best >= 4 else length
