"""Numbers at the door: whichever kind they are of, they are taken or refused alike, everywhere, in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shlex
import typing
from fractions import Fraction
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import undertow as ut
from undertow._checks import (
    LARGEST_COUNT,
    LARGEST_SEED,
    UndertowError,
    Within,
    choice,
    constant,
    lookup,
    plain_number,
    real_number,
    whole_number,
)
from undertow._fields import stated_types
from undertow.cli import main
from undertow.config import FAMILIES, config_to_dict, validate_config
from undertow.config.fields import find_field, with_fields
from undertow.laws.advection import LinearAdvection
from undertow.laws.euler import Euler
from undertow.laws.shallow_water import ShallowWater
from undertow.laws.vector_burgers import VectorBurgers
from undertow.numerics.timestep import complete
from undertow.sweeps.space import read_space
from undertow.tasks.cartpole import published_cartpoles

# --- the helpers ------------------------------------------------------------------------------------------------------

WHOLE_KINDS = (int, np.int8, np.int32, np.int64, np.uint16, np.array, jnp.asarray, lambda n: jnp.asarray(n, jnp.uint8))
REAL_KINDS = (float, np.float32, np.float64, np.float16, np.array, jnp.asarray, lambda x: Fraction(float(x)))


@given(st.integers(1, 100), st.sampled_from(WHOLE_KINDS))
def test_whole_numbers_of_every_kind(number: int, kind: Any):
    found = whole_number("n", kind(number))
    assert type(found) is int and found == number


@given(st.sampled_from((0.5, 1.0, 2.0, -0.25, 0.0)), st.sampled_from(REAL_KINDS))
def test_real_numbers_of_every_kind(number: float, kind: Any):
    found = real_number("x", kind(number))
    assert type(found) is float and found == number


NO_NUMBERS = (
    None,
    "3",
    True,
    np.bool_(True),
    jnp.asarray(True),
    [3],
    np.array([3]),
    jnp.array([3]),
    3j,
    np.complex64(1),
    object,
)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number(value: Any):
    for read in (whole_number, real_number):
        with pytest.raises(UndertowError, match="^n must be a") as caught:
            read("n", value)
        assert "\n" not in str(caught.value)


@given(
    st.floats() | st.integers(-(10**400), 10**400),
    st.sampled_from((None, Within(above=0), Within(at_least=0, below=1))),
)
def test_a_number_is_taken_or_refused_in_a_short_line(number: float, within: Within | None):
    """No other exception, whatever the size; what is taken is finite, in its range and can be squared."""
    for read in (whole_number, real_number):
        try:
            found = read("n", number, within)
        except UndertowError as error:
            assert "\n" not in str(error) and len(str(error)) < 200
        else:
            assert within is None or within.holds(found)
            assert read is whole_number or (math.isfinite(found) and math.isfinite(found**2))
            assert found == 0 or read is whole_number or found**2 > 0


def test_messages():
    for value, message in (
        (2.5, "num_cells must be a whole number above 0, got 2.5"),
        (np.float64(2.5), "num_cells must be a whole number above 0, got 2.5"),
        (-1, "num_cells must be a whole number above 0, got -1"),
        (2**31, f"num_cells must be a whole number up to {LARGEST_COUNT}, got 2147483648"),
        (10**5000, "num_cells must be a whole number up to 2147483647, got about 10^5000"),
    ):
        with pytest.raises(UndertowError) as caught:
            whole_number("num_cells", value)
        assert str(caught.value) == message
    with pytest.raises(UndertowError, match=r"^unknown preset 'x{50,60}\.\.\. \(5002 characters\)"):
        lookup("preset", "x" * 5000, {"a": 1})


def test_constants_may_be_traced():
    """What a transformation hides is let through; what can be looked at is looked at."""
    assert constant("c", jnp.asarray(2.0)).shape == ()
    assert jax.jit(lambda x: constant("c", x, Within(above=5)))(1.0) == 1.0
    assert jax.grad(lambda g: Euler(g).gamma ** 2)(1.5) == 3.0
    assert eqx.filter_vmap(Euler)(jnp.array([1.2, 1.4])).gamma.shape == (2,)
    with pytest.raises(UndertowError, match=r"c must be one number, got an array of shape \(2,\)"):
        constant("c", jnp.ones(2))
    with pytest.raises(UndertowError, match="c must be a finite number, got nan"):
        constant("c", jnp.array([1.0, math.nan]), batched=True)


# --- every field of every configuration ------------------------------------------------------------------------------


def fields_of(kind: type, above: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, hint in stated_types(kind).items():
        if dataclasses.is_dataclass(hint):
            found += fields_of(typing.cast("type", hint), f"{above}{name}.")
        else:
            found.append((above + name, hint))
    return found


def numbers_in(hint: Any) -> list[tuple[type, Within | None]]:
    """The numbers that a field holds, each with its range."""
    if typing.get_origin(hint) is typing.Annotated:
        bare, *marks = typing.get_args(hint)
        return [(bare, mark) for mark in marks if isinstance(mark, Within)]
    if hint in (int, float):
        return [(hint, None)]
    if typing.get_origin(hint) is typing.Literal:
        return []
    return [each for inner in typing.get_args(hint) for each in numbers_in(inner)]


ALL = [(family, name, hint) for family, kind in FAMILIES.items() for name, hint in fields_of(kind) if numbers_in(hint)]


def put(family: str, name: str, hint: Any, value: Any) -> Any:
    """The default configuration of a family with `value` in a field, in all places of one that holds several."""
    inner = [each for each in (hint, *typing.get_args(hint)) if typing.get_origin(each) is tuple]
    if inner:
        value = (value,) if typing.get_args(inner[0])[-1] is Ellipsis else (value,) * len(typing.get_args(inner[0]))
    if typing.get_origin(hint) is dict:
        value = {"gravity": value}
    return with_fields(FAMILIES[family](), {name: value})


@pytest.mark.parametrize(("family", "name", "hint"), ALL, ids=[f"{family}:{name}" for family, name, _ in ALL])
def test_every_field_states_its_range(family: str, name: str, hint: Any):
    """Whole numbers are bounded; no number is taken that is not finite; NumPy's numbers become Python's, for JSON."""
    ((kind, within), *_) = numbers_in(hint)
    if kind is int:
        assert within is not None, f"{name} has to say which whole numbers it takes"
    odd_ones: list[Any] = [math.nan, math.inf, -math.inf, -(10**400), True, "x", np.float64(math.nan)]
    if within is None or within.squared:
        odd_ones += [10**23 if kind is int else 10**200, 1e200, 1e-200]
    for odd in odd_ones:
        with pytest.raises(UndertowError, match=rf"^{name}(\.gravity)? must be a? ?") as caught:
            validate_config(put(family, name, hint, odd))
        assert "\n" not in str(caught.value)
    below = {"above": lambda bound: bound, "at_least": lambda bound: bound - 1}
    for side, beyond in below.items():
        bound = None if within is None else getattr(within, side)
        if bound is not None:
            with pytest.raises(UndertowError, match=f"^{name} must be"):
                validate_config(put(family, name, hint, beyond(bound)))
    inside = next(n for n in (3, 2, 1, 0.5) if (within is None or within.holds(n)))
    for given_kind in (np.int64, np.array, jnp.asarray) if kind is int else (np.float32, np.array, jnp.asarray):
        config = validate_config(put(family, name, hint, given_kind(inside)))
        assert json.loads(json.dumps(config_to_dict(config))) == config_to_dict(config)
        assert config == validate_config(put(family, name, hint, inside))


@given(st.integers(-(2**70), 2**70) | st.sampled_from((-1, 0, LARGEST_SEED, LARGEST_SEED + 1)))
def test_seeds_are_the_same_everywhere(seed: int):
    """The same set in every family and method, for data and for the first states, in sweeps and in games."""
    fits = 0 <= seed <= LARGEST_SEED
    doors = [lambda kind=kind: validate_config(dataclasses.replace(kind(), seed=seed)) for kind in FAMILIES.values()]
    doors += [
        lambda: validate_config(ut.config.SchemeConfig(method="ppo", seed=seed)),
        lambda: validate_config(with_fields(FAMILIES["quantum"](), {"data.seed": seed})),
        lambda: read_space(ut.config.SchemeConfig(), [f"seed={seed}"]),
        lambda: published_cartpoles(1, seed=seed),
    ]
    for door in doors:
        with contextlib.nullcontext() if fits else pytest.raises(UndertowError, match="seed.* must be a whole number"):
            door()
    if fits:  # what draws from it
        assert np.isfinite(published_cartpoles(1, seed=seed)).all()
        assert jax.random.key_data(jax.random.key(seed)).tolist() == [0, seed]


# --- functions, laws, systems, sweeps --------------------------------------------------------------------------------


def test_laws_and_grids_take_numbers_of_every_kind():
    for make, odd in (
        (
            Euler,
            (np.float32(0.9), jnp.asarray(0.5), jnp.array([1.4, 1.4]), np.array([1.4, 1.4]), None, math.nan, "1.4"),
        ),
        (ShallowWater, (np.float32(-9.81), 0, math.inf)),
        (ut.Burgers, (np.float64(-0.1), math.nan, "x")),
        (VectorBurgers, (-1, math.nan)),
        (LinearAdvection, (math.nan, math.inf, "x")),
        (ut.UniformGrid, (0, 2.5, (), (8, 0), None, np.array([8, 0]))),
        (ut.tasks.CartPole, (math.nan, "x", jnp.array([9.8, math.nan]))),
        (ut.tasks.QuantumBox, (0, -1.0, math.nan)),
        (ut.tasks.Guidance, (0, 2.0, np.float64(2))),
    ):
        for value in odd:
            with pytest.raises(UndertowError) as caught:
                make(value)
            assert "\n" not in str(caught.value)
    assert type(Euler(np.float64(1.4)).gamma) is float and Euler(dimensions=np.int64(2)) == Euler(dimensions=2)
    assert ut.UniformGrid(np.array([8, 4]), np.float32(0), np.array([1, 2])) == ut.UniformGrid((8, 4), 0.0, (1.0, 2.0))
    assert ut.tasks.CartPole(dt=jnp.array([0.01, 0.02])).dt.shape == (2,)


def test_time_steps_take_numbers_of_every_kind():
    plain = complete(num_cells=64, dt=0.5, end_time=1.0)
    assert complete(num_cells=np.int32(64), dt=np.float32(0.5), end_time=jnp.asarray(1.0)) == plain
    for odd in ({"dt": 1e-300}, {"dt": math.nan}, {"dt": 1e-9, "end_time": 1e9}, {"num_cells": 10**30}, {"steps": 2.5}):
        with pytest.raises(UndertowError, match="must be"):
            complete(**{"num_cells": 64, "end_time": 1.0, **odd})


def test_sweeps_take_arrays():
    config = ut.preset("cartpole").config
    for rates in (np.logspace(-4, -2, 3), jnp.array([1e-4, 1e-3, 1e-2]), [np.float64(1e-4), 1e-3, np.float32(0.01)]):
        (values,) = read_space(config, {"optimizer.learning_rate": rates}).values()
        assert all(type(value) is float for value in values.values)
    (values,) = read_space(config, {"training.batch": np.array([2, 4])}).values()
    assert values.values == (2, 4) and all(type(value) is int for value in values.values)


def test_simulate_takes_numbers_of_every_kind():
    plain = ut.simulate("smooth_sine", num_cells=16, end_time=0.5, steps=100, saves=2)
    other = ut.simulate(
        "smooth_sine", num_cells=np.int64(16), end_time=np.float32(0.5), steps=jnp.asarray(100), saves=np.int8(2)
    )
    np.testing.assert_array_equal(plain.values, other.values)
    for odd in (
        {"saves": 2.5},
        {"num_cells": 50.5},
        {"end_time": math.nan},
        {"cfl": jnp.ones(2)},
        {"dt": "x"},
        {"order": 5.5},
    ):
        with pytest.raises(UndertowError, match="must be") as caught:
            ut.simulate("smooth_sine", **{"num_cells": 16, **odd})
        assert "\n" not in str(caught.value)


# --- refused commands ------------------------------------------------------------------------------------------------

REFUSED = """
train burgers --seed 9223372036854775808
train burgers --method ppo --seed -1
train cartpole --data.seed 4294967296
train cartpole --system.pole-mass 2
train contact --system.damping-ratio -1
train contact --system.friction -1
train burgers --data.boundary bogus
train burgers --data.boundary periodic
train burgers --law.gamma 1
train burgers --optimizer.warmup-fraction 2
train burgers --optimizer.drop-at 2
train burgers --optimizer.drop-at 0.9 0.1
train burgers --optimizer.drop-factor -1
train cartpole --policy.channels 0
train burgers --training.updates 100000000000000000000000
train burgers --grid.end-time 1e-300
train burgers --law.velocity inf
sweep cartpole --over gradient=full,stop --seed -1
sweep cartpole --over gradient=full --seed 4294967295 --seeds 2
sweep cartpole --over seed=1,2 --seeds 2
simulate shock --params u_L=1e308
simulate shock --params u_L=nan
simulate shock_formation --params k=0
simulate smooth_sine --law.name advection --law.velocity 1e300
simulate sod --cfl 1e-300
simulate sod --cells 10.5
simulate sod --steps 0
simulate sod --saves -3
compare a --resamples 0
compare a --seed -1
report a --port 70000
reproduce cartpole --seeds 0
resume a --updates -1
evaluate a --cases 0
runs --limit 0
"""


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_refused_commands(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2, one line on standard error, nothing on standard output, nothing written."""
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and said.err.startswith("undertow: ")
    assert list(tmp_path.iterdir()) == []


