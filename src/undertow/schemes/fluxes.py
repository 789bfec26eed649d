r"""Numerical fluxes between two states at a face."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import UndertowError, choice, require
from undertow.laws.euler import Euler
from undertow.laws.law import AbstractConservationLaw
from undertow.laws.shallow_water import ShallowWater

Bounds = Literal["davis", "einfeldt"]
"""How the fastest waves between two states are bounded: by those of the two, or with the help of Roe's mean."""


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

    with $\tilde v$ and $\tilde c$ of Roe's mean, for gases and shallow water. `einfeldt` has the exact speed of a single shock. A
    scalar law has $f'(u^-)$ and $f'(u^+)$ in place of all these, any other $\mp$ `max_speed` of both states.

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
    width: Array | float = delta
    if isinstance(law, (Euler, ShallowWater)):
        one, other = (law.eigenvectors(state, state, axis, "arithmetic") for state in (left, right))
        lowest, highest = [one.velocity[axis] - one.sound], [other.velocity[axis] + other.sound]
        if delta > 0:
            width = 0.5 * delta * (one.sound + other.sound)
        if bounds == "einfeldt":
            mean = law.eigenvectors(left, right, axis, "roe")
            lowest.append(mean.velocity[axis] - mean.sound)
            highest.append(mean.velocity[axis] + mean.sound)
        else:
            lowest.append(other.velocity[axis] - other.sound)
            highest.append(one.velocity[axis] + one.sound)
    elif law.num_components == 1:
        lowest = highest = [
            jax.jvp(lambda u: law.flux(u, axis), (state,), (jnp.ones_like(state),))[1][0] for state in (left, right)
        ]
    else:
        highest = [
            jnp.sqrt(law.smooth_speed_squared(state, axis, delta)) if delta > 0 else law.max_speed(state, axis)
            for state in (left, right)
        ]
        lowest = [-speed for speed in highest]
    return -_larger(-lowest[0], -lowest[1], width), _larger(highest[0], highest[1], width), width


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

    For [`Euler`][undertow.laws.euler.Euler] in any dimension. **Arguments:** `bounds`: `einfeldt` (default: density and pressure
    stay positive at first order) or `davis`, cheaper, see [`wave_speeds`][undertow.schemes.fluxes.wave_speeds]; `delta`
    $\delta$, default 0.

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
        """Gas dynamics only."""
        if not isinstance(law, Euler):
            raise UndertowError(f"HLLC is for the Euler equations, got {type(law).__name__}; take HLL()")
        low, high, width = _wave_speeds(law, left, right, axis, self.bounds, self.delta)
        a, b = law.primitive(left), law.primitive(right)
        before, after = a[0] * (low - a[1 + axis]), b[0] * (high - b[1 + axis])
        # The denominator is below 0: both waves move away from the gas on their side.
        contact = (b[-1] - a[-1] + before * a[1 + axis] - after * b[1 + axis]) / (before - after)
        if self.delta > 0:
            one, other = (
                law.flux(u, axis) + share * (_between(law, state, u, speed, contact, axis) - law.flux(u, axis))
                for state, u, speed, share in (
                    (a, left, low, _above_zero(-low, width)),
                    (b, right, high, _above_zero(high, width)),
                )
            )
            return other + _above_zero(contact, width) * (one - other)
        leftward = contact >= 0  # the state on the face is the left one's
        state, u, speed = jnp.where(leftward, a, b), jnp.where(leftward, left, right), jnp.where(leftward, low, high)
        outside = jnp.where(leftward, low >= 0, high <= 0)
        return jnp.where(outside, law.flux(u, axis), _between(law, state, u, speed, contact, axis))


def _between(law: Euler, primitive: Array, u: Array, speed: Array, contact: Array, axis: int) -> Array:
    """The flux of the constant state between a contact and the fastest wave into the gas beside it."""
    density, velocity, pressure = primitive[0], primitive[1:-1], primitive[-1]
    normal = velocity[axis]
    flow = density * (speed - normal)
    width = 1 / (speed - contact)
    star = flow * width
    push = pressure + flow * (contact - normal)
    energy = ((speed - normal) * u[-1] - pressure * normal + push * contact) * width
    carried = [star * (contact if d == axis else velocity[d]) * contact for d in range(law.dimensions)]
    carried[axis] = carried[axis] + push
    return jnp.stack([star * contact, *carried, (energy + push) * contact])


FLUXES: dict[str, AbstractFlux] = {"hllc": HLLC(), "hll": HLL(), "lf": LaxFriedrichs()}
"""Numerical fluxes by name."""
