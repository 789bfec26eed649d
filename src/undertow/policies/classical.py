"""The classical schemes as parameter-free policies, so that every baseline runs through the same loop."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float

from undertow._checks import lookup, whole_number
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.numerics.stencil import both_directions, directions
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.faces import Stencils, Weights
from undertow.schemes.weights import (
    AbstractWeights,
    WenoJS,
    WenoZ,
    at_faces,
    equal,
    linear,
    measured,
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


class InUnits(AbstractPolicy):
    """A policy that sees stencils in units of `unit`, one number per component; weights have no unit.

    A learned policy carries the unit of its training's fluxes: this is how it serves a problem in other units.
    """

    policy: AbstractPolicy
    unit: Float[Array, " chan"]

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> Weights:
        """What the policy does with the stencils in its own units."""
        seen = tuple(
            both_directions(*(measured(each, self.unit) for each in directions(stencil))) for stencil in observation
        )
        return self.policy(seen, key=key)

    @property
    def order(self) -> int:
        """That of the policy."""
        return self.policy.order  # type: ignore[attr-defined]


def for_problem(policy: AbstractPolicy, unit: Float[Array, " chan"] | None) -> AbstractPolicy:
    """A classical policy without an epsilon of its own in the problem's `unit` (`SemiDiscrete.unit` of its initial state); any
    other as it is, for it carries its unit."""
    takes = isinstance(policy, ClassicalPolicy) and getattr(policy.weights, "relative", False)
    return policy if unit is None or not takes else InUnits(policy, unit)


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
