"""The march to an end time, what agents may give the faces, and boundaries that are a neighbour's cells."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import observed_orders, quick_jit
from undertow._checks import NonFiniteError, UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.numerics.boundary import AbstractBoundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import RK4, SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.policies.classical import classical
from undertow.policies.stencil import DirectionalPolicy
from undertow.schemes.domain import Domain
from undertow.schemes.faces import FaceValues
from undertow.schemes.fluxes import LaxFriedrichs
from undertow.schemes.march import march, stepper
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.riemann import RiemannScheme
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import FixedSpeed, LocalSpeed
from undertow.schemes.weights import WenoJS, linear, reconstruct

TIME = jnp.zeros(())
SCHEME = SemiDiscrete(Burgers(), UniformGrid(24))


def wave(mean=0.4, cells=24):
    x = UniformGrid(cells).centers()
    return jnp.asarray(mean + np.sin(2 * np.pi * x) + 0.3 * np.cos(6 * np.pi * x))[None]


class AsValues(eqx.Module):
    """What weights make of the stencils, as the faces' values."""

    weights: eqx.Module
    relative: bool = eqx.field(static=True, default=False)

    def __call__(self, stencils):
        return FaceValues(tuple(reconstruct(each, self.weights(each)) for each in stencils))


# --- face values ------------------------------------------------------------------------------------------------------


def gas(cells):
    x = (np.arange(cells) + 0.5) / cells
    return Euler().conserved(jnp.asarray([1 + 0.3 * np.sin(2 * np.pi * x), np.cos(2 * np.pi * x), 1 + 0.2 * (x > 0.5)]))


@pytest.mark.parametrize("kind", ["component", "characteristic"])
def test_values_made_of_weights_are_those_weights(kind):
    scheme, u = SemiDiscrete(Euler(), UniformGrid(16), reconstruction=kind), gas(16)

    @quick_jit
    def both(u):
        policy = AsValues(WenoJS())
        return (
            scheme.rate(u, TIME, lambda _, stencils: policy(stencils)),
            scheme.rate(u, TIME, lambda _, stencils: tuple(map(WenoJS(), stencils))),
        )

    mine, theirs = both(u)
    np.testing.assert_allclose(mine, theirs, atol=1e-13 * float(jnp.max(jnp.abs(theirs))))
    assert float(jnp.max(jnp.abs(theirs))) > 1


def test_solve_takes_values_and_weights_alike():
    """In units of the problem, too: values have the unit of the stencils, weights have none."""
    policy = AsValues(WenoJS(), relative=True)
    step = {"steps": 8, "time_step": FixedStep(jnp.asarray(0.004))}
    values = quick_jit(lambda u: solve(SCHEME, policy, u, **step).values[-1])(1e3 * wave())
    weights = quick_jit(lambda u: solve(SCHEME, WenoJS(), u, **step).values[-1])(1e3 * wave())
    np.testing.assert_allclose(values, weights, rtol=1e-10)


def test_the_linear_value_of_fifth_order():
    """(2 q0 - 13 q1 + 47 q2 + 27 q3 - 3 q4) / 60 at a face, integrated exactly in time as a product in Fourier space."""

    def fifth(stencils):
        coefficients = jnp.asarray([2.0, -13.0, 47.0, 27.0, -3.0]) / 60
        return FaceValues(tuple(jnp.sum(each * coefficients, axis=-1) for each in stencils))

    def error(n):
        scheme = SemiDiscrete(LinearAdvection(), UniformGrid(n))
        impulse = jnp.zeros((1, n)).at[0, 0].set(1.0)
        column = quick_jit(lambda u: scheme.rate(u, TIME, lambda _, stencils: fifth(stencils)))(impulse)[0]
        x = scheme.grid.centers()
        spectrum = np.fft.fft(np.sin(4 * np.pi * x)) * np.exp(0.3 * np.fft.fft(column))
        return np.sqrt(np.mean((np.fft.ifft(spectrum).real - np.sin(4 * np.pi * (x - 0.3))) ** 2))

    np.testing.assert_allclose(observed_orders((64, 96), [error(n) for n in (64, 96)]), 5, atol=0.1)


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (lambda stencils: stencils, "does not choose the weights of a scheme: they have shapes"),
        (lambda stencils: FaceValues(stencils), "; FaceValues have"),
        (lambda stencils: stencils[0][..., 0], "does not choose"),
        (5, "weights or a policy choose at the faces, WenoJS.. for example, got 5"),
        (classical("weno-js", 7), "weights of order 7 in a scheme of order 5"),
    ],
)
def test_agents_that_do_not_fit(agent, message):
    with pytest.raises(UndertowError, match=message):
        solve(SCHEME, agent, wave(), end_time=0.1)


