"""Blast waves against the equations they solve, the integrals they keep and the published constants."""

from __future__ import annotations

import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.laws.sedov import sedov, sedov_constant, sedov_shock_radius

VOLUME = {1: 2.0, 2: 2 * np.pi, 3: 4 * np.pi}
CASES = [(gamma, j) for gamma in (1.1, 1.4, 5 / 3, 2.0, 2.7) for j in (1, 2, 3)]


def blast(gamma, j):
    return {"energy": 2.5, "density": 0.7, "gamma": gamma, "dimensions": j}


@pytest.mark.parametrize(("j", "known"), [(1, 2 * 0.5387), (2, 0.98407), (3, 0.851072)])
def test_published_constants(j, known):
    """For gamma = 1.4, Kamm and Timmes (2007); for planes they count the energy of one side."""
    assert abs(sedov_constant(1.4, j) - known) < 1e-4
    assert sedov_shock_radius(1.0, energy=sedov_constant(1.4, j), dimensions=j) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("j", [1, 2, 3])
def test_nothing_happens_at_gamma_two(j):
    """Where the published exponents are infinite."""
    below, middle, above = (sedov_constant(2 + shift, j) for shift in (-1e-5, 0.0, 1e-5))
    assert abs(below + above - 2 * middle) < 1e-9 * middle
    assert abs(sedov_constant(2 + 1e-13, j) - middle) < 1e-12 * middle


@pytest.mark.parametrize(("gamma", "j"), CASES)
def test_energy_and_mass(gamma, j):
    t, radius = 1.3, sedov_shock_radius(1.3, **blast(gamma, j))
    # Panels that shrink towards the centre and the shock, where the profiles are powers.
    edges = (
        np.concatenate([[0.0], np.geomspace(1e-6, 0.5, 30), 1 - np.geomspace(1e-12, 0.5, 60)[-2::-1], [1.0]]) * radius
    )
    x, w = np.polynomial.legendre.leggauss(20)
    widths = np.diff(edges)[:, None]
    r = edges[:-1, None] + widths * (x + 1) / 2
    volume = VOLUME[j] * r ** (j - 1) * widths * w / 2
    density, velocity, pressure = sedov(r, t, **blast(gamma, j))
    assert np.sum(volume * (density * velocity**2 / 2 + pressure / (gamma - 1))) == pytest.approx(2.5, rel=1e-11)
    assert np.sum(volume * density) == pytest.approx(0.7 * VOLUME[j] * radius**j / j, rel=1e-11)


@pytest.mark.parametrize(("gamma", "j"), CASES)
def test_it_solves_the_equations(gamma, j):
    t, h = 0.8, 1e-4
    radius = sedov_shock_radius(t, **blast(gamma, j))
    r = np.asarray([0.3, 0.6, 0.8, 0.9, 0.97]) * radius

    def slope(values):
        far, near = values(2 * h) - values(-2 * h), values(h) - values(-h)
        return (8 * near - far) / (12 * h)

    rho, v, p = sedov(r, t, **blast(gamma, j))
    rho_r, v_r, p_r = slope(lambda d: np.stack(sedov(r + d, t, **blast(gamma, j))))
    rho_t, v_t, p_t = slope(lambda d: np.stack(sedov(r, t + d, **blast(gamma, j))))
    spread = v_r + (j - 1) * v / r
    for rest, size in (
        (rho_t + v * rho_r + rho * spread, np.abs(rho_t) + np.abs(v * rho_r) + np.abs(rho * spread)),
        (rho * (v_t + v * v_r) + p_r, rho * np.abs(v_t) + np.abs(rho * v * v_r) + np.abs(p_r)),
        (p_t + v * p_r + gamma * p * spread, np.abs(p_t) + np.abs(v * p_r) + np.abs(gamma * p * spread)),
    ):
        assert np.all(np.abs(rest) < 1e-6 * size + 1e-11 * np.max(size))


@pytest.mark.parametrize("j", [1, 2, 3])
def test_centre_shock_and_what_is_ahead(j):
    gamma, t = 1.4, 0.5
    radius = sedov_shock_radius(t, **blast(gamma, j))
    speed = 2 / (j + 2) * radius / t
    r = np.asarray([[0.0, 1e-9 * radius, radius], [np.nextafter(radius, 9), 2 * radius, 1e9]])
    density, velocity, pressure = sedov(r, t, **blast(gamma, j))
    assert density.shape == (2, 3)
    np.testing.assert_array_equal([density[1], velocity[1], pressure[1]], [[0.7] * 3, [0.0] * 3, [0.0] * 3])
    # Nothing at the centre but pressure; behind the shock the strong jump.
    assert density[0, 0] < 1e-100 and velocity[0, 0] == 0
    assert pressure[0, 0] == pytest.approx(pressure[0, 1], rel=1e-12) and pressure[0, 0] > 0.2 * pressure[0, 2]
    behind = density[0, 2], velocity[0, 2], pressure[0, 2]
    np.testing.assert_allclose(behind, [6 * 0.7, speed / 1.2, 0.7 * speed**2 / 1.2], rtol=1e-13)


def test_scales():
    """Only lambda = r / R(t) matters: four times the time is so many times the radius."""
    case = blast(1.4, 3)
    r = np.linspace(0.01, 1.2, 50) * sedov_shock_radius(1.0, **case)
    grown = 4 ** (2 / 5)
    units = 1, grown / 4, (grown / 4) ** 2
    for one, other, unit in zip(sedov(r, 1.0, **case), sedov(r * grown, 4.0, **case), units, strict=True):
        np.testing.assert_allclose(other, one * unit, rtol=1e-12, atol=1e-14)


def test_what_has_no_solution_here_says_so():
    for change, message in (
        ({"gamma": 7.0}, "gamma below 7, got 7.0"),
        ({"gamma": 1.0}, "gamma must be above 1, got 1.0"),
        ({"dimensions": 4}, "dimensions must be 1, 2 or 3, got 4"),
        ({"energy": 0.0}, "energy must be a finite number above 0, got 0.0"),
    ):
        with pytest.raises(UndertowError, match=message):
            sedov(1.0, 1.0, **{**blast(1.4, 3), **change})
    with pytest.raises(UndertowError, match="t must be a finite number above 0"):
        sedov(1.0, 0.0, **blast(1.4, 3))
    with pytest.raises(UndertowError, match=r"at least 0, got -1\.0"):
        sedov([-1.0, 1.0], 1.0, **blast(1.4, 3))
