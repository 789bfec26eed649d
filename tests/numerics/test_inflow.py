"""Prescribed ghost cells: what enters arrives, at the time of every stage, and only where it is prescribed."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_derivatives_agree, derivative_mismatches, quick_jit
from undertow._checks import UndertowError
from undertow.core.unroll import rollout
from undertow.envs.conservation import Conservation
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.numerics.boundary import boundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.inflow import CallableInflow, Opening, PrescribedInflow
from undertow.numerics.integrator import SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import ClassicalPolicy
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import SmoothSpeed
from undertow.schemes.weights import WenoJS, linear

GHOST = 4


def wave(x, time):
    return jnp.sin(2 * jnp.pi * (x - time))


def entering(x, time):
    return wave(x, time)[None], x < 0


class Wave(eqx.Module):
    """The same with a leaf."""

    amplitude: jax.Array

    def entering(self, x, time):
        return self.amplitude * wave(x, time)[None], (x < 0) | (x > 1)


@pytest.fixture(scope="module")
def advected():
    """A wave that enters on the left and leaves on the right, where it is prescribed, too; by the solver and by the loop."""
    grid, step, steps = UniformGrid(40), FixedStep(0.01), 60

    @quick_jit
    def run(amplitude):
        inflow = CallableInflow(Wave(amplitude).entering)
        scheme = SemiDiscrete(LinearAdvection(1.0), grid, "outflow", inflow=inflow)
        u0 = amplitude * wave(jnp.asarray(grid.centers()), 0.0)[None]
        solved = solve(scheme, linear(5), u0, steps=steps, time_step=step).values[-1]
        env = Conservation(scheme, step, SSPRK3())
        looped = rollout(env, ClassicalPolicy(linear(5)), env.initial(u0), steps).states.u[-1]
        return solved, looped, amplitude * wave(jnp.asarray(grid.centers()), steps * 0.01)

    return run


def test_a_wave_enters_as_it_should_at_every_stage(advected):
    """With the step's time instead of the stages' the error would be that of half a step, 3e-2."""
    solved, looped, exact = advected(jnp.asarray(1.0))
    np.testing.assert_allclose(solved[0], exact, atol=2e-4)
    np.testing.assert_allclose(looped, solved, atol=1e-14)


def test_a_batch_of_inflows_is_one_program(advected):
    solved, _, exact = jax.vmap(advected)(jnp.asarray([0.5, 2.0]))
    np.testing.assert_allclose(solved[:, 0], exact, atol=4e-4)


def test_a_plain_function_is_static():
    a, b = (
        SemiDiscrete(LinearAdvection(1.0), UniformGrid(8), "outflow", inflow=CallableInflow(entering)) for _ in "ab"
    )
    assert jax.tree.structure(a) == jax.tree.structure(b)
    assert all(isinstance(leaf, (jax.Array, float)) for leaf in jax.tree.leaves(a))
    padded = a.domain.pad(jnp.ones((1, 8)), 0, jnp.asarray(0.25))
    x = (np.arange(-4, 12) + 0.5) / 8
    np.testing.assert_allclose(padded[0], np.where(x < 0, wave(x, 0.25), 1.0), atol=1e-15)


def plane(inflow, kinds="outflow", cells=(6, 5), **options):
    grid = UniformGrid(cells, (0.0, -1.0), (1.2, 1.0))
    return SemiDiscrete(Euler(dimensions=2), grid, kinds, inflow=inflow, **options)


def test_openings_on_a_part_of_an_edge_of_every_end(rng):
    u = jnp.asarray(rng.uniform(1, 2, (4, 6, 5)))
    bare, state = plane(None), jnp.asarray([9.0, 8.0, 7.0, 60.0])
    for axis in range(2):
        along = bare.grid.centers(1 - axis)
        inside = (along > along[1]) & (along < along[4])
        for end in range(2):
            pairs = [[None, None], [None, None]]
            pairs[axis][end] = Opening(state, along[1], along[4])
            scheme = plane(PrescribedInflow(tuple(tuple(pair) for pair in pairs)))
            np.testing.assert_array_equal(scheme.domain.pad(u, 1 - axis), bare.domain.pad(u, 1 - axis))
            padded, plain = (np.moveaxis(s.domain.pad(u, axis), axis + 1, -1) for s in (scheme, bare))
            expected = np.array(plain)
            ghosts = slice(None, GHOST) if end == 0 else slice(-GHOST, None)
            expected[:, inside, ghosts] = state[:, None, None]
            np.testing.assert_array_equal(padded, expected)


def test_a_wall_on_a_part_of_an_edge(rng):
    """Double Mach reflection: below, the wall begins at some place, and a state is prescribed before it."""
    u, state = jnp.asarray(rng.uniform(1, 2, (4, 6, 5))), jnp.asarray([8.0, 57.0, -33.0, 560.0])
    scheme = plane(PrescribedInflow(((None, None), (Opening(state, upper=0.5), None))), ("outflow", "reflective"))
    padded, wall = (s.domain.pad(u, 1) for s in (scheme, plane(None, ("outflow", "reflective"))))
    before = scheme.grid.centers(0) < 0.5
    np.testing.assert_array_equal(padded[:, ~before], wall[:, ~before])
    np.testing.assert_array_equal(padded[:, before, GHOST:], wall[:, before, GHOST:])
    np.testing.assert_array_equal(padded[:, before, :GHOST], np.broadcast_to(state[:, None, None], (4, 3, GHOST)))


def test_a_jet_of_mach_2000_enters_a_gas_at_rest():
    """The first step must know how fast it comes: nothing inside moves yet."""
    law, grid = Euler(5 / 3, dimensions=2), UniformGrid((16, 8), (0.0, -0.25), (1.0, 0.25))
    gas, jet = (law.conserved(jnp.asarray(p)) for p in ([0.5, 0.0, 0.0, 0.4127], [5.0, 800.0, 0.0, 0.4127]))
    inflow = PrescribedInflow(((Opening(jet, -0.1, 0.1), None), (None, None)))
    scheme = SemiDiscrete(law, grid, "outflow", inflow=inflow, limiter=PositivityLimiter())
    u0 = jnp.broadcast_to(gas[:, None, None], (4, 16, 8))
    step = CFLStep(0.2, 5e-4, grid.dx)
    # The gas at rest is next to nothing beside the jet; an epsilon in units of the jet would not see its waves.
    weights = WenoJS(epsilon=1e-6)
    options = {"steps": 60, "time_step": step, "integrator": ForwardEuler(), "save_every": 1}
    out = quick_jit(lambda u: solve(scheme, weights, u, **options))(u0)
    assert all(float(jnp.min(part)) > 0 for part in law.positive(jnp.moveaxis(out.values, 1, 0)))
    end = np.asarray(out.values[-1])
    assert end[0].max() > 2
    np.testing.assert_allclose(end[0, 12:], 0.5, rtol=1e-5)
    np.testing.assert_allclose(
        end[:, :, ::-1] * np.array([1, 1, -1, 1])[:, None, None], end, atol=1e-9 * np.abs(end).max()
    )


def test_derivatives_by_what_enters():
    def function(point):
        inflow = PrescribedInflow(((Opening(point["state"]), None),))
        scheme = SemiDiscrete(Burgers(), UniformGrid(12), "outflow", inflow=inflow, speed=SmoothSpeed())
        options = {"steps": 2, "time_step": FixedStep(0.005), "integrator": ForwardEuler()}
        return solve(scheme, WenoJS(epsilon=1e-6), point["u"], **options).values[-1]

    assert_derivatives_agree(derivative_mismatches(function), {"state": jnp.asarray([1.5]), "u": jnp.ones((1, 12))})


def test_errors():
    u = jnp.ones((4, 6, 5))
    with pytest.raises(UndertowError, match="1 pairs of openings on a grid with 2 axes"):
        plane(PrescribedInflow(((None, None),))).domain.pad(u, 0)
    with pytest.raises(
        UndertowError, match=r"end 0 of axis 0 have shape \(4, 4, 5\) and a mask \(4, 5\), got \(3, 4, 5\)"
    ):
        plane(PrescribedInflow(((Opening(jnp.ones(3)), None), (None, None)))).domain.pad(u, 0)
    assert boundary("outflow", ghost=GHOST).ghost == plane(None).domain.ghost
