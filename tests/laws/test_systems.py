"""Systems of conservation laws: fluxes against their own Jacobians, eigenvectors, symmetries, floors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.law import matrices
from undertow.laws.shallow_water import ShallowWater
from undertow.laws.vector_burgers import VectorBurgers
from undertow.numerics.grid import UniformGrid
from undertow.schemes.semidiscrete import SemiDiscrete
from undertow.schemes.weights import WenoJS

GASES = {f"euler-{d}d": Euler(1.3, dimensions=d) for d in (1, 2, 3)}
WATERS = {f"shallow-water-{d}d": ShallowWater(9.81, dimensions=d) for d in (1, 2)}
VECTORS = {f"vector-burgers-{d}d": VectorBurgers(dimensions=d) for d in (1, 2, 3)}
SYSTEMS = {**GASES, **WATERS}
LAWS = {**SYSTEMS, **VECTORS}
BY_SYSTEM = pytest.mark.parametrize("name", SYSTEMS)
BY_LAW = pytest.mark.parametrize("name", LAWS)
CELLS = 24


def states(name: str, rng: np.random.Generator, cells: int = CELLS) -> jax.Array:
    """Physical states that differ by factors, with sub- and supercritical flow in every direction."""
    law = LAWS[name]
    velocity = rng.normal(scale=2, size=(law.dimensions, cells))
    if name in VECTORS:
        return jnp.asarray(velocity)
    positive = np.exp(rng.normal(size=(2, cells)))
    scalars = positive[:1], positive[1:]
    return law.conserved(jnp.asarray(np.concatenate([scalars[0], velocity, *scalars[1 : 2 if name in GASES else 1]])))


@cache
def jacobians(name: str) -> Callable:
    """The program of the flux's Jacobians in every cell, `"cells chan chan"` for every axis."""
    law = LAWS[name]

    def one(v, axis):
        return jax.jacfwd(lambda v: law.flux(v[:, None], axis)[:, 0])(v)

    return quick_jit(jax.vmap(lambda v: tuple(one(v, axis) for axis in range(law.dimensions)), in_axes=1))


def dense(basis, law, cells: int = CELLS) -> tuple[np.ndarray, np.ndarray]:
    """L and R in every cell, `"cells chan chan"`."""
    left, right = matrices(basis, law.num_components, (cells,))
    return np.moveaxis(np.asarray(left), -1, 0), np.moveaxis(np.asarray(right), -1, 0)


def speeds(basis, law) -> np.ndarray:
    """The characteristic speeds in the order of the fields, `"cells chan"`."""
    v = basis.velocity[basis.axis]
    return np.stack([v - basis.sound, *[v] * (law.num_components - 2), v + basis.sound], axis=-1)


@BY_SYSTEM
@pytest.mark.parametrize("mean", ["arithmetic", "roe"])
def test_the_basis_diagonalises_the_jacobian(name, mean, rng):
    law, u = SYSTEMS[name], states(name, rng)
    for axis, jacobian in enumerate(jacobians(name)(u)):
        basis = law.eigenvectors(u, u, axis, mean)
        left, right = dense(basis, law)
        unit = np.broadcast_to(np.eye(law.num_components), left.shape)
        np.testing.assert_allclose(left @ right, unit, atol=1e-12)
        found = left @ np.asarray(jacobian) @ right
        # L and R hold numbers of very different size; the product cancels most of their digits.
        size = np.abs(left).max(axis=(1, 2)) * np.abs(right).max(axis=(1, 2))
        assert np.max(np.abs(found - speeds(basis, law)[..., None] * unit) / size[:, None, None]) < 1e-12


@BY_SYSTEM
def test_roe_means_carry_jumps_exactly(name, rng):
    """The defining property: A(u, v) (v - u) = f(v) - f(u), for jumps of any size."""
    law = SYSTEMS[name]
    left, right = states(name, rng), states(name, rng)
    for axis in range(law.dimensions):
        basis = law.eigenvectors(left, right, axis, "roe")
        jump = basis.expand(jnp.asarray(speeds(basis, law).T) * basis.project(right - left))
        expected = law.flux(right, axis) - law.flux(left, axis)
        np.testing.assert_allclose(jump, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max())


@BY_LAW
def test_the_largest_speed_is_the_spectral_radius(name, rng):
    law, u = LAWS[name], states(name, rng)
    for axis, jacobian in enumerate(jacobians(name)(u)):
        radius = np.abs(np.linalg.eigvals(jacobian)).max(axis=-1)
        # As far as eigenvalues that lie together are computed.
        np.testing.assert_allclose(law.max_speed(u, axis), radius, rtol=1e-6)


