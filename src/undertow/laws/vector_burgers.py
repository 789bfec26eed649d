"""Burgers' equation for a velocity with one component per dimension."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
from functools import partial

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, whole_number
from undertow.laws.law import VISCOSITY, AbstractBasis, AbstractConservationLaw, Mean


class VectorBurgers(AbstractConservationLaw):
    r"""$u_t + \tfrac12 \nabla\!\cdot(u \otimes u) = \nu\,\nabla^2 u$ for a velocity $u$ with one component per dimension.

    This is the divergence form, which conserves every component. In one dimension, or where only one component moves along
    its own axis, it is Burgers' equation; with all components equal it is the scalar equation in that many dimensions,
    [`Burgers`][undertow.laws.burgers.Burgers]. It is not $u_t + (u\cdot\nabla)u = \nu\nabla^2 u$, which conserves nothing
    and differs from it by $\tfrac12 (u\,\nabla\!\cdot u - (u\cdot\nabla)u)$.

    Along an axis $a$ the characteristic speeds are $u_a$ and, for the other components, $u_a / 2$. Where $u_a = 0$ and
    another component is not, the Jacobian cannot be diagonalised (and nearby its eigenvectors are almost parallel), so there
    is no characteristic reconstruction.

    **Arguments:** `viscosity` $\nu \ge 0$ (default 0), a leaf; `dimensions`: 1, 2 (default) or 3; static.

    **Raises:** `UndertowError` for other dimensions.

    **Reference:** Koehler et al. (2024), APEBench, arXiv 2411.00180, whose Burgers' equation has this form. The speeds are
    those of $A = \tfrac12 (u_a 1 + u\,e_a^T)$.
    """

    viscosity: float | Float[Array, ""] = eqx.field(converter=VISCOSITY, default=0.0)
    dimensions: int = eqx.field(
        static=True, converter=partial(whole_number, "dimensions", within=Within(at_least=1, at_most=3)), default=2
    )

    @property
    def num_components(self) -> int:
        """A velocity per dimension."""
        return self.dimensions

    @property
    def component_names(self) -> tuple[str, ...]:
        return tuple(f"velocity {axis}" for axis in "xyz"[: self.dimensions])

    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        r"""$\tfrac12 u\,u_a$ along axis $a$."""
        return 0.5 * u * u[axis]

    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""$|u_a|$. Its derivative at $u_a = 0$ does not exist; JAX takes 0."""
        return jnp.abs(u[axis])

    def parity(self, axis: int) -> tuple[float, ...]:
        """The velocity normal to a wall changes sign there."""
        return tuple(-1.0 if d == axis else 1.0 for d in range(self.dimensions))

    def eigenvectors(
        self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int, mean: Mean
    ) -> AbstractBasis:
        """There are none to rely on. Raises `UndertowError`."""
        raise UndertowError(
            "VectorBurgers has no complete set of eigenvectors where the velocity along an axis is 0; "
            "take reconstruction='component'"
        )
