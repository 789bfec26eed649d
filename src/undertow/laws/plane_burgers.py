r"""Burgers' equation in the plane: initial values with their law, domain and boundary.

The scalar equation $u_t + (u^2/2)_x + (u^2/2)_y = 0$ moves everything along the diagonal: with $s = (x + y)/2$ and
$d = (x - y)/2$ it is $u_t + (u^2/2)_s = 0$, one equation in one dimension for every $d$. Where the data along a diagonal are a
known condition, the exact solution in one dimension is that of the plane, at any time.
"""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._types import Key, Scalar
from undertow.laws.burgers import Burgers
from undertow.laws.burgers_conditions import random_condition
from undertow.laws.burgers_exact import burgers_exact
from undertow.laws.conditions import AbstractCondition, GaussianCondition, RandomCondition, SineCondition, as_float
from undertow.laws.fields import AbstractField
from undertow.laws.plane_gases import both
from undertow.laws.vector_burgers import VectorBurgers


def _pointwise(points: Float[Array, "*cells"], solve) -> Float[Array, "1 *cells"]:
    return solve(points.reshape(-1)).reshape(points.shape)[None]


class DiagonalSine(AbstractField):
    r"""$u_0 = a + b \sin\big(\tfrac{\pi}{2} (x + y)\big)$ on a periodic square of length 4: the published case `jsz7`.

    With $b > 0$ it breaks along lines across the diagonal at $t = 1/(\pi b)$.

    **Arguments:** `mean` $a$, default 1/2; `amplitude` $b$, default 1.

    **Reference:** Jiang, Shu and Zhang (2013), SIAM J. Sci. Comput. 35, A1137-A1160, example 7; arXiv 2203.08937, code.
    """

    mean: Scalar = eqx.field(converter=as_float, default=0.5)
    amplitude: Scalar = eqx.field(converter=as_float, default=1.0)

    @property
    def law(self) -> Burgers:
        return Burgers()

    @property
    def lower(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    @property
    def upper(self) -> tuple[float, ...]:
        return (4.0, 4.0)

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
        return (self.mean + self.amplitude * jnp.sin(math.pi / 2 * (x[0] + x[1])))[None]

    def exact(self, *x, time):
        line = SineCondition(self.mean, self.amplitude, math.pi, boundary="periodic", domain=(0.0, 2.0))
        return _pointwise((x[0] + x[1]) / 2, lambda s: burgers_exact(line, s % 2.0, time))


class GaussianHill(AbstractField):
    r"""$u_0 = a + b \exp\big(-|x - c|^2 / 2\sigma^2\big)$ on the unit square, outflow.

    Along a diagonal this is a Gaussian again, of the height $b\,e^{-d^2/\sigma^2}$ and the same width. The exact solution is
    that of the whole plane, which the square follows until the hill reaches its edge: at $t = 0.2$ it is 1e-7 there.

    **Arguments:** `base` $a$, default 0; `height` $b$, default 1; `width` $\sigma$, default 0.091. The centre is the
    square's.

    **Reference:** arXiv 2203.08937, code.
    """

    base: Scalar = eqx.field(converter=as_float, default=0.0)
    height: Scalar = eqx.field(converter=as_float, default=1.0)
    width: Scalar = eqx.field(converter=as_float, default=0.091)

    @property
    def law(self) -> Burgers:
        return Burgers()

    @property
    def lower(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    @property
    def upper(self) -> tuple[float, ...]:
        return (1.0, 1.0)

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def solvable(self) -> bool:
        return True

    def __call__(self, *x):
        square = (x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2
        return (self.base + self.height * jnp.exp(-square / (2 * self.width**2)))[None]

    def exact(self, *x, time):

        def point(at):
            s, d = at
            height = self.height * jnp.exp(-((d / self.width) ** 2))
            # The line goes on well beyond the square, so that the condition does not end where the diagonal does.
            line = GaussianCondition(self.base, height, 1 / self.width**2, 0.5, boundary="outflow", domain=(-0.5, 1.5))
            return burgers_exact(line, s[None], time)[0]

        s, d = (x[0] + x[1]) / 2, (x[0] - x[1]) / 2
        values = jax.lax.map(point, (s.reshape(-1), d.reshape(-1)), batch_size=64)
        return values.reshape(s.shape)[None]


class CombinedBurgers(AbstractField):
    r"""$u_0 = f(x) + g(y)$ of two conditions in one dimension, each with its own boundary along its axis.

    With `y` = None the condition `x`, or with `axis` = 1 along the other axis, is the same everywhere across, where the boundary
    is outflow, and its exact solution is known: the published cases `1d-<condition>-<axis>`.

    **Arguments:** `x`: the condition $f$; `y`: $g$, default None; `axis`: of `x` if it is alone, 0 (default) or 1; static.

    **Raises:** `UndertowError` for a condition with a boundary that is neither periodic nor outflow.

    **Reference:** arXiv 2203.08937, code.
    """

    x: AbstractCondition
    y: AbstractCondition | None = None
    axis: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        require(self.axis in (0, 1), f"axis must be 0 or 1, got {self.axis!r}")
        require(self.y is None or self.axis == 0, "two conditions lie along x and y; leave axis out")
        for each in (self.x, self.y):
            kind = "outflow" if each is None else each.boundary
            require(
                kind in ("periodic", "outflow", "mixed"),
                f"a plane is periodic or outflow along an axis, got a condition with the boundary {kind!r}",
            )

    @property
    def law(self) -> Burgers:
        return Burgers()

    def _by_axis(self) -> tuple[AbstractCondition | None, AbstractCondition | None]:
        return (self.x, self.y) if self.axis == 0 else (None, self.x)

    @property
    def lower(self) -> tuple[float, ...]:
        return tuple((each or self.x).domain[0] for each in self._by_axis())

    @property
    def upper(self) -> tuple[float, ...]:
        return tuple((each or self.x).domain[1] for each in self._by_axis())

    @property
    def periodic(self) -> Float[Array, " axes"]:
        return jnp.stack([jnp.zeros(()) if each is None else each.periodic for each in self._by_axis()])

    @property
    def reflective(self) -> Float[Array, " axes"]:
        return both(0.0)

    @property
    def solvable(self) -> bool:
        return self.y is None

    @property
    def line(self) -> AbstractCondition | None:
        return self.x if self.solvable else None

    def __call__(self, *x):
        parts = [each(at) for each, at in zip(self._by_axis(), x, strict=True) if each is not None]
        return sum(parts[1:], parts[0])[None]

    def exact(self, *x, time):
        if not self.solvable:
            return super().exact(*x, time=time)
        return _pointwise(x[self.axis], lambda at: burgers_exact(self.x, at, time))


class VelocityWaves(AbstractField):
    r"""$u_0 = \big(1 + a \sin 2\pi(x + y),\; \tfrac12 + a \cos 2\pi(x - y)\big)$ on the periodic unit square, for Burgers'
    equation of a velocity: two trains of waves that cross, and break into shocks.

    **Arguments:** `amplitude` $a$, default 1/4.
    """

    amplitude: Scalar = eqx.field(converter=as_float, default=0.25)

    @property
    def law(self) -> VectorBurgers:
        return VectorBurgers()

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
        turn, other = 2 * math.pi * (x[0] + x[1]), 2 * math.pi * (x[0] - x[1])
        return jnp.stack([1 + self.amplitude * jnp.sin(turn), 0.5 + self.amplitude * jnp.cos(other)])


def random_plane(key: Key) -> CombinedBurgers:
    r"""$u_0 = \tfrac12 (f(x) + g(y))$ with two conditions of the scalar family: random data for Burgers' equation on the unit
    square, smooth or broken along lines, periodic or open along either axis."""

    def half(condition: RandomCondition) -> RandomCondition:
        parts = (condition.mean, condition.amplitudes, condition.coefficients)
        return eqx.tree_at(lambda c: (c.mean, c.amplitudes, c.coefficients), condition, [part / 2 for part in parts])

    one, other = jax.random.split(key)
    parts = half(random_condition(one)), half(random_condition(other))
    make: Callable[..., CombinedBurgers] = CombinedBurgers  # its abstract attributes are properties, not arguments
    return make(*parts)
