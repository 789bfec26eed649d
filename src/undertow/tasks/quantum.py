"""Control of a quantum particle in a box by the slope of its potential."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax.linalg import tridiagonal_solve
from jaxtyping import Array, Float

from undertow._checks import Within, check_seed, real_number, require, whole_number
from undertow._fields import Count, NotNegative, Positive
from undertow._types import Key
from undertow.core.environment import AbstractControlled, Leaf, leaf
from undertow.tasks.scene import Profile, Scene, Trace, captions, times_of
from undertow.tasks.task import Comparison, ControlObjectiveSettings, ControlTask, System, require_state

Wave = Float[Array, "points 2"]


class QuantumBox(AbstractControlled[Array, Array, Array]):
    r"""A particle in the box $[0, \ell]$ with hard walls, in the potential $c\,x$ whose slope $c$ is the action:

    $$i\,\partial_t\psi = H\psi, \qquad H = -\partial_{xx} + c\,x \qquad (\hbar = 1,\ m = \tfrac12),$$

    on $n$ inner points $x_j = j\,\Delta x$, $\Delta x = \ell/(n+1)$, with the three-point Laplacian, by Crank-Nicolson:

    $$\left(1 + \tfrac{i\Delta t}{2}H\right)\psi_{t+1} = \left(1 - \tfrac{i\Delta t}{2}H\right)\psi_t ,$$

    a unitary step, solved as a tridiagonal system.

    - state: `(points, 2)`, real and imaginary part, with $\sum_j|\psi_j|^2 = 1$ (no $\Delta x$); any number of points;
    - observation: the state; action: the slope, `(1,)`, unbounded.

    **Arguments** (numbers or arrays: differentiable, may differ in a batch): `length` $\ell$ = 2; `dt` = 0.0625.

    **Reference:** Schnell and Thuerey (2024), arXiv 2405.02041, section 4.
    """

    length: Leaf = leaf("length", 2.0, above=0)
    dt: Leaf = leaf("dt", 0.0625, above=0)

    def observe(self, state: Wave) -> Wave:
        """The wave function itself."""
        return state

    def advance(self, state: Wave, action: Float[Array, "1"]) -> Wave:
        """One step in the potential of slope `action`. Raises `UndertowError` for another shape of state or action."""
        require(
            state.ndim == 2 and state.shape[0] >= 2 and state.shape[1] == 2,
            f"a wave function has shape (points, 2), real and imaginary part, got {state.shape}; batches come from vmap",
        )
        require(jnp.shape(action) == (1,), f"the action is one slope of shape (1,), got {jnp.shape(action)}")
        points = state.shape[0]
        dx = self.length / (points + 1)
        inside = jnp.arange(1, points + 1, dtype=state.dtype) * dx
        half = jnp.asarray(self.dt / 2, state.dtype)
        # i dt/2 H: its diagonal, and the entries beside it.
        on = 1j * (half * (2 / dx**2 + action[0] * inside))
        off = jnp.full((points,), -1j * (half / dx**2))
        wave = jax.lax.complex(state[:, 0], state[:, 1])
        # (1 + A)^-1 (1 - A) = 2 (1 + A)^-1 - 1 saves the product on the right.
        below, above = off.at[0].set(0), off.at[-1].set(0)
        moved = 2 * tridiagonal_solve(below, 1 + on, above, wave[:, None])[:, 0] - wave
        return jnp.stack([moved.real, moved.imag], axis=1)

    def scene(self, states: np.ndarray, actions: np.ndarray) -> Scene:
        """The density."""
        points, length = states.shape[1], float(self.length)
        x = length * np.arange(1, points + 1) / (points + 1)
        density = Profile("density", x, np.sum(states**2, axis=-1), (0.0, length))
        said = captions("slope {:+.3g}", states, actions[:, 0])
        return Scene(times_of(self, states), captions=said, profile=density, x="x")

    def traces(self, states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
        """The action."""
        return (Trace("slope of the potential", actions),)


@functools.cache
def _sines(points: int, level: int) -> np.ndarray:
    wave = np.sin(np.pi * level * np.arange(1, points + 1) / (points + 1))
    return wave / np.linalg.norm(wave)


def eigenstate(level: int, points: int = 32) -> Float[np.ndarray, " points"]:
    r"""Eigenstate $n$ of the box without potential, $\psi_j \propto \sin(\pi n j/(N+1))$, of unit length; 1 is the ground
    state.

    **Raises:** `UndertowError` for a level that `points` points do not have.
    """
    points, level = whole_number("points", points), whole_number("level", level)
    require(level <= points, f"a box of {points} points has the levels 1 (ground state) to {points}, got {level}")
    return _sines(points, level)


class Infidelity(eqx.Module):
    r"""The cost $1 - |\langle\psi, e_n\rangle|^2$ of a wave function $\psi$: 0 where it is eigenstate `level` $n$ (1 is the
    ground state) up to a phase.

    **Raises:** `UndertowError` for a level below 1, or above what the state's points have.
    """

    level: int = eqx.field(static=True, converter=partial(whole_number, "level"), default=3)

    def __call__(self, state: Wave) -> Float[Array, ""]:
        """The cost of one state."""
        overlap = jnp.asarray(eigenstate(self.level, state.shape[0]), state.dtype) @ state
        return 1 - jnp.sum(overlap**2)


def random_wave(key: Key, points: int = 32, weights: tuple[float, float] = (1.0, 1.0)) -> Wave:
    r"""A random superposition of the two lowest states, $f_1 e_1 + f_2 e_2$ with $f_k = w_k\,N(0,1)\,e^{iU(0,2\pi)}$,
    normalised.

    **Arguments:** `points`; `weights` $(w_1, w_2)$; published: 1-1, 3-1, 7-1 and 15-1.

    **Raises:** `UndertowError` for fewer than 2 points, or weights that are negative or both zero.
    """
    points, weights = _checked(points, weights)
    sizes, phases = jax.random.split(key)
    factor = jnp.asarray(weights) * jax.random.normal(sizes, (2,))
    phase = jax.random.uniform(phases, (2,), maxval=2 * jnp.pi)
    return _superposed(factor, phase, points)


def published_waves(
    count: int, points: int = 32, weights: tuple[float, float] = (1.0, 1.0), seed: int = 42
) -> Float[Array, "count points 2"]:
    r"""`count` states of the published data, with the distribution of `random_wave`: of 512, states 0-255 are its training and
    256-511 its test set.

    Drawn from NumPy's legacy generator, whose stream for a seed is fixed for good: the sizes of the first level for all
    `count` states, then those of the second, then the phases likewise. Another `count` therefore gives other states, and not
    fewer of the same.

    **Raises:** `UndertowError` as `random_wave`, and for fewer than 1 state.
    """
    points, weights = _checked(points, weights)
    count = whole_number("count", count)
    generator = np.random.RandomState(check_seed(seed))
    sizes = np.stack([generator.randn(count) for _ in range(2)], axis=-1)
    phases = np.stack([2 * np.pi * generator.rand(count) for _ in range(2)], axis=-1)
    return jnp.asarray(_superposed(np.asarray(weights) * sizes, phases, points, np))


def _checked(points: int, weights: tuple[float, float]) -> tuple[int, tuple[float, float]]:
    points = whole_number("points", points, Within(at_least=2))
    require(len(weights) == 2, f"weights are two numbers of 0 or more, one of them positive, got {weights!r}")
    first, second = (real_number("weights", weight, Within(at_least=0)) for weight in weights)
    sizes = first, second
    require(max(sizes) > 0, f"weights are two numbers of 0 or more, one of them positive, got {weights!r}")
    return points, sizes


def _superposed(factor: Any, phase: Any, points: int, xp: Any = jnp) -> Any:
    """The normalised superpositions, `"*batch points 2"`, with these factors and phases of the two lowest states,
    `"*batch 2"`; in JAX, or with `xp` in NumPy's double precision."""
    factor = factor / xp.sqrt(xp.sum(factor**2, axis=-1, keepdims=True))
    levels = xp.stack([xp.asarray(eigenstate(1, points)), xp.asarray(eigenstate(2, points))])
    parts = xp.stack([factor * xp.cos(phase), factor * xp.sin(phase)], axis=-2)
    return xp.swapaxes(xp.matmul(parts, levels), -1, -2)


