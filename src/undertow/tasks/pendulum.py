"""A serial pendulum on a cart: links hinged one on the other, all moved by one force on the cart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve
from jaxtyping import Array, Float

from undertow._checks import Within, constant, require
from undertow._fields import Count, Positive
from undertow._limits import Need, number, real, require_memory
from undertow.core.environment import AbstractControlled, Leaf, leaf
from undertow.tasks.cartpole import Upright, cart_scene, cart_traces, carts, directions, random_cartpole
from undertow.tasks.scene import Scene, Shape, Trace
from undertow.tasks.task import Comparison, ControlTask, System


def _of_links(name: str, given: Iterable[Leaf]) -> tuple[Leaf, ...]:
    return tuple(constant(name, each, Within(above=0), batched=True) for each in given)


class SerialPendulum(AbstractControlled[Array, Array, Array]):
    r"""A chain of $n$ uniform rods on a cart at $x$. $\theta_j$ is the angle of rod $j$ from upright, whichever way the rod
    before it points. Lagrange's equations of $q = (x, \theta_1, \dots, \theta_n)$, with $\omega_j = \dot\theta_j$, are

    $$\begin{pmatrix} M + \sum_j m_j & c_k\cos\theta_k \\ c_j\cos\theta_j & B_{jk}\cos(\theta_j - \theta_k) \end{pmatrix}
        \ddot q =
    \begin{pmatrix} f + \sum_j c_j\sin\theta_j\,\omega_j^2 \\
        g\,c_j\sin\theta_j - \sum_k B_{jk}\sin(\theta_j - \theta_k)\,\omega_k^2 \end{pmatrix},$$

    $$c_j = l_j\Big(\tfrac12 m_j + \sum_{i>j} m_i\Big), \qquad B_{jj} = l_j^2\Big(\tfrac13 m_j + \sum_{i>j} m_i\Big), \qquad
      B_{jk} = B_{kj} = l_j c_k \quad (j < k),$$

    stepped by the classical Runge-Kutta method of order 4, with the force $f$ held. Nothing rubs. One rod is the cart-pole of
    Barto, Sutton and Anderson, with half length $l/2$ and total mass $M + m$; from two rods on they feel each other, as those
    of [`CartPole`][undertow.tasks.cartpole.CartPole] do not, and hang one on the other instead of all on the cart.

    - state: `(1 + links, 2)`; row 0 is $(x, \dot x)$, the others $(\theta_j, \omega_j)$, from the cart on;
    - observation: the state, flattened row by row; action: the force, `(1,)`, in N, unbounded.

    **Arguments** (numbers or arrays: differentiable, may differ in a batch): `masses` $m_j$ = (0.1,) kg and `lengths` $l_j$ =
    (0.5,) m: one for every link, from the cart on, or one for all; `cart_mass` $M$ = 1 kg; `gravity` $g$ = 9.8 m/s^2; `dt`
    = 0.02 s.

    **Reference:** Goldstein, Poole and Safko, Classical Mechanics (3rd edition, 2002), section 1.4, for Lagrange's equations.
    """

    masses: tuple[Leaf, ...] = eqx.field(converter=partial(_of_links, "masses"), default=(0.1,))
    lengths: tuple[Leaf, ...] = eqx.field(converter=partial(_of_links, "lengths"), default=(0.5,))
    cart_mass: Leaf = leaf("cart_mass", 1.0, above=0)
    gravity: Leaf = leaf("gravity", 9.8)
    dt: Leaf = leaf("dt", 0.02, above=0)

    def observe(self, state: Float[Array, "bodies 2"]) -> Float[Array, " 2*bodies"]:
        """The state as one vector."""
        return state.reshape(-1)

    def advance(self, state: Float[Array, "bodies 2"], action: Float[Array, "1"]) -> Float[Array, "bodies 2"]:
        """One step under the force `action`. Raises `UndertowError` for another shape of state or action."""
        require(
            state.ndim == 2 and state.shape[0] >= 2 and state.shape[1] == 2,
            f"a serial pendulum's state has shape (1 + links, 2), got {state.shape}; batches come from vmap",
        )
        require(
            jnp.shape(action) == (1,), f"a serial pendulum's action is one force of shape (1,), got {jnp.shape(action)}"
        )

        def change(at: Array) -> Array:
            return jnp.stack([at[:, 1], self.acceleration(at, action[0])], axis=1)

        first = change(state)
        second = change(state + self.dt / 2 * first)
        third = change(state + self.dt / 2 * second)
        fourth = change(state + self.dt * third)
        return state + self.dt / 6 * (first + 2 * (second + third) + fourth)

    def acceleration(self, state: Float[Array, "bodies 2"], force: Float[Array, ""]) -> Float[Array, " bodies"]:
        r"""$\ddot q$ under a force on the cart, in m/s^2 and then in 1/s^2."""
        angle, rate = state[1:].T
        first, second = self._moments(state)
        apart = angle[:, None] - angle
        # Sums and no matrix products, which accelerators round to fewer digits.
        on_cart = force + jnp.sum(first * jnp.sin(angle) * rate**2)
        on_links = self.gravity * first * jnp.sin(angle) - jnp.sum(second * jnp.sin(apart) * rate**2, axis=1)
        return solve(self.mass_matrix(state), jnp.concatenate([on_cart[None], on_links]), assume_a="pos")

    def mass_matrix(self, state: Float[Array, "bodies 2"]) -> Float[Array, "bodies bodies"]:
        r"""The matrix before $\ddot q$: symmetric, positive definite."""
        angle = state[1:, 0]
        first, second = self._moments(state)
        links = second * jnp.cos(angle[:, None] - angle)
        beside = first * jnp.cos(angle)
        total = jnp.asarray(self.cart_mass, state.dtype) + jnp.sum(self._each("masses", state))
        return jnp.block([[total[None, None], beside[None]], [beside[:, None], links]])

    def energy(self, state: Float[Array, "bodies 2"]) -> Float[Array, ""]:
        r"""$\frac12\dot q^\top A\,\dot q + g\sum_j c_j\cos\theta_j$ with the mass matrix $A$, in J: a constant of the motion
        without force."""
        speed = state[:, 1]
        kinetic = jnp.sum(self.mass_matrix(state) * speed[:, None] * speed) / 2
        return kinetic + self.gravity * jnp.sum(self._moments(state)[0] * jnp.cos(state[1:, 0]))

    def _moments(self, state: Array) -> tuple[Float[Array, " links"], Float[Array, "links links"]]:
        """$c$ and $B$."""
        mass, length = self._each("masses", state), self._each("lengths", state)
        behind = jnp.cumsum(mass[::-1])[::-1] - mass
        first = length * (mass / 2 + behind)
        beyond = jnp.triu(length[:, None] * first, 1)
        return first, beyond + beyond.T + jnp.diag(length**2 * (mass / 3 + behind))

    def _each(self, name: str, state: Array) -> Float[Array, " links"]:
        given, links = getattr(self, name), state.shape[0] - 1
        require(
            len(given) in (1, links),
            f"{name} holds one number for all links or one for each of the {links}, got {len(given)}",
        )
        return jnp.broadcast_to(jnp.stack([jnp.asarray(each, state.dtype) for each in given]), (links,))

    def scene(self, states: np.ndarray, actions: np.ndarray) -> Scene:
        """The cart and its chain."""
        lengths = np.asarray(self._each("lengths", states[0]))
        base = carts(states)[:, None]
        hinges = base + np.cumsum(lengths[:, None] * directions(states), axis=1)
        chain = Shape("path", np.concatenate([base, hinges], axis=1), "links", width=3)
        return cart_scene(self, states, actions, [chain], float(lengths.sum()))

    def traces(self, states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
        """Angles, the cart's place, the force."""
        return cart_traces(states, actions)


