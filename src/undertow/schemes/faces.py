r"""What agents see at the faces of a scheme, and what they give them: weights, or the face's value itself."""

from __future__ import annotations

from collections.abc import Iterator

import equinox as eqx
from jaxtyping import Array, Float

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
