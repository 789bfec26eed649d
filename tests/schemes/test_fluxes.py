"""Numerical fluxes: consistent, symmetric, exact on single shocks and contacts, and positive where that is claimed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.euler_riemann import euler_riemann, star_state
from undertow.laws.shallow_water import ShallowWater
from undertow.laws.vector_burgers import VectorBurgers
from undertow.schemes.fluxes import HLL, HLLC, lax_friedrichs, wave_speeds

GAS, PLANE = Euler(), Euler(dimensions=2)
FLUXES = {"hll": HLL(), "hll-davis": HLL("davis"), "hllc": HLLC(), "hllc-davis": HLLC("davis")}


def gas(rng, number, dimensions=2, mach=1.5):
    """Random states, subsonic and supersonic."""
    density, pressure = np.exp(rng.normal(size=(2, number)))
    velocity = mach * rng.normal(size=(dimensions, number))
    return Euler(dimensions=dimensions).conserved(jnp.asarray(np.stack([density, *velocity, pressure])))


@pytest.mark.parametrize("name", FLUXES)
def test_equal_states_have_the_flux_of_the_law(name, rng):
    flux, u = FLUXES[name], gas(rng, 200)
    np.testing.assert_allclose(flux(PLANE, u, u, 1), PLANE.flux(u, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "law", [Burgers(), ShallowWater(dimensions=2), VectorBurgers()], ids=["burgers", "water", "vector"]
)
def test_hll_is_for_any_law(law, rng):
    u = (
        jnp.asarray(np.abs(rng.normal(size=(law.num_components, 50))))
        * jnp.asarray([1.0, -1.0, 1.0])[: law.num_components, None]
    )
    np.testing.assert_allclose(HLL()(law, u, u, 0), law.flux(u, 0), rtol=1e-12, atol=1e-13)
    zero = jnp.zeros_like(u)
    assert np.all(np.isfinite(HLL()(law, zero, zero, 0)))


def test_upwind_where_everything_moves_one_way():
    left, right = jnp.asarray([[2.0, -1.5]]), jnp.asarray([[1.0, -0.6]])
    np.testing.assert_allclose(HLL()(Burgers(), left, right, 0), [[2.0, 0.18]], rtol=1e-15)
    fast = GAS.conserved(jnp.asarray([[1.0, 0.5], [5.0, 6.0], [1.0, 2.0]]))
    for flux in FLUXES.values():
        np.testing.assert_allclose(flux(GAS, fast[:, :1], fast[:, 1:], 0), GAS.flux(fast[:, :1], 0), rtol=1e-14)


@pytest.mark.parametrize("name", FLUXES)
def test_mirror_images_and_axes_are_alike(name, rng):
    flux, left, right = FLUXES[name], gas(rng, 300), gas(rng, 300)
    sign = jnp.asarray(PLANE.parity(0))[:, None]
    here = flux(PLANE, left, right, 0)
    mirrored = -sign * flux(PLANE, sign * right, sign * left, 0)
    np.testing.assert_allclose(mirrored, here, rtol=1e-12, atol=1e-12 * np.abs(here).max())
    swap = jnp.asarray([0, 2, 1, 3])
    np.testing.assert_array_equal(flux(PLANE, left[swap], right[swap], 1)[swap], here)
    line = jnp.asarray([0, 1, 3])
    still = jnp.asarray([1.0, 1.0, 0.0, 1.0])[:, None]
    flat = [GAS.conserved((PLANE.primitive(u) * still)[line]) for u in (left, right)]
    wide = [PLANE.conserved(PLANE.primitive(u) * still) for u in (left, right)]
    np.testing.assert_allclose(flux(PLANE, *wide, 0)[line], flux(GAS, *flat, 0), rtol=1e-12, atol=1e-12)


def test_a_contact_at_rest_with_shear_is_kept_to_the_last_bit():
    left, right = (PLANE.conserved(jnp.asarray([[r], [0.0], [v], [0.7]])) for r, v in ((1.3, 0.4), (0.07, -2.0)))
    for name in ("hllc", "hllc-davis"):
        flux = FLUXES[name](PLANE, left, right, 0)
        pressure = 0.7
        np.testing.assert_allclose(flux[1], pressure, rtol=1e-14)
        np.testing.assert_allclose(jnp.delete(flux, 1, axis=0), 0, atol=1e-15)
    rest = [GAS.conserved(jnp.asarray([[r], [0.0], [0.7]])) for r in (1.3, 0.07)]
    np.testing.assert_array_equal(HLLC()(GAS, *rest, 0), GAS.flux(rest[0], 0))


def test_single_shocks_and_contacts_have_godunovs_flux(rng):
    """Behind a shock of a given strength (Rankine and Hugoniot), in frames that move at many speeds; Roe's mean has its speed."""
    gamma, number = 1.4, 40
    ratio, frame = np.exp(rng.uniform(0.1, 4, number)), 4 * rng.normal(size=number)
    density, pressure = np.exp(rng.normal(size=(2, number)))
    mass = np.sqrt(density * pressure * ((gamma + 1) * ratio + gamma - 1) / 2)
    behind = density * ((gamma + 1) * ratio + gamma - 1) / ((gamma - 1) * ratio + gamma + 1)
    push = (ratio - 1) * pressure / mass
    back, ahead = np.stack([behind, frame + push, ratio * pressure]), np.stack([density, frame, pressure])
    contact = np.stack([2 * density, frame, pressure])
    for left, right in ((back, ahead), (ahead * [[1], [-1], [1]], back * [[1], [-1], [1]]), (contact, ahead)):
        on_face = jax.vmap(lambda a, b: euler_riemann(a, b, gamma, jnp.asarray(0.0)), 1, 1)(
            jnp.asarray(left), jnp.asarray(right)
        )
        exact = GAS.flux(GAS.conserved(on_face), 0)
        ours = HLLC()(GAS, GAS.conserved(jnp.asarray(left)), GAS.conserved(jnp.asarray(right)), 0)
        np.testing.assert_allclose(ours, exact, rtol=1e-8, atol=1e-8)


