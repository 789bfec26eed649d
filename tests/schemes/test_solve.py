"""The plain solver: what it keeps, what it conserves, where its shocks go, what it refuses."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import Counted, burgers_before_breaking
from undertow._checks import NonFiniteError, UndertowError
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.source import SineSource
from undertow.numerics.grid import UniformGrid
from undertow.numerics.integrator import RK4, SSPRK3, ForwardEuler
from undertow.numerics.norms import total_variation
from undertow.numerics.timestep import CFLStep, FixedStep
from undertow.schemes.reference import fine_reference, refined, sample_centers
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.solve import check_finite, check_step, solve
from undertow.schemes.weights import WenoJS, WenoZ, linear

march = eqx.filter_jit(solve)


def periodic(cells=32, **options):
    return SemiDiscrete(Burgers(), UniformGrid(cells), **options)


def wave(cells=32, mean=0.4):
    x = UniformGrid(cells).centers()
    return jnp.asarray(mean + np.sin(2 * np.pi * x) + 0.3 * np.cos(6 * np.pi * x))[None]


def test_states_are_kept_as_asked_and_are_the_same_whatever_is_kept():
    scheme, u0, step = periodic(), wave(), FixedStep(jnp.asarray(0.004))
    every = march(scheme, WenoJS(), u0, steps=10, time_step=step, save_every=1)
    np.testing.assert_allclose(every.times, 0.004 * np.arange(11), rtol=1e-12)
    np.testing.assert_array_equal(every.values[0], u0)
    some = march(scheme, WenoJS(), u0, steps=10, time_step=step, save_every=4)
    np.testing.assert_allclose(some.times, every.times[np.array([0, 4, 8, 10])], rtol=1e-15)
    np.testing.assert_allclose(some.values, every.values[np.array([0, 4, 8, 10])], rtol=1e-13)
    ends = march(scheme, WenoJS(), u0, steps=10, time_step=step)
    np.testing.assert_allclose(ends.values, every.values[np.array([0, 10])], rtol=1e-13)


def test_no_steps_keep_the_initial_state():
    out = solve(periodic(), WenoJS(), wave(), steps=0, time_step=FixedStep(0.1))
    assert out.times.shape == (1,)
    np.testing.assert_array_equal(out.values, wave()[None])


def test_a_cfl_run_lands_on_the_end_time_and_stays_there():
    u0 = wave()
    step = CFLStep(cfl=0.4, end_time=0.1, dx=1 / 32)
    out = march(periodic(), WenoJS(), u0, steps=60, time_step=step, save_every=1)
    arrived = np.flatnonzero(out.times == 0.1)
    assert len(arrived) > 10
    np.testing.assert_array_equal(out.values[arrived], np.broadcast_to(out.values[-1], out.values[arrived].shape))
    # Every step but the last is the Courant number over the speed of the state it starts from.
    dts, speeds = np.diff(out.times)[: arrived[0] - 1], np.abs(out.values[: arrived[0] - 1, 0]).max(axis=1)
    np.testing.assert_allclose(dts * speeds * 32, 0.4, rtol=1e-10)


@pytest.mark.parametrize("weights", [linear(5), WenoJS(5), WenoZ(5)], ids=["linear", "js", "z"])
@pytest.mark.parametrize("cells", [(64,), (16, 16)], ids=["line", "plane"])
def test_a_thousand_steps_through_shocks_conserve_to_round_off(weights, cells, rng):
    scheme = SemiDiscrete(Burgers(), UniformGrid(cells, 0.0, 1.0))
    u0 = jnp.asarray(rng.normal(size=(1, *cells)) + 1.0)
    if len(cells) == 1:
        u0 = jnp.asarray(wave(64, mean=1.0))
    steps = 1000 if len(cells) == 1 else 200
    out = march(scheme, weights, u0, steps=steps, time_step=FixedStep(jnp.asarray(1e-3)), save_every=steps // 4)
    totals = np.sum(out.values, axis=tuple(range(1, out.values.ndim)))
    np.testing.assert_allclose(totals, totals[0], rtol=1e-13)
    assert np.all(np.isfinite(out.values))


def test_a_shock_moves_with_the_mean_of_its_two_sides_and_does_not_smear():
    """Rankine and Hugoniot: u_L = 2, u_R = 0.5 moves at 1.25. The total tells where the shock is to round-off."""
    scheme = SemiDiscrete(Burgers(), UniformGrid(100), "outflow")
    x = scheme.grid.centers()
    u0 = jnp.asarray(np.where(x < 0.25, 2.0, 0.5))[None]
    out = march(scheme, WenoJS(), u0, steps=160, time_step=FixedStep(jnp.asarray(0.0025)), save_every=160)
    position = (float(jnp.mean(out.values[-1])) - 0.5) / 1.5
    assert position == pytest.approx(0.25 + 1.25 * 0.4, abs=1e-9)
    exact = np.where(x < 0.75, 2.0, 0.5)
    assert np.abs(out.values[-1, 0] - exact)[np.abs(x - 0.75) > 0.05].max() < 1e-3
    assert total_variation(out.values[-1]) < 1.5 * 1.01


def test_a_rarefaction_opens_into_a_fan():
    def error(n):
        scheme = SemiDiscrete(Burgers(), UniformGrid(n), "outflow")
        x = scheme.grid.centers()
        u0 = jnp.asarray(np.where(x < 0.5, 1.0, 2.0))[None]
        out = march(scheme, WenoJS(), u0, steps=n, time_step=FixedStep(jnp.asarray(0.2 / n)))
        return np.mean(np.abs(out.values[-1, 0] - np.clip((x - 0.5) / 0.2, 1.0, 2.0)))

    coarse, fine = error(50), error(100)
    assert fine < 0.01
    assert fine < 0.7 * coarse


@pytest.mark.parametrize("integrator", [ForwardEuler(), SSPRK3(), RK4()], ids=["euler", "ssp_rk3", "rk4"])
def test_reflection_and_translation_survive_many_steps(integrator):
    u0 = wave(mean=0.0)
    step = FixedStep(jnp.asarray(0.002))

    def run(u):
        return np.asarray(march(periodic(), WenoJS(), u, steps=100, time_step=step, integrator=integrator).values[-1])

    one = run(u0)
    np.testing.assert_allclose(run(-u0[:, ::-1]), -one[:, ::-1], atol=1e-13)
    np.testing.assert_allclose(run(jnp.roll(u0, 5, axis=1)), np.roll(one, 5, axis=1), atol=1e-13)


def test_advection_and_viscosity_damp_a_sine_at_its_exact_rate():
    """u = exp(-4 pi^2 nu t) sin(2 pi (x - t)), with the second order of the Laplacian."""
    nu, time = 0.05, 0.2

    def error(n):
        scheme = SemiDiscrete(LinearAdvection(1.0, nu), UniformGrid(n))
        x = scheme.grid.centers()
        u0 = jnp.asarray(np.sin(2 * np.pi * x))[None]
        out = march(scheme, linear(5), u0, steps=200, time_step=FixedStep(jnp.asarray(time / 200)), integrator=RK4())
        return np.abs(out.values[-1, 0] - np.exp(-4 * np.pi**2 * nu * time) * np.sin(2 * np.pi * (x - time))).max()

    np.testing.assert_allclose(np.log2(error(16) / error(32)), 2, atol=0.1)


def test_a_constant_state_under_a_source_is_its_integral():
    """u_t = a sin(w t + p): the wavenumber 0 keeps the state constant."""
    a, w, p = 0.8, 7.0, 0.3
    source = SineSource(*(jnp.asarray([v]) for v in (a, w, 0.0, p)))
    scheme = periodic(16, source=source)
    for integrator, tolerance in ((RK4(), 1e-9), (SSPRK3(), 1e-6)):
        out = march(
            scheme,
            WenoJS(),
            jnp.full((1, 16), 0.5),
            steps=50,
            time_step=FixedStep(jnp.asarray(0.01)),
            integrator=integrator,
        )
        expected = 0.5 + a / w * (np.cos(p) - np.cos(w * 0.5 + p))
        np.testing.assert_allclose(out.values[-1], expected, atol=tolerance)


def test_a_batch_of_boundaries_and_steps_is_one_program_and_equals_separate_runs():
    names = ("periodic", "outflow", "reflective", "linear", "quadratic")
    schemes = [periodic(boundary=name) for name in names]
    batch = jax.tree.map(lambda *x: jnp.stack(x) if eqx.is_array(x[0]) else x[0], *schemes)
    dts = jnp.linspace(0.001, 0.003, len(names))
    body = Counted(lambda s, dt: solve(s, WenoJS(), wave(mean=1.0), steps=8, time_step=FixedStep(dt)).values[-1])
    together = eqx.filter_jit(eqx.filter_vmap(body, in_axes=(eqx.if_array(0), 0)))
    out = together(batch, dts)
    for i, dt in enumerate(dts):
        # Bit by bit what the same program makes of a batch of this sample alone ...
        alike = jax.tree.map(lambda x, i=i: jnp.stack([x[i]] * len(names)) if eqx.is_array(x) else x, batch)
        np.testing.assert_array_equal(together(alike, jnp.full(len(names), dt))[i], out[i])
    assert body.calls == 1
    # ... and to round-off what a program for one sample makes of it, which may order its sums otherwise.
    alone = eqx.filter_jit(body)
    for scheme, dt, expected in zip(schemes, dts, out, strict=True):
        np.testing.assert_allclose(alone(scheme, dt), expected, atol=1e-14)
    assert body.calls == 2


def test_fine_references_converge_to_the_exact_solution_at_the_coarse_centres():
    def initial(x):
        return 0.5 + np.sin(2 * np.pi * x)

    scheme = periodic(16)
    step = {"steps": 8, "dt": 0.01, "save_every": 4}
    exact = [
        burgers_before_breaking(initial, lambda x: 2 * np.pi * np.cos(2 * np.pi * x), scheme.grid.centers(), t)
        for t in (0.0, 0.04, 0.08)
    ]
    run = eqx.filter_jit(fine_reference)
    errors = []
    for factor in (1, 3, 9):
        out = run(scheme, WenoJS(), lambda x: 0.5 + jnp.sin(2 * jnp.pi * x), factor=factor, **step)
        np.testing.assert_allclose(out.times, [0.0, 0.04, 0.08], rtol=1e-12)
        errors.append(np.mean(np.abs(out.values[:, 0] - np.stack(exact))))
    assert errors[1] < errors[0] / 8
    assert errors[2] < errors[1] / 8


def test_sampling_takes_the_centres_along_every_axis():
    grid = UniformGrid((6, 4), 0.0, (1.0, 2.0))
    fine = grid.refine(3)
    x, y = np.meshgrid(fine.centers(0), fine.centers(1), indexing="ij")
    sampled = sample_centers(jnp.asarray(np.stack([x, y])), 3, num_axes=2)
    np.testing.assert_allclose(sampled[0], np.broadcast_to(grid.centers(0)[:, None], (6, 4)), atol=1e-15)
    np.testing.assert_allclose(sampled[1], np.broadcast_to(grid.centers(1), (6, 4)), atol=1e-15)


def test_even_refinement_is_refused():
    with pytest.raises(UndertowError, match="must be odd so that cell centres stay cell centres, got 2"):
        refined(periodic(), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"u0": jnp.zeros((1, 31))}, r"has shape \(1, 32\)"),
        ({"u0": jnp.zeros((5, 1, 32))}, "batches go through jax.vmap"),
        ({"weights": WenoJS(7)}, "weights of order 7 in a scheme of order 5"),
        ({"steps": -1}, "steps must be a whole number of 0 or more"),
        ({"save_every": 0}, "save_every must be a whole number above 0"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"save_every": 1.5}, "save_every must be a whole number"),
        ({"u0": jnp.zeros((1, 32), int)}, "single or double precision, got int"),
        ({"u0": jnp.zeros((1, 32), complex)}, "single or double precision, got complex"),
        ({"u0": jnp.zeros((1, 32), jnp.float16)}, "single or double precision, got float16"),
        ({"u0": [0.0] * 32}, "a state is an array of shape"),
        ({"time_step": CFLStep(0.5, 1.0)}, "2 steps reach t = .* short of end_time = 1: take about .* steps"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"scheme": periodic(), "weights": WenoJS(), "u0": wave(), "steps": 2, "time_step": FixedStep(0.01)} | change
    with pytest.raises(UndertowError, match=message):
        solve(given.pop("scheme"), given.pop("weights"), given.pop("u0"), **given)


def test_boundaries_and_grids_that_cannot_be():
    with pytest.raises(UndertowError, match="boundary must be a name or a tuple"):
        periodic(boundary=None)
    with pytest.raises(UndertowError, match="at least one axis"):
        UniformGrid(())


def test_a_courant_number_far_above_one_is_refused_with_a_step_that_works():
    scheme, u0 = periodic(), jnp.full((1, 32), 2.0)
    assert check_step(scheme, u0, 0.01, SSPRK3()) == pytest.approx(0.64)
    with pytest.raises(UndertowError, match=r"Courant number of 6.4, far above 1: take dt <= 0.0156") as caught:
        check_step(scheme, u0, 0.1, SSPRK3())
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_found():
    check_finite(jnp.zeros((1, 8)))
    with pytest.raises(NonFiniteError, match="the initial state is nan in cell 3") as caught:
        check_finite(jnp.zeros((1, 8)).at[0, 3].set(jnp.nan))
    assert caught.value.cell == 3
    with pytest.raises(NonFiniteError, match=r"after step 7 is inf in cell \(1, 2\)") as caught:
        check_finite(jnp.zeros((1, 4, 4)).at[0, 1, 2].set(jnp.inf), step=7)
    assert (caught.value.step, caught.value.cell) == (7, (1, 2))
    with pytest.raises(NonFiniteError, match="initial state"):
        check_step(periodic(), wave().at[0, 0].set(jnp.nan), 0.01, SSPRK3())
