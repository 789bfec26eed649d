"""The Riemann solver's scheme: design order on point values, the exact solution, symmetry, conservation, derivatives."""

from __future__ import annotations

from fractions import Fraction

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_derivatives_agree, derivative_mismatches, observed_orders, quick_jit
from undertow._checks import UndertowError
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.euler_riemann import euler_riemann
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import ForwardEuler
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.fluxes import HLL, HLLC
from undertow.schemes.interpolation import WenoInterpolation
from undertow.schemes.positivity import PositivityLimiter
from undertow.schemes.riemann import RiemannScheme, flux_correction
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import solve
from undertow.schemes.weights import WenoJS

GAS, PLANE = Euler(), Euler(dimensions=2)
SOD = ((1.0, 0.0, 1.0), (0.125, 0.0, 0.1))
LINEAR = WenoInterpolation(linear=True)
TIME = jnp.zeros(())


def tube(left, right, cells, gamma=1.4):
    x = (np.arange(cells) + 0.5) / cells
    return Euler(gamma).conserved(jnp.asarray(np.where(x < 0.5, np.array(left)[:, None], np.array(right)[:, None])))


def test_the_correction_is_the_series_of_the_centred_differences():
    third, second = np.array([-5, 39, -34, -34, 39, -5]) / 48, np.array([1, -3, 2, 2, -3, 1]) / 2
    usual = -third / 24 + 7 / 5760 * second
    np.testing.assert_allclose(flux_correction(5), [usual[1], usual[0]], atol=1e-17)
    np.testing.assert_allclose(flux_correction(3), [-1 / 48], atol=1e-17)
    # Exact for polynomials: their averages over a cell from their values at the two faces' corrected fluxes.
    for order in (7, 13):
        r = (order + 1) // 2
        for power in range(0, 2 * r, 2):
            half = [Fraction(2 * s + 1, 2) ** power for s in range(r)]
            found = sum(c * 2 * float(half[s] - half[0]) for s, c in enumerate(flux_correction(order), 1))
            # x^n is the average of -sum_k B_k(1/2) (n)_k x^(n-k) / k!: at x = 0 only k = n is left, the Bernoulli polynomial.
            np.testing.assert_allclose(found, bernoulli_at_half(power) - (power == 0), atol=1e-8 * float(half[-1]))


def bernoulli_at_half(n: int) -> float:
    """B_n(1/2) = (2^(1-n) - 1) B_n."""
    numbers = {0: (1, 1), 2: (1, 6), 4: (-1, 30), 6: (1, 42), 8: (-1, 30), 10: (5, 66), 12: (-691, 2730)}
    return (2.0 ** (1 - n) - 1) * numbers[n][0] / numbers[n][1]


def smooth(x, repeats):
    """A gas, or one in a plane, that moves to the upper right below the speed of sound; so many copies of it on the domain."""
    x = [repeats * each for each in x]
    phase = 2 * np.pi * sum((axis + 1) * each for axis, each in enumerate(x))
    waves = [0.3 + 0.1 * np.cos(2 * np.pi * each + 0.4) for each in x]
    return np.stack([1 + 0.2 * np.sin(phase), *waves, 1 + 0.1 * np.cos(phase - 0.7)])


def spectral_rate(law, u, spacing):
    """du/dt by derivatives in Fourier space: exact to round-off where the fields are resolved."""
    total = 0
    for axis, dx in enumerate(spacing):
        f, cells = np.asarray(law.flux(u, axis)), u.shape[axis + 1]
        waves = 2j * np.pi * np.fft.fftfreq(cells, dx)
        waves = waves.reshape([-1 if each == axis + 1 else 1 for each in range(f.ndim)])
        total = total - np.fft.ifft(np.fft.fft(f, axis=axis + 1) * waves, axis=axis + 1).real
    return total


def rate_order(law, cells, repeats, **options):
    """By one program: two copies of the data on the same cells are one on half as many, twice as fast."""
    grid = UniformGrid(cells)
    x = np.meshgrid(*(grid.centers(axis) for axis in range(len(cells))), indexing="ij")
    scheme = RiemannScheme(law, grid, **options)
    rate, errors = quick_jit(lambda v: scheme.rate(v, TIME)), []
    for number in repeats:
        u = law.conserved(jnp.asarray(smooth(x, number)))
        errors.append(float(np.sqrt(np.mean((rate(u) - spectral_rate(law, u, grid.spacing)) ** 2))) / number)
    return observed_orders([1 / number for number in repeats], errors)[0]