def test_the_waves_are_bounded(rng):
    """The contact lies between the bounds, and einfeldt's reach as far as a single shock."""
    left, right = gas(rng, 2000, 1, mach=4.0), gas(rng, 2000, 1, mach=4.0)
    a, b = GAS.primitive(left), GAS.primitive(right)
    for bounds in ("davis", "einfeldt"):
        low, high = wave_speeds(GAS, left, right, 0, bounds)
        q = a[0] * (low - a[1]), b[0] * (high - b[1])
        contact = (b[2] - a[2] + q[0] * a[1] - q[1] * b[1]) / (q[0] - q[1])
        assert np.all(low < contact) and np.all(contact < high)


@pytest.mark.parametrize("name", ["hll", "hllc"])
def test_first_order_steps_are_positive(name, rng):
    """Random neighbours over many orders of magnitude at a Courant number of 1/2."""
    number, flux = 4000, FLUXES[name]
    density, sound = 10 ** rng.uniform(-3, 1, number), 10 ** rng.uniform(-1, 1, number)
    velocity = sound * rng.normal(size=number) * 10 ** rng.uniform(-1, 1, number)
    u = GAS.conserved(jnp.asarray(np.stack([density, velocity, density * sound**2])))

    @quick_jit
    def step(u):
        left, right = jnp.roll(u, 1, axis=-1), u
        low, high = wave_speeds(GAS, left, right, 0, "einfeldt")
        speed = jnp.maximum(jnp.abs(low), jnp.abs(high))
        faces = flux(GAS, left, right, 0)
        dt = 0.5 / jnp.maximum(
            speed, jnp.roll(speed, -1)
        )  # every cell by its own clock: each is a problem of three cells
        return u - dt * (jnp.roll(faces, -1, axis=-1) - faces)

    assert all(float(jnp.min(part)) > 0 for part in GAS.positive(step(u)))


def test_weak_waves_have_the_exact_flux():
    left, right = jnp.asarray([1.0, 0.1, 1.0]), jnp.asarray([1.0 + 1e-5, 0.1, 1.0 + 2e-5])
    pressure, velocity = star_state(left, right, 1.4)
    states = [GAS.conserved(each[:, None]) for each in (left, right)]
    exact = np.asarray(pressure + velocity * HLLC()(GAS, *states, 0)[0, 0])
    for bounds in ("davis", "einfeldt"):
        np.testing.assert_allclose(HLLC(bounds)(GAS, *states, 0)[1, 0], exact, rtol=1e-10)


