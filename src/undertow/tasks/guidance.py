"""Guidance by repulsion: drivers herd evaders that run away from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from undertow._checks import check_seed, constant, require, whole_number
from undertow._fields import Count, Positive
from undertow._types import Key
from undertow.core.environment import AbstractControlled, Leaf, leaf
from undertow.tasks.scene import Scene, Shape, Trace, around, times_of
from undertow.tasks.task import Comparison, ControlObjectiveSettings, ControlTask, System, require_state


class Guidance(AbstractControlled[Array, Array, Array]):
    r"""Evaders $e$ flee from drivers $d$; the action steers each driver relative to the herd. With $r_{ij} = x_i - x_j$ and
    the softened distance $d_{ij} = \epsilon + |r_{ij}|$,

    $$\dot v_e = -k_e\sum_d\frac{x_d - x_e}{d_{de}^2} - \nu_e v_e
        + k_f\sum_{i\neq e}\frac{d_f/d_{ie} - 1}{d_{ie}}\,(x_i - x_e), \qquad
      \dot v_d = c_0 r + c_1 R r - \nu_d v_d + k_s\sum_{i\neq d}\frac{x_d - x_i}{d_{di}^2},$$

    $r = x_d - C$, $R(x, y) = (-y, x)$, by explicit Euler in position and velocity. As published, the herd's "centre" $C$ is
    the *sum* of the evaders' positions, and the flocking force attracts evaders nearer than $d_f$ and repels those farther
    apart. `corrected=True` takes the mean and the opposite sign, which is what is described there: evaders keep a distance
    of $d_f$.

    - state: `(drivers + evaders, 2, 2)`: agent (drivers first), position and velocity, x and y;
    - observation: the state, flattened; action: $(c_0, c_1)$ per driver, `(drivers, 2)`, in 1/s^2, unbounded.

    **Arguments:** `drivers`: their number, 2; `corrected`: False. Numbers or arrays (differentiable, may differ in a batch):
    `evade` $k_e$ = 15; `evader_friction` $\nu_e$ = 4 1/s; `flock` $k_f$ = 0.2; `flock_distance` $d_f$ = 0.5 m;
    `driver_friction` $\nu_d$ = 1 1/s; `spread` $k_s$ = 0.2; `softening` $\epsilon$ = 0.1 m; `dt` = 4/60 s.

    The derivative where two agents coincide is taken as zero, which is its mean over all directions.

    **Reference:** Ko and Zuazua (2020), arXiv 2002.04350, for the model; Schnell and Thuerey (2024), arXiv 2405.02041, for
    this form of it.
    """

    drivers: int = eqx.field(static=True, converter=partial(whole_number, "drivers"), default=2)
    corrected: bool = eqx.field(static=True, default=False)
    evade: Leaf = leaf("evade", 15.0)
    evader_friction: Leaf = leaf("evader_friction", 4.0)
    flock: Leaf = leaf("flock", 0.2)
    flock_distance: Leaf = leaf("flock_distance", 0.5)
    driver_friction: Leaf = leaf("driver_friction", 1.0)
    spread: Leaf = leaf("spread", 0.2)
    softening: Leaf = leaf("softening", 0.1, above=0)
    dt: Leaf = leaf("dt", 4 / 60, above=0)

    def observe(self, state: Float[Array, "agents 2 2"]) -> Float[Array, " 4*agents"]:
        """The state as one vector."""
        return state.reshape(-1)

    def advance(
        self, state: Float[Array, "agents 2 2"], action: Float[Array, "drivers 2"]
    ) -> Float[Array, "agents 2 2"]:
        """One step under the steering `action`. Raises `UndertowError` for another shape of state or action."""
        n = self.drivers
        require(
            state.ndim == 3 and state.shape[0] > n and state.shape[1:] == (2, 2),
            f"with {n} drivers the state has shape (drivers + evaders, 2, 2), got {state.shape}; batches come from vmap",
        )
        require(jnp.shape(action) == (n, 2), f"the action has shape (drivers, 2) = {(n, 2)}, got {jnp.shape(action)}")
        position, velocity = state[:, 0], state[:, 1]
        driver, evader = position[:n], position[n:]
        herd, apart = self._between(evader, evader)
        cohesion = (self.flock_distance / apart - 1) / apart
        flocking = jnp.sum(cohesion[..., None] * herd, axis=0)  # an evader's own term is 0: r = 0
        flee = -self.evade * self._pull(driver, evader) - self.evader_friction * velocity[n:]
        flee = flee + (-self.flock if self.corrected else self.flock) * flocking

        centre = jnp.mean(evader, axis=0) if self.corrected else jnp.sum(evader, axis=0)
        radial = driver - centre
        around = jnp.stack([-radial[:, 1], radial[:, 0]], axis=1)
        steer = action[:, :1] * radial + action[:, 1:] * around - self.driver_friction * velocity[:n]
        steer = steer - self.spread * self._pull(driver, driver)
        change = jnp.stack([velocity, jnp.concatenate([steer, flee])], axis=1)
        return state + self.dt * change

    def _between(
        self, sources: Float[Array, "m 2"], agents: Float[Array, "n 2"]
    ) -> tuple[Float[Array, "m n 2"], Float[Array, "m n"]]:
        """Vectors from every agent to every source, and their softened lengths."""
        vectors = sources[:, None] - agents[None]
        square = jnp.sum(vectors**2, axis=-1)
        # The root has no derivative at 0, where an agent meets itself; inside the other branch it is never asked for.
        apart = square > 0
        return vectors, self.softening + jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)

    def _pull(self, sources: Float[Array, "m 2"], agents: Float[Array, "n 2"]) -> Float[Array, "n 2"]:
        """The sum over the sources of r / d^2, towards them; an agent's own term is 0."""
        vectors, distances = self._between(sources, agents)
        return jnp.sum(vectors / distances[..., None] ** 2, axis=0)

    def scene(self, states: np.ndarray, actions: np.ndarray) -> Scene:
        """Drivers and evaders."""
        places = states[:, :, 0]
        shapes = [
            Shape("disc", places[:, : self.drivers], "drivers", "baseline"),
            Shape("disc", places[:, self.drivers :], "evaders", "learned"),
        ]
        return Scene(times_of(self, states), "s", shapes=shapes, bounds=around(places), y="y / m")

    def traces(self, states: np.ndarray, actions: np.ndarray) -> tuple[Trace, ...]:
        """Nothing but the paths."""
        return ()