# --- to an end time ---------------------------------------------------------------------------------------------------


def test_kept_states_lie_at_equal_times_and_are_those_of_clipped_steps():
    out = solve(SCHEME, WenoJS(), wave(), end_time=0.1, time_step=CFLStep(0.4), saves=4)
    np.testing.assert_allclose(out.times, [0, 0.025, 0.05, 0.075, 0.1], rtol=1e-14)
    assert out.steps[0] == 0 and np.all(np.diff(out.steps) > 0)
    count = int(out.steps[1])
    first = solve(SCHEME, WenoJS(), wave(), steps=count, time_step=CFLStep(0.4, 0.025))
    np.testing.assert_allclose(first.values[-1], out.values[1], atol=1e-14)
    fixed = solve(SCHEME, WenoJS(), wave(), end_time=0.1, time_step=FixedStep(0.03))
    assert fixed.times[-1] == 0.1 and fixed.steps[-1] == 4


def test_a_policy_marches_as_its_weights_do():
    weights, policy = (
        solve(SCHEME, agent, wave(), end_time=0.05, integrator="rk4") for agent in (WenoJS(), classical("weno-js"))
    )
    np.testing.assert_allclose(policy.values, weights.values, atol=1e-14)
    assert policy.steps[-1] == weights.steps[-1]


def test_with_a_bound_of_the_steps_it_is_the_same_march():
    runs = [solve(SCHEME, WenoJS(), wave(), end_time=0.2, saves=2, max_steps=bound) for bound in (None, 11)]
    np.testing.assert_allclose(runs[1].values, runs[0].values, atol=1e-14)
    np.testing.assert_array_equal(runs[1].steps, runs[0].steps)
    assert 3 < runs[0].steps[1] < 11
    with pytest.raises(UndertowError, match="after 3 steps t = .*, short of end_time = 0.2: take a larger max_steps"):
        solve(SCHEME, WenoJS(), wave(), end_time=0.2, max_steps=3)


def test_it_is_batched_and_differentiated_with_a_learned_policy():
    """A batch of which every member takes another number of steps; derivatives by policy and state against differences."""
    policy = DirectionalPolicy(key=jax.random.key(0), hidden=(4,))
    policy = jax.tree.map(lambda x: x + 0.1 if eqx.is_inexact_array(x) else x, policy)
    params, static = eqx.partition(policy, eqx.is_inexact_array)
    scheme = SemiDiscrete(Burgers(), UniformGrid(16), speed=FixedSpeed(2.0))
    rule = CFLStep(0.3)

    def end(params, mean):
        agent, u0 = eqx.combine(params, static), wave(mean, 16)
        return solve(scheme, agent, u0, end_time=0.04, time_step=rule, integrator=SSPRK3(), max_steps=9)

    means = jnp.asarray([0.1, 0.9])
    batch = quick_jit(jax.vmap(end, in_axes=(None, 0)))(params, means)
    assert batch.steps[0, -1] < batch.steps[1, -1] < 9
    np.testing.assert_allclose(batch.times[:, -1], 0.04, rtol=1e-12)

    def loss(point):
        return jnp.mean(end(point["params"], point["mean"]).values[-1] ** 2)

    point = {"params": params, "mean": means[1]}
    gradient = quick_jit(jax.grad(loss))(point)
    direction = jax.tree.map(jnp.ones_like, point)
    along = sum(jnp.sum(g) for g in jax.tree.leaves(gradient))
    moved = quick_jit(lambda h: loss(jax.tree.map(lambda p, d: p + h * d, point, direction)))
    difference = (8 * (moved(1e-4) - moved(-1e-4)) - (moved(2e-4) - moved(-2e-4))) / 12e-4
    np.testing.assert_allclose(along, difference, rtol=1e-6)
    assert abs(float(difference)) > 1e-2


