"""From point values to du/dt: stencils, conservation, symmetry, forcing, any number of axes."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted, observed_orders
from undertow._checks import UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.source import random_source
from undertow.numerics.boundary import BOUNDARIES, boundary
from undertow.numerics.grid import UniformGrid
from undertow.schemes.coefficients import ORDERS, substencil_width
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.splitting import FixedSpeed, LocalSpeed, SmoothSpeed
from undertow.schemes.weights import WenoJS, WenoZ, equal, linear, stationary

TIME = jnp.zeros(())


@eqx.filter_jit
def rate(scheme, weights, u, time=TIME):
    return scheme.rate(u, time, lambda _, stencils: tuple(weights(s) for s in stencils))


@pytest.mark.parametrize("order", ORDERS)
def test_stencils_read_from_upwind_to_downwind_on_both_sides_of_the_face(order):
    """With the flux f = u and no dissipation, a stencil shows half the indices of the cells that it is made of."""
    r, cells = substencil_width(order), 20
    scheme = SemiDiscrete(LinearAdvection(), UniformGrid(cells), "linear", order=order, speed=FixedSpeed(0.0))
    (stencils,) = scheme.stencils(2 * jnp.arange(cells, dtype=float)[None])
    assert stencils.shape == (2, 1, cells + 1, order)
    face, m = np.arange(cells + 1)[:, None], np.arange(order)
    # Face j lies between cells j-1 and j, which are the middle of the two stencils.
    np.testing.assert_allclose(stencils[0, 0], face - 1 + m - (r - 1), atol=1e-12)
    np.testing.assert_allclose(stencils[1, 0], face - m + (r - 1), atol=1e-12)


def test_the_two_split_fluxes_add_up_to_the_flux(rng):
    u = jnp.asarray(rng.normal(size=(1, 12)))
    for speed in (None, LocalSpeed(), SmoothSpeed()):
        scheme = SemiDiscrete(Burgers(), UniformGrid(12), "periodic", speed=speed)
        (stencils,) = scheme.stencils(u)
        plus, minus = stencils[0, 0], stencils[1, 0]
        # The cells on the left of the face: middle of the right-going stencil, one beyond the middle of the other.
        np.testing.assert_allclose(plus[1:, 2] + minus[1:, 3], u[0] ** 2 / 2, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("order", ORDERS)
def test_constants_are_steady_at_every_boundary_with_any_weights_that_sum_to_one(order):
    for name in BOUNDARIES:
        scheme = SemiDiscrete(LinearAdvection(0.7), UniformGrid(16), name, order=order)
        for weights in (linear(order), WenoJS(order), equal(order)):
            np.testing.assert_allclose(rate(scheme, weights, jnp.full((1, 16), 1 / 3)), 0, atol=1e-12)


def test_zero_weights_move_nothing(rng):
    u = jnp.asarray(rng.normal(size=(1, 16)))
    np.testing.assert_array_equal(rate(SemiDiscrete(Burgers(), UniformGrid(16)), stationary(5), u), 0)


def test_any_weights_conserve(rng):
    """The change of the total is what passes the two ends, whatever the weights, even if they do not sum to one."""
    u = jnp.asarray(rng.normal(size=(1, 24)))
    for name in BOUNDARIES:
        scheme = SemiDiscrete(Burgers(), UniformGrid(24, 0.0, 3.0), name)
        stencils = scheme.stencils(u)
        weights = (jnp.asarray(rng.normal(size=(2, 1, 25, 3))),)
        (flux,) = scheme.fluxes(stencils, weights)
        change = jnp.sum(scheme.tendency(stencils, weights)) * scheme.grid.dx
        np.testing.assert_allclose(change, flux[0, 0] - flux[0, -1], rtol=1e-12, atol=1e-13)
        if name == "periodic":
            # The same stencils at both ends; the action must be the same there, too.
            np.testing.assert_array_equal(stencils[0][..., 0, :], stencils[0][..., -1, :])


def test_two_walls_are_half_of_an_antisymmetric_periodic_problem(rng):
    u = jnp.asarray(rng.normal(size=(1, 16)))
    whole = SemiDiscrete(Burgers(0.1), UniformGrid(32))
    half = SemiDiscrete(Burgers(0.1), UniformGrid(16, 0.0, 0.5), "reflective")
    expected = rate(whole, WenoJS(), jnp.concatenate([u, -u[:, ::-1]], axis=1))[:, :16]
    np.testing.assert_allclose(rate(half, WenoJS(), u), expected, atol=1e-13 * np.abs(expected).max())


SCHEMES = {"linear": linear(5), "js": WenoJS(5), "z": WenoZ(5), "js-7": WenoJS(7)}
SPEEDS = {"global": None, "local": LocalSpeed(), "smooth": SmoothSpeed()}


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("name", SCHEMES)
def test_burgers_is_symmetric_under_reflection(name, speed, rng):
    """u(x) -> -u(-x) maps solutions to solutions; the split fluxes change places."""
    u = jnp.asarray(rng.normal(size=(1, 32)))
    for kind in ("periodic", "outflow", ("reflective", "quadratic")):
        kinds = kind if isinstance(kind, tuple) else (kind, kind)
        scheme = SemiDiscrete(Burgers(), UniformGrid(32), (kinds,), order=SCHEMES[name].order, speed=SPEEDS[speed])
        mirrored = SemiDiscrete(
            Burgers(), UniformGrid(32), (kinds[::-1],), order=SCHEMES[name].order, speed=SPEEDS[speed]
        )
        one, other = rate(scheme, SCHEMES[name], u), rate(mirrored, SCHEMES[name], -u[:, ::-1])
        np.testing.assert_allclose(other, -one[:, ::-1], atol=1e-14 * np.abs(one).max())


@pytest.mark.parametrize("name", SCHEMES)
def test_shifting_periodic_data_shifts_the_result(name, rng):
    u = jnp.asarray(rng.normal(size=(1, 32)))
    scheme = SemiDiscrete(Burgers(), UniformGrid(32), order=SCHEMES[name].order)
    one = rate(scheme, SCHEMES[name], u)
    for shift in (1, 7, 31):
        other = rate(scheme, SCHEMES[name], jnp.roll(u, shift, axis=1))
        np.testing.assert_allclose(other, jnp.roll(one, shift, axis=1), atol=1e-14 * np.abs(one).max())


def test_burgers_moves_with_the_observer_up_to_the_splitting(rng):
    """Galilean invariance of the central part: with symmetric weights, d/dt of u+c is that of u plus -c u_x."""
    u = jnp.asarray(rng.normal(size=(1, 32)))
    scheme = SemiDiscrete(Burgers(), UniformGrid(32), speed=FixedSpeed(5.0))
    advection = SemiDiscrete(LinearAdvection(0.3), UniformGrid(32), speed=FixedSpeed(0.0))
    moved = rate(scheme, linear(5), u + 0.3)
    np.testing.assert_allclose(moved, rate(scheme, linear(5), u) + rate(advection, linear(5), u), atol=1e-11)


@pytest.mark.parametrize("order", [3, 5])
@pytest.mark.parametrize("kind", ["outflow", "periodic", "reflective"])
def test_extruded_data_in_two_dimensions_equals_one_dimension(kind, order, rng):
    u = jnp.asarray(rng.normal(size=(1, 16)))
    one = rate(SemiDiscrete(Burgers(), UniformGrid(16), kind, order=order), WenoJS(order), u)
    for axis, kinds in ((0, (kind, "outflow")), (1, ("periodic", kind))):
        cells = (16, 9) if axis == 0 else (9, 16)
        plane = SemiDiscrete(Burgers(), UniformGrid(cells, 0.0, 1.0), kinds, order=order)
        line = u[0][:, None] if axis == 0 else u[0][None, :]
        out = rate(plane, WenoJS(order), jnp.broadcast_to(line, cells)[None])
        expected = np.broadcast_to(np.expand_dims(one[0], 1 - axis), cells)
        np.testing.assert_allclose(out[0], expected, atol=1e-13 * np.abs(one).max())


def test_the_axes_of_a_plane_can_be_exchanged(rng):
    u = jnp.asarray(rng.normal(size=(1, 12, 10)))
    law, kinds = Burgers(0.01), ("outflow", "periodic")
    one = rate(SemiDiscrete(law, UniformGrid((12, 10), 0.0, (1.0, 2.0)), kinds), WenoJS(), u)
    grid = UniformGrid((10, 12), 0.0, (2.0, 1.0))
    other = rate(SemiDiscrete(law, grid, kinds[::-1]), WenoJS(), jnp.swapaxes(u, 1, 2))
    np.testing.assert_allclose(jnp.swapaxes(other, 1, 2), one, atol=1e-13 * np.abs(one).max())


def test_three_axes_add_up(rng):
    """Linear advection of a sum of functions of one coordinate each, along three axes with three speeds."""
    parts = [rng.normal(size=n) for n in (8, 9, 10)]
    velocity = jnp.asarray([1.0, -0.5, 0.25])
    u = parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None, :]
    box = SemiDiscrete(LinearAdvection(velocity), UniformGrid((8, 9, 10)), speed=FixedSpeed(1.0))
    total = 0.0
    for axis, part in enumerate(parts):
        line = SemiDiscrete(LinearAdvection(velocity[axis]), UniformGrid(len(part)), speed=FixedSpeed(1.0))
        shape = [1, 1, 1]
        shape[axis] = -1
        total = total + np.asarray(rate(line, linear(5), jnp.asarray(part)[None]))[0].reshape(shape)
    np.testing.assert_allclose(rate(box, linear(5), jnp.asarray(u)[None])[0], total, atol=1e-11)


def test_viscosity_is_the_second_order_laplacian():
    """Exact on quadratics, and of second order on a sine, in any number of dimensions."""
    errors, sizes = [], (16, 32, 64)
    for n in sizes:
        x = UniformGrid(n).centers()
        scheme = SemiDiscrete(LinearAdvection(0.0, 0.3), UniformGrid((n, 8), 0.0, 1.0))
        u = jnp.broadcast_to(jnp.sin(2 * jnp.pi * x)[:, None], (n, 8))[None]
        errors.append(np.abs(rate(scheme, linear(5), u) + 0.3 * 4 * np.pi**2 * u).max())
    np.testing.assert_allclose(observed_orders(sizes, errors), 2, atol=0.05)

    grid = UniformGrid((8, 10), 0.0, (1.0, 3.0))
    x, y = np.meshgrid(grid.centers(0), grid.centers(1), indexing="ij")
    scheme = SemiDiscrete(Burgers(0.7), grid, "quadratic")
    forcing = scheme.domain.forcing(jnp.asarray(2 * x**2 - 3 * y**2 + x * y)[None], TIME)
    np.testing.assert_allclose(forcing, 0.7 * (4 - 6), rtol=1e-9)


def test_viscosity_is_a_leaf_and_absent_forcing_costs_nothing():
    scheme = SemiDiscrete(Burgers(), UniformGrid(16))
    u = jnp.sin(jnp.arange(16.0))[None]
    assert scheme.domain.forcing(u, TIME) is None
    with_viscosity = jax.vmap(lambda nu: SemiDiscrete(Burgers(nu), UniformGrid(16)).domain.forcing(u, TIME))(
        jnp.asarray([0.0, 2.0])
    )
    np.testing.assert_array_equal(with_viscosity[0], 0)
    expected = 2 * 16**2 * (jnp.roll(u, 1, 1) - 2 * u + jnp.roll(u, -1, 1))
    np.testing.assert_allclose(with_viscosity[1], expected, rtol=1e-11, atol=1e-11)


def test_a_source_is_added_where_and_when_it_acts():
    source = random_source(jax.random.key(3), 1.0, length=2.0)
    grid = UniformGrid(16, -1.0, 1.0)
    u, time = jnp.zeros((1, 16)), jnp.asarray(0.4)
    out = rate(SemiDiscrete(Burgers(), grid, source=source), WenoJS(), u, time)
    np.testing.assert_allclose(out[0], source(jnp.asarray(grid.centers()), time), rtol=1e-13)
    plane = SemiDiscrete(Burgers(), UniformGrid((16, 5), (-1.0, 0.0), (1.0, 1.0)), source=source)
    out = rate(plane, WenoJS(), jnp.zeros((1, 16, 5)), time)
    np.testing.assert_allclose(out[0], np.broadcast_to(source(jnp.asarray(grid.centers()), time)[:, None], (16, 5)))


def test_the_courant_number_adds_the_axes():
    grid = UniformGrid((10, 20), 0.0, (1.0, 4.0))
    scheme = SemiDiscrete(LinearAdvection(jnp.asarray([3.0, -2.0])), grid)
    np.testing.assert_allclose(scheme.domain.speed_over_dx(jnp.zeros((1, 10, 20))), 3 / 0.1 + 2 / 0.2, rtol=1e-14)
    scheme = SemiDiscrete(Burgers(), UniformGrid(4, 0.0, 2.0), order=3)
    assert scheme.domain.speed_over_dx(jnp.asarray([[1.0, -3.0, 2.0, 0.0]])) == 6.0


def test_mixed_boundaries_are_one_program_and_equal_separate_runs(rng):
    names = [(a, b) for a in BOUNDARIES for b in BOUNDARIES if (a == "periodic") == (b == "periodic")]
    schemes = [SemiDiscrete(Burgers(), UniformGrid(16), (pair,)) for pair in names]
    batch = jax.tree.map(lambda *x: jnp.stack(x) if eqx.is_array(x[0]) else x[0], *schemes)
    u = jnp.asarray(rng.normal(size=(len(names), 1, 16)))
    body = Counted(lambda scheme, v: scheme.rate(v, TIME, lambda _, s: (WenoJS()(s[0]),)))
    together = eqx.filter_jit(eqx.filter_vmap(body, in_axes=(eqx.if_array(0), 0)))
    out = together(batch, u)
    together(batch, 2 * u)
    assert body.calls == 1
    alone = eqx.filter_jit(body)
    for scheme, v, expected in zip(schemes, u, out, strict=True):
        np.testing.assert_allclose(alone(scheme, v), expected, atol=1e-14 * np.abs(expected).max())
    assert body.calls == 2  # and one program for all of them alone


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SemiDiscrete(Burgers(), UniformGrid(16), "perodic"), "did you mean 'periodic'"),
        (lambda: SemiDiscrete(Burgers(), UniformGrid(16), order=4), "order must be one of"),
        (lambda: SemiDiscrete(Burgers(), UniformGrid(3)), "order 5 needs at least 4 cells, axis 0 has 3"),
        (lambda: SemiDiscrete(Burgers(), UniformGrid((16, 7)), order=13), "needs at least 8 cells, axis 1 has 7"),
        (
            lambda: SemiDiscrete(Burgers(), UniformGrid(16), ("outflow",) * 3),
            "3 boundaries given for a grid with 1 axes",
        ),
        (lambda: SemiDiscrete(Burgers(), UniformGrid(16), (boundary("outflow", ghost=3),)), "needs 4 ghost cells"),
        (lambda: SemiDiscrete(Burgers(), UniformGrid(16), (("outflow", "periodic"),)), "make both periodic"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(UndertowError, match=message):
        make()


@pytest.mark.parametrize("shape", [(16,), (1, 15), (2, 16), (4, 1, 16)])
def test_a_state_of_another_shape_is_refused_with_a_hint(shape):
    with pytest.raises(UndertowError, match=r"expected|has shape \(1, 16\).*batches go through jax.vmap"):
        SemiDiscrete(Burgers(), UniformGrid(16)).stencils(jnp.zeros(shape))
