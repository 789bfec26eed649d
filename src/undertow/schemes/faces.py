r"""What agents see at the faces of a scheme, and what they give them: weights, or the face's value itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from undertow._checks import require
from undertow.numerics.stencil import both_directions, directions
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.weights import AbstractWeights, at_faces, measured

Stencils = tuple[Float[Array, "2 chan *faces stencil"], ...]
"""Split-flux stencils, one array per axis: the right-going ones first, both from upwind to downwind."""
Weights = tuple[Float[Array, "2 chan *faces r"], ...]
"""Weights of their substencils."""


class FaceValues(eqx.Module):
    r"""The values $\hat f^+$, $\hat f^-$ of the reconstructed split fluxes at every face, in place of weights:

    $$\hat f_{i+1/2} = \hat f^+_{i+1/2} + \hat f^-_{i+1/2} .$$

    For whatever is no set of weights. They conserve; consistent is what gives $q$ for a stencil of equal values $q$.

    **Arguments:** `values`: one array per axis, `"2 chan *faces"`, the right-going flux first, in the unit of the stencils; of a
    scheme with characteristic reconstruction they are those of the characteristic fields.
    """

    values: tuple[Float[Array, "2 chan *faces"], ...]

    def __iter__(self) -> Iterator[Float[Array, "2 chan *faces"]]:
        return iter(self.values)


Answer = Weights | FaceValues
"""What an agent gives all faces."""

Agent = AbstractWeights | Callable[[Stencils], Answer]
"""Whoever chooses at the faces: weights, a function of one stencil; or a policy, any other function, of all stencils."""


def answer(agent: Agent, stencils: Stencils, unit: Float[Array, " chan"] | None = None) -> Answer:
    """What an agent gives the faces; with a `unit`, one per component, it sees the stencils divided by it."""
    if isinstance(agent, AbstractWeights):
        return at_faces(agent, stencils, unit)
    if unit is None:
        return agent(stencils)
    given = agent(tuple(both_directions(*(measured(way, unit) for way in directions(each))) for each in stencils))
    if not isinstance(given, FaceValues):  # weights have no unit
        return given
    return FaceValues(tuple(v * unit.reshape(-1, *(1,) * (v.ndim - 2)).astype(v.dtype) for v in given))


def check_answer(given: Any, stencils: Any, order: int, name: str) -> None:
    """Raise `UndertowError` unless this is what the faces of a scheme take, as arrays or their shapes.

    **Arguments:** `given` for these `stencils` of this `order`, by an agent of this `name`.
    """
    weights = [(*each.shape[:-1], substencil_width(order)) for each in stencils]
    values = [each.shape[:-1] for each in stencils]
    parts = given.values if isinstance(given, FaceValues) else given
    found = [getattr(each, "shape", None) for each in parts] if isinstance(parts, (tuple, list)) else None
    require(
        found == (values if isinstance(given, FaceValues) else weights),
        f"{name} does not choose the weights of a scheme: they have shapes {weights}, one array per axis; "
        f"FaceValues have {values}",
    )


def only_weights(given: Answer, what: str) -> Weights:
    """The weights of an answer. Raises `UndertowError` for face values: `what` is made of weights."""
    require(not isinstance(given, FaceValues), f"{what} is made of weights, and this policy gives the faces' values")
    return given  # type: ignore[return-value]
