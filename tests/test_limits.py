"""What the machine cannot bear is refused before anything is made or written, and nothing else is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import undertow as ut
from undertow import _limits, cli
from undertow._checks import UndertowError
from undertow._limits import Need, out_of_memory_told, require_disk, require_memory, require_time
from undertow.assembly import build, training_needs
from undertow.config import Config
from undertow.config.fields import changed
from undertow.games import make
from undertow.presets import PRESETS, preset

GB = 10**9


@pytest.fixture
def four_gigabytes(monkeypatch):
    monkeypatch.setattr(_limits, "free_memory", lambda: 4.0 * GB)


def total(needs) -> float:
    return sum(need.amount for need in needs)


# --- what there is ----------------------------------------------------------------------------------------------------


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


MEMINFO = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("", {}, 8_192_000_000),
        ("0::/\n", {"memory.max": "max\n", "memory.current": "5\n"}, 8_192_000_000),
        ("0::/a/b\n", {"a/b/memory.max": "3000\n", "a/b/memory.current": "1000\n"}, 2000),
        # The limit of a group around it; what files are cached can be given back.
        (
            "0::/a/b\n",
            {
                "a/memory.max": "3000",
                "a/memory.current": "2500",
                "a/memory.stat": "anon 1\ninactive_file 400\n",
                "a/b/memory.max": "max",
            },
            900,
        ),
        # In a container the path is the host's, and the limit stands at the root.
        ("0::/host/x\n", {"memory.max": "7000", "memory.current": "1000"}, 6000),
        (
            "3:cpu:/\n4:memory:/c\n0::/\n",
            {"memory/c/memory.limit_in_bytes": "5000", "memory/c/memory.usage_in_bytes": "4000"},
            1000,
        ),
        (
            "4:cpu,memory:/\n",
            {"memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "1"},
            8_192_000_000,
        ),
        ("0::/a\n", {"a/memory.max": "100", "a/memory.current": "300"}, 0),
        ("nonsense\n\n0:\n", {"memory.max": "?"}, 8_192_000_000),
    ],
)
def test_the_closest_limit_counts(tmp_path, monkeypatch, groups, files, free):
    monkeypatch.setattr(_limits, "_address_space", lambda proc: None)
    write(tmp_path / "proc", {"meminfo": MEMINFO, "self/cgroup": groups})
    write(tmp_path / "groups", files)
    assert _limits.free_memory(tmp_path / "proc", tmp_path / "groups") == free


def test_a_system_without_proc_is_asked_for_what_it_has(tmp_path):
    found = _limits.free_memory(tmp_path / "no", tmp_path / "no")
    assert found is None or found > GB / 10


def test_this_machine():
    assert _limits.free_memory() > 0 and _limits.free_device_memory() > 0
    assert _limits.free_disk("/there/is/no/such/folder") > 0


def test_nothing_known_refuses_nothing(monkeypatch):
    monkeypatch.setattr(_limits, "free_memory", lambda: None)
    require_memory([Need("all", math.inf, "it")], host=True)


# --- refusing ---------------------------------------------------------------------------------------------------------


def test_a_refusal_says_what_it_takes_what_there_is_and_what_to_change(four_gigabytes, tmp_path, monkeypatch):
    needs = [Need("3 things", 3.5 * GB, "things"), Need("a lid", 0.5 * GB, "lids")]
    require_memory(needs[:1])
    with pytest.raises(UndertowError, match=r"at least 4 GB of memory, for 3 things, and 4 GB are free: lower things"):
        require_memory(needs)
    monkeypatch.setattr(_limits, "free_disk", lambda folder: 2.0 * GB)
    require_disk(needs[1:], tmp_path)
    with pytest.raises(UndertowError, match=r"at least 4 GB of disk, .* and 2 GB are free in "):
        require_disk(needs, tmp_path)
    require_time([Need("an hour", 3600, "it")])  # at least: most work takes several times as long
    require_time([Need("a year", 3e7, "it")], long=True)
    with pytest.raises(
        UndertowError, match="at least 347 days, for a year: lower it, or start it all the same with --long"
    ):
        require_time([Need("a year", 3e7, "it")])


def test_words():
    assert [_limits.size(x) for x in (0, 999, 1000, 1.5e9, 2e21)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "1.5 GB",
        "2e+06 PB",
    ]
    assert [_limits.duration(x) for x in (1, 90, 7200, 2e5, math.inf)] == [
        "1 seconds", "1.5 minutes", "2 hours", "2.31 days", "a thousand years"
    ]  # fmt: skip
    assert _limits.number(10**400) == "inf" and _limits.number(1234) == "1,234"


# Of a preset, an option that says how much, and the least of it that no 4 GB hold.
LARGE = [
    ("burgers", "grid.num_cells", 2 * 10**6),
    ("burgers", "grid.steps", 10**6),
    ("burgers", "data.pool", 5 * 10**6),
    ("burgers", "training.batch", 3 * 10**5),
    ("burgers", "evaluation.cases", 5 * 10**6),
    ("burgers-2d", "grid.num_cells", 5000),
    ("euler", "data.refinement", 10**6 + 1),
    ("cartpole", "horizon", 2 * 10**6),
    ("cartpole", "data.train", 3 * 10**6),
    ("cartpole", "data.test", 3 * 10**6),
    ("cartpole", "system.poles", 2 * 10**4),
    ("guidance", "system.evaders", 2 * 10**4),
    ("quantum", "system.points", 10**4),
    ("contact", "horizon", 10**6),
]
SLOW = [(name, "training.updates", 10**9) for name in PRESETS] + [
    ("burgers", "evaluation.horizon", 10**8),
    ("contact", "training.updates", 10**25),
]


def grown(case: tuple[str, str, int], factor: int) -> Config:
    name, field, least = case
    even = {"training.batch": {"data.pool": least * factor}}.get(field, {})
    return changed(
        preset(name).config, {field: least * factor + (field == "data.refinement") * (factor % 2 == 0), **even}
    )


@settings(max_examples=40, deadline=None)
@given(case=st.sampled_from(LARGE + SLOW), factor=st.integers(0, 12).map(lambda n: 10**n))
def test_trainings_that_cannot_fit_are_refused(case, factor):
    """Also those that are not even to be counted in 64 bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_limits, "free_memory", lambda: 4.0 * GB)
        with pytest.raises(
            UndertowError, match=r"^this (needs|takes) at least .* lower |must be a whole number"
        ) as caught:
            training_needs(grown(case, factor)).require(folder=".")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
        assert case[1] in str(caught.value) or case[1].startswith(("system", "data.t"))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_everywhere(name, monkeypatch):
    """On one old core with half a gigabyte."""
    monkeypatch.setattr(_limits, "free_memory", lambda: GB / 2)
    monkeypatch.setattr(_limits, "free_disk", lambda folder: GB / 100)
    monkeypatch.setattr(_limits, "cores", lambda: 1)
    training_needs(preset(name).config).require(seeds=5, folder=".")