def test_a_long_word_is_not_repeated(capsys: pytest.CaptureFixture[str]):
    for words in (
        ["train", "x" * 5000],
        ["simulate", "x" * 5000],
        ["train", "burgers", "--" + "x" * 5000],
        ["x" * 5000],
    ):
        assert main(words) == 2
        assert len(capsys.readouterr().err) < 1000


def test_plain_numbers_stay():
    assert plain_number("x") == "x" and plain_number(None) is None
    assert find_field(ut.config.SchemeConfig(), "seed") == ("seed", int)


# --- what users write themselves --------------------------------------------------------------------------------------


class Grows(ut.AbstractControlled):
    """A system of one's own, with one mistake or another in it."""

    mode: str = eqx.field(static=True, default="")

    def observe(self, state):
        return state

    def advance(self, state, action):
        new = {
            "shape": lambda: jnp.concatenate([state, state]),
            "form": lambda: (state, state),
            "type": lambda: state + 0.5,
        }
        return new.get(self.mode, lambda: state + action)()


class Nothing(ut.AbstractPolicy):
    def __call__(self, observation, *, key=None):
        return jnp.zeros(2)


@pytest.mark.parametrize("how", ["step", "adjoint"])
@pytest.mark.parametrize("mode", ["shape", "form", "type"])
def test_a_step_that_changes_the_state_is_told(mode: str, how: Any):
    start = jnp.zeros(2, int if mode == "type" else float)
    with pytest.raises(UndertowError, match="^a step has to hand on a state") as caught:
        ut.rollout(Grows(mode), Nothing(), start, 3, rematerialise=how)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("objective", [ut.RunningCost, ut.FinalCost])
