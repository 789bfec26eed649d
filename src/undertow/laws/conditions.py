r"""Initial conditions in one space dimension: functions that know their integral, their jumps and their boundary.

A condition is more than $x \mapsto u_0(x)$. An exact solution of a scalar conservation law needs the primitive
$U_0(x) = \int_{x_{min}}^x u_0(s)\,ds$ and the places where $u_0$ is not smooth, so every condition carries both. The
building blocks here are named for their shape; the Burgers conditions made of them are in `burgers_conditions`.
"""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow._checks import UndertowError, is_traced, require
from undertow._tree import as_pytree
from undertow._types import Array, ArrayLike, Float, Scalar


def as_float(value: ArrayLike) -> Array:
    """`value` as a floating array of its own precision; integers become the default float."""
    array = jnp.asarray(value)
    return array.astype(jnp.result_type(array, float))


class AbstractCondition(eqx.Module):
    r"""A function $u_0$ on an interval, with everything an exact solver asks about it.

    - `domain`: the interval $(x_{min}, x_{max})$; static.
    - `boundary`: name of the boundary the condition is meant for (`periodic`, `outflow`, `linear`, ...); static.
        `RandomCondition` says `mixed` here, because there `periodic` decides.
    - `periodic`: 1.0 if $u_0$ repeats beyond the domain, 0.0 if not; an array, so that it may differ within a batch.

    All array attributes are leaves of the pytree: a batch of conditions is one condition with a leading axis on every
    leaf, to be used under `jax.vmap`.
    """

    domain: eqx.AbstractVar[tuple[float, float]]
    boundary: eqx.AbstractVar[str]
    periodic: eqx.AbstractVar[Scalar]

    @abc.abstractmethod
    def __call__(self, x: Float[Array, " cells"]) -> Float[Array, " cells"]:
        r"""$u_0(x)$, point values for $x$ inside the domain. At a jump: the value to its left."""

    @abc.abstractmethod
    def primitive(self, x: Float[Array, " cells"]) -> Float[Array, " cells"]:
        r"""$U_0(x) = \int_{x_{min}}^x u_0(s)\,ds$ for $x$ inside the domain."""

    @property
    @abc.abstractmethod
    def breakpoints(self) -> Float[Array, " breaks"]:
        """Positions of the jumps and kinks of $u_0$, in any order; how many is fixed by the class and its sizes."""


class AbstractPlainCondition(AbstractCondition):
    """A condition whose boundary is known when it is built.

    **Arguments:** `boundary`: its name, no default; `domain`: $(x_{min}, x_{max})$, default (0.0, 1.0). Keyword only.

    **Raises:** `UndertowError` for a boundary that is not a name, or an empty domain.
    """

    boundary: str = eqx.field(static=True, kw_only=True)
    domain: tuple[float, float] = eqx.field(static=True, kw_only=True, default=(0.0, 1.0))

    def __check_init__(self):
        require(
            isinstance(self.boundary, str),
            f"a condition needs its boundary by name, got {self.boundary!r}; pass boundary='periodic' or 'outflow'",
        )
        require(
            len(self.domain) == 2 and self.domain[0] < self.domain[1],
            f"domain must be (x_min, x_max) with x_min < x_max, got {self.domain!r}",
        )

    @property
    def periodic(self) -> Scalar:
        return jnp.asarray(float(self.boundary == "periodic"))


# --- kernels: one place per formula; x may have any shape -----------------------------------------------------------


def sines(x: Array, amplitudes: Array, frequencies: Array, phases: Array) -> Array:
    """sum_k a_k sin(w_k x + phi_k), with the angular frequencies w in radians per length."""
    return jnp.sum(amplitudes * jnp.sin(x[..., None] * frequencies + phases), axis=-1)


def sines_primitive(x: Array, start: ArrayLike, amplitudes: Array, frequencies: Array, phases: Array) -> Array:
    """int_start^x of `sines`. The product form of cos - cos neither cancels near `start` nor divides by w = 0."""
    half = (x[..., None] - start) / 2
    mean_angle = (x[..., None] + start) / 2 * frequencies + phases
    return jnp.sum(2 * amplitudes * half * jnp.sinc(half * frequencies / jnp.pi) * jnp.sin(mean_angle), axis=-1)