@dataclass(frozen=True)
class PendulumSettings:
    """Links hinged one on the other on a cart that one force pushes."""

    links: Count = 2
    """number of links"""
    masses: tuple[Positive, ...] = (0.1,)
    """of the links, from the cart on, in kg; one number holds for all"""
    lengths: tuple[Positive, ...] = (0.5,)
    """of the links, from the cart on, in m; one number holds for all"""
    cart_mass: Positive = 1.0
    """kg"""
    gravity: float = 9.8
    """m/s^2"""
    dt: Positive = 0.02
    """time step, in s"""


def _system(given: PendulumSettings) -> System:
    links = given.links
    need = Need(f"the mass matrix of {number(links)} links", 8 * (1 + real(links)) ** 2, "system.links")
    require_memory([need], host=True)
    for name in ("masses", "lengths"):
        count = len(getattr(given, name))
        require(
            count in (1, links),
            f"system.{name} holds one number for all links or one for each of the {links} of system.links, got {count}",
        )
    return System(
        SerialPendulum(given.masses, given.lengths, given.cart_mass, given.gravity, given.dt),
        Upright(),
        lambda key: random_cartpole(key, links),
        (1,),
    )


TASK = ControlTask(
    summary="a controller that swings a chain of links on a cart upright",
    goal="swing a chain of links up by pushing the cart it hangs on",
    settings=PendulumSettings,
    system=_system,
    layout="row 0: position and speed of the cart; the others: angle (0 is upright) and rate of each link, from the cart on",
    game="Pendulum",
    agents="cart",
    bound=50.0,
    comparison=Comparison({f"{links} links": {"system.links": links} for links in (2, 4)}, 200, 25),
)
