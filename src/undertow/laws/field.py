r"""Initial values of one's own: functions, a law, and what happens at the ends."""

# No `from __future__ import annotations` here: equinox does not recognise an AbstractVar that is a string.
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import calling, choice, require, shown
from undertow._tree import as_pytree
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.boundary import BOUNDARIES
from undertow.numerics.inflow import AbstractInflow

Ends = tuple[str, str]


class Field(AbstractField):
    r"""$u_0$ of your own for any law, on an interval or a box, with boundaries by name and, where you know it, the solution.

    **Arguments:**

    - `function`: $u_0$, of one array of coordinates per axis, all of one shape `"*cells"`, to `"chan *cells"`; for a law of one
        component also to `"*cells"`. Written with `jax.numpy`.
    - `law`: the conservation law.
    - `boundary`: a name for all ends (`undertow list boundaries`); in one dimension also the pair (left, right); in several
        dimensions one entry per axis, each a name or a pair.
    - `domain`: $(x_{min}, x_{max})$, default (0.0, 1.0), or one such pair per axis.
    - `exact`: $u$ of the coordinates and, last, the time: `exact(x, t)`, `exact(x, y, t)`, in the shapes of `function`; default
        None: not known.
    - `inflow`: what is prescribed beyond parts of the boundary, such as a
        [`CallableInflow`][undertow.numerics.inflow.CallableInflow]; default None.

    **Raises:** `UndertowError` for an unknown boundary, an empty domain, or functions that do not give such arrays.
    """

    law: AbstractConservationLaw
    function: Callable = eqx.field(converter=as_pytree)
    solution: Callable | None
    prescribed: AbstractInflow | None
    periodic: Float[Array, " axes"]
    reflective: Float[Array, "axes ends"]
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    ends: tuple[Ends, ...] = eqx.field(static=True)

    def __init__(
        self,
        function: Callable,
        law: AbstractConservationLaw,
        boundary: str | Sequence[str | Ends],
        domain: Sequence[Any] = (0.0, 1.0),
        exact: Callable | None = None,
        inflow: AbstractInflow | None = None,
    ):
        require(
            isinstance(law, AbstractConservationLaw),
            f"law must be a conservation law, such as Burgers(), got {shown(law)}",
        )
        sides = tuple(domain) if all(hasattr(each, "__len__") for each in domain) else (tuple(domain),)
        require(
            len(sides) > 0 and all(len(side) == 2 and side[0] < side[1] for side in sides),
            f"domain must be (x_min, x_max) with x_min < x_max, or one such pair per axis, got {domain!r}",
        )
        self.law, self.function, self.prescribed = law, function, inflow
        self.solution = None if exact is None else as_pytree(exact)
        self.lower, self.upper = (tuple(float(side[end]) for side in sides) for end in (0, 1))
        self.ends = _ends(boundary, len(sides))
        self.periodic = jnp.asarray([float(low == "periodic") for low, _ in self.ends])
        self.reflective = jnp.asarray([[float(name == "reflective") for name in pair] for pair in self.ends])
        self._check(self.function, "the function of a field", ())
        if self.solution is not None:
            self._check(self.solution, "the exact solution of a field", (jax.ShapeDtypeStruct((), float),))

    def _check(self, function: Callable, what: str, more: tuple[jax.ShapeDtypeStruct, ...]) -> None:
        cells = tuple(range(3, 3 + len(self.lower)))
        points = jax.ShapeDtypeStruct(cells, jnp.result_type(float))
        shape = (self.law.num_components, *cells)
        asked = f"{what} maps {len(cells)} arrays of coordinates of shape {cells}{' and a time' * len(more)} to values of shape "
        asked += str(shape)
        with calling(f"{asked}, and calling it failed"):
            got = eqx.filter_eval_shape(function, *[points] * len(cells), *more).shape
        scalar = shape[0] == 1 and got == cells
        require(got == shape or scalar, f"{asked}, got {got}")

    def __call__(self, *x: Float[Array, "*cells"]) -> Float[Array, "chan *cells"]:
        return self._values(self.function(*x), x[0])

    def _values(self, values: Array, like: Array) -> Array:
        values = jnp.asarray(values, like.dtype)
        return values if values.ndim > like.ndim else values[None]

    @property
    def inflow(self) -> AbstractInflow | None:
        return self.prescribed

    @property
    def solvable(self) -> bool:
        return self.solution is not None

    def exact(self, *x, time):
        if self.solution is None:
            return super().exact(*x, time=time)
        return self._values(self.solution(*x, time), x[0])


def _ends(boundary: str | Sequence[str | Ends], axes: int) -> tuple[Ends, ...]:
    """The names at both ends of every axis."""
    pairs: Sequence[Any] = [boundary] * axes if isinstance(boundary, str) else tuple(boundary)
    if axes == 1 and len(pairs) == 2:
        pairs = [pairs]
    require(
        len(pairs) == axes and all(isinstance(each, str) or len(each) == 2 for each in pairs),
        f"boundary must be a name, or one entry per axis, each a name or a pair of names, got {boundary!r} for {axes} axes",
    )
    ends = tuple((each, each) if isinstance(each, str) else (each[0], each[1]) for each in pairs)
    for pair in ends:
        for name in pair:
            choice("boundary", name, BOUNDARIES)
        require(
            (pair[0] == "periodic") == (pair[1] == "periodic"),
            f"a periodic boundary has two ends: got {pair[0]!r} and {pair[1]!r}; make both periodic",
        )
    return ends