def test_a_step_that_is_too_long_is_halved_alike_both_ways():
    """A gas next to a vacuum: what is tried first leaves a negative density behind."""
    law = Euler()
    u0 = law.conserved(jnp.asarray([[1.0] * 6 + [1e-6] * 6, [0.0] * 12, [1.0] * 6 + [1e-6] * 6]))
    scheme = SemiDiscrete(law, UniformGrid(12), "outflow", limiter=PositivityLimiter()).relative_to(u0)

    @quick_jit
    def both(u):
        ways = [stepper(scheme, linear(5), CFLStep(3.0), ForwardEuler(), reverse=way)(u, TIME) for way in (False, True)]
        return [*ways, stepper(scheme, linear(5), FixedStep(0.0), ForwardEuler())(u, TIME)]

    forward, reverse, _ = both(u0)
    np.testing.assert_allclose(reverse[0], forward[0], rtol=1e-13)
    assert reverse[1] == forward[1]
    longest = 3.0 / float(scheme.domain.speed_over_dx(u0))
    assert float(forward[1]) <= 0.5 * longest * (1 + 1e-12)
    assert all(float(jnp.min(part)) > 0 for part in law.positive(forward[0]))


def test_riemann_solvers_march_too():
    scheme = RiemannScheme(Euler(), UniformGrid(16), flux=LaxFriedrichs())
    out = solve(scheme, None, gas(16), end_time=0.02)
    assert out.times[-1] == 0.02 and bool(jnp.all(jnp.isfinite(out.values)))
    np.testing.assert_allclose(jnp.sum(out.values[-1], axis=1), jnp.sum(out.values[0], axis=1), atol=1e-12)


def test_the_end_of_a_march_that_blows_up_is_located():
    u0 = wave()
    with pytest.raises(NonFiniteError, match="the state after step .* in cell"):
        solve(SCHEME, linear(5), u0, end_time=50.0, time_step=FixedStep(0.5), integrator=RK4())
    _, time, count = march(SCHEME, linear(5), u0, TIME, end_time=50.0, time_step=FixedStep(0.5, 50.0), integrator=RK4())
    assert float(time) < 50 and 0 < int(count) < 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "give one of the two"),
        ({"end_time": 0.1, "steps": 3}, "give one of the two"),
        ({"end_time": -1.0}, "end_time must be"),
        ({"end_time": 0.1, "time_step": CFLStep(0.4, 0.2)}, "give the end to solve alone"),
        ({"end_time": 0.1, "save_every": 2}, "save_every goes with steps"),
        ({"end_time": 0.1, "saves": 0}, "saves must be"),
        ({"steps": 3, "time_step": FixedStep(0.1), "saves": 2}, "saves and max_steps go with end_time"),
        ({"steps": 3}, "Give time_step"),
    ],
)
def test_ends_that_cannot_be(change, message):
    with pytest.raises(UndertowError, match=message):
        solve(SCHEME, WenoJS(), wave(), **change)


# --- neighbours -------------------------------------------------------------------------------------------------------


class Neighbours(AbstractBoundary):
    """The cells of two neighbouring parts of a grid, and what a limiter asks of the cells next to the ends."""

    low: jax.Array
    high: jax.Array
    periodic: jax.Array
    ghost: int = eqx.field(static=True)

    def pad(self, u, axis, parity):
        return jnp.concatenate([self.low, u, self.high], axis=axis + 1)

    def beyond(self, first, last, nothing):
        return jnp.full_like(first, nothing), jnp.full_like(last, nothing)


@pytest.mark.parametrize("scheme", [SemiDiscrete, RiemannScheme], ids=["split", "riemann"])
def test_a_part_of_a_grid_with_its_neighbours_cells_is_that_part(scheme):
    """What a decomposed grid needs of a boundary: the scheme does not know that its ends are somebody else's cells."""
    u, agent = gas(24), (lambda _, stencils: tuple(map(WenoJS(), stencils))) if scheme is SemiDiscrete else None
    whole = scheme(Euler(), UniformGrid(24), speed=LocalSpeed())
    ends = Neighbours(low=u[:, 4:8], high=u[:, 16:20], periodic=jnp.zeros(()), ghost=4)
    part = whole.over(Domain(Euler(), UniformGrid(8, 8 / 24, 16 / 24), (ends,)))
    expected, found = quick_jit(lambda: (whole.rate(u, TIME, agent), part.rate(u[:, 8:16], TIME, agent)))()
    np.testing.assert_allclose(found, expected[:, 8:16], atol=1e-12)
