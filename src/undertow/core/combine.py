r"""Two gradient flows made into one direction: what one of them says, checked against the other.

Values do not depend on the gates, so both gradients come from one forward pass. None of the results is the gradient of a
function: no line search, and no expectation that the loss falls in every step. All are formed on the batch mean, before any
clipping, and what is not a number in either gradient is not a number in the result.
"""

from __future__ import annotations

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._tree import take
from undertow._types import Key, Metrics
from undertow.core.estimator import AbstractGradient, Estimate, Loss
from undertow.core.flow import FULL, PHYSICS, GradientFlow, magnitude
from undertow.core.policy import AbstractPolicy

Pair = TypeVar("Pair", bound="AbstractPair")


class AbstractPair(AbstractGradient):
    """A direction from the gradients under two flows. A subclass gives `combine`.

    **Arguments:** `base`, the flow whose gradient is taken (default `PHYSICS`); `reference`, the flow it is checked against
    (default `FULL`); any two.

    **Returns** metrics `cosine` (between the two gradients) and what `combine` adds.
    """

    base: GradientFlow = PHYSICS
    reference: GradientFlow = FULL

    def combine(self, base: Any, reference: Any) -> tuple[Any, Metrics]:
        """The direction, and metrics, from two gradients of the same structure."""
        raise NotImplementedError

    def __call__(self, loss: Loss, policy: AbstractPolicy, *, key: Key | None = None) -> Estimate:
        """Value, combined gradient, metrics."""
        value, base, reference, metrics = two_flows(loss, policy, self.base, self.reference)
        combined, found = self.combine(base, reference)
        return value, combined, {**metrics, "cosine": cosine(base, reference), **found}

    def swapped(self: Pair) -> Pair:
        """The same estimator with base and reference exchanged."""
        return eqx.tree_at(lambda pair: (pair.base, pair.reference), self, (self.reference, self.base))


class SignAgreement(AbstractPair):
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

    def combine(self, base: Any, reference: Any) -> tuple[Any, Metrics]:
        """Element by element."""
        combined = jax.tree.map(_agreeing, base, reference)
        return combined, {"zeroed": _zeroed(base, combined)}


class TensorAgreement(AbstractPair):
    r"""Whole tensors of the gradient under `base` where it does not point against the one under `reference`, else zero,

    $$G_k = \begin{cases} G^\text{base}_k & \langle G^\text{base}_k, G^\text{ref}_k\rangle > 0 \\ 0 & \text{otherwise,}
      \end{cases}$$

    for every array $k$ of the policy's parameters (each kernel, each bias). Coarser than
    [`SignAgreement`][undertow.core.combine.SignAgreement]: what is kept of a tensor has the base's direction, and the result
    never points against the reference: $\langle G, G^\text{ref}\rangle \ge 0$.

    **Arguments:** `base` (default `PHYSICS`), `reference` (default `FULL`).

    **Returns** metrics `cosine` and `zeroed` (fraction of parameters in tensors that were zeroed).
    """

    def combine(self, base: Any, reference: Any) -> tuple[Any, Metrics]:
        """Tensor by tensor."""

        def one(b, r):
            inner = jnp.vdot(_unit(b), _unit(r)).real
            # Multiplied, not selected: a tensor that is not finite stays so when it is dropped.
            return b * jnp.where(jnp.isnan(inner), jnp.nan, jnp.where(inner > 0, 1.0, 0.0)).astype(b.dtype)

        combined = jax.tree.map(one, base, reference)
        return combined, {"zeroed": _zeroed(base, combined)}


class SoftAgreement(AbstractPair):
    r"""The gradient under `base`, every element weighted by how well the one under `reference` agrees with it,

    $$g_i = w_i\,g^\text{base}_i, \qquad
      w_i = \max\left(0, \frac{2\,g^\text{base}_i\,g^\text{ref}_i}{(g^\text{base}_i)^2 + (g^\text{ref}_i)^2}\right)
      \in [0, 1].$$

    With $\rho = g^\text{ref}_i / g^\text{base}_i$ the weight is $2\rho/(1+\rho^2)$, the sine of twice the angle of the point
    $(g^\text{base}_i, g^\text{ref}_i)$: 1 where the two are equal, 0.8 where one is twice the other, falling to 0 where one
    vanishes beside the other, and 0 where they disagree. It depends on the ratio alone, so it needs no scale, treats both
    alike, and differs from 1 only to second order around equality. Unlike
    [`SignAgreement`][undertow.core.combine.SignAgreement] the direction is a continuous function of both gradients: an
    element whose reference passes through zero fades out instead of being switched off.

    **Arguments:** `base` (default `PHYSICS`), `reference` (default `FULL`).

    **Returns** metrics `cosine` and `zeroed` (fraction of parameters whose weight is 0).
    """

    def combine(self, base: Any, reference: Any) -> tuple[Any, Metrics]:
        """Element by element."""

        def one(b, r):
            large = jnp.maximum(jnp.abs(b), jnp.abs(r))
            # Of the ratio, because squares of single-precision gradients underflow.
            ratio = jnp.minimum(jnp.abs(b), jnp.abs(r)) / jnp.where(large == 0, 1, large)
            weight = jnp.where(jnp.sign(b) * jnp.sign(r) < 0, 0, 2 * ratio / (1 + ratio**2))
            return jnp.where(jnp.isnan(b) | jnp.isnan(r), jnp.nan, weight * b)

        combined = jax.tree.map(one, base, reference)
        return combined, {"zeroed": _zeroed(base, combined)}