@pytest.mark.parametrize(("order", "flux"), [(3, HLLC()), (5, HLLC()), (5, HLL("davis")), (7, HLLC())])
def test_linear_weights_have_the_design_order(order, flux):
    found = rate_order(
        GAS, (192,), {3: (2, 1), 5: (4, 3), 7: (4, 3)}[order], order=order, flux=flux, interpolation=LINEAR
    )
    assert found == pytest.approx(order, abs=0.1)


def test_the_design_order_in_the_plane_with_nonlinear_weights_on_characteristic_fields():
    """From above: at these sizes the weights are still on their way to the linear ones."""
    assert 4.9 < rate_order(PLANE, (96, 96), (2, 1), reconstruction="characteristic", mean="roe") < 6


def test_a_density_wave_is_carried_with_order_five():
    """Two waves on the same cells are one on half as many that is carried twice as far: one power more."""
    scheme = RiemannScheme(GAS, UniformGrid(60))
    x = scheme.grid.centers()
    run = quick_jit(lambda u: solve(scheme, None, u, steps=100, time_step=FixedStep(1e-3)).values[-1])

    def error(repeats):
        at = [1 + 0.2 * np.sin(2 * np.pi * repeats * (x - time)) for time in (0.0, 0.1)]
        out = run(GAS.conserved(jnp.asarray(np.stack([at[0], 0 * x + 1, 0 * x + 1]))))
        np.testing.assert_allclose(GAS.primitive(out)[1:], 1, atol=1e-12 + float(np.abs(out[0] - at[1]).max()))
        return float(np.mean(np.abs(out[0] - at[1])))

    assert observed_orders([1 / 2, 1], [error(2), error(1)])[0] == pytest.approx(6, abs=0.2)


@pytest.fixture(scope="module")
def tubes():
    """Shock tubes by one program per reconstruction."""

    @eqx.filter_jit
    def run(u, reconstruction):
        schemes = [
            (RiemannScheme(GAS, UniformGrid(100), "outflow", reconstruction=reconstruction), None),
            (SemiDiscrete(GAS, UniformGrid(100), "outflow", reconstruction=reconstruction), WenoJS()),
        ]
        return [solve(*scheme, u, steps=80, time_step=FixedStep(2.5e-3)).values[-1] for scheme in schemes]

    return run


@pytest.mark.parametrize("reconstruction", ["component", "characteristic"])
def test_sod(reconstruction, tubes):
    """Close to the exact solution, closer than with split fluxes, and mirrored tubes are mirror images."""
    u = tube(*SOD, 100)
    ours, split = tubes(u, reconstruction)
    x = (np.arange(100) + 0.5) / 100
    exact = euler_riemann(jnp.asarray(SOD[0]), jnp.asarray(SOD[1]), 1.4, jnp.asarray((x - 0.5) / 0.2))
    errors = [float(np.mean(np.abs(GAS.primitive(v)[0] - exact[0]))) for v in (ours, split)]
    assert errors[0] < 0.0065
    assert errors[0] < 0.9 * errors[1]
    assert float(jnp.min(ours[0])) > 0.12 and float(jnp.max(ours[0])) < 1.001
    sign = jnp.asarray([1.0, -1.0, 1.0])[:, None]
    np.testing.assert_allclose(tubes(sign * u[:, ::-1], reconstruction)[0][:, ::-1] * sign, ours, atol=1e-12)


@pytest.mark.parametrize("reconstruction", ["component", "characteristic"])
def test_a_contact_at_rest_is_kept_to_the_last_bit(reconstruction, tubes):
    u = tube((1.3, 0.0, 0.7), (0.07, 0.0, 0.7), 100)
    np.testing.assert_array_equal(tubes(u, reconstruction)[0], u)


