"""A conservation law as an environment: an agent at every cell face chooses the stencil weights."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow.core.environment import AbstractEnvironment
from undertow.numerics.integrator import SSPRK3, AbstractIntegrator
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.faces import Answer, Stencils
from undertow.schemes.march import advance
from undertow.schemes.semidiscrete import SemiDiscrete


class FieldState(eqx.Module):
    """Point values `u: "chan *cells"` at `time`."""

    u: Float[Array, "chan *cells"]
    time: Float[Array, ""]


class Conservation(AbstractEnvironment[FieldState, Stencils, Answer]):
    r"""A semi-discrete scheme marched in time, with the weights of every face and stage as the action.

    - state: [`FieldState`][undertow.envs.conservation.FieldState];
    - observation: one array per axis, `(2, chan, *faces, 2r-1)`, see
        [`SemiDiscrete.stencils`][undertow.schemes.semidiscrete.SemiDiscrete.stencils];
    - action: weights, one array per axis, `(2, chan, *faces, r)`, or [`FaceValues`][undertow.schemes.faces.FaceValues]; asked
        for at every Runge-Kutta stage, the last stage's is recorded.

    **Arguments:** `scheme`; `time_step` (`FixedStep` or `CFLStep`); `integrator` (default SSP-RK3).
    """

    scheme: SemiDiscrete
    time_step: FixedStep | CFLStep
    integrator: AbstractIntegrator = SSPRK3()

    def initial(self, u0: Float[Array, "chan *cells"]) -> FieldState:
        """The state with values `u0` at time 0. Raises `UndertowError` for a wrong shape."""
        self.scheme.domain.check_state(u0)
        return FieldState(u0, jnp.zeros((), u0.dtype))

    def observe(self, state: FieldState) -> Stencils:
        """The split-flux stencils at every face."""
        return self.scheme.stencils(state.u, state.time)

    def step(self, state: FieldState, feedback: Callable[[FieldState], Answer]) -> tuple[FieldState, Answer]:
        """One time step; the feedback law is asked at every stage."""
        asked: list[Answer] = []

        def choose(u: Array, stencils: Stencils, time: Array) -> Answer:
            asked.append(feedback(FieldState(u, time)))
            return asked[-1]

        u, time = advance(self.scheme, choose, self.integrator, self.time_step, state.u, state.time, asks_time=True)
        return FieldState(u, time), asked[-1]
