"""What a conservation law has to say for itself."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
import abc
import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Literal, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from undertow._checks import UndertowError, Within, calling, constant, refuse_unknown, require, shown
from undertow._types import ArrayLike
from undertow.laws.conditions import AbstractCondition
from undertow.numerics.reductions import largest, mean, smallest

Mean = Literal["arithmetic", "roe"]
"""How the state at a face is made of its two neighbours, for eigenvectors: the mean of the conserved values, or Roe's."""

Bounds = Literal["davis", "einfeldt"]
"""How the fastest waves between two states are bounded: by those of the two, or with the help of Roe's mean."""

Reconstruction = Literal["component", "characteristic"]
"""What is reconstructed of a system: every conserved component by itself, or characteristic fields."""

Floor = float | Float[Array, ""] | None
"""The least value of a quantity that has to be positive; None: nothing but 0 is known of the problem's units."""


VISCOSITY = partial(constant, "viscosity", within=Within(at_least=0))
"""What makes a viscosity of what is given, for the laws that have one."""


class AbstractBasis(eqx.Module):
    r"""The eigenvectors of the flux's Jacobian at every face along one axis: $A = R\,\Lambda\,L$ with $L R = 1$.

    Scale them such that $L f$ has no unit and is of order one: weights compare squares of its differences with a number.
    """

    @abc.abstractmethod
    def project(self, q: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$L q$: from conserved values (or their fluxes) to characteristic fields."""

    @abc.abstractmethod
    def expand(self, a: Float[Array, "chan *faces"]) -> Float[Array, "chan *faces"]:
        """$R a$: from characteristic fields back."""


class Signal(NamedTuple):
    """What bounds the characteristic speeds of a state: none of them is further from `middle` than `spread`.

    `unit`: a speed to measure small differences of such bounds by, a sound speed where there is one.
    """

    middle: Float[Array, "*places"]
    spread: Float[Array, "*places"]
    unit: Float[Array, "*places"] | float = 1.0


class AbstractConservationLaw(eqx.Module):
    r"""$u_t + \sum_d f_d(u)_{x_d} = \nu\,\nabla^2 u$. One file per law; constants are leaves.

    Beside the equation a law answers what solvers, tables and pictures ask about it. Only what has no default has to be said.

    - `formula`: the flux in words, for what is exported; None (default): not said.
    - `basis_formula`: the same of how a characteristic reconstruction uses the eigenvectors.
    - `reconstruction`: the usual one of a system, `component` (default) or `characteristic`.
    - `exact_boundaries`: the boundaries of scalar conditions with which `exact` knows the solution without viscosity; none by
        default.
    - `has_contact`: whether [`HLLC`][undertow.schemes.fluxes.HLLC] may ask for `contact` and `beside`; default False.
    """

    formula: ClassVar[str | None] = None
    basis_formula: ClassVar[str | None] = None
    reconstruction: ClassVar[Reconstruction] = "component"
    exact_boundaries: ClassVar[tuple[str, ...]] = ()
    has_contact: ClassVar[bool] = False

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
    def has_source(self) -> bool:
        """Whether the random sources of configurations and games may be added to it: to a scalar law."""
        return self.num_components == 1

    @property
    def field_names(self) -> tuple[str, ...]:
        """One short name per characteristic field, from the slowest to the fastest."""
        return tuple(f"field {c}" for c in range(self.num_components))

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

        Here $s^2 = \max|\lambda|^2 + \delta^2 \langle\max|\lambda|^2\rangle$ with the mean along `axis`, so that $\delta$ has no
        unit. That is enough where `max_speed` is the absolute value of something smooth; a law with a speed like $|v| + c$
        says it itself, with $\delta$ in units of $c$."""
        square = self.max_speed(u, axis) ** 2
        average = mean(square, axis, keepdims=True)
        # Where everything is at rest, the root of the smallest number still has a derivative, and that of 0 has none.
        return square + delta**2 * average + jnp.finfo(u.dtype).tiny

    @abc.abstractmethod
    def parity(self, axis: int) -> tuple[float, ...]:
        """One number per component: -1 where it changes sign at a wall normal to `axis`, else 1."""

    def signal(self, u: Float[Array, "chan *places"], axis: int, delta: float = 0.0) -> Signal:
        r"""Bounds of the characteristic speeds of `u` along `axis`: of a scalar law $f'(u)$, of any other $\mp$ `max_speed`, with
        `delta` > 0 a smooth one."""
        if self.num_components == 1:
            speed = jax.jvp(lambda u: self.flux(u, axis), (u,), (jnp.ones_like(u),))[1][0]
            return Signal(speed, jnp.zeros_like(speed))
        fastest = jnp.sqrt(self.smooth_speed_squared(u, axis, delta)) if delta > 0 else self.max_speed(u, axis)
        return Signal(jnp.zeros_like(fastest), fastest)

    def mean_signal(
        self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int
    ) -> Signal | None:
        """The bounds of Roe's mean of two states; None (default) where no such mean is known."""
        return None

    def contact(
        self,
        left: Float[Array, "chan *faces"],
        right: Float[Array, "chan *faces"],
        low: Float[Array, "*faces"],
        high: Float[Array, "*faces"],
        axis: int,
    ) -> Float[Array, "*faces"]:
        """The speed of the contact between two states whose slowest and fastest waves have the speeds `low` and `high`."""
        raise NotImplementedError

    def beside(
        self, u: Float[Array, "chan *faces"], speed: Float[Array, "*faces"], contact: Float[Array, "*faces"], axis: int
    ) -> Float[Array, "chan *faces"]:
        """The flux of the constant state between a `contact` and the wave of this `speed` into the state `u` on its side."""
        raise NotImplementedError

    def exact(self, condition: AbstractCondition, x: Float[Array, " cells"], t: ArrayLike) -> Float[Array, " cells"]:
        """Point values of the exact (entropy) solution from one scalar condition, for the `exact_boundaries`."""
        raise NotImplementedError

    def exact_holds(self, condition: AbstractCondition, t: ArrayLike) -> Bool[Array, ""]:
        """Whether `exact` is what the condition's boundary lets happen until the time `t`; by default always."""
        return jnp.asarray(True)

    def exact_certain(self, condition: AbstractCondition) -> Bool[Array, ""]:
        """Whether that is known at any time with nothing solved; by default it is."""
        return jnp.asarray(True)

    def riemann(
        self,
        left: Float[Array, " chan"],
        right: Float[Array, " chan"],
        x: Float[Array, "*points"],
        x0: ArrayLike,
        t: ArrayLike,
    ) -> Float[Array, "chan *points"]:
        """The exact solution from two constant states that meet at `x0`, primitive values as `left` and `right` are. Raises
        `UndertowError` where it is not known."""
        raise UndertowError(
            f"{type(self).__name__} has no exact solution of its Riemann problem here; take riemann=False"
        )

    def conserved(self, primitive: Float[Array, "chan *cells"]) -> Float[Array, "chan *cells"]:
        """Primitive values, in which states are usually given, to conserved ones; by default they are the same."""
        return primitive

    @property
    def speed_powers(self) -> tuple[int, ...]:
        """By which power of a factor every component grows, primitive or conserved, where all speeds grow by the factor (with
        the constants of `faster`)."""
        raise UndertowError(f"{type(self).__name__} does not say what another unit of time makes of its components")

    def faster(self, factor: float | Float[Array, ""]) -> Self:
        """The same law with its constants in a unit of time in which all speeds are `factor` times as large."""
        return self

    def quantities(self, u: Float[Array, "chan *cells"]) -> dict[str, Float[Array, "*cells"]]:
        """What to look at in a state, by name: by default the components."""
        return dict(zip(self.component_names, u, strict=True))

    def extremes(self, u: Float[Array, "chan *cells"]) -> dict[str, Float[Array, ""]]:
        """Numbers for a table about a state by name, beside what every law has there; none by default."""
        return {}

    def eigenvectors(
        self, left: Float[Array, "chan *faces"], right: Float[Array, "chan *faces"], axis: int, mean: Mean
    ) -> AbstractBasis:
        """The eigenvectors at the faces between `left` and `right`. Raises `UndertowError` if the law has none to offer."""
        raise UndertowError(f"{type(self).__name__} has no eigenvectors; take reconstruction='component'")

    def relative_to(self, u: Float[Array, "chan *cells"], share: float | None = None) -> Self:
        """This law with the floors that nobody has named set relative to the state `u`; the same law where it has none.

        A floor has a unit. Only a state of the problem tells what is small in it: the initial one, at the door of `simulate`,
        `solve` and whatever makes environments.

        `share`: what floors are of the largest values, instead of the law's own choice (default None)."""
        return self

    def positive(self, u: Float[Array, "chan *cells"]) -> tuple[Float[Array, "*cells"], ...]:
        """What must stay positive for the state to be physical (concave functions of it), cell by cell; nothing by default."""
        return ()

    @property
    def positive_names(self) -> tuple[str, ...]:
        """What `positive` returns, for people."""
        return ()

    def reach(self, u: Float[Array, "chan *cells"]) -> Float[Array, "*cells"] | None:
        r"""What `below` is told: a bound, per unit of `positive(u)[0]`, of what carries a state's speed, that a state has which a
        first-order Lax-Friedrichs step makes of this one. None (default) where no bound is needed."""
        return None

    def below(self, u: Float[Array, "chan *cells"], bound: Float[Array, "*cells"]) -> Float[Array, "*cells"]:
        """Positive where a state keeps the `bound` that is the largest `reach` of the states it is made of: a quadratic along
        lines, so that densities and depths that are next to nothing have no speed without bound."""
        raise NotImplementedError


def constants_of(law: type[AbstractConservationLaw]) -> tuple[str, ...]:
    """The names of a law's constants: those of its fields that are leaves."""
    return tuple(field.name for field in dataclasses.fields(law) if not field.metadata.get("static"))


def make_law(law: type[AbstractConservationLaw], constants: Mapping[str, float]) -> AbstractConservationLaw:
    """A law with some of its constants. Raises `UndertowError` for one that it does not have, or cannot have."""
    refuse_unknown(constants, constants_of(law), law.__name__)
    return law(**constants)


def velocities(dimensions: int) -> list[str]:
    """What the components of a velocity are called in tables and pictures."""
    return [f"velocity {axis}" for axis in "xyz"[:dimensions]] if dimensions > 1 else ["velocity"]


def floored(values: Float[Array, "*cells"], floor: Floor) -> Float[Array, "*cells"]:
    """`values`, each not below `floor`; without one not below the smallest normal number of their type.

    With the latter an unphysical state does not go on with numbers that somebody chose for other units: its speeds become
    infinite or not a number, and that is reported.
    """
    return jnp.maximum(values, jnp.finfo(values.dtype).tiny if floor is None else floor)


def relative_floor(values: Float[Array, "*cells"], share: float) -> Float[Array, ""]:
    """`share` of the largest of `values`, or a hundredth of the smallest positive one if that is less."""
    most = largest(values)
    least = smallest(jnp.where(values > 0, values, most))
    # A floor is a constant of the problem: what it was taken from does not feel its changes.
    return jax.lax.stop_gradient(jnp.maximum(jnp.minimum(share * most, 0.01 * least), jnp.finfo(values.dtype).tiny))


def matrices(basis: AbstractBasis, num_components: int, faces: tuple[int, ...]) -> tuple[Array, Array]:
    """$(L, R)$ of a basis as dense matrices, `"chan chan *faces"` each: row (of L) or component (of R) first."""
    unit = jnp.broadcast_to(
        jnp.eye(num_components).reshape((num_components, num_components) + (1,) * len(faces)),
        (num_components, num_components, *faces),
    )
    left = jax.vmap(basis.project, in_axes=1, out_axes=1)(unit)
    right = jax.vmap(basis.expand, in_axes=1, out_axes=1)(unit)
    return left, right


def check_law(law: AbstractConservationLaw, axes: int) -> None:
    """Raise `UndertowError` unless `law` is one, and its functions give arrays of the right shapes on so many axes."""
    if not isinstance(law, AbstractConservationLaw):
        raise UndertowError(f"law must be a conservation law, such as Burgers(), got {shown(law)}")
    name, components = type(law).__name__, law.num_components
    u = jax.ShapeDtypeStruct((components, *[4] * axes), jnp.result_type(float))
    for axis in range(axes):
        for method, expected, what in (
            ("flux", u.shape, "one value per component and cell"),
            ("max_speed", u.shape[1:], "one speed per cell"),
        ):
            with calling(f"{name}.{method} has to give {what} of a state of shape {u.shape}, and fails"):
                got = jax.eval_shape(lambda u, method=method, axis=axis: getattr(law, method)(u, axis), u).shape
            require(
                got == expected,
                f"{name}.{method} has to give {what}: of a state of shape {u.shape} an array of shape {expected}, got {got}",
            )
        signs = tuple(law.parity(axis))
        require(
            len(signs) == components and all(sign in (-1, 1) for sign in signs),
            f"{name}.parity has to give 1 or -1 for each of {components} components, got {shown(signs)}",
        )
