"""Any number of poles hinged on one cart that one force pushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import check_seed, require, whole_number
from undertow._fields import Count, Positive
from undertow._types import Key
from undertow.core.environment import AbstractControlled, Leaf, leaf
from undertow.tasks.scene import Scene, Shape, Trace, around, captions, times_of
from undertow.tasks.task import Comparison, ControlTask, System, require_state

CART = 0.15
"""Half the width of a cart in pictures, as a share of how far what is hinged on it reaches."""


class CartPole(AbstractControlled[Array, Array, Array]):
    r"""A cart at $x$ with poles at angles $\theta_i$ (0 is upright), all moved by one force $f$ on the cart:

    $$A_i = \frac{f + m l \sin\theta_i\,\omega_i^2}{M}, \quad
      \dot\omega_i = \frac{g\sin\theta_i - \cos\theta_i\,A_i}{l\,(4/3 - m\cos^2\theta_i / M)}, \quad
      \ddot x = \frac{f + m l \sum_i (\sin\theta_i\,\omega_i^2 - \dot\omega_i\cos\theta_i)}{M},$$

    then semi-implicit Euler: velocities first, positions with the new velocities. The poles act on the cart but not on each
    other ($A_i$ holds pole $i$'s own term only), and $M$ does not grow with their number: both as published.

    - state: `(1 + poles, 2)`; row 0 is $(x, \dot x)$, the others $(\theta_i, \omega_i)$;
    - observation: the state, flattened row by row; action: the force, `(1,)`, in N, unbounded.

    **Arguments** (numbers or arrays: differentiable, may differ in a batch): `gravity` $g$ = 9.8 m/s^2; `pole_mass`
    $m$ = 0.1 kg; `total_mass` $M$ = 1.1 kg; `half_length` $l$ = 0.5 m; `dt` = 0.01 s.

    **Reference:** Barto, Sutton and Anderson (1983) for one pole; Schnell and Thuerey (2024), arXiv 2405.02041, for many.
    """

    gravity: Leaf = leaf("gravity", 9.8)
    pole_mass: Leaf = leaf("pole_mass", 0.1, above=0)
    total_mass: Leaf = leaf("total_mass", 1.1, above=0)
    half_length: Leaf = leaf("half_length", 0.5, above=0)
    dt: Leaf = leaf("dt", 0.01, above=0)

    def observe(self, state: Float[Array, "bodies 2"]) -> Float[Array, " 2*bodies"]:
        """The state as one vector."""
        return state.reshape(-1)

    def advance(self, state: Float[Array, "bodies 2"], action: Float[Array, "1"]) -> Float[Array, "bodies 2"]:
        """One step under the force `action`. Raises `UndertowError` for another shape of state or action."""
        require(
            state.ndim == 2 and state.shape[0] >= 2 and state.shape[1] == 2,
            f"a cart-pole's state has shape (1 + poles, 2), got {state.shape}; batches come from vmap",
        )
        require(jnp.shape(action) == (1,), f"a cart-pole's action is one force of shape (1,), got {jnp.shape(action)}")
        force, (angle, rate) = action[0], state[1:].T
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        swing = self.pole_mass * self.half_length
        pull = swing * sin * rate**2
        leverage = self.half_length * (4 / 3 - self.pole_mass * cos**2 / self.total_mass)
        turning = (self.gravity * sin - cos * (force + pull) / self.total_mass) / leverage
        pushing = (force + jnp.sum(pull - swing * turning * cos)) / self.total_mass
        speeds = state[:, 1] + self.dt * jnp.concatenate([pushing[None], turning])
        return jnp.stack([state[:, 0] + self.dt * speeds, speeds], axis=1)

    def energy(self, state: Float[Array, "bodies 2"]) -> Float[Array, ""]:
        r"""Energy of the cart with one uniform rod of length $2l$, in J: a constant of the motion without force.

        $$E = \tfrac12 M\dot x^2 + m l\,\dot x\,\omega\cos\theta + \tfrac23 m l^2\omega^2 + m g l\cos\theta$$

        **Raises:** `UndertowError` for several poles, whose published dynamics conserve no energy.
        """
        require(state.shape == (2, 2), f"only one pole has an energy, got a state of shape {state.shape}")
        (_, speed), (angle, rate) = state
        swing = self.pole_mass * self.half_length
        kinetic = self.total_mass * speed**2 / 2 + swing * speed * rate * jnp.cos(angle)
        return kinetic + swing * (2 / 3 * self.half_length * rate**2 + self.gravity * jnp.cos(angle))

    def scene(self, states: np.ndarray, actions: np.ndarray) -> Scene:
        """The cart and its poles."""
        length, base = 2 * float(self.half_length), carts(states)
        ends = base[:, None] + length * directions(states)
        poles = [
            Shape("path", np.stack([base, ends[:, pole]], axis=1), f"pole {pole + 1}", width=3)
            for pole in range(ends.shape[1])
        ]
        return cart_scene(self, states, actions, poles, length)

    def traces(self, states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
        """Angles, the cart's place, the force."""
        return cart_traces(states, actions)


def carts(states: np.ndarray) -> np.ndarray:
    """The cart's places, `"time 2"`."""
    return np.stack([states[:, 0, 0], np.zeros(len(states))], axis=-1)


def directions(states: np.ndarray) -> np.ndarray:
    """Unit vectors along what is at an angle from upright, `"time bodies 2"`."""
    angles = states[:, 1:, 0]
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1)


