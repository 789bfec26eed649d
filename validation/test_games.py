"""Every game and every mode through every interface: the libraries' own checks, the same numbers, WENO's reward of zero."""

from __future__ import annotations

import os
import subprocess
import sys

import gymnasium
import jax
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

import undertow.games.gymnasium  # noqa: F401  (registers the ids)
from tests.conftest import REPOSITORY
from tests.games.small import ALL, BURGERS, TINY, mode
from tests.games.test_fields import weno_plays_the_solver
from tests.games.test_gymnasium import check, same_as_one, same_as_the_core
from tests.helpers import quick_jit
from undertow._checks import UndertowError
from undertow.games import ACTIONS, REWARDS, make
from undertow.games.pettingzoo import parallel_env
from undertow.laws.burgers_conditions import BURGERS_CONDITIONS
from undertow.laws.euler import Euler
from undertow.laws.gas_cases import GAS_CASES
from undertow.laws.planes import PLANE_CASES, plane_case
from validation.game_spaces import OPTIONS

WENO = [id for id in TINY if "cells" in TINY[id]]
EVERY = {
    **ALL,
    **{
        f"{reward}, {actions}": (BURGERS, {**mode(reward), "actions": actions, "acts": "step", "integrator": "euler"})
        for reward in REWARDS
        for actions in ACTIONS
    },
    **{
        f"every stage, {actions}": (
            BURGERS,
            {**mode("one-step"), "actions": actions, "acts": "stage", "integrator": "rk4"},
        )
        for actions in ACTIONS
    },
}


@pytest.mark.parametrize("case", EVERY)
def test_every_interface(case, capsys):
    id, options = EVERY[case]
    if options.get("reward") == "cloning" and "flux" in options.get("actions", ""):
        with pytest.raises(UndertowError, match="cloning compares stencil weights"):
            gymnasium.make(id, **options)
        return
    check(gymnasium.make(id, **options).unwrapped)
    same_as_the_core(gymnasium.make(id, **options).unwrapped)
    same_as_one(gymnasium.make_vec(id, num_envs=3, chunk=2, **options), gymnasium.make(id, **options).unwrapped)
    parallel_api_test(parallel_env(id, **options), num_cycles=30)
    parallel_seed_test(lambda: parallel_env(id, **options), num_cycles=5)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_what_agents_see_is_in_their_space(double):
    """In a process of its own, whose precision is JAX's default or double."""
    pytest.importorskip("stable_baselines3")
    surroundings = {**os.environ, "JAX_ENABLE_X64": str(int(double))}
    command = [sys.executable, "-m", "validation.game_spaces"]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, cwd=REPOSITORY)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("float64" if double else "float32") == sum(map(len, OPTIONS.values()))


@pytest.mark.parametrize("id", WENO)
def test_weno_plays_the_solver(id):
    weno_plays_the_solver(id)


PLANES = [name for name in PLANE_CASES if not name.startswith(("1d-", "combo-", "quadrants-1"))]


@pytest.mark.parametrize("case", [*BURGERS_CONDITIONS, *GAS_CASES, *PLANES])
def test_every_case_begins(case):
    if case in PLANES:
        gas = isinstance(plane_case(case).field().law, Euler)
        id, options = ("undertow/Euler2D-v0" if gas else "undertow/Burgers2D-v0"), {"dt": 1e-5}
    else:
        id, options = (BURGERS if case in BURGERS_CONDITIONS else "undertow/Euler-v0"), {}
    game, params = make(id, case=case, cells=16, **options)
    _, observation = quick_jit(game.reset)(jax.random.key(0), params)
    assert game.observation_space.shape == observation.shape and np.isfinite(observation).all()
