r"""How far a vector field over the parameters is from being the gradient of anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from undertow._checks import require
from undertow._types import Key
from undertow.core.flow import magnitude
from undertow.core.gradient import AbstractGradient
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.task import Task

Field = Callable[[AbstractPolicy], AbstractPolicy]
"""From a policy to a direction with its structure."""


@dataclass(frozen=True)
class Rotation:
    r"""The antisymmetric share of a field's Jacobian $J$ at a point.

    - `fraction`: $|J - J^T|_F^2\,/\,(|J - J^T|_F^2 + |J + J^T|_F^2)$: 0 for a gradient, 1 for a pure rotation, NaN where
        $J = 0$.
    - `size`: $|J|_F$. `probes`: directions used. `exact`: whether they were all there are.
    """

    fraction: float
    size: float
    probes: int
    exact: bool

    def metrics(self) -> dict[str, float]:
        """`rotation` and `jacobian` (its size)."""
        return {"rotation": self.fraction, "jacobian": self.size}


def update_field(task: Task, gradient: AbstractGradient, problems: Problem, *, key: Key | None = None) -> Field:
    """What an estimator hands to the optimiser on a batch, as a field over policies. `key`, for estimators that draw
    random numbers, is the same everywhere."""
    random = {} if key is None else {"key": key}
    return lambda policy: gradient(lambda p, flow: task.loss(p, flow, problems), policy, **random)[1]


def rotation(
    field: Field,
    policy: AbstractPolicy,
    key: Key,
    *,
    probes: int = 16,
    derivative: Literal["differences", "autodiff"] = "differences",
    step: float | None = None,
) -> Rotation:
    r"""The relative size of the antisymmetric part of the Jacobian $J$ of a field $g(\theta)$ at a policy.

    A gradient field has a symmetric Jacobian; the antisymmetric part turns the parameters around instead of downhill, and
    optimisers with momentum can turn that into an outward spiral. With random directions $v_i \sim N(0, 1)$ and
    $m_{ij} = v_i^T J v_j$,

    $$E\,(m_{ij} - m_{ji})^2 = |J - J^T|_F^2, \qquad E\,(m_{ij} + m_{ji})^2 = |J + J^T|_F^2 \qquad (i \neq j),$$

    so that $k$ directions give $k(k-1)/2$ samples of both. With as many directions as parameters, unit vectors are taken
    and the result is exact.

    $Jv$ comes from central differences of the field. Automatic differentiation of a field that was computed *under gates*
    is not its derivative: the gates act on the second derivative again, and what the trajectory itself owes to the
    parameters is damped with the rest. `autodiff` is for fields without gates (backpropagation with `FULL`, or anything
    written out); it takes $Jv$ and $J^Tv$ for $E|(J \mp J^T)v|^2$.

    **Arguments:** `field`: a direction with the policy's structure from a policy, such as
    [`update_field`][undertow.instruments.rotation.update_field]; `policy`: where; `key`; `probes`: 16; `derivative`:
    `differences` (default) or `autodiff`; `step` $h$ of the differences along a unit of $v$ (default: the cube root of the
    precision times the parameters' root mean square, or one where all are 0).

    **Returns:** [`Rotation`][undertow.instruments.rotation.Rotation]. Differences across the jumps of
    [`SignAgreement`][undertow.core.gradient.SignAgreement] measure the jumps, too.

    **Raises:** `UndertowError` for fewer than 2 probes, an unknown derivative, a step that is not positive, or a policy
    without parameters.
    """
    require(probes >= 2, f"rotation needs at least 2 probes, got {probes}")
    require(
        derivative in ("differences", "autodiff"), f"derivative must be 'differences' or 'autodiff', got {derivative!r}"
    )
    require(step is None or step > 0, f"step must be above 0, got {step}")
    moving, fixed = eqx.partition(policy, eqx.is_inexact_array)
    point, unravel = ravel_pytree(moving)
    require(point.size > 0, "the policy has no parameters, so that no field over them turns")
    exact = point.size <= probes
    count = point.size if exact else probes
    directions = (
        jnp.eye(count, dtype=point.dtype) if exact else jax.random.normal(key, (count, point.size), point.dtype)
    )
    if step is None:
        scale = float(magnitude(point)) / math.sqrt(point.size) or 1.0
        step = float(jnp.finfo(point.dtype).eps) ** (1 / 3) * scale

    def flat(x: Float[Array, " n"]) -> Float[Array, " n"]:
        return ravel_pytree(eqx.filter(field(eqx.combine(unravel(x), fixed)), eqx.is_inexact_array))[0]

    def difference(v: Float[Array, " n"]) -> Float[Array, " n"]:
        # One after the other: the two programs would be one with twice the memory.
        ahead, behind = jax.lax.map(lambda h: flat(point + h * v), jnp.asarray([step, -step], point.dtype))
        return (ahead - behind) / (2 * step)

    if derivative == "differences":
        moved = _run(lambda: jax.lax.map(difference, directions))
        m = directions.astype(float) @ moved.astype(float).T
        upper = np.ones((count, count), bool) if exact else np.triu(np.ones((count, count), bool), 1)
        odd, even = np.asarray(m - m.T)[upper], np.asarray(m + m.T)[upper]
    else:

        def both(v):
            return jax.jvp(flat, (point,), (v,))[1], jax.vjp(flat, point)[1](v)[0]

        forward, back = _run(lambda: jax.lax.map(both, directions))
        odd, even = np.asarray(forward - back, float), np.asarray(forward + back, float)
    # Sums of squares per sample: over all entries or pairs where exact, means over pairs or probes where not.
    samples = 1 if exact else (count if derivative == "autodiff" else count * (count - 1) // 2)
    turning, straight = float(np.sum(odd**2)) / samples, float(np.sum(even**2)) / samples
    total = turning + straight
    fraction = turning / total if total != 0 else float("nan")
    return Rotation(fraction, float(np.sqrt(total)) / 2, count, exact)


def _run(function):
    return jax.jit(function)()
