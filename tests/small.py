"""Suites that are quick to make: advection, whose exact solution is a translation, on few cells."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp

from undertow.core.policy import AbstractPolicy
from undertow.envs.collection import Suite, make_suite
from undertow.envs.field_suites import END_TIME, normalised_case
from undertow.envs.pools import Discretised
from undertow.envs.suites import suite
from undertow.envs.truth import batches
from undertow.laws.advection import LinearAdvection
from undertow.laws.conditions import PiecewisePolynomial, SineCondition
from undertow.laws.euler import Euler
from undertow.laws.gas_cases import GAS_CASES
from undertow.numerics.integrator import ForwardEuler
from undertow.policies.classical import classical


@functools.cache
def carried(n: int = 6, cells: int = 32, **overrides) -> Suite:
    """Held-out conditions carried around a circle at speed 1."""
    return suite("held-out", law=LinearAdvection(1.0), n=n, cells=cells, **overrides)


@functools.cache
def hand_made() -> Suite:
    """A sine wave on a circle, a constant that no scheme gets wrong, and a jump that leaves through an open end."""
    conditions = [
        SineCondition(0.5, 1.0, 2 * jnp.pi, boundary="periodic"),
        PiecewisePolynomial(jnp.array([0.5]), jnp.array([[2.0], [2.0]]), boundary="outflow"),
        PiecewisePolynomial(jnp.array([0.8]), jnp.array([[1.0], [0.0]]), boundary="outflow"),
    ]
    how = Discretised(LinearAdvection(1.0), 32, 20, 0.25)
    return make_suite("hand-made", "three cases", how, batches(conditions), ["wave", "constant", "jump"])


@functools.cache
def tubes() -> Suite:
    """Named problems of a gas on characteristic fields: one on a domain of ten, one with a reference on a finer grid."""
    names = ("sod", "lax", "shu_osher", "double_rarefaction")
    how = Discretised(
        Euler(),
        32,
        64,
        END_TIME,
        order=3,
        integrator=ForwardEuler(),
        refinement=3,
        reconstruction="characteristic",
        truth="best",
    )
    return make_suite("tubes", "four tubes", how, batches([normalised_case(GAS_CASES[name]) for name in names]), names)


class Failing(AbstractPolicy):
    """Weights of the linear scheme, but NaN where a stencil holds a value above the limit."""

    limit: float = 1.4
    order: int = eqx.field(static=True, default=5)

    def __call__(self, observation, *, key=None):
        weights = classical("linear", self.order)(observation)
        return tuple(
            jnp.where(jnp.max(stencil, axis=-1, keepdims=True) > self.limit, jnp.nan, weight)
            for stencil, weight in zip(observation, weights, strict=True)
        )
