"""A field of one's own: what it gives the solver, and what its door refuses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.envs.placing import boundaries_of, point_values
from undertow.laws.advection import LinearAdvection
from undertow.laws.burgers import Burgers
from undertow.laws.euler import Euler
from undertow.laws.exact import exact_solution
from undertow.laws.field import Field
from undertow.numerics.grid import UniformGrid
from undertow.simulate import simulate


def wave(x, *more):
    return jnp.sin(2 * jnp.pi * x)


def scaled(amplitude, x):
    return amplitude * wave(x)


def carried(x, t):
    return wave(x - t)


def test_a_scalar_function_with_its_solution():
    """Errors of the solver are those against the function that was given."""
    field = Field(wave, LinearAdvection(), "periodic", exact=carried)
    errors = [simulate(field, num_cells=n, end_time=0.5, cfl=0.2).metrics()["l1_error"] for n in (16, 32)]
    assert errors[1] < errors[0] / 8  # of order five in space, three in time
    x = jnp.linspace(0, 1, 7)
    np.testing.assert_array_equal(exact_solution(field.law, field, x, 0.3), carried(x, 0.3)[None])


def test_a_system_on_an_interval_of_its_own():
    law = Euler()
    field = Field(lambda x: law.conserved(jnp.stack([2 + wave(x), x, 1 + 0 * x])), law, "outflow", (-1.0, 3.0))
    values = point_values(field, UniformGrid(8, field.lower, field.upper))
    assert values.shape == (3, 8)
    np.testing.assert_allclose(law.primitive(values)[1], np.linspace(-0.75, 2.75, 8), rtol=1e-12)
    assert not field.solvable
    with pytest.raises(UndertowError, match="has no exact solution"):
        field.exact(jnp.zeros(3), time=0.1)


@pytest.mark.parametrize("names", [("outflow", "reflective"), ("linear", "quadratic"), ("periodic", "periodic")])
def test_an_end_behaves_as_its_name_says(names):
    """A pair of names in one dimension is left and right."""
    field = Field(wave, Burgers(), names)
    (found,) = boundaries_of(field, 3)
    u = jnp.arange(1.0, 7.0)[None] ** 2
    padded = np.asarray(found.pad(u, 0, (-1.0,)))[0]
    beyond = {
        "outflow": lambda inner: [inner[0]] * 3,
        "reflective": lambda inner: [-inner[0], -inner[1], -inner[2]],
        "linear": lambda inner: [inner[0] + j * (inner[0] - inner[1]) for j in (1, 2, 3)],
        "quadratic": lambda inner: [(6 + j) ** 2 for j in (1, 2, 3)],
    }
    inner = np.asarray(u)[0]
    if names[0] == "periodic":
        np.testing.assert_allclose(padded, np.concatenate([inner[-3:], inner, inner[:3]]))
        return
    np.testing.assert_allclose(padded[:3][::-1], beyond[names[0]](inner))
    np.testing.assert_allclose(padded[-3:], beyond[names[1]](inner[::-1]))


def test_a_plane_has_an_entry_per_axis():
    field = Field(lambda x, y: wave(x) * y, Burgers(), ("periodic", ("outflow", "reflective")), ((0, 1), (0, 2)))
    assert field.ends == (("periodic", "periodic"), ("outflow", "reflective"))
    result = simulate(field, num_cells=8, end_time=0.01)
    assert result.values.shape == (2, 1, 8, 16)


def test_a_field_passes_through_transformations():
    """What the function is given first are leaves, so that a batch of fields is one field."""
    fields = jax.vmap(lambda a: Field(jax.tree_util.Partial(scaled, a), Burgers(), "periodic"))(jnp.arange(3.0))
    np.testing.assert_allclose(
        jax.vmap(lambda f: f(jnp.ones(2) / 4))(fields), np.arange(3.0)[:, None, None] * np.ones(2)
    )
    field = Field(wave, Burgers(), "periodic")
    np.testing.assert_allclose(jax.jit(lambda f, x: f(x))(field, jnp.ones(3) / 4), np.ones((1, 3)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((wave, Burgers(), "nothing"), "unknown boundary 'nothing'"),
        ((wave, Burgers(), ("outflow", "periodic")), "make both periodic"),
        ((wave, Burgers(), ("outflow",) * 3), "one entry per axis"),
        ((wave, Burgers(), "outflow", (1.0, 0.0)), "x_min < x_max"),
        ((wave, "burgers", "outflow"), "law must be a conservation law"),
        ((lambda x: x[:2], Burgers(), "outflow"), r"to values of shape \(1, 3\), got \(2,\)"),
        ((wave, Euler(), "outflow"), r"to values of shape \(3, 3\), got \(3,\)"),
        ((lambda x: undefined, Burgers(), "outflow"), "calling it failed: NameError"),
        ((wave, Burgers(), "outflow", (0.0, 1.0), lambda x: x), "and a time .* calling it failed: TypeError"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(arguments, said):
    with pytest.raises(UndertowError, match=said) as told:
        Field(*arguments)
    assert "\n" not in str(told.value)
