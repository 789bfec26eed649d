"""Pushing without gripping: a pusher that can move a puck by stiff, one-sided contact alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import require, whole_number
from undertow._fields import Count, NotNegative, Positive
from undertow._types import Key
from undertow.core.environment import AbstractControlled, Leaf, leaf
from undertow.tasks.scene import Scene, Shape, Trace, around, captions, times_of
from undertow.tasks.task import Comparison, ControlObjectiveSettings, ControlTask, System


class Pusher(AbstractControlled[Array, Array, Array]):
    r"""Two discs on a plane (or two balls on a line): a force $f$ moves the pusher $x$; the puck $y$ is moved by contact and
    slowed by friction. With the unit normal $n$ from pusher to puck, the penetration $d = R - |y - x|$, its rate
    $\dot d = (\dot x - \dot y)\cdot n$ and the reduced mass $\mu = Mm/(M + m)$,

    $$M\ddot x = f - F n, \qquad m\ddot y = F n - m a\,\frac{\dot y}{\sqrt{|\dot y|^2 + \epsilon^2}}, \qquad
      F = \frac{\max(0,\ k d + c\,\dot d)}{1 + c\,\tau/2\mu} \text{ where } d > 0, \text{ else } 0,$$

    $c = 2\zeta\sqrt{k\mu}$, by semi-implicit Euler with $s$ sub-steps of $\tau = \Delta t/s$, the force $f$ held: velocities
    first, positions with the new velocities. The contact only repels; its denominator makes the dashpot act on the mean of
    old and new speed, so that head-on no energy appears (`energy`) while $\tau \le c/k$, which is $\omega\tau \le 2\zeta$
    with $\omega = \sqrt{k/\mu}$.

    What this system is for: out of contact the puck has no gradient with respect to the pusher at all; in contact
    $\partial\dot y'/\partial x$ is about $k\,\Delta t/m$ as long as $\omega\,\Delta t < 1$; and off-centre pushes throw the
    puck aside, the more the longer they last. A single step's gradient is stiff, then, but what a whole collision passes on
    is not: the large factors mostly cancel between its start and its end.

    - state: `(2, 2, dimensions)`: body (pusher, puck), position and velocity, coordinates; one or two dimensions;
    - observation: the state, flattened; action: the force $f$ on the pusher, `(dimensions,)`, in N, unbounded.

    **Arguments:** `substeps` $s$ = 4. Numbers or arrays (differentiable, may differ in a batch): `stiffness` $k$ = 500 N/m;
    `damping_ratio` $\zeta$ = 0.25, for which bodies part with about half the speed at which they met, however stiff;
    `reach` $R$ = 0.3 m, the sum of the radii; `pusher_mass` $M$ = 1 kg; `puck_mass` $m$ = 0.5 kg; `friction` $a$ = 2
    m/s^2, the puck's deceleration; `creep` $\epsilon$ = 0.05 m/s, the speed below which friction is viscous, to stay
    differentiable; `dt` = 0.02 s.

    The derivative where the bodies coincide, which they do not unless one tunnels into the other, is taken as zero.

    **Reference:** Suh, Simchowitz, Zhang and Tedrake (2022), arXiv 2202.00817, on gradients of stiff contact.
    """

    substeps: int = eqx.field(static=True, converter=partial(whole_number, "substeps"), default=4)
    stiffness: Leaf = leaf("stiffness", 500.0, above=0)
    damping_ratio: Leaf = leaf("damping_ratio", 0.25, at_least=0)
    reach: Leaf = leaf("reach", 0.3, above=0)
    pusher_mass: Leaf = leaf("pusher_mass", 1.0, above=0)
    puck_mass: Leaf = leaf("puck_mass", 0.5, above=0)
    friction: Leaf = leaf("friction", 2.0, at_least=0)
    creep: Leaf = leaf("creep", 0.05, above=0)
    dt: Leaf = leaf("dt", 0.02, above=0)

    def observe(self, state: Float[Array, "2 2 dimensions"]) -> Float[Array, " 4*dimensions"]:
        """The state as one vector."""
        return state.reshape(-1)

    def advance(
        self, state: Float[Array, "2 2 dimensions"], action: Float[Array, " dimensions"]
    ) -> Float[Array, "2 2 dimensions"]:
        """One step under the force `action`. Raises `UndertowError` for another shape of state or action."""
        require(
            state.ndim == 3 and state.shape[:2] == (2, 2) and state.shape[2] in (1, 2),
            f"a pusher's state has shape (2, 2, dimensions) with 1 or 2 dimensions, got {state.shape}; "
            "batches come from vmap",
        )
        require(
            jnp.shape(action) == state.shape[2:],
            f"a pusher's action is one force of shape {state.shape[2:]}, got {jnp.shape(action)}",
        )
        tau = self.dt / self.substeps
        position, velocity = state[:, 0], state[:, 1]
        for _ in range(self.substeps):
            push = self.contact(jnp.stack([position, velocity], axis=1))
            slide = velocity[1]
            drag = self.friction * slide / jnp.sqrt(jnp.sum(slide**2) + self.creep**2)
            kick = jnp.stack([(action - push) / self.pusher_mass, push / self.puck_mass - drag])
            velocity = velocity + tau * kick
            position = position + tau * velocity
        return jnp.stack([position, velocity], axis=1)

    def contact(self, state: Float[Array, "2 2 dimensions"]) -> Float[Array, " dimensions"]:
        r"""The force $F n$ on the puck, in N; the pusher feels its opposite. Zero where the bodies do not touch."""
        normal, depth, rate = self._meeting(state)
        reduced = self._reduced_mass
        damping = 2 * self.damping_ratio * jnp.sqrt(self.stiffness * reduced)
        force = jnp.maximum(self.stiffness * depth + damping * rate, 0)
        force = force / (1 + damping * self.dt / self.substeps / (2 * reduced))
        return jnp.where(depth > 0, force, 0) * normal

    def energy(self, state: Float[Array, "2 2 dimensions"]) -> Float[Array, ""]:
        r"""Kinetic energy of both bodies, and in contact that of the spring, in J.

        $$E = \tfrac12 M|\dot x|^2 + \tfrac12 m|\dot y|^2 + \tfrac12 k\,d\,(d - \tau\dot d) \text{ where } d > 0$$

        The last term is the spring's $\frac12 k d^2$ as semi-implicit Euler conserves it: without action and friction, $E$
        of bodies that meet head-on never grows from one step to the next while $\tau \le c/k$.
        """
        _, depth, rate = self._meeting(state)
        kinetic = (self.pusher_mass * jnp.sum(state[0, 1] ** 2) + self.puck_mass * jnp.sum(state[1, 1] ** 2)) / 2
        spring = self.stiffness * depth * (depth - self.dt / self.substeps * rate) / 2
        return kinetic + jnp.where(depth > 0, spring, 0)

    def scene(self, states: np.ndarray, actions: np.ndarray) -> Scene:
        """Pusher, puck and target."""
        places = on_plane(states[:, :, 0])
        radius, target = float(self.reach) / 2, np.zeros((len(states), 1, 2))
        shapes = [
            Shape("disc", places[:, :1], "pusher", "baseline", radius=radius),
            Shape("disc", places[:, 1:], "puck", "learned", radius=radius),
            Shape("mark", target, "target", "exact"),
        ]
        said = captions("force {:.3g} N", states, np.linalg.norm(actions, axis=-1))
        bounds = around(np.concatenate([places, target], axis=1), 2 * radius)
        return Scene(times_of(self, states), "s", said, shapes, bounds, y="y / m")

    def traces(self, states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
        """How far the puck has to go, and the forces."""
        vectors = {
            "puck to target / m": states[:, 1, 0],
            "force on pusher / N": actions,
            "contact / N": np.asarray(jax.vmap(self.contact)(jnp.asarray(states))),
        }
        return tuple(
            Trace(title, np.linalg.norm(each, axis=-1, keepdims=True), from_zero=True)
            for title, each in vectors.items()
        )

    @property
    def _reduced_mass(self) -> Leaf:
        return self.pusher_mass * self.puck_mass / (self.pusher_mass + self.puck_mass)

    def _meeting(self, state: Array) -> tuple[Float[Array, " dimensions"], Float[Array, ""], Float[Array, ""]]:
        """Unit normal from pusher to puck, penetration (negative: a gap) and its rate."""
        (pusher, speed), (puck, slide) = state
        between = puck - pusher
        square = jnp.sum(between**2)
        # The root has no derivative at 0; inside the other branch it is never asked for.
        apart = square > 0
        distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)
        normal = between / jnp.where(apart, distance, 1)
        return normal, self.reach - distance, jnp.sum((speed - slide) * normal)


class RestAtTarget(eqx.Module):
    r"""The cost $|y - y^*|^2 + T^2|\dot y|^2$ of a puck: its square distance to the target, in m^2, with its speed counted as
    the way it makes in a time $T$.

    **Arguments:** `target` $y^*$, every coordinate of it alike, default 0 m; `settling` $T$ = 0.2 s.
    """

    target: Leaf = leaf("target", 0.0)
    settling: Leaf = leaf("settling", 0.2)

    def __call__(self, state: Float[Array, "2 2 dimensions"]) -> Float[Array, ""]:
        """The cost of one state."""
        place, speed = state[1]
        return jnp.sum((place - self.target) ** 2) + self.settling**2 * jnp.sum(speed**2)


def random_pusher(key: Key, dimensions: int = 2) -> Float[Array, "2 2 dimensions"]:
    r"""A random state: the puck at rest 0.6 to 1.2 m left of the origin, in directions within $\pi/6$ of each other's middle;
    the pusher farther out with its centre 0.35 to 0.5 m behind the puck's, up to $\pi/12$ off the line, moving at the puck
    with 0.5 to 1 m/s, so that they meet even if nothing is done, and there is a gradient to begin with.

    **Raises:** `UndertowError` for dimensions other than 1 and 2.
    """
    require(dimensions in (1, 2), f"a pusher moves in 1 or 2 dimensions, got {dimensions!r}")
    far, behind, fast, aside, off = jax.random.uniform(key, (5,))
    heading = jnp.pi / 6 * (2 * aside - 1) * (dimensions - 1)
    line = heading + jnp.pi / 12 * (2 * off - 1) * (dimensions - 1)
    puck = -(0.6 + 0.6 * far) * _direction(heading, dimensions)
    way = _direction(line, dimensions)
    pusher = puck - (0.35 + 0.15 * behind) * way
    return jnp.stack([jnp.stack([pusher, (0.5 + 0.5 * fast) * way]), jnp.stack([puck, jnp.zeros_like(puck)])])


def on_plane(places: np.ndarray) -> np.ndarray:
    """Coordinates on a line as points of a plane, too."""
    return np.pad(places, [(0, 0)] * (places.ndim - 1) + [(0, 2 - places.shape[-1])])


def _direction(angle: Float[Array, ""], dimensions: int) -> Float[Array, " dimensions"]:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])[:dimensions]


@dataclass(frozen=True)
class ContactSettings:
    """A pusher that moves a puck by stiff contact."""

    dimensions: Literal[1, 2] = 2
    """1: on a line; 2: on a plane, where the puck slips aside"""
    stiffness: Positive = 500.0
    """of the contact, in N/m"""
    damping_ratio: NotNegative = 0.25
    """of the contact: 0 gives back all energy, 1 next to none"""
    friction: NotNegative = 2.0
    """deceleration of the puck, in m/s^2"""
    substeps: Count = 4
    """steps of the contact's integration per time step"""
    dt: Positive = 0.02
    """time step, in s"""


def _system(given: ContactSettings) -> System:
    pusher = Pusher(given.substeps, given.stiffness, given.damping_ratio, friction=given.friction, dt=given.dt)
    return System(pusher, RestAtTarget(), lambda key: random_pusher(key, given.dimensions), (given.dimensions,))


TASK = ControlTask(
    summary="a controller that pushes a puck to a target by stiff contact, without gripping it",
    goal="push a puck to a target without gripping it",
    settings=ContactSettings,
    system=_system,
    layout="pusher and puck; position and velocity; coordinates",
    game="Contact",
    agents="pusher",
    bound=20.0,
    # Not published: its physics breaks what arXiv 2405.02041 assumes of gradients.
    comparison=Comparison(
        {name: {"system.stiffness": k} for name, k in (("soft", 100.0), ("medium", 500.0), ("stiff", 3000.0))}, 100, 10
    ),
    # The action's cost keeps forces within what the contact can pass on.
    objective=ControlObjectiveSettings("running", action_cost=0.001),
)