def piecewise(x: Array, positions: Array, coefficients: Array) -> Array:
    """The polynomial sum_d c[i, d] x^d of the piece i that x lies in; piece i reaches from position i-1 to i.

    A point on a position belongs to the piece on its left.
    """
    piece = jnp.sum(x[..., None] > positions, axis=-1)
    return _horner(x, coefficients[piece])


def piecewise_primitive(x: Array, domain: tuple[float, float], positions: Array, coefficients: Array) -> Array:
    """int_{x_min}^x of `piecewise`, for sorted positions (those outside the domain count as its edges)."""
    degrees = jnp.arange(1, coefficients.shape[-1] + 1)
    antiderivative = jnp.concatenate([jnp.zeros_like(coefficients[:, :1]), coefficients / degrees], axis=-1)
    inner = jnp.clip(positions, *domain)
    left = jnp.concatenate([jnp.full_like(inner, domain[0], shape=(1,)), inner])
    right = jnp.concatenate([inner, jnp.full_like(inner, domain[1], shape=(1,))])
    reached = jnp.clip(x[..., None], left, right)
    return jnp.sum(_horner(reached, antiderivative) - _horner(left, antiderivative), axis=-1)


def _horner(x: Array, coefficients: Array) -> Array:
    """sum_d c[..., d] x^d, lowest degree first."""
    value = coefficients[..., -1]
    for degree in range(coefficients.shape[-1] - 2, -1, -1):
        value = value * x + coefficients[..., degree]
    return jnp.broadcast_to(value, jnp.broadcast_shapes(jnp.shape(x), value.shape))


def gauss_primitive(function: Callable[[Array], Array], x: Array, edges: Array, num_nodes: int = 10) -> Array:
    """int_{edges[0]}^x of `function` by Gauss-Legendre quadrature on each panel between sorted `edges`.

    Exact to rounding where the function is smooth at the scale of a panel; put its jumps among the edges.
    """
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)

    def integral(low, high):
        half = (high - low) / 2
        points = (low + high)[:, None] / 2 + half[:, None] * nodes
        return half * (function(points.reshape(-1)).reshape(points.shape) @ weights)

    flat = x.reshape(-1)
    table = jnp.concatenate([jnp.zeros_like(edges[:1]), jnp.cumsum(integral(edges[:-1], edges[1:]))])
    panel = jnp.clip(jnp.searchsorted(edges, flat, side="right") - 1, 0, edges.shape[0] - 2)
    return (table[panel] + integral(edges[panel], flat)).reshape(x.shape)


# --- building blocks ------------------------------------------------------------------------------------------------


class SineCondition(AbstractPlainCondition):
    r"""$u_0(x) = a + b \sin(\omega x + \varphi)$.

    **Arguments:** `mean` $a$; `amplitude` $b$; `frequency` $\omega$, radians per length; `phase` $\varphi$, radians,
    default 0.
    """

    mean: Scalar = eqx.field(converter=as_float)
    amplitude: Scalar = eqx.field(converter=as_float)
    frequency: Scalar = eqx.field(converter=as_float)
    phase: Scalar = eqx.field(converter=as_float, default=0.0)

    def _wave(self) -> tuple[Array, Array, Array]:
        return self.amplitude[None], self.frequency[None], self.phase[None]

    def __call__(self, x):
        return self.mean + sines(x, *self._wave())

    def primitive(self, x):
        return self.mean * (x - self.domain[0]) + sines_primitive(x, self.domain[0], *self._wave())

    @property
    def breakpoints(self):
        return jnp.zeros((0,), self.mean.dtype)


class TanhCondition(AbstractPlainCondition):
    r"""$u_0(x) = C + A \tanh(k (x - b))$: a smooth rarefaction for $A k > 0$, a shock in the making for $A k < 0$.

    **Arguments:** `mean` $C$; `amplitude` $A$; `steepness` $k \ne 0$; `center` $b$.
    """

    mean: Scalar = eqx.field(converter=as_float)
    amplitude: Scalar = eqx.field(converter=as_float)
    steepness: Scalar = eqx.field(converter=as_float)
    center: Scalar = eqx.field(converter=as_float)

    def __check_init__(self):
        known = not is_traced(self.steepness) and self.steepness.shape == ()
        require(
            not known or float(self.steepness) != 0, "the steepness k must not be 0, which makes a constant of tanh"
        )

    def __call__(self, x):
        return self.mean + self.amplitude * jnp.tanh(self.steepness * (x - self.center))

    def primitive(self, x):
        def log_2cosh(z):
            return jnp.logaddexp(z, -z)

        start = self.domain[0]
        rise = log_2cosh(self.steepness * (x - self.center)) - log_2cosh(self.steepness * (start - self.center))
        return self.mean * (x - start) + self.amplitude / self.steepness * rise

    @property
    def breakpoints(self):
        return jnp.zeros((0,), self.mean.dtype)