def cart_scene(
    environment: AbstractControlled, states: np.ndarray, actions: np.ndarray, bodies: Sequence[Shape], reach: float
) -> Scene:
    """A cart with what is hinged on it, which gets no farther from it than `reach`, in m."""
    base = carts(states)
    cart = base[:, None] + CART * reach * np.array([[-1.0, 0.0], [1.0, 0.0]])
    shapes = [Shape("path", cart, "cart", "exact", width=7), *bodies]
    said = captions("force {:+.3g} N", states, actions[:, 0])
    return Scene(times_of(environment, states), "s", said, shapes, around(base, 1.2 * reach))


def cart_traces(states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
    """Angles from upright, the cart's place, the force."""
    return (
        Trace("angle / pi (0 and 2: upright)", states[:, 1:, 0] / np.pi, levels=(0, 2)),
        Trace("cart / m", states[:, :1, 0]),
        Trace("force / N", actions),
    )


class Upright(eqx.Module):
    r"""The cost $1 - \frac1P\sum_i\cos\theta_i$ of a cart-pole's state: 0 with all poles upright, 2 with all hanging."""

    def __call__(self, state: Float[Array, "bodies 2"]) -> Float[Array, ""]:
        """The cost of one state."""
        return 1 - jnp.mean(jnp.cos(state[1:, 0]))


def hanging(unit: Any) -> Any:
    r"""States near hanging at rest, `"*batch bodies 2"`, from as many uniform numbers in [0, 1): $x, \dot x, \omega_i$ in
    [-1, 1), $\theta_i$ within $\pi/6$ of $\pi$. Of NumPy's arrays and of JAX's."""
    centre, reach = np.zeros(unit.shape[-2:]), np.ones(unit.shape[-2:])
    centre[1:, 0], reach[1:, 0] = np.pi, np.pi / 6
    return centre + reach * (2 * unit - 1)


def random_cartpole(key: Key, poles: int = 1) -> Float[Array, "bodies 2"]:
    """A random state near hanging at rest. Raises `UndertowError` for fewer than 1 pole."""
    poles = whole_number("poles", poles)
    return hanging(jax.random.uniform(key, (1 + poles, 2)))


def published_cartpoles(count: int, poles: int = 1, seed: int = 42) -> Float[Array, "count bodies 2"]:
    """The first `count` states of the published data: from 512 on, states 0-255 are its training and 256-511 its test set.

    Drawn from NumPy's legacy generator, whose stream for a seed is fixed for good.
    """
    count, poles = whole_number("count", count), whole_number("poles", poles)
    return jnp.asarray(hanging(np.random.RandomState(check_seed(seed)).rand(count, poles + 1, 2)))


@dataclass(frozen=True)
class CartPoleSettings:
    """Poles hinged on one cart that one force pushes."""

    poles: Count = 1
    """number of poles"""
    gravity: float = 9.8
    """m/s^2"""
    pole_mass: Positive = 0.1
    """kg"""
    total_mass: Positive = 1.1
    """kg; does not grow with the number of poles"""
    half_length: Positive = 0.5
    """of a pole, in m"""
    dt: Positive = 0.01
    """time step, in s"""


def _system(given: CartPoleSettings) -> System:
    require_state(given.poles, "system.poles")
    require(
        given.pole_mass < given.total_mass,
        f"system.total_mass holds the cart and its poles, and must be above system.pole_mass={given.pole_mass}, "
        f"got {given.total_mass}",
    )
    return System(
        CartPole(given.gravity, given.pole_mass, given.total_mass, given.half_length, given.dt),
        Upright(),
        lambda key: random_cartpole(key, given.poles),
        (1,),
        lambda count, seed: published_cartpoles(count, given.poles, seed),
    )


TASK = ControlTask(
    summary="a controller that swings poles on a cart upright, by sign agreement of two gradients",
    goal="swing poles up by pushing their cart",
    settings=CartPoleSettings,
    system=_system,
    layout="row 0: position and speed of the cart; the others: angle (0 is upright) and rate of each pole",
    game="CartPole",
    agents="cart",
    bound=50.0,
    comparison=Comparison({f"{n} pole{'s' * (n > 1)}": {"system.poles": n} for n in (1, 2, 3, 4)}, 1000, 25),
)
