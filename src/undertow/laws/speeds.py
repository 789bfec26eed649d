"""What a law says of its speeds against what its flux does."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import UndertowError, calling
from undertow.laws.law import AbstractConservationLaw

_CELLS = 32  # of a state that are looked at


def check_own(law: AbstractConservationLaw, u: Float[Array, "chan *cells"]) -> None:
    """`check_speeds` for a law of somebody's own; those of this package are looked at by its tests."""
    if not type(law).__module__.startswith("undertow."):
        check_speeds(law, u)


def check_speeds(law: AbstractConservationLaw, u: Float[Array, "chan *cells"]) -> None:
    r"""Raise `UndertowError` where `max_speed` is less than the flux's largest characteristic speed.

    In some of the cells of a state the eigenvalues of the Jacobian $\partial f_d / \partial u$, which automatic differentiation
    gives, are compared with `law.max_speed`. They have to be real, or the law is not hyperbolic there, and none may be larger in
    size: a splitting or a time step with less is unstable.
    """
    axes = u.ndim - 1
    cells = jnp.reshape(u, (len(u), -1))
    cells = cells[:, np.unique(np.linspace(0, cells.shape[1] - 1, _CELLS).astype(int))].T
    one = (slice(None), *[0] * axes)
    name = type(law).__name__

    def look(axis: int, state: Array) -> tuple[Array, Array]:
        def flux(v: Array) -> Array:
            return law.flux(v.reshape(-1, *[1] * axes), axis)[one]

        return jax.jacfwd(flux)(state), law.max_speed(state.reshape(-1, *[1] * axes), axis)[one[1:]]

    for axis in range(axes):
        with calling(f"{name}.flux cannot be differentiated cell by cell"):
            jacobians, speeds = jax.jit(jax.vmap(lambda state, axis=axis: look(axis, state)))(cells)
        values = np.asarray(jacobians, float)
        finite = np.isfinite(values).all(axis=(1, 2))  # what is not is found in the state itself, or later
        eigenvalues = np.linalg.eigvals(np.where(finite[:, None, None], values, 0.0))
        largest = np.abs(eigenvalues).max(axis=1)
        slack = np.sqrt(np.finfo(u.dtype).eps) * (largest + largest.max())
        found = np.asarray(speeds, float)
        complex_ones = np.abs(eigenvalues.imag).max(axis=1) > slack * 10 * len(u)
        for bad, told in (
            (
                complex_ones,
                "has complex eigenvalues there: the law is not hyperbolic, and no upwind scheme can be stable",
            ),
            (found < largest - slack, "has an eigenvalue of that size {largest:.6g}: correct max_speed, or the flux"),
        ):
            if bad.any():
                cell = int(np.argmax(bad))
                state = ", ".join(f"{each:.6g}" for each in np.asarray(cells[cell]))
                message = told.format(largest=largest[cell])
                raise UndertowError(
                    f"{name}.max_speed is {found[cell]:.6g} along axis {axis} at u = ({state}), and the flux {message}"
                )