class ConflictProjection(AbstractPair):
    r"""The gradient under `base` without the part of it that points against the one under `reference`,

    $$g = g^\text{base} - \min\left(0, \langle g^\text{base}, \hat g^\text{ref}\rangle\right) \hat g^\text{ref},
      \qquad \hat g^\text{ref} = g^\text{ref} / \|g^\text{ref}\| ,$$

    over all parameters together: where the two conflict, the base is projected onto the plane normal to the reference
    (then $\langle g, g^\text{ref}\rangle = 0$), otherwise it stays as it is.

    **Arguments:** `base` (default `PHYSICS`), `reference` (default `FULL`).

    **Returns** the metric `cosine`; the projection acts where it is negative.

    **Reference:** Yu et al. (2020), Gradient surgery for multi-task learning, arXiv 2001.06782, algorithm 1, for two tasks of
    which the first is projected.
    """

    def combine(self, base: Any, reference: Any) -> tuple[Any, Metrics]:
        """On all parameters together."""
        size = magnitude(reference)
        size = jnp.where(size == 0, 1, size)
        unit = jax.tree.map(lambda r: r / size.astype(r.dtype), reference)
        inner = sum(
            (jnp.vdot(r, b).real for b, r in zip(jax.tree.leaves(base), jax.tree.leaves(unit), strict=True)),
            start=jnp.zeros(()),
        )
        # `minimum` hands a NaN on, a comparison would not.
        against = jnp.minimum(inner, 0)
        return jax.tree.map(lambda b, r: b - against.astype(b.dtype) * r, base, unit), {}


def two_flows(
    loss: Loss, policy: AbstractPolicy, first: GradientFlow, second: GradientFlow
) -> tuple[Float[Array, ""], Any, Any, Metrics]:
    """Value, the gradients under both flows, and metrics, from one forward pass.

    Gates that are the same number in both flows stay numbers; over the others goes a `vmap`. The forward pass does not
    depend on gates, so only the way back is doubled.
    """
    fixed, varied = {}, {}
    for name, neutral in (("physics", 1.0), ("policy", 1.0), ("credit", 1.0), ("balance", 0.0)):
        pair = [getattr(flow, name) for flow in (first, second)]
        if all(gate is None or isinstance(gate, (int, float)) for gate in pair) and pair[0] == pair[1]:
            fixed[name] = pair[0]
        else:
            gates = [jnp.asarray(neutral if gate is None else gate, float) for gate in pair]
            varied[name] = jnp.stack(jnp.broadcast_arrays(*gates))

    def one(gates):
        flow = GradientFlow(**fixed, **gates)
        (value, metrics), gradient = eqx.filter_value_and_grad(lambda p: loss(p, flow), has_aux=True)(policy)
        return value, gradient, metrics

    if not varied:
        value, gradient, metrics = one({})
        return value, gradient, gradient, metrics
    values, gradients, metrics = jax.vmap(one)(varied)
    base, reference = (take(gradients, i) for i in (0, 1))
    return values[0], base, reference, take(metrics, 0)


def cosine(a: Any, b: Any) -> Float[Array, ""]:
    """Cosine of the angle between two gradients of the same structure; 0 where one of them is zero."""
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    dot = sum(jnp.vdot(x, y) for x, y in pairs)
    # Two roots: the product of the squares underflows in single precision. A NaN is not 0 and stays.
    sizes = jnp.sqrt(sum(jnp.vdot(x, x) for x, _ in pairs)) * jnp.sqrt(sum(jnp.vdot(y, y) for _, y in pairs))
    return jnp.where(sizes == 0, 0, dot / jnp.where(sizes == 0, 1, sizes))


def _agreeing(base: Array, reference: Array) -> Array:
    kept = jnp.where(jnp.sign(base) == jnp.sign(reference), base, jnp.zeros_like(base))
    return jnp.where(jnp.isnan(base) | jnp.isnan(reference), jnp.nan, kept)


def _unit(x: Array) -> Array:
    """The array with its largest entry brought to size 1, so that products do not underflow."""
    largest = jnp.max(jnp.abs(x), initial=0)
    return x / jnp.where(largest == 0, 1, largest)


def _zeroed(base: Any, combined: Any) -> Float[Array, ""]:
    """The fraction of all parameters whose base gradient was not zero and is now."""
    count, lost = 0, jnp.zeros((), int)
    for before, after in zip(jax.tree.leaves(base), jax.tree.leaves(combined), strict=True):
        count += before.size
        lost = lost + jnp.sum((before != 0) & (after == 0))
    return lost / max(count, 1)
