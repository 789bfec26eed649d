r"""Explicit Runge-Kutta methods: data over one kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PyTree

from undertow._checks import lookup
from undertow._types import ArrayLike

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

    def factor(self, z: ArrayLike) -> np.ndarray:
        r"""$R(z) = 1 + \sum_k z^k\, b A^{k-1} 1$: what one step multiplies the solution of $u' = \lambda u$ by, with $z =
        \lambda \Delta t$. A step is stable where $|R| \le 1$.

        **Reference:** Hairer and Wanner (1996), Solving Ordinary Differential Equations II, section IV.2.
        """
        stages = self.num_stages
        a, b = np.zeros((stages, stages)), np.asarray(self.b)
        for index, row in enumerate(self.a):
            a[index, : len(row)] = row
        result, power, vector = np.ones(np.shape(z), complex), np.ones(np.shape(z), complex), np.ones(stages)
        for _ in range(stages):
            power = power * np.asarray(z)
            result = result + (b @ vector) * power
            vector = a @ vector
        return result

    @property
    def real_axis(self) -> float:
        r"""The largest $\beta$ with $|R(z)| \le 1$ for all $-\beta \le z \le 0$: 2 for forward Euler, 2.5127 for SSP-RK3, 2.7853
        for RK4. What diffusion bears: $4 \nu \Delta t \sum_a \Delta x_a^{-2} \le \beta$."""
        return _real_axis(type(self))

    def step(self, tendency: Tendency, u: Array, time: Float[Array, ""], dt: Float[Array, ""]) -> Array:
        """One step from `u` at `time` to `time + dt`; `tendency(u, time)` is asked once per stage, in order."""
        slopes: list[Array] = []
        for row in self.a:
            slopes.append(tendency(self.combine(u, row, slopes, dt), time + sum(row) * dt))
        return self.combine(u, self.b, slopes, dt)

    @staticmethod
    def combine(u: Array, coefficients: Sequence[float], slopes: Sequence[Array], dt: Float[Array, ""]) -> Array:
        r"""$u + \Delta t \sum_j c_j k_j$ of as many coefficients $c$ as slopes $k$."""
        for coefficient, slope in zip(coefficients, slopes, strict=True):
            if coefficient != 0.0:
                u = u + (dt * coefficient) * slope
        return u


@cache
def _real_axis(method: type[AbstractIntegrator]) -> float:
    def stable(beta: np.ndarray) -> np.ndarray:
        return np.abs(method().factor(-beta)) <= 1 + 1e-12

    # No explicit method of s stages reaches beyond 2 s^2.
    far = np.linspace(0.0, 2.0 * method().num_stages ** 2 + 1, 4001)
    first = int(np.argmin(stable(far)))
    low, high = far[first - 1], far[first]
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if stable(np.asarray(middle)) else (low, middle)
    return float(low)


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
