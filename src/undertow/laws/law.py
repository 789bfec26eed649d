"""What a conservation law has to say for itself."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, Within, constant

Mean = Literal["arithmetic", "roe"]
"""How the state at a face is made of its two neighbours, for eigenvectors: the mean of the conserved values, or Roe's."""


VISCOSITY = partial(constant, "viscosity", within=Within(at_least=0))
"""What makes a viscosity of what is given, for the laws that have one."""


class AbstractBasis(eqx.Module):
    r"""The eigenvectors of the flux's Jacobian at every face along one axis: $A = R\,\Lambda\,L$ with $L R = 1$."""

    @abc.abstractmethod
    def project(self, q: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$L q$: from conserved values (or their fluxes) to characteristic fields."""

    @abc.abstractmethod
    def expand(self, a: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$R a$: from characteristic fields back."""


class AbstractConservationLaw(eqx.Module):
    r"""$u_t + \sum_d f_d(u)_{x_d} = \nu\,\nabla^2 u$. One file per law; constants are leaves."""

    viscosity: eqx.AbstractVar[float | Float[Array, ""]]

    @property
    @abc.abstractmethod
    def num_components(self) -> int:
        """How many unknowns there are in a cell."""

    @property
    def component_names(self) -> tuple[str, ...]:
        """One short name per component."""
        return ("u",) if self.num_components == 1 else tuple(f"u{c}" for c in range(self.num_components))

    @property
    def judged(self) -> tuple[int, ...]:
        """The components whose error a comparison of schemes looks at: all of them, or what the field looks at."""
        return tuple(range(self.num_components))

    @abc.abstractmethod
    def flux(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "chan *cells"]:
        """The flux along space axis `axis`, cell by cell."""

    @abc.abstractmethod
    def max_speed(self, u: Float[Array, "chan *cells"], axis: int) -> Float[Array, "*cells"]:
        r"""The largest characteristic speed $|\lambda|$ along `axis`, cell by cell."""

    def smooth_speed_squared(self, u: Float[Array, "chan *cells"], axis: int, delta: float) -> Float[Array, "*cells"]:
        r"""$s^2$ with an upper bound $s$ of `max_speed` that has a derivative everywhere, at rest too, and tends to it with
        $\delta \to 0$.

        Here $s^2 = \max|\lambda|^2 + \delta^2$, which is enough where `max_speed` is the absolute value of something smooth; a
        law with a speed like $|v| + c$ says it itself, with $\delta$ in units of $c$."""
        return self.max_speed(u, axis) ** 2 + delta**2

    @abc.abstractmethod
    def parity(self, axis: int) -> tuple[float, ...]:
        """One number per component: -1 where it changes sign at a wall normal to `axis`, else 1."""

    def eigenvectors(
        self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int, mean: Mean
    ) -> AbstractBasis:
        """The eigenvectors at the faces between `left` and `right`. Raises `UndertowError` if the law has none to offer."""
        raise UndertowError(f"{type(self).__name__} has no eigenvectors; take reconstruction='component'")

    def positive(self, u: Float[Array, "chan *cells"]) -> tuple[Float[Array, "*cells"], ...]:
        """What must stay positive for the state to be physical (concave functions of it), cell by cell; nothing by default."""
        return ()


def matrices(basis: AbstractBasis, num_components: int, faces: tuple[int, ...]) -> tuple[Array, Array]:
    """$(L, R)$ of a basis as dense matrices, `"chan chan *faces"` each: row (of L) or component (of R) first."""
    unit = jnp.broadcast_to(
        jnp.eye(num_components).reshape((num_components, num_components) + (1,) * len(faces)),
        (num_components, num_components, *faces),
    )
    left = jax.vmap(basis.project, in_axes=1, out_axes=1)(unit)
    right = jax.vmap(basis.expand, in_axes=1, out_axes=1)(unit)
    return left, right
