"""Which fields a sweep goes over: what is written is what is meant, and what cannot be meant is refused."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import tiny
from undertow._checks import UndertowError
from undertow.config.fields import find_field, to_word, with_fields
from undertow.presets import preset
from undertow.sweeps.space import (
    Choices,
    Range,
    combinations,
    read_space,
    space_from_plain,
)

CONFIG = tiny()
numbers = st.floats(1e-12, 1e12)
shares = st.floats(0, 1, allow_subnormal=False).filter(lambda share: share == 0 or share > 1e-150)
FIELDS = {
    "optimizer.learning_rate": numbers,
    "training.updates": st.integers(1, 10**9),
    "policy.hidden": st.lists(st.integers(1, 512), max_size=4).map(tuple),
    "policy.prior": st.booleans(),
    "gradient": st.sampled_from(["full", "stop", "physics", "sign-agreement"]),
    "grid.order": st.sampled_from([3, 5, 7, 9, 11, 13]),
    "window": st.none() | st.integers(1, 99),
    "gates": st.none() | st.tuples(shares, shares),
    "data.boundary": st.none() | st.sampled_from(["periodic", "outflow"]),
    "evaluation.suites": st.lists(st.sampled_from(["held-out", "named"]), unique=True).map(tuple),
}


@given(st.data(), st.sampled_from(sorted(FIELDS)))
def test_what_is_written_is_read(data, name):
    """Values of every kind of field survive the way over the command line, and over JSON."""
    values = tuple(data.draw(st.lists(FIELDS[name], min_size=1, max_size=4, unique=True)))
    space = read_space(CONFIG, [f"{name.replace('_', '-')}={','.join(map(to_word, values))}"])
    assert space == {name: Choices(values)}
    plain = json.loads(json.dumps({key: each.plain() for key, each in space.items()}))
    assert space_from_plain(CONFIG, plain) == space
    assert read_space(CONFIG, {name: values}) == space


@given(numbers, numbers, st.booleans())
def test_ranges(one, other, log):
    low, high = sorted((one, other))
    word = f"optimizer.learning_rate={low}..{high}{':log' if log else ''}"
    if low == high:
        with pytest.raises(UndertowError, match="from less to more"):
            read_space(CONFIG, [word])
        return
    space = read_space(CONFIG, [word])
    assert space == {"optimizer.learning_rate": Range(low, high, log)}
    assert space_from_plain(CONFIG, json.loads(json.dumps({name: r.plain() for name, r in space.items()}))) == space


def test_a_range_of_whole_numbers():
    assert read_space(CONFIG, ["training.batch=1..8:log"])["training.batch"].whole
    assert not read_space(CONFIG, {"policy.freedom": Range(1, 2)})["policy.freedom"].whole


def test_combinations_are_the_product():
    space = read_space(CONFIG, ["gradient=full,stop", "policy.hidden=[4],[8,8],[]"])
    found = list(combinations(space))
    hidden = [(4,), (8, 8), ()]
    assert found == [{"gradient": g, "policy.hidden": h} for g in ("full", "stop") for h in hidden]
    changed = with_fields(CONFIG, found[4])
    assert (changed.gradient, changed.policy.hidden) == ("stop", (8, 8))
    assert dataclasses.replace(changed, gradient="full", policy=CONFIG.policy) == CONFIG


def test_fields_of_every_family():
    assert find_field(preset("cartpole").config, "system.half-length")[0] == "system.half_length"
    assert find_field(CONFIG, "grid.num_cells")[0] == "grid.num_cells"


@pytest.mark.parametrize(
    "word, message",
    [
        ("gradient", "FIELD=VALUES"),
        ("optimizr.learning_rate=1", "did you mean 'optimizer.learning_rate'"),
        ("system.poles=1", "unknown configuration field 'system.poles'"),
        ("grid=1", "is a table of fields; choose among grid.num_cells"),
        ("gradient=", "gradient: a field needs at least one value"),
        ("gradient=ful", "did you mean 'full'"),
        ("gradient=full,stop,full", "the value full stands twice"),
        ("training.updates=1.5", "training.updates must be a whole number above 0, got 1.5"),
        ("training.updates=1,,2", "must be a whole number above 0, got ''"),
        ("policy.prior=yes", "must be true or false, got 'yes'"),
        ("policy.hidden=16,8", "policy.hidden must be a list, got 16"),
        ("policy.hidden=[16,16", "not closed"),
        ("policy.hidden=16]", "not opened"),
        ("policy.hidden=[a]", "must be a whole number above 0, got 'a'"),
        ("gates=[1]", "must have 2 entries"),
        ("optimizer.learning_rate=nan", "finite"),
        ("optimizer.learning_rate=0..1:log", "lies above 0"),
        ("optimizer.learning_rate=0..1:ln", "LOW..HIGH:log"),
        ("optimizer.learning_rate=1e-3..", "has no end ''"),
        ("optimizer.learning_rate=0..inf", "finite"),
        ("gradient=full..stop", "unknown gradient 'full..stop'"),
    ],
)
def test_what_cannot_be_meant_is_refused(word, message):
    with pytest.raises(UndertowError, match=message) as caught:
        read_space(CONFIG, [word])
    assert "\n" not in str(caught.value)


def test_values_from_python_are_checked_too():
    for over, message in (
        ({"gradient": ["ful"]}, "did you mean 'full'"),
        ({"gradient": []}, "at least one value"),
        ({"gradient": 3}, "give a list of values"),
        ({"policy.hidden": Range(1, 2)}, "hold one number"),
        ({"training.updates": Range(1.0, 2.0)}, "no end 1.0"),
        ({}, "something to go over"),
        (["gradient=full", "gradient=stop"], "swept over twice"),
    ):
        with pytest.raises(UndertowError, match=message):
            read_space(CONFIG, over)