@pytest.mark.parametrize("long", [False, True])
def test_what_takes_hours_is_begun_when_asked_for(long, monkeypatch):
    needs = training_needs(changed(preset("cartpole").config, {"training.updates": 10**9}))
    if long:
        needs.require(long=True)
        needs.require(done=10**9 - 10)
    else:
        for more in ({}, {"done": 10**8}):
            with pytest.raises(UndertowError, match="--long"):
                needs.require(**more)
    few = training_needs(preset("cartpole").config)
    with pytest.raises(UndertowError, match=r"in each of 1,000,000,000 trainings: .*trials"):
        few.require(trainings=10**9)
    with pytest.raises(UndertowError, match=r"lower seeds or "):
        few.require(seeds=10**9)


@pytest.mark.parametrize(
    "line",
    [
        "train cartpole --data.train 1000000000",
        "train burgers --policy.hidden 1000000000",
        "train burgers --policy.hidden 100000000 100000000 1000000000",
        "train burgers --training.updates 1000000000",
        "train burgers --checkpoint.keep 1000000000 --training.updates 2000000000 --evaluation.every 1 --training.dispatch 1"
        " --long",
        "train quantum --system.points 1000000000",
        "simulate sod --cells 1000000000 --out a.csv",
        "simulate sod --saves 1000000000 --out a.png",
        "simulate shock --saves 1000000 --out a.gif",
        "simulate vortex --cells 3000 --saves 12 --out a.csv",
        "simulate shock --dt 1e-10",
        "simulate sod --steps 2000000000",
        "simulate quadrants-3 --cells 1000000",
    ],
)
def test_commands_are_refused_in_one_line(line, four_gigabytes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("undertow: this ") and said.count("\n") == 1 and "at least" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "asked",
    [
        lambda: ut.suite("held-out", n=10**9),
        lambda: ut.suite("held-out", cells=10**9),
        lambda: ut.suite("families", n=10**9),
        lambda: ut.suite("gas-held-out", refinement=10**7 + 1),
        lambda: ut.suite("plane-held-out", cells=10**5),
        lambda: ut.suite("held-out", steps=10**9),
        lambda: ut.learn("cartpole", horizon=10**9),
        lambda: ut.simulate("sod", num_cells=2 * 10**9),
        lambda: ut.convergence({"weno-js": ut.classical("weno-js")}, cells=(8, 2 * 10**9)),
        lambda: make("undertow/Burgers-v0", cells=2 * 10**9),
        lambda: make("undertow/Quantum-v0", points=2 * 10**9),
    ],
)
def test_python_is_refused_too(asked, four_gigabytes):
    with pytest.raises(UndertowError, match=r"^this (needs|takes) at least"):
        asked()


