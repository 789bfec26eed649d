"""The agents that the authors of arXiv 2203.08937 trained on gas dynamics, beside WENO and the exact solution.

`python -m validation.published_agents FOLDER`, with the folder of their checkpoints, prints every row of the comparison and,
in brackets, what the published program gives. Set-up of all rows: 128 cells, 1000 or 2000 forward Euler steps of 1e-4,
component-wise reconstruction, outflow; the L2 error is the root of dx times the sum of squares over cells, density, momentum
and energy.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from undertow.core.flow import closed_loop
from undertow.core.objective import Problem
from undertow.core.policy import AbstractPolicy
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation
from undertow.envs.rewards import OneStepError, Reward
from undertow.laws.fields import PiecewiseStates
from undertow.laws.gas_cases import gas_case
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import ForwardEuler
from undertow.numerics.timestep import FixedStep
from undertow.policies.classical import classical
from undertow.policies.published import read_published
from undertow.schemes.semidiscrete import SemiDiscrete

STEPS = 1000
NAN = float("nan")


class Row(NamedTuple):
    """L2 errors against the exact solution, and the distance of the two."""

    weno: float
    agent: float
    distance: float


PUBLISHED: dict[tuple[str, int, int], Row] = {
    ("sod", 1000, 2): Row(0.0494531, 0.0494312, 5.247e-5),
    ("sod", 1000, 3): Row(0.0401545, 0.0399876, 1.566e-3),
    ("sod2", 1000, 2): Row(0.0445835, 0.0445757, 1.207e-4),
    ("sod2", 1000, 3): Row(0.0329150, 0.0322451, 1.860e-3),
    ("shock_tube", 1000, 2): Row(0.326148, 0.326060, 7.504e-4),
    ("shock_tube", 1000, 3): Row(0.267521, 0.267605, 4.104e-2),
    ("double_rarefaction", 1000, 2): Row(0.0869729, 0.0869339, 1.154e-3),
    ("double_rarefaction", 1000, 3): Row(0.0502709, NAN, NAN),
    ("sonic_rarefaction", 1000, 2): Row(1.64175, 1.64134, 4.600e-3),
    ("sonic_rarefaction", 1000, 3): Row(1.22815, 1.27275, 8.793e-2),
    ("slow_moving_shock", 1000, 2): Row(1.19564, 1.19067, 1.583e-2),
    ("slow_moving_shock", 1000, 3): Row(1.04968, 1.02691, 1.228e-1),
    ("slow_shock", 1000, 2): Row(NAN, NAN, NAN),
    ("slow_shock", 1000, 3): Row(NAN, NAN, NAN),
    ("sod", 2000, 2): Row(0.0412673, 0.0412421, 5.358e-5),
    ("sod", 2000, 3): Row(0.0312605, 0.0309434, 1.331e-3),
    ("shock_tube", 2000, 2): Row(0.369829, 0.369796, 6.390e-4),
    ("shock_tube", 2000, 3): Row(0.311662, 0.323234, 5.209e-2),
}
"""What the published program gives, by condition, number of steps and substencil width."""


def agent(folder: Path, r: int) -> AbstractPolicy:
    """The authors' agent with substencils of width r."""
    return read_published(folder / f"euler_componentwise_r{r}.zip")


def problem(name: str, r: int) -> tuple[Conservation, PiecewiseStates]:
    """The environment of a named gas at order 2r-1, and its initial values."""
    field = gas_case(name).field()
    grid = UniformGrid(128, field.lower, field.upper)
    scheme = SemiDiscrete(field.law, grid, "outflow", order=2 * r - 1)
    return Conservation(scheme, FixedStep(jnp.asarray(1e-4)), ForwardEuler()), field


def measure(policy: AbstractPolicy, r: int, cases: dict[str, tuple[int, ...]]) -> dict[tuple[str, int, int], Row]:
    """The rows of some conditions, each with the numbers of steps after which it is looked at."""
    weno = classical("weno-js-original", 2 * r - 1)

    @eqx.filter_jit
    def march(env, policy, u0, steps):
        step = closed_loop(env, policy)
        return jax.lax.fori_loop(0, steps, lambda _, state: step(state)[0], env.initial(u0)).u

    rows = {}
    for name, counts in cases.items():
        env, field = problem(name, r)
        grid = env.scheme.grid
        x = jnp.asarray(grid.centers())

        def size(difference: jax.Array, dx: float = grid.dx) -> float:
            return float(jnp.sqrt(dx * jnp.sum(difference**2)))

        for steps in counts:
            ours, theirs = (march(env, each, field(x), jnp.asarray(steps)) for each in (policy, weno))
            exact = field.exact(x, time=steps * 1e-4)
            rows[name, steps, r] = Row(size(theirs - exact), size(ours - exact), size(ours - theirs))
    return rows


def one_step_evaluation(policy: AbstractPolicy, r: int) -> tuple[float, float]:
    """What the published training calls its evaluation on Sod's tube: the return of the one-step reward, component by
    component, and the L2 of the last *single* step's difference from WENO's."""
    env, field = problem("sod", r)
    start = env.initial(field(jnp.asarray(env.scheme.grid.centers())))
    error = OneStepError(classical("weno-js-original", 2 * r - 1))

    @eqx.filter_jit
    def run(policy, start):
        trajectory, given = rollout(env, policy, start, STEPS), Problem(env, start)
        last = error.difference(trajectory, given)[-1]
        loss = Reward(error, components="separate")(trajectory, given)
        return -loss, jnp.sqrt(env.scheme.grid.dx * jnp.sum(last**2))

    value, end = run(policy, start)
    return float(value), float(end)


def cases() -> dict[str, tuple[int, ...]]:
    """The numbers of steps of every condition in the table."""
    found: dict[str, tuple[int, ...]] = {}
    for name, steps, _ in PUBLISHED:
        found[name] = tuple(sorted({*found.get(name, ()), steps}))
    return found


def main(folder: Path) -> None:
    """Print the table."""
    jax.config.update("jax_enable_x64", True)
    print(f"{'':24}{'WENO':>22}{'agent':>22}{'distance of the two':>24}")
    for r in (2, 3):
        policy = agent(folder, r)
        value, end = one_step_evaluation(policy, r)
        print(f"r={r}: one-step return {value:.6g}, end L2 {end:.6g}")
        for key, row in measure(policy, r, cases()).items():
            cells = [f"{ours:.6g} ({theirs:.6g})" for ours, theirs in zip(row, PUBLISHED[key], strict=True)]
            print(f"{key[0]:20}{key[1] * 1e-4:4.1f}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
