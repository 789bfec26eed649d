"""Ideal magnetohydrodynamics against its Jacobian, gas dynamics, its symmetries, and waves that are known exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import fsolve

from undertow._checks import UndertowError
from undertow.envs.suites import suite
from undertow.games.registry import make
from undertow.laws.catalogue import LAWS, case
from undertow.laws.euler import Euler
from undertow.laws.field import Field
from undertow.laws.mhd import MHD, MHD_CASES, random_plasma
from undertow.laws.speeds import check_speeds
from undertow.schemes.fluxes import HLL, wave_speeds
from undertow.simulate import simulate

LAW = MHD(5 / 3, 0.7)


def states(rng, number: int) -> np.ndarray:
    """Primitive values, `"7 number"`."""
    density, pressure = rng.uniform(0.1, 2, number), rng.uniform(0.01, 3, number)
    return np.stack([density, *rng.normal(size=(5, number)), pressure])


def test_characteristic_speeds_are_the_eigenvalues_of_the_jacobian(rng):
    """All seven: two fast, two Alfven, two slow waves and the contact."""
    w = states(rng, 100)
    u = LAW.conserved(jnp.asarray(w))
    np.testing.assert_allclose(LAW.primitive(u), w, rtol=1e-12, atol=1e-12)
    jacobians = jax.vmap(jax.jacfwd(lambda one: LAW.flux(one[:, None], 0)[:, 0]), in_axes=1)(u)
    found = np.linalg.eigvals(np.asarray(jacobians))
    assert np.abs(found.imag).max() < 1e-9
    density, along, _, _, field_y, field_z, pressure = w
    sound, normal = LAW.gamma * pressure / density, LAW.normal_field**2 / density
    both = normal + (field_y**2 + field_z**2) / density
    root = np.sqrt((sound + both) ** 2 - 4 * sound * normal)
    fast, slow, alfven = np.sqrt((sound + both + root) / 2), np.sqrt((sound + both - root) / 2), np.sqrt(normal)
    expected = [along + sign * speed for speed in (fast, alfven, slow) for sign in (-1, 1)]
    np.testing.assert_allclose(np.sort(found.real), np.sort(np.stack([*expected, along], axis=1)), atol=1e-9)
    signal = LAW.signal(u, 0)
    np.testing.assert_allclose(np.stack([signal.middle, signal.spread]), [along, fast], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(LAW.max_speed(u, 0), np.abs(found).max(axis=1), rtol=1e-9)
    check_speeds(LAW, u)


def test_without_a_field_it_is_gas_dynamics(rng):
    w = states(rng, 50)
    w[2:6] = 0
    law, gas = MHD(1.4, 0.0), Euler(1.4)
    u, own = law.conserved(jnp.asarray(w)), gas.conserved(jnp.asarray(w[[0, 1, 6]]))
    same = jnp.asarray([0, 1, 6])
    assert np.abs(u[2:6]).max() == np.abs(law.flux(u, 0)[2:6]).max() == 0
    for found, expected in (
        (u[same], own),
        (law.flux(u, 0)[same], gas.flux(own, 0)),
        (law.max_speed(u, 0), gas.max_speed(own, 0)),
        (HLL()(law, u, u[:, ::-1], 0)[same], HLL()(gas, own, own[:, ::-1], 0)),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    slopes = jax.grad(lambda u: jnp.sum(law.max_speed(u, 0)))(u)
    assert np.isfinite(slopes).all()


def test_no_direction_across_is_special(rng):
    """Turned about the x axis, states have turned fluxes, and the same speeds."""
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    turn[:, 0] *= np.linalg.det(turn)
    full = np.eye(7)
    full[2:4, 2:4] = full[4:6, 4:6] = turn
    u = LAW.conserved(jnp.asarray(states(rng, 50)))
    turned = jnp.asarray(full) @ u
    np.testing.assert_allclose(LAW.flux(turned, 0), full @ LAW.flux(u, 0), rtol=1e-12, atol=1e-12)
    flux = HLL()(LAW, u, u[:, ::-1], 0)
    np.testing.assert_allclose(HLL()(LAW, turned, turned[:, ::-1], 0), full @ flux, rtol=1e-12, atol=1e-11)


def test_a_mirror_changes_nothing(rng):
    signs = jnp.asarray(LAW.parity(0))[:, None]
    u = LAW.conserved(jnp.asarray(states(rng, 20)))
    np.testing.assert_allclose(LAW.flux(signs * u, 0), -signs * LAW.flux(u, 0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("speed", [2.0, 4.0])
def test_a_fast_shock_has_its_exact_speed(speed):
    """Of the jump conditions: behind a shock into the state `right`. HLL then keeps a shock at rest to rounding."""
    right = np.array([1.0, 0.1, -0.2, 0.3, 0.8, 0.5, 0.6])

    def jump(left):
        u, v = (np.asarray(LAW.conserved(jnp.asarray(each)[:, None])) for each in (left, right))
        change = LAW.flux(jnp.asarray(u), 0) - LAW.flux(jnp.asarray(v), 0)
        return np.asarray(change - speed * (u - v))[:, 0]

    fast = float(LAW.signal(LAW.conserved(jnp.asarray(right)[:, None]), 0).spread[0])
    strength = 1 + 1.2 * ((speed - right[1]) / fast - 1)
    start = right * np.array([strength, 1, 1, 1, strength, strength, strength**2])
    start[1] += 0.7 * speed * (1 - 1 / strength)
    left, _, found, _ = fsolve(jump, start, full_output=True, xtol=1e-14)
    assert found == 1 and left[0] > 1.2 and np.abs(jump(left)).max() < 1e-12
    u, v = (LAW.conserved(jnp.asarray(each)[:, None]) for each in (left, right))
    np.testing.assert_allclose(wave_speeds(LAW, u, v, 0, "einfeldt")[1], speed, rtol=1e-12)
    at_rest = [LAW.conserved(jnp.asarray(each - speed * np.eye(7)[1])[:, None]) for each in (left, right)]
    np.testing.assert_allclose(HLL()(LAW, *at_rest, 0), LAW.flux(at_rest[1], 0), atol=1e-12)


def alfven(x, t):
    """A circularly polarised Alfven wave of any amplitude: it moves at v_x + B_x / sqrt(rho) and keeps its form."""
    phase = 2 * jnp.pi * (x - (0.3 + LAW.normal_field) * t)
    across = 0.4 * jnp.stack([jnp.cos(phase), jnp.sin(phase)])
    one = jnp.ones_like(x)
    return LAW.conserved(jnp.concatenate([jnp.stack([one, 0.3 * one]), -across, across, 0.5 * one[None]]))


def test_an_alfven_wave_converges_at_the_design_order_and_conserves():
    wave = Field(lambda x: alfven(x, 0.0), LAW, "periodic", exact=alfven)
    found = [simulate(wave, "linear", num_cells=n, end_time=0.2, steps=4 * n, integrator="rk4") for n in (16, 32)]
    errors = [np.abs(run.values[-1] - run.exact[-1]).mean() for run in found]
    assert errors[1] < 1e-5 and np.log2(errors[0] / errors[1]) == pytest.approx(5.0, abs=0.2)
    changes = [value for name, value in found[1].metrics().items() if name.startswith("change_of")]
    assert len(changes) == 7 and np.abs(changes).max() < 1e-13


def test_brio_and_wus_tube():
    """Self-convergence; a mirror image's solution is the mirror image; across the contact density alone jumps."""
    named = case("brio_wu")
    field = named.field()
    assert float(field.law.gamma) == 2.0 and float(field.law.normal_field) == 0.75 and not field.solvable
    runs = {n: simulate("brio_wu", num_cells=n) for n in (50, 100, 800)}
    fine = runs[800].values[-1]
    errors = [np.abs(runs[n].values[-1, 0] - fine[0].reshape(n, -1).mean(axis=1)).mean() for n in (50, 100)]
    assert 0.5 < np.log2(errors[0] / errors[1]) < 1.3
    density, along, _, _, field_y, _, pressure = runs[800].quantities().values()
    place = 400 + int(np.argmin(np.diff(density)[430:480])) + 30  # the contact, right of the compound wave
    before, after = slice(place - 20, place - 12), slice(place + 12, place + 20)
    assert density[before].mean() > 2 * density[after].mean()
    for values in (along, field_y, pressure):
        assert values[before].mean() == pytest.approx(values[after].mean(), rel=0.03)
    assert "minimum_pressure" in runs[50].metrics() and runs[50].metrics()["minimum_pressure"] > 0