def _target(given: Any) -> tuple[Leaf, Leaf]:
    require(len(given) == 2, f"the target is two finite coordinates, got {given!r}")
    return constant("target", given[0], batched=True), constant("target", given[1], batched=True)


class DistanceToTarget(eqx.Module):
    r"""The cost $\frac{1}{2E}\sum_e|x_e - y|^2$ of a herd of $E$ evaders: mean square of all coordinates' distances to the
    target $y$, in m^2.

    **Arguments:** `drivers`: how many of the agents are no evaders; `target` $y$: two coordinates, default the origin.
    """

    drivers: int = eqx.field(static=True, converter=partial(whole_number, "drivers"), default=2)
    target: tuple[Leaf, Leaf] = eqx.field(converter=_target, default=(0.0, 0.0))

    def __call__(self, state: Float[Array, "agents 2 2"]) -> Float[Array, ""]:
        """The cost of one state."""
        return jnp.mean((state[self.drivers :, 0] - jnp.stack(list(map(jnp.asarray, self.target)))) ** 2)


def random_guidance(key: Key, drivers: int = 2, evaders: int = 4) -> Float[Array, "agents 2 2"]:
    r"""A random state at rest: drivers on the annulus with radii 3 to 4 m, evaders within 0.5 m (per coordinate) of a common
    centre on the annulus with radii 1 to 2 m. Radii and angles are uniform, as published.

    **Raises:** `UndertowError` for fewer than 1 driver or evader.
    """
    drivers, evaders = whole_number("drivers", drivers), whole_number("evaders", evaders)
    around, middle, apart = jax.random.split(key, 3)
    centre = _annulus(jax.random.uniform(middle, (2,)), 1.0, 2.0)
    evader = centre + jax.random.uniform(apart, (evaders, 2), minval=-0.5, maxval=0.5)
    driver = _annulus(jax.random.uniform(around, (drivers, 2)), 3.0, 4.0)
    position = jnp.concatenate([driver, evader])
    return jnp.stack([position, jnp.zeros_like(position)], axis=1)