def test_it_conserves_in_the_plane_where_both_axes_are_alike(rng):
    scheme = RiemannScheme(PLANE, UniformGrid((12, 12)), "periodic")
    noise = np.stack([rng.uniform(lo, hi, (12, 12)) for lo, hi in ((0.5, 1.5), (-1, 1), (-1, 1), (0.5, 1.5))])
    u = PLANE.conserved(jnp.asarray(noise))
    run = quick_jit(lambda v: solve(scheme, None, v, steps=20, time_step=CFLStep(0.4, 1.0, scheme.grid.dx)).values[-1])
    out, swap = run(u), jnp.asarray([0, 2, 1, 3])
    np.testing.assert_allclose(np.sum(out, axis=(1, 2)), np.sum(u, axis=(1, 2)), rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(jnp.swapaxes(run(jnp.swapaxes(u[swap], 1, 2)), 1, 2)[swap], out, atol=1e-11)


def test_the_limiter_keeps_density_and_pressure_positive():
    """The tube of LeBlanc, and gas pulled apart to vacuum."""
    cells = 80

    @quick_jit
    def run(gamma, u, end_time):
        scheme = RiemannScheme(Euler(gamma), UniformGrid(cells), "outflow", order=3, limiter=PositivityLimiter())
        step = CFLStep(0.4, end_time, scheme.grid.dx)
        return solve(scheme, None, u, steps=220, time_step=step, integrator=ForwardEuler(), save_every=1)

    for gamma, left, right, end in (
        (5 / 3, (1.0, 0.0, 0.2 / 3), (1e-3, 0.0, 0.2e-9 / 3), 0.6),
        (1.4, (1.0, -5.0, 0.4), (1.0, 5.0, 0.4), 0.08),
    ):
        out = run(jnp.asarray(gamma), tube(left, right, cells, gamma), jnp.asarray(end))
        assert float(out.times[-1]) == pytest.approx(end)
        assert all(float(jnp.min(part)) > 0 for part in Euler(gamma).positive(jnp.moveaxis(out.values, 1, 0)))


@pytest.mark.parametrize(("reconstruction", "order"), [("component", 5), ("characteristic", 3)])
def test_derivatives_agree_on_sods_tube_and_on_pieces_and_constants(reconstruction, order, rng):
    """Perturbed such that nothing is at rest: where the density of a gas at rest varies, HLLC has kinks."""

    def function(point):
        law, options = Euler(point["gamma"]), {"order": order, "reconstruction": reconstruction}
        scheme = RiemannScheme(law, UniformGrid(24), "outflow", **options)
        return point["u"] + point["dt"] * scheme.rate(point["u"], TIME)

    mismatches, sod = derivative_mismatches(function), tube(*SOD, 24)
    noise = jnp.asarray(rng.uniform(-1, 1, (2, 3, 24)))
    pieces = np.repeat([[1.0, 0.4, 1.0], [0.5, 0.0, 0.4], [0.8, -0.6, 1.2]], 8, axis=0).T
    states = {
        "sod": sod,
        "perturbed": sod * (1 + 0.05 * noise[0]) + 0.05 * noise[1] * jnp.asarray([[0.0], [1.0], [0.0]]),
        "pieces": GAS.conserved(jnp.asarray(pieces)),
        "constant": tube((1.0, 0.3, 1.0), (1.0, 0.3, 1.0), 24),
        "at rest": tube((1.0, 0.0, 1.0), (1.0, 0.0, 1.0), 24),
    }
    for name, u in states.items():
        point = {"u": u, "dt": jnp.asarray(0.004), "gamma": jnp.asarray(1.4)}
        assert_derivatives_agree(mismatches, point, label=name)


def test_scalar_laws_and_the_rest_of_the_interface():
    scheme = RiemannScheme(Burgers(0.01), UniformGrid(32), "outflow")
    assert isinstance(scheme.flux, HLL) and isinstance(RiemannScheme(GAS, UniformGrid(32)).flux, HLLC)
    assert (scheme.order, scheme.grid.num_cells, scheme.law.num_components) == (5, (32,), 1)
    x = jnp.asarray(scheme.grid.centers())
    u0 = jnp.where(x < 0.5, 1.0, 0.0)[None]
    out = quick_jit(lambda u: solve(scheme, None, u, steps=40, time_step=FixedStep(0.01)))(u0)
    assert float(jnp.sum(out.values[-1] > 0.5)) / 32 == pytest.approx(0.7, abs=0.04)
    left, right = scheme.faces(u0, 0)
    assert left.shape == right.shape == (1, 33)
    batch = jax.vmap(lambda u: scheme.domain.speed_over_dx(u))(jnp.stack([u0, 2 * u0]))
    np.testing.assert_allclose(batch, [32.0, 64.0])


def test_errors():
    scheme, u = RiemannScheme(GAS, UniformGrid(16)), jnp.ones((3, 16))
    step = FixedStep(0.01)
    with pytest.raises(UndertowError, match="take None for the weights"):
        jax.eval_shape(lambda: solve(scheme, WenoJS(), u, steps=1, time_step=step))
    with pytest.raises(UndertowError, match="a SemiDiscrete scheme needs weights, got None"):
        jax.eval_shape(lambda: solve(SemiDiscrete(GAS, UniformGrid(16)), None, u, steps=1, time_step=step))
    with pytest.raises(UndertowError, match="HLLC is for laws with a contact"):
        jax.eval_shape(lambda: RiemannScheme(Burgers(), UniformGrid(16), flux=HLLC()).rate(u[:1], TIME))
    with pytest.raises(UndertowError, match=r"a state here has shape \(3, 16\)"):
        scheme.domain.check_state(u[:2])