def test_speeds_of_the_vector_equation(rng):
    """u_a once, u_a / 2 for every other component."""
    u = states("vector-burgers-3d", rng)
    for axis, jacobian in enumerate(jacobians("vector-burgers-3d")(u)):
        found = np.sort(np.linalg.eigvals(jacobian).real, axis=-1)
        expected = np.sort(np.stack([u[axis], u[axis] / 2, u[axis] / 2], axis=-1), axis=-1)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def turned(law, matrix: np.ndarray, u: jax.Array) -> jax.Array:
    """A state with its vector turned by an orthogonal matrix."""
    first = 0 if isinstance(law, VectorBurgers) else 1
    last = first + law.dimensions
    return jnp.concatenate([u[:first], jnp.asarray(matrix) @ u[first:last], u[last:]])


@BY_LAW
def test_laws_know_no_direction(name, rng):
    """The flux through a turned face of a turned state is the turned flux, reflections included."""
    law, u = LAWS[name], states(name, rng)
    q, _ = np.linalg.qr(rng.normal(size=(law.dimensions, law.dimensions)))
    for matrix in (q, np.diag([-1.0] + [1.0] * (law.dimensions - 1)) @ q):
        moved = turned(law, matrix, u)
        through = sum(matrix[d, 0] * law.flux(moved, d) for d in range(law.dimensions))
        np.testing.assert_allclose(through, turned(law, matrix, law.flux(u, 0)), rtol=1e-10, atol=1e-10)


@BY_LAW
def test_parity_mirrors(name, rng):
    law, u = LAWS[name], states(name, rng)
    for wall in range(law.dimensions):
        sign = jnp.asarray(law.parity(wall))[:, None]
        for axis in range(law.dimensions):
            across = -1.0 if axis == wall else 1.0
            np.testing.assert_allclose(law.flux(sign * u, axis), across * sign * law.flux(u, axis), rtol=1e-13)
            np.testing.assert_array_equal(law.max_speed(sign * u, axis), law.max_speed(u, axis))


@BY_SYSTEM
def test_primitive_and_conserved_are_inverse(name, rng):
    law, u = SYSTEMS[name], states(name, rng)
    np.testing.assert_allclose(law.conserved(law.primitive(u)), u, rtol=1e-12)
    primitive = law.primitive(u)
    np.testing.assert_allclose(law.primitive(law.conserved(primitive)), primitive, rtol=1e-11)


@BY_SYSTEM
def test_amplitudes_have_no_unit(name, rng):
    """The same flow in other units of mass, depth and speed has the same characteristic split fluxes."""
    law = SYSTEMS[name]
    left, right = states(name, rng), states(name, rng)
    heavy, fast = 7.0, 30.0
    scale = np.array([1.0] + [fast] * law.dimensions + ([fast**2] if name in GASES else []))[:, None] * heavy
    other = law if name in GASES else ShallowWater(9.81 * fast**2 / heavy, dimensions=law.dimensions)
    for mean in ("arithmetic", "roe"):
        one = law.eigenvectors(left, right, 0, mean).project(law.flux(right, 0))
        two = other.eigenvectors(scale * left, scale * right, 0, mean).project(other.flux(scale * right, 0))
        np.testing.assert_allclose(two, one, rtol=1e-10, atol=1e-10)


@BY_SYSTEM
def test_states_that_are_not_physical_have_finite_values_and_gradients(name):
    """Vacuum and dry beds, at rest and moving, negative density, depth and pressure, with floors relative to one of them."""
    law = SYSTEMS[name]
    columns = [np.zeros(law.num_components), -np.ones(law.num_components), np.eye(law.num_components)[1]]
    columns += [np.array([1.0] + [2.0] * law.dimensions + [0.1])[: law.num_components]]
    u = jnp.asarray(np.stack(columns, axis=-1))
    r = u[:, ::-1]
    law = law.relative_to(u)

    def everything(u, r):
        axis = law.dimensions - 1
        parts = [law.primitive(u), *law.positive(u), law.flux(u, axis), law.max_speed(u, axis)]
        for mean in ("arithmetic", "roe"):
            basis = law.eigenvectors(u, r, axis, mean)
            parts += [basis.project(u), basis.expand(r)]
        return tuple(parts)

    def slopes(u, r):
        values, pull = jax.vjp(everything, u, r)
        return values, pull(jax.tree.map(jnp.ones_like, values))

    for each in jax.tree.leaves(quick_jit(slopes)(u, r)):
        assert np.all(np.isfinite(each))


def test_floors_change_no_physical_state(rng):
    for make, name in ((Euler, "euler-2d"), (ShallowWater, "shallow-water-2d")):
        u = states(name, rng)
        floors = {f.name: 1e-300 for f in make.__dataclass_fields__.values() if f.name.endswith("_floor")}
        assert floors
        low, usual = make(dimensions=2, **floors), make(dimensions=2).relative_to(u)
        np.testing.assert_array_equal(low.flux(u, 1), usual.flux(u, 1))
        np.testing.assert_array_equal(low.max_speed(u, 1), usual.max_speed(u, 1))


