r"""Squashing functions: from a non-negative error to a reward."""

from __future__ import annotations

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from undertow._checks import require_positive


class AbstractSquash(eqx.Module):
    """From a non-negative error to a reward.

    `worst`: what a step costs that a blown-up solution does not take; where nothing bounds the reward 1e7, as published.
    """

    worst: ClassVar[float] = 1e7

    def __call__(self, error: Array) -> Array:
        """The reward, elementwise."""
        raise NotImplementedError


class ArctanSquash(AbstractSquash):
    r"""$R = \arctan(-\kappa e)$, default $\kappa = 1000$; $\kappa = 1$ is the published `noadjust`."""

    worst: ClassVar[float] = math.pi / 2
    scale: float = 1000.0

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return jnp.arctan(-self.scale * error)


class LogSquash(AbstractSquash):
    r"""$R = -\log(e + \epsilon)$: positive below an error of about 1, at most $-\log\epsilon$.

    Its slope is $-1/(e+\epsilon)$, so halving a tiny error is worth as much as halving a large one.

    **Arguments:** `epsilon`, default 1e-16: what the published training uses, its evaluation 1e-30.

    **Raises:** `UndertowError` if `epsilon` is not positive.
    """

    epsilon: float = eqx.field(static=True, default=1e-16)

    def __check_init__(self):
        require_positive("epsilon", self.epsilon)

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return -jnp.log(error + self.epsilon)


class NoSquash(AbstractSquash):
    r"""$R = -e$."""

    def __call__(self, error: Array) -> Array:
        """The reward."""
        return -error