def test_copies_of_a_game(four_gigabytes):
    gymnasium = pytest.importorskip("gymnasium")
    import undertow.games.gymnasium  # noqa: F401

    with pytest.raises(UndertowError, match="1,000,000,000 copies"):
        gymnasium.make_vec("undertow/Burgers-v0", num_envs=10**9)


def test_a_controller_is_evaluated_on_what_fits(four_gigabytes):
    judge = build(preset("cartpole").config).judge
    policy: Any = build(preset("cartpole").config).policy
    for overrides in ({"n": 10**9}, {"steps": 10**9}, {"n": 10**6, "steps": 10**6}):
        with pytest.raises(UndertowError, match=r"^this (needs|takes) at least"):
            judge.evaluate(policy, "fresh", **overrides)


def test_resamples(four_gigabytes):
    from undertow.evaluation.statistics import bootstrap_interval

    with pytest.raises(UndertowError, match="resamples"):
        bootstrap_interval([np.ones(3)], lambda x: x.mean(axis=0), resamples=10**9)


# --- and what is estimated is less than what is used -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "burgers",
            {
                "grid": {"num_cells": 16, "steps": 20, "end_time": 0.02, "integrator": "euler", "order": 3},
                "data": {"pool": 16, "truth": "fine", "refinement": 3},
                "policy": {"hidden": (32,), "prior": False},
                "objective": {"name": "trajectory"},
            },
        ),
        ("cartpole", {"horizon": 200, "data": {"train": 64, "test": 16}}),
        (
            "contact",
            {"gradient": "full", "horizon": 60, "data": {"train": 64, "test": 16}, "training": {"segment": 20}},
        ),
    ],
)
def test_an_update_takes_more_than_its_bound(name, fields):
    """The compiler says how much memory the update needs. A bound of far less would refuse too late, one of more wrongly."""
    config = changed(preset(name).config, fields)
    experiment = build(config)
    trainer = experiment.trainer(experiment.make_pool())
    state = trainer.init(experiment.policy, jax.random.key(0))
    (problems, rest), (arrays, fixed) = eqx.partition(trainer, eqx.is_array), eqx.partition(state, eqx.is_array)

    def update(problems, arrays):
        new, _ = eqx.combine(problems, rest).update(eqx.combine(arrays, fixed))
        return eqx.filter(new, eqx.is_array)

    told = jax.jit(update).lower(problems, arrays).compile().memory_analysis()
    used = told.temp_size_in_bytes + told.argument_size_in_bytes + told.output_size_in_bytes
    bound = total(training_needs(config).each)
    assert used / 20 < bound < used


def test_a_march_takes_more_than_its_bound():
    from undertow.envs.needs import march_memory
    from undertow.laws.burgers import Burgers
    from undertow.numerics.boundary import boundary
    from undertow.numerics.grid import UniformGrid
    from undertow.numerics.integrator import ForwardEuler
    from undertow.numerics.timestep import CFLStep
    from undertow.schemes.march import march
    from undertow.schemes.semidiscrete import SemiDiscrete

    grid = UniformGrid(5000)
    scheme = SemiDiscrete(Burgers(), grid, (boundary("periodic", ghost=3),), order=3)
    end = jnp.asarray(0.1)
    how = {"end_time": end, "time_step": CFLStep(0.5, end, grid.dx), "integrator": ForwardEuler()}
    lowered = march.lower(scheme, ut.classical("weno-js", 3), jnp.zeros((1, 5000)), jnp.zeros(()), **how)
    told = lowered.compile().compiled.memory_analysis()
    used = told.temp_size_in_bytes + told.argument_size_in_bytes + told.output_size_in_bytes
    assert used / 20 < march_memory(5000, 1, 0, "cells")[0].amount < used


# --- the last resort --------------------------------------------------------------------------------------------------


def too_much_for_numpy() -> object:
    return np.ones(2**58)


def too_much_for_jax() -> object:
    return jax.block_until_ready(jnp.zeros(2**50, jnp.int8) + jnp.ones((), jnp.int8))


@pytest.mark.parametrize("make", [too_much_for_numpy, too_much_for_jax])
def test_memory_that_runs_out_is_told_in_one_line(make, monkeypatch, capsys):
    with pytest.raises(UndertowError, match=r"^out of memory, of which .* are free; take fewer cells$"):
        out_of_memory_told("fewer cells")(make)()
    monkeypatch.setitem(cli.COMMANDS, "info", cli.Command("info", "", lambda arguments: make()))
    assert cli.main(["info"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("undertow: out of memory") and said.count("\n") == 1


def test_other_errors_stay_what_they_are():
    def wrong() -> None:
        raise ValueError("memory is a word")

    with pytest.raises(ValueError, match="memory is a word") as caught:
        out_of_memory_told("x")(wrong)()
    assert not isinstance(caught.value, UndertowError)