def published_guidance(
    count: int, drivers: int = 2, evaders: int = 4, seed: int = 42
) -> Float[Array, "count agents 2 2"]:
    """`count` states of the published data: of 512, states 0-255 are its training and 256-511 its test set.

    Drawn from NumPy's legacy generator, whose stream for a seed is fixed for good: for one driver after the other the angles
    of all `count` states and then the radii, then those of the evaders' centre, then for one evader after the other all $x$
    and all $y$. Another `count` therefore gives other states, and not fewer of the same.

    **Raises:** `UndertowError` for fewer than 1 state, driver or evader.
    """
    count, drivers, evaders = (
        whole_number(name, value) for name, value in (("count", count), ("drivers", drivers), ("evaders", evaders))
    )
    rand = np.random.RandomState(check_seed(seed)).rand

    def placed(inner: float, outer: float) -> np.ndarray:
        angle, radius = rand(count), rand(count)
        return _annulus(np.stack([radius, angle], axis=-1), inner, outer, np)

    driver = [placed(3.0, 4.0) for _ in range(drivers)]
    centre = placed(1.0, 2.0)
    evader = [centre + np.stack([rand(count) - 0.5, rand(count) - 0.5], axis=-1) for _ in range(evaders)]
    position = np.stack([*driver, *evader], axis=1)
    return jnp.asarray(np.stack([position, np.zeros_like(position)], axis=2))


def _annulus(unit: Any, inner: float, outer: float, xp: Any = jnp) -> Any:
    """Places, `"*batch 2"`, from numbers in [0, 1) for radius and angle; in JAX, or with `xp` in NumPy's double precision."""
    radius, angle = inner + (outer - inner) * unit[..., 0], 2 * xp.pi * unit[..., 1]
    return xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1)


@dataclass(frozen=True)
class GuidanceSettings:
    """Drivers that herd evaders by frightening them."""

    drivers: Count = 2
    """number of drivers"""
    evaders: Count = 4
    """number of evaders"""
    corrected: bool = False
    """steer relative to the evaders' mean, and flock at a distance, instead of the published sum and opposite sign"""
    target: tuple[float, float] = (0.0, 0.0)
    """where the evaders are to go, in m"""
    dt: Positive = 4 / 60
    """time step, in s"""


def _system(given: GuidanceSettings) -> System:
    drivers, evaders = given.drivers, given.evaders
    require_state(drivers + evaders, "system.drivers or system.evaders")
    return System(
        Guidance(drivers, given.corrected, dt=given.dt),
        DistanceToTarget(drivers, given.target),
        lambda key: random_guidance(key, drivers, evaders),
        (drivers, 2),
        lambda count, seed: published_guidance(count, drivers, evaders, seed),
    )


TASK = ControlTask(
    summary="a controller that herds evaders by repulsion",
    goal="drive a herd to a target; an agent per driver",
    settings=GuidanceSettings,
    system=_system,
    layout="agents (drivers first); position and velocity; x and y",
    game="Guidance",
    agents="driver",
    bound=10.0,
    # The released script says 10 epochs, but the paper's curves are smoothed over 30.
    comparison=Comparison(
        {f"action cost {cost:g}": {"objective.action_cost": cost} for cost in (1.0, 0.1, 0.01, 0.001)}, 200, 25
    ),
    horizon=60,
    objective=ControlObjectiveSettings("running", action_cost=0.1),
)
