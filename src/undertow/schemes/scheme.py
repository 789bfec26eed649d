r"""What every scheme is: fluxes through the faces of a domain's cells, and $du/dt$ from them."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
from collections.abc import Callable
from typing import Any, Self, get_args

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.laws.law import AbstractConservationLaw, Mean, Reconstruction
from undertow.numerics.grid import UniformGrid
from undertow.schemes.domain import Domain, Fluxes
from undertow.schemes.splitting import AbstractSpeed

RECONSTRUCTIONS: tuple[Reconstruction, ...] = get_args(Reconstruction)


class AbstractScheme(eqx.Module):
    r"""Semi-discrete and in conservation form: $du_i/dt = -\sum_d (\hat f_{i+1/2} - \hat f_{i-1/2}) / \Delta x_d + \nu\,(\nabla^2
    u)_i + s_i$ on the point values of a [`Domain`][undertow.schemes.domain.Domain].

    A scheme says what the fluxes $\hat f$ are, and which of its constants depend on the problem.
    """

    domain: eqx.AbstractVar[Domain]
    speed: eqx.AbstractVar[AbstractSpeed]
    """Of Lax-Friedrichs fluxes: those that are split, and those that a limiter falls back to."""
    reconstruction: eqx.AbstractVar[Reconstruction]
    mean: eqx.AbstractVar[Mean]

    @abc.abstractmethod
    def face_fluxes(
        self, u: Float[Array, "chan *cells"], time: Float[Array, ""] | None, choose: Callable[..., Any] | None
    ) -> Fluxes:
        """The numerical flux at every face, one array per axis, before any limiter.

        **Arguments:** `u` at `time`; `choose(u, stencils)`: what an agent gives the faces of a scheme that leaves them something
        to choose, else None.

        **Raises:** `UndertowError` where one is missing, or too many.
        """

    @abc.abstractmethod
    def relative_to(self, u: Float[Array, "chan *cells"]) -> Self:
        """This scheme for the problem that starts from `u`: constants with a unit that nobody has named become relative to it,
        such as the floors of the law
        ([`relative_to`][undertow.laws.law.AbstractConservationLaw.relative_to]). `simulate` and `solve` do so."""

    @property
    def law(self) -> AbstractConservationLaw:
        """The conservation law."""
        return self.domain.law

    @property
    def grid(self) -> UniformGrid:
        """The cells."""
        return self.domain.grid

    @property
    def order(self) -> int:
        """The formal order 2r-1."""
        return self.domain.order

    def over(self, domain: Domain) -> Self:
        """The same scheme over another domain."""
        return eqx.tree_at(lambda scheme: scheme.domain, self, domain)

    def rate(
        self,
        u: Float[Array, "chan *cells"],
        time: Float[Array, ""],
        choose: Callable[..., Any] | None = None,
        dt: Float[Array, ""] | None = None,
    ) -> Float[Array, "chan *cells"]:
        """$du/dt$ of `u` at `time`.

        **Arguments:** `choose` as for `face_fluxes`; `dt`: the time step, which a limiter has to know.

        **Raises:** `UndertowError` for a limiter without `dt`, and as `face_fluxes` does.
        """
        return self.rate_of(self.face_fluxes(u, time, choose), u, time, dt)

    def rate_of(
        self, fluxes: Fluxes, u: Float[Array, "chan *cells"], time: Float[Array, ""], dt: Float[Array, ""] | None = None
    ) -> Float[Array, "chan *cells"]:
        """$du/dt$ with these fluxes through the faces, limited if there is a limiter, and the forcing.

        **Raises:** `UndertowError` for a limiter without `dt`.
        """
        rate = self.domain.divergence(self.domain.limited(u, fluxes, self.speed, time, dt))
        forcing = self.domain.forcing(u, time)
        return rate if forcing is None else rate + forcing

    def relative_domain(self, u: Float[Array, "chan *cells"]) -> Domain:
        """The domain with the law's floors relative to `u`."""
        share = None
        if self.domain.limiter is not None:
            # It bounds the speeds, and what is left where next to nothing is stays above 0 with the true ones only. So floors
            # are as small as products allow; amplitudes of characteristic fields are taken to the fourth power.
            power = 1 / 3 if self.reconstruction == "component" else 0.1
            share = min(float(jnp.finfo(u.dtype).tiny) ** power, 1e-12)
        law = self.law.relative_to(u, share)
        return self.domain if law is self.law else eqx.tree_at(lambda domain: domain.law, self.domain, law)
