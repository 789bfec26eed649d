"""Problems in two dimensions: the published states are what they are said to be, exact solutions solve their equations."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.envs.placing import boundaries_of, coordinates, grid_of, inflow_of, point_values
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.gas_cases import gas_case
from undertow.laws.plane_burgers import CombinedBurgers, DiagonalSine, GaussianHill
from undertow.laws.plane_gases import (
    DensityWave,
    ExtrudedGas,
    IsentropicVortex,
    KelvinHelmholtz,
    QuadrantGas,
    SedovBlast,
)
from undertow.laws.plane_inflows import DoubleMach, Jet
from undertow.laws.planes import PLANE_CASES, plane_case
from undertow.laws.sedov import sedov, sedov_shock_radius
from undertow.numerics.boundary import boundary
from undertow.schemes.semidiscrete import SemiDiscrete

# Waves between the quadrants 2|1, 3|2, 3|4 and 4|1 of Lax and Liu (1998): rarefaction, shock, contact.
WAVES = {
    **dict.fromkeys((1, 2), "RRRR"),
    **dict.fromkeys((3, 4), "SSSS"),
    **dict.fromkeys((5, 6), "JJJJ"),
    **dict.fromkeys((7, 8), "RJJR"),
    **dict.fromkeys((9, 10), "JRJR"),
    **dict.fromkeys((11, 12), "SJJS"),
    **dict.fromkeys((13, 14), "JSJS"),
    **dict.fromkeys((15, 16), "RJJS"),
    **dict.fromkeys((17, 18, 19), "JSJR"),
}


def wave(low, high, axis: int, gamma: float = 1.4) -> str:
    """The one wave that connects two states of four digits: a letter, or "" if there is none that does."""
    (rho, v, p), (sigma, w, q) = ((s[0], s[1 + axis], s[3]) for s in (low, high))
    if p == q and v == w:
        return "J"
    if low[2 - axis] != high[2 - axis]:
        return ""
    ratio = max(p, q) / min(p, q)
    squeeze = ((gamma + 1) * ratio + gamma - 1) / ((gamma - 1) * ratio + gamma + 1)
    dense, thin = (rho, sigma) if p > q else (sigma, rho)
    speeds = abs(math.sqrt(gamma * p / rho) - math.sqrt(gamma * q / sigma)) * 2 / (gamma - 1)
    shocked = math.isclose(dense / thin, squeeze, rel_tol=1e-3)
    if shocked and math.isclose(v - w, math.sqrt(abs(p - q) * abs(1 / rho - 1 / sigma)), rel_tol=1e-3):
        return "S"
    expanded = math.isclose(dense / thin, ratio ** (1 / gamma), rel_tol=2e-3)
    return "R" if expanded and math.isclose(w - v, speeds, rel_tol=2e-3) else ""


@pytest.mark.parametrize("number", WAVES)
def test_neighbouring_quadrants_are_connected_by_one_wave(number):
    one, two, three, four = np.asarray(plane_case(f"quadrants-{number}").field().states)
    found = [wave(two, one, 0), wave(three, two, 1), wave(three, four, 0), wave(four, one, 1)]
    assert "".join(found) == WAVES[number], found


def test_quadrants_lie_as_they_are_counted():
    field = QuadrantGas(jnp.asarray([[k, 0.1 * k, 0.2 * k, 1.0] for k in (1.0, 2.0, 3.0, 4.0)]), (0.3, 0.6))
    u = field(jnp.asarray([0.5, 0.1, 0.1, 0.5, 0.3]), jnp.asarray([0.9, 0.9, 0.2, 0.2, 0.6]))
    np.testing.assert_array_equal(u[0], [1, 2, 3, 4, 3])
    np.testing.assert_allclose(u[1] / u[0], [0.1, 0.2, 0.3, 0.4, 0.3])
    np.testing.assert_allclose(field.law.primitive(u)[3], 1)


@pytest.mark.parametrize("name", ["quadrants-3", "vortex", "sedov", "double-mach", "1d-blast-y", "gaussian",
                                  "combo-accelshock-rarefaction", "velocity-waves"])  # fmt: skip
def test_a_case_can_be_placed_on_a_grid(name):
    case = PLANE_CASES[name]
    field = case.field()
    grid = grid_of(field, 16)
    assert grid.num_axes == 2 and len(set(np.round(grid.spacing, 12))) == 1
    assert case.reference == ("exact" if field.solvable else "fine")
    assert case.end_time > 0 and case.source

    def placed(field):
        u = point_values(field, grid)
        return u, boundaries_of(field, 4)[1].pad(u, 1, field.law.parity(1)), field.law.positive(u)

    # Parameters are leaves: a batch of fields is a field.
    u, padded, positive = quick_jit(jax.vmap(placed))(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), field))
    cells = (field.law.num_components, *grid.num_cells)
    assert u.shape == (2, *cells) and padded.shape == (2, *cells[:2], cells[2] + 8)
    assert np.isfinite(u).all() and all((np.asarray(each) > 0).all() for each in positive)


def test_every_case_has_a_field_and_every_combination_a_name():
    assert len(PLANE_CASES) > 100
    shapes = {name: case.field().law.num_components for name, case in PLANE_CASES.items()}
    assert set(shapes.values()) == {1, 2, 4}
    x = jnp.asarray([[0.1, 0.6]]), jnp.asarray([[0.7, 0.9]])
    value = plane_case("combo-gaussian-random-many-shocks").field()(*x)
    parts = burgers_condition("gaussian")(x[0]) + burgers_condition("random-many-shocks")(x[1])
    np.testing.assert_allclose(value[0], parts)
    with pytest.raises(UndertowError, match="unknown case 'vortx'; did you mean 'vortex'"):
        plane_case("vortx")
    with pytest.raises(UndertowError, match="periodic or outflow along an axis, got .* 'linear'"):
        CombinedBurgers(burgers_condition("line"))


def residual(field, x, y, t):
    """What is left of u_t + f(u)_x + g(u)_y for the exact solution at a point."""
    at = lambda *z: field.exact(z[0], z[1], time=z[2])
    rate = jax.jacfwd(at, argnums=2)(x, y, t)
    along = [jax.jacfwd(lambda *z, a=a: field.law.flux(at(*z), a), argnums=a)(x, y, t) for a in (0, 1)]
    return rate + along[0] + along[1], jnp.abs(along[0])


@pytest.mark.parametrize(
    "field",
    [
        IsentropicVortex(law=IsentropicVortex().law),
        IsentropicVortex(3.0, (0.5, -2.0), jnp.asarray([4.0, 6.0])),
        DensityWave(0.3, (1.0, -2.0)),
    ],
    ids=["vortex", "other-vortex", "density-wave"],
)
def test_what_is_carried_along_solves_the_equations(field, rng):
    points = rng.uniform(field.lower[0], field.upper[0], size=(2, 40))
    run = quick_jit(jax.vmap(lambda x, y: residual(field, x, y, jnp.asarray(0.7))))
    left, size = run(*jnp.asarray(points))
    assert size.max() > 0.1
    np.testing.assert_allclose(left, 0, atol=1e-12)


def test_the_vortex_comes_back_and_ends_where_it_is_said_to():
    field = IsentropicVortex()
    x = coordinates(grid_of(field, 20))
    np.testing.assert_allclose(field.exact(*x, time=10.0), field(*x), rtol=1e-11)
    np.testing.assert_allclose(field.exact(*x, time=3.0), jnp.roll(field(*x), (6, 6), axis=(1, 2)), rtol=1e-11)
    for length, jump in ((10.0, 4.9e-5), (20.0, 5.1e-21)):
        side = length / 2
        assert math.isclose(5 / math.pi * side * math.exp((1 - side**2) / 2), jump, rel_tol=0.02)
    edge = field(jnp.asarray([1e-9, 10 - 1e-9]), jnp.asarray([5.0, 5.0]))
    np.testing.assert_allclose(jnp.abs(edge[2, 1] - edge[2, 0]), 4.9e-5, rtol=0.01)
    with pytest.raises(UndertowError, match="strength 20 has no gas left"):
        IsentropicVortex(20.0)


def test_the_shear_layer_is_smooth_and_symmetric():
    field = KelvinHelmholtz()
    y = jnp.linspace(0.0, 1.0, 401)[:-1]
    density, u, v, pressure = field.law.primitive(field(jnp.full_like(y, 0.125), y))
    np.testing.assert_allclose(density[1:], density[1:][::-1], rtol=1e-12)
    np.testing.assert_allclose(density[jnp.asarray([0, 100, 200])], [1, 1.5, 2], atol=1e-4)
    np.testing.assert_allclose(u, 0.5 - (density - 1), rtol=1e-12)
    np.testing.assert_allclose(v, 0.01, rtol=1e-12)
    np.testing.assert_allclose(pressure, 2.5, rtol=1e-12)
    slope = quick_jit(jax.vmap(jax.grad(lambda y: field(jnp.asarray(0.3), y)[0])))
    beside = slope(jnp.asarray([0.25 - 1e-9, 0.25 + 1e-9, 0.75 - 1e-9, 0.75 + 1e-9]))
    np.testing.assert_allclose(beside, [20, 20, -20, -20], rtol=1e-6)


def test_an_explosion_begins_with_its_initial_state():
    field = plane_case("sedov").field()
    x = np.meshgrid(*[np.linspace(0.05, 1.0, 4)] * 2, indexing="ij")
    np.testing.assert_array_equal(field.exact(*x, time=0.0), field(*x))


def test_the_blast_has_its_energy_on_every_grid_and_becomes_a_point_explosion():
    field = SedovBlast()
    totals = []
    for cells in (110, 160):
        grid = grid_of(field, cells)
        totals.append(float(quick_jit(point_values, static_argnums=1)(field, grid)[3].sum() * grid.cell_volume))
    np.testing.assert_allclose(totals, field.energy / 4, rtol=1e-7)

    x, u = exact(field, 0.8)
    radius = sedov_shock_radius(0.8, energy=float(field.energy), dimensions=2)
    u, r = np.asarray(u), np.hypot(*x)
    density, speed, pressure = sedov(r, 0.8, energy=float(field.energy), dimensions=2)
    np.testing.assert_allclose(u[0], density, rtol=1e-12)
    np.testing.assert_allclose(np.hypot(u[1], u[2]), density * speed, atol=1e-12)
    np.testing.assert_allclose(u[3], pressure / 0.4 + density * speed**2 / 2, rtol=1e-12)
    assert radius < 1 < density.max() and (density[r > radius] == 1).all()
    np.testing.assert_allclose(u, np.swapaxes(u[[0, 2, 1, 3]], 1, 2), rtol=1e-12)
    with pytest.raises(UndertowError, match="width must be a finite number above 0"):
        SedovBlast(width=0.0)


def test_an_axis_may_end_differently_at_its_two_ends(rng):
    """The quarter of a blast has walls at its lower ends and is open at the upper ones."""
    field = SedovBlast()
    u = jnp.asarray(rng.normal(size=(4, 9, 9)))
    for axis, mixed in enumerate(boundaries_of(field, 4)):
        np.testing.assert_array_equal(
            mixed.pad(u, axis, field.law.parity(axis)),
            boundary("reflective", "outflow", ghost=4).pad(u, axis, field.law.parity(axis)),
        )
        assert mixed.periodic == 0
    whole = SedovBlast(lower=(-1.1, -1.1))
    np.testing.assert_array_equal(boundaries_of(whole, 4)[0].odd, 0)
    walls = boundaries_of(gas_case("blast").field(), 4)[0]
    np.testing.assert_array_equal(walls.odd, boundary("reflective", ghost=4).odd)


@pytest.mark.parametrize("axis", [0, 1])
def test_extruded_problems_are_those_of_one_dimension(axis):
    gas = gas_case("sod").field()
    field = ExtrudedGas(gas, axis)
    x = coordinates(grid_of(field, 10))
    line = x[axis][:, 0] if axis == 0 else x[axis][0]
    u, one = np.asarray(field(*x)), np.asarray(gas(line))
    rows = np.moveaxis(u, 1 + axis, -1)[:, 4]
    np.testing.assert_array_equal(rows[[0, 1 + axis, 3]], one)
    np.testing.assert_array_equal(rows[2 - axis], 0)
    assert field.solvable
    if axis == 1:
        np.testing.assert_allclose(quick_jit(lambda: field.exact(*x, time=0.0))(), u, rtol=1e-14)
    closed = ExtrudedGas(gas_case("density_advection").field(), axis)
    np.testing.assert_array_equal(closed.periodic, [axis == 0, axis == 1])
    walls = ExtrudedGas(gas_case("blast").field(), axis)
    np.testing.assert_array_equal(walls.reflective, [axis == 0, axis == 1])

    wave = CombinedBurgers(burgers_condition("smooth_sine"), axis=axis)
    np.testing.assert_array_equal(wave(*x)[0], wave.x(x[axis]))
    np.testing.assert_array_equal(wave.periodic, [axis == 0, axis == 1])
    assert not CombinedBurgers(wave.x, wave.x).solvable


@quick_jit
def exact(field, time):
    x = coordinates(grid_of(field, 24))
    return x, field.exact(*x, time=time)


@pytest.mark.parametrize(
    ("field", "time"), [(DiagonalSine(), 0.2), (GaussianHill(base=0.3), 0.08)], ids=["jsz7", "gaussian"]
)
def test_the_scalar_equation_moves_values_along_both_axes_at_once(field, time):
    """Before it breaks, u(x, t) = u0(x - u t) in both coordinates."""
    x, u = exact(field, time)
    foot = quick_jit(lambda u: field(*(each - u[0] * time for each in x)))
    np.testing.assert_allclose(foot(u), u, atol=1e-12)


def test_the_exact_solution_of_the_plane_holds_after_breaking():
    """The shock lies where the mean has carried it, along all of a line across the diagonal."""
    field = DiagonalSine()
    x, (u,) = exact(field, 0.5)
    ahead = (
        0.5 * 0.5 - (x[0] + x[1]) / 2 + 1
    ) % 2.0  # 0 on the shock, where the profile jumps from the maximum to the minimum
    assert float(u[(ahead > 0.01) & (ahead < 0.1)].min()) > 1 > 0 > float(u[(ahead > 1.9) & (ahead < 1.99)].max())


def test_the_shock_of_the_double_mach_reflection_is_one_shock_of_mach_ten():
    field = DoubleMach()
    assert wave(np.asarray(field.behind[jnp.asarray([0, 0, 1, 3])]), np.asarray([1.4, 0, 0, 1]), 1) == ""
    normal = np.asarray([math.cos(math.pi / 6), -math.sin(math.pi / 6)])
    behind, ahead = (field.law.conserved(state[:, None])[:, 0] for state in (field.behind, field.ahead))
    flux = [field.law.flux(behind, axis) - field.law.flux(ahead, axis) for axis in (0, 1)]
    np.testing.assert_allclose(flux[0] * normal[0] + flux[1] * normal[1], 10 * (behind - ahead), rtol=1e-12)
    # It stands at corner + (y + 20 t)/sqrt(3), moves along its normal at 10, and is what enters from above.
    x, y = jnp.asarray([3.0, 3.2, 0.1, 0.2, -0.1, 4.1]), jnp.asarray([1.1, 1.1, -0.1, -0.1, 0.5, 0.5])
    values, given = field.entering(x, y, time=0.2)
    front = 1 / 6 + (1.1 + 4) / math.sqrt(3)
    assert 3.0 < front < 3.2
    np.testing.assert_array_equal(values[0], [8, 1.4, 8, 8, 8, 1.4])
    np.testing.assert_array_equal(given, [1, 1, 1, 0, 1, 0])
    np.testing.assert_array_equal(field(x, y), field._shock(x, y, 0.0))
    np.testing.assert_array_equal(field.reflective, [[0, 0], [1, 0]])


def test_the_jet_enters_on_the_left():
    field = Jet()
    values, given = field.entering(jnp.asarray([-0.01, -0.01, 0.01]), jnp.asarray([0.04, 0.06, 0.0]), time=0.0)
    np.testing.assert_array_equal(field.law.primitive(values)[1], [800, 0, 0])
    np.testing.assert_array_equal(given, [1, 1, 0])
    speed = field.law.max_speed(values, 0) - jnp.asarray([800, 0, 0])
    np.testing.assert_allclose(800 / speed[0], 2157, rtol=1e-3)
    assert inflow_of(plane_case("vortex").field()) is inflow_of(burgers_condition("sine")) is None


def test_a_shock_that_enters_passes_the_open_part_of_the_boundary_unchanged():
    """Away from the wall the ghost cells of the double Mach reflection hold the shock itself, before it and after."""
    field = DoubleMach()
    grid = grid_of(field, 32)
    scheme = SemiDiscrete(field.law, grid, boundaries_of(field, 4), inflow=inflow_of(field))
    u = point_values(field, grid)
    padded = quick_jit(lambda: scheme.domain.pad(u, 1, jnp.asarray(0.0)))()
    y = jnp.asarray((jnp.arange(16) - 4 + 0.5) / 8)
    x = jnp.asarray(grid.centers())
    expected = field._shock(*jnp.meshgrid(x, y, indexing="ij"), 0.0)
    np.testing.assert_allclose(padded[:, :, 4:], expected[:, :, 4:], rtol=1e-14)
    # Below, the state behind the shock up to the corner and a mirror from there on.
    np.testing.assert_allclose(padded[0, :2, :4], 8.0)
    np.testing.assert_allclose(
        padded[:, 2:, :4], (padded * jnp.asarray([1, 1, -1, 1])[:, None, None])[:, 2:, 4:8][..., ::-1]
    )