class GaussianCondition(AbstractPlainCondition):
    r"""$u_0(x) = a + h\,e^{-r (x - c)^2}$.

    **Arguments:** `base` $a$; `height` $h$; `rate` $r > 0$; `center` $c$.
    """

    base: Scalar = eqx.field(converter=as_float)
    height: Scalar = eqx.field(converter=as_float)
    rate: Scalar = eqx.field(converter=as_float)
    center: Scalar = eqx.field(converter=as_float)

    def __call__(self, x):
        return self.base + self.height * jnp.exp(-self.rate * (x - self.center) ** 2)

    def primitive(self, x):
        start, root = self.domain[0], jnp.sqrt(self.rate)
        bell = jax.scipy.special.erf(root * (x - self.center)) - jax.scipy.special.erf(root * (start - self.center))
        return self.base * (x - start) + self.height * jnp.sqrt(jnp.pi) / (2 * root) * bell

    @property
    def breakpoints(self):
        return jnp.zeros((0,), self.base.dtype)


class WindowedSineCondition(AbstractPlainCondition):
    r"""$u_0(x) = a + b \sin(2 \pi (x - s) / (e - s))$ for $s < x < e$, and $a$ elsewhere.

    **Arguments:** `mean` $a$; `amplitude` $b$; `start` $s$; `end` $e$.
    """

    mean: Scalar = eqx.field(converter=as_float)
    amplitude: Scalar = eqx.field(converter=as_float)
    start: Scalar = eqx.field(converter=as_float)
    end: Scalar = eqx.field(converter=as_float)

    def _turns(self, x):
        return jnp.clip((x - self.start) / (self.end - self.start), 0, 1)

    def __call__(self, x):
        inside = (x > self.start) & (x < self.end)
        return self.mean + jnp.where(inside, self.amplitude * jnp.sin(2 * jnp.pi * self._turns(x)), 0)

    def primitive(self, x):
        start = self.domain[0]
        rise = jnp.sin(jnp.pi * self._turns(x)) ** 2 - jnp.sin(jnp.pi * self._turns(start)) ** 2
        return self.mean * (x - start) + self.amplitude * (self.end - self.start) / jnp.pi * rise

    @property
    def breakpoints(self):
        return jnp.stack([self.start, self.end])


class PiecewisePolynomial(AbstractPlainCondition):
    r"""$u_0(x) = \sum_d c_{id}\, x^d$ on piece $i$, the interval between positions $i-1$ and $i$.

    **Arguments:** `positions`: where the pieces meet, `"breaks"`, sorted; a point exactly on one belongs to the piece
    on its left. `coefficients`: $c$, `"breaks+1 degree+1"`, lowest degree first.
    """

    positions: Float[Array, " breaks"] = eqx.field(converter=as_float)
    coefficients: Float[Array, "pieces degrees"] = eqx.field(converter=as_float)

    def __call__(self, x):
        return piecewise(x, self.positions, self.coefficients)

    def primitive(self, x):
        return piecewise_primitive(x, self.domain, self.positions, self.coefficients)

    @property
    def breakpoints(self):
        return self.positions


