r"""Gradients from values alone: nothing travels back."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow._checks import UndertowError, require_positive, whole_number
from undertow._types import Key
from undertow.core.estimator import AbstractGradient, Estimate, Loss
from undertow.core.flow import FULL
from undertow.core.policy import AbstractPolicy


class EvolutionStrategy(AbstractGradient):
    r"""An estimate of the gradient of the smoothed loss $L_\sigma(\theta) = \mathbb E_\epsilon\,L(\theta + \sigma\epsilon)$,
    $\epsilon \sim \mathcal N(0, I)$, from differences of losses at mirrored perturbations,

    $$g = \frac{1}{2 n \sigma} \sum_{i=1}^n \left(L(\theta + \sigma\epsilon_i) - L(\theta - \sigma\epsilon_i)\right)
      \epsilon_i, \qquad \mathbb E\,g = \nabla L_\sigma(\theta),$$

    which for a quadratic loss is $\nabla L(\theta)$ itself. The losses are taken as they are, neither ranked nor scaled, so
    that the estimate is unbiased. Its variance grows with the number of parameters $d$: for a linear loss it is
    $\|\nabla L\|^2 (d + 1)/n$ in all. The baseline for backpropagation through long or chaotic unrolls, whose gradient it
    never forms; the flow plays no part.

    **Arguments:** `samples` $n$ of mirrored pairs (default 32); `sigma` $\sigma$, the standard deviation of the perturbations
    in units of the parameters (default 0.02); `chunk`: how many pairs are run at once (default None, all: fastest, and the
    memory of $2n$ forward passes). The work is $2n + 1$ forward passes.

    **Returns** the metric `smoothed`, the mean of the $2n$ losses, an estimate of $L_\sigma$. A loss that is not finite makes
    the whole gradient so.

    **Raises:** `UndertowError` for numbers out of range, or when it is called without a key.

    **Reference:** Salimans et al. (2017), arXiv 1703.03864, section 2, with mirrored sampling (section 2.1).
    """

    draws: ClassVar[bool] = True

    samples: int = eqx.field(static=True, converter=partial(whole_number, "samples"), default=32)
    sigma: float = eqx.field(static=True, converter=partial(require_positive, "sigma"), default=0.02)
    chunk: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.chunk is not None:
            whole_number("chunk", self.chunk)

    def __call__(self, loss: Loss, policy: AbstractPolicy, *, key: Key | None = None) -> Estimate:
        """Value at the policy itself, estimated gradient, metrics."""
        if key is None:
            raise UndertowError("an evolution strategy draws samples; pass key=jax.random.key(...)")
        params, rest = eqx.partition(policy, eqx.is_inexact_array)
        leaves, structure = jax.tree.flatten(params)

        def pair(sample_key):
            keys = jax.random.split(sample_key, max(len(leaves), 1))
            noise = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=False)]

            def at(sign):
                moved = [x + sign * self.sigma * e for x, e in zip(leaves, noise, strict=True)]
                return loss(eqx.combine(jax.tree.unflatten(structure, moved), rest), FULL)[0]

            plus, minus = at(1), at(-1)
            # Divided first: the sum of many large losses would lose the small differences.
            slope = (plus - minus) / (2 * self.sigma)
            return [slope.astype(e.dtype) * e for e in noise], (plus + minus) / 2

        size = self.samples if self.chunk is None else min(self.chunk, self.samples)
        parts, values = jax.lax.map(pair, jax.random.split(key, self.samples), batch_size=size)
        gradient = jax.tree.unflatten(structure, [jnp.mean(part, axis=0) for part in parts])
        value, metrics = loss(policy, FULL)
        return value, gradient, {**metrics, "smoothed": jnp.mean(values)}
