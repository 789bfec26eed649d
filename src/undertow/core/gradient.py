r"""Gradient estimators: what the optimiser is handed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._types import Metrics
from undertow.core.flow import FULL, PHYSICS, GradientFlow
from undertow.core.policy import AbstractPolicy

Loss = Callable[[AbstractPolicy, GradientFlow], tuple[Float[Array, ""], Metrics]]
Estimate = tuple[Float[Array, ""], AbstractPolicy, Metrics]


class AbstractGradient(eqx.Module):
    """A strategy for turning a loss into a direction for the optimiser."""

    def __call__(self, loss: Loss, policy: AbstractPolicy) -> Estimate:
        """`(value, gradient with the policy's structure, metrics)`; the value never depends on the strategy."""
        raise NotImplementedError


class Backprop(AbstractGradient):
    """Backpropagation through time with one gradient flow."""

    flow: GradientFlow = FULL

    def __call__(self, loss: Loss, policy: AbstractPolicy) -> Estimate:
        """Value, gradient under `flow`, metrics."""
        (value, metrics), gradient = eqx.filter_value_and_grad(lambda p: loss(p, self.flow), has_aux=True)(policy)
        return value, gradient, metrics


class SignAgreement(AbstractGradient):
    r"""The gradient under `base` where its sign agrees with the one under `reference`, else zero,

    $$g_i = \begin{cases} g^\text{base}_i & \operatorname{sign} g^\text{base}_i = \operatorname{sign} g^\text{ref}_i \\
      0 & \text{otherwise,} \end{cases}$$

    per scalar parameter, on the batch mean, before any clipping. Not the gradient of any function: do not use it with a line
    search. A NaN in either field makes the result NaN there (sign comparison alone would hide it).

    Both fields share one forward pass: the two flows are a `vmap` over the gates, on which values do not depend.

    **Arguments:** `base` (default `PHYSICS`), `reference` (default `FULL`).

    **Returns** metrics `cosine` (between the two gradients) and `zeroed` (fraction of parameters zeroed).

    **Reference:** Schnell and Thuerey (2024), arXiv 2405.02041, section 3 (combined updates).
    """

    base: GradientFlow = PHYSICS
    reference: GradientFlow = FULL

    def __call__(self, loss: Loss, policy: AbstractPolicy) -> Estimate:
        """Value, combined gradient, metrics."""
        value, first, second, metrics = two_flows(loss, policy, self.base, self.reference)
        combined = jax.tree.map(_agreeing, first, second)
        kept = sum(jnp.sum(g != 0) for g in jax.tree.leaves(combined))
        nonzero = sum(jnp.sum(g != 0) for g in jax.tree.leaves(first))
        metrics = dict(metrics)
        metrics["cosine"] = cosine(first, second)
        metrics["zeroed"] = (nonzero - kept) / sum(g.size for g in jax.tree.leaves(first))
        return value, combined, metrics


def _agreeing(base: Array, reference: Array) -> Array:
    kept = jnp.where(jnp.sign(base) == jnp.sign(reference), base, jnp.zeros_like(base))
    return jnp.where(jnp.isnan(base) | jnp.isnan(reference), jnp.nan, kept)


def two_flows(
    loss: Loss, policy: AbstractPolicy, first: GradientFlow, second: GradientFlow
) -> tuple[Float[Array, ""], Any, Any, Metrics]:
    """Value, the gradients under both flows, and metrics, from one forward pass."""

    def pair(a, b):
        return jnp.stack(jnp.broadcast_arrays(jnp.asarray(a, float), jnp.asarray(b, float)))

    gates = jax.tree.map(pair, first, second)

    def one(flow):
        (value, metrics), gradient = eqx.filter_value_and_grad(lambda p: loss(p, flow), has_aux=True)(policy)
        return value, gradient, metrics

    values, gradients, metrics = jax.vmap(one)(gates)
    half = [jax.tree.map(lambda g, i=i: g[i], gradients) for i in (0, 1)]
    return values[0], half[0], half[1], jax.tree.map(lambda m: m[0], metrics)


def cosine(a: Any, b: Any) -> Float[Array, ""]:
    """Cosine of the angle between two gradients of the same structure; 0 where one of them is zero."""
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    dot = sum(jnp.vdot(x, y) for x, y in pairs)
    # Two roots: the product of the squares underflows in single precision. A NaN is not 0 and stays.
    sizes = jnp.sqrt(sum(jnp.vdot(x, x) for x, _ in pairs)) * jnp.sqrt(sum(jnp.vdot(y, y) for _, y in pairs))
    return jnp.where(sizes == 0, 0, dot / jnp.where(sizes == 0, 1, sizes))


GRADIENTS: dict[str, AbstractGradient] = {
    "full": Backprop(FULL),
    "physics": Backprop(PHYSICS),
    "policy": Backprop(GradientFlow(0.0, 1.0)),
    "stop": Backprop(GradientFlow(0.0, 0.0)),
    "sign-agreement": SignAgreement(),
}
"""Gradient estimators by name."""
