"""The classical schemes as parameter-free policies, so that every baseline runs through the same loop."""

from __future__ import annotations

import jax

from undertow._checks import lookup, whole_number
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.faces import Stencils, Weights
from undertow.schemes.weights import (
    AbstractWeights,
    WenoJS,
    WenoZ,
    at_faces,
    equal,
    linear,
    one_sided,
    stationary,
)


class ClassicalPolicy(AbstractPolicy):
    """Any map from one stencil to its weights, applied at every face in both directions along every axis."""

    weights: AbstractWeights

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> Weights:
        """One weight array per axis."""
        return at_faces(self.weights, observation)

    @property
    def order(self) -> int:
        """Formal order 2r-1 of the stencils it takes."""
        return self.weights.order

    @property
    def relative(self) -> bool:
        """Whether they want to see the stencils in units of the problem, see
        [`AbstractWeights.relative`][undertow.schemes.weights.AbstractWeights.relative]."""
        return self.weights.relative


class RandomPolicy(AbstractPolicy):
    """Softmax of standard normal logits at every face: the random agent.

    The draw belongs to `key`: the same in every step unless the loop hands over a key per step.
    """

    key: Key
    order: int = 5

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> Weights:
        """Random convex weights."""
        key = self.key if key is None else key
        r = substencil_width(self.order)
        return tuple(
            jax.nn.softmax(jax.random.normal(jax.random.fold_in(key, axis), (*s.shape[:-1], r), s.dtype))
            for axis, s in enumerate(observation)
        )


CLASSICAL = {
    "weno-js": lambda order: ClassicalPolicy(WenoJS(order)),
    "weno-js-original": lambda order: ClassicalPolicy(WenoJS(order, 1e-16, "original")),
    "weno-z": lambda order: ClassicalPolicy(WenoZ(order)),
    "linear": lambda order: ClassicalPolicy(linear(order)),
    "equal": lambda order: ClassicalPolicy(equal(order)),
    "left": lambda order: ClassicalPolicy(one_sided(order, "left")),
    "middle": lambda order: ClassicalPolicy(one_sided(order, "middle")),
    "right": lambda order: ClassicalPolicy(one_sided(order, "right")),
    "stationary": lambda order: ClassicalPolicy(stationary(order)),
    "random": lambda order: RandomPolicy(jax.random.key(0), order),
}
"""Parameter-free policies by name; each entry maps a formal order to the policy."""


def classical(name: str, order: int = 5) -> AbstractPolicy:
    """The parameter-free policy called `name` (see `CLASSICAL`) for the formal order `order`.

    **Raises:** `UndertowError` for an unknown name (with the nearest match) or order.
    """
    return lookup("policy", name, CLASSICAL)(whole_number("order", order))