@dataclass(frozen=True)
class QuantumSettings:
    """A particle in a box, moved by the slope of its potential."""

    points: Annotated[int, Within(at_least=2)] = 32
    """inner grid points"""
    level: Count = 3
    """eigenstate to reach; 1 is the ground state"""
    weights: tuple[NotNegative, NotNegative] = (1.0, 1.0)
    """of the two lowest states in the initial ones; published: 1-1, 3-1, 7-1, 15-1"""
    length: Positive = 2.0
    """of the box"""
    dt: Positive = 0.0625
    """time step"""


def _system(given: QuantumSettings) -> System:
    points, weights = given.points, given.weights
    require_state(points, "system.points")
    eigenstate(given.level, points)  # a level that the box does not have is told from here
    return System(
        QuantumBox(given.length, given.dt),
        Infidelity(given.level),
        lambda key: random_wave(key, points, weights),
        (1,),
        lambda count, seed: published_waves(count, points, weights, seed),
    )


TASK = ControlTask(
    summary="a controller that brings a quantum particle into an excited state",
    goal="bring a quantum particle into an eigenstate",
    settings=QuantumSettings,
    system=_system,
    layout="inner points of the box; real and imaginary part of the wave function, of which the squares sum to 1",
    game="Quantum",
    agents="box",
    bound=50.0,
    comparison=Comparison({f"level {level}": {"system.level": level} for level in (3, 4, 5)}, 1000, 10),
    horizon=128,
    objective=ControlObjectiveSettings("running", reduction="sum"),
    preset={
        "policy.name": "cnn",
        "policy.zero_last": False,
        "training.rematerialise": "step",  # measured: its network is large
    },
)
