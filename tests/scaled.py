"""Initial values in other units."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from undertow.laws.conditions import AbstractCondition
from undertow.laws.fields import AbstractField
from undertow.laws.law import AbstractConservationLaw
from undertow.numerics.inflow import AbstractInflow


class ScaledCondition(AbstractCondition):
    """A condition times a factor."""

    other: AbstractCondition
    factor: jax.Array
    periodic: jax.Array
    boundary: str = eqx.field(static=True)
    domain: tuple[float, float] = eqx.field(static=True)

    def __init__(self, other, factor):
        self.other, self.factor, self.periodic = other, jnp.asarray(factor, float), other.periodic
        self.boundary, self.domain = other.boundary, other.domain

    def __call__(self, x):
        return self.factor * self.other(x)

    def primitive(self, x):
        return self.factor * self.other.primitive(x)

    @property
    def breakpoints(self):
        return self.other.breakpoints


class ScaledField(AbstractField):
    """A field's values times one factor per component, on a domain `length` times as large."""

    other: AbstractField
    factors: jax.Array
    law: AbstractConservationLaw
    periodic: jax.Array
    reflective: jax.Array
    length: float = eqx.field(static=True)
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, other, factors, length=1.0, law=None):
        self.other, self.factors, self.length = other, jnp.asarray(factors, float), length
        self.law = other.law if law is None else law
        self.periodic, self.reflective = other.periodic, other.reflective
        self.lower, self.upper = (tuple(length * end for end in ends) for ends in (other.lower, other.upper))

    def __call__(self, *x):
        u = self.other(*(each / self.length for each in x))
        return self.factors.reshape(-1, *(1,) * (u.ndim - 1)) * u

    @property
    def inflow(self):
        return None if self.other.inflow is None else ScaledInflow(self.other.inflow, self.factors)


class ScaledInflow(AbstractInflow):
    """What enters times one factor per component, at the same places and times."""

    other: AbstractInflow
    factors: jax.Array

    def __call__(self, axis, end, x, time):
        given = self.other(axis, end, x, time)
        return None if given is None else (self.factors.reshape(-1, *(1,) * x[0].ndim) * given[0], given[1])


def assert_same(one, other, factors, *, exactly=False, rounding=1e-11):
    """Values in units of `factors`, one per component: to the last bit, or to rounding of the largest."""
    scaled = np.asarray(other) / np.reshape(factors, (-1,) + (1,) * (np.ndim(one) - 1))
    if exactly:
        np.testing.assert_array_equal(scaled, one)
        return
    largest = np.abs(one).reshape(len(one), -1).max(axis=1)
    off = np.abs(scaled - one).reshape(len(one), -1).max(axis=1)
    assert (off <= rounding * np.maximum(largest, np.finfo(float).tiny)).all(), off / largest
