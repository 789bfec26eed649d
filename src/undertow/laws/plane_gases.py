r"""Gas dynamics in the plane: initial values with their law, domain, boundary and, where there is one, exact solution."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import is_traced, require, require_positive
from undertow._types import Scalar
from undertow.laws.conditions import as_float
from undertow.laws.euler import Euler
from undertow.laws.fields import AbstractField, PiecewiseStates
from undertow.laws.law import AbstractConservationLaw
from undertow.laws.sedov import sedov

_GAMMA = 1.4


def plane_gas(gamma: float | Float[Array, ""] = _GAMMA) -> Euler:
    r"""The Euler equations in two dimensions, with $\gamma$ as a leaf."""
    return Euler(as_float(gamma), dimensions=2)


def both(value: float) -> Float[Array, " axes"]:
    """The same for both axes."""
    return jnp.full(2, value)


class QuadrantGas(AbstractField):
    r"""Four constant states that meet at a point: the Riemann problem of the plane. Outflow all round.

    At an interface the value is the one to its left, or below.

    **Arguments:**

    - `states`: density, two velocities and pressure of the quadrants, `"4 4"`, counted counter-clockwise from the upper
        right one: $x > x_c, y > y_c$; $x < x_c, y > y_c$; $x < x_c, y < y_c$; $x > x_c, y < y_c$.
    - `center`: $(x_c, y_c)$, default (1/2, 1/2). `law`: default $\gamma = 1.4$. `lower`, `upper`: default the unit square.

    **Reference:** Lax and Liu (1998), SIAM J. Sci. Comput. 19, 319-340, section 3.
    """

    states: Float[Array, "quadrants chan"] = eqx.field(converter=as_float)
    center: Float[Array, " axes"] = eqx.field(converter=as_float, default=(0.5, 0.5))
    law: Euler = eqx.field(default_factory=plane_gas)
    lower: tuple[float, ...] = eqx.field(static=True, default=(0.0, 0.0))
    upper: tuple[float, ...] = eqx.field(static=True, default=(1.0, 1.0))

    def __check_init__(self):
        require(
            self.states.shape == (4, 4),
            f"four quadrants have states of shape (4, 4): density, two velocities, pressure; got {self.states.shape}",
        )

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    def __call__(self, *x):
        right, above = x[0] > self.center[0], x[1] > self.center[1]
        quadrant = jnp.where(above, jnp.where(right, 0, 1), jnp.where(right, 3, 2))
        return self.law.conserved(jnp.moveaxis(self.states[quadrant], -1, 0))


class IsentropicVortex(AbstractField):
    r"""A vortex that is carried along without changing. With $\bar x = x - x_c - v_\infty t$ and $r = |\bar x|$,

    $$v = v_\infty + \frac{\varepsilon}{2\pi} e^{(1 - r^2)/2}\,(-\bar y, \bar x), \qquad
      T = 1 - \frac{(\gamma - 1)\,\varepsilon^2}{8\gamma\pi^2} e^{1 - r^2}, \qquad
      \rho = T^{1/(\gamma - 1)}, \qquad p = \rho^\gamma .$$

    On the whole plane this solves the Euler equations exactly. Here the plane is a periodic box and the nearest image counts:
    where the box ends, half a length $L/2$ from the centre, the velocity jumps by up to twice
    $\frac{\varepsilon}{2\pi} \frac{L}{2} e^{(1 - L^2/4)/2}$ and the density has a kink. For $\varepsilon = 5$ that is 4.9e-5
    of the velocity for $L = 10$ (the usual box, and an error of its own that fine grids see), 5.1e-21 for $L = 20$.

    **Arguments:** `strength` $\varepsilon$, default 5; `velocity` $v_\infty$, default (1, 1); `center` $x_c$, default the
    middle of the box; `law`, default $\gamma = 1.4$; `lower`, `upper`: the box, default $[0, 10]^2$.

    **Raises:** `UndertowError` for a strength at which the temperature at the centre is not above 0.

    **Reference:** Shu (1998), ICASE report 97-65, section 5; Yee, Sandham and Djomehri (1999), J. Comput. Phys. 150.
    """

    strength: Scalar = eqx.field(converter=as_float, default=5.0)
    velocity: Float[Array, " axes"] = eqx.field(converter=as_float, default=(1.0, 1.0))
    center: Float[Array, " axes"] | None = None
    law: Euler = eqx.field(default_factory=plane_gas)
    lower: tuple[float, ...] = eqx.field(static=True, default=(0.0, 0.0))
    upper: tuple[float, ...] = eqx.field(static=True, default=(10.0, 10.0))

    def __check_init__(self):
        if is_traced(self.strength) or self.strength.ndim:
            return
        coldest = float(self._temperature(jnp.zeros(())))
        require(coldest > 0, f"a vortex of strength {float(self.strength):g} has no gas left at its centre; take less")

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(1.0)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def solvable(self) -> bool:
        return True

    def _temperature(self, square: Array) -> Array:
        gamma = self.law.gamma
        return 1 - (gamma - 1) * self.strength**2 / (8 * gamma * math.pi**2) * jnp.exp(1 - square)

    def __call__(self, *x):
        return self.exact(*x, time=0.0)

    def exact(self, *x, time):
        place = []
        for axis, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            middle = (low + high) / 2 if self.center is None else self.center[axis]
            offset = x[axis] - middle - self.velocity[axis] * time
            place.append((offset + (high - low) / 2) % (high - low) - (high - low) / 2)
        square = place[0] ** 2 + place[1] ** 2
        spin = self.strength / (2 * math.pi) * jnp.exp((1 - square) / 2)
        density = self._temperature(square) ** (1 / (self.law.gamma - 1))
        v = self.velocity[0] - spin * place[1], self.velocity[1] + spin * place[0]
        return self.law.conserved(jnp.stack([density, *v, density**self.law.gamma]))


class DensityWave(AbstractField):
    r"""$\rho = 1 + a \sin(k \cdot (x - v t))$ in a gas of constant velocity $v$ and pressure $p$: carried along.

    **Arguments:** `amplitude` $a$, default 0.2; `periods`: of the wave in the box along either axis, default (1, 1), whole
    numbers; `velocity` $v$, default (0.7, 0.3); `pressure` $p$, default 1; `law`, default $\gamma = 1.4$; `lower`, `upper`:
    the periodic box, default $[0, 2]^2$.

    **Reference:** Qiu and Shu (2002), J. Comput. Phys. 183, 187-209, example 3.3, with these defaults.
    """

    amplitude: Scalar = eqx.field(converter=as_float, default=0.2)
    periods: Float[Array, " axes"] = eqx.field(converter=as_float, default=(1.0, 1.0))
    velocity: Float[Array, " axes"] = eqx.field(converter=as_float, default=(0.7, 0.3))
    pressure: Scalar = eqx.field(converter=as_float, default=1.0)
    law: Euler = eqx.field(default_factory=plane_gas)
    lower: tuple[float, ...] = eqx.field(static=True, default=(0.0, 0.0))
    upper: tuple[float, ...] = eqx.field(static=True, default=(2.0, 2.0))

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(1.0)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def solvable(self) -> bool:
        return True

    def __call__(self, *x):
        return self.exact(*x, time=0.0)

    def exact(self, *x, time):
        turns = jnp.zeros_like(x[0])
        for axis, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            turns = turns + self.periods[axis] * (x[axis] - low - self.velocity[axis] * time) / (high - low)
        density = 1 + self.amplitude * jnp.sin(2 * math.pi * turns)
        rest = (jnp.full_like(density, value) for value in (self.velocity[0], self.velocity[1], self.pressure))
        return self.law.conserved(jnp.stack([density, *rest]))


class KelvinHelmholtz(AbstractField):
    r"""A layer of denser gas that streams through a thinner one the other way, with a disturbance to grow from.

    With the distance $s = \big||y - \tfrac12| - \tfrac14\big|$ from the nearer edge of the layer, density and velocity along
    $x$ are

    $$q = q_2 - \tfrac12 (q_2 - q_1)\,e^{-s/\ell} \text{ inside}, \qquad q = q_1 + \tfrac12 (q_2 - q_1)\,e^{-s/\ell}
      \text{ outside},$$

    $v_y = w \sin(4 \pi x)$ and $p$ is constant: continuous with a continuous derivative at the edges, so that all schemes
    converge to one solution.

    **Arguments:** `density` $(\rho_1, \rho_2)$ outside and inside, default (1, 2); `speed` $(u_1, u_2)$, default (1/2, -1/2);
    `thickness` $\ell$, default 0.025; `disturbance` $w$, default 0.01; `pressure` $p$, default 2.5; `law`, default
    $\gamma = 5/3$. The domain is the periodic unit square.

    **Reference:** McNally, Lyra and Passy (2012), Astrophys. J. Suppl. 201, 18, eqs. 1-4.
    """

    density: Float[Array, " sides"] = eqx.field(converter=as_float, default=(1.0, 2.0))
    speed: Float[Array, " sides"] = eqx.field(converter=as_float, default=(0.5, -0.5))
    thickness: Scalar = eqx.field(converter=as_float, default=0.025)
    disturbance: Scalar = eqx.field(converter=as_float, default=0.01)
    pressure: Scalar = eqx.field(converter=as_float, default=2.5)
    law: Euler = eqx.field(default_factory=lambda: plane_gas(5 / 3))

    @property
    def lower(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    @property
    def upper(self) -> tuple[float, ...]:
        return (1.0, 1.0)

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(1.0)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    def __call__(self, *x):
        height = jnp.abs(x[1] - 0.5)
        fade = 0.5 * jnp.exp(-jnp.abs(height - 0.25) / self.thickness)
        share = jnp.where(height < 0.25, 1 - fade, fade)  # of what is inside
        density, speed = (low + (high - low) * share for low, high in (self.density, self.speed))
        across = self.disturbance * jnp.sin(4 * math.pi * x[0])
        return self.law.conserved(jnp.stack([density, speed, across, jnp.full_like(density, self.pressure)]))


class SedovBlast(AbstractField):
    r"""A blast wave in a gas at rest: energy set free within a width $w$ of the origin,

    $$p = p_0 + (\gamma - 1) \frac{E}{\pi w^2} e^{-r^2/w^2}, \qquad \rho = \rho_0, \qquad v = 0 .$$

    The smooth spot holds the same energy on every grid: the sum over cells is $E$ to rounding once $w$ is two cells or more.
    The exact solution is that of a point explosion in a gas without pressure; while the shock is not much further out than
    $w$ it knows better than the field.

    On a quarter of the plane (`lower` = (0, 0)) the two ends through the origin are walls, and the others are open.

    **Arguments:** `energy` $E$ of the whole plane, per unit of length along the line, default 0.979264 (four times 0.244816: the
    shock is at 0.9988 at $t = 1$); `density` $\rho_0$, default 1; `background` $p_0$, default 1e-10; `width` $w$,
    default 0.02; `law`, default $\gamma = 1.4$; `lower`, `upper`: default $[0, 1.1]^2$.

    **Raises:** `UndertowError` for an energy, density or width that is not above 0.

    **Reference:** [`sedov`][undertow.laws.sedov.sedov]; Zhang and Shu (2010), J. Comput. Phys. 229, 8918-8934, section 4,
    who put the energy into one cell.
    """

    energy: Scalar = eqx.field(converter=as_float, default=4 * 0.244816)
    density: Scalar = eqx.field(converter=as_float, default=1.0)
    background: Scalar = eqx.field(converter=as_float, default=1e-10)
    width: Scalar = eqx.field(converter=as_float, default=0.02)
    law: Euler = eqx.field(default_factory=plane_gas)
    lower: tuple[float, ...] = eqx.field(static=True, default=(0.0, 0.0))
    upper: tuple[float, ...] = eqx.field(static=True, default=(1.1, 1.1))

    def __check_init__(self):
        for name in ("energy", "density", "width"):
            value = getattr(self, name)
            if not is_traced(value) and value.ndim == 0:
                require_positive(name, float(value))

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def reflective(self) -> Float[Array, "axes ends"]:
        return jnp.asarray([[float(low == 0), 0.0] for low in self.lower])

    @property
    def solvable(self) -> bool:
        return True

    def __call__(self, *x):
        square = (x[0] ** 2 + x[1] ** 2) / self.width**2
        spot = (self.law.gamma - 1) * self.energy / (math.pi * self.width**2) * jnp.exp(-square)
        rest = jnp.zeros_like(spot)
        return self.law.conserved(jnp.stack([rest + self.density, rest, rest, self.background + spot]))

    def exact(self, *x, time):
        """The point explosion, at `time` 0 the initial state, computed on the host: it may be jitted and mapped, and has no
        derivative."""
        r = jnp.sqrt(x[0] ** 2 + x[1] ** 2)

        def host(r, time, energy, density, gamma):
            numbers = {"energy": float(energy), "density": float(density), "gamma": float(gamma)}
            return np.stack(sedov(np.asarray(r), float(time), dimensions=2, **numbers)).astype(r.dtype)

        shape = jax.ShapeDtypeStruct((3, *r.shape), r.dtype)
        later = jnp.asarray(time) > 0
        arguments = (r, jnp.where(later, time, 1.0), self.energy, self.density, jnp.asarray(self.law.gamma))
        density, speed, pressure = jax.pure_callback(host, shape, *arguments, vmap_method="sequential")
        along = speed / jnp.where(r > 0, r, 1.0)
        found = self.law.conserved(jnp.stack([density, along * x[0], along * x[1], pressure]))
        return jnp.where(later, found, self(*x))


class ExtrudedGas(AbstractField):
    r"""A one-dimensional gas problem along one axis of the plane, the same everywhere across it.

    The domain is a square; across it, the boundary is outflow.

    **Arguments:** `gas`: the problem in one dimension; `axis`: along which it lies, 0 (default) or 1; static.
    """

    gas: PiecewiseStates
    axis: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        require(self.axis in (0, 1), f"axis must be 0 or 1, got {self.axis!r}")

    @property
    def law(self) -> AbstractConservationLaw:
        return dataclasses.replace(self.gas.law, dimensions=2)

    @property
    def lower(self) -> tuple[float, ...]:
        return self.gas.lower * 2

    @property
    def upper(self) -> tuple[float, ...]:
        return self.gas.upper * 2

    def _along(self, kind: Float[Array, " axes"]) -> Float[Array, " axes"]:
        return jnp.where(jnp.arange(2) == self.axis, kind, 0.0)

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return self._along(self.gas.periodic)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return self._along(self.gas.reflective)

    @property
    def solvable(self) -> bool:
        return self.gas.solvable

    def _laid(self, u: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        momenta = (u[1], jnp.zeros_like(u[1]))
        return jnp.stack([u[0], *momenta[:: 1 if self.axis == 0 else -1], u[2]])

    def __call__(self, *x):
        return self._laid(self.gas(x[self.axis]))

    def exact(self, *x, time):
        return self._laid(self.gas.exact(x[self.axis], time=time))