def test_what_must_be_positive(rng):
    for name in GASES:
        law, u = GASES[name], states(name, rng)
        density, internal = law.positive(u)
        np.testing.assert_array_equal(density, u[0])
        np.testing.assert_allclose(internal, law.primitive(u)[-1] / (law.gamma - 1), rtol=1e-11)
    (depth,) = ShallowWater().positive(jnp.asarray([[-1.0, 2.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(depth, [-1.0, 2.0])
    assert VectorBurgers().positive(jnp.ones((2, 3))) == ()


@BY_LAW
def test_names_judges_and_precision(name):
    law = LAWS[name]
    assert len(law.component_names) == len(law.parity(0)) == law.num_components == len(set(law.component_names))
    assert law.judged == ((0,) if name in SYSTEMS else tuple(range(law.dimensions)))
    u = jnp.ones((law.num_components, 4), jnp.float32)
    assert law.flux(u, 0).dtype == law.max_speed(u, 0).dtype == jnp.float32


def test_constants_are_leaves():
    u = jnp.asarray([[1.0], [0.0]])
    np.testing.assert_allclose(jax.vmap(lambda g: ShallowWater(g).max_speed(u, 0)[0])(jnp.asarray([1.0, 4.0])), [1, 2])
    u = jnp.asarray([[1.0], [0.0], [1.0]])
    square = jax.vmap(lambda g: Euler(g).max_speed(u, 0)[0] ** 2)(jnp.asarray([1.4, 2.0]))
    np.testing.assert_allclose(square, [1.4 * 0.4, 2.0])
    assert jax.tree.leaves(VectorBurgers(0.1)) == [0.1]


def rate(law, boundary, reconstruction, u, cells):
    scheme = SemiDiscrete(law, UniformGrid(cells), boundary, order=3, reconstruction=reconstruction)
    weights = WenoJS(3)
    return scheme.rate(u, jnp.zeros(()), lambda _, stencils: tuple(weights(s) for s in stencils))


@pytest.mark.parametrize("reconstruction", ["component", "characteristic"])
def test_the_solver_of_water_knows_no_direction(reconstruction, rng):
    """Exchanging the axes of a state exchanges those of its rate of change, and so does turning one of them around."""
    law = ShallowWater(dimensions=2)
    depth, velocity = 1 + 0.5 * rng.uniform(size=(1, 8, 8)), rng.normal(size=(2, 8, 8))
    u = law.conserved(jnp.asarray(np.concatenate([depth, velocity])))
    run = quick_jit(lambda u: rate(law, "reflective", reconstruction, u, (8, 8)))
    out = run(u)
    exchange = lambda w: jnp.swapaxes(w[jnp.asarray([0, 2, 1])], 1, 2)
    mirror = lambda w: w[:, ::-1] * jnp.asarray(law.parity(0))[:, None, None]
    for change in (exchange, mirror):
        np.testing.assert_allclose(run(change(u)), change(out), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(out[0].sum(), 0, atol=1e-10)


def test_the_vector_equation_holds_the_scalar_one(rng):
    """With equal components it is the scalar equation in two dimensions, viscosity included; in one it is Burgers'."""
    w = jnp.asarray(rng.normal(size=(1, 8, 8)))

    @quick_jit
    def rates(w):
        both = rate(VectorBurgers(0.01), "periodic", "component", jnp.concatenate([w, w]), (8, 8))
        scalar = rate(Burgers(0.01), "periodic", "component", w, (8, 8))
        one = rate(VectorBurgers(dimensions=1), "reflective", "component", w[:, 0], 8)
        return both, scalar, one, rate(Burgers(), "reflective", "component", w[:, 0], 8)

    both, scalar, one, burgers = rates(w)
    for component in both:
        np.testing.assert_allclose(component, scalar[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one, burgers, rtol=1e-14)


def test_messages():
    for make, message in (
        (lambda: ShallowWater(dimensions=3), "dimensions must be a whole number from 1 to 2, got 3"),
        (lambda: ShallowWater(0.0), "gravity must be a finite number above 0, got 0.0"),
        (lambda: ShallowWater(viscosity=0.1), "no viscosity"),
        (lambda: VectorBurgers(dimensions=4), "dimensions must be a whole number from 1 to 3, got 4"),
        (lambda: Euler(dimensions=0), "dimensions must be a whole number from 1 to 3, got 0"),
        (lambda: Euler(1.0), "must be a finite number above 1, got 1.0"),
        (lambda: Euler(viscosity=0.1), "no viscosity"),
    ):
        with pytest.raises(UndertowError, match=message):
            make()
    two = jnp.ones((2, 3))
    with pytest.raises(UndertowError, match="mean must be 'arithmetic' or 'roe', got 'geometric'"):
        ShallowWater().eigenvectors(two, two, 0, "geometric")
    with pytest.raises(UndertowError, match="mean must be 'arithmetic' or 'roe', got 'geometric'"):
        Euler().eigenvectors(jnp.ones((3, 3)), jnp.ones((3, 3)), 0, "geometric")
    with pytest.raises(UndertowError, match="no complete set of eigenvectors .* reconstruction='component'"):
        rate(VectorBurgers(), "periodic", "characteristic", jnp.ones((2, 8, 8)), (8, 8))