class CallableCondition(AbstractPlainCondition):
    r"""$u_0$ is a function of your own, integrated by composite Gauss quadrature between its jumps.

    **Arguments:**

    - `function`: $x \mapsto u_0(x)$, `"cells"` to the same shape, written with `jax.numpy`.
    - `boundary`: what happens beyond the domain; required, because a function does not say it.
    - `jumps`: positions of its jumps and kinks, any order, default none. A jump that is not listed costs the exact
        solution its accuracy near that jump.
    - `domain`: $(x_{min}, x_{max})$, default (0.0, 1.0).
    - `num_panels`: quadrature panels over the domain, 10 Gauss nodes each, default 64; static.

    **Raises:** `UndertowError` without a boundary, or for a function that does not keep the shape of `x`.
    """

    function: Callable = eqx.field(converter=as_pytree)
    jumps: Float[Array, " breaks"]
    num_panels: int = eqx.field(static=True)

    def __init__(
        self,
        function: Callable,
        boundary: str | None = None,
        jumps: Sequence[float] | Array = (),
        domain: tuple[float, float] = (0.0, 1.0),
        num_panels: int = 64,
    ):
        require(callable(function), f"a condition must be a function of x, got {function!r}")
        if not isinstance(boundary, str):
            raise UndertowError(
                f"a condition of your own needs its boundary by name, got {boundary!r}; "
                "pass boundary='periodic' or boundary='outflow'"
            )
        self.function = function
        self.boundary = boundary
        self.jumps = as_float(jumps)
        self.domain = domain
        self.num_panels = num_panels
        _check_elementwise(self.function)

    def __call__(self, x):
        return self.function(x)

    def primitive(self, x):
        jumps = jnp.clip(self.jumps, *self.domain)
        edges = jnp.linspace(*self.domain, self.num_panels + 1, dtype=x.dtype)
        return gauss_primitive(self.function, x, jnp.sort(jnp.concatenate([edges, jumps.astype(x.dtype)])))

    @property
    def breakpoints(self):
        return self.jumps


def _check_elementwise(function: Callable) -> None:
    asked = "a condition must be written with jax.numpy and map x of shape (n,) to u of shape (n,)"
    try:
        result = eqx.filter_eval_shape(function, jax.ShapeDtypeStruct((3,), jnp.result_type(float)))
    except (TypeError, ValueError, AttributeError) as error:
        require(False, f"{asked}; calling it failed: {str(error).splitlines()[0] if str(error) else error!r}")
    shape = getattr(result, "shape", ())
    require(shape == (3,), f"{asked}; for n = 3 it returned shape {shape}")


class RandomCondition(AbstractCondition):
    r"""$u_0(x) = m + \sum_k a_k \sin(2\pi k (x - x_{min}) / L + \varphi_k) + c_{i0} + c_{i1} x$ on piece $i$.

    One structure for smooth, piecewise and mixed data with either boundary, so that one compiled program serves a batch
    of all of them: everything that tells two samples apart is an array.
    [`random_condition`][undertow.laws.burgers_conditions.random_condition] draws it.

    **Arguments:**

    - `mean`: $m$; `amplitudes`: $a$, `"modes"`, for $k = 1, 2, \dots$; `phases`: $\varphi$, `"modes"`, radians.
    - `positions`: where the pieces meet, `"breaks"`, sorted; `coefficients`: $c$, `"breaks+1 2"`, constant and slope.
    - `periodic`: 1.0 for a periodic sample, 0.0 for one that is continued by constants (outflow).
    """

    mean: Scalar = eqx.field(converter=as_float)
    amplitudes: Float[Array, " modes"] = eqx.field(converter=as_float)
    phases: Float[Array, " modes"] = eqx.field(converter=as_float)
    positions: Float[Array, " breaks"] = eqx.field(converter=as_float)
    coefficients: Float[Array, "pieces 2"] = eqx.field(converter=as_float)
    periodic: Scalar = eqx.field(converter=as_float)
    boundary: str = eqx.field(static=True, default="mixed")
    domain: tuple[float, float] = eqx.field(static=True, default=(0.0, 1.0))

    def _waves(self) -> tuple[Array, Array, Array]:
        frequencies = 2 * jnp.pi * jnp.arange(1, self.amplitudes.shape[0] + 1) / (self.domain[1] - self.domain[0])
        return self.amplitudes, frequencies, self.phases - frequencies * self.domain[0]

    def __call__(self, x):
        return self.mean + sines(x, *self._waves()) + piecewise(x, self.positions, self.coefficients)

    def primitive(self, x):
        start = self.domain[0]
        smooth = self.mean * (x - start) + sines_primitive(x, start, *self._waves())
        return smooth + piecewise_primitive(x, self.domain, self.positions, self.coefficients)

    @property
    def breakpoints(self):
        return self.positions