def test_a_cost_is_one_number(objective: Any):
    problems = ut.Problem(Grows(), jnp.ones((4, 2)))
    for cost in (lambda state: state, lambda state: state[:1]):
        with pytest.raises(UndertowError, match="has to give one number per state"):
            ut.Task(objective(cost), 3).losses(Nothing(), ut.FULL, problems)


@pytest.mark.parametrize("updates", [1, 3])
def test_a_training_without_a_good_update_has_failed(updates: int):
    """However short it is; the first update that is good makes it one that finishes."""
    problems = ut.Problem(Grows(), jnp.ones((4, 2)))
    policy = ut.Controller(2, (2,), hidden=(2,), key=jax.random.key(0))
    for factor, status in ((math.nan, "failed"), (1.0, "finished")):
        cost = ut.FinalCost(lambda state, factor=factor: factor * jnp.sum(state**2))
        trainer = ut.Trainer(ut.Task(cost, 2), problems, gradient="full", batch=2)
        assert ut.fit(trainer, trainer.init(policy, jax.random.key(0)), updates).status == status


def test_an_exact_truth_is_asked_of_laws_that_have_one():
    conditions = jax.tree.map(lambda x: jnp.stack([x]), ut.burgers_condition("smooth_sine"))
    with pytest.raises(UndertowError, match="no exact solution .*take truth='fine'"):
        ut.make_pool(ut.Discretised(ut.Burgers(0.01), 16, 4, 0.01), conditions)


def test_a_list_of_very_many_names_is_cut():
    names = [f"name-{number:04}" for number in range(2000)]
    with pytest.raises(
        UndertowError, match=r"did you mean 'name-1234'\? \(choose from name-0000, .*, \.\.\. \(2000 in all\)\)"
    ) as told:
        choice("name", "name-1234x", names)
    assert len(str(told.value)) < 1200
