"""Dotted fields, conditions and moments, as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertow._checks import UndertowError
from undertow.config import CONTROL_CONFIGS, SchemeConfig, config_to_dict
from undertow.config.fields import flatten
from undertow.runs.fields import config_fields, parse_condition, parse_since, shorten, shown

CartPoleTask = CONTROL_CONFIGS["cartpole"]

NAMES = st.text("abcdef", min_size=1, max_size=3)
TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8)


@given(st.dictionaries(NAMES, TREES, max_size=3))
def test_flat_fields_lead_to_their_values(tree):
    def leaves(table) -> int:
        return sum(leaves(each) if isinstance(each, dict) else 1 for each in table.values())

    flat = flatten(tree)
    assert len(flat) == leaves(tree)
    for name, value in flat.items():
        found = tree
        for part in name.split("."):
            found = found[part]
        assert found == value


def test_missing_fields_have_their_defaults():
    full = config_to_dict(CartPoleTask())
    short = {"family": "cartpole", "system": {"poles": 1}}
    assert config_fields(short) == config_fields(full) == flatten(full)
    assert config_fields({"family": "cartpole", "later": 1}) == {"family": "cartpole", "later": 1}


@pytest.mark.parametrize(
    ("text", "actual", "holds"),
    [
        ("seed=3", 3, True),
        ("seed=3", 3.0, True),
        ("seed != 3", 4, True),
        ("optimizer.learning_rate<1e-3", 1e-3, False),
        ("optimizer.learning_rate<=.001", 1e-3, True),
        ("x>-2", -1, True),
        ("x>=inf", 1.0, False),
        ("x<1", "small", False),
        ("x<1", None, False),
        ("gradient=full", "full", True),
        ("path=runs/a", Path("runs/a"), True),
        ("gradient==full", "Full", False),
        ("gates=none", None, True),
        ("gates!=none", [1.0, 0.5], True),
        ("gates=1,0.5", [1.0, 0.5], True),
        ("policy.hidden=[16, 16]", [16, 16], True),
        ("policy.hidden=16,8", (16, 16), False),
        ("policy.hidden=16", [16], True),
        ("policy.hidden!=16", [16, 16], True),
        ("data.conditions=shock,sod", ["shock", "sod"], True),
        ("evaluation.figures=false", False, True),
        ("evaluation.figures=0", False, False),
    ],
)
def test_conditions(text, actual, holds):
    assert parse_condition(text).holds(actual) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [("seed", "a condition is FIELD=VALUE"), ("=3", "a condition is"), ("a<b", "its value must be a number, got 'b'")],
)
def test_conditions_that_are_none(text, message):
    with pytest.raises(UndertowError, match=message):
        parse_condition(text)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_conditions_order_as_numbers_do(value, actual):
    for operator, truth in (
        ("<", actual < value),
        ("<=", actual <= value),
        ("=", actual == value),
        ("!=", actual != value),
    ):
        assert parse_condition(f"x{operator}{value!r}").holds(actual) is truth


def test_moments():
    now = datetime(2026, 2, 1, 12, tzinfo=UTC)
    assert parse_since("90m", now) == now - timedelta(minutes=90)
    assert parse_since("1.5d", now) == now - timedelta(hours=36)
    assert parse_since("2w", now) == now - timedelta(days=14)
    assert parse_since("2026-01-31T14:25+00:00") == datetime(2026, 1, 31, 14, 25, tzinfo=UTC)
    assert parse_since("2026-01-31").tzinfo is not None
    with pytest.raises(UndertowError, match="a moment is a date"):
        parse_since("yesterday")


def test_short_names_stay_distinct():
    names = ["seed", "optimizer.name", "policy.name", "optimizer.learning_rate", "data.seed"]
    short = shorten(names)
    assert short["optimizer.learning_rate"] == "learning_rate" and short["policy.name"] == "policy.name"
    assert len(set(short.values())) == len(names)


def test_values_for_people():
    assert [shown(each) for each in (1e-3, None, True, (16, 16), "full", 3, [])] == [
        "0.001", "none", "true", "16,16", "full", "3", "()",
    ]  # fmt: skip


def test_every_configuration_is_flat_data():
    assert not any(isinstance(value, dict) for value in config_fields(config_to_dict(SchemeConfig())).values())