def test_lax_friedrichs_is_central_with_speed_zero():
    left, right = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[3.0, -1.0]])
    np.testing.assert_allclose(lax_friedrichs(Burgers(), left, right, 0, jnp.zeros(2)), [[2.5, 1.25]])
    np.testing.assert_allclose(lax_friedrichs(Burgers(), left, right, 0, jnp.asarray([3.0])), [[-0.5, 5.75]])


def test_errors():
    u = jnp.ones((1, 3))
    with pytest.raises(
        UndertowError, match=r"HLLC is for laws with a contact, such as Euler, got Burgers; take HLL\(\)"
    ):
        HLLC()(Burgers(), u, u, 0)
    for flux in (HLL, HLLC):
        with pytest.raises(UndertowError, match="unknown bounds 'einfeld'; did you mean 'einfeldt'"):
            flux("einfeld")


@pytest.mark.parametrize("flux", [HLL, HLLC])
def test_rounded_corners_change_little_and_keep_what_matters(flux, rng):
    """Equal states have the law's flux, mirror images are alike, a contact at rest is kept, and the rest is near."""
    delta = 1e-3
    smooth, left, right = flux(delta=delta), gas(rng, 300), gas(rng, 300)
    np.testing.assert_allclose(smooth(PLANE, left, left, 0), PLANE.flux(left, 0), rtol=1e-12, atol=1e-12)
    sharp, here = flux()(PLANE, left, right, 0), smooth(PLANE, left, right, 0)
    assert 0 < np.abs(here - sharp).max() < delta * np.abs(sharp).max()
    sign = jnp.asarray(PLANE.parity(0))[:, None]
    mirrored = -sign * smooth(PLANE, sign * right, sign * left, 0)
    np.testing.assert_allclose(mirrored, here, rtol=1e-12, atol=1e-12 * np.abs(here).max())
    for bounds in ("davis", "einfeldt"):
        for law in (PLANE, Burgers(), VectorBurgers()):
            pair = [u[: law.num_components] for u in (left, right)]
            (low, high), (lower, higher) = (wave_speeds(law, *pair, 0, bounds, d) for d in (0.0, delta))
            assert np.all(lower <= low) and np.all(higher >= high)
    rest = [GAS.conserved(jnp.asarray([[r], [0.0], [0.7]])) for r in (1.3, 0.07)]
    if flux is HLLC:
        np.testing.assert_allclose(smooth(GAS, *rest, 0), GAS.flux(rest[0], 0), atol=1e-15)


@pytest.mark.parametrize("flux", [HLL, HLLC])
def test_rounded_corners_have_a_derivative(flux, rng):
    """Where the sharp ones have none: a contact at rest, a tie of the sound speeds, a sonic point, a shock at rest."""
    root, sound = np.sqrt(6.0), np.sqrt(1.4)
    behind = 1 / (0.4 / 2.4 + 2 / (2.4 * 6.0))
    shock = np.array([[1.0, root * sound, 1.0], [behind, root * sound / behind, 1 + 2.8 / 2.4 * 5]])
    pairs = np.array(
        [
            [[1.0, 0.0, 0.7], [0.1, 0.0, 0.7]],
            [[1.0, 0.0, 1.0], [0.01, 0.0, 0.01]],
            [[1.0, sound, 1.0], [0.5, 2.0, 0.3]],
            shock,
        ]
    )
    left, right = (jnp.asarray(pairs[:, side].T) for side in (0, 1))
    directions = jnp.asarray(rng.normal(size=(2, 3, 4)))

    def along(h):
        return flux(delta=1e-3)(
            GAS, *(GAS.conserved(u + h * d) for u, d in zip((left, right), directions, strict=True)), 0
        )

    h = 1e-6
    slope = jax.jvp(along, (0.0,), (1.0,))[1]
    np.testing.assert_allclose((along(h) - along(-h)) / (2 * h), slope, rtol=1e-4, atol=1e-4)
    one_sided = [abs((along(s * 1e-3) - along(0.0)) / (s * 1e-3) - slope).max() for s in (1, -1)]
    assert max(one_sided) > 1e-2  # on the scale of delta there is a corner