def test_other_units_make_the_same_problem():
    """Twice the speeds: fields twice, pressures four times as large, half the time."""
    field, powers = case("brio_wu").field(), np.array(MHD().speed_powers)
    other = field.normalised(0.05, 0.1)
    assert float(other.law.normal_field) == 1.5
    own, fast = (simulate(each, num_cells=32, end_time=t) for each, t in ((field, 0.1), (other, 0.05)))
    np.testing.assert_allclose(fast.values[-1], own.values[-1] * (2.0**powers)[:, None], rtol=1e-11, atol=1e-11)


def test_random_problems_and_their_suite():
    drawn = jax.vmap(random_plasma)(jax.random.split(jax.random.key(0), 200))
    u = jax.vmap(lambda field: field.law.conserved(field.states.T))(drawn)
    assert all(np.all(np.asarray(part) > 0) for part in jax.vmap(MHD().positive)(u)[:1])
    fastest = jax.vmap(lambda field, u: jnp.max(field.law.max_speed(u, 0)))(drawn, u)
    assert float(fastest.min()) > 0.79 and float(fastest.max()) < 1.51
    found = suite("mhd-held-out", n=2, cells=16, refinement=3)
    assert found.problems.state.u.shape == (2, 7, 16) and found.judged == (0,) and np.isfinite(found.truth).all()
    named = suite("mhd-named", cells=32, refinement=3)
    assert named.cases == tuple(MHD_CASES) and np.isfinite(named.truth).all()


def test_it_plays_and_is_listed():
    assert LAWS["mhd"].law is MHD
    game, params = make("undertow/MHD-v0", cells=16)
    state, seen = game.reset(jax.random.key(0), params)
    after, *_ = game.step(jax.random.key(1), state, jnp.zeros(game.action_space.shape), params)
    assert seen.shape == (17, 7, 2, 5) and np.isfinite(after.field.u).all()
    with pytest.raises(UndertowError, match="MHD has no eigenvectors"):
        simulate("brio_wu", num_cells=16, reconstruction="characteristic")
    with pytest.raises(UndertowError, match="gamma, the ratio of specific heats"):
        MHD(1.0)
