r"""Numerical fluxes between two states at a face."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
from typing import get_args

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, require
from undertow.laws.law import AbstractConservationLaw, Bounds


def lax_friedrichs(
    law: AbstractConservationLaw,
    left: Float[Array, "chan *faces"],
    right: Float[Array, "chan *faces"],
    axis: int,
    speed: Float[Array, "*faces"],
) -> Float[Array, "chan *faces"]:
    r"""$F(u^-, u^+) = \tfrac12\big(f(u^-) + f(u^+) - \alpha\,(u^+ - u^-)\big)$ (Rusanov's where $\alpha$ is local).

    **Arguments:** the `law`; the states `left` $u^-$ and `right` $u^+$ of every face; the `axis` normal to it; `speed` $\alpha$,
    not below any $|\lambda|$ of the two states, broadcast to the faces.

    **Reference:** Toro (2009), Riemann Solvers and Numerical Methods for Fluid Dynamics, section 10.5.1.
    """
    return 0.5 * (law.flux(left, axis) + law.flux(right, axis) - speed * (right - left))


def wave_speeds(
    law: AbstractConservationLaw,
    left: Float[Array, "chan *faces"],
    right: Float[Array, "chan *faces"],
    axis: int,
    bounds: Bounds,
    delta: float = 0.0,
) -> tuple[Float[Array, "*faces"], Float[Array, "*faces"]]:
    r"""The slowest and the fastest signal between two states, $S^-$ and $S^+$.

    $$S^- = \min(v^- - c^-, v^+ - c^+), \quad S^+ = \max(v^- + c^-, v^+ + c^+) \quad(\texttt{davis}), \qquad
      S^- = \min(v^- - c^-, \tilde v - \tilde c), \quad S^+ = \max(v^+ + c^+, \tilde v + \tilde c)
      \quad(\texttt{einfeldt})$$

    with $\tilde v$ and $\tilde c$ of Roe's mean where the law has one (`mean_signal`): `einfeldt` then has the exact speed of a
    single shock. Without it `einfeldt` is `davis`. The law says what $v \mp c$ is (`signal`): of a scalar one $f'(u)$, of one
    that says nothing $\mp$ `max_speed`.

    With `delta` $\delta > 0$ the minima and maxima are smooth ones, further out by at most $\delta c/2$ with the mean sound speed
    $c$ of the two states ($\delta/2$ where there is none).

    **Reference:** Davis (1988), SIAM J. Sci. Stat. Comput. 9, 445-473; Einfeldt, Munz, Roe and Sjogreen (1991), J. Comput.
    Phys. 92, 273-295; Batten, Clarke, Lambert and Causon (1997), SIAM J. Sci. Comput. 18, 1553-1570, section 4, which shows
    that HLLC keeps density and pressure positive with the latter; Toro (2009), section 10.5.
    """
    return _wave_speeds(law, left, right, axis, bounds, delta)[:2]


def _wave_speeds(
    law: AbstractConservationLaw, left: Array, right: Array, axis: int, bounds: Bounds, delta: float
) -> tuple[Array, Array, Array | float]:
    """Both speeds, and the width that corners are rounded on, 0.0 if they are not."""
    one, other = law.signal(left, axis, delta), law.signal(right, axis, delta)
    # Both states' own bounds on either side, or Roe's mean in place of the state that the wave does not run into.
    mean = law.mean_signal(left, right, axis) if bounds == "einfeldt" else None
    slower, faster = (other, one) if mean is None else (mean, mean)
    width = 0.5 * delta * (one.unit + other.unit) if delta > 0 else 0.0
    low = -_larger(-(one.middle - one.spread), -(slower.middle - slower.spread), width)
    return low, _larger(other.middle + other.spread, faster.middle + faster.spread, width), width


def _larger(a: Array, b: Array | float, width: Array | float) -> Array:
    """The maximum, or a smooth one that is above it by at most half the width."""
    if isinstance(width, float) and width == 0:
        return jnp.maximum(a, b)
    return 0.5 * (a + b + jnp.sqrt((a - b) ** 2 + width**2))


def _above_zero(speed: Array, width: Array | float) -> Array:
    r"""$\tfrac12 (1 + s / \sqrt{s^2 + w^2})$: from 0 to 1 where a speed becomes positive."""
    return 0.5 * (1 + speed / jnp.sqrt(speed**2 + width**2))


class AbstractFlux(eqx.Module):
    """A numerical flux $F(u^-, u^+)$, consistent: $F(u, u) = f(u)$."""

    @abc.abstractmethod
    def __call__(
        self,
        law: AbstractConservationLaw,
        left: Float[Array, "chan *faces"],
        right: Float[Array, "chan *faces"],
        axis: int,
    ) -> Float[Array, "chan *faces"]:
        """The flux along `axis` through faces with the states `left` and `right`."""


class LaxFriedrichs(AbstractFlux):
    r"""[`lax_friedrichs`][undertow.schemes.fluxes.lax_friedrichs] with the larger `max_speed` of the two states (Rusanov's flux).

    For any law. Not differentiable where the two speeds are equal; JAX splits the gradient.

    **Reference:** Rusanov (1961), J. Comput. Math. Phys. USSR 1, 267-279; Toro (2009), eq. 10.56.
    """

    def __call__(self, law, left, right, axis):
        """Any law."""
        speed = jnp.maximum(law.max_speed(left, axis), law.max_speed(right, axis))
        return lax_friedrichs(law, left, right, axis, speed)


class HLL(AbstractFlux):
    r"""The flux of one constant state between the slowest and the fastest wave,

    $$F = \frac{S^+ f(u^-) - S^- f(u^+) + S^- S^+ (u^+ - u^-)}{S^+ - S^-} \quad\text{with $S^-$ cut at 0 from above, $S^+$
    from below.}$$

    For any law; contacts are smeared. **Arguments:** `bounds`: `einfeldt` (default) or `davis`, see
    [`wave_speeds`][undertow.schemes.fluxes.wave_speeds]; `delta`, default 0.

    Differentiable where the two states are equal, whatever the speeds. Where they differ it has kinks: $S^\mp = 0$, and where
    the minimum or maximum in $S^\mp$ is attained twice. A `delta` above 0 (1e-3, say) rounds them, in units of the sound speed:
    the flux is then smooth everywhere.

    **Reference:** Harten, Lax and van Leer (1983), SIAM Review 25, 35-61; Toro (2009), eqs. 10.20 and 10.21.
    """

    bounds: Bounds = eqx.field(static=True, default="einfeldt")
    delta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        choice("bounds", self.bounds, get_args(Bounds))
        require(self.delta >= 0, f"delta must not be negative, got {self.delta!r}")

    def __call__(self, law, left, right, axis):
        """Any law."""
        low, high, width = _wave_speeds(law, left, right, axis, self.bounds, self.delta)
        low, high = -_larger(-low, 0.0, width), _larger(high, 0.0, width)
        fan = high > low
        # Nothing moves: the states' fluxes are those of a fluid at rest, and either share of them is right.
        share = jnp.where(fan, high / jnp.where(fan, high - low, 1.0), 0.5)
        spread = share * low
        return share * law.flux(left, axis) + (1 - share) * law.flux(right, axis) + spread * (right - left)


class HLLC(AbstractFlux):
    r"""Two constant states between the slowest and the fastest wave of a gas, and a contact at $S^*$ between them,

    $$S^* = \frac{p^+ - p^- + q^- v^- - q^+ v^+}{q^- - q^+}, \quad q^\mp = \rho^\mp (S^\mp - v^\mp), \qquad
      \rho^* = \frac{q}{S - S^*}, \quad p^* = p + q\,(S^* - v),$$

    and the flux of the state that lies on the face: $f(u^\mp)$ outside of the fan, inside of it

    $$F = S^*\,\big(\rho^*,\; \rho^* v_t,\; \rho^* S^*,\; E^*\big) + p^*\,\big(0, 0, 1, S^*\big), \qquad
      E^* = \frac{(S - v)\,E - p\,v + p^* S^*}{S - S^*}$$

    (normal momentum and energy last) with $\rho, v, p, E, S, q$ of the left side where $S^* \ge 0$, else of the right one. It is
    $f(u) + S (u^* - u)$, written such that a contact at rest is kept to the last bit. Tangential velocities $v_t$ jump at the
    contact.

    For [`Euler`][undertow.laws.euler.Euler] in any dimension, and any law that says what a contact is. **Arguments:** `bounds`:
    `einfeldt` (default: density and pressure stay positive at first order) or `davis`, cheaper, see
    [`wave_speeds`][undertow.schemes.fluxes.wave_speeds]; `delta` $\delta$, default 0.

    Differentiable where the two states are equal: the flux does not depend on $S^\mp$ there, so neither the ties in them nor
    $S^\mp = 0$ nor $S^* = 0$ leave a kink. Where the states differ there are kinks: at $S^* = 0$ if density or tangential
    velocity jumps (a contact at rest: which side's gas moves on is decided by the sign of $S^*$), at $S^\mp = 0$ (a sonic
    rarefaction, a shock at rest), and where the minimum or maximum in $S^\mp$ is attained twice. Named problems start there: the
    sound speeds of `sod2` are equal, and in `shu_osher` the density of a gas at rest varies.

    With $\delta > 0$ (1e-3, say) the flux is smooth everywhere: smooth minima and maxima, and in place of a choice by the sign
    of a speed $S$ a mean with the share $\tfrac12 (1 + S/\sqrt{S^2 + \delta^2 c^2})$. A contact at rest is still kept, and far
    from corners the flux changes by parts of $\delta^2$; positivity is shown for $\delta = 0$.

    **Raises:** `UndertowError` for another law.

    **Reference:** Toro, Spruce and Speares (1994), Shock Waves 4, 25-34; Toro (2009), section 10.4, eqs. 10.37-10.39; Batten et
    al. (1997).
    """

    bounds: Bounds = eqx.field(static=True, default="einfeldt")
    delta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        choice("bounds", self.bounds, get_args(Bounds))
        require(self.delta >= 0, f"delta must not be negative, got {self.delta!r}")

    def __call__(self, law, left, right, axis):
        """A law with a contact."""
        if not law.has_contact:
            raise UndertowError(
                f"HLLC is for laws with a contact, such as Euler, got {type(law).__name__}; take HLL(), "
                "on the command line --flux hll"
            )
        low, high, width = _wave_speeds(law, left, right, axis, self.bounds, self.delta)
        contact = law.contact(left, right, low, high, axis)
        if self.delta > 0:
            one, other = (
                law.flux(u, axis) + share * (law.beside(u, speed, contact, axis) - law.flux(u, axis))
                for u, speed, share in ((left, low, _above_zero(-low, width)), (right, high, _above_zero(high, width)))
            )
            return other + _above_zero(contact, width) * (one - other)
        leftward = contact >= 0  # the state on the face is the left one's
        u, speed = jnp.where(leftward, left, right), jnp.where(leftward, low, high)
        outside = jnp.where(leftward, low >= 0, high <= 0)
        return jnp.where(outside, law.flux(u, axis), law.beside(u, speed, contact, axis))


FLUXES: dict[str, AbstractFlux] = {"hllc": HLLC(), "hll": HLL(), "lf": LaxFriedrichs()}
"""Numerical fluxes by name."""
