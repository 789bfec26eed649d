r"""Explicit Runge-Kutta methods: data over one kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from undertow._checks import lookup

Tendency = Callable[[PyTree, Float[Array, ""]], PyTree]


class AbstractIntegrator(eqx.Module):
    r"""An explicit Runge-Kutta method for $u' = L(u, t)$ with Butcher tableau $(a, b, c)$,

    $$k_s = L\Big(u + \Delta t \sum_{j<s} a_{sj} k_j,\; t + c_s \Delta t\Big), \qquad
      u' = u + \Delta t \sum_s b_s k_s .$$

    A concrete method is the class variables `a`, `b`, `order` and nothing else.
    """

    a: ClassVar[tuple[tuple[float, ...], ...]]
    b: ClassVar[tuple[float, ...]]
    order: ClassVar[int]

    @property
    def num_stages(self) -> int:
        """How often the tendency (and with it the policy) is asked per step."""
        return len(self.b)

    def step(self, tendency: Tendency, u: Array, time: Float[Array, ""], dt: Float[Array, ""]) -> Array:
        """One step from `u` at `time` to `time + dt`; `tendency(u, time)` is asked once per stage, in order."""
        slopes: list[Array] = []
        for row in self.a:
            slopes.append(tendency(self.moved(u, row, slopes, dt), time + sum(row) * dt))
        return self.moved(u, self.b, slopes, dt)

    @staticmethod
    def moved(u: Array, coefficients: Sequence[float], slopes: Sequence[Array], dt: Float[Array, ""]) -> Array:
        r"""$u + \Delta t \sum_j c_j k_j$ of as many coefficients $c$ as slopes $k$."""
        for coefficient, slope in zip(coefficients, slopes, strict=True):
            if coefficient != 0.0:
                u = u + (dt * coefficient) * slope
        return u


class ForwardEuler(AbstractIntegrator):
    """First order, one stage."""

    a = ((),)
    b = (1.0,)
    order = 1


class SSPRK3(AbstractIntegrator):
    """Third order, three stages, strong-stability preserving (Shu and Osher 1988, eq. 2.18), as a Butcher tableau."""

    a = ((), (1.0,), (0.25, 0.25))
    b = (1 / 6, 1 / 6, 2 / 3)
    order = 3


class RK4(AbstractIntegrator):
    """The classical method of order four (Kutta 1901)."""

    a = ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0))
    b = (1 / 6, 1 / 3, 1 / 3, 1 / 6)
    order = 4


INTEGRATORS: dict[str, AbstractIntegrator] = {"euler": ForwardEuler(), "ssp_rk3": SSPRK3(), "rk4": RK4()}
"""Integrators by name."""


def as_integrator(given: AbstractIntegrator | str) -> AbstractIntegrator:
    """An integrator of itself or of its name. Raises `UndertowError` for anything else, with the nearest name."""
    if isinstance(given, AbstractIntegrator):
        return given
    return lookup("integrator", given, INTEGRATORS)
