"""The positivity-preserving limiter: what has to be positive is, nothing else changes, and derivatives are derivatives."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_derivatives_agree, derivative_mismatches, quick_jit
from undertow._checks import UndertowError
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.shallow_water import ShallowWater
from undertow.numerics.boundary import boundary
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import SSPRK3, ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.march import advance
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.splitting import LocalSpeed, SmoothSpeed
from undertow.schemes.weights import WenoJS, linear

# gamma, left, right, end time on [0, 1] with the jump in the middle, and whether WENO5 fails without a limiter.
PROBLEMS = {
    "leblanc": (5 / 3, (1.0, 0.0, 0.2 / 3), (1e-3, 0.0, 0.2e-9 / 3), 0.6, True),
    "123": (1.4, (1.0, -2.0, 0.4), (1.0, 2.0, 0.4), 0.15, False),
    "vacuum": (1.4, (1.0, -5.0, 0.4), (1.0, 5.0, 0.4), 0.08, True),
    "near vacuum": (1.4, (7.0, -1.0, 0.2), (7.0, 1.0, 0.2), 0.3, True),
    "blast": (1.4, (1.0, 0.0, 1e6), (1.0, 0.0, 1e-6), 3e-4, False),
    "mach 2000": (5 / 3, (5.0, 800.0, 0.4127), (0.5, 0.0, 0.4127), 4e-4, True),
}
CELLS, STEPS = 80, 220
TIME = jnp.zeros(())


def riemann_data(left, right, gamma, cells):
    x = (np.arange(cells) + 0.5) / cells
    return Euler(gamma).conserved(jnp.asarray(np.where(x < 0.5, np.array(left)[:, None], np.array(right)[:, None])))


@pytest.fixture(scope="module")
def marched(as_users):
    """All problems by one program per limiter: gamma, boundary and end time are leaves."""

    @eqx.filter_jit
    def run(limiter, gamma, ends, end_time, u0):
        scheme = SemiDiscrete(Euler(gamma), UniformGrid(CELLS), (ends,), limiter=limiter)
        step = CFLStep(0.4, end_time, scheme.grid.dx)
        return solve(scheme, WenoJS(epsilon=1e-6), u0, steps=STEPS, time_step=step, save_every=1)

    def march(name, kind, limiter):
        gamma, left, right, end_time, _ = PROBLEMS[name]
        u0 = riemann_data(left, right, gamma, CELLS)
        with as_users():  # two programs are compared bit for bit
            return run(limiter, jnp.asarray(gamma), boundary(kind, ghost=4), jnp.asarray(end_time), u0)

    return march


def smallest(gamma, values):
    return [float(jnp.min(part)) for part in Euler(gamma).positive(jnp.moveaxis(values, 1, 0))]


@pytest.mark.parametrize("name", PROBLEMS)
def test_density_and_pressure_stay_positive(name, marched):
    gamma, *_, end_time, fails = PROBLEMS[name]
    out = marched(name, "outflow", PositivityLimiter())
    assert float(out.times[-1]) == pytest.approx(end_time)
    assert min(smallest(gamma, out.values)) > 0
    plain = marched(name, "outflow", None)
    assert (not min(smallest(gamma, plain.values)) > 0) == fails
    if not fails:  # and it changed nothing
        np.testing.assert_array_equal(out.values, plain.values)


@pytest.mark.parametrize("name", ["mach 2000", "leblanc"])
def test_it_conserves(name, marched):
    """On a ring, so that the face where the two ends meet is limited from both."""
    out = marched(name, "periodic", PositivityLimiter())
    assert min(smallest(PROBLEMS[name][0], out.values)) > 0
    totals = np.sum(out.values, axis=-1)
    np.testing.assert_allclose(totals, np.broadcast_to(totals[0], totals.shape), atol=1e-13 * np.abs(totals).max())


def wild(rng, cells):
    """States over many orders of magnitude, up to Mach 100."""
    density, sound = 10 ** rng.uniform(-3, 1, cells), 10 ** rng.uniform(-1, 1, cells)
    velocity = sound * rng.normal(size=(len(cells), *cells)) * 10 ** rng.uniform(-2, 2, cells)
    primitive = np.concatenate([density[None], velocity, (density * sound**2)[None]])
    return Euler(dimensions=len(cells)).conserved(jnp.asarray(primitive))


@pytest.mark.parametrize("cells", [(40,), (9, 12)])
@pytest.mark.parametrize("speed", [LocalSpeed(), SmoothSpeed()], ids=["local", "smooth"])
def test_whatever_the_fluxes_a_forward_euler_step_is_positive(cells, speed, rng):
    law, grid = Euler(dimensions=len(cells)), UniformGrid(cells, 0.0, tuple(2.0**-i for i in range(len(cells))))
    scheme = SemiDiscrete(law, grid, "periodic", speed=speed, limiter=PositivityLimiter())

    @quick_jit
    def step(u, noise):
        rates = 0.0
        for axis, (each, dx) in enumerate(zip(scheme.domain.boundary, grid.spacing, strict=True)):
            alpha = speed(law, each.pad(u, axis, law.parity(axis)), axis, scheme.domain.ghost)
            rates = rates + jnp.max(alpha) / dx
        dt = 0.5 / rates
        fluxes = []
        for axis, part in enumerate(noise):
            flux = law.flux(u, axis)
            first = jax.lax.slice_in_dim(part, 0, 1, axis=axis + 1)  # one face, at both ends
            part = jnp.concatenate([part, first], axis=axis + 1)
            fluxes.append(part * jnp.max(jnp.abs(flux), axis=tuple(range(1, u.ndim)), keepdims=True))
        limited = scheme.domain.limited(u, tuple(fluxes), speed, TIME, dt)
        return limited, u + dt * scheme.domain.divergence(limited)

    for _ in range(5):
        noise = tuple(jnp.asarray(rng.normal(size=(law.num_components, *cells))) for _ in cells)
        limited, after = step(wild(rng, cells), noise)
        assert all(float(jnp.min(part)) > 0 for part in law.positive(after))
        for axis, flux in enumerate(limited):
            np.testing.assert_array_equal(jnp.take(flux, 0, axis + 1), jnp.take(flux, cells[axis], axis + 1))


@pytest.mark.parametrize(("integrator", "cfl"), [(ForwardEuler(), 0.5), (SSPRK3(), 0.2)], ids=["euler", "ssp_rk3"])
def test_whatever_the_weights_every_stage_is_positive(integrator, cfl, rng):
    """As with an untrained agent in a strong shock tube. Stages may be faster than the start that the step is taken from,
    which is why several of them need room; with it, every slope is limited for its own stage."""
    scheme = SemiDiscrete(Euler(), UniformGrid(40), "outflow", limiter=PositivityLimiter())
    step, stages = CFLStep(cfl, 1.0, scheme.grid.dx), []
    noise = jnp.asarray(rng.dirichlet([0.3] * 3, size=(80, 2, 3, 41)))

    @quick_jit
    def run(u):
        def one(carry, weights):
            stages.clear()

            def choose(v, stencils):
                stages.append(v)
                return (weights,)

            u, time = advance(scheme, choose, integrator, step, *carry)
            return (u, time), jnp.stack([*stages, u])

        return jax.lax.scan(one, (u, jnp.zeros(())), noise)[1]

    seen = run(riemann_data((1.0, 0.0, 100.0), (0.1, 0.0, 0.01), 1.4, 40))
    assert min(smallest(1.4, seen.reshape(-1, 3, 40))) > 0


def test_the_root_is_that_of_the_quadratic(rng):
    law, cells = Euler(), (4000,)
    base = wild(rng, cells)
    change = jnp.asarray(rng.normal(size=base.shape)) * jnp.abs(base) * jnp.asarray(10 ** rng.uniform(-2, 2, cells))
    change = change.at[0].set(jnp.maximum(change[0], -0.999 * base[0]))
    theta = quick_jit(lambda b, d: PositivityLimiter(margin=1e-3).largest(law, 1, b, d))(base, change)
    bound = 1e-3 * law.positive(base)[1]
    acts = np.asarray(law.positive(base + change)[1] < bound)
    assert 0.2 < np.mean(acts) < 0.8
    theta = np.asarray(theta)
    np.testing.assert_array_equal(theta[~acts], 1.0)
    # density (energy - bound) - momentum^2 / 2 along the line
    (r, m, e), (dr, dm, de), bound = np.asarray(base), np.asarray(change), np.asarray(bound)
    a, b, c = dr * de - 0.5 * dm * dm, r * de + dr * (e - bound) - m * dm, r * (e - bound) - 0.5 * m * m
    roots = 2 * c / (-b + np.sqrt(np.maximum(b * b - 4 * a * c, 0)))
    np.testing.assert_allclose(theta[acts], roots[acts], rtol=1e-9)


def test_where_nothing_is_to_be_done_no_bit_changes():
    """A density wave in 2D, so the order of the scheme is what it was; and a fluid at rest."""
    grid, law = UniformGrid((16, 12)), Euler(dimensions=2)
    x, y = (grid.centers(axis) for axis in range(2))
    wave = 1 + 0.9 * np.sin(2 * np.pi * (x[:, None] + y[None]))
    primitive = np.stack([wave, np.full(wave.shape, 0.7), np.full(wave.shape, -0.3), np.ones(wave.shape)])
    rest = np.broadcast_to(np.array([1.0, 0.0, 0.0, 1.0])[:, None, None], primitive.shape)

    def rate(u, limiter):
        scheme = SemiDiscrete(law, grid, limiter=limiter)
        return scheme.rate(u, TIME, lambda _, s: tuple(WenoJS()(each) for each in s), jnp.asarray(0.003))

    rates = quick_jit(lambda u: (rate(u, PositivityLimiter()), rate(u, None)))

    for state in (primitive, rest):
        np.testing.assert_array_equal(*rates(law.conserved(jnp.asarray(state))))


STATES = {
    "pieces": np.repeat([[1.0, 0.0, 1.0], [0.02, 1.0, 0.003], [0.5, -1.0, 0.1]], 8, axis=0).T,
    "pulled apart": np.repeat([[1.0, -3.0, 0.4], [0.8, 2.5, 0.3], [1.0, 0.0, 0.4]], 8, axis=0).T,
}


def linear_scheme(gamma, limiter):
    """Linear weights overshoot wherever they can: the limiter acts in every step."""
    ends = (("reflective", "outflow"),)
    return SemiDiscrete(Euler(gamma), UniformGrid(24), ends, order=3, speed=SmoothSpeed(delta=0.1), limiter=limiter)


def upwind(_, stencils):
    return tuple(linear(3)(s) for s in stencils)


@pytest.fixture(scope="module")
def mismatches():
    def function(point):
        scheme = linear_scheme(point["gamma"], PositivityLimiter())
        return point["u"] + point["dt"] * scheme.rate(point["u"], TIME, upwind, point["dt"])

    return derivative_mismatches(function)


@pytest.fixture(scope="module")
def change():
    """How much of du/dt the limiter changes."""

    @quick_jit
    def largest(point):
        limited, plain = (
            linear_scheme(point["gamma"], limiter).rate(point["u"], TIME, upwind, point["dt"])
            for limiter in (PositivityLimiter(), None)
        )
        return jnp.max(jnp.abs(limited - plain))

    return largest


@pytest.mark.parametrize("name", STATES)
def test_derivatives_agree_where_it_acts_and_where_all_is_constant(name, mismatches, change, rng):
    u = Euler().conserved(jnp.asarray(STATES[name]))
    for state in (u, u * jnp.asarray(1 + 0.01 * rng.uniform(-1, 1, u.shape))):
        point = {"u": state, "dt": jnp.asarray(0.003), "gamma": jnp.asarray(1.4)}
        assert change(point) > 0.1
        assert_derivatives_agree(mismatches, point, label=name)


@pytest.fixture(scope="module")
def poured():
    """Water in 40 cells, marched to t = 0.1 with steps of half a cell, which not every stage bears."""

    @eqx.filter_jit
    def run(u0):
        scheme = SemiDiscrete(ShallowWater(9.81), UniformGrid(40, -1.0, 1.0), "reflective", limiter=PositivityLimiter())
        return solve(scheme, WenoJS(), u0, steps=150, time_step=CFLStep(0.5, 0.1))

    return run


def test_a_dam_breaks_onto_a_dry_bed(poured):
    """Ritter (1892): the depth at the dam is 4/9 of that behind it, for ever; the front runs at 2 c and no faster."""
    x = UniformGrid(40, -1.0, 1.0).centers()
    out = poured(jnp.asarray(np.stack([np.where(x < 0, 1.0, 0.0), 0 * x])))
    depth, momentum = np.asarray(out.values[-1])
    assert float(out.times[-1]) == pytest.approx(0.1) and depth.min() >= 0
    assert depth[19:21].mean() == pytest.approx(4 / 9, rel=0.08)
    wet = depth > 1e-12
    assert np.abs(momentum[wet] / depth[wet]).max() < 2 * np.sqrt(9.81)
    c, t = np.sqrt(9.81), 0.1
    exact = np.where(x < -c * t, 1.0, np.where(x > 2 * c * t, 0.0, (2 * c - x / t) ** 2 / (9 * 9.81)))
    assert np.abs(depth - exact).mean() < 0.015
    assert depth.sum() == pytest.approx(20, rel=1e-13)


def test_whatever_is_poured_stays_above_the_bed(poured, rng):
    """Puddles of depths over ten orders of magnitude between dry places and walls, up to ten times as fast as their waves."""
    for _ in range(12):
        depth = np.where(rng.random(40) < 0.4, 0.0, 10 ** rng.uniform(-10, 0, 40))
        depth = np.repeat(depth[::4], 4)
        speed = np.repeat(rng.normal(size=10) * 10 ** rng.uniform(-1, 1, 10), 4) * np.sqrt(9.81)
        out = poured(jnp.asarray(np.stack([depth, depth * speed])))
        found = np.asarray(out.values[-1])
        assert np.isfinite(found).all() and found[0].min() >= 0
        assert found[0].sum() == pytest.approx(depth.sum(), rel=1e-12)


def test_a_gas_expands_into_a_vacuum():
    x = UniformGrid(CELLS).centers()
    scheme = SemiDiscrete(
        Euler(), UniformGrid(CELLS), "outflow", reconstruction="characteristic", limiter=PositivityLimiter()
    )
    u0 = scheme.law.conserved(jnp.asarray(np.stack([x < 0.5, 0 * x, x < 0.5]).astype(float)))
    step = CFLStep(0.4, 0.05)
    run = quick_jit(lambda u: solve(scheme, WenoJS(), u, steps=200, time_step=step, integrator=ForwardEuler()))
    out = run(u0)
    assert float(out.times[-1]) == pytest.approx(0.05)
    assert min(float(jnp.min(part)) for part in Euler().positive(out.values[-1])) >= 0
    # A fan whose density is (2 / (gamma + 1)) ^ (2 / (gamma - 1)) at the place of the membrane (Toro 2009, section 4.6).
    assert float(out.values[-1, 0, 39:41].mean()) == pytest.approx(0.4019, rel=0.15)


def test_unphysical_states_are_told():
    scheme = SemiDiscrete(Euler(), UniformGrid(8), "outflow", order=3, limiter=PositivityLimiter())
    u0 = Euler().conserved(jnp.ones((3, 8)).at[2, 3].set(-1.0))
    with pytest.raises(UndertowError, match="the initial state has a pressure that is not above 0 in cell 3"):
        solve(scheme, WenoJS(3), u0, steps=1, time_step=FixedStep(1e-3))


def test_errors():
    u = jnp.ones((3, 8))
    scheme = SemiDiscrete(Euler(), UniformGrid(8), order=3, limiter=PositivityLimiter())
    with pytest.raises(UndertowError, match="has to know the time step"):
        jax.eval_shape(lambda: scheme.rate(u, TIME, upwind))
    scalar = SemiDiscrete(Burgers(), UniformGrid(8), order=3, limiter=PositivityLimiter())
    with pytest.raises(UndertowError, match="nothing of Burgers has to stay positive: take limiter=None"):
        jax.eval_shape(lambda: scalar.rate(u[:1], TIME, upwind, jnp.asarray(0.1)))
    with pytest.raises(UndertowError, match="margin must lie between 0 and 1"):
        PositivityLimiter(margin=0.0)
    with pytest.raises(UndertowError, match="iterations must be at least 1"):
        PositivityLimiter(iterations=0)
